//! The gradient of the weight: `Gᵀ (Σ over tiles of (A y Aᵀ) ⊙ (Bᵀ x B)) G` for every pair of phases, channels side by side in
//! vectors. As many lines of tiles as a cache holds are transformed by all threads, then each of them sums places and planes of its
//! own over all of these.

use super::axis::{Axis, STRIDE};
use super::transform::{self, NOWHERE, PLACES, SIDE, TAPS, TILE, Target};
use super::{PHASES, SLACK, axes, is_active, phase, slot};
use crate::conv::unfold::Unfold;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{self, Block, pack};
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Out, part};
use crate::plan::Conv;
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::ops::Range;

/// Floats of the transformed operands that are summed at a time, about: a quarter of a third-level cache of 32 MiB.
const ROUND: usize = 1 << 21;

/// Most steps of a sum in registers.
const DEPTH: usize = 1024;

/// Planes of the output that a task sums, about.
const ROWS: usize = 64;

/// A weight gradient that is computed so.
pub(crate) struct Weight {
    images: usize,
    groups: usize,
    from: usize,
    to: usize,
    /// Channels in whole vectors.
    from_side: usize,
    to_side: usize,
    axes: [Axis; 2],
    kernel: [usize; 2],
    output: [usize; 2],
    kernels: &'static Kernels,
}

impl Weight {
    /// Of `conv`, for which [`suits`](super::suits) holds.
    pub(crate) fn of(conv: &Conv, shape: &Unfold) -> Weight {
        Weight::new(
            shape,
            [conv.batch, conv.groups],
            [conv.in_channels, conv.out_channels],
        )
    }

    /// For a convolution of `[images, groups]` from `from` planes of a group to `to`.
    pub(crate) fn new(
        shape: &Unfold,
        [images, groups]: [usize; 2],
        [from, to]: [usize; 2],
    ) -> Weight {
        let kernels = Kernels::best();
        Weight {
            images,
            groups,
            from,
            to,
            from_side: from.next_multiple_of(kernels.lanes),
            to_side: to.next_multiple_of(kernels.lanes),
            axes: axes(shape, false),
            kernel: [shape.kernel[1], shape.kernel[2]],
            output: [shape.output[1], shape.output[2]],
            kernels,
        }
    }

    /// Tiles of all images.
    pub(crate) fn tiles(&self) -> usize {
        self.images * self.axes[0].tiles * self.axes[1].tiles
    }

    /// Columns of the products of all places together.
    pub(crate) fn columns(&self) -> usize {
        (0..PLACES).map(|t| self.columns_at(t)).sum()
    }

    fn columns_at(&self, place: usize) -> usize {
        slot(&self.axes, place, PHASES) * self.from_side
    }

    /// From one place's transformed inputs, upstream gradients and sums to the next's, for so many tiles.
    fn rows(&self, tiles: usize) -> [usize; 3] {
        let columns = PHASES * self.from_side;
        [
            tiles * columns + SLACK,
            tiles * self.to_side + SLACK,
            self.to * columns + SLACK,
        ]
    }

    /// Lines of tiles of all images that are summed at a time.
    fn lines(&self) -> usize {
        let [inputs, upstream, sums] = self.rows(self.axes[1].tiles);
        let all = self.images * self.axes[0].tiles;
        // Large sums go through memory once a round.
        let most = (ROUND.max(PLACES * sums) / (PLACES * (inputs + upstream))).clamp(1, all);
        // About equal rounds.
        all.div_ceil(all.div_ceil(most))
    }

    /// Floats of [`Weight::run`]'s operands and sums.
    fn lens(&self) -> [usize; 2] {
        let [inputs, upstream, sums] = self.rows(self.lines() * self.axes[1].tiles);
        [PLACES * (inputs + upstream), PLACES * sums]
    }

    /// Bytes that [`Weight::run`] takes while it runs.
    pub(crate) fn step_bytes(&self) -> [usize; 2] {
        self.lens().map(|floats| 4 * floats)
    }

    /// `out[g, o, c, t] = Σ over images and positions p of y[g, o, p] * x[g, c, p * stride + t - padding]`.
    pub(crate) fn run(&self, x: Floats<'_>, y: Floats<'_>, out: &mut [f32], par: Par) {
        let [operands, sums] = self.lens();
        let mut operands = HostBufferMut::within_step(4 * operands);
        let mut sums = HostBufferMut::within_step(4 * sums);
        let (operands, sums) = (operands.slice_mut::<f32>(), sums.slice_mut::<f32>());
        let (all, lines) = (self.images * self.axes[0].tiles, self.lines());
        let of_group = self.to * self.from * self.kernel[0] * self.kernel[1];
        for (g, out) in out.chunks_exact_mut(of_group).enumerate() {
            for first in (0..all).step_by(lines) {
                let lines = first..(first + lines).min(all);
                let [inputs, ..] = self.rows(lines.len() * self.axes[1].tiles);
                let (inputs, upstream) = operands.split_at_mut(PLACES * inputs);
                self.transform((x, y, g), lines.clone(), (inputs, upstream), par);
                let tiles = lines.len() * self.axes[1].tiles;
                self.sum((inputs, upstream), tiles, (sums, first > 0), par);
            }
            self.taps(sums, out, par);
        }
    }

    /// Transforms the operands of some lines of tiles.
    fn transform(
        &self,
        (x, y, g): (Floats<'_>, Floats<'_>, usize),
        lines: Range<usize>,
        (inputs, upstream): (&mut [f32], &mut [f32]),
        par: Par,
    ) {
        let tiles = self.axes[1].tiles;
        let rows = self.rows(lines.len() * tiles);
        let out = [inputs, upstream].map(|out| (out.as_mut_ptr(), out.len()));
        let out = out.map(|(at, len)| (Out { at, row: 0 }, len));
        par.neighbours(lines.len(), |i| {
            let line = lines.start + i;
            let (image, line) = (line / self.axes[0].tiles, line % self.axes[0].tiles);
            let slab = image * self.groups + g;
            // SAFETY: lines write tiles of their own, and both outlive the call.
            unsafe {
                self.inputs((x, slab), line, (out[0], i * tiles, rows[0]));
                self.upstream((y, slab), line, (out[1], i * tiles, rows[1]));
            }
        });
    }

    /// Transforms the input of a line of tiles.
    ///
    /// # Safety
    /// Nobody else touches the tiles from `first` on.
    unsafe fn inputs(
        &self,
        (x, slab): (Floats<'_>, usize),
        line: usize,
        ((out, len), first, row): ((Out, usize), usize, usize),
    ) {
        let [down, across] = &self.axes;
        let (reads, width, side) = (down.reads(&(line..line + 1)), across.source, self.from_side);
        let pixels = reads.len() * width;
        with_scratch((pixels + 1) * side + pack::SLACK, |turned| {
            let block = Block {
                data: x,
                at: slab * self.from * down.source * width + reads.start * width,
                across: down.source * width,
                along: 1,
            };
            pack(block, self.from, pixels, side, turned);
            turned[pixels * side..][..side].fill(0.0);
            for pair in 0..PHASES {
                let ys = down.values(phase(pair, 0), line);
                for right in 0..across.tiles {
                    let xs = across.values(phase(pair, 1), right);
                    let pixel = |i: usize| match (ys[i / SIDE], xs[i % SIDE]) {
                        (Some(y), Some(x)) => ((y - reads.start) * width + x) * side,
                        _ => pixels * side,
                    };
                    let window: [usize; PLACES] = std::array::from_fn(pixel);
                    let places: [usize; PLACES] = std::array::from_fn(|t| {
                        let at = (first + right) * self.columns_at(t);
                        match is_active(&self.axes, t, pair) {
                            true => t * row + at + slot(&self.axes, t, pair) * side,
                            false => NOWHERE,
                        }
                    });
                    // SAFETY: the caller's: only these places are written.
                    let out = unsafe { Target::shared(out.at, len) };
                    transform::input((turned, &window), side, (out, &places));
                }
            }
        });
    }

    /// Transforms the upstream gradient of a line of tiles.
    ///
    /// # Safety
    /// As for [`Weight::inputs`].
    unsafe fn upstream(
        &self,
        (y, slab): (Floats<'_>, usize),
        line: usize,
        ((out, len), first, row): ((Out, usize), usize, usize),
    ) {
        let ([height, width], side) = (self.output, self.to_side);
        let lines = TILE * line..(TILE * (line + 1)).min(height);
        let pixels = lines.len() * width;
        with_scratch((pixels + 1) * side + pack::SLACK, |turned| {
            let block = Block {
                data: y,
                at: slab * self.to * height * width + lines.start * width,
                across: height * width,
                along: 1,
            };
            pack(block, self.to, pixels, side, turned);
            turned[pixels * side..][..side].fill(0.0);
            for right in 0..self.axes[1].tiles {
                let pixel = |i: usize| {
                    let (y, x) = (i / TILE, TILE * right + i % TILE);
                    let inside = y < lines.len() && x < width;
                    (if inside { y * width + x } else { pixels }) * side
                };
                let window: [usize; TILE * TILE] = std::array::from_fn(pixel);
                let places: [usize; PLACES] =
                    std::array::from_fn(|t| t * row + (first + right) * side);
                // SAFETY: as above.
                let out = unsafe { Target::shared(out.at, len) };
                transform::upstream((turned, &window), side, (out, &places));
            }
        });
    }

    /// Adds the products over some tiles to the sums of every place, or begins them.
    fn sum(
        &self,
        (inputs, upstream): (&[f32], &[f32]),
        tiles: usize,
        (sums, add): (&mut [f32], bool),
        par: Par,
    ) {
        let rows = self.rows(tiles);
        let pieces = self.to.div_ceil(ROWS);
        let out = Out {
            at: sums.as_mut_ptr(),
            row: 0,
        };
        par.for_each(PLACES * pieces, |i| {
            let (t, piece) = (i / pieces, i % pieces);
            let planes = part(self.to, piece, pieces)..part(self.to, piece + 1, pieces);
            let columns = self.columns_at(t);
            let operands = (&inputs[t * rows[0]..], &upstream[t * rows[1]..]);
            let at = t * rows[2] + planes.start * columns;
            // SAFETY: tasks have planes and places of their own, and the sums outlive the call.
            let sums =
                unsafe { std::slice::from_raw_parts_mut(out.from(at).at, planes.len() * columns) };
            self.product(operands, (tiles, columns), planes, (sums, add));
        });
    }

    /// `sums[o, c] (+)= Σ over tiles p of upstream[p, o] * inputs[p, c]` for some planes `o`.
    fn product(
        &self,
        (inputs, upstream): (&[f32], &[f32]),
        (tiles, columns): (usize, usize),
        planes: Range<usize>,
        (sums, add): (&mut [f32], bool),
    ) {
        let (kernels, n) = (self.kernels, planes.len());
        let panels = n.div_ceil(kernels.rows());
        let depth = tiles.div_ceil(tiles.div_ceil(DEPTH));
        for step in (0..tiles).step_by(depth) {
            for c in (0..columns).step_by(kernels.cols()) {
                let cols = (columns - c).min(kernels.cols());
                for panel in 0..panels {
                    let (first, next) = (part(n, panel, panels), part(n, panel + 1, panels));
                    let tile = Tile {
                        k: depth.min(tiles - step),
                        a: upstream[step * self.to_side + planes.start + first..].as_ptr(),
                        a_step: self.to_side,
                        b: inputs[step * columns + c..].as_ptr(),
                        source: Source::Strided(columns),
                        c: sums[first * columns + c..].as_mut_ptr(),
                        c_row: columns,
                        cols,
                        add: add || step > 0,
                    };
                    // SAFETY: both operands have a row of whole vectors for every tile, the sums one for each plane; the kernel is
                    // one of this processor's.
                    unsafe { (kernels.tiles[next - first - 1][cols / kernels.lanes - 1])(&tile) };
                }
            }
        }
    }

    /// The taps from the sums of all places.
    fn taps(&self, sums: &[f32], out: &mut [f32], par: Par) {
        let ([height, width], side) = (self.kernel, self.from_side);
        let plane = self.rows(0)[2];
        let of_plane = self.from * height * width;
        let par = par.for_work(4 * sums.len());
        let len = height * width * side;
        par.chunks(out, self.to.div_ceil(par.pieces()) * of_plane, |at, out| {
            with_scratch(len + PLACES * side, |scratch| {
                let (taps, places) = scratch.split_at_mut(len);
                for (i, out) in out.chunks_exact_mut(of_plane).enumerate() {
                    let o = at / of_plane + i;
                    for pair in 0..PHASES {
                        for t in 0..PLACES {
                            let place = &mut places[t * side..][..side];
                            let columns = self.columns_at(t);
                            let at = t * plane + o * columns + slot(&self.axes, t, pair) * side;
                            match is_active(&self.axes, t, pair) {
                                true => place.copy_from_slice(&sums[at..][..side]),
                                false => place.fill(0.0),
                            }
                        }
                        let reads: [usize; PLACES] = std::array::from_fn(|t| t * side);
                        let writes: [usize; TAPS * TAPS] = std::array::from_fn(|i| {
                            let tap = |a: usize, d: usize| STRIDE * a + phase(pair, d);
                            let (y, x) = (tap(i / TAPS, 0), tap(i % TAPS, 1));
                            match y < height && x < width {
                                true => (y * width + x) * side,
                                false => NOWHERE,
                            }
                        });
                        let taps = (&mut *taps).into();
                        transform::taps((places, &reads), side, (taps, &writes));
                    }
                    for (c, out) in out.chunks_exact_mut(height * width).enumerate() {
                        let of_tap = |(t, out): (usize, &mut f32)| *out = taps[t * side + c];
                        out.iter_mut().enumerate().for_each(of_tap);
                    }
                }
            });
        });
    }
}
