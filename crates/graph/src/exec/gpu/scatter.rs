//! ScatterAdd: which of three kernels, by a rough cost of each. All add in the order of the indices.

use super::call::{Arg, Call, Grid, Lowered};
use super::lower::{StepView, Target};
use super::source::memory;
use crate::plan::ScatterAdd;
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
}

pub(super) fn way(scatter: &ScatterAdd, target: Target) -> Way {
    let ScatterAdd {
        outer,
        count,
        size,
        inner,
        index,
    } = *scatter;
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
    if index[2] == 0 && lines < rows && lines < targets {
        Way::Lines
    } else if targets < rows {
        Way::Targets
    } else {
        Way::Rows
    }
}

pub(super) fn lower(view: &StepView<'_>, scatter: &ScatterAdd) -> Lowered {
    let ScatterAdd {
        outer,
        count,
        size,
        inner,
        index,
    } = *scatter;
    if count == 0 {
        return Lowered::zeros();
    }
    let (label, wgsl, grid) = match way(scatter, view.target) {
        Way::Rows => (
            "scatter add rows",
            kernels::SCATTER_ADD_ROWS,
            Grid::Threads((outer * inner) as u64),
        ),
        Way::Targets => (
            "scatter add targets",
            kernels::SCATTER_ADD_TARGETS,
            Grid::Threads((outer * size * inner) as u64),
        ),
        Way::Lines => (
            "scatter add lines",
            kernels::SCATTER_ADD_LINES,
            Grid::Groups((outer * size) as u64),
        ),
    };
    let numbers = [
        outer,
        count,
        size,
        inner,
        index[0],
        index[1],
        index[2],
        view.step.check as usize,
    ];
    Lowered::one(Call {
        label,
        wgsl: kernels::with_element(wgsl, memory(view.output_dtype)).into(),
        constants: Vec::new(),
        args: vec![
            Arg::Input(0),
            Arg::Input(1),
            Arg::Output,
            Arg::Params,
            Arg::Status,
        ],
        params: numbers.into_iter().collect(),
        grid,
    })
}
