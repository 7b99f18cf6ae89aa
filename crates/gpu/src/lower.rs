//! From a step of a plan to its dispatches. Chooses the family module and checks that sizes fit; computes no
//! text itself.

use super::call::Lowered;
use super::choices::Choices;
use super::step::{StepView, product};
use super::target::Target;
use super::{
    argsort, attention, conv, custom, exact, finish, map, matmul, reduce, rows, scan, scatter,
    window,
};
use crate::plan::{Kernel, Plan, Step};
use wgrad_device::Error;

/// What `step` of `plan` runs.
///
/// # Errors
/// [`Error::TooLarge`] where an index would not fit 32 bits.
pub(super) fn lower(
    plan: &Plan,
    step: &Step,
    target: Target,
    choices: &Choices,
) -> Result<Lowered, Error> {
    let output = &plan.slots[step.output];
    if step.outputs().all(|slot| plan.slots[slot].len == 0) {
        return Ok(Lowered::default());
    }
    let first_with = |&slot: &usize| step.inputs.iter().position(|&s| s == slot).unwrap_or(0);
    let view = StepView {
        step,
        target,
        choices,
        same_input: step.inputs.iter().map(first_with).collect(),
        held: plan.held(step),
        value: None,
        input_dtypes: step.inputs.iter().map(|&s| plan.slots[s].dtype).collect(),
        output_dtype: output.dtype,
    };
    check_sizes(plan, step)?;
    let mut lowered = match &step.kernel {
        Kernel::Map(kernel) => map::lower(&view, kernel)?,
        Kernel::Reduce(kernel) => reduce::lower(&view, kernel)?,
        Kernel::Rows(kernel) => rows::lower(&view, kernel)?,
        Kernel::Matmul(kernel) => finish::after(&view, matmul::lower(&view, kernel))?,
        Kernel::Conv(kernel) => finish::after(&view, conv::lower(&view, kernel))?,
        Kernel::Window(kernel) => window::lower(&view, kernel)?,
        Kernel::ScatterAdd(kernel) => scatter::lower(&view, kernel)?,
        Kernel::Scan(kernel) => scan::lower(&view, kernel)?,
        Kernel::ArgSort(kernel) => argsort::lower(&view, kernel)?,
        Kernel::Attention(kernel) => attention::lower(&view, kernel)?,
        Kernel::Custom(kernel) => custom::lower(kernel),
        Kernel::Loop(_) => {
            return Err(Error::Unsupported {
                what: "a loop as one kernel",
            });
        }
    };
    if target.halves_exact {
        exact::widen(&mut lowered);
    }
    lowered.bounded()
}

/// Kernels count elements and loop points in 32 bits; no number of a step may need more.
pub(super) fn check_sizes(plan: &Plan, step: &Step) -> Result<(), Error> {
    let points = match &step.kernel {
        Kernel::Map(map) => product(&map.shape),
        Kernel::Reduce(r) => product(&r.outer).saturating_mul(product(&r.inner)),
        Kernel::Rows(r) => product(&r.outer).saturating_mul(product(&r.inner)),
        _ => 0,
    };
    let slots = step.inputs.iter().copied().chain(step.outputs());
    let elements = slots
        .map(|slot| plan.slots[slot].len as u64)
        .max()
        .unwrap_or(0);
    let largest = points.max(elements);
    // A grid is folded, so the last threads have ids beyond the largest point.
    let limit = u64::from(u32::MAX) - (1 << 26);
    if largest > limit {
        return Err(Error::TooLarge {
            what: "the number of elements of a kernel",
            bytes: largest,
            limit,
        });
    }
    Ok(())
}
