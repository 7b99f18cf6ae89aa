//! What a plan's steps need that does not change from run to run, worked out once.

use super::par::WORTH_A_THREAD;
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
    /// Whether a step may be worth more than one thread.
    pub(super) large: bool,
}

impl Prepared {
    /// Prepares every step of `plan`.
    pub(crate) fn new(plan: &Plan) -> Prepared {
        let ready = |step: &Step| Ready::new(&step.kernel, plan.slots[step.output].dtype);
        let steps: Vec<Ready> = plan.steps.iter().map(ready).collect();
        let large = plan
            .steps
            .iter()
            .zip(&steps)
            .any(|(step, ready)| is_large(plan, step, ready));
        Prepared { steps, large }
    }
}

fn is_large(plan: &Plan, step: &Step, ready: &Ready) -> bool {
    const LANES: usize = 1 << 14;
    const MULTIPLICATIONS: usize = 1 << 20;
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    match (&step.kernel, ready) {
        (Kernel::Matmul(m), _) => m.batch * m.m * m.n * m.k >= MULTIPLICATIONS,
        (Kernel::Conv(c), _) => {
            let sums = c.batch * c.groups * c.in_channels * c.out_channels;
            sums * product(&c.output) * product(&c.kernel) >= MULTIPLICATIONS
        }
        (_, Ready::Map(program)) => program
            .as_ref()
            .is_some_and(|p| p.nest.len * p.cost >= WORTH_A_THREAD),
        (_, Ready::Reduce(r)) => r.work() >= WORTH_A_THREAD,
        (_, Ready::Rows(r)) => r.work() >= WORTH_A_THREAD,
        _ => step
            .inputs
            .iter()
            .chain([&step.output])
            .any(|&s| plan.slots[s].len >= LANES),
    }
}
