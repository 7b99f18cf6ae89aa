//! What a plan's steps need that does not change from run to run, worked out once.

use super::program::Program;
use super::{map, reduce, rows};
use crate::dtype::DType;
use crate::plan::{Kernel, Plan, Step};

/// A kernel made ready.
#[derive(Debug)]
pub(super) enum Ready {
    /// A map, if it has anything to do.
    Map(Option<Program>),
    /// A reduction.
    Reduce(reduce::Ready),
    /// Rows.
    Rows(rows::Ready),
    /// Any other kernel: its data say all.
    Plain,
}

impl Ready {
    /// Prepares `kernel`, whose output has elements of `dtype`.
    pub(super) fn new(kernel: &Kernel, dtype: DType) -> Ready {
        match kernel {
            Kernel::Map(m) => Ready::Map(map::prepare(m, dtype)),
            Kernel::Reduce(r) => Ready::Reduce(reduce::prepare(r)),
            Kernel::Rows(r) => Ready::Rows(rows::prepare(r)),
            _ => Ready::Plain,
        }
    }
}

/// The steps of a plan made ready.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// One for each step.
    pub(super) steps: Vec<Ready>,
    /// Whether it is worth more than one thread.
    pub(super) large: bool,
}

impl Prepared {
    /// Prepares every step of `plan`.
    pub(crate) fn new(plan: &Plan) -> Prepared {
        let ready = |step: &Step| Ready::new(&step.kernel, plan.slots[step.output].dtype);
        let steps: Vec<Ready> = plan.steps.iter().map(ready).collect();
        let work: usize = plan
            .steps
            .iter()
            .zip(&steps)
            .map(|(step, ready)| work(plan, step, ready))
            .sum();
        let large = work >= LARGE;
        Prepared { steps, large }
    }
}

/// Work of a plan, in about tenths of nanoseconds, below which calling other threads costs more than it brings.
const LARGE: usize = 500_000;

/// What a step takes, in about tenths of nanoseconds.
fn work(plan: &Plan, step: &Step, ready: &Ready) -> usize {
    /// Multiplications in a tenth of a nanosecond.
    const AT_ONCE: usize = 4;
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    match (&step.kernel, ready) {
        (Kernel::Matmul(m), _) => m.batch * m.m * m.n * m.k / AT_ONCE,
        (Kernel::Conv(c), _) => {
            let sums = c.batch * c.groups * c.in_channels * c.out_channels;
            sums * product(&c.output) * product(&c.kernel) / AT_ONCE
        }
        (_, Ready::Map(program)) => program.as_ref().map_or(0, |p| p.nest.len * p.cost),
        (_, Ready::Reduce(r)) => r.work(),
        (_, Ready::Rows(r)) => r.work(),
        _ => {
            let slots = step.inputs.iter().chain([&step.output]);
            slots.map(|&s| plan.slots[s].len * 30).max().unwrap_or(0)
        }
    }
}
