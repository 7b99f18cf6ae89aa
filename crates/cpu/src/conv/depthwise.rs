//! Convolutions whose groups have one input plane each, and few output planes: a plane is copied once with zeros around it, its
//! columns sorted by phase, so that what a tap reads for neighbouring positions lies side by side whatever the stride is:
//!
//! ```text
//!   line of x, stride 2        0 x0 x1 x2 x3 x4 0        one zero on each side
//!   padded                     0 x1 x3 0 │ x0 x2 x4      phase 0, phase 1
//!   taps 0, 1, 2 begin at      phase 0 + 0, phase 1 + 0, phase 0 + 1
//! ```
//!
//! The gradient of the input is the same sum over the padded upstream gradient, for each phase of the input with the taps that
//! meet it. The gradient of the weight is a sum over positions for each tap. Nothing is unfolded, and no product is packed.

use crate::conv::chains::{CHAIN, LANES, add_up, blocks};
use crate::conv::depthwise_tiny::Tiny;
use crate::conv::unfold::Unfold;
use crate::lanes::{Lanes, best, read};
use crate::matmul::gemm::Out;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::results::Results;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::Conv;
use crate::threads::par::Par;
use std::ops::Range;

/// Lines that are summed at once: chains of their own for the processor.
const TOGETHER: usize = 4;

/// A convolution that can be computed so.
pub(crate) struct Depthwise {
    shape: Unfold,
    images: usize,
    groups: usize,
    /// Output planes of a group.
    to: usize,
}

/// How a plane is copied: `line · stride[0] − up` of the plane to each line, columns by phase.
#[derive(Clone, Copy)]
struct Padded {
    /// Lines and columns of the plane.
    plane: [usize; 2],
    /// Zeros above and on the left.
    before: [usize; 2],
    /// Lines of the copy, phases of a line, and floats of a phase with what the last vector reads beyond it.
    lines: usize,
    phases: usize,
    phase: usize,
}

impl Padded {
    fn len(&self) -> usize {
        (self.lines * self.phases * self.phase).next_multiple_of(LANES)
    }

    /// Floats from a line to the next.
    fn line(&self) -> usize {
        self.phases * self.phase
    }

    /// Where a padded line and column lie.
    fn at(&self, line: usize, column: usize) -> usize {
        line * self.line() + column % self.phases * self.phase + column / self.phases
    }

    fn fill(&self, x: Floats<'_>, out: &mut [f32]) {
        let [height, width] = self.plane;
        let [up, left] = self.before;
        if self.phases == 1 && up < self.lines && left + width <= self.phase {
            let (before, lines) = out.split_at_mut(up * self.line() + left);
            before.fill(0.0);
            // Lines with the zeros between them, but for the last, behind which there may be fewer.
            let between = height.min(self.lines - up) - 1;
            let (lines, last) = lines.split_at_mut(between * self.line());
            x.lines((0, width), lines, (self.line(), width));
            let (last, after) = last.split_at_mut(width);
            x.copy(between * width, last);
            return after.fill(0.0);
        }
        x.with(|x| self.fill_phases(x, out));
    }

    fn fill_phases(&self, x: &[f32], out: &mut [f32]) {
        let [height, width] = self.plane;
        let [up, left] = self.before;
        out.fill(0.0);
        let lines = out.chunks_exact_mut(self.line()).skip(up);
        for (x, out) in x.chunks_exact(width).take(height).zip(lines) {
            for (p, out) in out.chunks_exact_mut(self.phase).enumerate() {
                // Padded columns p, p + phases …, from the first that lies in the plane.
                let first = left.saturating_sub(p).div_ceil(self.phases);
                let column = first * self.phases + p - left;
                let out = &mut out[first.min(self.phase)..];
                match self.phases {
                    1 => {
                        let n = width.min(out.len());
                        out[..n].copy_from_slice(&x[..n]);
                    }
                    step => {
                        let x = x.get(column..).unwrap_or_default().iter().step_by(step);
                        out.iter_mut().zip(x).for_each(|(out, &x)| *out = x);
                    }
                }
            }
        }
    }
}

/// Taps that are summed for positions side by side: which of the weight's, and where each begins to read.
#[derive(Default)]
struct Taps {
    which: Vec<usize>,
    offsets: Vec<usize>,
}

impl Depthwise {
    /// Of `conv`, which [`choice`](super::choice) lets through.
    pub(crate) fn new(shape: &Unfold, [images, groups]: [usize; 2], to: usize) -> Depthwise {
        Depthwise {
            shape: *shape,
            images,
            groups,
            to,
        }
    }

    pub(crate) fn of(conv: &Conv, shape: &Unfold) -> Depthwise {
        Depthwise::new(shape, [conv.batch, conv.groups], conv.out_channels)
    }

    /// The same by pairs of positions, where these are few.
    fn tiny(&self) -> Option<Tiny> {
        Tiny::of(&self.shape, [self.images, self.groups], self.to)
    }

    /// What any of the three takes, in about tenths of nanoseconds: a plane is copied, then multiplied line by line.
    fn work(&self) -> usize {
        let [_, lines, columns] = self.shape.output;
        let vectors = lines * columns.div_ceil(LANES) * self.shape.taps();
        self.images * self.groups * (300 + self.shape.plane() + self.to * vectors * 4)
    }

    /// The padded input, and the taps on it.
    fn input(&self) -> (Padded, Taps) {
        let Unfold {
            input,
            output,
            kernel,
            stride,
            dilation,
            padding,
        } = self.shape;
        let reach = |d: usize| (output[d] - 1) * stride[d] + (kernel[d] - 1) * dilation[d] + 1;
        let padded = Padded {
            plane: [input[1], input[2]],
            before: [padding[1] as usize, padding[2] as usize],
            lines: reach(1),
            phases: stride[2],
            phase: reach(2).div_ceil(stride[2]) + LANES,
        };
        let taps = 0..self.shape.taps();
        let offset = |t: usize| {
            let (line, column) = (t / kernel[2], t % kernel[2]);
            padded.at(line * dilation[1], column * dilation[2])
        };
        let offsets = taps.clone().map(offset).collect();
        let taps = Taps {
            which: taps.collect(),
            offsets,
        };
        (padded, taps)
    }

    /// `out[n, g, o] = Σ over taps of weight[g, o, t] · x[n, g] moved by t`.
    pub(crate) fn forward(&self, x: Floats<'_>, weight: &[f32], out: Results<'_>, par: Par) {
        if let Some(tiny) = self.tiny() {
            return tiny.forward(x, weight, out, par);
        }
        let par = par.for_work(self.work());
        let (padded, taps) = self.input();
        let (plane, positions) = (self.shape.plane(), self.shape.positions());
        let [_, lines, columns] = self.shape.output;
        let step = self.shape.stride[1] * padded.line();
        let slab = self.to * positions;
        let size = (self.images * self.groups).div_ceil(par.pieces());
        out.chunks(par, (size * slab, slab), |first, out| {
            with_scratch(padded.len(), |scratch| {
                for (i, out) in out.chunks_exact_mut(slab).enumerate() {
                    let i = first / slab + i;
                    padded.fill(x.slab(i * plane, plane), scratch);
                    let weights = self.weights(weight, i % self.groups);
                    for (weight, out) in weights.zip(out.chunks_exact_mut(positions)) {
                        out.fill(0.0);
                        let from = (&*scratch, step);
                        add_taps(from, &taps.offsets, weight, out, [lines, columns]);
                    }
                }
            });
        });
    }

    /// The taps of each output plane of a group.
    fn weights<'w>(&self, weight: &'w [f32], g: usize) -> std::slice::ChunksExact<'w, f32> {
        let taps = self.shape.taps();
        weight[g * self.to * taps..][..self.to * taps].chunks_exact(taps)
    }

    /// The padded upstream gradient, and for each phase of the input's lines and columns the taps that meet it.
    fn upstream(&self) -> (Padded, Vec<Taps>) {
        let Unfold {
            input,
            output,
            kernel,
            stride,
            dilation,
            padding,
        } = self.shape;
        // Position i of phase p reads position (i − p) / stride + c of the output, c = (p + padding − tap · dilation) / stride.
        let place = |d: usize, phase: usize, tap: usize| {
            let c = phase as i64 + padding[d] - (tap * dilation[d]) as i64;
            (c % stride[d] as i64 == 0).then_some(c / stride[d] as i64)
        };
        let places = |d: usize| {
            let phases = 0..stride[d];
            phases.flat_map(move |p| (0..kernel[d]).filter_map(move |t| place(d, p, t)))
        };
        let before = [1, 2].map(|d| {
            places(d)
                .min()
                .map_or(0, |c| c.min(0).unsigned_abs() as usize)
        });
        let after = [1, 2].map(|d| places(d).max().map_or(0, |c| c.max(0) as usize));
        let count = |d: usize| input[d].div_ceil(stride[d]);
        let padded = Padded {
            plane: [output[1], output[2]],
            before,
            lines: before[0] + (count(1) + after[0]).max(output[1]),
            phases: 1,
            phase: before[1] + (count(2) + after[1]).max(output[2]) + LANES,
        };
        let mut all = Vec::new();
        for p in 0..stride[1] * stride[2] {
            let mut taps = Taps::default();
            for t in 0..self.shape.taps() {
                let (down, right) = (t / kernel[2], t % kernel[2]);
                let down = place(1, p / stride[2], down);
                let right = place(2, p % stride[2], right);
                if let (Some(down), Some(right)) = (down, right) {
                    let at = |c: i64, before: usize| (c + before as i64) as usize;
                    taps.which.push(t);
                    taps.offsets
                        .push(padded.at(at(down, before[0]), at(right, before[1])));
                }
            }
            all.push(taps);
        }
        (padded, all)
    }

    /// `out[n, g] = Σ over output planes and taps of weight[g, o, t] · y[n, g, o] moved back by t`.
    pub(crate) fn input_grad(&self, y: Floats<'_>, weight: &[f32], out: Results<'_>, par: Par) {
        if let Some(tiny) = self.tiny() {
            return tiny.input_grad(y, weight, out, par);
        }
        let par = par.for_work(self.work());
        let (padded, phases) = self.upstream();
        let (plane, positions) = (self.shape.plane(), self.shape.positions());
        let [_, height, width] = self.shape.input;
        let [_, down, right] = self.shape.stride;
        let size = (self.images * self.groups).div_ceil(par.pieces());
        let room = padded.len();
        out.chunks(par, (size * plane, plane), |first, out| {
            with_scratch(self.to * room + plane.next_multiple_of(LANES), |scratch| {
                let (copies, part) = scratch.split_at_mut(self.to * room);
                let mut taps_of = vec![0.0; self.shape.taps()];
                for (i, out) in out.chunks_exact_mut(plane).enumerate() {
                    let i = first / plane + i;
                    for (o, copy) in copies.chunks_exact_mut(room).enumerate() {
                        padded.fill(y.slab((i * self.to + o) * positions, positions), copy);
                    }
                    for (p, taps) in phases.iter().enumerate() {
                        let (top, left) = (p / right, p % right);
                        let lines = height.saturating_sub(top).div_ceil(down);
                        let columns = width.saturating_sub(left).div_ceil(right);
                        let weights = self.weights(weight, i % self.groups);
                        let alone = phases.len() == 1;
                        let sums = match alone {
                            true => &mut *out,
                            false => &mut part[..lines * columns],
                        };
                        sums.fill(0.0);
                        for (weight, copy) in weights.zip(copies.chunks_exact(room)) {
                            let picked = &mut taps_of[..taps.which.len()];
                            let all = taps.which.iter().map(|&t| weight[t]);
                            picked.iter_mut().zip(all).for_each(|(to, w)| *to = w);
                            let from = (copy, padded.line());
                            add_taps(from, &taps.offsets, picked, sums, [lines, columns]);
                        }
                        let part = &part[..lines * columns];
                        if !alone && columns > 0 {
                            for (l, part) in part.chunks_exact(columns).enumerate() {
                                let line = &mut out[(l * down + top) * width..][..width];
                                let line = line[left..].iter_mut().step_by(right);
                                line.zip(part).for_each(|(out, &x)| *out = x);
                            }
                        }
                    }
                }
            });
        });
    }

    /// `out[g, o, t] = Σ over images and positions of y[n, g, o] · x[n, g] moved by t`.
    pub(crate) fn weight_grad(&self, x: Floats<'_>, y: Floats<'_>, out: &mut [f32], par: Par) {
        if let Some(tiny) = self.tiny() {
            return tiny.weight_grad(x, y, out, par);
        }
        let par = par.for_work(self.work());
        let (padded, taps) = self.input();
        let count = self.to * self.shape.taps();
        let size = self.groups.div_ceil(par.pieces());
        par.chunks(out, size * count, |first, out| {
            let groups = first / count..(first + out.len()) / count;
            self.weights_of((x, y), (&padded, &taps), groups, out);
        });
    }

    fn weights_of(
        &self,
        (x, y): (Floats<'_>, Floats<'_>),
        (padded, taps): (&Padded, &Taps),
        groups: Range<usize>,
        out: &mut [f32],
    ) {
        let (plane, positions) = (self.shape.plane(), self.shape.positions());
        let [_, lines, columns] = self.shape.output;
        let step = self.shape.stride[1] * padded.line();
        let count = self.to * self.shape.taps();
        let room = padded.len();
        with_scratch(room + count * LANES, |scratch| {
            let (copy, sums) = scratch.split_at_mut(room);
            for (g, out) in groups.zip(out.chunks_exact_mut(count)) {
                let mut totals = vec![0.0f64; count];
                let mut chain = 0;
                sums.fill(0.0);
                for i in (0..self.images).map(|image| image * self.groups + g) {
                    padded.fill(x.slab(i * plane, plane), copy);
                    for [line, column, lines, width] in blocks([lines, columns]) {
                        let vectors = lines * width.div_ceil(LANES);
                        if chain + vectors > CHAIN {
                            add_up(sums, &mut totals);
                            chain = 0;
                        }
                        chain += vectors;
                        let of_plane = sums.chunks_exact_mut(taps.offsets.len() * LANES);
                        for (o, sums) in of_plane.enumerate() {
                            let from = (i * self.to + o) * positions + line * columns + column;
                            let y = y.slab(from, (lines - 1) * columns + width);
                            let copy = &copy[line * step + column..];
                            y.with(|y| {
                                products(copy, step, &taps.offsets, y, [lines, width], sums);
                            });
                        }
                    }
                }
                add_up(sums, &mut totals);
                out.iter_mut()
                    .zip(totals)
                    .for_each(|(out, total)| *out = total as f32);
            }
        });
    }
}

/// Adds the sums of taps to `out`: see [`taps_of`].
fn add_taps(
    (padded, step): (&[f32], usize),
    offsets: &[usize],
    weight: &[f32],
    out: &mut [f32],
    [lines, columns]: [usize; 2],
) {
    if lines == 0 || columns == 0 || offsets.is_empty() {
        return;
    }
    let furthest = offsets.iter().max().map_or(0, |&o| o);
    let last = (lines - 1) * step + furthest + (columns - 1) / LANES * LANES + LANES;
    assert!(
        last <= padded.len() && lines * columns <= out.len() && weight.len() == offsets.len(),
        "taps reach beyond the padded plane"
    );
    let out = Out {
        at: out.as_mut_ptr(),
        row: columns,
    };
    taps(padded, step, offsets, weight, out, lines);
}

best! {
    /// Adds to each line of `out` the sum over taps of weight times the padded plane from the tap's offset on.
    fn taps(padded: &[f32], step: usize, offsets: &[usize], weight: &[f32], out: Out, lines: usize) = taps_of
}

#[inline(always)]
unsafe fn taps_of<V: Lanes>(
    padded: &[f32],
    step: usize,
    offsets: &[usize],
    weight: &[f32],
    out: Out,
    lines: usize,
) {
    // SAFETY: `add_taps` has seen that every vector of every tap lies in the padded plane, and every line in the output.
    unsafe {
        let mut line = 0;
        while line + TOGETHER <= lines {
            some_lines::<V, TOGETHER>(padded, (line, step), offsets, weight, out);
            line += TOGETHER;
        }
        for line in line..lines {
            some_lines::<V, 1>(padded, (line, step), offsets, weight, out);
        }
    }
}

#[inline(always)]
unsafe fn some_lines<V: Lanes, const N: usize>(
    padded: &[f32],
    (line, step): (usize, usize),
    offsets: &[usize],
    weight: &[f32],
    out: Out,
) {
    // SAFETY: the caller's.
    unsafe {
        for column in (0..out.row).step_by(V::LEN) {
            let n = (out.row - column).min(V::LEN);
            let x = padded.as_ptr().add(line * step + column);
            let to = out.at.add(line * out.row + column);
            let mut acc = [V::splat(0.0); N];
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = read(to.add(i * out.row), n);
            }
            for (&offset, &w) in offsets.iter().zip(weight) {
                let w = V::splat(w);
                for (i, acc) in acc.iter_mut().enumerate() {
                    *acc = acc.fma(w, V::load(x.add(i * step + offset)));
                }
            }
            for (i, acc) in acc.into_iter().enumerate() {
                match n == V::LEN {
                    true => acc.store(to.add(i * out.row)),
                    false => acc.store_first(to.add(i * out.row), n),
                }
            }
        }
    }
}

/// Adds, for each tap, the products of `y` with the padded plane from its offset on to [`LANES`] sums.
fn products(
    padded: &[f32],
    step: usize,
    offsets: &[usize],
    y: &[f32],
    [lines, columns]: [usize; 2],
    sums: &mut [f32],
) {
    let furthest = offsets.iter().max().map_or(0, |&o| o);
    assert!(
        (lines - 1) * step + furthest + columns <= padded.len()
            && lines * columns <= y.len()
            && sums.len() == offsets.len() * LANES,
        "taps reach beyond the padded plane"
    );
    let at = &mut 0;
    for size in [9, 5, 3, 1] {
        while offsets.len() - *at >= size {
            let taps = *at..*at + size;
            let sums = &mut sums[taps.start * LANES..taps.end * LANES];
            tap_products(padded, step, &offsets[taps], y, [lines, columns], sums);
            *at += size;
        }
    }
}

best! {
    /// [`products`] of nine, five, three taps or one.
    fn tap_products(padded: &[f32], step: usize, offsets: &[usize], y: &[f32], sizes: [usize; 2], sums: &mut [f32]) = tap_products_of
}

#[inline(always)]
unsafe fn tap_products_of<V: Lanes>(
    padded: &[f32],
    step: usize,
    offsets: &[usize],
    y: &[f32],
    sizes: [usize; 2],
    sums: &mut [f32],
) {
    // SAFETY: `products` has seen that every position of every tap lies in the padded plane.
    unsafe {
        match offsets.len() {
            9 => some_products::<V, 9>(padded, step, offsets, y, sizes, sums),
            5 => some_products::<V, 5>(padded, step, offsets, y, sizes, sums),
            3 => some_products::<V, 3>(padded, step, offsets, y, sizes, sums),
            _ => some_products::<V, 1>(padded, step, offsets, y, sizes, sums),
        }
    }
}

#[inline(always)]
unsafe fn some_products<V: Lanes, const T: usize>(
    padded: &[f32],
    step: usize,
    offsets: &[usize],
    y: &[f32],
    [lines, columns]: [usize; 2],
    sums: &mut [f32],
) {
    // SAFETY: the caller's; of vectors that reach beyond a line, the lanes inside alone are read.
    unsafe {
        let offsets: [usize; T] = std::array::from_fn(|t| offsets[t]);
        let mut acc = [V::splat(0.0); T];
        for (t, acc) in acc.iter_mut().enumerate() {
            *acc = V::load(sums.as_ptr().add(t * LANES));
        }
        for line in 0..lines {
            for column in (0..columns).step_by(V::LEN) {
                let n = (columns - column).min(V::LEN);
                let at_y = read::<V>(y.as_ptr().add(line * columns + column), n);
                let x = padded.as_ptr().add(line * step + column);
                for t in 0..T {
                    acc[t] = acc[t].fma(at_y, read(x.add(offsets[t]), n));
                }
            }
        }
        for (t, acc) in acc.into_iter().enumerate() {
            acc.store(sums.as_mut_ptr().add(t * LANES));
        }
    }
}
