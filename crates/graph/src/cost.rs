//! What a planned run takes: kernels, multiply-adds, memory. Runs nothing.

#[cfg(feature = "gpu")]
use crate::device::Kind;
use crate::device::{CachedPlan, Device};
use crate::plan::Place;
use crate::run::{Temporaries, temporaries};

/// What one run of a plan takes, known before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanCost {
    /// Kernel calls.
    pub kernels: usize,
    /// Multiply-adds of matrix products and convolutions, gradients included.
    pub multiply_adds: u64,
    /// Bytes that a run takes for what its steps hand to each other. All plans of a device share them.
    pub temporary_bytes: u64,
    /// Bytes of its results that take no other tensor's memory.
    pub result_bytes: u64,
    /// The most bytes that tensors and plans of the device hold at once if it runs now.
    pub peak_bytes: u64,
}

/// Of a plan whose results marked in `in_place` take the memory of what they replace.
pub(crate) fn of(device: &Device, cached: &CachedPlan, in_place: &[bool]) -> PlanCost {
    let plan = &cached.plan;
    let class = class_of(device);
    let results = plan.outputs.iter().zip(in_place);
    let new = results.filter(|&(&slot, &in_place)| {
        !in_place && matches!(plan.slots[slot].place, Place::Output(_))
    });
    let result_bytes = new
        .map(|(&slot, _)| class(plan.slots[slot].len * plan.slots[slot].dtype.size()))
        .sum();
    let Temporaries {
        bytes,
        growth,
        within_a_step,
    } = temporaries(device, cached);
    PlanCost {
        kernels: plan.kernels(),
        multiply_adds: plan.steps.iter().map(|s| s.kernel.multiply_adds()).sum(),
        temporary_bytes: bytes,
        result_bytes,
        peak_bytes: device.memory().live_bytes + growth + within_a_step + result_bytes,
    }
}

/// What a buffer of so many bytes takes on a device.
fn class_of(device: &Device) -> impl Fn(usize) -> u64 + '_ {
    move |bytes| match &device.0.kind {
        #[cfg(feature = "gpu")]
        Kind::Gpu(gpu) => gpu.executor.gpu().class_bytes(bytes as u64),
        _ => crate::storage::class_bytes(bytes),
    }
}
