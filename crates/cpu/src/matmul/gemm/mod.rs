//! Products of matrices. Operands are copied block by block into panels that lie as they are read, and a tile of the
//! result stays in registers while its sum runs. Every element is summed in the same order, step by step in runs whose
//! length follows from `k` alone, wherever its tile begins and however many threads there are. Instruction sets differ
//! in the last bits: not every one has a fused multiply-add. Few rows by a transposed matrix are summed along it as it lies
//! (`dots.rs`). Knows no plans.

mod blocks;
mod dots;
pub(crate) mod floats;
pub(crate) mod kernel;
pub(crate) mod pack;
mod packed;
pub(crate) mod results;
pub(crate) mod scratch;
mod shared;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use blocks::{pack_left, part};
pub(crate) use packed::{pack_right, packed_len};

use crate::threads::par::Par;
use floats::Floats;
use kernel::Kernels;
use results::Target;
use shared::Shared;
use std::ops::Range;

/// A matrix somewhere in a slice: element `(r, c)` at `at + r * row + c * col`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mat<'a> {
    pub(crate) data: Floats<'a>,
    pub(crate) at: usize,
    pub(crate) row: usize,
    pub(crate) col: usize,
}

impl<'a> Mat<'a> {
    /// A matrix with contiguous rows, from the front of `data`.
    pub(crate) fn rows(data: &'a [f32], row: usize) -> Mat<'a> {
        Mat {
            data: data.into(),
            at: 0,
            row,
            col: 1,
        }
    }

    /// The transposed matrix.
    pub(crate) fn t(self) -> Mat<'a> {
        Mat {
            row: self.col,
            col: self.row,
            ..self
        }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        self.at + (rows - 1) * self.row + (cols - 1) * self.col < self.data.len()
    }

    /// Strides of dimensions of size 1 are free: the natural ones keep the fast paths.
    fn with_usable_strides(self, rows: usize, cols: usize) -> Mat<'a> {
        let row = if rows == 1 { cols * self.col } else { self.row };
        let col = if cols == 1 { rows * self.row } else { self.col };
        match (rows, cols) {
            (1, _) if self.col == 1 => Mat { row, ..self },
            (_, 1) if self.row == 1 => Mat { col, ..self },
            (1, _) => Mat { row: 1, ..self },
            (_, 1) => Mat { col: 1, ..self },
            _ => self,
        }
    }
}

/// `out[r * row + c] (+)= (a · b)[r, c]`, `a` being `m` by `k` and `b` `k` by `n`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product<'a> {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) a: Mat<'a>,
    pub(crate) b: Mat<'a>,
    /// All of `b` as [`pack_right`] writes it, if somebody has.
    pub(crate) packed: Option<&'a [f32]>,
    /// Whether to add to the output or to set it.
    pub(crate) add: bool,
}

/// The output while several threads write it, each its own rectangles.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    pub(crate) at: *mut f32,
    pub(crate) row: usize,
}

// SAFETY: rectangles of different tasks do not overlap.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

impl Out {
    /// The output from element `at` on.
    pub(crate) fn from(self, at: usize) -> Out {
        Out {
            at: self.at.wrapping_add(at),
            ..self
        }
    }

    /// An output whose element `at` is the first of this one.
    fn before(self, at: usize) -> Out {
        Out {
            at: self.at.wrapping_sub(at),
            ..self
        }
    }
}

/// Multiplications below which one product is not shared.
pub(crate) const WORTH_SHARING: usize = if cfg!(miri) { 1 << 6 } else { 1 << 18 };

/// Floats that a thread computes before it rounds them: a second-level cache of 1 MiB.
const ROUNDED: usize = 1 << 18;

impl Product<'_> {
    /// Computes the product; rows of `out` are `row` apart.
    pub(crate) fn run(&self, out: &mut [f32], row: usize, par: Par) {
        self.run_with(Kernels::best(), out, row, par);
    }

    fn run_with(&self, kernels: &Kernels, out: &mut [f32], row: usize, par: Par) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        let out = self.out(out, row);
        // SAFETY: the output holds the product, and is borrowed.
        unsafe { self.checked().run_on(kernels, out, par) }
    }

    fn out(&self, out: &mut [f32], row: usize) -> Out {
        assert!(
            (self.m - 1) * row + self.n <= out.len() && (self.n <= row || self.m == 1),
            "product does not fit its output"
        );
        Out {
            at: out.as_mut_ptr(),
            row,
        }
    }

    /// Computes the product where other threads write beside it.
    ///
    /// # Safety
    /// `out` holds the product, and nobody else touches it meanwhile.
    pub(crate) unsafe fn run_at(&self, out: Out, par: Par) {
        if self.m > 0 && self.n > 0 {
            // SAFETY: the caller's.
            unsafe { self.checked().run_on(Kernels::best(), out, par) }
        }
    }

    /// Computes the product, whose rows lie together in `out`. What is not f32 is rounded rectangle by rectangle, from the
    /// threads' own memory; how that is cut changes no bit.
    ///
    /// # Safety
    /// As for [`Product::run_at`].
    pub(crate) unsafe fn run_into(&self, out: Target, par: Par) {
        let Product { m, n, k, .. } = *self;
        if let Some(at) = out.single() {
            // SAFETY: the caller's.
            return unsafe { self.run_at(Out { at, row: n }, par) };
        }
        if m == 0 || n == 0 {
            return;
        }
        assert!(!self.add, "a sum that goes on is f32");
        let (kernels, product) = (Kernels::best(), self.checked());
        let pieces = pieces(m * n * k, par.threads()).max((m * n).div_ceil(ROUNDED));
        if dots::suits(&product) {
            // SAFETY: the caller's.
            return unsafe { dots::run(&product, (out, n), pieces, par) };
        }
        let grid = Grid::new(m, n, pieces, kernels.cols());
        par.for_each(grid.len(), |i| {
            // SAFETY: the output holds every rectangle of the grid, and they do not overlap.
            unsafe { blocks::rounded(&product, kernels, grid.rectangle(i), (out, n)) }
        });
    }

    /// The same with operands that hold it, and strides that fast paths know.
    fn checked(&self) -> Self {
        let Product { m, n, k, a, b, .. } = *self;
        assert!(
            k == 0 || (a.holds(m, k) && b.holds(k, n)),
            "operands of a product out of bounds"
        );
        if let Some(packed) = self.packed {
            assert!(
                packed.len() >= packed_len(k, n),
                "a packed operand is too short"
            );
        }
        Product {
            a: a.with_usable_strides(m, k),
            b: b.with_usable_strides(k, n),
            ..*self
        }
    }

    /// # Safety
    /// As for [`Product::run_at`]; the product is checked, and there are results.
    unsafe fn run_on(&self, kernels: &Kernels, out: Out, par: Par) {
        let Product { m, n, k, .. } = *self;
        let pieces = pieces(m * n * k, par.threads());
        if dots::suits(self) {
            // SAFETY: the output and the operands hold the product, says the caller.
            return unsafe { dots::run(self, (Target::Single(out.at), out.row), pieces, par) };
        }
        if pieces == 1 {
            // SAFETY: the output holds the rectangle, and nobody else writes it.
            return unsafe { blocks::rectangle(self, kernels, 0..m, 0..n, out) };
        }
        let grid = Grid::new(m, n, pieces, kernels.cols());
        if let Some(shared) = Shared::new(self, kernels, &grid, par) {
            // SAFETY: the caller's.
            return unsafe { shared.run(self, kernels, out, par) };
        }
        par.for_each(grid.len(), |i| {
            let (rows, cols) = grid.rectangle(i);
            // SAFETY: the output holds every rectangle of the grid, and they do not overlap.
            unsafe { blocks::rectangle(self, kernels, rows, cols, out) }
        });
    }
}

/// In how many pieces to cut this many multiplications: more where they are worth it, to level out what else the
/// processor does; few, because every one packs its operands again.
fn pieces(work: usize, threads: usize) -> usize {
    match work {
        _ if threads == 1 || work < WORTH_SHARING => 1,
        _ if work < 1 << 26 => threads,
        _ if work < 1 << 31 => 2 * threads,
        _ => 4 * threads,
    }
}

/// `m` by `n` cut into rectangles, columns between multiples of `unit`.
struct Grid {
    m: usize,
    n: usize,
    unit: usize,
    rows: usize,
    cols: usize,
}

impl Grid {
    /// At most `pieces` rectangles, so that the least is packed twice.
    fn new(m: usize, n: usize, pieces: usize, unit: usize) -> Grid {
        let cost = |&c: &usize| c * m + pieces.div_ceil(c) * n;
        let most = pieces.min(n.div_ceil(unit));
        let cols = (1..=most).min_by_key(cost).unwrap_or(1);
        let rows = pieces.div_ceil(cols).min(m);
        Grid {
            m,
            n,
            unit,
            rows,
            cols,
        }
    }

    fn len(&self) -> usize {
        self.rows * self.cols
    }

    fn rectangle(&self, i: usize) -> (Range<usize>, Range<usize>) {
        let (r, c) = (i / self.cols, i % self.cols);
        let units = self.n.div_ceil(self.unit);
        let row = |r: usize| r * self.m / self.rows;
        let col = |c: usize| (c * units / self.cols * self.unit).min(self.n);
        (row(r)..row(r + 1), col(c)..col(c + 1))
    }
}

/// [`Product::run`] without anything after it.
pub(crate) fn product(
    [m, n, k]: [usize; 3],
    a: Mat<'_>,
    b: Mat<'_>,
    out: &mut [f32],
    row: usize,
    add: bool,
    par: Par,
) {
    let product = Product {
        m,
        n,
        k,
        a,
        b,
        packed: None,
        add,
    };
    product.run(out, row, par);
}
