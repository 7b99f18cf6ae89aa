//! Plans of whole programs, for the tests of executors, which are given plans and know no tensors. Not part of the
//! interface: it may change at any time.

#[cfg(feature = "cpu")]
use crate::error::Result;
#[cfg(feature = "cpu")]
use crate::eval::value_of;
use crate::ops::{Lowered, Op};
#[cfg(feature = "cpu")]
use crate::passes::{collect, plan_replacing};
#[cfg(feature = "cpu")]
use crate::plan::Plan;
use crate::plan::ScalarOp;
#[cfg(feature = "cpu")]
use crate::storage::HostBuffer;
#[cfg(feature = "cpu")]
use crate::tensor::Tensor;

/// What an element-wise operation computes for one element; nothing of others.
pub fn scalar(op: &Op) -> Option<&'static ScalarOp> {
    match op.lower() {
        Lowered::Elementwise(op) => Some(op),
        _ => None,
    }
}

#[cfg(feature = "cpu")]
/// A plan as the cpu runs it, and what it is run with.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What its leaves hold.
    pub leaves: Vec<HostBuffer>,
    /// Its run-time numbers.
    pub scalars: Vec<u32>,
}

#[cfg(feature = "cpu")]
/// The plan of some tensors of the cpu; result `r` may take the place of the leaf `replaced[r]`.
///
/// # Errors
/// A leaf has no value, or does not lie on the host.
pub fn planned(outputs: &[&Tensor], replaced: &[Option<&Tensor>]) -> Result<Planned> {
    let collected = collect(outputs);
    let leaf = |t: &Tensor| collected.leaves.iter().position(|l| l.tensor.same(t));
    let replaced: Vec<_> = replaced.iter().map(|t| t.and_then(leaf)).collect();
    let plan = plan_replacing(&collected.graph(), &replaced, &crate::device::CPU_LIMITS);
    let values = collected.leaves.iter().map(|leaf| {
        let host = value_of(&leaf.tensor)?.host().cloned();
        host.ok_or_else(crate::run::elsewhere)
    });
    Ok(Planned {
        plan,
        leaves: values.collect::<Result<_>>()?,
        scalars: collected.scalars.clone(),
    })
}

/// The plan that a GPU runs, one that binds as much as cards do, whose products go on with element-wise work or not. Its leaves
/// may lie anywhere.
pub fn planned_for_gpu(outputs: &[&crate::tensor::Tensor], epilogues: bool) -> crate::plan::Plan {
    let limits = crate::passes::Limits {
        max_inputs: 30,
        max_insts: 256,
        fuse: true,
        host: false,
        epilogues,
        align: 64,
    };
    crate::passes::plan_replacing(&crate::passes::collect(outputs).graph(), &[], &limits)
}
