//! What a way to compute a convolution would take, from its sizes alone: for each way how often each of a few things happens, times
//! what such a thing takes on this processor, which [`table`] has from measurements (`wgrad bench --fit`). Knows no way's insides
//! but for how it cuts its work. It must not know the number of threads, on which no bit may depend: times are those of one core.

pub(crate) mod table;

use crate::conv::batched;
use crate::conv::implicit;
use crate::conv::phases::{self, product::Phases};
use crate::conv::unfold::Unfold;
use crate::conv::way::{Forward, InputGrad, Way, WeightGrad};
use crate::conv::winograd::{self, PLACES};
use crate::matmul::gemm::kernel::Kernels;

/// Floats of a weight that stays in a second-level cache of 1 MiB.
const CACHE: usize = 1 << 18;

/// How many more floats of an unfolded line are handled in the time of one, where those that are read do not lie together.
const APART: usize = 4;

/// How many things are counted.
pub(crate) const COUNTED: usize = 8;

/// Where products of a vector with a number are counted.
pub(crate) const PRODUCT: usize = 1;

/// What is counted, in the order of [`Counts`].
pub(crate) const NAMES: [&str; COUNTED] = [
    "call", "product", "operand", "weight", "input", "result", "line", "far",
];

/// How often: once for a call; products of a vector with a number; vectors of the right operand that tiles read; floats of the
/// weight, the input, and the result that are put in order or added up; lines that are handled one by one; floats of a weight that
/// come from beyond the second-level cache.
pub(crate) type Counts = [f64; COUNTED];

/// The sizes of a convolution or of the gradient of its input or weight: `shape` is the convolution's, `from` and `to` are planes
/// of a group of its input and output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) shape: Unfold,
    pub(crate) images: usize,
    pub(crate) groups: usize,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// The product of `rows` by `columns` sums of `steps` steps.
struct Tiles {
    rows: usize,
    columns: usize,
    steps: usize,
}

impl Tiles {
    /// Vectors times numbers, and vectors read.
    fn counts(&self) -> [f64; 2] {
        let kernels = Kernels::best();
        // A product of all sizes may be more than an index of a small machine holds.
        let vectors = self.columns.div_ceil(kernels.lanes) as f64 * self.steps as f64;
        let panels = self.rows.div_ceil(kernels.rows());
        [vectors * self.rows as f64, vectors * panels as f64]
    }
}

/// `a` products like `tiles`.
fn times(a: usize, tiles: Tiles) -> [f64; 2] {
    tiles.counts().map(|n| n * a as f64)
}

fn counts([product, operand]: [f64; 2], [weight, input, result, line]: [usize; 4]) -> Counts {
    let [weight, input, result, line] = [weight, input, result, line].map(|n| n as f64);
    [1.0, product, operand, weight, input, result, line, 0.0]
}

/// `counts`, with a weight of `floats` that is read so many times.
fn far(floats: usize, times: usize, mut counts: Counts) -> Counts {
    if floats > CACHE {
        counts[COUNTED - 1] = floats as f64 * times as f64;
    }
    counts
}

/// What takes `items` tasks: two cores are the least that are to be busy.
fn halves(items: usize, counts: Counts) -> Counts {
    let idle = (items.div_ceil(2) * 2) as f64 / items as f64;
    counts.map(|n| n * idle)
}

impl Sizes {
    /// Floats of the weight.
    fn weight(&self) -> usize {
        self.groups * self.from * self.to * self.shape.taps()
    }

    /// Floats of an input plane with the zeros around it.
    fn padded(&self) -> usize {
        let size = |d: usize| self.shape.input[d] + 2 * self.shape.padding[d].max(0) as usize;
        size(1) * size(2)
    }

    fn slabs(&self) -> usize {
        self.images * self.groups
    }

    /// Floats of the input and of the output.
    fn input(&self) -> usize {
        self.slabs() * self.from * self.shape.plane()
    }

    fn output(&self) -> usize {
        self.slabs() * self.to * self.shape.positions()
    }

    /// Positions and lines of taps that lie inside the input.
    fn pairs(&self, d: usize) -> usize {
        let Unfold { input, output, .. } = self.shape;
        let inside = |tap: usize| {
            let reach = (tap * self.shape.dilation[d]) as i64 - self.shape.padding[d];
            let stride = self.shape.stride[d] as i64;
            let first = (-reach).max(0) as u64;
            let end = (input[d] as i64 - reach).max(0) as u64;
            let [first, end] = [first, end].map(|at| at.div_ceil(stride as u64) as usize);
            end.min(output[d]).saturating_sub(first)
        };
        (0..self.shape.kernel[d]).map(inside).sum()
    }

    /// What `way` counts.
    pub(crate) fn counts(&self, way: Way) -> Counts {
        match way {
            Way::Forward(way) => self.forward(way),
            Way::InputGrad(InputGrad::AsForward(way)) => {
                let mut counts = self.adjoint().forward(way);
                // The taps are turned round first.
                counts[3] += self.weight() as f64;
                counts
            }
            Way::InputGrad(InputGrad::Interleaved) => self.interleaved(true),
            Way::InputGrad(InputGrad::Phases) => self.phases(true),
            Way::InputGrad(_) => self.fold(),
            Way::WeightGrad(way) => self.weight_grad(way),
        }
    }

    /// The adjoint of a convolution with stride 1.
    pub(crate) fn adjoint(&self) -> Sizes {
        Sizes {
            shape: crate::conv::adjoint(&self.shape),
            from: self.to,
            to: self.from,
            ..*self
        }
    }

    fn forward(&self, way: Forward) -> Counts {
        let Sizes {
            shape, from, to, ..
        } = *self;
        let (positions, k) = (shape.positions(), from * shape.taps());
        let slabs = self.slabs();
        match way {
            Forward::Winograd => {
                let [down, across] = winograd::tiles(&shape);
                let tiles = Tiles {
                    rows: to,
                    columns: self.images * down * across,
                    steps: from,
                };
                let moved = |planes: usize| slabs * planes * down * across;
                let others = [self.weight(), moved(from), moved(to), slabs * (from + to)];
                let each = (1 << 17) / (PLACES * (from + to.min(56)));
                let tasks = (self.images * down * across).div_ceil(each.max(32));
                let filters = PLACES * from * to;
                let counts = counts(times(PLACES * self.groups, tiles), others);
                far(filters, self.groups * (2 + tasks), counts)
            }
            Forward::Product => {
                let tiles = Tiles {
                    rows: to,
                    columns: positions,
                    steps: from,
                };
                let others = [slabs * from * to, self.input(), self.output(), slabs];
                far(from * to, slabs, counts(times(slabs, tiles), others))
            }
            Forward::Implicit => {
                let columns = shape.output[1] * implicit::width(&shape);
                let tiles = Tiles {
                    rows: to,
                    columns,
                    steps: k,
                };
                let lines = slabs * (from * shape.input[1] + to * shape.output[1]);
                let others = [
                    self.weight(),
                    slabs * from * self.padded(),
                    slabs * to * columns,
                    lines,
                ];
                let band = (from.max(to) * columns).div_ceil(96 << 10);
                far(to * k, slabs * band, counts(times(slabs, tiles), others))
            }
            Forward::Batched => {
                let (blocks, columns) = self.blocks();
                let tiles = Tiles {
                    rows: to,
                    columns,
                    steps: k,
                };
                let parts = k.div_ceil(batched::ROWS);
                let unfolded = self.apart() * slabs * k * positions;
                let lines = slabs * k * shape.output[1];
                let others = [blocks * to * k, unfolded, parts * self.output(), lines];
                far(to * k, blocks, counts(times(blocks, tiles), others))
            }
            Forward::Interleaved => self.interleaved(false),
            Forward::Phases => self.phases(false),
            Forward::Rows => {
                let vectors = positions.div_ceil(Kernels::best().lanes);
                let product = (slabs * to * k * vectors) as f64;
                let lines = slabs * k * shape.output[1];
                let others = [self.weight(), slabs * k * positions, self.output(), lines];
                counts([product, 0.0], others)
            }
            // Nothing competes with it.
            Forward::Depthwise => [0.0; COUNTED],
        }
    }

    /// Blocks of columns of [`batched`], and columns of one.
    fn blocks(&self) -> (usize, usize) {
        let positions = self.shape.positions();
        let tiles = positions.div_ceil(batched::COLUMNS);
        let together = (batched::COLUMNS / positions).clamp(1, self.images);
        let blocks = self.images.div_ceil(together);
        let columns = self.images.div_ceil(blocks) * positions.div_ceil(tiles);
        (self.groups * blocks * tiles, columns)
    }

    fn interleaved(&self, adjoint: bool) -> Counts {
        let shape = &self.shape;
        let kernels = Kernels::best();
        let (from, to, result) = match adjoint {
            false => (self.from, self.to, shape.output),
            true => (self.to, self.from, shape.input),
        };
        let (read, written) = match adjoint {
            false => (self.input(), self.output()),
            true => (self.output(), self.input()),
        };
        let panels = to.div_ceil(kernels.rows());
        if shape.is_identity() {
            let size = (1024 / shape.positions()).max(1);
            let blocks = self.images.div_ceil(size);
            let tiles = Tiles {
                rows: to,
                columns: self.images.div_ceil(blocks) * shape.positions(),
                steps: from,
            };
            let others = [self.weight(), read, written, self.slabs() * (from + to)];
            let counts = counts(times(self.groups * blocks, tiles), others);
            return far(from * to, self.groups * blocks, counts);
        }
        let blocks = self.images.div_ceil(32);
        let n = self.images.div_ceil(blocks);
        let stride = if adjoint { shape.stride[2] } else { 1 };
        // Vectors of a line times taps of its columns.
        let mut vectors = 0;
        for phase in 0..stride {
            let count = result[2].saturating_sub(phase).div_ceil(stride);
            let reach = |tap: usize| (tap * shape.dilation[2]) as i64 - shape.padding[2];
            let of_phase = |&tap: &usize| (phase as i64 - reach(tap)) % stride as i64 == 0;
            let taps = (0..shape.kernel[2]).filter(of_phase).count();
            vectors += taps * (count * n).div_ceil(kernels.lanes);
        }
        let steps = (self.groups * blocks * self.pairs(1) * from) as f64 * vectors as f64;
        let lines = self.groups * blocks * (from * shape.input[1] + to)
            + self.groups * blocks * result[1] * panels;
        let product = [to, panels].map(|n| steps * n as f64);
        let counts = counts(product, [self.weight(), read, written, lines]);
        let weight = from * to * shape.taps();
        far(
            weight,
            self.groups * blocks * result[1].div_ceil(stride),
            counts,
        )
    }

    fn fold(&self) -> Counts {
        let Sizes {
            shape, from, to, ..
        } = *self;
        let (blocks, columns) = self.blocks();
        let rows = from * shape.taps();
        let tiles = Tiles {
            rows,
            columns,
            steps: to,
        };
        let parts = rows.div_ceil(batched::ROWS);
        let folded = self.apart() * self.slabs() * rows * shape.positions();
        let lines = self.slabs() * rows * shape.output[1];
        let others = [blocks * rows * to, parts * self.output(), folded, lines];
        far(rows * to, blocks, counts(times(blocks, tiles), others))
    }

    fn phases(&self, adjoint: bool) -> Counts {
        let (from, to) = match adjoint {
            false => (self.from, self.to),
            true => (self.to, self.from),
        };
        let slabs = [self.images, self.groups];
        let way = Phases::new(&self.shape, slabs, [from, to], adjoint);
        let ([tiles, sources], columns) = (way.tiles(), self.groups * way.columns());
        let steps = way.steps();
        let vectors = columns.div_ceil(Kernels::best().lanes) as f64 * steps as f64;
        let panels = to.div_ceil(Kernels::best().rows());
        let results = if adjoint { phases::PHASES } else { 1 };
        let others = [
            self.weight(),
            columns * from * sources * phases::PLACES,
            columns * to * results * phases::PLACES,
            self.slabs() * (from + to) * tiles,
        ];
        let product = [to, panels].map(|n| vectors * n as f64);
        let counts = counts(product, others);
        far(way.filters(), self.groups * way.reads(), counts)
    }

    fn weight_phases(&self) -> Counts {
        let slabs = [self.images, self.groups];
        let way = phases::weight::Weight::new(&self.shape, slabs, [self.from, self.to]);
        let tiles = self.groups * way.tiles();
        let kernels = Kernels::best();
        let vectors = (way.columns() / kernels.lanes) as f64 * tiles as f64;
        let product = [self.to, self.to.div_ceil(kernels.rows())].map(|n| vectors * n as f64);
        let others = [
            self.groups * way.columns() * self.to,
            tiles * way.columns(),
            tiles * self.to.next_multiple_of(kernels.lanes) * phases::PLACES,
            self.slabs() * self.shape.input[1],
        ];
        counts(product, others)
    }

    /// What an unfolded float counts.
    fn apart(&self) -> usize {
        if self.shape.stride[2] > 1 { APART } else { 1 }
    }

    fn weight_winograd(&self) -> Counts {
        let Sizes {
            shape, from, to, ..
        } = *self;
        let (slabs, taps) = (self.slabs(), shape.taps());
        let whole = from.next_multiple_of(Kernels::best().lanes);
        let [down, across] = winograd::tiles(&shape);
        let tiles = Tiles {
            rows: to,
            columns: from,
            steps: down * across,
        };
        let moved = |planes: usize| slabs * planes * down * across;
        let sums = self.images.min(16) * self.groups * whole * to * taps;
        let others = [sums, moved(whole), moved(to), slabs * (from + to)];
        halves(self.images, counts(times(PLACES * slabs, tiles), others))
    }

    fn weight_implicit(&self) -> Counts {
        let Sizes {
            shape, from, to, ..
        } = *self;
        let (slabs, taps, positions) = (self.slabs(), shape.taps(), shape.positions());
        let whole = from.next_multiple_of(Kernels::best().lanes);
        let tiles = Tiles {
            rows: to,
            columns: from,
            steps: positions,
        };
        let bands = positions.div_ceil(1024);
        let weight = self.groups * whole * to * taps;
        let lines = slabs * (shape.input[1] + shape.output[1]) * whole.div_ceil(16);
        let read = slabs * whole * self.padded() + self.output();
        let items = self.images * bands;
        let others = [items.min(16) * weight, read, items * weight, lines];
        let counts = counts(times(slabs * taps, tiles), others);
        halves(items, far(weight, items, counts))
    }

    fn weight_grad(&self, way: WeightGrad) -> Counts {
        let Sizes {
            shape, from, to, ..
        } = *self;
        let kernels = Kernels::best();
        let (positions, taps) = (shape.positions(), shape.taps());
        let slabs = self.slabs();
        let whole = from.next_multiple_of(kernels.lanes);
        match way {
            WeightGrad::Winograd => self.weight_winograd(),
            WeightGrad::Phases => self.weight_phases(),
            WeightGrad::Implicit => self.weight_implicit(),
            WeightGrad::FewChannels => {
                let lines = slabs * from * to * shape.output[1];
                let vectors = (9 * lines * shape.output[2].div_ceil(kernels.lanes)) as f64;
                let others = [self.weight(), self.input(), from * self.output(), lines];
                counts([vectors, vectors / 3.0], others)
            }
            WeightGrad::Batched => {
                let (blocks, columns) = self.blocks();
                let pieces = from.min(16);
                let each = from.div_ceil(pieces).min((batched::ROWS / taps).max(1));
                let pieces = from.div_ceil(each);
                let tiles = Tiles {
                    rows: to,
                    columns: each * taps,
                    steps: columns,
                };
                let unfolded = self.apart() * slabs * from * taps * positions;
                let lines = slabs * from * taps * shape.output[1];
                let added = blocks / self.groups.max(1) * self.weight();
                let others = [pieces * self.output(), unfolded, added, lines];
                far(
                    self.weight(),
                    blocks,
                    counts(times(blocks * pieces, tiles), others),
                )
            }
            WeightGrad::Interleaved => {
                let fit = (1024 / positions).clamp(1, self.images);
                let blocks = self.images.div_ceil(fit);
                let tiles = Tiles {
                    rows: to,
                    columns: from,
                    steps: self.images * self.pairs(1) * shape.output[2] * shape.kernel[2],
                };
                let panels = to.div_ceil(kernels.rows());
                let lines = slabs
                    * (shape.input[1] * from.div_ceil(kernels.cols()) + shape.output[1] * panels);
                let read = slabs * whole * shape.plane() + self.output();
                let added = blocks * self.groups * to * whole * taps;
                let others = [self.weight(), read, added, lines];
                counts(times(self.groups, tiles), others)
            }
            WeightGrad::Rows => {
                let sums = slabs * to * from * taps;
                let product = (sums * positions.div_ceil(kernels.lanes)) as f64;
                let unfolded = slabs * from * taps * positions;
                let lines = slabs * from * taps * shape.output[1];
                counts([product, 0.0], [sums, unfolded, 0, lines])
            }
            WeightGrad::Depthwise => [0.0; COUNTED],
        }
    }
}
