//! The one place that hands work to other threads. How work is cut never depends on it: callers cut by shape
//! wherever the cut can change a bit.

use crate::threads::team::Team;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// How many threads a kernel may use.
#[derive(Clone, Copy)]
pub(crate) struct Par<'t> {
    team: Option<&'t Team>,
    /// Into how many pieces to cut work.
    pieces: usize,
}

/// Work, in about tenths of nanoseconds, below which handing a part to another thread costs more than it brings: 6 µs,
/// measured with the team that stands by ("A pool of tasks under the cpu executor" in `docs/rejected.md`).
/// (Miri, which sees threads touch the same memory, is too slow for so much.)
pub(crate) const WORTH_A_THREAD: usize = if cfg!(miri) { 100 } else { 60_000 };

/// Work of a piece, at least, if there are more pieces than threads.
const WORTH_A_PIECE: usize = 50_000;

impl<'t> Par<'t> {
    /// Only the calling thread.
    pub(crate) const SERIAL: Par<'static> = Par {
        team: None,
        pieces: 1,
    };

    /// The threads of `team`.
    pub(crate) fn of(team: &'t Team) -> Par<'t> {
        Par {
            team: Some(team),
            // As many as balance well.
            pieces: match team.threads() {
                1 => 1,
                n => n * 4,
            },
        }
    }

    /// The same, or serial where `work` is too small to share.
    pub(crate) fn for_work(self, work: usize) -> Par<'t> {
        if work < WORTH_A_THREAD {
            Par::SERIAL
        } else {
            let most = self.threads().max(work / WORTH_A_PIECE);
            Par {
                pieces: self.pieces.min(most),
                ..self
            }
        }
    }

    /// Number of threads.
    pub(crate) fn threads(self) -> usize {
        self.team.map_or(1, Team::threads)
    }

    /// A number of equal pieces that suits the work: one when serial.
    pub(crate) fn pieces(self) -> usize {
        self.pieces
    }

    /// Calls `f` with every number below `count`, in any order.
    pub(crate) fn for_each(self, count: usize, f: impl Fn(usize) + Sync) {
        match self.team {
            Some(team) => team.share(count, &f),
            None => (0..count).for_each(f),
        }
    }

    /// Calls `f` with every number below `count`, neighbours on one thread.
    pub(crate) fn neighbours(self, count: usize, f: impl Fn(usize) + Sync) {
        let size = count.div_ceil(self.pieces()).max(1);
        self.for_each(count.div_ceil(size), |piece| {
            (piece * size..count.min((piece + 1) * size)).for_each(&f);
        });
    }

    /// Calls `f(first, piece)` on `items` cut into pieces of `size`, `first` being the position of the piece.
    pub(crate) fn chunks<T: Send>(
        self,
        items: &mut [T],
        size: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let (len, size) = (items.len(), size.max(1));
        let all = Start(items.as_mut_ptr());
        self.for_each(len.div_ceil(size), |i| {
            let first = i * size;
            // SAFETY: the pieces of different `i` do not overlap, each `i` comes once, and `items` is borrowed until
            // all are done.
            let piece =
                unsafe { std::slice::from_raw_parts_mut(all.at(first), size.min(len - first)) };
            f(first, piece);
        });
    }

    /// Calls `f` on the rows `range` in pieces. `cut(work, n)` splits what belongs to the rows after the first `n`
    /// of `work`; how far it is cut depends on the number of threads.
    pub(crate) fn divide<W: Send>(
        self,
        work: W,
        range: Range<usize>,
        cut: &impl Fn(W, usize) -> (W, W),
        f: &(impl Fn(W, Range<usize>) + Sync),
    ) {
        let size = range.len().div_ceil(self.pieces()).max(1);
        let pieces = range.len().div_ceil(size);
        if pieces <= 1 {
            return f(work, range);
        }
        let mut tasks = Vec::with_capacity(pieces);
        let (mut rest, mut first) = (work, range.start);
        while range.end - first > size {
            let (piece, later) = cut(rest, size);
            tasks.push(Mutex::new(Some((piece, first..first + size))));
            (rest, first) = (later, first + size);
        }
        tasks.push(Mutex::new(Some((rest, first..range.end))));
        self.for_each(tasks.len(), |i| {
            let task = tasks[i]
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some((work, range)) = task {
                f(work, range);
            }
        });
    }
}

/// Where items begin that several threads write, each its own.
struct Start<T>(*mut T);

impl<T> Start<T> {
    fn at(&self, item: usize) -> *mut T {
        self.0.wrapping_add(item)
    }
}

// SAFETY: each item is used by one thread.
unsafe impl<T: Send> Sync for Start<T> {}

/// Calls `f` with `threads` threads of its own.
#[cfg(test)]
pub(crate) fn with_threads<R>(threads: usize, f: impl FnOnce(Par<'_>) -> R) -> R {
    let team = Team::new(threads);
    let _called = team.call();
    f(Par::of(&team))
}
