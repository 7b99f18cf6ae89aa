//! Convolutions with three by three taps and stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin & Gray 2015, "Fast
//! Algorithms for Convolutional Neural Networks", section 4.3): 36 multiplications for a tile of four by four results
//! instead of 144. Inputs and outputs are transformed by a few additions and constants. A value that is not finite spreads
//! to its whole tile.

mod forward;
mod transform;
mod weight;

pub(crate) use forward::{Filters, Winograd};
pub(crate) use transform::PLACES;
use transform::TILE;
pub(crate) use weight::WinogradWeight;

use crate::conv::unfold::Unfold;

/// Lines and columns of the tiles of a shape.
pub(crate) fn tiles(shape: &Unfold) -> [usize; 2] {
    [1, 2].map(|d| shape.output[d].div_ceil(TILE))
}
