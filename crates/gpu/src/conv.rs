//! The three convolution products: which matrix product each is, and its texts. Tiles and splits are `gemm`'s.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS};
use super::choices::ProductKind;
use super::cores::Core;
use super::gemm::{Extra, Product, Tiling};
use super::halves;
use super::step::StepView;
use super::target::Target;
use crate::plan::{Conv, ConvKind};
use wgrad_shaders::kernels;

pub(super) fn lower(view: &StepView<'_>, conv: &Conv) -> Lowered {
    let product = product(conv);
    if product.sum == 0 {
        return Lowered::zeros();
    }
    let tiling = product.tiling(view.target, view.choices);
    let dense = conv.stride == [1; 3];
    let mut extra = Extra {
        view,
        // As the text has them: images and what slides over them.
        names: ["b", "a"],
        params: params(conv),
        constants: vec![("QUICK", f64::from(u8::from(small_quotients(conv))))],
    };
    if conv.kind == ConvKind::InputGrad {
        extra.constants.push(("DENSE", f64::from(u8::from(dense))));
    }
    if is_direct(&product, conv.kind, view.target) {
        return direct(&product, conv.kind, extra);
    }
    let (label, wgsl) = match conv.kind {
        ConvKind::Forward => tiling.core.pick([
            ("conv register", kernels::CONV_FORWARD_REGISTER),
            ("conv tiled", kernels::CONV_FORWARD_TILED),
            ("conv wide", kernels::CONV_FORWARD_WIDE),
            ("conv lanes", kernels::CONV_FORWARD_LANES),
        ]),
        ConvKind::InputGrad => tiling.core.pick([
            (
                "conv input grad register",
                kernels::CONV_INPUT_GRAD_REGISTER,
            ),
            ("conv input grad tiled", kernels::CONV_INPUT_GRAD_TILED),
            ("conv input grad wide", kernels::CONV_INPUT_GRAD_WIDE),
            ("conv input grad lanes", kernels::CONV_INPUT_GRAD_LANES),
        ]),
        ConvKind::WeightGrad => tiling.core.pick([
            (
                "conv weight grad register",
                kernels::CONV_WEIGHT_GRAD_REGISTER,
            ),
            ("conv weight grad tiled", kernels::CONV_WEIGHT_GRAD_TILED),
            ("conv weight grad wide", kernels::CONV_WEIGHT_GRAD_WIDE),
            ("conv weight grad lanes", kernels::CONV_WEIGHT_GRAD_LANES),
        ]),
    };
    product.lowered(&tiling, label, wgsl, extra)
}

fn direct(product: &Product, kind: ConvKind, extra: Extra<'_>) -> Lowered {
    let (label, wgsl) = match kind {
        ConvKind::Forward => ("conv direct", kernels::CONV_FORWARD_DIRECT),
        _ => ("conv input grad direct", kernels::CONV_INPUT_GRAD_DIRECT),
    };
    let tiling = Tiling {
        tile_rows: 1,
        tile_cols: 1,
        splits: 1,
        split_len: product.sum,
        core: Core::Register,
    };
    let params = product
        .params(&tiling)
        .into_iter()
        .chain(extra.params)
        .collect();
    let mut call = Call {
        label,
        wgsl: wgsl.into(),
        constants: extra.constants,
        args: vec![Arg::Input(0), Arg::Input(1), Arg::Output, Arg::Params],
        params,
        grid: Grid::Threads(product.out_len() as u64),
        iterations: product.sum as u64,
    };
    halves::read(extra.view, extra.names, &mut call);
    Lowered::one(call)
}

/// Rows, columns and sum of each kind: see the headers of `conv_*.wgsl`.
fn product(conv: &Conv) -> Product {
    let taps: usize = conv.kernel.iter().product();
    let size_in: usize = conv.input.iter().product();
    let size_out: usize = conv.output.iter().product();
    let (rows, cols, sum) = match conv.kind {
        ConvKind::Forward => (
            conv.out_channels,
            conv.batch * size_out,
            conv.in_channels * taps,
        ),
        ConvKind::InputGrad => (
            conv.in_channels,
            conv.batch * size_in,
            conv.out_channels * taps,
        ),
        ConvKind::WeightGrad => (
            conv.out_channels,
            conv.in_channels * taps,
            conv.batch * size_out,
        ),
    };
    let kind = match conv.kind {
        ConvKind::Forward => ProductKind::ConvForward,
        ConvKind::InputGrad => ProductKind::ConvInputGrad,
        ConvKind::WeightGrad => ProductKind::ConvWeightGrad,
    };
    Product {
        kind,
        rows,
        cols,
        sum,
        planes: conv.groups,
        a_along_sum: true,
        b_along_sum: conv.kind == ConvKind::WeightGrad,
        aligned: None,
        longest: 1 << 13,
    }
}

/// In the order of `Params` in `conv_common.wgsl`.
fn params(conv: &Conv) -> Vec<usize> {
    let [in_d, in_h, in_w] = conv.input;
    let [out_d, out_h, out_w] = conv.output;
    let [_, kernel_h, kernel_w] = conv.kernel;
    let taps = conv.kernel.iter().product();
    let mut params = vec![
        conv.in_channels,
        conv.out_channels,
        taps,
        in_d * in_h * in_w,
        out_d * out_h * out_w,
    ];
    params.extend([in_d, in_h, in_w, out_h, out_w, out_d, kernel_h, kernel_w]);
    params.extend(conv.stride);
    params.extend(conv.padding);
    params.extend(conv.dilation);
    let divisors = [
        taps,
        in_d * in_h * in_w,
        out_d * out_h * out_w,
        in_h,
        in_w,
        out_h,
        out_w,
        kernel_h,
        kernel_w,
    ];
    params.extend(divisors.map(|n| (1.0 / n.max(1) as f32).to_bits() as usize));
    params
}

/// Whether what the kernels compute by division stays below 2^22, where a product with the reciprocal is off by
/// at most one: images, channels, lines of an image.
fn small_quotients(conv: &Conv) -> bool {
    let lines = |size: [usize; 3]| size[0] * size[1];
    let quotients = [
        conv.batch,
        conv.in_channels,
        conv.out_channels,
        lines(conv.input),
        lines(conv.output),
        lines(conv.kernel),
    ];
    quotients.iter().all(|&n| n < 1 << 22)
}
/// The product, where it is computed as one: not with a thread for each element.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn tiled(conv: &Conv, target: Target) -> Option<Product> {
    let product = product(conv);
    (!is_direct(&product, conv.kind, target)).then_some(product)
}

/// Whether a convolution has a thread for each element: a workgroup's tile has at least 32 rows, and with a row or two
/// that does less work.
fn is_direct(product: &Product, kind: ConvKind, target: Target) -> bool {
    let short = product.sum as u64 <= MAX_ITERATIONS;
    product.rows <= 2 && short && !target.software && kind != ConvKind::WeightGrad
}
