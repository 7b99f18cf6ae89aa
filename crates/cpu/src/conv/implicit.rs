//! Flat convolutions as products that never write the unfolded input. Each plane is copied once with zeros around it, its lines
//! and columns by their phase where the stride is not 1; then what a tap reads for consecutive positions lies at consecutive
//! places, so the right operand of the product is the padded slab itself, read through a table of one offset for each channel
//! and tap. The columns between the lines of the output are computed too and thrown away. Knows no gradients.

use crate::conv::unfold::Unfold;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{Block, SLACK};
use crate::matmul::gemm::results::{Results, Target};
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Out, pack_left, part};
use crate::threads::par::Par;
use std::ops::Range;

/// Most steps of a sum in registers; longer sums go on from the output.
const DEPTH: usize = 768;

/// Floats of a band of the padded slab, and of its output: with the weights they share a second-level cache.
const BAND: usize = 96 << 10;

/// A convolution that can be computed so.
pub(crate) struct Flat {
    shape: Unfold,
    /// Planes of the input and of the output of a group.
    from: usize,
    to: usize,
    /// Width of a line with the zeros between it and the next.
    width: usize,
    /// Output lines computed at once.
    lines: usize,
}

/// Zeros that lines of a plane need between them, so that no tap of one reads another.
pub(crate) fn gap(shape: &Unfold) -> usize {
    let reach = (shape.dilation[2] * (shape.kernel[2] - 1)) as i64;
    let last = ((shape.output[2] - 1) * shape.stride[2]) as i64 + reach - shape.padding[2];
    shape.padding[2]
        .max(last - (shape.input[2] as i64 - 1))
        .max(0) as usize
}

/// Whether this is a convolution of planes without depth, padded and not cropped.
pub(crate) fn is_flat(shape: &Unfold) -> bool {
    (
        shape.input[0],
        shape.output[0],
        shape.kernel[0],
        shape.padding[0],
    ) == (1, 1, 1, 0)
        && shape.padding.iter().all(|&p| p >= 0)
}

impl Flat {
    /// The plan for `slabs` slabs of `from` planes, of a shape that [`choice`](super::choice) lets through.
    pub(crate) fn new(shape: &Unfold, from: usize, to: usize, slabs: usize, par: Par) -> Flat {
        let width = width(shape);
        let lines = shape.output[1];
        let most = (BAND / ((from * phases(shape)).max(to) * width))
            .saturating_sub(reach_of_phase(shape))
            .max(1);
        // With fewer slabs than threads these share a slab.
        let bands = lines
            .div_ceil(most)
            .max((2 * par.threads() / slabs.max(1)).min(lines));
        Flat {
            shape: *shape,
            from,
            to,
            width,
            lines: lines.div_ceil(bands),
        }
    }

    /// `out[i] = weight[i % groups] · unfold(x[i])` for every slab `i`.
    pub(crate) fn run(
        &self,
        (x, weight, groups): (Floats<'_>, &[f32], usize),
        mut out: Results<'_>,
        par: Par,
    ) {
        let kernels = Kernels::best();
        let k = self.from * self.shape.taps();
        let table = self.table();
        let bands = self.shape.output[1].div_ceil(self.lines);
        let slab = self.to * self.shape.positions();
        let slabs = out.len() / slab;
        let out = out.target();
        // Each run with room for what packing writes behind it.
        let runs: Vec<Range<usize>> = self.runs(k).collect();
        let group = self.to * k + runs.len() * SLACK;
        with_scratch(groups * group, |packed| {
            let at = Out {
                at: packed.as_mut_ptr(),
                row: 0,
            };
            par.for_work(4 * weight.len())
                .for_each(groups * runs.len(), |i| {
                    let (g, i) = (i / runs.len(), i % runs.len());
                    let place = at.from(g * group + self.run_at(i, &runs[i]));
                    let len = self.to * runs[i].len() + SLACK;
                    // SAFETY: runs do not overlap, and the memory holds all of them.
                    let packed = unsafe { std::slice::from_raw_parts_mut(place.at, len) };
                    self.pack_weight(kernels, &weight[g * self.to * k..], k, &runs[i], packed);
                });
            let packed = &*packed;
            par.for_each(slabs * bands, |task| {
                let (i, band) = (task / bands, task % bands);
                let lines = band * self.lines..((band + 1) * self.lines).min(self.shape.output[1]);
                let len = self.from * self.shape.plane();
                let x = x.slab(i * len, len);
                let weight = &packed[i % groups * group..];
                let out = out.from(i * slab);
                // SAFETY: slabs and bands of lines are parts of the output that do not overlap.
                unsafe { self.band(kernels, (x, weight, &table), lines, out) };
            });
        });
    }

    /// Length of one phase of a padded plane of a band.
    fn phase(&self) -> usize {
        let before = match phases(&self.shape) {
            1 => self.shape.padding[2] as usize,
            _ => 0,
        };
        let len = before + (self.lines + reach_of_phase(&self.shape)) * self.width;
        let len = (len + self.width).next_multiple_of(16);
        // Planes that begin at the same place of a page would drive each other out of the cache.
        if len.is_multiple_of(256) {
            len + 16
        } else {
            len
        }
    }

    /// Length of a padded plane of a band.
    fn plane(&self) -> usize {
        phases(&self.shape) * self.phase()
    }

    /// Where each channel's taps read, for position 0.
    fn table(&self) -> Vec<usize> {
        let (plane, taps) = (self.plane(), self.shape.taps());
        let Unfold {
            kernel,
            stride,
            dilation,
            ..
        } = self.shape;
        let tap = |t: usize| {
            let [down, right] = [t / kernel[2] * dilation[1], t % kernel[2] * dilation[2]];
            let phase = down % stride[1] * stride[2] + right % stride[2];
            phase * self.phase() + down / stride[1] * self.width + right / stride[2]
        };
        (0..self.from * taps)
            .map(|l| l / taps * plane + tap(l % taps))
            .collect()
    }

    /// Runs of steps, the same for every position.
    fn runs(&self, k: usize) -> impl Iterator<Item = Range<usize>> {
        let depth = k.div_ceil(k.div_ceil(DEPTH)).next_multiple_of(8);
        (0..k).step_by(depth).map(move |l| l..(l + depth).min(k))
    }

    /// Where the weights of a run are packed.
    fn run_at(&self, i: usize, run: &Range<usize>) -> usize {
        run.start * self.to + i * SLACK
    }

    fn pack_weight(
        &self,
        kernels: &Kernels,
        weight: &[f32],
        k: usize,
        run: &Range<usize>,
        out: &mut [f32],
    ) {
        let panels = self.to.div_ceil(kernels.rows());
        let block = Block {
            data: weight.into(),
            at: run.start,
            across: k,
            along: 1,
        };
        pack_left(block, self.to, panels, run.len(), out);
    }

    /// Some lines of all output planes of a slab.
    ///
    /// # Safety
    /// `out` is a slab of the output whose `lines` nobody else touches.
    unsafe fn band(
        &self,
        kernels: &Kernels,
        (x, weight, table): (Floats<'_>, &[f32], &[usize]),
        lines: Range<usize>,
        out: Target,
    ) {
        let columns = self.shape.output[2];
        let positions = (lines.len() - 1) * self.width + columns;
        let row = positions.next_multiple_of(kernels.cols());
        let slab =
            self.from * self.plane() + reach_of_phase(&self.shape) * self.width + self.width + row;
        let slab = slab.next_multiple_of(16);
        with_scratch(slab + self.to * row, |scratch| {
            let (padded, result) = scratch.split_at_mut(slab);
            self.pad(x, lines.clone(), padded);
            for (i, run) in self.runs(table.len()).enumerate() {
                let weight = &weight[self.run_at(i, &run)..];
                for at in (0..positions).step_by(kernels.cols()) {
                    let vectors = (positions - at).min(kernels.cols()).div_ceil(kernels.lanes);
                    let tile = Tile {
                        k: run.len(),
                        a: weight.as_ptr(),
                        a_step: 0,
                        b: padded[at..].as_ptr(),
                        source: Source::Table(table[run.clone()].as_ptr()),
                        c: result[at..].as_mut_ptr(),
                        c_row: row,
                        cols: vectors * kernels.lanes,
                        add: run.start > 0,
                    };
                    // SAFETY: the padded slab holds every offset of the table behind every position, `row` whole tiles.
                    unsafe { column(kernels, tile, self.to) };
                }
            }
            for (o, result) in result.chunks_exact(row).enumerate() {
                let out = out.from(o * self.shape.positions() + lines.start * columns);
                // SAFETY: the caller's.
                unsafe { out.store_lines(&result[..positions], (self.width, columns), columns) };
            }
        });
    }

    /// The planes of `x` with zeros around them, as far as the taps of `lines` reach.
    fn pad(&self, x: Floats<'_>, lines: Range<usize>, out: &mut [f32]) {
        let [_, height, width] = self.shape.input;
        let [_, down, right] = self.shape.stride;
        let up = self.shape.padding[1] as usize;
        // The lines of the plane that are read.
        let first = (lines.start * down).saturating_sub(up);
        let after = (lines.end + reach_of_phase(&self.shape)) * down;
        let read = first.min(height)..after.saturating_sub(up).min(height);
        let planes = out.chunks_exact_mut(self.plane());
        let starts = (0..x.len()).step_by(height * width);
        for (plane, out) in starts.zip(planes) {
            out.fill(0.0);
            let mut phases = |x: Floats<'_>, at: usize| {
                for (phase, out) in out.chunks_exact_mut(self.phase()).enumerate() {
                    self.pad_phase((x, at, read.start), phase, lines.clone(), out);
                }
            };
            let at = plane + read.start * width;
            match right {
                1 => phases(x, at),
                // What is taken column by column is widened before, if it is not f32.
                _ => x.slab(at, read.len() * width).with(|x| phases(x.into(), 0)),
            }
        }
    }

    /// One phase of a plane, whose line `first_line` begins at element `plane` of `x`.
    fn pad_phase(
        &self,
        (x, plane, first_line): (Floats<'_>, usize, usize),
        phase: usize,
        lines: Range<usize>,
        out: &mut [f32],
    ) {
        let [_, height, width] = self.shape.input;
        let [_, down, right] = self.shape.stride;
        let [up, left] = [1, 2].map(|d| self.shape.padding[d] as usize);
        let (top, side) = (phase / right, phase % right);
        for line in 0..lines.len() + reach_of_phase(&self.shape) {
            let y = ((lines.start + line) * down + top).checked_sub(up);
            let Some(y) = y.filter(|&y| y < height) else {
                continue;
            };
            let at = plane + (y - first_line) * width;
            if down * right == 1 {
                x.copy(at, &mut out[left + line * self.width..][..width]);
                continue;
            }
            // Padded columns side, side + right …, from the first that lies in the plane.
            let first = left.saturating_sub(side).div_ceil(right);
            let column = first * right + side - left;
            let out = &mut out[line * self.width..][..self.width];
            let out = out.get_mut(first..).unwrap_or_default();
            let n = width.saturating_sub(column).div_ceil(right).min(out.len());
            if right == 1 {
                x.copy(at + column, &mut out[..n]);
            } else if n > 0 {
                x.slab(at + column, (n - 1) * right + 1).with(|x| {
                    let x = x.iter().step_by(right);
                    out[..n].iter_mut().zip(x).for_each(|(out, &x)| *out = x);
                });
            }
        }
    }
}

/// Phases of a plane: as many as the stride has positions.
fn phases(shape: &Unfold) -> usize {
    shape.stride[1] * shape.stride[2]
}

/// Width of a line with the zeros between it and the next.
pub(crate) fn width(shape: &Unfold) -> usize {
    match phases(shape) {
        1 => shape.input[2] + gap(shape),
        _ => shape.output[2] + shape.dilation[2] * (shape.kernel[2] - 1) / shape.stride[2],
    }
}

/// How many lines of its phase below its own the last tap reads.
pub(crate) fn reach_of_phase(shape: &Unfold) -> usize {
    shape.dilation[1] * (shape.kernel[1] - 1) / shape.stride[1]
}

/// How many lines below its own the last tap reads.
pub(crate) fn reach(shape: &Unfold) -> usize {
    shape.dilation[1] * (shape.kernel[1] - 1)
}

/// How far behind the first tap the tap `t` reads, in padded lines `width` apart.
pub(crate) fn tap_offset(shape: &Unfold, width: usize, t: usize) -> usize {
    let columns = shape.kernel[2];
    t / columns * shape.dilation[1] * width + t % columns * shape.dilation[2]
}

/// The tiles of `rows` rows below one another, `tile` being the first but for its `a_step`.
///
/// # Safety
/// Each is a valid tile for `kernels`, which are this processor's; `tile.a` has `rows` rows in panels.
pub(crate) unsafe fn column(kernels: &Kernels, tile: Tile, rows: usize) {
    let panels = rows.div_ceil(kernels.rows());
    let vectors = tile.cols.div_ceil(kernels.lanes);
    for i in 0..panels {
        let (from, to) = (part(rows, i, panels), part(rows, i + 1, panels));
        let tile = Tile {
            a: tile.a.wrapping_add(from * tile.k),
            a_step: to - from,
            c: tile.c.wrapping_add(from * tile.c_row),
            ..tile
        };
        // SAFETY: the caller's.
        unsafe { (kernels.tiles[to - from - 1][vectors - 1])(&tile) };
    }
}
