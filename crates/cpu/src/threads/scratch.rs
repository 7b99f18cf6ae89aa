//! Memory that a thread keeps between kernels, so that a replayed plan allocates nothing. Knows no kernel.

use bytemuck::Pod;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

thread_local! {
    /// A stack: what was given back last is warm.
    static IDLE: RefCell<Vec<Vec<u64>>> = const { RefCell::new(Vec::new()) };
}

/// A slice of its own, given back to the thread that drops it. `T` is aligned to 8 bytes at most.
pub(crate) struct Scratch<T> {
    words: Vec<u64>,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Pod> Scratch<T> {
    /// `len` times `value`.
    pub(crate) fn filled(len: usize, value: T) -> Scratch<T> {
        let mut words = IDLE
            .with(|idle| idle.borrow_mut().pop())
            .unwrap_or_default();
        let needed = (len * size_of::<T>()).div_ceil(8);
        if words.len() < needed {
            words = crate::storage::reserved(needed);
            words.resize(needed, 0);
        }
        let mut scratch = Scratch {
            words,
            len,
            of: PhantomData,
        };
        scratch.fill(value);
        scratch
    }
}

impl<T: Pod> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

impl<T: Pod> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        let words = std::mem::take(&mut self.words);
        // A thread that ends has no use for it.
        let _ = IDLE.try_with(|idle| idle.borrow_mut().push(words));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_and_filled_anew() {
        let mut a = Scratch::filled(100, 1.5f64);
        let address = a.as_ptr() as usize;
        a[99] = 2.0;
        drop(a);
        let b = Scratch::filled(150, 7i32);
        assert_eq!(b.as_ptr() as usize, address);
        assert!(b.len() == 150 && b.iter().all(|&x| x == 7));
    }
}
