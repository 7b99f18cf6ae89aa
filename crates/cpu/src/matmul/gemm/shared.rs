//! Large products on several threads: all pack a block of the right operand together, then each takes rows of the result.
//! So every operand is packed about once, where rectangles of their own have each thread pack what its neighbour packs too.
//! Runs of the sum are those of rectangles, so not a bit changes.

use crate::matmul::gemm::blocks::{part, rectangle, run_len};
use crate::matmul::gemm::kernel::Kernels;
use crate::matmul::gemm::packed::{len_for, pack_for};
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Grid, Mat, Out, Product};
use crate::threads::par::Par;

/// Floats of a block of the right operand: 4 MiB, which a last-level cache holds beside what is read and written.
const BLOCK: usize = if cfg!(miri) { 1 << 8 } else { 1 << 20 };

/// Tenths of nanoseconds that a thread takes to pack a float, and to fetch one that another has packed.
const PACK: usize = 4;
const FETCH: usize = 3;

/// Tenths of nanoseconds that threads take to wait for each other once more.
const MEET: usize = 60_000;

/// Tiles below each other that a thread computes from a block at least, so that reading the block costs little.
const TILES: usize = 4;

/// How a product is cut.
pub(crate) struct Shared {
    /// Steps and columns of a block of the right operand.
    depth: usize,
    width: usize,
    /// Pieces of rows.
    pieces: usize,
}

impl Shared {
    /// Blocks of so many columns, and so many pieces.
    #[cfg(test)]
    pub(crate) fn cut(k: usize, width: usize, pieces: usize) -> Shared {
        Shared {
            depth: run_len(k),
            width,
            pieces,
        }
    }

    /// The cut, where it takes less time than the rectangles of `grid`.
    pub(crate) fn new(p: &Product<'_>, kernels: &Kernels, grid: &Grid, par: Par) -> Option<Shared> {
        let &Product { m, n, k, .. } = p;
        let (threads, least) = (par.threads(), TILES * kernels.rows());
        if p.packed.is_some() || k == 0 || m < threads * least {
            return None;
        }
        let depth = run_len(k);
        let widest = (BLOCK / depth / kernels.cols()).max(1) * kernels.cols();
        let strips = n.div_ceil(widest);
        let width = n
            .div_ceil(strips)
            .next_multiple_of(kernels.cols())
            .min(widest);
        let packed = |left: usize, right: usize| (left * m + right * n).saturating_mul(k);
        let time = |floats: usize, each: usize| floats.saturating_mul(each) / threads;
        let apart = time(packed(grid.cols, grid.rows), PACK);
        let fetched = (n * k).saturating_mul(threads - 1);
        let meetings = strips * k.div_ceil(depth) * MEET;
        let together = time(packed(strips, 1), PACK) + time(fetched, FETCH) + meetings;
        if together >= apart {
            return None;
        }
        Some(Shared {
            depth,
            width,
            pieces: (4 * threads).min(m / least / threads * threads),
        })
    }

    /// Computes `p`.
    ///
    /// # Safety
    /// `out` holds the product, and nobody else touches it meanwhile; the operands are checked.
    pub(crate) unsafe fn run(&self, p: &Product<'_>, kernels: &Kernels, out: Out, par: Par) {
        let len = len_for(kernels, self.depth, self.width.min(p.n));
        with_scratch(len, |block| {
            for c in (0..p.n).step_by(self.width) {
                for l in (0..p.k).step_by(self.depth) {
                    let (n, k) = (self.width.min(p.n - c), self.depth.min(p.k - l));
                    let block = &mut block[..len_for(kernels, k, n)];
                    pack_for(kernels, from(p.b, l, c), (k, n), block, par);
                    let part_of = Product {
                        n,
                        k,
                        a: from(p.a, 0, l),
                        packed: Some(block),
                        add: p.add || l > 0,
                        ..*p
                    };
                    par.for_each(self.pieces, |i| {
                        let rows = part(p.m, i, self.pieces)..part(p.m, i + 1, self.pieces);
                        // SAFETY: the output holds the rows, which nobody else writes; the operands hold theirs.
                        unsafe { rectangle(&part_of, kernels, rows, 0..n, out.from(c)) }
                    });
                }
            }
        });
    }
}

/// The matrix from row `r` and column `c` on.
fn from(x: Mat<'_>, r: usize, c: usize) -> Mat<'_> {
    Mat {
        at: x.at + r * x.row + c * x.col,
        ..x
    }
}
