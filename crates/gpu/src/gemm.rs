//! Tiles and splits of one matrix product, given or implicit: what `matmul` and `conv` have in common. It must not know
//! what the product is of.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Words};
use super::choices::{Choice, Choices, ProductKind, ShapeClass};
use super::cores::Core;
use super::halves;
use super::step::StepView;
use super::target::Target;
use wgrad_shaders::kernels;

/// The product as the cores in `gemm_*.wgsl` see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) kind: ProductKind,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) sum: usize,
    pub(super) planes: usize,
    /// Elements of the result: fewer than planes of rows and columns where planes differ in size.
    pub(super) out_len: usize,
    /// Neighbours along the sum, not along rows, are neighbours in memory; likewise columns.
    pub(super) a_along_sum: bool,
    pub(super) b_along_sum: bool,
    /// Which operands begin and end at multiples of four elements, if both do.
    pub(super) aligned: Option<Aligned>,
    /// Longest sum that is not split for accuracy's sake.
    pub(super) longest: usize,
}

/// In which direction the lines of aligned operands lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aligned {
    pub(super) a_along_sum: bool,
    pub(super) b_along_sum: bool,
}

/// Lines of operands of which nothing is known.
const ANY: Aligned = Aligned {
    a_along_sum: true,
    b_along_sum: false,
};

/// Tiles of a core, and pieces of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    pub(super) tile_rows: usize,
    pub(super) tile_cols: usize,
    pub(super) splits: usize,
    pub(super) split_len: usize,
    pub(super) core: Core,
}

/// Splits that a thread can add up, four at a time, for two elements of two bytes.
pub(super) const MOST_SPLITS: usize = 2 * (MAX_ITERATIONS as usize - 16);

/// Floats that partial results may take.
pub(super) const MOST_PARTIALS: usize = 1 << 24;

impl Product {
    fn core(&self, target: Target) -> Core {
        let wide_tiles = self.rows.div_ceil(128) * self.cols.div_ceil(128) * self.planes;
        if target.lanes {
            Core::Lanes
        } else if target.software {
            Core::Register
        } else if self.rows >= 96 && self.cols >= 96 && wide_tiles >= target.config.wide_tiles {
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
    pub(super) fn tiling(&self, target: Target, choices: &Choices) -> Tiling {
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
        let most = (MOST_PARTIALS / self.out_len).max(1);
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

    /// The class of its shape and the choices that there are for it, that of the rules first; `None` for empty sums and
    /// results.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn candidates(&self, target: Target) -> Option<(ShapeClass, Vec<Choice>)> {
        if self.sum == 0 || self.out_len == 0 {
            return None;
        }
        let mut choices = vec![self.rule(target)];
        let cores = Core::ALL.into_iter();
        for core in cores.filter(|core| core.runs(target, self.b_along_sum)) {
            let usual = core.busy(target);
            choices.extend([usual, 1, 4 * usual].map(|busy| Choice { core, busy }));
        }
        let mut tilings: Vec<Tiling> = Vec::new();
        choices.retain(|&choice| {
            let tiling = self.tiles(target, choice);
            let new = !tilings.contains(&tiling);
            tilings.push(tiling);
            new
        });
        Some((self.class(), choices))
    }

    /// The numbers that every core begins with.
    pub(super) fn params(&self, tiling: &Tiling) -> Vec<usize> {
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
            self.out_len,
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
            Core::Tiled { .. } | Core::Wide if self.by_four(core).is_some() => {
                let lines = self.by_four(core).unwrap_or(ANY);
                let tx = match core {
                    Core::Tiled { tx } => vec![("TX", tx as f64)],
                    _ => Vec::new(),
                };
                let lines = [
                    ("A_ALONG_K", flag(lines.a_along_sum)),
                    ("B_ALONG_K", flag(lines.b_along_sum)),
                    ("A_FOURS", flag(lines.a_along_sum)),
                    ("B_FOURS", flag(lines.b_along_sum)),
                ];
                [&lines[..], &tx].concat()
            }
            // Only the square tile has as many quads of columns as rows.
            Core::Tiled { tx: 16 } => [&along[..], &[("TX", 16.0)]].concat(),
            Core::Tiled { tx } => vec![along[0], ("B_ALONG_K", 0.0), ("TX", tx as f64)],
            Core::Wide => along.to_vec(),
            Core::Lanes => {
                let lines = self.aligned.unwrap_or(ANY);
                vec![
                    ("A_ALONG_K", flag(lines.a_along_sum)),
                    ("B_ALONG_K", flag(lines.b_along_sum)),
                ]
            }
        }
    }

    /// The lines of operands that this core loads by four, if it does.
    pub(super) fn by_four(&self, core: Core) -> Option<Aligned> {
        let fits = |lines: &Aligned| match core {
            Core::Tiled { tx } => tx == 16 || !lines.b_along_sum,
            Core::Wide => true,
            _ => false,
        };
        self.aligned.filter(fits)
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
    pub(super) fn lowered(
        &self,
        tiling: &Tiling,
        label: &'static str,
        wgsl: &'static str,
        extra: Extra<'_>,
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
        let mut call = Call {
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
        halves::read(extra.view, extra.names, &mut call);
        let mut lowered = Lowered::one(call);
        lowered.stores = tiling.core.stores() as u64;
        if split {
            lowered.stores = 1;
            lowered
                .scratch
                .push(4 * (self.out_len * tiling.splits) as u64);
            lowered
                .work
                .push(sum_parts(self.out_len, tiling.splits).into());
        }
        lowered
    }
}

/// What the operands file adds.
pub(super) struct Extra<'a> {
    /// The step, and what its operands are called in the text.
    pub(super) view: &'a StepView<'a>,
    pub(super) names: [&'static str; 2],
    pub(super) params: Vec<usize>,
    pub(super) constants: Vec<(&'static str, f64)>,
}

pub(super) fn sum_parts(len: usize, parts: usize) -> Call {
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
