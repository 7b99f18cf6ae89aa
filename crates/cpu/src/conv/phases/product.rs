//! A convolution and the gradient of its input: images side by side in vectors, the tiles of some lines and columns one after
//! another, and a product of matrices for each place of a tile.

use super::axis::{Axis, STRIDE};
use super::transform::{self, FILTERS, NOWHERE, PLACES, TAPS, TILE};
use super::{PHASES, SLACK, axes, is_active, phase, slot};
use crate::conv::unfold::Unfold;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::kernel::{Kernels, Source, Tile};
use crate::matmul::gemm::pack::{self, Block, pack};
use crate::matmul::gemm::part;
use crate::matmul::gemm::results::{Results, Target};
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::{Conv, ConvKind};
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::ops::Range;

/// Images side by side.
const TOGETHER: usize = 16;

/// Floats of the transformed inputs and the products of a task, about: two second-level caches, as each place's are used by
/// themselves.
const TASK: usize = 1 << 19;

/// Most steps of a sum in registers.
const DEPTH: usize = 768;

/// A convolution, or the gradient of its input, that is computed so.
pub(crate) struct Phases {
    images: usize,
    groups: usize,
    /// Planes of a group that are read, and that are computed.
    from: usize,
    to: usize,
    axes: [Axis; 2],
    kernel: [usize; 2],
    adjoint: bool,
    kernels: &'static Kernels,
    /// Products whose right operand is the same.
    sets: Vec<Set>,
}

/// Products with the same windows of the input: all four pairs are summed by one, or each has results of its own.
struct Set {
    /// Pairs whose windows are transformed, one behind the other.
    sources: Vec<usize>,
    /// Left operands, by number.
    matrices: Vec<usize>,
}

/// Some tiles of some images and a group.
struct Task {
    images: Range<usize>,
    g: usize,
    tiles: [Range<usize>; 2],
}

/// How what a task has lies in its memory.
struct Room {
    /// Images and zeros side by side.
    side: usize,
    /// Floats of all tiles.
    row: usize,
    /// From one place of the transformed input to the next, and of the products.
    inputs: usize,
    products: usize,
}

impl Phases {
    /// `conv`, or the gradient of its input, as its kind says.
    pub(crate) fn of(conv: &Conv, shape: &Unfold) -> Phases {
        let (slabs, adjoint) = ([conv.batch, conv.groups], conv.kind == ConvKind::InputGrad);
        let planes = match adjoint {
            false => [conv.in_channels, conv.out_channels],
            true => [conv.out_channels, conv.in_channels],
        };
        Phases::new(shape, slabs, planes, adjoint)
    }

    /// The convolution `shape` of `[images, groups]` from `from` planes of a group to `to`, or the gradient of its input, which has
    /// `to` planes of a group then.
    pub(crate) fn new(
        shape: &Unfold,
        [images, groups]: [usize; 2],
        [from, to]: [usize; 2],
        adjoint: bool,
    ) -> Phases {
        let axes = axes(shape, adjoint);
        let shared = axes.map(|axis| axis.is_shared());
        let first = |pair: usize| {
            let of = |d: usize| if shared[d] { 0 } else { phase(pair, d) };
            STRIDE * of(0) + of(1)
        };
        let alone = |source: usize| Set {
            sources: vec![source],
            matrices: (0..PHASES).filter(|&pair| first(pair) == source).collect(),
        };
        let together = || Set {
            sources: (0..PHASES).collect(),
            matrices: vec![0],
        };
        let firsts = (0..PHASES).filter(|&pair| first(pair) == pair);
        let sets = match adjoint {
            true => firsts.map(alone).collect(),
            false => vec![together()],
        };
        Phases {
            images,
            groups,
            from,
            to,
            axes,
            kernel: [shape.kernel[1], shape.kernel[2]],
            adjoint,
            kernels: Kernels::best(),
            sets,
        }
    }

    /// Tiles of an image, and how often each is transformed.
    pub(crate) fn tiles(&self) -> [usize; 2] {
        let sources = self.sets.iter().map(|set| set.sources.len()).sum();
        [self.axes[0].tiles * self.axes[1].tiles, sources]
    }

    /// Columns of the products of all images: those of a block are whole vectors.
    pub(crate) fn columns(&self) -> usize {
        let blocks = self.images.div_ceil(TOGETHER);
        let side = self.images.div_ceil(blocks);
        blocks * side.next_multiple_of(self.kernels.lanes) * self.tiles()[0]
    }

    /// Steps of all sums of a column, over all places.
    pub(crate) fn steps(&self) -> usize {
        let pairs = (0..PHASES).map(|pair| {
            let active = (0..PLACES).filter(|&t| is_active(&self.axes, t, pair));
            active.count()
        });
        pairs.sum::<usize>() * self.from
    }

    /// Floats of a left operand for all places.
    pub(crate) fn filters(&self) -> usize {
        PHASES * PLACES * self.from * self.to
    }

    /// Tasks, about, that read all of it.
    pub(crate) fn reads(&self) -> usize {
        self.columns().div_ceil(self.most())
    }

    /// Left operands: one for all pairs, or one for each.
    fn matrices(&self) -> usize {
        if self.adjoint { PHASES } else { 1 }
    }

    /// Steps of the longest sums.
    fn depth(&self) -> usize {
        if self.adjoint {
            self.from
        } else {
            PHASES * self.from
        }
    }

    /// Steps of the sums of a product at a place.
    fn steps_at(&self, place: usize, matrix: usize) -> usize {
        match self.adjoint {
            true if is_active(&self.axes, place, matrix) => self.from,
            true => 0,
            false => slot(&self.axes, place, PHASES) * self.from,
        }
    }

    /// Columns of a task, about.
    fn most(&self) -> usize {
        let each = PLACES * (self.depth() + self.matrices() * self.to);
        (TASK / each).max(self.kernels.cols())
    }

    fn panels(&self) -> usize {
        self.to.div_ceil(self.kernels.rows())
    }

    /// Planes of a panel.
    fn rows(&self, panel: usize) -> Range<usize> {
        let panels = self.panels();
        part(self.to, panel, panels)..part(self.to, panel + 1, panels)
    }

    /// Floats of a panel of a left operand for one place.
    fn place(&self) -> usize {
        self.to.div_ceil(self.panels()) * self.depth() + SLACK
    }

    /// `out[n, g]` from `x[n, g]` and the weight of every group.
    pub(crate) fn run(&self, x: Floats<'_>, weight: &[f32], mut out: Results<'_>, par: Par) {
        let out = out.target();
        let mut packed = HostBufferMut::within_step(self.step_bytes());
        let packed = packed.slice_mut::<f32>();
        let packed = &mut packed[..self.packed_len()];
        self.pack(weight, packed, par);
        let packed = &*packed;
        let tasks = self.tasks(par.threads());
        // SAFETY: tasks have results of their own, which `out` holds.
        par.for_each(tasks.len(), |i| unsafe {
            self.task((x, packed), &tasks[i], out)
        });
    }

    /// Floats of the left operands of all groups.
    fn packed_len(&self) -> usize {
        self.groups * self.matrices() * self.panels() * PLACES * self.place()
    }

    /// Bytes of the transformed weight, which [`Phases::run`] takes while it runs.
    pub(crate) fn step_bytes(&self) -> usize {
        4 * self.packed_len()
    }

    /// Transforms the weight: for each group and left operand panels of planes, of a panel place by place, step by step.
    fn pack(&self, weight: &[f32], packed: &mut [f32], par: Par) {
        let len = PLACES * self.place();
        let par = par.for_work(weight.len() * 100);
        par.chunks(packed, len, |first, packed| {
            let (i, panel) = (first / len / self.panels(), first / len % self.panels());
            let (g, matrix) = (i / self.matrices(), i % self.matrices());
            let pairs = match self.adjoint {
                true => matrix..matrix + 1,
                false => 0..PHASES,
            };
            let rows = self.rows(panel);
            for pair in pairs {
                let places: [usize; PLACES] = std::array::from_fn(|t| {
                    let slot = match self.adjoint {
                        true => 0,
                        false => slot(&self.axes, t, pair),
                    };
                    match is_active(&self.axes, t, pair) {
                        true => t * self.place() + slot * self.from * rows.len(),
                        false => NOWHERE,
                    }
                });
                for c in 0..self.from {
                    let filters = self.filters_of(weight, (g, pair), c, &rows);
                    let packed = &mut packed[c * rows.len()..];
                    transform::filters(&filters, rows.len(), packed, &places);
                }
            }
        });
    }

    /// The taps of a pair of phases from plane `c` to some planes.
    fn filters_of(
        &self,
        weight: &[f32],
        (g, pair): (usize, usize),
        c: usize,
        rows: &Range<usize>,
    ) -> [[f32; FILTERS]; TAPS * TAPS] {
        let mut filters = [[0.0; FILTERS]; TAPS * TAPS];
        let [height, width] = self.kernel;
        let taps = [0, 1].map(|d| self.axes[d].phases[phase(pair, d)].taps);
        let tap = |d: usize, i: usize| {
            let a = if self.adjoint { taps[d] - 1 - i } else { i };
            STRIDE * a + phase(pair, d)
        };
        for (i, row) in rows.clone().enumerate() {
            let at = match self.adjoint {
                true => (g * self.from + c) * self.to + row,
                false => (g * self.to + row) * self.from + c,
            };
            let weight = &weight[at * height * width..][..height * width];
            for down in 0..taps[0] {
                for right in 0..taps[1] {
                    filters[TAPS * down + right][i] = weight[tap(0, down) * width + tap(1, right)];
                }
            }
        }
        filters
    }

    /// Cuts the work. No bit depends on how.
    fn tasks(&self, threads: usize) -> Vec<Task> {
        let blocks = self.images.div_ceil(TOGETHER);
        let side = self.images.div_ceil(blocks);
        let [lines, columns] = self.axes.map(|axis| axis.tiles);
        let tiles = (self.most() / side.next_multiple_of(self.kernels.lanes)).max(1);
        let across = columns.div_ceil(tiles);
        let mut down = lines.div_ceil((tiles / columns).max(1));
        while threads > 1 && blocks * self.groups * across * down < 3 * threads && down < lines {
            down += 1;
        }
        let mut tasks = Vec::with_capacity(blocks * self.groups * across * down);
        for block in 0..blocks {
            let images = part(self.images, block, blocks)..part(self.images, block + 1, blocks);
            for g in 0..self.groups {
                for i in 0..down * across {
                    let piece = |len: usize, i: usize, parts: usize| {
                        part(len, i, parts)..part(len, i + 1, parts)
                    };
                    tasks.push(Task {
                        images: images.clone(),
                        g,
                        tiles: [
                            piece(lines, i / across, down),
                            piece(columns, i % across, across),
                        ],
                    });
                }
            }
        }
        tasks
    }

    /// # Safety
    /// `out` holds all results, and nobody else touches the task's.
    unsafe fn task(&self, (x, packed): (Floats<'_>, &[f32]), task: &Task, out: Target) {
        let side = task.images.len().next_multiple_of(self.kernels.lanes);
        let row = side * task.tiles[0].len() * task.tiles[1].len();
        let room = Room {
            side,
            row,
            inputs: self.depth() * row + SLACK,
            products: self.to * row + SLACK,
        };
        let inputs = PLACES * room.inputs;
        let products = self.matrices() * PLACES * room.products;
        with_scratch(inputs + products + side, |scratch| {
            let (inputs, rest) = scratch.split_at_mut(inputs);
            // Zeros for places that nothing adds to.
            rest[products..].fill(0.0);
            for set in &self.sets {
                self.transform(x, task, set, &room, inputs);
                for &matrix in &set.matrices {
                    let of_group =
                        (task.g * self.matrices() + matrix) * self.panels() * PLACES * self.place();
                    let products = &mut rest[matrix * PLACES * room.products..];
                    self.multiply(&packed[of_group..], (matrix, inputs), &room, products);
                }
            }
            // SAFETY: the caller's.
            unsafe { self.finish(task, &room, rest, out) };
        });
    }

    /// Transforms what a set reads.
    fn transform(&self, x: Floats<'_>, task: &Task, set: &Set, room: &Room, out: &mut [f32]) {
        let reads = [0, 1].map(|d| self.axes[d].reads(&task.tiles[d]));
        let pixels = reads[0].len() * reads[1].len();
        let pixel = |[y, x]: [Option<usize>; 2]| match (y, x) {
            (Some(y), Some(x)) => {
                ((y - reads[0].start) * reads[1].len() + x - reads[1].start) * room.side
            }
            // The one behind all others is zero.
            _ => pixels * room.side,
        };
        let mut windows = Vec::new();
        let mut places = Vec::new();
        for &pair in &set.sources {
            for down in task.tiles[0].clone() {
                let ys = self.axes[0].values(phase(pair, 0), down);
                for right in task.tiles[1].clone() {
                    let xs = self.axes[1].values(phase(pair, 1), right);
                    windows.extend(ys.iter().flat_map(|&y| xs.map(|x| pixel([y, x]))));
                }
            }
            places.extend((0..PLACES).map(|t| {
                let (used, slot) = match self.adjoint {
                    true => (set.matrices.iter().any(|&m| is_active(&self.axes, t, m)), 0),
                    false => (is_active(&self.axes, t, pair), slot(&self.axes, t, pair)),
                };
                match used {
                    true => t * room.inputs + slot * self.from * room.row,
                    false => NOWHERE,
                }
            }));
        }
        let tiles = task.tiles[0].len() * task.tiles[1].len();
        with_scratch((pixels + 1) * room.side + pack::SLACK, |turned| {
            for c in 0..self.from {
                self.turn((x, task, c), &reads, room.side, turned);
                turned[pixels * room.side..][..room.side].fill(0.0);
                let of_pairs = windows.chunks_exact(tiles * PLACES);
                for (windows, places) in of_pairs.zip(places.chunks_exact(PLACES)) {
                    for (tile, window) in windows.chunks_exact(PLACES).enumerate() {
                        let out = &mut out[c * room.row + tile * room.side..];
                        transform::input((turned, window), room.side, (out.into(), places));
                    }
                }
            }
        });
    }

    /// Lines and columns `reads` of plane `c`, pixel by pixel, images side by side.
    fn turn(
        &self,
        (x, task, c): (Floats<'_>, &Task, usize),
        reads: &[Range<usize>; 2],
        side: usize,
        out: &mut [f32],
    ) {
        let [height, width] = self.axes.map(|axis| axis.source);
        let plane = height * width;
        let first = (task.images.start * self.groups + task.g) * self.from + c;
        let [lines, columns] = reads;
        let mut copy = |line: usize, count: usize, at: usize| {
            let block = Block {
                data: x,
                at: first * plane + line * width + columns.start,
                across: self.groups * self.from * plane,
                along: 1,
            };
            pack(block, task.images.len(), count, side, &mut out[at * side..]);
        };
        match columns.len() == width {
            true => copy(lines.start, lines.len() * width, 0),
            false => lines
                .clone()
                .enumerate()
                .for_each(|(i, line)| copy(line, columns.len(), i * columns.len())),
        }
    }

    /// The products of one left operand, place by place.
    fn multiply(
        &self,
        packed: &[f32],
        (matrix, inputs): (usize, &[f32]),
        room: &Room,
        out: &mut [f32],
    ) {
        let (kernels, row) = (self.kernels, room.row);
        for t in 0..PLACES {
            let k = self.steps_at(t, matrix);
            if k == 0 {
                continue;
            }
            let (inputs, out) = (&inputs[t * room.inputs..], &mut out[t * room.products..]);
            let depth = k.div_ceil(k.div_ceil(DEPTH));
            for first in (0..k).step_by(depth) {
                let steps = depth.min(k - first);
                for at in (0..row).step_by(kernels.cols()) {
                    let vectors = (row - at).min(kernels.cols()) / kernels.lanes;
                    for panel in 0..self.panels() {
                        let planes = self.rows(panel);
                        let filters = (panel * PLACES + t) * self.place();
                        let tile = Tile {
                            k: steps,
                            a: packed[filters + first * planes.len()..].as_ptr(),
                            a_step: planes.len(),
                            b: inputs[first * row + at..].as_ptr(),
                            source: Source::Strided(row),
                            c: out[planes.start * row + at..].as_mut_ptr(),
                            c_row: row,
                            cols: vectors * kernels.lanes,
                            add: first > 0,
                        };
                        // SAFETY: the panel holds all steps of the place, inputs and products whole vectors of every row; the
                        // kernel is one of this processor's.
                        unsafe { (kernels.tiles[planes.len() - 1][vectors - 1])(&tile) };
                    }
                }
            }
        }
    }

    /// Transforms the products and writes the results.
    ///
    /// # Safety
    /// As for [`Phases::task`].
    unsafe fn finish(&self, task: &Task, room: &Room, products: &[f32], out: Target) {
        let [height, width] = self.axes.map(|axis| axis.result);
        let results = [0, 1].map(|d| self.axes[d].results(&task.tiles[d]));
        let [lines, columns] = [0, 1].map(|d| results[d].len());
        let (side, n) = (room.side, task.images.len());
        let zeros = products.len() - side;
        let mut pixels = Vec::new();
        let mut bases = Vec::new();
        for matrix in 0..self.matrices() {
            bases.push(std::array::from_fn::<_, PLACES, _>(|t| {
                let at = (matrix * PLACES + t) * room.products;
                (self.steps_at(t, matrix) > 0).then_some(at)
            }));
            for down in task.tiles[0].clone() {
                let ys = self.axes[0].places(phase(matrix, 0), down);
                for right in task.tiles[1].clone() {
                    let xs = self.axes[1].places(phase(matrix, 1), right);
                    pixels.extend(ys.iter().flat_map(|&y| {
                        xs.map(|x| match (y, x) {
                            (Some(y), Some(x)) => {
                                ((y - results[0].start) * columns + x - results[1].start) * side
                            }
                            _ => NOWHERE,
                        })
                    }));
                }
            }
        }
        let tiles = task.tiles[0].len() * task.tiles[1].len();
        let positions = lines * columns;
        let rooms = positions * side;
        with_scratch(rooms + n * positions + pack::SLACK, |scratch| {
            let (plane, turned) = scratch.split_at_mut(rooms);
            for o in 0..self.to {
                for (i, pixels) in pixels.chunks_exact(TILE * TILE).enumerate() {
                    let (matrix, tile) = (i / tiles, i % tiles);
                    let at = o * room.row + tile * side;
                    let places = bases[matrix].map(|base| base.map_or(zeros, |base| base + at));
                    let plane = (&mut *plane).into();
                    transform::output((products, &places), side, (plane, pixels));
                }
                let block = Block {
                    data: (&*plane).into(),
                    at: 0,
                    across: side,
                    along: 1,
                };
                pack(block, positions, n, positions, turned);
                let of_images = turned.chunks_exact(positions.max(1));
                for (image, values) in task.images.clone().zip(of_images) {
                    let at = ((image * self.groups + task.g) * self.to + o) * height * width
                        + results[0].start * width
                        + results[1].start;
                    // SAFETY: the caller's.
                    unsafe { out.from(at).store_lines(values, (columns, columns), width) };
                }
            }
        });
    }
}
