//! What an element-wise primitive computes for one element, said twice side by side: as a WGSL expression and
//! as a Rust function over blocks of lanes.

use crate::dtype::Class;
use std::hash::{Hash, Hasher};

/// The result and the operands of a block function: equally long slices of 32-bit lanes, but that one operand of two,
/// and the second and third of three, may be a single lane that stands for all.
/// Floats are bit patterns; truth values are 0 or 1.
pub type BlockFn = fn(out: &mut [u32], args: &[&[u32]]);

/// An element-wise operation as the executors see it. Compared by name.
#[derive(Debug)]
pub struct ScalarOp {
    /// Unique name, the primitive's.
    pub name: &'static str,
    /// The WGSL expression for operands given as WGSL expressions of the operand class (`f32`, `i32`, `u32`
    /// or `bool`). `w_*` functions of the math prelude may be called.
    pub wgsl: fn(args: &[&str], operand: Class, result: Class) -> String,
    /// The block function for operands of this class; `None` where the dtype rule forbids the class.
    pub cpu: fn(operand: Class, result: Class) -> Option<BlockFn>,
    /// Arithmetic cost, roughly in multiplications; the planner repeats cheap work rather than store it.
    pub cost: u32,
}

impl ScalarOp {
    /// The most rounds that loops in its WGSL take for one element of these operands, all together.
    pub(crate) fn rounds(&self, operand: Class) -> u64 {
        match self.name {
            // Eight bits of a quotient of up to 254, and one bit of an exponent.
            "fmod" if operand == Class::F32 => 32,
            "pow" if operand != Class::F32 => 32,
            "lgamma" => 6,
            "digamma" => 4,
            // Three sums of up to 115 terms, each with 14 rounds for eight factors of up to 104.
            "polygamma" => 3 * (115 * 15 + 15),
            _ => 0,
        }
    }

    /// Whether an element takes so many that no kernel may compute many elements in one invocation.
    pub(crate) fn is_long(&self) -> bool {
        self.rounds(Class::F32) > 64
    }
}

impl PartialEq for ScalarOp {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ScalarOp {}

impl Hash for ScalarOp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
