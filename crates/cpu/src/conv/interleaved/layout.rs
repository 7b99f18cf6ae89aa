//! How the input lies while it is read: line by line, of a line channel by channel, of that the pixels of a part side by side, and
//! of a pixel the images. Left and right of the pixels are as many zeros as taps reach; above and below is nothing.

use super::Interleaved;
use crate::matmul::gemm::Out;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::pack::{Block, SLACK, pack};
use crate::matmul::gemm::scratch::with_scratch;
use std::ops::Range;

/// Floats of a plane that are put in order at once: half a first-level cache.
const PIECE: usize = 1 << 12;

/// The layout for a number of images.
pub(super) struct Layout {
    /// Images side by side, or columns where every pixel is one.
    pub(super) images: usize,
    /// Floats of the whole.
    pub(super) len: usize,
    /// Floats of a line of all channels.
    pub(super) line: usize,
    /// Floats before the first line.
    before: usize,
    /// Floats of a line of a channel.
    cell: usize,
    /// Pixels of a part of a line.
    width: usize,
    /// Zeros left of these.
    left: usize,
    /// Where the steps of a sum begin to read for the first result of a phase: by phase of columns, then of lines.
    pub(super) tables: Vec<Vec<Vec<usize>>>,
}

impl Layout {
    pub(super) fn new(way: &Interleaved, images: usize) -> Layout {
        let (rows, columns) = (&way.rows, &way.columns);
        let [height, wide] = way.source;
        let images = images * way.pixels;
        let taps = || {
            columns
                .phases
                .iter()
                .flat_map(|p| p.taps.iter().map(move |t| (p, t)))
        };
        let left = taps().map(|(_, tap)| -tap.shift).max().unwrap_or(0).max(0);
        let last = |(p, tap): (&super::axis::Phase, &super::axis::Tap)| {
            (p.count as i64 - 1 + tap.shift).max(0)
        };
        let pixels = wide.div_ceil(columns.parts) as i64;
        let width = (left + taps().map(last).max().unwrap_or(0).max(pixels - 1) + 1) as usize;
        let cell = columns.parts * width * images;
        let line = way.from * cell;
        let shift = |tap: &super::axis::Tap| tap.shift * rows.parts as i64 + tap.part as i64;
        let downs = rows.phases.iter().flat_map(|p| &p.taps);
        let above = downs.map(|tap| -shift(tap)).max().unwrap_or(0).max(0) as usize;
        let before = above * line;
        let table = |p: &super::axis::Phase, q: &super::axis::Phase| {
            let mut table = Vec::with_capacity(q.taps.len() * way.from * p.taps.len());
            for down in &q.taps {
                let at = (above as i64 + shift(down)) as usize * line;
                for c in 0..way.from {
                    table.extend(p.taps.iter().map(|right| {
                        let pixel = right.part * width + (left + right.shift).max(0) as usize;
                        at + c * cell + pixel * images
                    }));
                }
            }
            table
        };
        let of_columns = columns.phases.iter();
        let tables = of_columns.map(|p| rows.phases.iter().map(|q| table(p, q)).collect());
        Layout {
            images,
            // A vector of the last columns may reach beyond them.
            len: (before + height * line + 32).next_multiple_of(16),
            line,
            before,
            cell,
            width,
            left: left as usize,
            tables: tables.collect(),
        }
    }

    /// Puts channel `c` of group `g` of some images in order.
    ///
    /// # Safety
    /// `out` is the whole, of which nobody else touches this channel.
    pub(super) unsafe fn fill(
        &self,
        way: &Interleaved,
        (x, g, c): (Floats<'_>, usize, usize),
        images: Range<usize>,
        out: Out,
    ) {
        let [height, width] = way.source;
        let plane = height * width * way.pixels;
        let at = |image: usize| ((image * way.groups + g) * way.from + c) * plane;
        // SAFETY: the caller's.
        let cell = |line: usize| unsafe {
            let at = out.from(self.before + line * self.line + c * self.cell).at;
            std::slice::from_raw_parts_mut(at, self.cell)
        };
        if way.pixels > 1 {
            for (out, image) in cell(0).chunks_exact_mut(plane).zip(images) {
                x.copy(at(image), out);
            }
            return;
        }
        let n = self.images;
        let lines = (PIECE / (width * n)).clamp(1, height);
        with_scratch(lines * width * n + SLACK, |turned| {
            for first in (0..height).step_by(lines) {
                let lines = lines.min(height - first);
                let block = Block {
                    data: x,
                    at: at(images.start) + first * width,
                    across: way.groups * way.from * plane,
                    along: 1,
                };
                pack(block, n, lines * width, n, turned);
                for (i, turned) in turned.chunks_exact(width * n).take(lines).enumerate() {
                    self.line_of(way.columns.parts, turned, cell(first + i));
                }
            }
        });
    }

    /// A line of a channel: pixels by part, zeros around them.
    fn line_of(&self, parts: usize, line: &[f32], out: &mut [f32]) {
        let n = self.images;
        for (part, out) in out.chunks_exact_mut(self.width * n).enumerate() {
            let (zeros, out) = out.split_at_mut(self.left * n);
            zeros.fill(0.0);
            let count = match parts {
                1 => {
                    out[..line.len()].copy_from_slice(line);
                    line.len()
                }
                _ => {
                    let pixels = line.chunks_exact(n).skip(part).step_by(parts);
                    let mut count = 0;
                    for (out, pixel) in out.chunks_exact_mut(n).zip(pixels) {
                        copy_pixel(pixel, out);
                        count += n;
                    }
                    count
                }
            };
            out[count..].fill(0.0);
        }
    }
}

/// A pixel of some images, most often one or two vectors.
#[inline]
pub(super) fn copy_pixel(from: &[f32], to: &mut [f32]) {
    match from.len() {
        16 => to[..16].copy_from_slice(&from[..16]),
        32 => to[..32].copy_from_slice(&from[..32]),
        _ => to.copy_from_slice(from),
    }
}
