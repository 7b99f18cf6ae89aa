//! ScatterAdd: which of four kernels, by a rough cost of each. All add in the order of the indices, so many elements a
//! dispatch as the rounds of a thread allow.

use super::argsort;
use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Work};
use super::halves;
use super::source::memory;
use super::step::StepView;
use super::target::Target;
use crate::dtype::{Class, DType};
use crate::plan::{ArgSort, ScatterAdd};
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// Which kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A thread for each row (outer, inner).
    Rows,
    /// A thread for each element of the result.
    Targets,
    /// A workgroup for each line of `inner` elements of the result.
    Lines,
    /// A thread for each element of the result, after the indices have been sorted.
    Sorted,
}

/// Kernels that need rounds to settle what they have added up.
const ROWS: &str = "scatter add rows";
const LINES: &str = "scatter add lines";

/// Rounds that are kept for what a thread does besides its walk: the report of a bad index, searches.
const BESIDES: u64 = 128;

pub(super) fn way(scatter: &ScatterAdd, target: Target) -> Way {
    let ScatterAdd {
        outer,
        count,
        size,
        inner,
        index,
    } = *scatter;
    let shared = index[2] == 0;
    let dense = shared && index[1] == 1 && (outer == 1 || index[0] == count);
    let [outer, count, size, inner] = [outer, count, size, inner].map(|n| n as f64);
    if target.software {
        // Work counts alone; a handful of threads is enough.
        let few = outer * inner < 16.0 && size <= 16.0;
        return if few { Way::Targets } else { Way::Rows };
    }
    // Rounds of 2^16 threads (2^10 workgroups) times the length of a thread's walk, in memory latencies.
    let rows = (outer * inner / 65536.0).max(1.0) * (count + size / 8.0);
    let targets = (outer * size * inner / 65536.0).max(1.0) * count / 8.0;
    let lines = (outer * size / 1024.0).max(1.0) * (count / 256.0).ceil() * (2.0 + inner / 1024.0);
    // Passes of the sort, each a dispatch, then two searches and the walk of the most frequent index.
    let levels = (count.max(2.0) / 1024.0).log2().ceil().max(0.0);
    let passes = 2.0 + levels * (levels + 3.0) / 2.0;
    let sort = passes * (8.0 + (outer * count / 65536.0));
    let sum =
        (outer * size * inner / 65536.0).max(1.0) * (4.0 * count.max(2.0).log2() + count / size);
    let sorted = sort + sum;
    let lines_fit = shared && inner <= 65536.0;
    if dense && sorted < rows && sorted < targets && sorted < lines {
        Way::Sorted
    } else if lines_fit && lines < rows && lines < targets {
        Way::Lines
    } else if targets < rows {
        Way::Targets
    } else {
        Way::Rows
    }
}

pub(super) fn lower(view: &StepView<'_>, scatter: &ScatterAdd) -> Result<Lowered, Error> {
    let ScatterAdd {
        outer,
        count,
        size,
        inner,
        ..
    } = *scatter;
    if count == 0 {
        return Ok(Lowered::zeros());
    }
    let threads = (outer * size * inner) as u64;
    let mut lowered = match way(scatter, view.target) {
        Way::Rows => {
            let rows = Walk {
                label: ROWS,
                wgsl: kernels::SCATTER_ADD_ROWS,
                grid: Grid::Threads((outer * inner) as u64),
                rounds: 1,
            };
            // One dispatch for both, if a thread may take so many rounds.
            let zero = (count + size) as u64 <= MAX_ITERATIONS - BESIDES;
            let mut lowered = rows.lowered(view, scatter);
            match lowered.work.first_mut() {
                Some(Work::Call(first)) if zero => {
                    first.params.push(1);
                    first.iterations += size as u64;
                }
                _ => lowered.work.insert(0, Work::Clear),
            }
            lowered
        }
        Way::Targets => {
            let targets = Walk {
                label: "scatter add targets",
                wgsl: kernels::SCATTER_ADD_TARGETS,
                grid: Grid::Threads(threads),
                rounds: 1,
            };
            targets.lowered(view, scatter)
        }
        Way::Lines => {
            let lines = Walk {
                label: LINES,
                wgsl: kernels::SCATTER_ADD_LINES,
                grid: Grid::Groups((outer * size) as u64),
                // If all are hits; a block of 256 has nine rounds more. The first block sets the line to zero.
                rounds: 2 + (inner as u64).div_ceil(256),
            };
            lines.lowered(view, scatter)
        }
        Way::Sorted => sorted(view, scatter)?,
    };
    if view.output_dtype.is_half() {
        settled(&mut lowered, scatter, view.output_dtype);
    }
    let dtype = view.input_dtypes.first().copied().unwrap_or(DType::F32);
    for work in &mut lowered.work {
        if let (Work::Call(call), true) = (work, dtype.is_half()) {
            call.wgsl = halves::with_loads(&call.wgsl, "src", dtype).into();
        }
    }
    halves::complete(&mut lowered)?;
    Ok(lowered)
}

/// The same work with sums in a buffer of their own, which are rounded when they are complete: by who has added them up, or,
/// where a thread would have to go through too many, in a pass of its own.
fn settled(lowered: &mut Lowered, scatter: &ScatterAdd, dtype: DType) {
    let ScatterAdd {
        outer, size, inner, ..
    } = *scatter;
    let len = outer * size * inner;
    let sums = Arg::Scratch(lowered.scratch.len());
    lowered.scratch.push(4 * len as u64);
    let mut open = false;
    let last = lowered.work.len() - 1;
    for (at, work) in lowered.work.iter_mut().enumerate() {
        let call = match work {
            Work::Clear => {
                *work = zeros(sums, len).into();
                continue;
            }
            Work::Call(call) if call.args.contains(&Arg::Output) => call,
            Work::Call(_) => continue,
        };
        let output = call.args.iter_mut().filter(|arg| **arg == Arg::Output);
        output.for_each(|arg| *arg = sums);
        let rounds = match call.label {
            ROWS => size as u64,
            LINES => inner.div_ceil(256) as u64,
            _ => 0,
        };
        let settles = at == last && call.iterations + rounds <= MAX_ITERATIONS;
        open = at == last && !settles;
        if settles {
            call.iterations += rounds;
            if call.label == ROWS {
                call.constants.push(("SETTLES", 1.0));
            }
            call.wgsl = halves::with_settling(&call.wgsl, call.args.len(), dtype).into();
            call.args.push(Arg::Output);
        }
    }
    if open {
        let wgsl = halves::with_pairs(kernels::NARROW, "y", dtype).into();
        let call = Call {
            label: "narrow",
            wgsl,
            constants: Vec::new(),
            args: vec![sums, Arg::Output, Arg::Params],
            params: [len].into_iter().collect(),
            grid: Grid::Threads(len as u64).halved(),
            iterations: 0,
        };
        lowered.work.push(call.into());
    }
}

/// Zeros in so many words of a buffer.
fn zeros(buffer: Arg, words: usize) -> Call {
    Call {
        label: "zero",
        wgsl: kernels::ZERO.into(),
        constants: Vec::new(),
        args: vec![buffer],
        params: [].into_iter().collect(),
        grid: Grid::Threads(words as u64),
        iterations: 0,
    }
}

/// A kernel in which a thread walks along the elements of a row.
struct Walk {
    label: &'static str,
    wgsl: &'static str,
    grid: Grid,
    /// Rounds for each element.
    rounds: u64,
}

impl Walk {
    /// Its dispatches, one for so many elements as a thread may walk along.
    fn lowered(&self, view: &StepView<'_>, scatter: &ScatterAdd) -> Lowered {
        let most = ((MAX_ITERATIONS - BESIDES) / self.rounds).max(1) as usize;
        let mut lowered = Lowered::default();
        for begin in (0..scatter.count).step_by(most) {
            let end = scatter.count.min(begin + most);
            let call = Call {
                label: self.label,
                wgsl: kernels::with_element(self.wgsl, memory(view.output_dtype.widened())).into(),
                constants: Vec::new(),
                args: vec![
                    Arg::Input(0),
                    Arg::Input(1),
                    Arg::Output,
                    Arg::Params,
                    Arg::Status,
                ],
                params: [
                    scatter.outer,
                    scatter.count,
                    scatter.size,
                    scatter.inner,
                    scatter.index[0],
                    scatter.index[1],
                    scatter.index[2],
                    view.step.check as usize,
                    begin,
                    end,
                ]
                .into_iter()
                .collect(),
                grid: self.grid,
                iterations: (end - begin) as u64 * self.rounds + BESIDES,
            };
            lowered.work.push(call.into());
        }
        lowered
    }
}

/// The order of each row's indices, then the sums.
fn sorted(view: &StepView<'_>, scatter: &ScatterAdd) -> Result<Lowered, Error> {
    let ScatterAdd {
        outer,
        count,
        size,
        inner,
        ..
    } = *scatter;
    let sort = ArgSort {
        rows: outer,
        length: count,
        descending: false,
    };
    let order = Arg::Scratch(0);
    let mut lowered = argsort::passes(view.target, &sort, Class::I32, [Arg::Input(1), order])?;
    let most = (MAX_ITERATIONS - BESIDES) as usize;
    for begin in (0..count).step_by(most) {
        let end = count.min(begin + most);
        let call = Call {
            label: "scatter add sorted",
            wgsl: kernels::with_element(
                kernels::SCATTER_ADD_SORTED,
                memory(view.output_dtype.widened()),
            )
            .into(),
            constants: Vec::new(),
            args: vec![
                Arg::Input(0),
                Arg::Input(1),
                order,
                Arg::Output,
                Arg::Params,
                Arg::Status,
            ],
            params: [
                outer,
                count,
                size,
                inner,
                view.step.check as usize,
                begin,
                end,
            ]
            .into_iter()
            .collect(),
            grid: Grid::Threads((outer * size * inner) as u64),
            iterations: (end - begin) as u64 + BESIDES,
        };
        lowered.work.push(call.into());
    }
    lowered.scratch[0] = lowered.scratch[0].max(4 * (outer * count) as u64);
    Ok(lowered)
}
