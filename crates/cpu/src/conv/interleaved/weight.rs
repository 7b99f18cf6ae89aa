//! The gradient of the weight of flat convolutions as a product over the positions of several images. Pixels are copied with
//! channels side by side, so that what a tap multiplies with a position is a row of the right operand, found through a table of
//! one offset for each position; the upstream gradient is packed once. A task has all taps of some planes and channels, and sums
//! over all images before anything leaves the cache: a weight is written once, however large. Knows no other product.

use crate::conv::unfold::Unfold;
use crate::matmul::axpy;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{Block, SLACK, pack};
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Out, part};
use crate::plan::Conv;
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::ops::Range;

/// Positions whose products are summed in registers, about.
const DEPTH: usize = 1024;

/// Tasks that a weight gradient is cut into at least, by partial sums if it is small.
const PIECES: usize = 16;

/// Most elements of all partial sums together.
const PARTIALS: usize = 1 << 22;

/// Panels of the left operand that a task takes.
const PANELS: usize = 4;

/// A weight gradient that is computed so.
pub(crate) struct Weight {
    shape: Unfold,
    images: usize,
    groups: usize,
    from: usize,
    to: usize,
    kernels: &'static Kernels,
    /// Images whose positions are steps of one sum.
    together: usize,
    /// Pixels of a line with the zeros around it.
    width: usize,
}

/// Some images and how their pixels lie.
struct Images {
    images: Range<usize>,
    /// Floats of the pixels of a chunk of `channels` channels, for each number of them; the table of offsets.
    tables: [Table; 2],
}

/// Where positions begin to read, for chunks of one or two vectors of channels.
struct Table {
    /// Floats of a line of all images, and before the first one.
    line: usize,
    before: usize,
    offsets: Vec<usize>,
}

/// What all tasks read: pixels and panels, block by block of images.
struct Operands<'o> {
    blocks: &'o [Images],
    pixels: &'o [f32],
    panels: &'o [f32],
}

impl Weight {
    /// Of `conv`, which has no depth.
    pub(crate) fn of(conv: &Conv, shape: &Unfold) -> Weight {
        let kernels = Kernels::best();
        let last =
            (shape.output[2] - 1) * shape.stride[2] + shape.dilation[2] * (shape.kernel[2] - 1);
        let fit = (DEPTH / shape.positions()).clamp(1, conv.batch);
        Weight {
            shape: *shape,
            images: conv.batch,
            groups: conv.groups,
            from: conv.in_channels,
            to: conv.out_channels,
            kernels,
            together: conv.batch.div_ceil(conv.batch.div_ceil(fit)),
            width: (shape.padding[2] as usize + shape.input[2]).max(last + 1),
        }
    }

    fn blocks(&self) -> Vec<Images> {
        let firsts = (0..self.images).step_by(self.together);
        let of = |first: usize| {
            let images = first..(first + self.together).min(self.images);
            let table = |vectors: usize| self.table(images.len(), vectors * self.kernels.lanes);
            Images {
                tables: [table(1), table(2)],
                images,
            }
        };
        firsts.map(of).collect()
    }

    fn table(&self, images: usize, channels: usize) -> Table {
        let [_, lines, columns] = self.shape.output;
        let [_, down, right] = self.shape.stride;
        let of_image = self.width * channels;
        let line = images * of_image;
        let mut offsets = Vec::with_capacity(lines * columns * images);
        for i in 0..lines {
            for n in 0..images {
                let at = i * down * line + n * of_image;
                offsets.extend((0..columns).map(|j| at + j * right * channels));
            }
        }
        Table {
            line,
            before: self.shape.padding[1] as usize * line,
            offsets,
        }
    }

    /// Chunks of channels of a group.
    fn chunks(&self) -> usize {
        self.from.div_ceil(self.kernels.cols())
    }

    /// Channels of a chunk, and of the vectors that hold them.
    fn chunk(&self, i: usize) -> (Range<usize>, usize) {
        let first = i * self.kernels.cols();
        let channels = first..(first + self.kernels.cols()).min(self.from);
        let whole = channels.len().next_multiple_of(self.kernels.lanes);
        (channels, whole)
    }

    fn table_of<'i>(&self, images: &'i Images, channels: usize) -> &'i Table {
        &images.tables[channels / self.kernels.lanes - 1]
    }

    /// Floats of the pixels of an image, all channels of a group and what lies before them.
    fn pixels_len(&self, images: usize) -> usize {
        let lines = self.shape.input[1] + self.shape.padding[1] as usize;
        let whole = self.from.next_multiple_of(self.kernels.lanes);
        images * lines * self.width * whole
    }

    /// Parts of the batch that are summed one by one. By shape alone.
    fn parts(&self, blocks: usize) -> usize {
        let len = self.groups * self.to * self.from * self.shape.taps();
        let tasks = self.groups * self.chunks() * self.to.div_ceil(self.kernels.rows());
        let most = (PARTIALS / len).max(1);
        PIECES.div_ceil(tasks).min(most).clamp(1, blocks)
    }

    /// Bytes of the buffers that [`Weight::run`] takes while it runs: operands in order, partial sums.
    pub(crate) fn step_bytes(&self) -> [usize; 2] {
        let operands = self.groups * (self.pixels_len(self.images) + self.panels_len(self.images));
        let parts = self.parts(self.images.div_ceil(self.together));
        let sums = self.groups * self.to * self.from * self.shape.taps();
        [4 * operands, if parts == 1 { 0 } else { 4 * parts * sums }]
    }

    fn panels_len(&self, images: usize) -> usize {
        images * self.to * self.shape.positions()
    }

    /// `out[g, o, c, t] = Σ over images and positions p of y[g, o, p] * x[g, c, p * stride + t * dilation - padding]`.
    pub(crate) fn run(&self, x: Floats<'_>, y: Floats<'_>, out: &mut [f32], par: Par) {
        let blocks = self.blocks();
        let pixels = self.groups * self.pixels_len(self.images);
        let mut operands =
            HostBufferMut::within_step(4 * (pixels + self.groups * self.panels_len(self.images)));
        let (pixels, panels) = operands.slice_mut::<f32>().split_at_mut(pixels);
        self.order(&blocks, (x, y), (pixels, panels), par);
        let operands = Operands {
            blocks: &blocks,
            pixels,
            panels,
        };
        let (parts, len) = (self.parts(blocks.len()), out.len());
        if parts == 1 {
            return self.sum(&operands, 1, out, par);
        }
        let mut partials = HostBufferMut::within_step(4 * parts * len);
        let partials = &mut partials.slice_mut::<f32>()[..parts * len];
        self.sum(&operands, parts, partials, par);
        out.copy_from_slice(&partials[..len]);
        let later = partials[len..].chunks_exact(len);
        later.for_each(|partial| axpy(1.0, partial, out));
    }

    /// Both operands in order.
    fn order(
        &self,
        blocks: &[Images],
        (x, y): (Floats<'_>, Floats<'_>),
        (pixels, panels): (&mut [f32], &mut [f32]),
        par: Par,
    ) {
        let rows = self.to.div_ceil(self.kernels.rows());
        let chunks = self.chunks();
        let start = |slice: &mut [f32]| Out {
            at: slice.as_mut_ptr(),
            row: 0,
        };
        let (pixels, panels) = (start(pixels), start(panels));
        let work = self.images * self.groups;
        par.neighbours(work * (chunks + rows), |i| {
            let (slab, i) = (i % work, i / work);
            let (image, g) = (slab / self.groups, slab % self.groups);
            let block = &blocks[image / self.together];
            // SAFETY: chunks and panels of images do not overlap, and the memory holds all of them.
            unsafe {
                match i < chunks {
                    true => self.pixels_of(block, (x, image, g), i, pixels),
                    false => self.panel_of(block, (y, image, g), i - chunks, panels),
                }
            }
        });
    }

    /// Where the pixels of a chunk of channels of a block and a group begin.
    fn pixels_at(&self, block: &Images, g: usize, chunk: usize) -> usize {
        let before = self.groups * self.pixels_len(block.images.start);
        let of_block = self.pixels_len(block.images.len());
        let lines = self.shape.input[1] + self.shape.padding[1] as usize;
        let each = block.images.len() * lines * self.width * self.kernels.cols();
        before + g * of_block + chunk * each
    }

    /// Where a panel of a block and a group begins.
    fn panel_at(&self, block: &Images, g: usize, panel: usize) -> usize {
        let first = part(self.to, panel, self.to.div_ceil(self.kernels.rows()));
        let n = block.images.len();
        self.groups * self.panels_len(block.images.start)
            + (g * self.to + first) * n * self.shape.positions()
    }

    /// The pixels of a chunk of channels of an image.
    ///
    /// # Safety
    /// `out` holds those of all images, and nobody else touches these.
    unsafe fn pixels_of(
        &self,
        block: &Images,
        (x, image, g): (Floats<'_>, usize, usize),
        chunk: usize,
        out: Out,
    ) {
        let (channels, whole) = self.chunk(chunk);
        let [_, height, width] = self.shape.input;
        let plane = height * width;
        let table = self.table_of(block, whole);
        let left = self.shape.padding[2] as usize;
        let from = Block {
            data: x,
            at: ((image * self.groups + g) * self.from + channels.start) * plane,
            across: plane,
            along: 1,
        };
        let at = self.pixels_at(block, g, chunk)
            + table.before
            + (image - block.images.start) * self.width * whole;
        with_scratch(plane * whole + SLACK, |turned| {
            pack(from, channels.len(), plane, whole, turned);
            for (i, line) in turned.chunks_exact(width * whole).enumerate().take(height) {
                // SAFETY: the caller's.
                let out = unsafe {
                    std::slice::from_raw_parts_mut(
                        out.from(at + i * table.line).at,
                        self.width * whole,
                    )
                };
                let (zeros, out) = out.split_at_mut(left * whole);
                zeros.fill(0.0);
                out[..line.len()].copy_from_slice(line);
                out[line.len()..].fill(0.0);
            }
        });
    }

    /// A panel of the upstream gradient of an image: position by position, the planes side by side.
    ///
    /// # Safety
    /// As for [`Weight::pixels_of`].
    unsafe fn panel_of(
        &self,
        block: &Images,
        (y, image, g): (Floats<'_>, usize, usize),
        panel: usize,
        out: Out,
    ) {
        let all = self.to.div_ceil(self.kernels.rows());
        let planes = part(self.to, panel, all)..part(self.to, panel + 1, all);
        let (positions, columns) = (self.shape.positions(), self.shape.output[2]);
        let (n, rows) = (block.images.len(), planes.len());
        let from = Block {
            data: y,
            at: ((image * self.groups + g) * self.to + planes.start) * positions,
            across: positions,
            along: 1,
        };
        let at = self.panel_at(block, g, panel) + (image - block.images.start) * columns * rows;
        with_scratch(positions * rows + SLACK, |turned| {
            pack(from, rows, positions, rows, turned);
            let lines = turned.chunks_exact(columns * rows);
            for (i, line) in lines.take(self.shape.output[1]).enumerate() {
                // SAFETY: the caller's.
                let out = unsafe {
                    std::slice::from_raw_parts_mut(
                        out.from(at + i * n * columns * rows).at,
                        line.len(),
                    )
                };
                out.copy_from_slice(line);
            }
        });
    }

    /// All tasks: `parts` sums one after another in `out`.
    fn sum(&self, operands: &Operands<'_>, parts: usize, out: &mut [f32], par: Par) {
        let all = self.to.div_ceil(self.kernels.rows());
        let chunks = self.chunks();
        let of = |panels: usize| parts * self.groups * chunks * all.div_ceil(panels);
        let panels = (1..=PANELS.min(all)).rev();
        let panels = panels
            .into_iter()
            .find(|&p| p == 1 || of(p) >= 3 * par.threads())
            .unwrap_or(1);
        let pieces = all.div_ceil(panels);
        let len = self.groups * self.to * self.from * self.shape.taps();
        let out = Out {
            at: out.as_mut_ptr(),
            row: 0,
        };
        par.for_each(parts * self.groups * chunks * pieces, |i| {
            let (i, piece) = (i / pieces, i % pieces);
            let (i, chunk) = (i / chunks, i % chunks);
            let (p, g) = (i / self.groups, i % self.groups);
            let count = operands.blocks.len();
            let blocks = part(count, p, parts)..part(count, p + 1, parts);
            let panels = piece * panels..((piece + 1) * panels).min(all);
            // SAFETY: tasks write planes and channels of their own, which `out` holds.
            unsafe { self.task(operands, blocks, (g, chunk, panels), out.from(p * len)) };
        });
    }

    /// Output lines for which a tap's line lies inside the input.
    fn lines_inside(&self, down: usize) -> Range<usize> {
        let (stride, height) = (self.shape.stride[1], self.shape.input[1]);
        let reach = down * self.shape.dilation[1];
        let up = self.shape.padding[1] as usize;
        let first = up.saturating_sub(reach).div_ceil(stride);
        let end = (height + up).saturating_sub(reach).div_ceil(stride);
        first..end.min(self.shape.output[1]).max(first)
    }

    /// # Safety
    /// `out` is a whole weight, of which nobody else touches these planes and channels.
    unsafe fn task(
        &self,
        operands: &Operands<'_>,
        blocks: Range<usize>,
        (g, chunk, panels): (usize, usize, Range<usize>),
        out: Out,
    ) {
        let taps = self.shape.taps();
        let all = self.to.div_ceil(self.kernels.rows());
        let planes = part(self.to, panels.start, all)..part(self.to, panels.end, all);
        let (channels, whole) = self.chunk(chunk);
        let row = taps * whole;
        with_scratch(planes.len() * row, |sums| {
            for (i, block) in operands.blocks[blocks].iter().enumerate() {
                let pixels = &operands.pixels[self.pixels_at(block, g, chunk)..];
                for panel in panels.clone() {
                    let first = part(self.to, panel, all);
                    let rows = part(self.to, panel + 1, all) - first;
                    let left = &operands.panels[self.panel_at(block, g, panel)..];
                    let sums = &mut sums[(first - planes.start) * row..][..rows * row];
                    self.taps(block, (pixels, left), (rows, whole), sums, i > 0);
                }
            }
            let place = |o: usize, c: usize| ((g * self.to + o) * self.from + c) * taps;
            for (o, sums) in planes.clone().zip(sums.chunks_exact(row)) {
                // SAFETY: the caller's.
                let out = unsafe {
                    let at = out.from(place(o, channels.start)).at;
                    std::slice::from_raw_parts_mut(at, channels.len() * taps)
                };
                for (c, out) in out.chunks_exact_mut(taps).enumerate() {
                    let of_tap = |(t, out): (usize, &mut f32)| *out = sums[t * whole + c];
                    out.iter_mut().enumerate().for_each(of_tap);
                }
            }
        });
    }

    /// The products of a panel with every tap of a chunk of `whole` channels, added to `out` or its beginning.
    fn taps(
        &self,
        block: &Images,
        (pixels, left): (&[f32], &[f32]),
        (rows, whole): (usize, usize),
        out: &mut [f32],
        add: bool,
    ) {
        let table = self.table_of(block, whole);
        let line = block.images.len() * self.shape.output[2];
        let (row, across) = (self.shape.taps() * whole, self.shape.kernel[2]);
        for down in 0..self.shape.kernel[1] {
            let lines = self.lines_inside(down);
            let steps = lines.start * line..lines.end * line;
            for right in 0..across {
                let t = down * across + right;
                if steps.is_empty() {
                    if !add {
                        let sums = out.chunks_exact_mut(row);
                        sums.for_each(|sums| sums[t * whole..][..whole].fill(0.0));
                    }
                    continue;
                }
                let at = down * self.shape.dilation[1] * table.line
                    + right * self.shape.dilation[2] * whole;
                let depth = steps.len().div_ceil(steps.len().div_ceil(DEPTH));
                for l in steps.clone().step_by(depth) {
                    let run = l..(l + depth).min(steps.end);
                    let tile = Tile {
                        k: run.len(),
                        a: left[l * rows..].as_ptr(),
                        a_step: rows,
                        b: pixels[at..].as_ptr(),
                        source: Source::Table(table.offsets[run].as_ptr()),
                        c: out[t * whole..].as_mut_ptr(),
                        c_row: row,
                        cols: whole,
                        add: add || l > steps.start,
                    };
                    // SAFETY: the pixels hold the tap of every position of these lines with whole vectors of channels, the
                    // panel so many rows for each, `out` a row of all taps for each plane.
                    unsafe {
                        (self.kernels.tiles[rows - 1][whole / self.kernels.lanes - 1])(&tile)
                    };
                }
            }
        }
    }
}
