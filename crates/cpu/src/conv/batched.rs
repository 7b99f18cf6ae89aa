//! Convolutions as products over the positions of several images at once, for any stride, padding and dilation. Where maps are
//! small, an image alone would be a product of few columns, which reads all weights anew, and a weight gradient would be added
//! up in memory as often as there are images. The unfolded input is made a block at a time and stays in the second-level cache:
//!
//! ```text
//!                   image 0     image 1  …            COLUMNS: positions of several images, or a part of a large one
//!  channel c, tap 0 │x x x x x x│x x x x x x│…
//!             tap 1 │x x x x x x│x x x x x x│…        ROWS: taps of some channels
//!             …
//!   forward          out  (+)= weight[:, rows] · block        block by block of rows
//!   input gradient   block  =  weight[:, rows]ᵀ · y           then folded into the input
//!   weight gradient  dw[:, rows] (+)= y · blockᵀ              block by block of columns; no partial sums
//! ```
//!
//! How it is cut changes no bit: runs of a sum follow from the shape alone.

use crate::conv::unfold::{Tile, Unfold};
use crate::matmul::axpy;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::results::{Results, Target};
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Mat, Out, Product, part, product};
use crate::plan::Conv;
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::ops::Range;

/// Positions of a block: enough that packing the weights does not count.
pub(crate) const COLUMNS: usize = 256;

/// Rows of a block, about: with [`COLUMNS`] half a second-level cache of 1 MiB.
pub(crate) const ROWS: usize = 512;

/// Floats of planes that are folded before they are rounded: 4 MiB.
const ROUNDED: usize = 1 << 20;

/// Pieces that a weight gradient is cut into, if it has as many channels.
const PIECES: usize = 16;

/// Floats of a weight whose partial sums stay in the caches.
const SMALL_WEIGHT: usize = 1 << 16;

/// A convolution that is computed so; `from` and `to` are planes of a group.
pub(crate) struct Batched {
    shape: Unfold,
    images: usize,
    groups: usize,
    from: usize,
    to: usize,
}

/// What is folded: upstream gradient and weight of a group, the images and the parts they are cut into, the channels.
type Fold<'f> = (
    (Floats<'f>, &'f [f32]),
    usize,
    (Range<usize>, &'f [Tile]),
    Range<usize>,
);

/// Positions `tile` of some images.
#[derive(Clone)]
struct Columns {
    images: Range<usize>,
    tile: usize,
}

impl Batched {
    pub(crate) fn new(
        shape: Unfold,
        [images, groups]: [usize; 2],
        [from, to]: [usize; 2],
    ) -> Batched {
        Batched {
            shape,
            images,
            groups,
            from,
            to,
        }
    }

    /// Of `conv` as it stands.
    pub(crate) fn of(conv: &Conv, shape: &Unfold) -> Batched {
        let planes = [conv.in_channels, conv.out_channels];
        Batched::new(*shape, [conv.batch, conv.groups], planes)
    }

    /// Rows of the whole unfolded matrix.
    fn k(&self) -> usize {
        self.from * self.shape.taps()
    }

    /// The parts of an image that are columns of one block.
    fn tiles(&self) -> Vec<Tile> {
        let positions = self.shape.positions();
        let count = positions.div_ceil(COLUMNS);
        let size = positions.div_ceil(count).next_multiple_of(16);
        let starts = (0..positions).step_by(size);
        let tile = |at: usize| self.shape.tile(at..(at + size).min(positions));
        starts.map(tile).collect()
    }

    /// Images whose positions are in one block, at least so many blocks if there are as many images.
    fn together(&self, least: usize) -> usize {
        let fit = (COLUMNS / self.shape.positions()).max(1);
        fit.min(self.images.div_ceil(least.max(1)))
    }

    /// All columns, with `together` images in a block.
    fn columns(&self, tiles: usize, together: usize) -> Vec<Columns> {
        let firsts = (0..self.images).step_by(together);
        let of = |first: usize| first..(first + together).min(self.images);
        firsts
            .flat_map(|first| {
                (0..tiles).map(move |tile| Columns {
                    images: of(first),
                    tile,
                })
            })
            .collect()
    }

    /// Channels whose taps are the rows of a block.
    fn channels(&self) -> usize {
        (ROWS / self.shape.taps()).clamp(1, self.from)
    }

    /// The slab of an image and a group in planes of `planes` a group.
    fn slab(&self, image: usize, g: usize, planes: usize) -> usize {
        (image * self.groups + g) * planes
    }

    /// `out[n, g] = weight[g] · unfold(x[n, g])`.
    pub(crate) fn forward(&self, x: Floats<'_>, weight: &[f32], mut out: Results<'_>, par: Par) {
        let tiles = self.tiles();
        let columns = self.columns(tiles.len(), self.together(par.threads()));
        let count = columns.len() * self.groups;
        let parts = par.threads().div_ceil(count).min(self.to);
        let out = out.target();
        par.for_each(count * parts, |i| {
            let (part, i) = (i % parts, i / parts);
            let (g, columns) = (i % self.groups, &columns[i / self.groups]);
            let rows = part * self.to / parts..(part + 1) * self.to / parts;
            let tile = &tiles[columns.tile];
            // SAFETY: each call writes rows of its own planes at its own positions, which `out` holds.
            unsafe { self.forward_block((x, weight), g, (columns, tile), rows, out) };
        });
    }

    /// # Safety
    /// `out` holds all results, and nobody else touches these.
    unsafe fn forward_block(
        &self,
        (x, weight): (Floats<'_>, &[f32]),
        g: usize,
        (columns, tile): (&Columns, &Tile),
        rows: Range<usize>,
        out: Target,
    ) {
        let (taps, positions) = (self.shape.taps(), self.shape.positions());
        let n = columns.images.len() * tile.len;
        let alone = columns.images.len() == 1;
        let step = self.channels();
        // What is of one image lies as the product gives it.
        let there = out.single().filter(|_| alone);
        let room = if there.is_some() { 0 } else { rows.len() * n };
        let place = |image: usize, o: usize| (self.slab(image, g, self.to) + o) * positions;
        let whole = alone && self.shape.is_identity();
        with_scratch((step * taps * n).next_multiple_of(16) + room, |scratch| {
            let (block, sums) = scratch.split_at_mut((step * taps * n).next_multiple_of(16));
            let to = match there {
                Some(at) => Out {
                    at: at.wrapping_add(place(columns.images.start, rows.start) + tile.start),
                    row: positions,
                },
                None => Out {
                    at: sums.as_mut_ptr(),
                    row: n,
                },
            };
            for c in (0..self.from).step_by(step) {
                let channels = c..(c + step).min(self.from);
                let right = if whole {
                    let at = (self.slab(columns.images.start, g, self.from) + c) * positions;
                    Mat {
                        data: x,
                        at: at + tile.start,
                        row: positions,
                        col: 1,
                    }
                } else {
                    self.unfold(x, g, (columns, tile), channels.clone(), block);
                    Mat::rows(block, n)
                };
                let left = Mat {
                    data: weight.into(),
                    at: (g * self.to + rows.start) * self.k() + c * taps,
                    row: self.k(),
                    col: 1,
                };
                let sum = Product {
                    m: rows.len(),
                    n,
                    k: channels.len() * taps,
                    a: left,
                    b: right,
                    packed: None,
                    add: c > 0,
                };
                // SAFETY: the caller's, or the sums, which hold the rows.
                unsafe { sum.run_at(to, Par::SERIAL) };
            }
            if there.is_some() {
                return;
            }
            for (i, image) in columns.images.clone().enumerate() {
                for (o, sums) in rows.clone().zip(sums.chunks_exact(n)) {
                    let at = place(image, o) + tile.start;
                    // SAFETY: the caller's.
                    unsafe { out.from(at).store(&sums[i * tile.len..][..tile.len]) };
                }
            }
        });
    }

    /// The block of some channels and columns.
    fn unfold(
        &self,
        x: Floats<'_>,
        g: usize,
        (columns, tile): (&Columns, &Tile),
        channels: Range<usize>,
        block: &mut [f32],
    ) {
        let (plane, n) = (self.shape.plane(), columns.images.len() * tile.len);
        for (i, image) in columns.images.clone().enumerate() {
            let at = (self.slab(image, g, self.from) + channels.start) * plane;
            let x = x.slab(at, channels.len() * plane);
            x.with(|x| tile.unfold_rows(x, &mut block[i * tile.len..], n));
        }
    }

    /// What lies at the columns in every plane of `y`, in `copy` where that is of several images.
    fn upstream<'y>(
        &self,
        y: Floats<'y>,
        g: usize,
        (columns, tile): (&Columns, &Tile),
        copy: &'y mut [f32],
    ) -> Mat<'y> {
        let (positions, n) = (self.shape.positions(), columns.images.len() * tile.len);
        if columns.images.len() == 1 {
            return Mat {
                data: y,
                at: self.slab(columns.images.start, g, self.to) * positions + tile.start,
                row: positions,
                col: 1,
            };
        }
        for (i, image) in columns.images.clone().enumerate() {
            let y = y.slab(
                self.slab(image, g, self.to) * positions,
                self.to * positions,
            );
            y.with(|y| {
                for (y, copy) in y.chunks_exact(positions).zip(copy.chunks_exact_mut(n)) {
                    let y = &y[tile.start..][..tile.len];
                    copy[i * tile.len..][..tile.len].copy_from_slice(y);
                }
            });
        }
        Mat::rows(copy, n)
    }

    fn upstream_len(&self, columns: &Columns, tile: &Tile) -> usize {
        match columns.images.len() {
            1 => 0,
            images => (self.to * images * tile.len).next_multiple_of(16),
        }
    }

    /// `out[n, g] = fold(weight[g]ᵀ · y[n, g])`: the gradient of the input.
    pub(crate) fn input_grad(&self, y: Floats<'_>, weight: &[f32], mut out: Results<'_>, par: Par) {
        let tiles = self.tiles();
        let together = self.together(par.threads());
        let slabs: Vec<Range<usize>> = (0..self.images)
            .step_by(together)
            .map(|first| first..(first + together).min(self.images))
            .collect();
        let count = slabs.len() * self.groups;
        let parts = par.threads().div_ceil(count).min(self.from);
        let out = out.target();
        let plane = self.shape.plane();
        par.for_each(count * parts, |i| {
            let (part, i) = (i % parts, i / parts);
            let (g, images) = (i % self.groups, slabs[i / self.groups].clone());
            let channels = part * self.from / parts..(part + 1) * self.from / parts;
            let task = |channels| ((y, weight), g, (images.clone(), &tiles[..]), channels);
            let place = |image: usize, c: usize| (self.slab(image, g, self.from) + c) * plane;
            if let Some(at) = out.single() {
                let out = Out {
                    at: at.wrapping_add(place(images.start, channels.start)),
                    row: self.groups * self.from * plane,
                };
                // SAFETY: each call writes planes of its own, which `out` holds.
                return unsafe { self.fold_planes(task(channels.clone()), out) };
            }
            // What is rounded is folded in the thread's own memory, as many planes at a time as a block has, or as that holds.
            let most = ROUNDED / (images.len() * plane).max(1);
            let step = self.channels().min(most).max(1);
            for c in channels.clone().step_by(step) {
                let some = c..(c + step).min(channels.end);
                let row = some.len() * plane;
                with_scratch(images.len() * row, |wide| {
                    let at = wide.as_mut_ptr();
                    // SAFETY: as above, or the memory, which is as large.
                    unsafe {
                        self.fold_planes(task(some), Out { at, row });
                        for (image, wide) in images.clone().zip(wide.chunks_exact(row)) {
                            out.from(place(image, c)).store(wide);
                        }
                    }
                });
            }
        });
    }

    /// Planes of some channels of images; `out` has them from its first element on, those of the images a row apart.
    ///
    /// # Safety
    /// `out` holds them, and nobody else touches them.
    unsafe fn fold_planes(&self, ((y, weight), g, (images, tiles), channels): Fold<'_>, out: Out) {
        let (taps, plane, k) = (self.shape.taps(), self.shape.plane(), self.k());
        let planes = |i: usize, some: Range<usize>| {
            let at = i * out.row + (some.start - channels.start) * plane;
            // SAFETY: the caller's.
            unsafe { std::slice::from_raw_parts_mut(out.at.add(at), some.len() * plane) }
        };
        for i in 0..images.len() {
            planes(i, channels.clone()).fill(0.0);
        }
        let step = self.channels();
        for (t, tile) in tiles.iter().enumerate() {
            let columns = Columns {
                images: images.clone(),
                tile: t,
            };
            let n = images.len() * tile.len;
            let room = (step * taps * n).next_multiple_of(16);
            with_scratch(room + self.upstream_len(&columns, tile), |scratch| {
                let (block, copy) = scratch.split_at_mut(room);
                let y = self.upstream(y, g, (&columns, tile), copy);
                for c in channels.clone().step_by(step) {
                    let some = c..(c + step).min(channels.end);
                    let rows = some.len() * taps;
                    let left = Mat {
                        data: weight.into(),
                        at: g * self.to * k + c * taps,
                        row: 1,
                        col: k,
                    };
                    let sizes = [rows, n, self.to];
                    product(
                        sizes,
                        left,
                        y,
                        &mut block[..rows * n],
                        n,
                        false,
                        Par::SERIAL,
                    );
                    for i in 0..images.len() {
                        let x = planes(i, some.clone());
                        tile.fold_rows(&mut block[i * tile.len..], n, x);
                    }
                }
            });
        }
    }

    /// Partial sums of a weight gradient: several where there are few channels to share and the weight is small.
    fn parts(&self, blocks: usize) -> usize {
        let weight = self.groups * self.to * self.k();
        let pieces = self.groups * self.from.div_ceil(self.step());
        match weight {
            0..SMALL_WEIGHT => PIECES.div_ceil(pieces).min(blocks),
            _ => 1,
        }
    }

    /// Channels of a piece of a weight gradient. By shape alone.
    fn step(&self) -> usize {
        self.channels().min(self.from.div_ceil(PIECES))
    }

    /// Bytes that [`Batched::weight_grad`] takes while it runs: its partial sums.
    pub(crate) fn step_bytes(&self) -> usize {
        let tiles = self.shape.positions().div_ceil(COLUMNS);
        let blocks = self.images.div_ceil(self.together(1)) * tiles;
        match self.parts(blocks) {
            1 => 0,
            parts => 4 * parts * self.groups * self.to * self.k(),
        }
    }

    /// `out[g] = Σ over images of y[n, g] · unfold(x[n, g])ᵀ`: the gradient of the weight.
    pub(crate) fn weight_grad(&self, x: Floats<'_>, y: Floats<'_>, out: &mut [f32], par: Par) {
        let tiles = self.tiles();
        let columns = self.columns(tiles.len(), self.together(1));
        let (step, parts) = (self.step(), self.parts(columns.len()));
        let pieces = self.from.div_ceil(step);
        let len = out.len();
        let mut partials = HostBufferMut::within_step(if parts == 1 { 0 } else { 4 * parts * len });
        let sums = match parts {
            1 => &mut *out,
            _ => partials.slice_mut::<f32>(),
        };
        let all = Out {
            at: sums.as_mut_ptr(),
            row: self.k(),
        };
        par.for_each(parts * pieces * self.groups, |i| {
            let (p, i) = (i % parts, i / parts);
            let (g, c) = (i % self.groups, i / self.groups * step);
            let channels = c..(c + step).min(self.from);
            let columns =
                &columns[part(columns.len(), p, parts)..part(columns.len(), p + 1, parts)];
            // SAFETY: each call writes columns of its own, which the partial sum holds.
            unsafe {
                self.weight_columns((x, y), g, (columns, &tiles), channels, all.from(p * len));
            }
        });
        if parts > 1 {
            let partials = partials.slice_mut::<f32>();
            out.copy_from_slice(&partials[..len]);
            let later = partials[len..].chunks_exact(len);
            later.for_each(|partial| axpy(1.0, partial, out));
        }
    }

    /// # Safety
    /// `out` holds all results, and nobody else touches those of these channels.
    unsafe fn weight_columns(
        &self,
        (x, y): (Floats<'_>, Floats<'_>),
        g: usize,
        (columns, tiles): (&[Columns], &[Tile]),
        channels: Range<usize>,
        out: Out,
    ) {
        let taps = self.shape.taps();
        let out = out.from(g * self.to * self.k() + channels.start * taps);
        for (i, columns) in columns.iter().enumerate() {
            let tile = &tiles[columns.tile];
            let n = columns.images.len() * tile.len;
            let room = (channels.len() * taps * n).next_multiple_of(16);
            with_scratch(room + self.upstream_len(columns, tile), |scratch| {
                let (block, copy) = scratch.split_at_mut(room);
                self.unfold(x, g, (columns, tile), channels.clone(), block);
                let sum = Product {
                    m: self.to,
                    n: channels.len() * taps,
                    k: n,
                    a: self.upstream(y, g, (columns, tile), copy),
                    b: Mat::rows(block, n).t(),
                    packed: None,
                    add: i > 0,
                };
                // SAFETY: the caller's.
                unsafe { sum.run_at(out, Par::SERIAL) };
            });
        }
    }
}
