//! Working memory of a thread that is kept from one product to the next, so that replaying a step allocates nothing.

use std::cell::RefCell;

/// One line of the cache.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    /// As many as there are uses inside one another.
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `len` floats that begin on a line of the cache; their contents are arbitrary.
pub(crate) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    #[cfg(all(test, unix))]
    if crate::guard::on() {
        let mut guarded = crate::guard::Guarded::new(4 * len);
        return f(bytemuck::cast_slice_mut(guarded.bytes_mut()));
    }
    let mut lines = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    let n = len.div_ceil(16);
    if lines.len() < n {
        drop(lines);
        lines = crate::storage::reserved(n);
        lines.resize(n, Line([0.0; 16]));
    }
    let floats: &mut [f32] = bytemuck::cast_slice_mut(&mut lines);
    let result = f(&mut floats[..len]);
    FREE.with_borrow_mut(|free| free.push(lines));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_kept_and_not_shared() {
        let first = with_scratch(1000, |a| {
            assert_eq!((a.len(), a.as_ptr() as usize % 64), (1000, 0));
            a.fill(1.0);
            with_scratch(10, |b| b.fill(2.0));
            assert!(a.iter().all(|&x| x == 1.0));
            a.as_ptr() as usize
        });
        assert_eq!(with_scratch(500, |a| a.as_ptr() as usize), first);
    }
}
