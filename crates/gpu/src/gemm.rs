//! Matmul and the three convolution products: sizes, tiles and splits of one implicit matrix product.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Words};
use super::choices::{Choice, Choices, ProductKind, ShapeClass};
use super::lower::{StepView, Target};
#[cfg(not(target_arch = "wasm32"))]
use crate::plan::Kernel;
use crate::plan::{Conv, ConvKind, Matmul, Matrix};
use wgrad_shaders::kernels;

/// The product as the cores in `gemm_*.wgsl` see it.
#[derive(Clone, Copy, Debug)]
struct Product {
    kind: ProductKind,
    rows: usize,
    cols: usize,
    sum: usize,
    planes: usize,
    /// Neighbours along the sum, not along rows, are neighbours in memory; likewise columns.
    a_along_sum: bool,
    b_along_sum: bool,
    /// Which operands begin and end at multiples of four elements, if both do.
    aligned: Option<Aligned>,
    /// Longest sum that is not split for accuracy's sake.
    longest: usize,
}

/// In which direction the lines of aligned operands lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Aligned {
    a_along_sum: bool,
    b_along_sum: bool,
}

/// Tiles of a core, and pieces of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tiling {
    tile_rows: usize,
    tile_cols: usize,
    splits: usize,
    split_len: usize,
    core: Core,
}

/// Which `gemm_*.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    /// `gemm_register.wgsl`: 8 by 4 for each thread.
    Register,
    /// `gemm_tiled.wgsl`: a workgroup with so many threads across 4 columns each.
    Tiled { tx: usize },
    /// `gemm_wide.wgsl`: 128 by 128 for each workgroup.
    Wide,
    /// `gemm_lanes.wgsl`: 16 by 32 for each subgroup of 8.
    Lanes,
}

impl Core {
    /// All that there are.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) const ALL: [Core; 5] = [
        Core::Register,
        Core::Tiled { tx: 16 },
        Core::Tiled { tx: 32 },
        Core::Wide,
        Core::Lanes,
    ];

    /// As it is called in files and reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn name(self) -> &'static str {
        match self {
            Core::Register => "register",
            Core::Tiled { tx: 16 } => "tiled 16",
            Core::Tiled { .. } => "tiled 32",
            Core::Wide => "wide",
            Core::Lanes => "lanes",
        }
    }

    /// Whether a device can run it, for a right operand that lies so.
    pub(super) fn runs(self, target: Target, b_along_sum: bool) -> bool {
        match self {
            Core::Lanes => target.lanes,
            Core::Tiled { tx } => tx == 16 || !b_along_sum,
            Core::Register | Core::Wide => true,
        }
    }

    /// Tiles that keep a device busy.
    fn busy(self, target: Target) -> usize {
        match self {
            Core::Register => target.config.threads,
            Core::Lanes => target.config.subgroups,
            _ => target.config.groups,
        }
    }

    /// Rows and columns of a tile.
    fn tile(self) -> (usize, usize) {
        match self {
            Core::Register => (8, 4),
            Core::Tiled { tx } => (1024 / tx, 4 * tx),
            Core::Wide => (128, 128),
            Core::Lanes => (16, 32),
        }
    }

    /// Terms of the sum that a thread goes through in a round of its outer loop, and the rounds that this counts for.
    fn step(self) -> (usize, usize) {
        match self {
            Core::Register => (1, 1),
            Core::Tiled { .. } => (16, 5),
            Core::Wide => (8, 3),
            Core::Lanes => (4, 1),
        }
    }

    /// Terms that it may go through.
    fn longest(self) -> usize {
        let (terms, rounds) = self.step();
        let most = (MAX_ITERATIONS as usize - 16) / rounds * terms;
        most / 16 * 16
    }

    /// Of a kernel in four versions.
    fn pick<T>(self, [register, tiled, wide, lanes]: [T; 4]) -> T {
        match self {
            Core::Lanes => lanes,
            Core::Register => register,
            Core::Tiled { .. } => tiled,
            Core::Wide => wide,
        }
    }
}

/// Splits that a thread can add up, four at a time.
const MOST_SPLITS: usize = 4 * (MAX_ITERATIONS as usize - 8);

/// Floats that partial results may take.
const MOST_PARTIALS: usize = 1 << 24;

impl Product {
    fn out_len(&self) -> usize {
        self.rows * self.cols * self.planes
    }

    fn core(&self, target: Target) -> Core {
        let wide_tiles = self.rows.div_ceil(128) * self.cols.div_ceil(128) * self.planes;
        if target.lanes {
            Core::Lanes
        } else if target.software {
            Core::Register
        } else if self.rows >= 96 && self.cols >= 96 && wide_tiles >= target.config.groups {
            Core::Wide
        } else if self.rows <= 32 && !self.b_along_sum {
            Core::Tiled { tx: 32 }
        } else {
            Core::Tiled { tx: 16 }
        }
    }

    /// What it has in common with products of like size.
    fn class(&self) -> ShapeClass {
        let sizes = [self.rows, self.cols, self.sum, self.planes];
        ShapeClass {
            kind: self.kind,
            sizes: sizes.map(|n| n.next_power_of_two().ilog2()),
            a_along_sum: self.a_along_sum,
            b_along_sum: self.b_along_sum,
            aligned: self.aligned.is_some(),
        }
    }

    /// What the rules say.
    fn rule(&self, target: Target) -> Choice {
        let core = self.core(target);
        let busy = core.busy(target);
        Choice { core, busy }
    }

    /// The tiles of what was measured to be best, or of what the rules say.
    fn tiling(&self, target: Target, choices: &Choices) -> Tiling {
        let runs = |choice: &Choice| choice.core.runs(target, self.b_along_sum);
        let measured = choices.get(&self.class()).filter(runs);
        self.tiles(target, measured.unwrap_or_else(|| self.rule(target)))
    }

    fn tiles(&self, target: Target, Choice { core, busy }: Choice) -> Tiling {
        let piece = match core {
            Core::Lanes => target.config.subgroup_piece,
            _ => target.config.piece,
        };
        let (height, width) = core.tile();
        let tile_rows = self.rows.div_ceil(height);
        let tile_cols = self.cols.div_ceil(width);
        let tiles = tile_rows * tile_cols * self.planes;
        let for_speed = (busy / tiles).min(self.sum / piece);
        let for_accuracy = self.sum.div_ceil(self.longest);
        let most = (MOST_PARTIALS / self.out_len()).max(1);
        let for_rounds = self.sum.div_ceil(core.longest()).max(1);
        // Memory counts for less than that no thread goes through too much.
        let splits = for_speed
            .max(for_accuracy)
            .min(most)
            .min(MOST_SPLITS)
            .max(for_rounds);
        // Whole tiles of the sum, so that only the last split has a ragged end.
        let split_len = self.sum.div_ceil(splits).next_multiple_of(16);
        Tiling {
            tile_rows,
            tile_cols,
            splits: self.sum.div_ceil(split_len),
            split_len,
            core,
        }
    }

    /// The numbers that every core begins with.
    fn params(&self, tiling: &Tiling) -> Vec<usize> {
        let Tiling {
            tile_rows,
            tile_cols,
            splits,
            split_len,
            ..
        } = *tiling;
        let Product {
            rows,
            cols,
            sum,
            planes,
            ..
        } = *self;
        vec![
            rows,
            cols,
            sum,
            planes,
            splits,
            split_len,
            tile_rows,
            tile_cols,
            self.out_len(),
        ]
    }

    fn constants(&self, core: Core) -> Vec<(&'static str, f64)> {
        let flag = |set: bool| f64::from(u8::from(set));
        let along = [
            ("A_ALONG_K", flag(self.a_along_sum)),
            ("B_ALONG_K", flag(self.b_along_sum)),
        ];
        match core {
            Core::Register => Vec::new(),
            // Only the square tile has as many quads of columns as rows.
            Core::Tiled { tx: 16 } => [&along[..], &[("TX", 16.0)]].concat(),
            Core::Tiled { tx } => vec![along[0], ("B_ALONG_K", 0.0), ("TX", tx as f64)],
            Core::Wide => along.to_vec(),
            Core::Lanes => {
                let any = Aligned {
                    a_along_sum: true,
                    b_along_sum: false,
                };
                let lines = self.aligned.unwrap_or(any);
                vec![
                    ("A_ALONG_K", flag(lines.a_along_sum)),
                    ("B_ALONG_K", flag(lines.b_along_sum)),
                ]
            }
        }
    }

    fn grid(&self, tiling: &Tiling) -> Grid {
        let tiles = (tiling.tile_rows * tiling.tile_cols * self.planes * tiling.splits) as u64;
        if tiling.core == Core::Register {
            Grid::Threads(tiles)
        } else {
            Grid::Groups(tiles)
        }
    }

    /// The product, and the pass that adds up the splits.
    fn lowered(
        &self,
        tiling: &Tiling,
        label: &'static str,
        wgsl: &'static str,
        extra: Extra,
    ) -> Lowered {
        let split = tiling.splits > 1;
        let mut constants = self.constants(tiling.core);
        constants.extend(extra.constants);
        let params: Words = self
            .params(tiling)
            .into_iter()
            .chain(extra.params)
            .collect();
        let out = if split { Arg::Scratch(0) } else { Arg::Output };
        let args = vec![Arg::Input(0), Arg::Input(1), out, Arg::Params];
        let call = Call {
            label,
            wgsl: wgsl.into(),
            constants,
            args,
            params,
            grid: self.grid(tiling),
            iterations: {
                let (terms, rounds) = tiling.core.step();
                (tiling.split_len.div_ceil(terms) * rounds) as u64
            },
        };
        let mut lowered = Lowered::one(call);
        if split {
            lowered
                .scratch
                .push(4 * (self.out_len() * tiling.splits) as u64);
            lowered
                .work
                .push(sum_parts(self.out_len(), tiling.splits).into());
        }
        lowered
    }
}

/// What the operands file adds.
struct Extra {
    params: Vec<usize>,
    constants: Vec<(&'static str, f64)>,
}

fn sum_parts(len: usize, parts: usize) -> Call {
    Call {
        label: "sum parts",
        wgsl: kernels::SUM_PARTS.into(),
        constants: Vec::new(),
        args: vec![Arg::Scratch(0), Arg::Output, Arg::Params],
        params: [len, parts].into_iter().collect(),
        grid: Grid::Threads(len as u64),
        iterations: (parts / 4 + 4) as u64,
    }
}

pub(super) fn matmul(view: &StepView<'_>, matmul: &Matmul) -> Lowered {
    let Matmul { k, a, b, .. } = *matmul;
    if k == 0 {
        return Lowered::zeros();
    }
    let product = matmul_product(matmul);
    let tiling = product.tiling(view.target, view.choices);
    let lanes = match product.aligned {
        Some(_) => ("matmul lanes aligned", kernels::MATMUL_LANES_ALIGNED),
        None => ("matmul lanes", kernels::MATMUL_LANES),
    };
    let (label, wgsl) = tiling.core.pick([
        ("matmul register", kernels::MATMUL_REGISTER),
        ("matmul tiled", kernels::MATMUL_TILED),
        ("matmul wide", kernels::MATMUL_WIDE),
        lanes,
    ]);
    let params = vec![
        a.offset, a.batch, a.row, a.col, b.offset, b.batch, b.row, b.col,
    ];
    product.lowered(
        &tiling,
        label,
        wgsl,
        Extra {
            params,
            constants: Vec::new(),
        },
    )
}

fn matmul_product(matmul: &Matmul) -> Product {
    let Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    } = *matmul;
    Product {
        kind: ProductKind::Matmul,
        rows: m,
        cols: n,
        sum: k,
        planes: batch,
        a_along_sum: a.col <= a.row,
        b_along_sum: b.row < b.col,
        aligned: aligned(matmul),
        longest: 1 << 16,
    }
}

/// The class of a product's shape and the choices that there are for it, that of the rules first; `None` for other
/// kernels, empty sums, and products that have no choice.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn candidates(kernel: &Kernel, target: Target) -> Option<(ShapeClass, Vec<Choice>)> {
    let product = match kernel {
        Kernel::Matmul(matmul) => matmul_product(matmul),
        Kernel::Conv(conv) if !is_direct(&conv_product(conv), conv.kind, target) => {
            conv_product(conv)
        }
        _ => return None,
    };
    if product.sum == 0 || product.out_len() == 0 {
        return None;
    }
    let mut choices = vec![product.rule(target)];
    let cores = Core::ALL.into_iter();
    for core in cores.filter(|core| core.runs(target, product.b_along_sum)) {
        let usual = core.busy(target);
        choices.extend([usual, 1, 4 * usual].map(|busy| Choice { core, busy }));
    }
    let mut tilings: Vec<Tiling> = Vec::new();
    choices.retain(|&choice| {
        let tiling = product.tiles(target, choice);
        let new = !tilings.contains(&tiling);
        tilings.push(tiling);
        new
    });
    Some((product.class(), choices))
}

/// Whether a convolution has a thread for each element: a workgroup's tile has at least 32 rows, and with a row or two
/// that does less work.
fn is_direct(product: &Product, kind: ConvKind, target: Target) -> bool {
    let short = product.sum as u64 <= MAX_ITERATIONS;
    product.rows <= 2 && short && !target.software && kind != ConvKind::WeightGrad
}

/// The lines of both operands, if four of their elements can be loaded at once.
fn aligned(matmul: &Matmul) -> Option<Aligned> {
    let Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    } = *matmul;
    let even = |x: &Matrix| x.offset.is_multiple_of(4) && (batch == 1 || x.batch.is_multiple_of(4));
    // Whether lines that are `stride` apart, of which there are `lines`, are aligned and `length` long.
    let fits = |along: usize, length: usize, stride: usize, lines: usize| {
        along == 1 && length.is_multiple_of(4) && (lines == 1 || stride.is_multiple_of(4))
    };
    if !k.is_multiple_of(4) || !even(&a) || !even(&b) {
        return None;
    }
    let a_along_sum = fits(a.col, k, a.row, m);
    let b_along_sum = fits(b.row, k, b.col, n);
    let both =
        (a_along_sum || fits(a.row, m, a.col, k)) && (b_along_sum || fits(b.col, n, b.row, k));
    both.then_some(Aligned {
        a_along_sum,
        b_along_sum,
    })
}

pub(super) fn conv(view: &StepView<'_>, conv: &Conv) -> Lowered {
    let product = conv_product(conv);
    if product.sum == 0 {
        return Lowered::zeros();
    }
    let tiling = product.tiling(view.target, view.choices);
    let dense = conv.stride == [1; 3];
    let mut extra = Extra {
        params: conv_params(conv),
        constants: vec![("QUICK", f64::from(u8::from(small_quotients(conv))))],
    };
    if conv.kind == ConvKind::InputGrad {
        extra.constants.push(("DENSE", f64::from(u8::from(dense))));
    }
    if is_direct(&product, conv.kind, view.target) {
        return direct(&product, conv.kind, extra);
    }
    let (label, wgsl) = match conv.kind {
        ConvKind::Forward => tiling.core.pick([
            ("conv register", kernels::CONV_FORWARD_REGISTER),
            ("conv tiled", kernels::CONV_FORWARD_TILED),
            ("conv wide", kernels::CONV_FORWARD_WIDE),
            ("conv lanes", kernels::CONV_FORWARD_LANES),
        ]),
        ConvKind::InputGrad => tiling.core.pick([
            (
                "conv input grad register",
                kernels::CONV_INPUT_GRAD_REGISTER,
            ),
            ("conv input grad tiled", kernels::CONV_INPUT_GRAD_TILED),
            ("conv input grad wide", kernels::CONV_INPUT_GRAD_WIDE),
            ("conv input grad lanes", kernels::CONV_INPUT_GRAD_LANES),
        ]),
        ConvKind::WeightGrad => tiling.core.pick([
            (
                "conv weight grad register",
                kernels::CONV_WEIGHT_GRAD_REGISTER,
            ),
            ("conv weight grad tiled", kernels::CONV_WEIGHT_GRAD_TILED),
            ("conv weight grad wide", kernels::CONV_WEIGHT_GRAD_WIDE),
            ("conv weight grad lanes", kernels::CONV_WEIGHT_GRAD_LANES),
        ]),
    };
    product.lowered(&tiling, label, wgsl, extra)
}

fn direct(product: &Product, kind: ConvKind, extra: Extra) -> Lowered {
    let (label, wgsl) = match kind {
        ConvKind::Forward => ("conv direct", kernels::CONV_FORWARD_DIRECT),
        _ => ("conv input grad direct", kernels::CONV_INPUT_GRAD_DIRECT),
    };
    let tiling = Tiling {
        tile_rows: 1,
        tile_cols: 1,
        splits: 1,
        split_len: product.sum,
        core: Core::Register,
    };
    let params = product
        .params(&tiling)
        .into_iter()
        .chain(extra.params)
        .collect();
    Lowered::one(Call {
        label,
        wgsl: wgsl.into(),
        constants: extra.constants,
        args: vec![Arg::Input(0), Arg::Input(1), Arg::Output, Arg::Params],
        params,
        grid: Grid::Threads(product.out_len() as u64),
        iterations: product.sum as u64,
    })
}

/// Rows, columns and sum of each kind: see the headers of `conv_*.wgsl`.
fn conv_product(conv: &Conv) -> Product {
    let taps: usize = conv.kernel.iter().product();
    let size_in: usize = conv.input.iter().product();
    let size_out: usize = conv.output.iter().product();
    let (rows, cols, sum) = match conv.kind {
        ConvKind::Forward => (
            conv.out_channels,
            conv.batch * size_out,
            conv.in_channels * taps,
        ),
        ConvKind::InputGrad => (
            conv.in_channels,
            conv.batch * size_in,
            conv.out_channels * taps,
        ),
        ConvKind::WeightGrad => (
            conv.out_channels,
            conv.in_channels * taps,
            conv.batch * size_out,
        ),
    };
    let kind = match conv.kind {
        ConvKind::Forward => ProductKind::ConvForward,
        ConvKind::InputGrad => ProductKind::ConvInputGrad,
        ConvKind::WeightGrad => ProductKind::ConvWeightGrad,
    };
    Product {
        kind,
        rows,
        cols,
        sum,
        planes: conv.groups,
        a_along_sum: true,
        b_along_sum: conv.kind == ConvKind::WeightGrad,
        aligned: None,
        longest: 1 << 13,
    }
}

/// In the order of `Params` in `conv_common.wgsl`.
fn conv_params(conv: &Conv) -> Vec<usize> {
    let [in_d, in_h, in_w] = conv.input;
    let [out_d, out_h, out_w] = conv.output;
    let [_, kernel_h, kernel_w] = conv.kernel;
    let taps = conv.kernel.iter().product();
    let mut params = vec![
        conv.in_channels,
        conv.out_channels,
        taps,
        in_d * in_h * in_w,
        out_d * out_h * out_w,
    ];
    params.extend([in_d, in_h, in_w, out_h, out_w, out_d, kernel_h, kernel_w]);
    params.extend(conv.stride);
    params.extend(conv.padding);
    params.extend(conv.dilation);
    let divisors = [
        taps,
        in_d * in_h * in_w,
        out_d * out_h * out_w,
        in_h,
        in_w,
        out_h,
        out_w,
        kernel_h,
        kernel_w,
    ];
    params.extend(divisors.map(|n| (1.0 / n.max(1) as f32).to_bits() as usize));
    params
}

/// Whether what the kernels compute by division stays below 2^22, where a product with the reciprocal is off by
/// at most one: images, channels, lines of an image.
fn small_quotients(conv: &Conv) -> bool {
    let lines = |size: [usize; 3]| size[0] * size[1];
    let quotients = [
        conv.batch,
        conv.in_channels,
        conv.out_channels,
        lines(conv.input),
        lines(conv.output),
        lines(conv.kernel),
    ];
    quotients.iter().all(|&n| n < 1 << 22)
}
