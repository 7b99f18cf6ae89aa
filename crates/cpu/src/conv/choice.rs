//! Which way a convolution is computed. The only place that chooses; the ways themselves take what they are given. A choice
//! follows from the convolution's sizes, never from the number of threads, so no bit depends on them.
//!
//! | of | way | when | why |
//! |---|---|---|---|
//! | forward | `winograd` | 3×3, stride 1, [`CHANNELS`] planes on both sides, [`POSITIONS`], [`TILES`] | a quarter of the multiplications |
//! | all three | `depthwise` | groups of one input plane and fewer than [`FEW`] output planes, no depth | nothing is unfolded or packed |
//! | all three | `depthwise_tiny` | of these, at most [`PAIRS`] pairs of positions | a padded copy costs more than its sums |
//! | forward | rows of `unfold` one by one | fewer than [`FEW`] output planes | a product would not pay for its packing |
//! | forward | `batched` | [`SMALL`] maps of several images | one image is a product of few columns |
//! | forward | product of the planes as they lie | 1×1, stride 1, no padding | there is nothing to unfold |
//! | forward | `implicit` | no depth, few columns between the lines ([`implicit`]) | the unfolded input is never written |
//! | forward | `batched` | all others | works for any shape |
//! | input gradient | as the forward of its adjoint | stride 1, and [`as_forward`] | all of the above |
//! | input gradient | `batched`, folded (`col2im`) | all others | as many multiplications as there are |
//! | weight gradient | rows of `unfold` one by one | fewer than [`FEW`] output planes | a product would not pay for its packing |
//! | weight gradient | `winograd` | as forward, and its sums stay in the cache ([`SUMS`]) | a quarter of the multiplications |
//! | weight gradient | `batched` | adding up partial sums would take longer than the products ([`adds_up`]) | there are no partial sums |
//! | weight gradient | `weight_implicit` | no depth, [`MANY`] input planes | the unfolded input is never written |
//! | weight gradient | `weight_few_channels` | 3×3, stride 1, fewer input planes, lines of half a vector | no product: a sum for each tap |
//! | weight gradient | `batched` | all others | works for any shape |

use crate::conv::implicit::{is_flat, width};
use crate::conv::unfold::Unfold;
use crate::conv::winograd::{self, PLACES};
use crate::plan::{Conv, ConvKind};

/// Planes on either side from which Winograd's transforms cost less than the multiplications they save. Measured with 8, 12,
/// 16 and 32 planes of 28×28.
const CHANNELS: usize = 16;

/// Positions of a plane; with fewer too much of the tiles of 4×4 is empty (at 5×5 more than half).
const POSITIONS: usize = 36;

/// Tiles of a batch; with fewer, transforming the filters, and reading what that makes of large ones, costs more than it
/// saves.
const TILES: usize = 32;

/// Floats of the transformed sums of a weight gradient: a second-level cache of 1 MiB. Beyond it they leave the cache between
/// tasks, and the other way is faster.
const SUMS: usize = 1 << 18;

/// Output planes below which a product does not pay for its packing: a tile of the smallest kernel has as many rows.
pub(crate) const FEW: usize = 4;

/// Pairs of an input and an output position that a tap joins, up to which a depthwise convolution multiplies pair by pair.
pub(crate) const PAIRS: usize = 64;

/// Input planes from which a product of matrices is faster than a sum for each tap: with fewer most of a vector of 16 lanes
/// would be empty.
const MANY: usize = 12;

/// Positions of a map below which those of several images are columns of one product.
const SMALL: usize = 128;

/// Positions of a map below which too few of the columns of an image fill a vector.
const TINY: usize = 36;

/// Floats of a weight that do not stay in a second-level cache beside what they are computed from.
const CACHED: usize = 1 << 16;

/// Columns of a line that are worth a vector of 16 lanes.
const LINE: usize = 8;

/// A way from input to output, or of the adjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    Winograd,
    Depthwise,
    Rows,
    Product,
    Implicit,
    Batched,
}

/// A way to the gradient of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputGrad {
    Depthwise,
    AsForward(Forward),
    Fold,
}

/// A way to the gradient of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightGrad {
    Winograd,
    Depthwise,
    Implicit,
    FewChannels,
    Batched,
    Rows,
}

/// The way of `images` images from `from` planes of a group to `to`.
pub(crate) fn forward(shape: &Unfold, images: usize, from: usize, to: usize) -> Forward {
    let tiles = winograd::tiles(shape);
    if winograd(shape, from, to) && images * tiles[0] * tiles[1] >= TILES {
        return Forward::Winograd;
    }
    match () {
        () if depthwise(shape, from, to) => Forward::Depthwise,
        () if to < FEW && !shape.is_identity() => Forward::Rows,
        () if images > 1 && shape.is_identity() && shape.positions() < SMALL => Forward::Batched,
        () if shape.is_identity() => Forward::Product,
        () if images > 1 && shape.positions() < TINY => Forward::Batched,
        () if implicit(shape) => Forward::Implicit,
        () => Forward::Batched,
    }
}

/// The way to the gradient of the input of `conv`, whose shape is `shape` and whose adjoint has the shape `adjoint`.
pub(crate) fn input_grad(conv: &Conv, adjoint: &Unfold) -> InputGrad {
    let (from, to) = (conv.out_channels, conv.in_channels);
    let depth = [
        conv.input[0],
        conv.output[0],
        conv.kernel[0],
        conv.padding[0],
    ];
    if to == 1 && from < FEW && depth == [1, 1, 1, 0] {
        return InputGrad::Depthwise;
    }
    if conv.stride != [1; 3] {
        return InputGrad::Fold;
    }
    match forward(adjoint, conv.batch, from, to) {
        Forward::Winograd => InputGrad::AsForward(Forward::Winograd),
        way if as_forward(adjoint, from, to) => InputGrad::AsForward(way),
        _ => InputGrad::Fold,
    }
}

/// Whether an adjoint is better computed as a convolution than by folding: it multiplies for each position of its output, folding
/// for each of its input. Unfolding costs by output channels, folding by input channels, reading in place nothing.
fn as_forward(adjoint: &Unfold, from: usize, to: usize) -> bool {
    let more = 4 * adjoint.positions() > 5 * adjoint.plane();
    !more && (to * 2 > from || to >= FEW && implicit(adjoint))
}

/// The way to the gradient of the weight of `conv`. `lanes` is the length of a vector.
pub(crate) fn weight_grad(conv: &Conv, shape: &Unfold, lanes: usize) -> WeightGrad {
    let (from, to) = (conv.in_channels, conv.out_channels);
    let whole = |n: usize| n.next_multiple_of(lanes);
    if winograd(shape, from, to) && PLACES * whole(from) * whole(to) <= SUMS {
        return WeightGrad::Winograd;
    }
    match is_flat(shape) {
        _ if depthwise(shape, from, to) => WeightGrad::Depthwise,
        _ if to < FEW => WeightGrad::Rows,
        _ if adds_up(conv, shape) => WeightGrad::Batched,
        true if from >= MANY => WeightGrad::Implicit,
        true if is_3x3(shape) && shape.output[2] >= LINE => WeightGrad::FewChannels,
        _ => WeightGrad::Batched,
    }
}

/// Whether adding an image's products to a partial sum in memory takes longer than the products: a weight too large for the
/// cache is read and written for each image, which takes as long as [`SMALL`] positions.
fn adds_up(conv: &Conv, shape: &Unfold) -> bool {
    let weight = conv.groups * conv.in_channels * conv.out_channels * shape.taps();
    shape.positions() < SMALL && weight >= CACHED
}

/// Whether each input plane makes a few output planes of its own.
fn depthwise(shape: &Unfold, from: usize, to: usize) -> bool {
    from == 1 && to < FEW && is_flat(shape)
}

/// Whether the filters of a convolution are transformed, once for all images.
pub(crate) fn has_filters(conv: &Conv, shape: &Unfold) -> bool {
    let (from, to) = (conv.in_channels, conv.out_channels);
    match conv.kind {
        ConvKind::Forward => forward(shape, conv.batch, from, to) == Forward::Winograd,
        ConvKind::InputGrad => input_grad(conv, shape) == InputGrad::AsForward(Forward::Winograd),
        ConvKind::WeightGrad => false,
    }
}

/// Whether a convolution of `from` planes to `to` ones can be computed by Winograd's algorithm and is large enough.
fn winograd(shape: &Unfold, from: usize, to: usize) -> bool {
    is_3x3(shape) && from.min(to) >= CHANNELS && shape.positions() >= POSITIONS
}

/// Three by three taps, stride 1, padded and not cropped, without depth.
fn is_3x3(shape: &Unfold) -> bool {
    is_flat(shape)
        && shape.kernel == [1, 3, 3]
        && shape.stride == [1; 3]
        && shape.dilation == [1; 3]
}

/// Whether a convolution can read its padded input in place. The columns between the lines are computed too and thrown away:
/// no more than a third of all.
fn implicit(shape: &Unfold) -> bool {
    let columns = shape.output[2];
    let fits = |width: usize| columns <= width && 3 * columns >= 2 * width;
    is_flat(shape) && fits(width(shape))
}
