//! The weight gradient of flat convolutions as products that never write the unfolded input: pixels are copied with
//! their channels side by side and zeros around the planes, so that what a tap multiplies with a position is a row of
//! the right operand, found through a table of one offset for each position. Knows no other product.

use crate::conv::implicit::{column, gap, reach, tap_offset};
use crate::conv::unfold::Unfold;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{Block, SLACK, pack};
use crate::matmul::gemm::pack_left;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::Conv;
use std::ops::Range;

/// Positions summed at once.
const POSITIONS: usize = 1024;

/// A weight gradient that can be computed so.
pub(crate) struct FlatWeight<'c> {
    conv: &'c Conv,
    shape: Unfold,
    kernels: &'static Kernels,
    /// Channels of a group, in whole vectors.
    channels: usize,
    /// Width of a line with the zeros between it and the next.
    width: usize,
    /// Output lines summed at once.
    lines: usize,
}

impl<'c> FlatWeight<'c> {
    /// The plan for `conv`, which [`choice`](super::choice) lets through.
    pub(crate) fn new(conv: &'c Conv, shape: &Unfold) -> Self {
        let kernels = Kernels::best();
        let [_, lines, columns] = shape.output;
        let bands = lines.div_ceil((POSITIONS / columns).max(1));
        FlatWeight {
            conv,
            shape: *shape,
            kernels,
            channels: conv.in_channels.next_multiple_of(kernels.lanes),
            width: shape.input[2] + gap(shape),
            lines: lines.div_ceil(bands),
        }
    }

    /// Bands of an image.
    pub(crate) fn bands(&self) -> usize {
        self.shape.output[1].div_ceil(self.lines)
    }

    /// Channels of a row of a partial sum.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// The sum over some bands, `[groups, out channels, taps, channels]`.
    pub(crate) fn part(
        &self,
        (x, y): (Floats<'_>, Floats<'_>),
        items: Range<usize>,
        out: &mut [f32],
    ) {
        let (bands, table) = (self.bands(), self.table());
        for item in items.clone() {
            let (image, band) = (item / bands, item % bands);
            let lines = band * self.lines..((band + 1) * self.lines).min(self.shape.output[1]);
            self.item((x, y, &table), image, lines, out, item > items.start);
        }
    }

    /// Floats of a row of a partial sum: taps, each with the channels side by side.
    fn row(&self) -> usize {
        self.shape.taps() * self.channels
    }

    /// Where positions begin to read.
    fn table(&self) -> Vec<usize> {
        let [_, down, right] = self.shape.stride;
        let columns = self.shape.output[2];
        let pixel = |p: usize| p / columns * down * self.width + p % columns * right;
        (0..self.lines * columns)
            .map(|p| pixel(p) * self.channels)
            .collect()
    }

    /// One band of one image, added to `partial` or its beginning.
    fn item(
        &self,
        (x, y, table): (Floats<'_>, Floats<'_>, &[usize]),
        image: usize,
        lines: Range<usize>,
        partial: &mut [f32],
        add: bool,
    ) {
        let (groups, from, to) = (
            self.conv.groups,
            self.conv.in_channels,
            self.conv.out_channels,
        );
        let (plane, positions, columns) = (
            self.shape.plane(),
            self.shape.positions(),
            self.shape.output[2],
        );
        let k = lines.len() * columns;
        let height = (self.lines - 1) * self.shape.stride[1] + reach(&self.shape) + 1;
        let pixels = self.shape.padding[2] as usize
            + height * self.width
            + self.shape.kernel[2] * self.shape.dilation[2];
        let room = (pixels * self.channels + SLACK).next_multiple_of(16);
        with_scratch(room + to * k + SLACK, |scratch| {
            let (padded, left) = scratch.split_at_mut(room);
            for g in 0..groups {
                let slab = image * groups + g;
                self.pad(
                    x.slab(slab * from * plane, from * plane),
                    lines.start,
                    height,
                    padded,
                );
                let block = Block {
                    data: y,
                    at: slab * to * positions + lines.start * columns,
                    across: positions,
                    along: 1,
                };
                pack_left(block, to, to.div_ceil(self.kernels.rows()), k, left);
                self.products(
                    left,
                    padded,
                    &table[..k],
                    &mut partial[g * to * self.row()..][..to * self.row()],
                    add,
                );
            }
        });
    }

    /// A product for each tap.
    fn products(&self, left: &[f32], padded: &[f32], table: &[usize], out: &mut [f32], add: bool) {
        let Kernels { lanes, .. } = *self.kernels;
        for c in (0..self.channels).step_by(self.kernels.cols()) {
            let cols = (self.channels - c).min(self.kernels.cols());
            debug_assert!(cols.is_multiple_of(lanes));
            for t in 0..self.shape.taps() {
                let at = tap_offset(&self.shape, self.width, t) * self.channels + c;
                let tile = Tile {
                    k: table.len(),
                    a: left.as_ptr(),
                    a_step: 0,
                    b: padded[at..].as_ptr(),
                    source: Source::Table(table.as_ptr()),
                    c: out[t * self.channels + c..].as_mut_ptr(),
                    c_row: self.row(),
                    cols,
                    add,
                };
                // SAFETY: the padded pixels hold every tap of every position of the table with all channels, `out` a
                // row for each output plane.
                unsafe { column(self.kernels, tile, self.conv.out_channels) };
            }
        }
    }

    /// The pixels that the band from output line `first` on reads, channels side by side, zeros around the planes.
    fn pad(&self, x: Floats<'_>, first: usize, height: usize, out: &mut [f32]) {
        let [_, lines, columns] = self.shape.input;
        let (up, left) = (
            self.shape.padding[1] as usize,
            self.shape.padding[2] as usize,
        );
        out.fill(0.0);
        for line in 0..height {
            let Some(y) = (first * self.shape.stride[1] + line)
                .checked_sub(up)
                .filter(|&y| y < lines)
            else {
                continue;
            };
            let block = Block {
                data: x,
                at: y * columns,
                across: self.shape.plane(),
                along: 1,
            };
            let at = (left + line * self.width) * self.channels;
            pack(
                block,
                self.conv.in_channels,
                columns,
                self.channels,
                &mut out[at..],
            );
        }
    }
}
