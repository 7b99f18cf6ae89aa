//! One dimension of a convolution of stride 2, taken apart: tap `2 * a + p` is tap `a` of phase `p`.
//!
//! ```text
//!  forward    result o     = Σ over p and a of  source[2 * (o + a) + p - padding]  * tap[2 * a + p]
//!  adjoint    result 2 * i + p - padding  =  Σ over a of  source[i - a]            * tap[2 * a + p]
//! ```
//!
//! Either way a phase is a convolution of one or two taps and stride 1, of which tiles have [`TILE`] results.

use super::transform::{SIDE, TILE};
use crate::conv::unfold::Unfold;
use std::ops::Range;

/// The stride.
pub(super) const STRIDE: usize = 2;

/// One of the two phases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    /// Taps: one or two.
    pub(super) taps: usize,
    /// Where in the source the first tile begins to read.
    window: i64,
    /// Where the first result of the first tile lies.
    first: i64,
}

/// Lines, or columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) phases: [Phase; STRIDE],
    /// Places of the source from one value of a tile to the next, and places of the result from one of its results to the next.
    from_step: usize,
    to_step: usize,
    /// Length of the source and of the result.
    pub(super) source: usize,
    pub(super) result: usize,
    /// What of the source lies before the last place that a tap reads.
    end: usize,
    pub(super) tiles: usize,
}

impl Axis {
    /// Dimension `d` of a convolution, or of the gradient of its input.
    pub(super) fn new(shape: &Unfold, d: usize, adjoint: bool) -> Axis {
        let (padding, taps) = (shape.padding[d], |p: usize| {
            (shape.kernel[d] - p).div_ceil(STRIDE)
        });
        let last = |results: usize| (STRIDE * results.saturating_sub(1)) as i64;
        if !adjoint {
            return Axis {
                phases: [0, 1].map(|p| Phase {
                    taps: taps(p),
                    window: p as i64 - padding,
                    first: 0,
                }),
                from_step: STRIDE,
                to_step: 1,
                source: shape.input[d],
                end: (last(shape.output[d]) + shape.kernel[d] as i64 - padding)
                    .clamp(0, shape.input[d] as i64) as usize,
                result: shape.output[d],
                tiles: shape.output[d].div_ceil(TILE),
            };
        }
        let (stride, source, result) = (STRIDE as i64, shape.output[d], shape.input[d]);
        // The first and the last result of a phase inside the input.
        let reach = |p: usize| p as i64 - padding;
        let mut starts = [0, 1].map(|p| (-reach(p)).div_euclid(stride) + (reach(p) & 1));
        let last = [0, 1].map(|p| (result as i64 - 1 - reach(p)).div_euclid(stride));
        let tiles = |starts: [i64; 2]| {
            let each = [0, 1].map(|p| (last[p] - starts[p] + 1).max(0) as usize);
            each[0].max(each[1]).div_ceil(TILE)
        };
        let windows = [0, 1].map(|p| starts[p] - (taps(p) as i64 - 1));
        // Where it takes no tile more, both phases read the same windows.
        let less = windows[0].min(windows[1]);
        let together = [0, 1].map(|p| starts[p] - (windows[p] - less));
        if tiles(together) == tiles(starts) {
            starts = together;
        }
        Axis {
            phases: [0, 1].map(|p| Phase {
                taps: taps(p),
                window: starts[p] - (taps(p) as i64 - 1),
                first: stride * starts[p] + reach(p),
            }),
            from_step: 1,
            to_step: STRIDE,
            end: source.min((result as i64 - 1 + padding).div_euclid(stride) as usize + 1),
            source,
            result,
            tiles: tiles(starts),
        }
    }

    /// Whether both phases read the same windows.
    pub(super) fn is_shared(&self) -> bool {
        self.from_step == 1 && self.phases[0].window == self.phases[1].window
    }

    /// What of the source the tiles read.
    pub(super) fn reads(&self, tiles: &Range<usize>) -> Range<usize> {
        let windows = self.phases.map(|p| p.window);
        let first = windows[0].min(windows[1]) + (TILE * self.from_step * tiles.start) as i64;
        let last = TILE * (tiles.end - 1) + SIDE - 1;
        let end = windows[0].max(windows[1]) + (self.from_step * last) as i64 + 1;
        let inside = |at: i64| at.clamp(0, self.source as i64) as usize;
        inside(first)..inside(end)
    }

    /// Where the values of a tile lie; none where no tap reads: values that cancel in theory would be rounded, and not all cancel.
    pub(super) fn values(&self, phase: usize, tile: usize) -> [Option<usize>; SIDE] {
        std::array::from_fn(|i| {
            let at = self.phases[phase].window + (self.from_step * (TILE * tile + i)) as i64;
            usize::try_from(at).ok().filter(|&at| at < self.end)
        })
    }

    /// Which results are those of some tiles, of all phases.
    pub(super) fn results(&self, tiles: &Range<usize>) -> Range<usize> {
        let first = self.phases.map(|p| p.first);
        let first = first[0].min(first[1]);
        let at = |tile: usize| first + (TILE * self.to_step * tile) as i64;
        let inside = |at: i64| at.clamp(0, self.result as i64) as usize;
        inside(at(tiles.start))..inside(at(tiles.end))
    }

    /// Where the results of a tile lie; none outside.
    pub(super) fn places(&self, phase: usize, tile: usize) -> [Option<usize>; TILE] {
        std::array::from_fn(|i| {
            let at = self.phases[phase].first + (self.to_step * (TILE * tile + i)) as i64;
            usize::try_from(at).ok().filter(|&at| at < self.result)
        })
    }
}
