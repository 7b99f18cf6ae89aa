//! Which way a convolution is computed. The only place that chooses; the ways themselves take what they are given. Of the ways that
//! can compute a convolution the one is taken that takes the least time by [`cost`](super::cost), which knows the sizes and what
//! this processor's core was measured to do. So a choice never depends on the number of threads, and neither does any bit.
//!
//! | of | way | what it can compute |
//! |---|---|---|
//! | forward | `winograd` | 3×3, stride 1, padded: a quarter of the multiplications |
//! | all three | `depthwise` | groups of one input plane and fewer than [`FEW`] output planes, no depth: the only way |
//! | all three | `depthwise_tiny` | of these, at most [`PAIRS`] pairs of positions |
//! | forward | rows of `unfold` one by one | fewer than [`FEW`] output planes |
//! | forward | product of the planes as they lie | 1×1, stride 1, no padding |
//! | forward | `implicit` | no depth, few columns between the lines ([`implicit`]): the unfolded input is never written |
//! | forward | `interleaved` | no depth, several images: they lie side by side, and nothing is computed in vain |
//! | forward | `batched` | everything |
//! | all three | `phases` | stride 2, three or four taps a side, several images: half the multiplications or fewer |
//! | input gradient | as the forward of its adjoint | stride 1, and not many more positions ([`as_forward`]) |
//! | input gradient | `interleaved` | no depth, several images: as many multiplications as there are, whatever the stride |
//! | input gradient | `batched`, folded (`col2im`) | everything |
//! | weight gradient | `winograd` | as forward, where its sums stay in the cache ([`SUMS`]) |
//! | weight gradient | `weight_implicit` | no depth: partial sums over images |
//! | weight gradient | `weight_few_channels` | 3×3, stride 1, fewer than [`MANY`] input planes: no product |
//! | weight gradient | `interleaved` | no depth, several images: a weight is written once, however large |
//! | weight gradient | `batched` | everything |
//! | weight gradient | rows of `unfold` one by one | fewer than [`FEW`] output planes |

use crate::conv::cost::{Sizes, table};
use crate::conv::implicit::{is_flat, width};
use crate::conv::interleaved::Interleaved;
use crate::conv::phases;
use crate::conv::unfold::Unfold;
use crate::conv::way::{Forward, InputGrad, Way, WeightGrad};
use crate::conv::winograd::{self, PLACES};
use crate::matmul::gemm::kernel::Kernels;
use crate::plan::{Conv, ConvKind};
use std::cell::Cell;

/// Planes on either side with which most of a vector is empty in Winograd's products.
const CHANNELS: usize = 8;

/// Tiles of a batch; with fewer, transforming the filters, and reading what that makes of large ones from beyond the caches, costs
/// more than it saves.
const TILES: usize = 32;

/// Floats of the transformed sums of a weight gradient: a second-level cache of 1 MiB. Beyond it they leave the cache between
/// tasks.
const SUMS: usize = 1 << 18;

/// Floats of filters that are transformed, or of their sums, at most: 128 MiB.
const FILTERS: usize = 1 << 25;

/// Floats of a block of images in order: a third-level cache of 16 MiB.
const SLAB: usize = 1 << 22;

/// Output planes below which a product does not pay for its packing: a tile of the smallest kernel has as many rows.
pub(crate) const FEW: usize = 4;

/// Pairs of an input and an output position that a tap joins, up to which a depthwise convolution multiplies pair by pair.
pub(crate) const PAIRS: usize = 64;

/// Input planes from which the vectors of a product of matrices are full enough.
const MANY: usize = 12;

thread_local! {
    static ASKED: Cell<Option<Way>> = const { Cell::new(None) };
}

/// Calls `f`, in which what this thread chooses is `way`: for measurements and tests of a single convolution.
#[cfg(any(test, not(target_arch = "wasm32")))]
pub(crate) fn with<R>(way: Way, f: impl FnOnce() -> R) -> R {
    ASKED.set(Some(way));
    let result = f();
    ASKED.set(None);
    result
}

/// The way of a convolution.
pub(crate) fn forward(sizes: &Sizes) -> Forward {
    match ASKED.get() {
        Some(Way::Forward(way) | Way::InputGrad(InputGrad::AsForward(way))) => way,
        _ => least(&forwards(sizes), |&way| Way::Forward(way), sizes),
    }
}

/// The ways that a convolution can be computed.
fn forwards(sizes: &Sizes) -> Vec<Forward> {
    let Sizes {
        shape, from, to, ..
    } = sizes;
    if *from == 1 && *to < FEW && is_flat(shape) {
        return vec![Forward::Depthwise];
    }
    let several = is_flat(shape) && interleaved(sizes.images, shape, *from);
    let is_whole = shape.is_identity();
    let ways = [
        (Forward::Batched, true),
        (Forward::Interleaved, several),
        (
            Forward::Winograd,
            winograd(shape, *from, *to) && sizes.images * tiles(shape) >= TILES,
        ),
        (Forward::Implicit, !is_whole && implicit(shape)),
        (Forward::Product, is_whole),
        (Forward::Rows, *to < FEW && !is_whole),
        (Forward::Phases, phases(sizes)),
    ];
    possible(ways)
}

/// The way to the gradient of the input.
pub(crate) fn input_grad(sizes: &Sizes) -> InputGrad {
    match ASKED.get() {
        Some(Way::InputGrad(way)) => way,
        _ => least(&input_grads(sizes), |&way| Way::InputGrad(way), sizes),
    }
}

/// The ways to the gradient of the input of a convolution.
fn input_grads(sizes: &Sizes) -> Vec<InputGrad> {
    let Sizes {
        shape, from, to, ..
    } = sizes;
    let has_depth = has_depth(shape);
    if *from == 1 && *to < FEW && !has_depth {
        return vec![InputGrad::Depthwise];
    }
    let adjoint = sizes.adjoint();
    let several = !has_depth && interleaved(sizes.images, &adjoint.shape, *to);
    let mut ways = possible([
        (InputGrad::Fold, true),
        (InputGrad::Interleaved, several),
        (InputGrad::Phases, phases(sizes)),
    ]);
    if shape.stride == [1; 3] && as_forward(&adjoint.shape) {
        let forwards = forwards(&adjoint);
        // The same as without turning the taps round.
        let others = forwards
            .into_iter()
            .filter(|&way| way != Forward::Interleaved);
        ways.extend(others.map(InputGrad::AsForward));
    }
    ways
}

/// Whether an adjoint is better computed as a convolution than by folding: it multiplies for each position of its output, folding
/// for each of its input.
fn as_forward(adjoint: &Unfold) -> bool {
    4 * adjoint.positions() <= 5 * adjoint.plane()
}

/// The way to the gradient of the weight.
pub(crate) fn weight_grad(sizes: &Sizes) -> WeightGrad {
    match ASKED.get() {
        Some(Way::WeightGrad(way)) => way,
        _ => least(&weight_grads(sizes), |&way| Way::WeightGrad(way), sizes),
    }
}

/// The ways to the gradient of the weight of a convolution.
fn weight_grads(sizes: &Sizes) -> Vec<WeightGrad> {
    let Sizes {
        shape, from, to, ..
    } = sizes;
    let flat = is_flat(shape);
    if *from == 1 && *to < FEW && flat {
        return vec![WeightGrad::Depthwise];
    }
    let whole = |n: usize| n.next_multiple_of(Kernels::best().lanes);
    let sums = PLACES * whole(*from) * whole(*to);
    let ways = [
        (WeightGrad::Batched, true),
        (WeightGrad::Interleaved, flat && sizes.images > 1),
        (
            WeightGrad::Winograd,
            winograd(shape, *from, *to) && sums <= SUMS,
        ),
        (WeightGrad::Implicit, flat),
        (WeightGrad::FewChannels, is_3x3(shape) && *from < MANY),
        (WeightGrad::Rows, *to < FEW),
        (WeightGrad::Phases, phases(sizes)),
    ];
    possible(ways)
}

/// All ways that `conv`, whose shape is `shape`, can be computed.
#[cfg(any(test, not(target_arch = "wasm32")))]
pub(crate) fn ways(conv: &Conv, shape: &Unfold) -> Vec<Way> {
    let sizes = Sizes::of(conv, shape);
    match conv.kind {
        ConvKind::Forward => forwards(&sizes).into_iter().map(Way::Forward).collect(),
        ConvKind::InputGrad => {
            let ways = input_grads(&sizes).into_iter();
            ways.map(Way::InputGrad).collect()
        }
        ConvKind::WeightGrad => {
            let ways = weight_grads(&sizes).into_iter();
            ways.map(Way::WeightGrad).collect()
        }
    }
}

fn possible<W: Copy, const N: usize>(ways: [(W, bool); N]) -> Vec<W> {
    let possible = ways.into_iter().filter(|(_, possible)| *possible);
    possible.map(|(way, _)| way).collect()
}

/// The first of the ways that take the least time.
fn least<W: Copy>(ways: &[W], way: impl Fn(&W) -> Way, sizes: &Sizes) -> W {
    if let [only] = ways {
        return *only;
    }
    let time = |w: &&W| table::nanoseconds(way(w), &sizes.counts(way(w)));
    let mut all = ways.iter().map(|w| (time(&w), *w));
    let first = all
        .next()
        .unwrap_or_else(|| unreachable!("batched can compute everything"));
    all.fold(first, |a, b| if b.0 < a.0 { b } else { a }).1
}

/// Whether the filters of a convolution are transformed, once for all images.
pub(crate) fn has_filters(kind: ConvKind, sizes: &Sizes) -> bool {
    match kind {
        ConvKind::Forward => forward(sizes) == Forward::Winograd,
        ConvKind::InputGrad => input_grad(sizes) == InputGrad::AsForward(Forward::Winograd),
        ConvKind::WeightGrad => false,
    }
}

/// Whether a convolution of `from` planes to `to` ones can be computed by Winograd's algorithm.
fn winograd(shape: &Unfold, from: usize, to: usize) -> bool {
    is_3x3(shape) && from.min(to) >= CHANNELS
}

/// Whether a convolution can be computed by phases, and most of its vectors and products are full.
fn phases(sizes: &Sizes) -> bool {
    let planes = [sizes.from, sizes.to, phases::PHASES * phases::PLACES];
    let filters = planes
        .iter()
        .fold(sizes.groups, |n, &m| n.saturating_mul(m));
    phases::suits(&sizes.shape)
        && sizes.images > 1
        && sizes.from.min(sizes.to) >= CHANNELS
        && filters <= FILTERS
}

/// Three by three taps, stride 1, padded and not cropped, without depth.
fn is_3x3(shape: &Unfold) -> bool {
    is_flat(shape)
        && shape.kernel == [1, 3, 3]
        && shape.stride == [1; 3]
        && shape.dilation == [1; 3]
}

/// Whether pixels of several images, and of so many planes, are worth being put in order, and stay in the caches then.
fn interleaved(images: usize, shape: &Unfold, from: usize) -> bool {
    images > 1 && Interleaved::slab_len(shape, images, from) <= SLAB
}

/// Winograd's tiles of a plane.
fn tiles(shape: &Unfold) -> usize {
    winograd::tiles(shape).iter().product()
}

/// Whether planes have depth.
fn has_depth(shape: &Unfold) -> bool {
    let depth = [shape.input[0], shape.output[0], shape.kernel[0]];
    depth != [1; 3] || shape.padding[0] != 0
}

/// Whether a convolution can read its padded input in place. The columns between the lines are computed too and thrown away:
/// no more than half of all.
fn implicit(shape: &Unfold) -> bool {
    let columns = shape.output[2];
    let fits = |width: usize| columns <= width && 2 * columns >= width;
    is_flat(shape) && fits(width(shape))
}

impl Sizes {
    /// Those of `conv`, whose shape is `shape`.
    pub(crate) fn of(conv: &Conv, shape: &Unfold) -> Sizes {
        Sizes {
            shape: *shape,
            images: conv.batch,
            groups: conv.groups,
            from: conv.in_channels,
            to: conv.out_channels,
        }
    }
}
