//! The one place that starts work on other threads. How work is cut never depends on it: callers cut by shape
//! wherever the cut can change a bit.

use std::ops::Range;

/// How many threads a kernel may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Par {
    threads: usize,
}

/// Work, in about tenths of nanoseconds, below which starting a thread costs more than it brings.
pub(super) const WORTH_A_THREAD: usize = 500_000;

impl Par {
    /// Only the calling thread.
    pub(super) const SERIAL: Par = Par { threads: 1 };

    /// Up to `threads` threads of the current pool.
    pub(super) fn new(threads: usize) -> Par {
        Par {
            threads: if cfg!(target_arch = "wasm32") {
                1
            } else {
                threads.max(1)
            },
        }
    }

    /// The same, or serial where `work` is too small to share.
    pub(super) fn for_work(self, work: usize) -> Par {
        if work < WORTH_A_THREAD {
            Par::SERIAL
        } else {
            self
        }
    }

    /// Number of threads.
    pub(super) fn threads(self) -> usize {
        self.threads
    }

    /// A number of equal pieces that balances well: one when serial.
    pub(super) fn pieces(self) -> usize {
        if self.threads == 1 {
            1
        } else {
            self.threads * 4
        }
    }

    /// Calls `f` on every task, in any order.
    pub(super) fn for_each<T: Send>(self, tasks: Vec<T>, f: impl Fn(T) + Sync + Send) {
        #[cfg(not(target_arch = "wasm32"))]
        if self.threads > 1 && tasks.len() > 1 {
            use rayon::prelude::*;
            tasks.into_par_iter().with_max_len(1).for_each(f);
            return;
        }
        tasks.into_iter().for_each(f);
    }

    /// Calls `f(first, piece)` on `items` cut into pieces of `size`, `first` being the position of the piece.
    pub(super) fn chunks<T: Send>(
        self,
        items: &mut [T],
        size: usize,
        f: impl Fn(usize, &mut [T]) + Sync + Send,
    ) {
        let size = size.max(1);
        if self.threads == 1 || items.len() <= size {
            for (i, piece) in items.chunks_mut(size).enumerate() {
                f(i * size, piece);
            }
            return;
        }
        #[cfg(not(target_arch = "wasm32"))]
        halves(items, 0, size, &f);
    }
}

impl Par {
    /// Calls `f` on the rows `range` in pieces. `cut(work, n)` splits what belongs to the rows after the first `n`
    /// of `work`; how far it is cut depends on the number of threads.
    pub(super) fn divide<W: Send>(
        self,
        work: W,
        range: Range<usize>,
        cut: &(impl Fn(W, usize) -> (W, W) + Sync),
        f: &(impl Fn(W, Range<usize>) + Sync),
    ) {
        let size = range.len().div_ceil(self.pieces()).max(1);
        self.divide_down(size, work, range, cut, f);
    }

    fn divide_down<W: Send>(
        self,
        size: usize,
        work: W,
        range: Range<usize>,
        cut: &(impl Fn(W, usize) -> (W, W) + Sync),
        f: &(impl Fn(W, Range<usize>) + Sync),
    ) {
        let pieces = range.len().div_ceil(size);
        if pieces <= 1 || self.threads == 1 {
            return f(work, range);
        }
        let middle = range.start + pieces / 2 * size;
        let (low, high) = cut(work, middle - range.start);
        let (below, above) = (range.start..middle, middle..range.end);
        #[cfg(not(target_arch = "wasm32"))]
        rayon::join(
            || self.divide_down(size, low, below, cut, f),
            || self.divide_down(size, high, above, cut, f),
        );
        #[cfg(target_arch = "wasm32")]
        {
            self.divide_down(size, low, below, cut, f);
            self.divide_down(size, high, above, cut, f);
        }
    }
}

/// Halves the pieces until one is left: nothing is allocated, and a thread that is free takes the largest part.
#[cfg(not(target_arch = "wasm32"))]
fn halves<T: Send>(
    items: &mut [T],
    first: usize,
    size: usize,
    f: &(impl Fn(usize, &mut [T]) + Sync),
) {
    let pieces = items.len().div_ceil(size);
    if pieces <= 1 {
        return f(first, items);
    }
    let middle = pieces / 2 * size;
    let (low, high) = items.split_at_mut(middle);
    rayon::join(
        || halves(low, first, size, f),
        || halves(high, first + middle, size, f),
    );
}
