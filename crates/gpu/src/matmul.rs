//! Matmul: its operands' lines and its texts. Tiles and splits are `gemm`'s.

use super::call::Lowered;
use super::choices::ProductKind;
use super::gemm::{Aligned, Extra, Product};
use super::step::StepView;
use crate::plan::{Matmul, Matrix};
use wgrad_shaders::kernels;

pub(super) fn lower(view: &StepView<'_>, matmul: &Matmul) -> Lowered {
    let Matmul { k, a, b, .. } = *matmul;
    if k == 0 {
        return Lowered::zeros();
    }
    let product = product(matmul);
    let tiling = product.tiling(view.target, view.choices);
    let lanes = match product.aligned {
        Some(_) => ("matmul lanes aligned", kernels::MATMUL_LANES_ALIGNED),
        None => ("matmul lanes", kernels::MATMUL_LANES),
    };
    let [tiled, wide] = match product.by_four(tiling.core) {
        Some(_) => [
            ("matmul tiled aligned", kernels::MATMUL_TILED_ALIGNED),
            ("matmul wide aligned", kernels::MATMUL_WIDE_ALIGNED),
        ],
        None => [
            ("matmul tiled", kernels::MATMUL_TILED),
            ("matmul wide", kernels::MATMUL_WIDE),
        ],
    };
    let register = ("matmul register", kernels::MATMUL_REGISTER);
    let (label, wgsl) = tiling.core.pick([register, tiled, wide, lanes]);
    let params = vec![
        a.offset, a.batch, a.row, a.col, b.offset, b.batch, b.row, b.col,
    ];
    product.lowered(
        &tiling,
        label,
        wgsl,
        Extra {
            view,
            names: ["a", "b"],
            params,
            constants: Vec::new(),
        },
    )
}

pub(super) fn product(matmul: &Matmul) -> Product {
    let Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    } = *matmul;
    Product {
        kind: ProductKind::Matmul,
        rows: m,
        cols: n,
        sum: k,
        planes: batch,
        out_len: batch * m * n,
        a_along_sum: a.col <= a.row,
        b_along_sum: b.row < b.col,
        aligned: aligned(matmul),
        longest: 1 << 16,
    }
}

/// The lines of both operands, if four of their elements can be loaded at once.
fn aligned(matmul: &Matmul) -> Option<Aligned> {
    let Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    } = *matmul;
    let even = |x: &Matrix| x.offset.is_multiple_of(4) && (batch == 1 || x.batch.is_multiple_of(4));
    // Whether lines that are `stride` apart, of which there are `lines`, are aligned and `length` long.
    let fits = |along: usize, length: usize, stride: usize, lines: usize| {
        along == 1 && length.is_multiple_of(4) && (lines == 1 || stride.is_multiple_of(4))
    };
    if !k.is_multiple_of(4) || !even(&a) || !even(&b) {
        return None;
    }
    let a_along_sum = fits(a.col, k, a.row, m);
    let b_along_sum = fits(b.row, k, b.col, n);
    let both =
        (a_along_sum || fits(a.row, m, a.col, k)) && (b_along_sum || fits(b.col, n, b.row, k));
    both.then_some(Aligned {
        a_along_sum,
        b_along_sum,
    })
}
