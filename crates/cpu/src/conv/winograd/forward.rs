//! Results from inputs: tiles lie side by side in vectors. The lines of a plane are copied so that those that are at the same
//! height of their tiles lie together, with zeros around the plane.

use super::tiles as tiles_of;
use crate::conv::unfold::Unfold;
use crate::conv::winograd::transform::{self, FILTERS, Lines, PLACES, SLACK, TILE};
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::part;
use crate::matmul::gemm::results::{Results, Target};
use crate::matmul::gemm::scratch::with_scratch;
use crate::threads::par::Par;
use std::ops::Range;

/// Floats of the transformed inputs and products of a task: with the filters they share a second-level cache.
const TASK: usize = 1 << 17;

/// Most output planes whose products wait for their transform.
const PLANES: usize = 56;

/// Most steps of a sum in registers.
const DEPTH: usize = 768;

/// The filters of a convolution, `[groups * to, from, 3, 3]`, or those of its adjoint.
#[derive(Clone, Copy)]
pub(crate) struct Filters<'w> {
    pub(crate) weight: Floats<'w>,
    pub(crate) groups: usize,
    /// Read as `[groups * from, to, 3, 3]`, taps in reverse.
    pub(crate) adjoint: bool,
}

impl Filters<'_> {
    /// Calls `f` with each input plane and its taps to the output planes `rows` of group `g`, at most as many as are
    /// transformed together.
    fn each_plane(
        &self,
        g: usize,
        (rows, to): (Range<usize>, usize),
        from: usize,
        mut f: impl FnMut(usize, &[[f32; FILTERS]; 9]),
    ) {
        let weight = self.weight.slab(g * from * to * 9, from * to * 9);
        let (count, first) = (rows.len(), rows.start);
        // The whole weight, or what of it belongs to the rows, widened: from which of its taps on, from one plane's to the
        // next's, and from one row's to the next's.
        let mut planes = |weight: &[f32], at: usize, [plane, row]: [usize; 2]| {
            let mut taps = [[0.0; FILTERS]; 9];
            for c in 0..from {
                for i in 0..count {
                    let at = (at + c * plane + i * row) * 9;
                    for (t, &w) in weight[at..][..9].iter().enumerate() {
                        taps[if self.adjoint { 8 - t } else { t }][i] = w;
                    }
                }
                f(c, &taps);
            }
        };
        match (weight.single(), self.adjoint) {
            (Some(weight), true) => planes(weight, first, [to, 1]),
            (Some(weight), false) => planes(weight, first * from, [1, from]),
            (None, true) => with_scratch(from * count * 9, |wide| {
                weight.lines((first * 9, to * 9), wide, (count * 9, count * 9));
                planes(wide, 0, [count, 1]);
            }),
            (None, false) => weight
                .slab(first * from * 9, count * from * 9)
                .with(|wide| planes(wide, 0, [1, from])),
        }
    }
}

/// A convolution that is computed so.
pub(crate) struct Winograd {
    shape: Unfold,
    /// Planes of the input and of the output of a group.
    from: usize,
    to: usize,
    /// Lines and columns of tiles.
    tiles: [usize; 2],
}

/// Lines of tiles of consecutive slabs; of one slab if not all.
#[derive(Clone)]
struct Task {
    slabs: Range<usize>,
    lines: Range<usize>,
}

impl Winograd {
    /// The plan for a shape that [`choice`](crate::conv::choice) lets through.
    pub(crate) fn new(shape: &Unfold, from: usize, to: usize) -> Winograd {
        Winograd {
            shape: *shape,
            from,
            to,
            tiles: tiles_of(shape),
        }
    }

    /// Panels of output planes of a group.
    fn panels(&self) -> usize {
        self.to.div_ceil(Kernels::best().rows())
    }

    /// Output planes of a panel.
    fn rows(&self, panel: usize) -> Range<usize> {
        let panels = self.panels();
        part(self.to, panel, panels)..part(self.to, panel + 1, panels)
    }

    /// Floats of the transformed filters of a panel for one place of a tile.
    fn place(&self) -> usize {
        self.to.div_ceil(self.panels()) * self.from + SLACK
    }

    /// Floats of the transformed filters.
    pub(crate) fn packed_len(&self, groups: usize) -> usize {
        groups * self.panels() * PLACES * self.place()
    }

    /// Transforms the filters into [`Winograd::packed_len`] floats: panels of output planes, for every place of a tile,
    /// channel by channel.
    pub(crate) fn pack(&self, filters: Filters<'_>, packed: &mut [f32], par: Par<'_>) {
        let (from, to) = (self.from, self.to);
        let len = PLACES * self.place();
        let par = par.for_work(filters.groups * from * to * 100);
        par.chunks(packed, len, |first, packed| {
            let (g, panel) = (first / len / self.panels(), first / len % self.panels());
            let rows = self.rows(panel);
            filters.each_plane(g, (rows.clone(), to), from, |c, taps| {
                let packed = &mut packed[c * rows.len()..];
                transform::filters(taps, rows.len(), packed, self.place());
            });
        });
    }

    /// Runs of steps of the sums.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let k = self.from;
        let depth = k.div_ceil(k.div_ceil(DEPTH));
        (0..k).step_by(depth).map(move |l| l..(l + depth).min(k))
    }

    /// Convolves every slab `i` of `x` with the filters of group `i % groups`.
    pub(crate) fn run(
        &self,
        x: Floats<'_>,
        (packed, groups): (&[f32], usize),
        mut out: Results<'_>,
        par: Par<'_>,
    ) {
        let kernels = Kernels::best();
        let slab = self.to * self.shape.positions();
        let slabs = out.len() / slab;
        let out = out.target();
        let tasks = self.tasks(kernels, slabs, groups, par);
        par.for_each(tasks.len(), |i| {
            let group = self.packed_len(1);
            let packed = &packed[tasks[i].slabs.start % groups * group..][..group];
            // SAFETY: tasks are parts of the output that do not overlap.
            unsafe { self.task(kernels, (x, packed), tasks[i].clone(), out) };
        });
    }

    /// Cuts the work. No bit depends on how.
    fn tasks(&self, kernels: &Kernels, slabs: usize, groups: usize, par: Par<'_>) -> Vec<Task> {
        let each = PLACES * (self.from + self.to.min(PLANES));
        let most = (TASK / each).max(kernels.cols());
        let plane = self.tiles[0] * self.tiles[1];
        let mut tasks = Vec::new();
        if plane > most || slabs < 2 * par.threads() {
            let bands = (plane.div_ceil(most)).max((2 * par.threads()).div_ceil(slabs));
            let bands = bands.min(self.tiles[0]);
            for slab in 0..slabs {
                tasks.extend((0..bands).map(|i| Task {
                    slabs: slab..slab + 1,
                    lines: part(self.tiles[0], i, bands)..part(self.tiles[0], i + 1, bands),
                }));
            }
            return tasks;
        }
        // So many slabs together that the fewest lanes are empty.
        let most = (most / plane).min(slabs / (2 * par.threads())).max(1);
        let most = if groups == 1 { most } else { 1 };
        let empty = |n: &usize| (n * plane).next_multiple_of(kernels.lanes) * 1000 / (n * plane);
        let together = (1..=most).rev().min_by_key(empty).unwrap_or(1);
        let starts = (0..slabs).step_by(together);
        tasks.extend(starts.map(|s| Task {
            slabs: s..(s + together).min(slabs),
            lines: 0..self.tiles[0],
        }));
        tasks
    }

    /// Some lines of tiles of all output planes of some slabs.
    ///
    /// # Safety
    /// `out` holds the slabs; nobody else touches these lines of them.
    unsafe fn task(
        &self,
        kernels: &Kernels,
        (x, packed): (Floats<'_>, &[f32]),
        task: Task,
        out: Target,
    ) {
        let n = task.lines.len() * self.tiles[1];
        let row = ((task.slabs.len() - 1) * n + n.next_multiple_of(kernels.lanes))
            .next_multiple_of(kernels.lanes);
        let all = task.slabs.len() * n;
        let plane = self.from * row + SLACK;
        let planes = self.to.min(PLANES);
        let products = planes * row + SLACK;
        with_scratch(PLACES * (plane + products), |scratch| {
            let (inputs, results) = scratch.split_at_mut(PLACES * plane);
            self.transform(x, &task, (row, plane), inputs);
            let panels = self.panels();
            let blocks = panels.div_ceil(PLANES / kernels.rows());
            for block in 0..blocks {
                let first = part(panels, block, blocks);
                let next = part(panels, block + 1, blocks);
                let rows = self.rows(first).start..self.rows(next - 1).end;
                for t in 0..PLACES {
                    let (inputs, results) = (&inputs[t * plane..], &mut results[t * products..]);
                    for run in self.runs() {
                        for at in (0..all).step_by(kernels.cols()) {
                            let vectors = (all - at).min(kernels.cols()).div_ceil(kernels.lanes);
                            for panel in first..next {
                                let planes = self.rows(panel);
                                let filters = (panel * PLACES + t) * self.place();
                                let tile = Tile {
                                    k: run.len(),
                                    a: packed[filters + run.start * planes.len()..].as_ptr(),
                                    a_step: planes.len(),
                                    b: inputs[run.start * row + at..].as_ptr(),
                                    source: Source::Strided(row),
                                    c: results[(planes.start - rows.start) * row + at..]
                                        .as_mut_ptr(),
                                    c_row: row,
                                    cols: vectors * kernels.lanes,
                                    add: run.start > 0,
                                };
                                // SAFETY: the panel holds the run, and inputs and results have whole vectors up to
                                // `row`; the kernel is one of this processor's.
                                unsafe { (kernels.tiles[planes.len() - 1][vectors - 1])(&tile) };
                            }
                        }
                    }
                }
                // SAFETY: the caller's.
                unsafe { self.finish(&task, rows, (results, row, products), out) };
            }
        });
    }

    /// Transforms the inputs of a task.
    fn transform(&self, x: Floats<'_>, task: &Task, (row, plane): (usize, usize), out: &mut [f32]) {
        let [_, height, width] = self.shape.input;
        let n = task.lines.len() * self.tiles[1];
        let across = TILE * self.tiles[1];
        // A line of tiles more than there are, and whole vectors.
        let len = (TILE * (n + SLACK) + across + SLACK).next_multiple_of(SLACK);
        with_scratch(2 * TILE * len, |scratch| {
            scratch.fill(0.0);
            for (i, slab) in task.slabs.clone().enumerate() {
                for c in 0..self.from {
                    let plane_of_x = (slab * self.from + c) * height * width;
                    x.slab(plane_of_x, height * width)
                        .with(|x| self.spread(x, task, len, scratch));
                    let mut lines = scratch.chunks_exact(len);
                    let mut four = || [(); TILE].map(|()| lines.next().unwrap_or_default());
                    let (lines, shifted) = (four(), four());
                    let at = c * row + i * n;
                    transform::input(lines, shifted, across, n, &mut out[at..], plane);
                }
            }
        });
    }

    /// Copies the lines of a plane that a task reads: for each height in a tile those of all tiles, first from the tiles' own
    /// columns, then all of that again from the columns of the tiles to the right.
    fn spread(&self, x: &[f32], task: &Task, len: usize, out: &mut [f32]) {
        let [_, height, width] = self.shape.input;
        let [up, left] = [
            self.shape.padding[1] as usize,
            self.shape.padding[2] as usize,
        ];
        let across = TILE * self.tiles[1];
        for (at, out) in out.chunks_exact_mut(len).enumerate() {
            let (line, shift) = (at % TILE, at / TILE * TILE);
            // Columns of the plane, and where the first comes to lie.
            let first = shift.saturating_sub(left);
            let column = left.saturating_sub(shift);
            let columns = width.saturating_sub(first).min(across - column.min(across));
            // Line `l` of tiles begins `TILE * l - up` lines down the plane.
            let y = |l: usize| (TILE * (task.lines.start + l) + line).checked_sub(up);
            let begin = (0..=task.lines.len()).find_map(|l| Some((l, y(l)?)));
            let Some((l, y)) = begin.filter(|&(_, y)| y < height && columns > 0) else {
                continue;
            };
            let count = (height - y).div_ceil(TILE).min(task.lines.len() + 1 - l);
            let from = Lines {
                at: y * width + first,
                step: TILE * width,
            };
            let to = Lines {
                at: l * across + column,
                step: across,
            };
            transform::spread_lines((x, from), (out, to), count, columns);
        }
    }

    /// Transforms the products of some output planes and writes what of them lies inside.
    ///
    /// # Safety
    /// As for [`Winograd::task`].
    unsafe fn finish(
        &self,
        task: &Task,
        planes: Range<usize>,
        (products, row, plane): (&[f32], usize, usize),
        out: Target,
    ) {
        let [_, height, width] = self.shape.output;
        let n = task.lines.len() * self.tiles[1];
        let across = TILE * self.tiles[1];
        let len = TILE * (n + SLACK);
        with_scratch(TILE * len, |scratch| {
            for (i, slab) in task.slabs.clone().enumerate() {
                for o in planes.clone() {
                    let at = (o - planes.start) * row + i * n;
                    let mut lines = scratch.chunks_exact_mut(len);
                    let four = [(); TILE].map(|()| lines.next().unwrap_or_default());
                    transform::output(&products[at..], plane, n, four);
                    let first = TILE * task.lines.start;
                    let count = (TILE * task.lines.end).min(height) - first;
                    let mut lines = scratch.chunks_exact(len);
                    let four = [(); TILE].map(|()| lines.next().unwrap_or_default());
                    let at = (slab * self.to + o) * height * width + first * width;
                    // SAFETY: these lines of this plane are the caller's alone.
                    unsafe {
                        out.from(at).with(count * width, |to| {
                            transform::gather_lines(four, across, to, width);
                        });
                    }
                }
            }
        });
    }
}
