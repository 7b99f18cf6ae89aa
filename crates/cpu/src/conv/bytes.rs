//! Memory of the pool that a convolution takes while it runs, by its way. It must not compute.

use super::{adjoint, interleaved, is_empty, packed_len, tiles, weight_parts, weight_way};
use crate::conv::batched::Batched;
use crate::conv::cost::Sizes;
use crate::conv::phases::product::Phases;
use crate::conv::unfold::Unfold;
use crate::conv::way::{Forward, InputGrad, WeightGrad};
use crate::conv::weight::Sums;
use crate::conv::{choice, phases};
use crate::dtype::DType;
use crate::plan::{Conv, ConvKind};

/// Bytes of each buffer that [`run`](super::run) takes of the pool while it runs: partial sums of a weight gradient, what of it is rounded,
/// an unfolded tile for one thread.
pub(crate) fn step_bytes(conv: &Conv, dtype: DType) -> [usize; 3] {
    let shape = Unfold::of(conv);
    if is_empty(conv, &shape) || packed_len(conv).is_some() {
        return [0; 3];
    }
    let tile = |shape: &Unfold, from: usize| [tile_bytes(shape, from), 0, 0];
    let sizes = Sizes::of(conv, &shape);
    match conv.kind {
        ConvKind::Forward => match choice::forward(&sizes) {
            Forward::Rows => tile(&shape, conv.in_channels),
            Forward::Interleaved => [interleaved(conv, &shape).step_bytes(), 0, 0],
            Forward::Phases => [Phases::of(conv, &shape).step_bytes(), 0, 0],
            _ => [0; 3],
        },
        ConvKind::InputGrad => match choice::input_grad(&sizes) {
            InputGrad::AsForward(Forward::Rows) => tile(&adjoint(&shape), conv.out_channels),
            InputGrad::Interleaved => [interleaved(conv, &shape).step_bytes(), 0, 0],
            InputGrad::Phases => [Phases::of(conv, &shape).step_bytes(), 0, 0],
            _ => [0; 3],
        },
        ConvKind::WeightGrad => {
            let size = conv.groups * conv.out_channels * conv.in_channels * shape.taps();
            let wide = if dtype.size() == 4 { 0 } else { 4 * size };
            let [sums, unfolded] = weight_bytes(conv, &shape, size);
            [wide, sums, unfolded]
        }
    }
}

/// The same of a weight gradient of `size` elements, in f32.
fn weight_bytes(conv: &Conv, shape: &Unfold, size: usize) -> [usize; 2] {
    match Sums::new(conv, shape) {
        Some(sums) => [sums.step_bytes(), 0],
        None if weight_way(conv, shape) == WeightGrad::Batched => {
            [Batched::of(conv, shape).step_bytes(), 0]
        }
        None if weight_way(conv, shape) == WeightGrad::Interleaved => {
            interleaved::weight::Weight::of(conv, shape).step_bytes()
        }
        None if weight_way(conv, shape) == WeightGrad::Phases => {
            phases::weight::Weight::of(conv, shape).step_bytes()
        }
        None if weight_way(conv, shape) != WeightGrad::Rows => [0; 2],
        None => {
            let unfolded = match shape.is_identity() {
                true => 0,
                false => tile_bytes(shape, conv.in_channels),
            };
            [4 * weight_parts(conv, shape, size) * size, unfolded]
        }
    }
}

/// Bytes of an unfolded tile of `from` planes.
fn tile_bytes(shape: &Unfold, from: usize) -> usize {
    let k = from * shape.taps();
    4 * k * tiles(shape, k)[0].len
}
