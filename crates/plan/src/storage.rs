//! Host memory for tensors: 64-byte aligned, reference-counted, returned to a pool when dropped so that a training
//! loop does not pay for page faults. Where the host has no room, or a limit says so, what waits to be used again is given back
//! before anything fails. Knows no shapes.

mod arena;

#[cfg(all(feature = "guard", unix))]
use crate::guard::{self, Guarded};
use crate::huge_pages;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub use arena::{Arena, Needs, Taken};

/// One cache line; every buffer is a whole number of them.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Free buffers by number of lines; those over the bound are given back to the allocator.
static POOL: Mutex<Pool> = Mutex::new(Pool {
    free: Vec::new(),
    lines: 0,
});
/// Lines of all buffers that somebody holds.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The most that [`LIVE`] ever was.
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The most lines that buffers and the pool may take.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
const POOL_LIMIT_LINES: usize = (512 << 20) / 64;

struct Pool {
    free: Vec<Vec<Line>>,
    lines: usize,
}

/// What a step unwinds with where the host has no room for what it needs.
pub struct NoRoom {
    /// Bytes that there is no room for.
    pub bytes: usize,
}

/// Whether the host has room for so many bytes now.
///
/// # Errors
/// `bytes`, where it has not.
pub fn room(bytes: usize) -> Result<(), usize> {
    let mut probe: Vec<u8> = Vec::new();
    let fits = |probe: &mut Vec<u8>| probe.try_reserve_exact(bytes).is_ok();
    if fits(&mut probe) {
        return Ok(());
    }
    give_back();
    match fits(&mut probe) {
        true => Ok(()),
        false => Err(bytes),
    }
}

/// An empty list with room for `n` elements that lives no longer than a step: see [`HostBufferMut::within_step`].
#[inline]
pub fn reserved<T>(n: usize) -> Vec<T> {
    let mut list: Vec<T> = Vec::new();
    if list.try_reserve_exact(n).is_err() {
        let bytes = n.saturating_mul(size_of::<T>());
        std::panic::resume_unwind(Box::new(NoRoom { bytes }));
    }
    huge_pages::ask(list.as_mut_ptr().cast(), n * size_of::<T>());
    list
}

/// Gives back what waits in the pool.
fn drain() {
    let idle = POOL.lock().ok().map(|mut pool| pool.drain());
    drop(idle);
}

/// Gives back to the system all that nobody uses now.
pub fn give_back() {
    arena::reclaim();
    drain();
}

/// Lines from the pool, or new ones; nothing where the host has no room for them, or the limit leaves none, even when all that
/// nobody uses was given back.
fn lines(n: usize) -> Option<Vec<Line>> {
    let limit = LIMIT.load(Ordering::Relaxed);
    let beyond = |pooled: usize| {
        let held = LIVE.load(Ordering::Relaxed).saturating_add(pooled);
        held.saturating_add(n) > limit
    };
    if beyond(0) {
        give_back();
        if beyond(0) {
            return None;
        }
    }
    if let Some(lines) = POOL.lock().ok().and_then(|mut pool| pool.take(n)) {
        return Some(lines);
    }
    if limit != usize::MAX && beyond(POOL.lock().map_or(0, |pool| pool.lines)) {
        drain();
    }
    let after = |give_back: fn()| {
        give_back();
        zeroed(n)
    };
    zeroed(n)
        .or_else(|| after(drain))
        .or_else(|| after(give_back))
}

/// Lines of zeros, which the host may hand out without writing them; nothing where it has no room.
fn zeroed(n: usize) -> Option<Vec<Line>> {
    let layout = std::alloc::Layout::array::<Line>(n).ok()?;
    if layout.size() == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the layout is not empty.
    let first = unsafe { std::alloc::alloc_zeroed(layout) };
    if first.is_null() {
        return None;
    }
    huge_pages::ask(first, layout.size());
    // SAFETY: the memory comes from the global allocator with the layout of `n` lines, and zeros are a valid line.
    Some(unsafe { Vec::from_raw_parts(first.cast(), n, n) })
}

/// A buffer that is still being written, owned by one writer.
pub struct HostBufferMut {
    lines: Vec<Line>,
    bytes: usize,
    /// In place of the lines, where tests look for accesses beside them.
    #[cfg(all(feature = "guard", unix))]
    guarded: Option<Guarded>,
}

/// A finished, immutable, shared buffer.
#[derive(Clone)]
pub struct HostBuffer(Arc<HostBufferMut>);

impl HostBufferMut {
    /// A buffer of `bytes` bytes with arbitrary (but initialised) contents.
    ///
    /// # Errors
    /// `bytes`, where the host has no room for them.
    pub fn scratch(bytes: usize) -> Result<HostBufferMut, usize> {
        #[cfg(all(feature = "guard", unix))]
        if guard::on() {
            return Ok(HostBufferMut {
                lines: Vec::new(),
                bytes,
                guarded: Some(Guarded::new(bytes)),
            });
        }
        let n = size_class(bytes.div_ceil(64));
        let lines = lines(n).ok_or(bytes)?;
        let live = LIVE.fetch_add(n, Ordering::Relaxed) + n;
        PEAK.fetch_max(live, Ordering::Relaxed);
        Ok(HostBufferMut {
            lines,
            bytes,
            #[cfg(all(feature = "guard", unix))]
            guarded: None,
        })
    }

    /// A buffer that lives no longer than a step.
    ///
    /// Where the host has no room for it, unwinds with [`NoRoom`], which the run that the step belongs to returns as an
    /// error.
    #[inline]
    pub fn within_step(bytes: usize) -> HostBufferMut {
        HostBufferMut::scratch(bytes)
            .unwrap_or_else(|bytes| std::panic::resume_unwind(Box::new(NoRoom { bytes })))
    }

    /// A copy of `bytes`.
    ///
    /// # Errors
    /// As [`HostBufferMut::scratch`].
    #[inline]
    pub fn copy_of(bytes: &[u8]) -> Result<HostBufferMut, usize> {
        let mut buffer = HostBufferMut::scratch(bytes.len())?;
        buffer.bytes_mut().copy_from_slice(bytes);
        Ok(buffer)
    }

    /// It with another length, if it has room for that. Tests that look beside buffers get none that was longer.
    fn fitted(mut self, bytes: usize) -> Option<HostBufferMut> {
        #[cfg(all(feature = "guard", unix))]
        if self.guarded.is_some() || guard::on() {
            return None;
        }
        let fits = self.capacity() >= bytes as u64;
        self.bytes = bytes;
        fits.then_some(self)
    }

    /// Bytes that it takes.
    fn capacity(&self) -> u64 {
        64 * self.lines.len() as u64
    }

    /// How many bytes it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The contents.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        #[cfg(all(feature = "guard", unix))]
        if let Some(guarded) = &self.guarded {
            return guarded.bytes();
        }
        &bytemuck::cast_slice(&self.lines)[..self.bytes]
    }

    /// The contents, to write.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        #[cfg(all(feature = "guard", unix))]
        if let Some(guarded) = &mut self.guarded {
            return guarded.bytes_mut();
        }
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes]
    }

    /// The contents as elements, to write.
    #[inline]
    pub fn slice_mut<T: bytemuck::Pod>(&mut self) -> &mut [T] {
        let n = self.bytes / size_of::<T>();
        bytemuck::cast_slice_mut(&mut self.bytes_mut()[..n * size_of::<T>()])
    }

    /// Ends writing.
    #[inline]
    pub fn freeze(self) -> HostBuffer {
        HostBuffer(Arc::new(self))
    }
}

impl std::fmt::Debug for HostBufferMut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostBufferMut({} bytes)", self.bytes)
    }
}

impl Drop for HostBufferMut {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        LIVE.fetch_sub(lines.len(), Ordering::Relaxed);
        if let Ok(mut pool) = POOL.lock() {
            pool.give(lines);
        }
    }
}

impl HostBuffer {
    /// The buffer, to write again, where nobody else holds it.
    #[inline]
    pub fn into_mut(self) -> Option<HostBufferMut> {
        Arc::into_inner(self.0)
    }

    /// Whether somebody else holds it.
    #[inline]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// A copy, to write.
    ///
    /// # Errors
    /// As [`HostBufferMut::scratch`].
    #[inline]
    pub fn copy(&self) -> Result<HostBufferMut, usize> {
        HostBufferMut::copy_of(self.bytes())
    }

    /// The contents.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The contents as elements.
    pub fn slice<T: bytemuck::Pod>(&self) -> &[T] {
        bytemuck::cast_slice(self.bytes())
    }
}

impl std::fmt::Debug for HostBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostBuffer({} bytes)", self.0.bytes)
    }
}

impl Pool {
    fn take(&mut self, n: usize) -> Option<Vec<Line>> {
        let at = self.free.iter().rposition(|lines| lines.len() == n)?;
        self.lines -= n;
        Some(self.free.swap_remove(at))
    }

    fn drain(&mut self) -> Vec<Vec<Line>> {
        self.lines = 0;
        std::mem::take(&mut self.free)
    }

    fn give(&mut self, lines: Vec<Line>) {
        if !lines.is_empty()
            && self.free.len() < 1024
            && self.lines + lines.len() <= POOL_LIMIT_LINES
        {
            self.lines += lines.len();
            self.free.push(lines);
        }
    }
}

/// Bytes that buffers hold, and bytes that wait in the pool.
pub fn held() -> [u64; 2] {
    let pooled = POOL.lock().map_or(0, |pool| pool.lines);
    [LIVE.load(Ordering::Relaxed), pooled].map(|lines| 64 * lines as u64)
}

/// The most bytes that buffers held at once.
pub fn peak() -> u64 {
    64 * PEAK.load(Ordering::Relaxed) as u64
}

/// The most bytes that buffers and the pool may take together, if there is a bound.
pub fn limit() -> Option<u64> {
    let lines = LIMIT.load(Ordering::Relaxed);
    (lines != usize::MAX).then(|| 64 * lines as u64)
}

/// Sets [`limit`]; what is held already stays.
pub fn set_limit(bytes: Option<u64>) {
    let lines = bytes.and_then(|bytes| usize::try_from(bytes / 64).ok());
    LIMIT.store(lines.unwrap_or(usize::MAX), Ordering::Relaxed);
}

/// What a buffer of `bytes` bytes takes.
pub fn class_bytes(bytes: usize) -> u64 {
    64 * size_class(bytes.div_ceil(64)) as u64
}

/// Rounds up so that buffers of nearly equal size share a class: at most an eighth is wasted.
fn size_class(n: usize) -> usize {
    if n <= 16 {
        return n;
    }
    let step = n.next_power_of_two() / 16;
    n.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_round_trip_and_memory_is_reused() {
        let scratch = |bytes| HostBufferMut::scratch(bytes).expect("room");
        let a = HostBufferMut::copy_of(&[1, 2, 3, 4, 5, 6, 7]).expect("room");
        assert_eq!(a.bytes(), [1, 2, 3, 4, 5, 6, 7]);
        let size = if cfg!(miri) { 12_345 } else { 12_345_678 };
        let big = scratch(size);
        let address = big.bytes().as_ptr();
        drop(big);
        assert_eq!(scratch(size).bytes().as_ptr(), address);
        assert_eq!(scratch(0).bytes().len(), 0);
    }
}
