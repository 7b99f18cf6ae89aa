//! Flat convolutions of several images whose pixels lie side by side: the first pixels of all images, then the second ones, and so
//! on. Where maps are small, a line of one image fills no vector; a line of sixteen images does, and what a tap reads for it lies
//! at consecutive places whatever the stride. So the right operand of the product is a copy of the input in that order, read
//! through a table of one offset for each channel and tap, as in [`implicit`](super::implicit), but without columns between the
//! lines that are computed and thrown away, and without multiplications by the lines above and below the input:
//!
//! ```text
//!  input, a line of a channel     n n n n│n n n n│n n n n│…         pixel by pixel, images side by side (zeros left and right)
//!  product for a line of results  weight [to × lines · channels · columns of taps]  ·  places of the taps
//!  stride 2                       pixels of even columns, then those of odd ones, so that what a tap reads is consecutive
//!  gradient of the input          columns and lines of results by phase: each is a sum of some of the taps ([`axis`])
//!  1×1, stride 1                  every pixel of the batch is a column: there is nothing to put in order
//! ```
//!
//! Which results are computed together, and where, changes no bit: runs of a sum follow from the shape alone.

mod axis;
mod layout;
pub(crate) mod weight;

use crate::conv::unfold::Unfold;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{Block, SLACK, pack};
use crate::matmul::gemm::results::{Results, Target};
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Out, part};
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use axis::Axis;
use layout::{Layout, copy_pixel};
use std::ops::Range;

/// Most steps of a sum in registers; longer sums go on from the output.
const DEPTH: usize = 512;

/// Images that lie side by side, about: two vectors, so that lines of any length are whole ones.
const TOGETHER: usize = 32;

/// Columns of a product, about, where every pixel is one.
const COLUMNS: usize = 1024;

/// Rows of the left operand that a task takes at once, about: what it reads of the right one comes from a second-level cache.
const ROWS: usize = 64;

/// Floats of the results of a task: a quarter of a second-level cache.
const RESULTS: usize = 1 << 16;

/// Floats of a slab that one thread computes alone: a second-level cache of 1 MiB.
const OWN: usize = 1 << 18;

/// Floats of the slabs that are in order at a time: 4 MiB.
const ROUND: usize = 1 << 20;

/// Floats of a weight that are packed at once.
const PACKED: usize = 1 << 13;

/// A convolution, or the gradient of its input, that is computed so.
pub(crate) struct Interleaved {
    images: usize,
    groups: usize,
    /// Planes of a group that are read, and that are computed.
    from: usize,
    to: usize,
    /// Lines and columns of these.
    source: [usize; 2],
    result: [usize; 2],
    rows: Axis,
    columns: Axis,
    kernel: [usize; 2],
    /// Whether this is the gradient of the input.
    adjoint: bool,
    /// Images of a block.
    together: usize,
    /// Where every pixel is a column, how many a plane has; else 1.
    pixels: usize,
}

/// Where a tap's step of a sum begins, for lines and columns of each phase.
struct Order {
    /// First step for each phase of columns and lines.
    starts: Vec<Vec<usize>>,
    /// Step of each channel and tap.
    places: Vec<usize>,
}

impl Interleaved {
    /// The convolution `shape` from `from` planes of a group to `to`, or the gradient of its input, which has `to` planes of a
    /// group then.
    pub(crate) fn new(
        shape: &Unfold,
        [images, groups]: [usize; 2],
        [from, to]: [usize; 2],
        adjoint: bool,
    ) -> Interleaved {
        let pixels = match shape.is_identity() {
            true => shape.positions(),
            false => 1,
        };
        let one = Unfold {
            input: [1; 3],
            output: [1; 3],
            ..*shape
        };
        let shape = if pixels > 1 { &one } else { shape };
        let axis = |d: usize| Axis::new(shape, d, adjoint);
        let ends = |sizes: [usize; 3]| [sizes[1], sizes[2]];
        let (source, result) = match adjoint {
            false => (ends(shape.input), ends(shape.output)),
            true => (ends(shape.output), ends(shape.input)),
        };
        let size = match pixels {
            1 => TOGETHER,
            _ => (COLUMNS / pixels).max(1),
        };
        Interleaved {
            images,
            groups,
            from,
            to,
            source,
            result,
            rows: axis(1),
            columns: axis(2),
            kernel: ends(shape.kernel),
            adjoint,
            together: images.div_ceil(images.div_ceil(size)),
            pixels,
        }
    }

    /// Steps of a sum over all taps.
    fn k(&self) -> usize {
        self.from * self.kernel[0] * self.kernel[1]
    }

    fn blocks(&self) -> usize {
        self.images.div_ceil(self.together)
    }

    fn images_of(&self, block: usize) -> Range<usize> {
        block * self.together..((block + 1) * self.together).min(self.images)
    }

    fn layout(&self, images: usize) -> Layout {
        Layout::new(self, images)
    }

    /// Floats of the input in order for a block of images and a group, about.
    pub(crate) fn slab_len(shape: &Unfold, images: usize, from: usize) -> usize {
        match shape.is_identity() {
            true => from * shape.plane().max(COLUMNS),
            false => from * shape.plane() * images.min(TOGETHER),
        }
    }

    /// Slabs that are put in order before any of them is read.
    fn round(&self, slab: usize) -> usize {
        (ROUND / slab).clamp(1, self.blocks() * self.groups)
    }

    /// Bytes of the input in order, which [`Interleaved::run`] takes while it runs.
    pub(crate) fn step_bytes(&self) -> usize {
        let slab = self.layout(self.together).len;
        4 * slab * self.round(slab)
    }

    /// `out[n, g] = weight[g] · unfold(x[n, g])`, or the gradient of the input if `x` is that of the output.
    pub(crate) fn run(&self, x: Floats<'_>, weight: &[f32], mut out: Results<'_>, par: Par) {
        let order = self.order();
        let last = self.blocks() - 1;
        let some = |block: usize| self.layout(self.images_of(block).len());
        let first = some(0);
        let rest = (self.images_of(last).len() != first.images / self.pixels).then(|| some(last));
        let out = out.target();
        with_scratch(self.groups * self.to * self.k() + SLACK, |packed| {
            self.pack_weight(weight, &order, packed, par);
            let slab = |at: usize| {
                let (block, g) = (at / self.groups, at % self.groups);
                Slab {
                    way: self,
                    layout: rest.as_ref().filter(|_| block == last).unwrap_or(&first),
                    order: &order,
                    images: self.images_of(block),
                    g,
                    weight: &packed[g * self.to * self.k()..],
                }
            };
            let count = self.blocks() * self.groups;
            match count >= 3 * par.threads() && first.len <= OWN {
                true => par.for_each(count, |at| self.alone(&slab(at), x, out)),
                false => self.rounds(count, &slab, x, out, par),
            }
        });
    }

    /// A slab on one thread, in whose cache it stays.
    fn alone(&self, slab: &Slab<'_>, x: Floats<'_>, out: Target) {
        let panels = self.to.div_ceil(Kernels::best().rows());
        let [chunks, bands] = self.cuts(1, panels, 1);
        with_scratch(slab.layout.len, |room| {
            let at = Out {
                at: room.as_mut_ptr(),
                row: 0,
            };
            for c in 0..self.from {
                // SAFETY: the memory holds all channels.
                unsafe {
                    slab.layout
                        .fill(self, (x, slab.g, c), slab.images.clone(), at)
                };
            }
            for i in 0..chunks * bands {
                let lines = piece(self.result[0], i % bands, bands);
                // SAFETY: `out` holds all results, and those of a slab are this call's.
                unsafe { slab.run(room, piece(panels, i / bands, chunks), lines, out) };
            }
        });
    }

    /// As many slabs at a time as fit the caches, all threads on them.
    fn rounds<'s>(
        &'s self,
        count: usize,
        slab: &(impl Fn(usize) -> Slab<'s> + Sync),
        x: Floats<'_>,
        out: Target,
        par: Par,
    ) {
        let len = slab(0).layout.len;
        let most = self.round(len);
        let mut buffer = HostBufferMut::within_step(4 * len * most);
        let buffer = buffer.slice_mut::<f32>();
        let panels = self.to.div_ceil(Kernels::best().rows());
        for first in (0..count).step_by(most) {
            let slabs = most.min(count - first);
            let at = Out {
                at: buffer.as_mut_ptr(),
                row: 0,
            };
            par.neighbours(slabs * self.from, |i| {
                let (i, c) = (i / self.from, i % self.from);
                let Slab {
                    layout, images, g, ..
                } = slab(first + i);
                // SAFETY: cells of different channels do not overlap, and the buffer holds them.
                unsafe { layout.fill(self, (x, g, c), images, at.from(i * len)) };
            });
            let buffer = &*buffer;
            let [chunks, bands] = self.cuts(slabs, panels, par.threads());
            par.for_each(slabs * chunks * bands, |i| {
                let (i, chunk) = (i / chunks, i % chunks);
                let (i, band) = (i / bands, i % bands);
                let lines = piece(self.result[0], band, bands);
                let panels = piece(panels, chunk, chunks);
                // SAFETY: tasks write planes and lines of their own, which `out` holds.
                unsafe { slab(first + i).run(&buffer[i * len..][..len], panels, lines, out) };
            });
        }
    }

    /// Pieces that the planes and the lines of a slab are cut into.
    fn cuts(&self, slabs: usize, panels: usize, threads: usize) -> [usize; 2] {
        let lines = self.result[0];
        let rows = Kernels::best().rows();
        let mut chunks = (self.to).div_ceil(ROWS).min(panels);
        let line = self.result[1] * self.together * self.pixels;
        let fit = (RESULTS / (self.to.div_ceil(chunks).next_multiple_of(rows) * line)).max(1);
        let mut bands = lines.div_ceil(fit);
        let enough = |tasks: usize| threads == 1 || tasks >= 3 * threads;
        while !enough(slabs * chunks * bands) && (bands < lines || chunks < panels) {
            match bands < lines && (bands < 2 || chunks == panels) {
                true => bands += 1,
                false if chunks < panels => chunks += 1,
                false => bands += 1,
            }
        }
        [chunks, bands.min(lines)]
    }

    /// The steps of a sum, phase by phase of columns, then of lines; of a phase line by line of taps, channel by channel.
    fn order(&self) -> Order {
        let taps = self.kernel[0] * self.kernel[1];
        let mut places = vec![0; self.from * taps];
        let (mut starts, mut at) = (Vec::new(), 0);
        for columns in &self.columns.phases {
            let mut of_rows = Vec::new();
            for rows in &self.rows.phases {
                of_rows.push(at);
                for down in &rows.taps {
                    for c in 0..self.from {
                        for right in &columns.taps {
                            places[c * taps + down.tap * self.kernel[1] + right.tap] = at;
                            at += 1;
                        }
                    }
                }
            }
            starts.push(of_rows);
        }
        Order { starts, places }
    }

    /// Each group's weight in panels of some planes, step by step.
    fn pack_weight(&self, weight: &[f32], order: &Order, packed: &mut [f32], par: Par) {
        let (k, rows) = (self.k(), Kernels::best().rows());
        let panels = self.to.div_ceil(rows);
        let at = Out {
            at: packed.as_mut_ptr(),
            row: 0,
        };
        let par = par.for_work(4 * weight.len());
        par.neighbours(self.groups * panels, |i| {
            let (g, i) = (i / panels, i % panels);
            let planes = part(self.to, i, panels)..part(self.to, i + 1, panels);
            let first = (g * self.to + planes.start) * k;
            // SAFETY: panels do not overlap, and the memory holds all of them.
            let panel =
                unsafe { std::slice::from_raw_parts_mut(at.from(first).at, planes.len() * k) };
            self.pack_panel(weight, order, (g, planes), panel);
        });
    }

    fn pack_panel(
        &self,
        weight: &[f32],
        order: &Order,
        (g, planes): (usize, Range<usize>),
        panel: &mut [f32],
    ) {
        let (taps, rows) = (self.kernel[0] * self.kernel[1], planes.len());
        let step = (PACKED / (taps * rows)).max(1);
        with_scratch(step * taps * rows + SLACK, |some| {
            for first in (0..self.from).step_by(step) {
                let count = step.min(self.from - first);
                let block = |at: usize, across: usize, along: usize| Block {
                    data: weight.into(),
                    at,
                    across,
                    along,
                };
                let at = (g * self.to + planes.start) * self.from * taps + first * taps;
                let adjoint = (g * self.from + first) * self.to * taps + planes.start * taps;
                match self.adjoint {
                    false => {
                        let block = block(at, self.from * taps, 1);
                        pack(block, rows, count * taps, rows, some);
                    }
                    true if taps == 1 => {
                        pack(block(adjoint, 1, self.to), rows, count, rows, some);
                    }
                    true => {
                        for c in 0..count {
                            let block = block(adjoint + c * self.to * taps, taps, 1);
                            pack(block, rows, taps, rows, &mut some[c * taps * rows..]);
                        }
                    }
                }
                let places = &order.places[first * taps..][..count * taps];
                for (&place, some) in places.iter().zip(some.chunks_exact(rows)) {
                    panel[place * rows..][..rows].copy_from_slice(some);
                }
            }
        });
    }
}

/// Part `i` of `parts` about equal ones.
fn piece(len: usize, i: usize, parts: usize) -> Range<usize> {
    part(len, i, parts)..part(len, i + 1, parts)
}

/// A block of images and a group.
struct Slab<'t> {
    way: &'t Interleaved,
    layout: &'t Layout,
    order: &'t Order,
    images: Range<usize>,
    g: usize,
    /// The weight in panels.
    weight: &'t [f32],
}

impl Slab<'_> {
    /// Some lines of the planes of some panels; `x` is the input in order.
    ///
    /// # Safety
    /// `out` holds all results, and nobody else touches these.
    unsafe fn run(&self, x: &[f32], panels: Range<usize>, lines: Range<usize>, out: Target) {
        let (way, n) = (self.way, self.layout.images);
        let all = way.to.div_ceil(Kernels::best().rows());
        let planes = part(way.to, panels.start, all)..part(way.to, panels.end, all);
        let line = way.result[1] * n;
        // Rows that begin at the same place of a page would drive each other out of the cache.
        let row = (lines.len() * line).next_multiple_of(16) + 16;
        let room = planes.len() * row;
        let spread = way.columns.step > 1;
        let side = way.result[1].div_ceil(way.columns.step) * n;
        let side = if spread { side.next_multiple_of(16) } else { 0 };
        let positions = lines.len() * way.result[1];
        let turned = match way.pixels {
            1 => n * positions + SLACK,
            _ => 0,
        };
        with_scratch(room + planes.len() * side + turned, |scratch| {
            let (sums, rest) = scratch.split_at_mut(room);
            let (aside, turned) = rest.split_at_mut(planes.len() * side);
            for i in lines.clone() {
                for phase in 0..way.columns.phases.len() {
                    let sums = &mut sums[(i - lines.start) * line..];
                    match spread {
                        false => self.line(x, panels.clone(), (i, phase), (sums, row)),
                        true => {
                            self.line(x, panels.clone(), (i, phase), (aside, side));
                            self.spread(phase, (aside, side), (sums, row), planes.len());
                        }
                    }
                }
            }
            for (o, sums) in planes.clone().zip(sums.chunks_exact(row)) {
                // SAFETY: the caller's.
                unsafe { self.store(o, &lines, &sums[..positions * n], turned, out) };
            }
        });
    }

    /// The columns of one phase of a line of all planes of the panels; rows of `out` are `row` apart.
    fn line(
        &self,
        x: &[f32],
        panels: Range<usize>,
        (i, phase): (usize, usize),
        (out, row): (&mut [f32], usize),
    ) {
        let (way, layout) = (self.way, self.layout);
        let (kernels, k) = (Kernels::best(), way.k());
        let all = way.to.div_ceil(kernels.rows());
        let columns = &way.columns.phases[phase];
        let width = columns.count * layout.images;
        let first = part(way.to, panels.start, all);
        let (of_rows, q) = (i % way.rows.step, i / way.rows.step);
        let taps = way.rows.phases[of_rows].inside(q, way.rows.parts, way.source[0]);
        let each = way.from * columns.taps.len();
        let steps = taps.start * each..taps.end * each;
        if steps.is_empty() {
            let planes = part(way.to, panels.end, all) - first;
            let rows = out.chunks_mut(row).take(planes);
            return rows.for_each(|out| out[..width].fill(0.0));
        }
        let start = self.order.starts[phase][of_rows];
        let table = &layout.tables[phase][of_rows];
        let x = &x[q * way.rows.parts * layout.line..];
        let depth = steps.len().div_ceil(steps.len().div_ceil(DEPTH));
        for l in steps.clone().step_by(depth) {
            let run = l..(l + depth).min(steps.end);
            for at in (0..width).step_by(kernels.cols()) {
                let cols = (width - at).min(kernels.cols());
                let vectors = cols.div_ceil(kernels.lanes);
                for i in panels.clone() {
                    let (from, to) = (part(way.to, i, all), part(way.to, i + 1, all));
                    let tile = Tile {
                        k: run.len(),
                        a: self.weight[from * k + (start + l) * (to - from)..].as_ptr(),
                        a_step: to - from,
                        b: x[at..].as_ptr(),
                        source: Source::Table(table[run.clone()].as_ptr()),
                        c: out[(from - first) * row + at..].as_mut_ptr(),
                        c_row: row,
                        cols,
                        add: l > steps.start,
                    };
                    // SAFETY: the input in order holds whole vectors at every offset of the table that is inside, `out` the
                    // columns of every row; the panel has a step of so many planes for each entry of the table.
                    unsafe { (kernels.tiles[to - from - 1][vectors - 1])(&tile) };
                }
            }
        }
    }

    /// Brings the columns of a phase to their places in the line.
    fn spread(
        &self,
        phase: usize,
        (aside, side): (&[f32], usize),
        (out, row): (&mut [f32], usize),
        planes: usize,
    ) {
        let (axis, n) = (&self.way.columns, self.layout.images);
        for o in 0..planes {
            let from = aside[o * side..].chunks_exact(n);
            let to = out[o * row..].chunks_exact_mut(n).skip(phase);
            let places = to.step_by(axis.step).take(axis.phases[phase].count);
            places.zip(from).for_each(|(to, from)| copy_pixel(from, to));
        }
    }

    /// The results of plane `o` to their images.
    ///
    /// # Safety
    /// As for [`Slab::run`].
    unsafe fn store(
        &self,
        o: usize,
        lines: &Range<usize>,
        sums: &[f32],
        turned: &mut [f32],
        out: Target,
    ) {
        let way = self.way;
        let all = way.result[0] * way.result[1] * way.pixels;
        let place = |image: usize| ((image * way.groups + self.g) * way.to + o) * all;
        let first = lines.start * way.result[1];
        let positions = lines.len() * way.result[1];
        if way.pixels > 1 {
            // The line has the positions of one image after the other.
            for (image, sums) in self.images.clone().zip(sums.chunks_exact(all)) {
                // SAFETY: the caller's.
                unsafe { out.from(place(image)).store(sums) };
            }
            return;
        }
        let n = self.images.len();
        let block = Block {
            data: sums.into(),
            at: 0,
            across: n,
            along: 1,
        };
        pack(block, positions, n, positions, turned);
        for (image, sums) in self.images.clone().zip(turned.chunks_exact(positions)) {
            // SAFETY: the caller's.
            unsafe { out.from(place(image) + first).store(sums) };
        }
    }
}
