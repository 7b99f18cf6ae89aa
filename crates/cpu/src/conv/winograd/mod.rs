//! Convolutions with three by three taps and stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin & Gray 2015, "Fast
//! Algorithms for Convolutional Neural Networks", section 4.3): 36 multiplications for a tile of four by four results
//! instead of 144. Inputs and outputs are transformed by a few additions and constants. A value that is not finite spreads
//! to its whole tile.

mod forward;
mod transform;
mod weight;

pub(crate) use forward::{Filters, Winograd};
pub(crate) use weight::WinogradWeight;

use crate::conv::implicit::is_flat;
use crate::conv::unfold::Unfold;

/// With fewer channels on either side the transforms cost what the multiplications save.
const FEWEST: usize = 16;

/// Planes with fewer positions leave too much of their tiles empty.
const POSITIONS: usize = 36;

/// Whether a convolution of `from` planes to `to` ones can be computed so and is large enough.
fn suits(shape: &Unfold, from: usize, to: usize) -> bool {
    is_flat(shape)
        && shape.kernel == [1, 3, 3]
        && shape.stride == [1; 3]
        && shape.dilation == [1; 3]
        && from.min(to) >= FEWEST
        && shape.positions() >= POSITIONS
}

/// Lines and columns of tiles.
fn tiles(shape: &Unfold) -> [usize; 2] {
    [1, 2].map(|d| shape.output[d].div_ceil(transform::TILE))
}
