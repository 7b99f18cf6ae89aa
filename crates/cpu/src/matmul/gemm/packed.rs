//! A right operand packed once for several products: panel after panel, each with all steps of the sum.

use crate::matmul::gemm::Mat;
use crate::matmul::gemm::kernel::Kernels;
use crate::matmul::gemm::pack::{Block, SLACK, pack};
use crate::threads::par::Par;

/// Floats from one panel to the next.
pub(crate) fn panel_len(kernels: &Kernels, k: usize) -> usize {
    kernels.cols() * k + SLACK
}

/// Floats that a packed right operand, `k` by `n`, takes.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    len_for(Kernels::best(), k, n)
}

/// [`packed_len`] for these kernels.
pub(crate) fn len_for(kernels: &Kernels, k: usize, n: usize) -> usize {
    n.div_ceil(kernels.cols()) * panel_len(kernels, k)
}

/// Packs `b`, `k` by `n`, into [`packed_len`] floats.
pub(crate) fn pack_right(b: Mat<'_>, k: usize, n: usize, out: &mut [f32], par: Par<'_>) {
    pack_for(Kernels::best(), b, (k, n), out, par);
}

/// [`pack_right`] for these kernels.
pub(crate) fn pack_for(
    kernels: &Kernels,
    b: Mat<'_>,
    (k, n): (usize, usize),
    out: &mut [f32],
    par: Par<'_>,
) {
    let b = b.with_usable_strides(k, n);
    let block = Block {
        data: b.data,
        at: b.at,
        across: b.col,
        along: b.row,
    };
    let len = panel_len(kernels, k);
    let together = n.div_ceil(kernels.cols()).div_ceil(par.pieces());
    par.chunks(out, together * len, |first, out| {
        for (i, out) in out.chunks_exact_mut(len).enumerate() {
            let c = (first / len + i) * kernels.cols();
            let width = (n - c).min(kernels.cols());
            let stride = width.next_multiple_of(kernels.lanes);
            pack(block.from(c, 0), width, k, stride, out);
        }
    });
}
