//! The weight gradient: `Gᵀ (Σ over tiles of (A y Aᵀ) ⊙ (Bᵀ x B)) G`, channels side by side in vectors, one product of
//! matrices for each place of a tile.

use super::tiles as tiles_of;
use crate::conv::unfold::Unfold;
use crate::conv::winograd::transform::{self, PLACES, SLACK, TILE};
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{self, Block, pack};
use crate::matmul::gemm::part;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::Conv;
use std::ops::Range;

/// Floats of the transformed operands of a task.
const TASK: usize = 1 << 17;

/// A weight gradient that is computed so.
pub(crate) struct WinogradWeight<'c> {
    conv: &'c Conv,
    shape: Unfold,
    kernels: &'static Kernels,
    /// Channels of a group of the input and of the output, in whole vectors.
    from: usize,
    to: usize,
    /// Lines and columns of tiles.
    tiles: [usize; 2],
    /// Lines of tiles summed at once.
    lines: usize,
    /// Slabs summed at once, if all lines are.
    together: usize,
}

impl<'c> WinogradWeight<'c> {
    /// The plan for `conv`, which [`choice`](crate::conv::choice) lets through.
    pub(crate) fn new(conv: &'c Conv, shape: &Unfold) -> Self {
        let kernels = Kernels::best();
        let from = conv.in_channels.next_multiple_of(kernels.lanes);
        let to = conv.out_channels.next_multiple_of(kernels.lanes);
        let tiles = tiles_of(shape);
        let most = (TASK / (PLACES * (from + to) * tiles[1])).max(1);
        let together = (most / tiles[0]).max(1);
        let bands = tiles[0].div_ceil(most);
        WinogradWeight {
            conv,
            shape: *shape,
            kernels,
            from,
            to,
            tiles,
            lines: tiles[0].div_ceil(bands),
            together,
        }
    }

    /// Bands of an image.
    pub(crate) fn bands(&self) -> usize {
        self.tiles[0].div_ceil(self.lines)
    }

    /// Channels of a row of a partial sum.
    pub(crate) fn channels(&self) -> usize {
        self.from
    }

    /// The sum over some bands, `[groups, out channels, taps, channels]`.
    pub(crate) fn part(
        &self,
        operands: (Floats<'_>, Floats<'_>),
        items: Range<usize>,
        out: &mut [f32],
    ) {
        let bands = self.bands();
        let Conv {
            groups,
            out_channels,
            ..
        } = *self.conv;
        let row = self.from;
        let plane = out_channels * row + SLACK;
        with_scratch(PLACES * plane, |sums| {
            for (g, out) in (0..groups).zip(out.chunks_exact_mut(out_channels * 9 * row)) {
                for first in items.clone().step_by(self.together) {
                    let next = (first + self.together).min(items.end);
                    let (slab, band) = (|item| item / bands * groups + g, first % bands);
                    let lines = band * self.lines..((band + 1) * self.lines).min(self.tiles[0]);
                    let slabs = (first..next).map(slab);
                    let add = first > items.start;
                    self.item(operands, slabs, lines, (sums, plane), add);
                }
                for (o, out) in out.chunks_exact_mut(9 * row).enumerate() {
                    transform::taps(&sums[o * row..], plane, row, out, row);
                }
            }
        });
    }

    /// One band of each of some slabs, added to `sums` or their beginning.
    fn item(
        &self,
        (x, y): (Floats<'_>, Floats<'_>),
        slabs: impl ExactSizeIterator<Item = usize>,
        lines: Range<usize>,
        (sums, sums_plane): (&mut [f32], usize),
        add: bool,
    ) {
        let (from, to) = (self.conv.in_channels, self.conv.out_channels);
        let [_, columns] = self.tiles;
        let each = lines.len() * columns;
        let n = slabs.len() * each;
        let (inputs_plane, upstream_plane) = (n * self.from + SLACK, n * self.to + SLACK);
        // Pixels, channels side by side: lines as long as the tiles read.
        let [height, width] = [TILE * lines.len(), TILE * columns];
        let input_line = (width + 2) * self.from;
        let upstream_line = width * self.to;
        let input_pixels = (height + 2) * input_line;
        let upstream_pixels = height * upstream_line;
        let room = [
            PLACES * inputs_plane,
            PLACES * upstream_plane,
            input_pixels + pack::SLACK,
            upstream_pixels + pack::SLACK,
        ]
        .map(|floats| floats.next_multiple_of(16));
        with_scratch(room.iter().sum(), |scratch| {
            let (inputs, scratch) = scratch.split_at_mut(room[0]);
            let (upstream, scratch) = scratch.split_at_mut(room[1]);
            let (input_pixels, upstream_pixels) = scratch.split_at_mut(room[2]);
            for (i, slab) in slabs.enumerate() {
                let [x_len, y_len] = [from * self.shape.plane(), to * self.shape.positions()];
                let (x, y) = (x.slab(slab * x_len, x_len), y.slab(slab * y_len, y_len));
                let pad = [1, 2].map(|d| self.shape.padding[d] as usize);
                let first = TILE * lines.start;
                let sizes = |s: [usize; 3]| [s[1], s[2]];
                pixels(
                    (x, from, sizes(self.shape.input)),
                    (first, pad),
                    (input_pixels, self.from, [height + 2, width + 2]),
                );
                pixels(
                    (y, to, sizes(self.shape.output)),
                    (first, [0, 0]),
                    (upstream_pixels, self.to, [height, width]),
                );
                for line in 0..lines.len() {
                    let at = i * each + line * columns;
                    transform::input_channels(
                        &input_pixels[TILE * line * input_line..],
                        input_line,
                        self.from,
                        columns,
                        &mut inputs[at * self.from..],
                        inputs_plane,
                    );
                    transform::upstream_channels(
                        &upstream_pixels[TILE * line * upstream_line..],
                        upstream_line,
                        self.to,
                        columns,
                        &mut upstream[at * self.to..],
                        upstream_plane,
                    );
                }
            }
            for t in 0..PLACES {
                self.product(
                    n,
                    &upstream[t * upstream_plane..],
                    &inputs[t * inputs_plane..],
                    &mut sums[t * sums_plane..],
                    add,
                );
            }
        });
    }

    /// `sums[o, c] (+)= Σ over n tiles p of upstream[p, o] * inputs[p, c]`.
    fn product(&self, n: usize, upstream: &[f32], inputs: &[f32], sums: &mut [f32], add: bool) {
        let (kernels, to) = (self.kernels, self.conv.out_channels);
        let panels = to.div_ceil(kernels.rows());
        for c in (0..self.from).step_by(kernels.cols()) {
            let cols = (self.from - c).min(kernels.cols());
            for panel in 0..panels {
                let (first, next) = (part(to, panel, panels), part(to, panel + 1, panels));
                let tile = Tile {
                    k: n,
                    a: upstream[first..].as_ptr(),
                    a_step: self.to,
                    b: inputs[c..].as_ptr(),
                    source: Source::Strided(self.from),
                    c: sums[first * self.from + c..].as_mut_ptr(),
                    c_row: self.from,
                    cols,
                    add,
                };
                // SAFETY: both operands have `n` rows of whole vectors, the sums a row for each output plane; the kernel is
                // one of this processor's.
                unsafe { (kernels.tiles[next - first - 1][cols / kernels.lanes - 1])(&tile) };
            }
        }
    }
}

/// Lines of the planes `x`, from padded line `first` on, as pixels with their `channels` channels side by side and zeros
/// where there is no pixel.
fn pixels(
    (x, planes, [height, width]): (Floats<'_>, usize, [usize; 2]),
    (first, [up, left]): (usize, [usize; 2]),
    (out, channels, [lines, columns]): (&mut [f32], usize, [usize; 2]),
) {
    let inside = first.max(up) - up..(first + lines).saturating_sub(up).min(height);
    let block = Block {
        data: x,
        at: inside.start * width,
        across: height * width,
        along: 1,
    };
    let count = inside.len() * width;
    let (above, line) = (inside.start + up - first, columns * channels);
    if left == 0 && width == columns {
        // Lines lie one after the other here too.
        let end = (above + inside.len()) * line;
        pack(block, planes, count, channels, &mut out[above * line..]);
        out[..above * line].fill(0.0);
        out[end..].fill(0.0);
        return;
    }
    out.fill(0.0);
    // A cropped plane reaches further than any tile.
    let len = width.min(columns - left) * channels;
    with_scratch(count * channels + pack::SLACK, |pixels| {
        pack(block, planes, count, channels, pixels);
        let pixels = pixels.chunks_exact(width * channels);
        let out = out[(above * columns + left) * channels..].chunks_mut(line);
        for (pixels, out) in pixels.zip(out) {
            out[..len].copy_from_slice(&pixels[..len]);
        }
    });
}
