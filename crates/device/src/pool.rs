//! Recycling of buffers by size class.
//!
//! Must not know who uses a buffer, nor wait for the GPU: the queue is ordered, so a
//! buffer may be handed out again while earlier work still reads it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::handle::Handle;
use crate::health::lock;

/// Pooled bytes below which nothing is given back to the driver.
const SLACK: u64 = 64 << 20;

/// A buffer of the driver and what the pool knows about it.
pub(crate) struct Raw {
    pub(crate) buffer: Handle<wgpu::Buffer>,
    /// Unique among all buffers of the process.
    pub(crate) id: u64,
    /// Size in bytes, a size class.
    pub(crate) capacity: u64,
}

#[derive(Default)]
struct State {
    /// Free buffers by class, the one returned longest ago in front.
    free: BTreeMap<u64, VecDeque<(u64, Raw)>>,
    tick: u64,
    pooled: u64,
    live: u64,
    live_buffers: u64,
    peak: u64,
}

/// Bytes of a device's buffers, staging left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes in buffers that something holds.
    pub live_bytes: u64,
    /// Number of buffers that something holds.
    pub live_buffers: u64,
    /// Bytes in buffers that wait to be used again.
    pub pooled_bytes: u64,
    /// The most bytes that were ever live.
    pub peak_bytes: u64,
}

#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
}

/// Rounds up to a multiple of 256 bytes, then to an eighth of a power of two, so that
/// nearby sizes share buffers and at most an eighth is wasted. Never above `max`.
pub(crate) fn size_class(bytes: u64, max: u64) -> u64 {
    let bytes = bytes.clamp(1, max);
    let step = (1 << bytes.ilog2()) / 8;
    let step = step.max(256_u64);
    bytes.div_ceil(step).saturating_mul(step).min(max)
}

/// A number for a new buffer.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Pool {
    /// A free buffer of this class, counted as live.
    pub(crate) fn take(&self, class: u64) -> Option<Raw> {
        let mut state = lock(&self.state);
        // The one returned last: its memory is likeliest to be in a cache.
        let (_, raw) = state.free.get_mut(&class)?.pop_back()?;
        state.pooled -= class;
        state.add_live(class);
        Some(raw)
    }

    /// Counts a new buffer as live.
    pub(crate) fn created(&self, class: u64) {
        lock(&self.state).add_live(class);
    }

    /// Takes a buffer back. `keep` says whether it may be used again.
    pub(crate) fn give(&self, raw: Raw, keep: bool) {
        let mut state = lock(&self.state);
        state.live -= raw.capacity;
        state.live_buffers -= 1;
        if keep {
            state.pooled += raw.capacity;
            state.tick += 1;
            let tick = state.tick;
            let class = state.free.entry(raw.capacity).or_default();
            class.push_back((tick, raw));
        }
    }

    /// Removes free buffers until the pool may hold `incoming` more bytes: live and
    /// pooled together stay within one and a half times the most that was ever live,
    /// so sizes that a program has stopped using do not pile up.
    pub(crate) fn make_room(&self, incoming: u64) -> Vec<Raw> {
        let mut state = lock(&self.state);
        let peak = state.peak.max(state.live + incoming);
        let limit = peak + (peak / 2).max(SLACK);
        let mut removed = Vec::new();
        while state.live + state.pooled + incoming > limit {
            match state.remove_oldest() {
                Some(raw) => removed.push(raw),
                None => break,
            }
        }
        removed
    }

    /// Removes every free buffer.
    pub(crate) fn drain(&self) -> Vec<Raw> {
        let mut state = lock(&self.state);
        state.pooled = 0;
        let free = std::mem::take(&mut state.free);
        free.into_values().flatten().map(|(_, raw)| raw).collect()
    }

    pub(crate) fn memory(&self) -> Memory {
        let state = lock(&self.state);
        Memory {
            live_bytes: state.live,
            live_buffers: state.live_buffers,
            pooled_bytes: state.pooled,
            peak_bytes: state.peak,
        }
    }
}

impl State {
    fn add_live(&mut self, bytes: u64) {
        self.live += bytes;
        self.live_buffers += 1;
        self.peak = self.peak.max(self.live);
    }

    fn remove_oldest(&mut self) -> Option<Raw> {
        let fronts = self.free.iter().filter_map(|(class, list)| {
            let (tick, _) = list.front()?;
            Some((*tick, *class))
        });
        let (_, class) = fronts.min()?;
        let list = self.free.get_mut(&class)?;
        let (_, raw) = list.pop_front()?;
        if list.is_empty() {
            self.free.remove(&class);
        }
        self.pooled -= class;
        Some(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn classes_are_aligned_and_tight() {
        for bytes in (1..100_000_u64).chain([1 << 30, (1 << 30) + 1]) {
            let class = size_class(bytes, u64::MAX);
            assert!(
                class >= bytes && class.is_multiple_of(256),
                "{bytes} {class}"
            );
            assert!(class - bytes < 256.max(bytes / 8 + 1), "{bytes} {class}");
            assert_eq!(size_class(class, u64::MAX), class);
        }
        assert_eq!(size_class(0, 1 << 20), 256);
        assert_eq!(size_class(1000, 1004), 1004);
    }
}
