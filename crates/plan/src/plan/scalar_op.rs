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
    /// Which function it is, for those that executors do something of their own about.
    pub function: Function,
    /// The most rounds that loops in its WGSL take for one element of these operands, all together.
    pub rounds: fn(operand: Class) -> u64,
}

/// The element-wise functions that an executor may have to know: to compute two in one loop, or to keep a compiler from
/// folding them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `a + b`.
    Add,
    /// `a · b`.
    Mul,
    /// `a / b`.
    Div,
    /// `−a`.
    Neg,
    /// `1 / a`.
    Recip,
    /// `√a`.
    Sqrt,
    /// `exp(a)`.
    Exp,
    /// `erf(a)`.
    Erf,
    /// `1 − erf(a)`.
    Erfc,
    /// The derivative of `a Φ(a)`.
    GeluSlope,
    /// `max(a, 0)`.
    Relu,
    /// The greater of two.
    Max,
    /// The smaller of two.
    Min,
    /// `a ≤ b`.
    AtMost,
    /// `a < b`.
    Less,
    /// `a > b`.
    Greater,
    /// `a ≥ b`.
    AtLeast,
    /// `a = b`.
    Equal,
    /// `a ≠ b`.
    NotEqual,
    /// Whether `a` does not hold.
    Not,
    /// `b` where `a` holds, else `c`.
    Where,
    /// A number as f32.
    ToF32,
    /// A number rounded to f16.
    ToF16,
    /// A number rounded to bf16.
    ToBf16,
    /// Any other.
    Other,
}

impl ScalarOp {
    /// What holds of most: nobody has to know which it is, and it has no loop. It computes nothing.
    pub const PLAIN: ScalarOp = ScalarOp {
        name: "",
        wgsl: |_, _, _| String::new(),
        cpu: |_, _| None,
        cost: 1,
        function: Function::Other,
        rounds: |_| 0,
    };

    /// Whether an element takes so many that no kernel may compute many elements in one invocation.
    pub fn is_long(&self) -> bool {
        (self.rounds)(Class::F32) > 64
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
