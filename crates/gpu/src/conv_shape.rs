//! What a convolution is to its kernels: the product that it is, the phases of its gradient, its numbers. Must not know a kernel's
//! text.

use super::choices::ProductKind;
use super::gemm::Product;
use crate::plan::{Conv, ConvKind};

/// The same, with strides and dilations that are never taken no larger than they need be.
pub(super) fn plain(conv: &Conv) -> Conv {
    let mut conv = *conv;
    for d in 0..3 {
        if conv.output[d] <= 1 {
            let reach = conv.input[d] + conv.padding[d];
            conv.stride[d] = conv.stride[d].min(reach.max(1));
        }
        if conv.kernel[d] <= 1 {
            conv.dilation[d] = 1;
        }
    }
    conv
}

/// Sizes of the image that windows slide over, or that a gradient is spread from.
pub(super) fn slid(conv: &Conv) -> [usize; 3] {
    match conv.kind {
        ConvKind::InputGrad => conv.output,
        _ => conv.input,
    }
}

/// Stride and dilation of a side without their common divisor: how far apart taps of a phase lie, in the kernel and in the
/// output; see `conv_phase.wgsl`.
pub(super) fn steps(conv: &Conv, d: usize) -> (usize, usize) {
    let (mut a, mut b) = (conv.stride[d], conv.dilation[d]);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    (conv.stride[d] / a, conv.dilation[d] / a)
}

/// `x` with `x * n = 1` modulo `m`, which have no common divisor.
fn inverse(n: usize, m: usize) -> usize {
    let (mut r, mut next_r) = (m as i128, (n % m) as i128);
    let (mut x, mut next_x) = (0, 1);
    while next_r > 0 {
        let q = r / next_r;
        (r, next_r) = (next_r, r - q * next_r);
        (x, next_x) = (next_x, x - q * next_x);
    }
    x.rem_euclid(m as i128) as usize
}

/// Phases of a gradient of the input on each side; 1 for other kinds.
pub(super) fn phases(conv: &Conv) -> [usize; 3] {
    std::array::from_fn(|d| match conv.kind {
        ConvKind::InputGrad => conv.stride[d].min(conv.input[d]),
        _ => 1,
    })
}

/// Rows, columns and sum of each kind: see the headers of `conv_*.wgsl`. Of phases, those of the largest.
pub(super) fn product(conv: &Conv) -> Product {
    let taps: usize = conv.kernel.iter().product();
    let size_in: usize = conv.input.iter().product();
    let size_out: usize = conv.output.iter().product();
    let of_phase = |f: fn(&Conv, usize) -> usize| (0..3).map(|d| f(conv, d)).product::<usize>();
    let images = conv.batch * conv.groups;
    let (rows, cols, sum, out_len) = match conv.kind {
        ConvKind::Forward => (
            conv.out_channels,
            conv.batch * size_out,
            conv.in_channels * taps,
            images * conv.out_channels * size_out,
        ),
        ConvKind::InputGrad => (
            conv.in_channels,
            conv.batch * of_phase(|conv, d| conv.input[d].div_ceil(conv.stride[d])),
            conv.out_channels * of_phase(|conv, d| conv.kernel[d].div_ceil(steps(conv, d).0)),
            images * conv.in_channels * size_in,
        ),
        ConvKind::WeightGrad => (
            conv.out_channels,
            conv.in_channels * taps,
            conv.batch * size_out,
            conv.groups * conv.out_channels * conv.in_channels * taps,
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
        planes: conv.groups * phases(conv).iter().product::<usize>(),
        out_len,
        a_along_sum: true,
        b_along_sum: conv.kind == ConvKind::WeightGrad,
        aligned: None,
        longest: 1 << 13,
    }
}

/// In the order of `Params` in `conv_common.wgsl`.
pub(super) fn params(conv: &Conv) -> Vec<usize> {
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
    params.extend([in_d, in_h, in_w, out_h, out_w, out_d]);
    params.extend(conv.kernel);
    params.extend(conv.stride);
    params.extend(conv.padding);
    params.extend(conv.dilation);
    let channels = match conv.kind {
        ConvKind::InputGrad => conv.out_channels,
        _ => conv.in_channels,
    };
    let planes = conv.batch * conv.groups * channels;
    let len_b = planes * slid(conv).iter().product::<usize>();
    params.extend([conv.batch, conv.groups, len_b.saturating_sub(1)]);
    params.extend(phases(conv));
    let steps = [0, 1, 2].map(|d| steps(conv, d));
    params.extend(steps.map(|(step, _)| step));
    params.extend(steps.map(|(_, reach)| reach));
    params.extend(steps.map(|(step, reach)| inverse(reach, step)));
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

/// Whether what the kernels compute by division stays below 2^21, where a product with the reciprocal is off by
/// at most one: images, channels, lines of an image, places on a side. And whether the square of a stride is as small.
pub(super) fn small_quotients(conv: &Conv) -> bool {
    let lines = |size: [usize; 3]| size[0] * size[1];
    let quotients = [
        conv.batch,
        conv.in_channels,
        conv.out_channels,
        lines(conv.input),
        lines(conv.output),
        lines(conv.kernel),
    ];
    let sides = (0..3).flat_map(|d| {
        let stride = conv.stride[d].saturating_mul(conv.stride[d]);
        let reach = conv.kernel[d].saturating_mul(conv.dilation[d]);
        [conv.input[d] + conv.padding[d], reach, stride]
    });
    quotients.into_iter().chain(sides).all(|n| n < 1 << 21)
}

/// Whether anything has more than one plane in depth, or a window may lie beside the only one.
pub(super) fn deep(conv: &Conv) -> bool {
    conv.input[0] > 1 || conv.output[0] > 1 || conv.kernel[0] > 1 || conv.padding[0] > 0
}
