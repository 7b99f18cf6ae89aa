//! A plan: the list of kernel calls that computes some tensors, as plain data. Made by `passes`, run by an
//! executor. Knows no device, no buffer and no graph.

mod custom;
pub mod expr;
mod in_place;
pub mod kernel;
mod looped;
pub mod scalar_op;

pub use custom::{Custom, CustomCpu, CustomKernel};
pub use expr::{Expr, Inst, Reg, View};
pub use in_place::{Held, InPlace};
pub use kernel::*;
pub use looped::{Loop, LoopWrite};
pub use scalar_op::{BlockFn, Function, ScalarOp};

use crate::dtype::DType;
use std::panic::Location;

/// Index into [`Plan::slots`].
pub type SlotId = usize;

/// Where the contents of a slot live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The buffer of this leaf, given at each run; never written.
    Leaf(usize),
    /// The buffer of this output: fresh at each run, or that of a leaf of [`Plan::in_place`].
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
    /// The number of that node in the graph as collected.
    pub node: usize,
}

/// One kernel call.
#[derive(Clone, Debug)]
pub struct Step {
    /// What runs.
    pub kernel: Kernel,
    /// Input slots, in the order the family defines. No output is among them, but an input may be what an output's
    /// buffer holds before: see [`Plan::held`].
    pub inputs: Vec<SlotId>,
    /// The slot written. Several steps may write regions of one slot (strided Map stores), the first of them all
    /// of it.
    pub output: SlotId,
    /// Further slots written, by a Rows kernel, an attention or a loop.
    pub more_outputs: Vec<SlotId>,
    /// What follows a product of two operands, point by point of its result: the program's input 0 is the product's
    /// value, its others are the step's inputs from the third on, and its result is stored instead.
    pub then: Option<Map>,
    /// Non-zero for a step that checks indices: what it writes to the status word (if that is still 0) when it
    /// meets one out of range. Where it is an [`Inst::Gather`] that does, it writes its own.
    pub check: u32,
    /// For messages and profiles.
    pub origin: Origin,
}

impl Step {
    /// Every slot written.
    #[inline]
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
    /// Outputs that take the place of a leaf, in order: the run is given the leaf's buffer as the output's. The slot of the
    /// leaf lies there too, and nobody reads it once the output is written.
    pub in_place: Vec<InPlace>,
}

impl Plan {
    /// All that its steps may write to the status word.
    pub fn checks(&self) -> Vec<u32> {
        let of_expr = |expr: &Expr| {
            let checks = expr.insts.iter().map(|inst| match inst {
                Inst::Gather { check, .. } => *check,
                _ => 0,
            });
            checks.collect::<Vec<u32>>()
        };
        let of_step = |step: &Step| match &step.kernel {
            Kernel::Map(map) => of_expr(&map.expr),
            Kernel::Reduce(reduce) => of_expr(&reduce.expr),
            Kernel::Rows(rows) => rows.stages.iter().flat_map(|s| of_expr(&s.expr)).collect(),
            Kernel::Loop(l) => l.body.checks(),
            _ => vec![step.check],
        };
        let mut checks: Vec<u32> = self.steps.iter().flat_map(of_step).collect();
        checks.retain(|&check| check != 0);
        checks
    }
}
