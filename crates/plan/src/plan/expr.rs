//! The element-wise programs that Map, Reduce and Rows kernels run at each point of a loop nest. Plain data:
//! both executors read it, neither is known here.

use crate::dtype::DType;
use crate::plan::scalar_op::ScalarOp;

/// A register of an [`Expr`]: the index of the instruction that defines it.
pub type Reg = usize;

/// A strided walk: the element at loop index `i` is `offset + Σ strides[d] * i[d]`.
/// Strides may be zero (broadcast) or negative (flip). Every point of the loop is in bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Offset of the first point, in elements.
    pub offset: i64,
    /// One stride for each loop dimension, outermost first, in elements.
    pub strides: Vec<i64>,
}

impl View {
    /// The row-major walk over `shape`. Of nothing all strides are zero: other sizes may be absurd then.
    pub fn contiguous(shape: &[usize]) -> View {
        let mut strides = vec![0; shape.len()];
        if shape.contains(&0) {
            return View { offset: 0, strides };
        }
        let mut step = 1;
        for d in (0..shape.len()).rev() {
            strides[d] = step;
            step *= shape[d] as i64;
        }
        View { offset: 0, strides }
    }

    /// Whether the walk over `shape` visits elements 0, 1, 2, … in order.
    /// Dimensions of size 1 may have any stride.
    pub fn is_contiguous(&self, shape: &[usize]) -> bool {
        if shape.contains(&0) {
            return self.offset == 0;
        }
        let mut step = 1;
        for d in (0..shape.len()).rev() {
            if shape[d] != 1 && self.strides[d] != step {
                return false;
            }
            step *= shape[d] as i64;
        }
        self.offset == 0
    }

    /// Whether every point reads the same element.
    pub fn is_scalar(&self) -> bool {
        self.strides.iter().all(|&s| s == 0)
    }
}

/// One instruction; its result is the register with its index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// Reads kernel input `input` (its dtype is in [`Expr::inputs`]) at `view`.
    Load {
        /// Which kernel input.
        input: usize,
        /// Where, for each loop index.
        view: View,
    },
    /// Reads input `input` at `view + stride * r`, where `r` is the value of register `index` (class I32).
    /// `r` outside `0..size` yields NaN for floats and 0 for others, and sets the status word.
    Gather {
        /// Which kernel input.
        input: usize,
        /// Where, before the index is added.
        view: View,
        /// The register that holds the index.
        index: Reg,
        /// The number of valid indices.
        size: usize,
        /// Elements between neighbouring indices.
        stride: i64,
        /// What is written to the status word, if that is still 0; 0 where nothing is.
        check: u32,
    },
    /// The value of `view` itself, as i32 (class I32).
    Index {
        /// The walk whose offsets are the values.
        view: View,
    },
    /// A random word (class U32): word `w = view(i)` of the stream whose five run-time scalars
    /// `seed_lo, seed_hi, step_lo, step_hi, ordinal` start at `scalar`: lane `w % 4` of Philox 4x32-10
    /// with counter `[w / 4, ordinal, step_lo, step_hi]` and key `[seed_lo, seed_hi]`.
    Random {
        /// The walk whose offsets number the words.
        view: View,
        /// The first of the five scalars.
        scalar: usize,
    },
    /// The value of an earlier stage of a Rows kernel in the same row: at the same point, if the stage has a value
    /// for each.
    Stage {
        /// Which stage.
        stage: usize,
        /// The dtype of its value.
        dtype: DType,
    },
    /// The run-time scalar with this index, as `dtype`.
    Scalar {
        /// Index into the scalars given at each run, 32-bit words.
        scalar: usize,
        /// How the word is read.
        dtype: DType,
    },
    /// A value that is part of the program: only 0, 1 and −1.
    Literal {
        /// The value.
        value: i32,
        /// As what.
        dtype: DType,
    },
    /// An element-wise operation. `input` is the dtype of its first value operand, `dtype` that of the result.
    Apply {
        /// What to compute.
        op: &'static ScalarOp,
        /// Operands.
        args: Vec<Reg>,
        /// The dtype of the operands (of the last one, where they differ).
        input: DType,
        /// The dtype of the result.
        dtype: DType,
    },
}

/// A straight-line program; the last register is its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expr {
    /// The dtypes of the kernel's input buffers.
    pub inputs: Vec<DType>,
    /// Instructions; operands come before their users.
    pub insts: Vec<Inst>,
}

impl Expr {
    /// The dtype of register `reg`.
    pub fn dtype(&self, reg: Reg) -> DType {
        match &self.insts[reg] {
            Inst::Load { input, .. } | Inst::Gather { input, .. } => self.inputs[*input],
            Inst::Index { .. } => DType::I32,
            Inst::Random { .. } => DType::U32,
            Inst::Stage { dtype, .. }
            | Inst::Scalar { dtype, .. }
            | Inst::Literal { dtype, .. }
            | Inst::Apply { dtype, .. } => *dtype,
        }
    }

    /// What the first of its checking instructions writes to the status word; 0 where none does.
    pub fn check(&self) -> u32 {
        let checks = self.insts.iter().map(|inst| match inst {
            Inst::Gather { check, .. } => *check,
            _ => 0,
        });
        checks.into_iter().find(|&check| check != 0).unwrap_or(0)
    }

    /// The register that holds the result.
    pub fn result(&self) -> Reg {
        self.insts.len() - 1
    }
}
