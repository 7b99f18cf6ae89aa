//! A plan: the list of kernel calls that computes some tensors, as plain data. Made by `passes`, run by an
//! executor. Knows no device, no buffer and no graph.

mod custom;
pub mod expr;
pub mod kernel;
pub mod scalar_op;

pub use custom::{Custom, CustomCpu, CustomKernel};
pub use expr::{Expr, Inst, Reg, View};
pub use kernel::*;
pub use scalar_op::{BlockFn, ScalarOp};

use crate::dtype::DType;
use std::panic::Location;

/// Index into [`Plan::slots`].
pub type SlotId = usize;

/// Where the contents of a slot live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The buffer of this leaf, given at each run; never written.
    Leaf(usize),
    /// The buffer of this output, fresh at each run.
    Output(usize),
    /// Temporary buffer of the plan with this index; several slots whose lives do not overlap share one.
    Temp(usize),
}

/// A value that flows between steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Element type.
    pub dtype: DType,
    /// Number of elements; may be zero.
    pub len: usize,
    /// Where it lives.
    pub place: Place,
}

/// What a step computes for the reader: ops and the place in the user's program.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Names of the fused ops, in order, e.g. `add+relu`.
    pub name: String,
    /// Where the last of them was recorded.
    pub location: &'static Location<'static>,
}

/// One kernel call.
#[derive(Clone, Debug)]
pub struct Step {
    /// What runs.
    pub kernel: Kernel,
    /// Input slots, in the order the family defines. The output is never among them.
    pub inputs: Vec<SlotId>,
    /// The slot written. Several steps may write regions of one slot (strided Map stores), the first of them all
    /// of it.
    pub output: SlotId,
    /// Further slots written, by a Rows kernel.
    pub more_outputs: Vec<SlotId>,
    /// Non-zero for a step that checks indices: what it writes to the status word (if that is still 0) when it
    /// meets one out of range. The device's registry translates it back into op and location.
    pub check: u32,
    /// For messages and profiles.
    pub origin: Origin,
}

impl Step {
    /// Every slot written.
    pub fn outputs(&self) -> impl Iterator<Item = SlotId> + '_ {
        std::iter::once(self.output).chain(self.more_outputs.iter().copied())
    }
}

/// Kernel calls in order, and the slots they use.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Every value.
    pub slots: Vec<Slot>,
    /// Every call, in an order that respects the data flow.
    pub steps: Vec<Step>,
    /// Slots of the results, one for each tensor asked for.
    pub outputs: Vec<SlotId>,
    /// Bytes of each temporary buffer, a multiple of 4.
    pub temps: Vec<usize>,
    /// How many leaves a run needs.
    pub n_leaves: usize,
    /// How many 32-bit scalars a run needs.
    pub n_scalars: usize,
}
