//! Measures what the ways of convolutions take on this processor, for `wgrad bench --fit`: every way that can compute a random shape
//! is timed, and the costs of what each counts are fitted to the times. Shapes that were not fitted show how good a choice by
//! them is. Nothing else in this crate looks at a clock.

use crate::call::{Context, Operand};
use crate::conv::choice;
use crate::conv::cost::table::{self, Costs, WAYS};
use crate::conv::cost::{COUNTED, Counts, PRODUCT, Sizes};
use crate::conv::unfold::Unfold;
use crate::conv::way::{Forward, InputGrad, Way, WeightGrad};
use crate::dtype::DType;
use crate::plan::{Conv, ConvKind};
use crate::threads::par::Par;
use crate::threads::team::Team;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// How long a way is timed, at least.
const TIME: Duration = Duration::from_millis(4);

/// Multiplications of the smallest and the largest shape.
const WORK: std::ops::Range<usize> = 1 << 17..1 << 30;

/// How much more a sample counts that took longer: the power of its time.
const WEIGHT: f64 = 0.15;

/// Sweeps of the fit over all costs.
const SWEEPS: usize = 4000;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct FitOptions {
    /// Threads that compute.
    pub threads: usize,
    /// Where the random shapes begin.
    pub seed: u64,
    /// How many are fitted, and how many show how good that is.
    pub shapes: usize,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The costs, as a section of the file that the executor reads.
    pub section: String,
    /// For shapes that were not fitted: time of the way with the least costs, of that which the executor's file says, by the time
    /// of the fastest way.
    pub choices: Vec<Choice>,
}

/// How good a choice is.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The shape, and what the ways took.
    pub shape: String,
    /// Its kind: forward, input, weight.
    pub kind: &'static str,
    /// Time of the way chosen with the fitted costs, by that of the fastest.
    pub fitted: f64,
    /// The same with the executor's own costs.
    pub own: f64,
}

/// A way of a shape and what it took.
struct Sample {
    way: Way,
    counts: Counts,
    nanoseconds: f64,
}

/// Measures and fits.
pub fn fit(options: &FitOptions) -> Fit {
    let team = Team::new(options.threads);
    let mut draw = Draw(options.seed);
    let mut fitted = Vec::new();
    let mut others = Vec::new();
    for i in 0..2 * options.shapes {
        let conv = draw.conv();
        for kind in [ConvKind::Forward, ConvKind::InputGrad, ConvKind::WeightGrad] {
            let conv = Conv { kind, ..conv };
            let samples = measure(&conv, &team);
            match i % 2 {
                0 => fitted.extend(samples),
                _ => others.push((conv, samples)),
            }
        }
    }
    let roof = roof(&fitted);
    let mut costs: Costs = [[0.0; COUNTED]; WAYS.len()];
    for (at, costs) in costs.iter_mut().enumerate() {
        let of_way = fitted.iter().filter(|s| table::place(s.way) == Some(at));
        *costs = least_squares(&of_way.collect::<Vec<_>>(), roof);
    }
    let choices = others.iter().filter(|(_, samples)| samples.len() > 1);
    Fit {
        section: table::section(&processor(), &costs),
        choices: choices
            .map(|(conv, samples)| judge(conv, samples, &costs))
            .collect(),
    }
}

/// The processor by its own name.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = line.and_then(|line| line.split_once(':'));
    name.map_or_else(
        || std::env::consts::ARCH.to_string(),
        |(_, name)| name.trim().to_string(),
    )
}

fn judge(conv: &Conv, samples: &[Sample], costs: &Costs) -> Choice {
    let best = samples
        .iter()
        .map(|s| s.nanoseconds)
        .fold(f64::INFINITY, f64::min);
    let least = |time: &dyn Fn(&Sample) -> f64| {
        let first = samples.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
        first.map_or(1.0, |s| s.nanoseconds / best)
    };
    let by = |s: &Sample| table::place(s.way).map_or(0.0, |at| table::time(&costs[at], &s.counts));
    let kind = match conv.kind {
        ConvKind::Forward => "forward",
        ConvKind::InputGrad => "input",
        ConvKind::WeightGrad => "weight",
    };
    let took = samples.iter().map(|s| {
        format!(
            "{:?} {:.0} µs ({:.0})",
            s.way,
            s.nanoseconds / 1e3,
            by(s) / 1e3
        )
    });
    Choice {
        shape: format!(
            "{}×{}×{:?} → {}, groups {}, kernel {:?}, stride {}, padding {}: {}",
            conv.batch,
            conv.in_channels,
            &conv.input[1..],
            conv.out_channels,
            conv.groups,
            &conv.kernel[1..],
            conv.stride[1],
            conv.padding[1],
            took.collect::<Vec<_>>().join(", "),
        ),
        kind,
        fitted: least(&by),
        own: least(&|s| table::nanoseconds(s.way, &s.counts)),
    }
}

/// The time of every way of `conv`, in nanoseconds of a core.
fn measure(conv: &Conv, team: &Team) -> Vec<Sample> {
    let shape = Unfold::of(conv);
    let sizes = Sizes::of(conv, &shape);
    let ways = choice::ways(conv, &shape);
    let len = |planes: usize, plane: usize| conv.batch * conv.groups * planes * plane;
    let x = len(conv.in_channels, shape.plane());
    let y = len(conv.out_channels, shape.positions());
    let weight = conv.groups * conv.in_channels * conv.out_channels * shape.taps();
    let [a, b, out] = match conv.kind {
        ConvKind::Forward => [x, weight, y],
        ConvKind::InputGrad => [y, weight, x],
        ConvKind::WeightGrad => [x, y, weight],
    };
    let floats = |n: usize| {
        (0..n)
            .map(|i| (i % 113) as f32 / 113.0)
            .collect::<Vec<f32>>()
    };
    let (a, b, mut out) = (floats(a), floats(b), floats(out));
    let status = AtomicU32::new(0);
    // What other shapes left would keep the pool from keeping this one's.
    crate::storage::give_back();
    let _called = team.call();
    let mut once = |way: Way| {
        let inputs = [&a, &b].map(|data| Operand {
            dtype: DType::F32,
            bytes: bytemuck::cast_slice(data),
        });
        let context = Context {
            inputs: &inputs,
            scalars: &[],
            check: 0,
            status: &status,
            par: Par::of(team),
            packed: None,
        };
        let began = Instant::now();
        choice::with(way, || {
            crate::conv::run(
                conv,
                context,
                bytemuck::cast_slice_mut(&mut out),
                DType::F32,
            );
        });
        began.elapsed()
    };
    let mut best = vec![Duration::MAX; ways.len()];
    for &way in &ways {
        once(way);
    }
    // In turns, so that all see the same machine.
    let (mut runs, mut slowest) = (0, Duration::ZERO);
    while runs < 3 || slowest * runs < TIME {
        for (&way, best) in ways.iter().zip(&mut best) {
            let time = once(way);
            *best = time.min(*best);
        }
        slowest = best.iter().copied().max().unwrap_or_default();
        runs += 1;
    }
    let sample = |(&way, best): (&Way, &Duration)| Sample {
        way,
        counts: sizes.counts(way),
        nanoseconds: best.as_nanos() as f64 * team.threads() as f64,
    };
    let samples = ways.iter().zip(&best).map(sample);
    // What nothing competes with has no costs.
    samples
        .filter(|s| {
            !matches!(
                s.way,
                Way::Forward(Forward::Depthwise) | Way::InputGrad(InputGrad::Depthwise)
            )
        })
        .collect()
}

/// Whether a way computes tiles of products.
fn has_tiles(way: Way) -> bool {
    let others = [
        Way::Forward(Forward::Rows),
        Way::WeightGrad(WeightGrad::Rows),
        Way::WeightGrad(WeightGrad::FewChannels),
    ];
    !others.contains(&way)
}

/// What a product of a vector with a number takes in a tile, at best. It is the same for all ways: they differ in what they do
/// besides.
fn roof(samples: &[Sample]) -> f64 {
    let tiles = samples.iter().filter(|s| has_tiles(s.way));
    let each = tiles.map(|s| s.nanoseconds / s.counts[PRODUCT]);
    each.fold(f64::INFINITY, f64::min)
}

/// Costs of at least 0 with the least squares of relative errors, one after another until they stay.
fn least_squares(samples: &[&Sample], roof: f64) -> Counts {
    let weight = |s: &Sample| s.nanoseconds.powf(WEIGHT);
    let row = |s: &&Sample| s.counts.map(|n| n / s.nanoseconds * weight(s));
    let rows: Vec<Counts> = samples.iter().map(row).collect();
    let known = samples.iter().all(|s| has_tiles(s.way));
    let mut costs = [0.0; COUNTED];
    // What is left of the times.
    let mut rest: Vec<f64> = samples.iter().map(|s| weight(s)).collect();
    let add = |costs: &mut Counts, rest: &mut [f64], i: usize, by: f64| {
        let rows = rows.iter().zip(rest);
        rows.for_each(|(row, rest)| *rest -= by * row[i]);
        costs[i] += by;
    };
    if known {
        add(&mut costs, &mut rest, PRODUCT, roof);
    }
    for _ in 0..SWEEPS {
        for i in (0..COUNTED).filter(|&i| i != PRODUCT || !known) {
            let square: f64 = rows.iter().map(|row| row[i] * row[i]).sum();
            let along: f64 = rows
                .iter()
                .zip(&rest)
                .map(|(row, rest)| row[i] * rest)
                .sum();
            if square > 0.0 {
                let by = (along / square).max(-costs[i]);
                add(&mut costs, &mut rest, i, by);
            }
        }
    }
    costs
}

/// Random shapes as networks have them.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// About as often each doubling of a number up to `2 ** doublings`.
    fn size(&mut self, doublings: usize) -> usize {
        let low = 1 << self.below(doublings);
        low + self.below(low + 1)
    }

    fn conv(&mut self) -> Conv {
        loop {
            let kernel = self.of(&[1, 1, 2, 3, 3, 3, 4, 5, 7]);
            let stride = self.of(&[1, 1, 1, 2, 2, 3]);
            let padding = self.of(&[0, kernel / 2, kernel / 2, (kernel - 1) / 2]);
            let groups = self.of(&[1, 1, 1, 1, 2, 4]);
            let dilation = self.of(&[1, 1, 1, 1, 1, 2]);
            let batch = self.of(&[1, 2, 4, 8, 16, 16, 17, 21, 32, 48, 64, 65]);
            // Any size, or one of those that networks have most.
            let (input, channels) = match self.below(2) {
                0 => (self.size(6), [(); 2].map(|()| self.size(9))),
                _ => (
                    self.of(&[1, 4, 7, 8, 14, 16, 28, 32, 56]),
                    [(); 2].map(|()| 16 * self.of(&[1, 2, 4, 6, 8, 12, 16, 24, 32, 64])),
                ),
            };
            let [in_channels, out_channels] = channels.map(|n| n.div_ceil(groups));
            let reach = dilation * (kernel - 1) + 1;
            let Some(room) = (input + 2 * padding).checked_sub(reach) else {
                continue;
            };
            let output = room / stride + 1;
            let work =
                batch * groups * in_channels * out_channels * kernel * kernel * output * output;
            let flat = |n: usize| [1, n, n];
            if !WORK.contains(&work) || in_channels * out_channels < 8 {
                continue;
            }
            return Conv {
                kind: ConvKind::Forward,
                batch,
                groups,
                in_channels,
                out_channels,
                input: flat(input),
                output: flat(output),
                kernel: flat(kernel),
                stride: flat(stride),
                padding: [0, padding, padding],
                dilation: flat(dilation),
            };
        }
    }
}
