//! Recycling of buffers by size class and by who had them before.
//!
//! A loop that asks in the same order gets the same buffers in each turn, and with them the same bind groups: an
//! owner (a result of a plan, say) gets back what it gave, and takes from others only what is too large to have
//! twice. Must not wait for the GPU: the queue is ordered, so a buffer may be handed out again while earlier work
//! still reads it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::handle::Handle;
use crate::health::lock;

/// Pooled bytes below which nothing is given back to the driver.
const SLACK: u64 = 64 << 20;

/// Buffers up to so many bytes are not taken from other owners.
const SMALL: u64 = 64 << 10;

/// Free small buffers above which they are taken from other owners nevertheless.
const MAX_SMALL: u64 = 4096;

/// Lists of free buffers above which empty ones are dropped.
const MAX_LISTS: usize = 4096;

/// Whoever a buffer is for. [`Owner::default`] is everyone who asks once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner(u64);

impl Owner {
    /// The first of `n` new owners that follow each other.
    pub(crate) fn first_of(n: u64) -> Owner {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Owner(NEXT.fetch_add(n, Ordering::Relaxed))
    }

    /// The one `n` further.
    pub(crate) fn plus(self, n: u64) -> Owner {
        Owner(self.0 + n)
    }
}

/// A buffer of the driver and what the pool knows about it.
pub(crate) struct Raw {
    pub(crate) buffer: Handle<wgpu::Buffer>,
    /// Unique among all buffers of the process.
    pub(crate) id: u64,
    /// Size in bytes, a size class.
    pub(crate) capacity: u64,
    /// Who has it, or had it last.
    pub(crate) owner: Owner,
}

#[derive(Default)]
struct State {
    /// Free buffers by class and owner, the one returned longest ago in front.
    free: BTreeMap<(u64, Owner), VecDeque<(u64, Raw)>>,
    tick: u64,
    pooled: u64,
    /// Free buffers up to [`SMALL`].
    n_small: u64,
    live: u64,
    live_buffers: u64,
    peak: u64,
    /// The most bytes that live and free buffers may take.
    limit: Option<u64>,
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
    pub(crate) fn take(&self, class: u64, owner: Owner) -> Option<Raw> {
        let mut state = lock(&self.state);
        let mut raw = match state.take_own(class, owner) {
            Some(raw) => raw,
            None => state.take_other(class)?,
        };
        raw.owner = owner;
        state.removed(class);
        state.add_live(class);
        Some(raw)
    }

    /// The most bytes that live and free buffers may take together, if there is a bound.
    pub(crate) fn limit(&self) -> Option<u64> {
        lock(&self.state).limit
    }

    pub(crate) fn set_limit(&self, bytes: Option<u64>) {
        lock(&self.state).limit = bytes;
    }

    /// Whether a new buffer stays within the limit.
    pub(crate) fn admits(&self, class: u64) -> bool {
        let state = lock(&self.state);
        let held = state.live + state.pooled;
        state
            .limit
            .is_none_or(|limit| held.saturating_add(class) <= limit)
    }

    /// Counts buffers that leave it for good, and were live.
    pub(crate) fn forget(&self, raws: &[Raw]) {
        let mut state = lock(&self.state);
        state.live -= raws.iter().map(|raw| raw.capacity).sum::<u64>();
        state.live_buffers -= raws.len() as u64;
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
            state.add_free(raw);
        }
    }

    /// Removes free buffers until the pool may hold `incoming` more bytes: live and
    /// pooled together stay within one and a half times the most that was ever live,
    /// so sizes that a program has stopped using do not pile up; and within the limit.
    pub(crate) fn make_room(&self, incoming: u64) -> Vec<Raw> {
        let mut state = lock(&self.state);
        let peak = state.peak.max(state.live + incoming);
        let limit = peak + (peak / 2).max(SLACK);
        let limit = limit.min(state.limit.unwrap_or(u64::MAX));
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
        state.n_small = 0;
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

    fn add_free(&mut self, raw: Raw) {
        self.pooled += raw.capacity;
        self.n_small += u64::from(raw.capacity <= SMALL);
        self.tick += 1;
        // Lists stay when they become empty, so that a loop does not allocate them anew; those of owners that are
        // gone do not pile up.
        if self.free.len() > MAX_LISTS {
            self.free.retain(|_, list| !list.is_empty());
        }
        let list = self.free.entry((raw.capacity, raw.owner)).or_default();
        list.push_back((self.tick, raw));
    }

    /// Counts a buffer that has left a list.
    fn removed(&mut self, class: u64) {
        self.pooled -= class;
        self.n_small -= u64::from(class <= SMALL);
    }

    /// The one that this owner returned last: its memory is likeliest to be in a cache.
    fn take_own(&mut self, class: u64, owner: Owner) -> Option<Raw> {
        let (_, raw) = self.free.get_mut(&(class, owner))?.pop_back()?;
        Some(raw)
    }

    /// The one that any owner returned longest ago.
    fn take_other(&mut self, class: u64) -> Option<Raw> {
        if class <= SMALL && self.n_small < MAX_SMALL {
            return None;
        }
        let (from, to) = (Owner(0), Owner(u64::MAX));
        let lists = self.free.range((class, from)..=(class, to));
        let fronts = lists.filter_map(|(key, list)| Some((list.front()?.0, *key)));
        let (_, key) = fronts.min()?;
        let (_, raw) = self.free.get_mut(&key)?.pop_front()?;
        Some(raw)
    }

    fn remove_oldest(&mut self) -> Option<Raw> {
        let fronts = self.free.iter().filter_map(|(key, list)| {
            let (tick, _) = list.front()?;
            Some((*tick, *key))
        });
        let (_, key) = fronts.min()?;
        let (_, raw) = self.free.get_mut(&key)?.pop_front()?;
        self.removed(raw.capacity);
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
