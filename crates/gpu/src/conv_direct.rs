//! Convolutions of so few channels (depthwise) that tiles of a matrix product would be mostly empty: a thread for four neighbours
//! of the result, or for the sums of a few taps. When, and how many of each. Must not know other kernels.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS};
use super::conv_shape::{phases, steps};
use super::gemm::{Extra, MOST_PARTIALS, MOST_SPLITS, Product, sum_parts};
use super::halves;
use super::target::Target;
use crate::plan::{Conv, ConvKind};
use wgrad_shaders::kernels;

/// Threads of a workgroup of either text.
const THREADS: usize = 64;
/// Neighbours that a thread takes.
const NEIGHBOURS: usize = 4;
/// Rows of a product of which a tile has at least 32.
const FEW_ROWS: usize = 4;
/// Of a tile of 64 by 64, the part below which a gradient of the weight is none.
const PART_OF_TILE: usize = 6;
/// Lines of taps of a workgroup, in `conv_direct_weight_grad.wgsl`.
const LINES: usize = 3;
/// The most taps of a line that the texts have side by side.
const MOST_UNROLLED: usize = 7;

/// Whether a convolution is computed so: where a thread does little else than load, but a tile would do less.
pub(super) fn fits(product: &Product, conv: &Conv, target: Target) -> bool {
    if target.software {
        return false;
    }
    if conv.kind == ConvKind::WeightGrad {
        let tiles = product.rows.next_multiple_of(64) * product.cols.next_multiple_of(64);
        return product.rows * product.cols * PART_OF_TILE <= tiles;
    }
    product.rows <= FEW_ROWS && rounds(conv) <= MAX_ITERATIONS
}

pub(super) fn lower(product: &Product, conv: &Conv, extra: Extra<'_>) -> Lowered {
    match conv.kind {
        ConvKind::WeightGrad => weight_grad(product, conv, extra),
        _ => lines(product, conv, extra),
    }
}

/// Taps of each side that a thread goes through: of a phase, those of the largest.
fn taps(conv: &Conv) -> [usize; 3] {
    std::array::from_fn(|d| match conv.kind {
        ConvKind::InputGrad => conv.kernel[d].div_ceil(steps(conv, d).0),
        _ => conv.kernel[d],
    })
}

/// Taps of a line that are unrolled: all of them, or none.
fn unrolled(conv: &Conv) -> usize {
    let taps = taps(conv)[2];
    let (apart, stride) = match conv.kind {
        ConvKind::InputGrad => (steps(conv, 2).1, 1),
        _ => (conv.dilation[2], conv.stride[2]),
    };
    let side_by_side = taps == 1 || apart == 1;
    match side_by_side && taps <= MOST_UNROLLED && stride <= 2 {
        true => taps,
        false => 0,
    }
}

/// Rounds of the loops over channels and taps, and of what stores.
fn rounds(conv: &Conv) -> u64 {
    let [d, h, w] = taps(conv).map(|n| n as u64);
    let channels = match conv.kind {
        ConvKind::InputGrad => conv.out_channels,
        _ => conv.in_channels,
    };
    let line = match unrolled(conv) {
        0 => 1 + w,
        _ => 1,
    };
    let plane = h.saturating_mul(line).saturating_add(1);
    let all = d.saturating_mul(plane).saturating_add(1);
    (channels as u64).saturating_mul(all).saturating_add(128)
}

fn constants(conv: &Conv, extra: &Extra<'_>) -> Vec<(&'static str, f64)> {
    let flag = |set: bool| f64::from(u8::from(set));
    let by_two = conv.kind != ConvKind::InputGrad && conv.stride[2] == 2;
    let own = [
        ("UNROLLED", unrolled(conv) as f64),
        ("BY_TWO", flag(by_two && unrolled(conv) > 0)),
    ];
    extra.constants.iter().copied().chain(own).collect()
}

/// The convolution, or the gradient of its input.
fn lines(product: &Product, conv: &Conv, extra: Extra<'_>) -> Lowered {
    let input_grad = conv.kind == ConvKind::InputGrad;
    let label = match input_grad {
        true => "conv input grad direct",
        false => "conv direct",
    };
    let size: [usize; 3] = std::array::from_fn(|d| match input_grad {
        true => conv.input[d].div_ceil(conv.stride[d]),
        false => conv.output[d],
    });
    let items = size[0] * size[1] * size[2].div_ceil(NEIGHBOURS);
    // Planes of a workgroup, or workgroups of a plane.
    let together = (THREADS / items).max(1);
    let sharing = items.div_ceil(THREADS);
    let planes = conv.batch * conv.groups * product.rows;
    let groups = phases(conv).iter().product::<usize>() * planes.div_ceil(together) * sharing;
    let mut constants = constants(conv, &extra);
    constants.push(("INPUT_GRAD", f64::from(u8::from(input_grad))));
    if planes >= 1 << 21 {
        constants.retain(|(name, _)| *name != "QUICK");
    }
    let numbers = [
        product.rows,
        product.cols,
        product.sum,
        planes,
        groups,
        0,
        together,
        sharing,
        product.out_len,
    ];
    let mut call = Call {
        label,
        wgsl: kernels::CONV_DIRECT.into(),
        constants,
        args: vec![Arg::Input(0), Arg::Input(1), Arg::Output, Arg::Params],
        params: numbers.into_iter().chain(extra.params).collect(),
        grid: Grid::Groups(groups as u64),
        iterations: rounds(conv),
    };
    halves::read(extra.view, extra.names, &mut call);
    Lowered {
        stores: NEIGHBOURS as u64,
        ..Lowered::one(call)
    }
}

/// The gradient of the weight, and the pass that adds up its parts.
fn weight_grad(product: &Product, conv: &Conv, extra: Extra<'_>) -> Lowered {
    let [kernel_d, kernel_h, kernel_w] = conv.kernel;
    let [out_d, out_h, out_w] = conv.output;
    let lines = match unrolled(conv) {
        0 => kernel_h * kernel_w,
        _ => kernel_h.div_ceil(LINES),
    };
    let planes = conv.groups * conv.out_channels * conv.in_channels * kernel_d * lines;
    let all = conv.batch * out_d * out_h;
    let quads = out_w.div_ceil(NEIGHBOURS);
    let across = quads.min(THREADS);
    let at_once = THREADS / across;
    // A thread goes through a part of the lines for each of its places across them. Where lines are few and long, several
    // workgroups share them.
    let most = (MOST_PARTIALS / product.out_len).clamp(1, MOST_SPLITS);
    let busy = (4 * extra.view.target.config.groups / planes).min(most);
    let rounds = MAX_ITERATIONS as usize / 2;
    let for_speed = busy.min(all / (8 * at_once)).max(1);
    let places = quads.div_ceil(across);
    let shares = (busy / for_speed).min(places / 8);
    let places = places.div_ceil(shares.max(1)).min(rounds / 2);
    let shares = quads.div_ceil(across * places);
    let most_lines = (rounds / places) * at_once;
    let split_len = all.div_ceil(for_speed.max(all.div_ceil(most_lines)));
    let splits = all.div_ceil(split_len) * shares;
    let numbers = [
        product.rows,
        product.cols,
        product.sum,
        planes,
        splits,
        split_len,
        shares,
        across,
        product.out_len,
    ];
    let split = splits > 1;
    let out = if split { Arg::Scratch(0) } else { Arg::Output };
    let mut call = Call {
        label: "conv weight grad direct",
        wgsl: kernels::CONV_DIRECT_WEIGHT_GRAD.into(),
        constants: constants(conv, &extra),
        args: vec![Arg::Input(0), Arg::Input(1), out, Arg::Params],
        params: numbers.into_iter().chain(extra.params).collect(),
        grid: Grid::Groups((planes * splits) as u64),
        iterations: (places * (split_len.div_ceil(at_once) + 1) + 16) as u64,
    };
    halves::read(extra.view, extra.names, &mut call);
    let mut lowered = Lowered::one(call);
    if split {
        let len = product.out_len;
        lowered.scratch.push(4 * (len * splits) as u64);
        lowered.work.push(sum_parts(len, splits).into());
    }
    lowered
}
