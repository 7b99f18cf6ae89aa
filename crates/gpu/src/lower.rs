//! From a step of a plan to its dispatches. Chooses the family module and checks that sizes fit; computes no
//! text itself.

use super::call::Lowered;
use super::choices::Choices;
use super::table::Config;
use super::wide::Wide;
use super::{argsort, custom, finish, gemm, map, reduce, rows, scan, scatter, window};
use crate::DeviceClass;
use crate::dtype::DType;
use crate::plan::{Held, Kernel, Plan, Step};
use crate::table::config;
use wgrad_device::{Error, Gpu};

/// What choices depend on besides shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// A software adapter: no gain from workgroup memory, few threads at once.
    pub(super) software: bool,
    /// A software adapter with subgroups of 8, whose lanes can read each other's registers.
    pub(super) lanes: bool,
    /// Storage buffers that a kernel may bind.
    pub(super) buffers: usize,
    /// Bytes of a buffer that a kernel may bind.
    pub(super) binding: u64,
    /// What was found best for the class of device.
    pub(super) config: Config,
}

impl Target {
    /// A device of this class that offers no more than any.
    pub(super) const fn new(class: DeviceClass) -> Target {
        Target {
            software: matches!(class, DeviceClass::Software),
            lanes: false,
            buffers: 8,
            binding: 128 << 20,
            config: config(class),
        }
    }

    /// What is best for a device, taken as one of this class.
    pub(super) fn of(gpu: &Gpu, class: DeviceClass) -> Target {
        let limits = gpu.limits();
        let eight = limits.min_subgroup_size == 8 && limits.max_subgroup_size == 8;
        let target = Target::new(class);
        Target {
            lanes: target.software && eight && gpu.features().subgroups,
            buffers: limits.max_storage_buffers as usize,
            binding: limits.max_binding_bytes.min(limits.max_buffer_bytes),
            ..target
        }
    }
}

/// A step as the family modules see it.
pub(super) struct StepView<'a> {
    pub(super) step: &'a Step,
    pub(super) target: Target,
    /// What was measured on this very device.
    pub(super) choices: &'a Choices,
    /// For each input the first input with the same slot, so that they share a binding.
    pub(super) same_input: Vec<usize>,
    /// Inputs that are what an output holds before: they are read from the output's binding.
    pub(super) held: Vec<Held>,
    /// The input that is the variable `x`.
    pub(super) value: Option<usize>,
    /// Dtype of the first input's slot, if there is one.
    pub(super) input_dtype: Option<DType>,
    pub(super) output_dtype: DType,
}

impl StepView<'_> {
    /// The output that an input is the earlier contents of.
    pub(super) fn held_by(&self, input: usize) -> Option<usize> {
        let held = self.held.iter().find(|h| h.input == input);
        held.map(|h| h.output)
    }

    /// Whether loads of all that outputs hold before go by fours, as the stores do.
    pub(super) fn held_whole(&self, wide: &Wide) -> bool {
        self.held.iter().all(|h| wide.is_whole(h.input))
    }
}

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
    if output.len == 0 {
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
        input_dtype: step.inputs.first().map(|&slot| plan.slots[slot].dtype),
        output_dtype: output.dtype,
    };
    check_sizes(plan, step)?;
    let lowered = match &step.kernel {
        Kernel::Map(kernel) => map::lower(&view, kernel)?,
        Kernel::Reduce(kernel) => reduce::lower(&view, kernel)?,
        Kernel::Rows(kernel) => rows::lower(&view, kernel)?,
        Kernel::Matmul(kernel) => finish::after(&view, gemm::matmul(&view, kernel))?,
        Kernel::Conv(kernel) => finish::after(&view, gemm::conv(&view, kernel))?,
        Kernel::Window(kernel) => window::lower(kernel),
        Kernel::ScatterAdd(kernel) => scatter::lower(&view, kernel)?,
        Kernel::Scan(kernel) => scan::lower(&view, kernel)?,
        Kernel::ArgSort(kernel) => argsort::lower(&view, kernel)?,
        Kernel::Custom(kernel) => custom::lower(kernel),
    };
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

/// Number of points of a loop nest.
pub(super) fn product(shape: &[usize]) -> u64 {
    shape
        .iter()
        .fold(1_u64, |n, &size| n.saturating_mul(size as u64))
}
