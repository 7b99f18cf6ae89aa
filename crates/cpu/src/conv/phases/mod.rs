//! Convolutions of stride 2 with three or four taps a side, by phases: taps at even and at odd places are convolutions of one or two
//! taps and stride 1, and those are computed by Winograd's minimal filtering F(4x4, 2x2), twenty-five multiplications for a tile of
//! four by four results instead of sixty-four. All four pairs of phases are sums of the same products, so the results are transformed
//! once:
//!
//! ```text
//!  input (stride 2)          ┌─ even lines, even columns ─┐
//!   a b a b a b      phases  │  even lines, odd columns   │  Bᵀ d B   25 products of matrices   Aᵀ m A
//!   c d c d c d     ───────► │  odd lines, even columns   │ ────────► [to × 4 from] · [4 from × tiles]  ───► results
//!   a b a b a b              └─ odd lines, odd columns  ──┘
//! ```
//!
//! The gradient of the input is the same from right to left: each phase has results of its own, at every second place. That of the
//! weight sums the products of a transformed input with the transformed upstream gradient over all tiles. Images lie side by side in
//! vectors ([`product`]), or channels ([`weight`]). A value that is not finite spreads to its whole tile. How the work is cut changes
//! no bit.

mod axis;
pub(crate) mod product;
mod transform;
pub(crate) mod weight;

pub(crate) use transform::PLACES;

use crate::conv::unfold::Unfold;
use axis::{Axis, STRIDE};
use transform::SIDE;

/// Pairs of phases of lines and columns.
pub(crate) const PHASES: usize = STRIDE * STRIDE;

/// Floats between what lies at the same distance, so that it does not meet in one set of a cache.
const SLACK: usize = 16;

/// Whether a convolution of this shape can be computed by phases.
pub(crate) fn suits(shape: &Unfold) -> bool {
    let flat = [shape.input[0], shape.output[0], shape.kernel[0]] == [1; 3];
    flat && shape.padding[0] == 0
        && [1, 2].iter().all(|&d| {
            (3..=4).contains(&shape.kernel[d])
                && shape.stride[d] == STRIDE
                && shape.dilation[d] == 1
        })
}

/// Lines and columns.
fn axes(shape: &Unfold, adjoint: bool) -> [Axis; 2] {
    [1, 2].map(|d| Axis::new(shape, d, adjoint))
}

/// Whether a pair of phases adds anything to a place.
fn is_active(axes: &[Axis; 2], place: usize, pair: usize) -> bool {
    let last = SIDE - 1;
    let [down, right] = [0, 1].map(|d| axes[d].phases[phase(pair, d)].taps > 1);
    (down || place / SIDE < last) && (right || place % SIDE < last)
}

/// A pair's phase of lines or of columns.
fn phase(pair: usize, d: usize) -> usize {
    match d {
        0 => pair / STRIDE,
        _ => pair % STRIDE,
    }
}

/// How many pairs before `pair` add something to a place.
fn slot(axes: &[Axis; 2], place: usize, pair: usize) -> usize {
    (0..pair).filter(|&p| is_active(axes, place, p)).count()
}
