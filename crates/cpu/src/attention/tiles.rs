//! Products of small blocks that lie in the caches, by the tiles of `matmul::gemm`. Knows no attention.

use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{Block, SLACK, pack};
use crate::matmul::gemm::{pack_left, part};

/// A left operand: its rows lie across.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// As `pack_left` writes it.
    Panels(&'a [f32]),
    /// Row `r` of step `l` at `l * step + r`.
    Steps(&'a [f32], usize),
}

/// A right operand: column `c` of step `l` at `l * stride + c`, columns up to a whole number of vectors.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

/// `out[r * stride + c] (+)= Σ_l left(r, l) * right(l, c)` for `rows`, `cols` and `k` steps.
pub(super) fn product(
    [rows, cols, k]: [usize; 3],
    left: Left<'_>,
    right: Right<'_>,
    (out, stride): (&mut [f32], usize),
    add: bool,
) {
    if rows == 0 || cols == 0 || (k == 0 && add) {
        return;
    }
    let kernels = Kernels::best();
    let panels = rows.div_ceil(kernels.rows());
    let wide = cols.next_multiple_of(kernels.lanes);
    let reads =
        |data: &[f32], stride: usize, n: usize| k == 0 || (k - 1) * stride + n <= data.len();
    let held = match left {
        Left::Panels(data) => rows * k <= data.len(),
        Left::Steps(data, step) => rows <= step && reads(data, step, rows),
    };
    assert!(
        held && wide <= right.stride && reads(right.data, right.stride, wide),
        "operands of a block out of bounds"
    );
    assert!(
        cols <= stride && (rows - 1) * stride + cols <= out.len(),
        "a block does not fit its output"
    );
    for c in (0..cols).step_by(kernels.cols()) {
        let width = (cols - c).min(kernels.cols());
        for i in 0..panels {
            let (from, to) = (part(rows, i, panels), part(rows, i + 1, panels));
            let (a, a_step) = match left {
                Left::Panels(data) => (data.as_ptr().wrapping_add(from * k), to - from),
                Left::Steps(data, step) => (data.as_ptr().wrapping_add(from), step),
            };
            let tile = Tile {
                k,
                a,
                a_step,
                b: right.data.as_ptr().wrapping_add(c),
                source: Source::Strided(right.stride),
                c: out.as_mut_ptr().wrapping_add(from * stride + c),
                c_row: stride,
                cols: width,
                add,
            };
            // SAFETY: the operands hold all steps of all rows and whole vectors, the output all rows and columns; the kernel
            // is one of this processor's.
            unsafe { (kernels.tiles[to - from - 1][width.div_ceil(kernels.lanes) - 1])(&tile) };
        }
    }
}

/// Columns of a row of `n` in whole vectors.
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(Kernels::best().lanes)
}

/// Floats that `rows` rows of `k` steps take as a left operand or across; what packing writes behind them included.
pub(super) fn room(rows: usize, k: usize) -> usize {
    (padded(rows) * k + SLACK).next_multiple_of(16)
}

/// Rows of a matrix from `at` on, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    pub(super) data: &'a [f32],
    pub(super) at: usize,
    pub(super) stride: usize,
}

impl<'a> Lines<'a> {
    /// Those from row `r` on.
    pub(super) fn from(self, r: usize) -> Lines<'a> {
        Lines {
            at: self.at + r * self.stride,
            ..self
        }
    }

    fn across(self) -> Block<'a> {
        Block {
            data: self.data.into(),
            at: self.at,
            across: self.stride,
            along: 1,
        }
    }

    /// The first `rows` rows of `k` elements as a left operand, summed over the elements.
    pub(super) fn left(self, rows: usize, k: usize, out: &mut [f32]) {
        let panels = rows.div_ceil(Kernels::best().rows());
        pack_left(self.across(), rows, panels, k, out);
    }

    /// The same as a right operand whose columns are the rows: step by step, `stride` floats each.
    pub(super) fn turned(self, rows: usize, k: usize, stride: usize, out: &mut [f32]) {
        pack(self.across(), rows, k, stride, out);
    }

    /// The same as they lie, padded to whole vectors.
    pub(super) fn rows(self, rows: usize, k: usize, out: &mut [f32]) {
        let stride = padded(k);
        for (r, out) in out.chunks_exact_mut(stride.max(1)).take(rows).enumerate() {
            let from = self.at + r * self.stride;
            out[..k].copy_from_slice(&self.data[from..from + k]);
            out[k..].fill(0.0);
        }
    }
}
