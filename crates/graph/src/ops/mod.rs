//! The primitive operations, one file each, and the one table that lists them. A file holds everything that is
//! known about its primitive: formula, shape rule, dtype rule, derivative, reference evaluation, what it lowers to,
//! and samples for tests. No other module matches on all operations.

use crate::autodiff::Request;
use crate::dtype::DType;
use crate::plan::{AttentionResult, ConvKind, ReduceKind, ScalarOp, ScanKind, WindowKind};
use crate::reference::Array;
use crate::tensor::Tensor;
use std::fmt::Debug;
use std::hash::Hash;

/// Shape and dtype of an operand, as the rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Sizes.
    pub shape: &'a [usize],
    /// Element type.
    pub dtype: DType,
}

/// What a derivative rule is given.
pub struct Derive<'a> {
    /// The operands of the node.
    pub inputs: &'a [Tensor],
    /// The node itself: its value may be used in the rule.
    pub output: &'a Tensor,
    /// The operands as they were recorded, by which a request knows them.
    pub(crate) operands: &'a [Tensor],
    /// What is differentiated with respect to what.
    pub(crate) request: &'a Request,
}

impl Derive<'_> {
    /// Whether a gradient has to flow on through an operand; what a rule gives for others is dropped.
    ///
    /// ```
    /// # use wgrad_graph::ops::Derive;
    /// fn rule(cx: &Derive) -> usize {
    ///     (0..cx.inputs.len()).filter(|&i| cx.wants(i)).count()
    /// }
    /// ```
    pub fn wants(&self, operand: usize) -> bool {
        self.operands
            .get(operand)
            .is_some_and(|t| self.request.reaches(t))
    }
}

/// The derivative of a node with respect to its operands, contracted with the upstream gradient.
pub enum Derivative {
    /// One gradient for each operand, of the operand's shape and dtype. `None`: zero, or an operand through which
    /// no derivative can flow (an index, a condition).
    Of(Vec<Option<Tensor>>),
    /// A derivative does not exist; asking for it is an error that names the op.
    NotDifferentiable,
}

/// A strided rearrangement of elements that moves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Movement {
    /// Same elements in the same order, new sizes.
    Reshape(Vec<usize>),
    /// Dimension `d` of the result is dimension `perm[d]` of the operand.
    Permute(Vec<usize>),
    /// Dimensions of size 1 stretched to these sizes; the rank stays.
    Expand(Vec<usize>),
    /// Element `i` of dimension `d` is element `start + i * step` of the operand, `step` may be negative; sizes.
    Slice {
        /// First element of each dimension.
        start: Vec<usize>,
        /// Step of each dimension, not zero.
        step: Vec<isize>,
        /// Sizes of the result.
        size: Vec<usize>,
    },
}

/// Where an operand goes in the output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// First element of each dimension of the output.
    pub start: Vec<usize>,
    /// Step of each dimension, at least 1.
    pub step: Vec<usize>,
}

/// What a primitive lowers to: an entry of the planner's own short list, not a kernel yet.
pub enum Lowered {
    /// A leaf whose value is in a buffer.
    Input,
    /// A rank-0 constant: the literal, if it is 0, 1 or −1, else a run-time scalar.
    Constant {
        /// The value where it is part of the plan.
        literal: Option<i32>,
        /// 32-bit pattern: f32 for floats.
        bits: u32,
    },
    /// The linear index, as i32.
    Iota,
    /// Philox words at the linear index; the scalars of [`Inst::Random`](crate::plan::Inst::Random).
    Random {
        /// `seed_lo, seed_hi, step_lo, step_hi, ordinal`.
        scalars: [u32; 5],
    },
    /// One element from one element of each operand, all of the same shape.
    Elementwise(&'static ScalarOp),
    /// A view.
    View(Movement),
    /// Operand 0 passed on as it is.
    Identity,
    /// Operand 0 passed on, but what is computed from it counts as different from what is computed from the operand
    /// itself, so that it is computed again.
    Barrier,
    /// `x, index`: elements of `x` picked along `dim`.
    Gather {
        /// The indexed dimension.
        dim: usize,
    },
    /// The operands written into regions of the output; if `fill`, the output is zeroed first.
    Regions {
        /// Zero what no region covers.
        fill: bool,
        /// One for each operand.
        regions: Vec<Region>,
    },
    /// Reduction over sorted dimensions, which are dropped.
    Reduce {
        /// How.
        kind: ReduceKind,
        /// Which dimensions.
        dims: Vec<usize>,
    },
    /// Operands `[…, m, k]` and `[…, k, n]` with equal leading dimensions.
    Matmul,
    /// Convolution or one of its gradients.
    Conv {
        /// Which product.
        kind: ConvKind,
        /// Strides, paddings, dilations, groups.
        geometry: conv::Geometry,
    },
    /// Window sum or argmax over the last dimensions.
    Window {
        /// Which.
        kind: WindowKind,
        /// Window sizes, strides, paddings, dilations.
        frame: window_sum::Frame,
    },
    /// `src, index` scattered along `dim`.
    ScatterAdd {
        /// The indexed dimension.
        dim: usize,
    },
    /// Inclusive scan along `dim`; of factors and terms, if it is linear.
    Scan {
        /// How.
        kind: ScanKind,
        /// Along which dimension.
        dim: usize,
        /// From the end.
        reverse: bool,
    },
    /// Stable argsort along the last dimension.
    ArgSort {
        /// Greatest first.
        descending: bool,
    },
    /// A result of an attention or its gradient.
    Attention {
        /// Which.
        result: AttentionResult,
        /// How queries and keys become scores.
        scores: attention_scores::Scores,
    },
    /// A kernel of the user's own.
    Custom(crate::plan::CustomKernel),
    /// A loop over a graph of its own. Its results are picked.
    Loop,
    /// A result of a loop.
    Pick(loop_::Output),
}

/// Values a sample fills an operand with.
#[derive(Clone, Debug)]
pub enum Fill {
    /// Uniform in the range.
    Uniform(f64, f64),
    /// Integers in `lo..hi`.
    Integers(i64, i64),
    /// These, repeated.
    Values(Vec<f64>),
    /// Distinct values in random order, for ops whose ties are not differentiable.
    Distinct,
    /// A random permutation of `0..n` along the last dimension's length, repeated.
    Indices(usize),
}

/// One operand of a sample.
#[derive(Clone, Debug)]
pub struct SampleInput {
    /// Sizes.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// Contents.
    pub fill: Fill,
}

impl SampleInput {
    /// An f32 operand with uniform contents.
    pub fn f32(shape: &[usize], lo: f64, hi: f64) -> SampleInput {
        SampleInput {
            shape: shape.to_vec(),
            dtype: DType::F32,
            fill: Fill::Uniform(lo, hi),
        }
    }

    /// An operand of integers in `lo..hi`.
    pub fn ints(shape: &[usize], dtype: DType, lo: i64, hi: i64) -> SampleInput {
        SampleInput {
            shape: shape.to_vec(),
            dtype,
            fill: Fill::Integers(lo, hi),
        }
    }

    /// An operand with these values, repeated.
    pub fn values(shape: &[usize], dtype: DType, values: &[f64]) -> SampleInput {
        SampleInput {
            shape: shape.to_vec(),
            dtype,
            fill: Fill::Values(values.to_vec()),
        }
    }

    /// An f32 operand of distinct values, a step of 1/8 apart.
    pub fn distinct(shape: &[usize]) -> SampleInput {
        SampleInput {
            shape: shape.to_vec(),
            dtype: DType::F32,
            fill: Fill::Distinct,
        }
    }
}

/// One test case of a primitive: the primitive with attributes, and its operands.
#[derive(Clone, Debug)]
pub struct Sample<P> {
    /// The primitive.
    pub op: P,
    /// What it is applied to.
    pub inputs: Vec<SampleInput>,
    /// Whether finite differences make sense here (no kinks, no special values).
    pub smooth: bool,
}

impl<P> Sample<P> {
    /// A sample that is also checked by finite differences.
    pub fn new(op: P, inputs: Vec<SampleInput>) -> Sample<P> {
        Sample {
            op,
            inputs,
            smooth: true,
        }
    }

    /// A sample with special values: compared with the reference only.
    pub fn special(op: P, inputs: Vec<SampleInput>) -> Sample<P> {
        Sample {
            op,
            inputs,
            smooth: false,
        }
    }
}

/// How far an executor may be from the reference: `|got − want| ≤ atol + rtol · |want|`, in f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Relative part.
    pub rtol: f64,
    /// Absolute part.
    pub atol: f64,
}

/// What every primitive says of itself.
pub trait Primitive: Clone + Debug + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// Name, as in PyTorch where it has one.
    const NAME: &'static str;

    /// The name in errors, where attributes tell it.
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// The shape of the result, or what is wrong with the operands' shapes.
    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String>;

    /// The dtype of the result, or what is wrong with the operands' dtypes.
    fn dtype(&self, x: &[Operand]) -> Result<DType, String>;

    /// Gradients of the operands, given that of the result.
    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative;

    /// The op applied to each of a batch at once: every operand and the result has a leading dimension more.
    fn batch(&self, x: &[Tensor]) -> Tensor;

    /// The result in f64, element by element, as plainly as it can be said. `shape` and `dtype` are the result's;
    /// the caller rounds to `dtype` where that is asked for.
    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array;

    /// What the planner makes of it.
    fn lower(&self) -> Lowered;

    /// A cheaper node of the same value: the operand with the returned position. `constant(i)` is the value of
    /// operand `i` if it is a constant spread over its shape.
    fn simplify(&self, _constant: &dyn Fn(usize) -> Option<f64>) -> Option<usize> {
        None
    }

    /// Test cases: plain, permuted, size 1, empty, one more than a tile, special values.
    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>>;

    /// How far an executor may be from the reference in f32.
    fn tolerance() -> Tolerance {
        Tolerance {
            rtol: 1e-5,
            atol: 1e-6,
        }
    }
}

pub mod attention_scores;
mod elementwise;
pub(crate) use elementwise::{Elementwise, elementwise};

/// Lists the primitives and generates [`Op`], its dispatch and the list of samples.
macro_rules! primitives {
    ($($file:ident :: $name:ident),* $(,)?) => {
        $(pub mod $file;)*

        /// A primitive with its attributes.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each variant is documented in its file")]
        pub enum Op {
            $($name($file::$name),)*
        }

        $(impl From<$file::$name> for Op {
            fn from(op: $file::$name) -> Op {
                Op::$name(op)
            }
        })*

        impl Op {
            /// Names of all primitives.
            pub const NAMES: &'static [&'static str] = &[$($file::$name::NAME),*];

            /// The primitive's name.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name(op) => Primitive::name(op),)* }
            }

            pub(crate) fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
                match self { $(Op::$name(op) => Primitive::shape(op, x),)* }
            }

            pub(crate) fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
                match self { $(Op::$name(op) => Primitive::dtype(op, x),)* }
            }

            pub(crate) fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
                match self { $(Op::$name(op) => Primitive::derivative(op, cx, upstream),)* }
            }

            /// Whether the derivative of f16 and bf16 operands is that of the operation in f32, rounded: where the rule computes
            /// more than one step. Movements pass gradients on; what users wrote is called as they wrote it.
            pub(crate) fn derives_in_f32(&self) -> bool {
                match self {
                    Op::Cast(_) | Op::Checkpoint(_) | Op::Custom(_) | Op::Host(_) => false,
                    Op::Max(_) | Op::Min(_) | Op::Where(_) | Op::Add(_) | Op::Neg(_) | Op::Relu(_) | Op::ReduceSum(_) => false,
                    op => matches!(
                        op.lower(),
                        Lowered::Elementwise(_)
                            | Lowered::Reduce { .. }
                            | Lowered::Matmul
                            | Lowered::Conv { .. }
                            | Lowered::Window { .. }
                            | Lowered::Scan { .. }
                            | Lowered::Attention { .. }
                    ),
                }
            }

            /// The loop, if it is one.
            pub(crate) fn as_loop(&self) -> Option<&loop_::Loop> {
                match self {
                    Op::Loop(l) => Some(l),
                    _ => None,
                }
            }

            pub(crate) fn batch(&self, x: &[Tensor]) -> Tensor {
                match self { $(Op::$name(op) => Primitive::batch(op, x),)* }
            }

            pub(crate) fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
                match self { $(Op::$name(op) => Primitive::reference(op, x, shape, dtype),)* }
            }

            pub(crate) fn lower(&self) -> Lowered {
                match self { $(Op::$name(op) => Primitive::lower(op),)* }
            }

            pub(crate) fn simplify(&self, constant: &dyn Fn(usize) -> Option<f64>) -> Option<usize> {
                match self { $(Op::$name(op) => Primitive::simplify(op, constant),)* }
            }

            /// How far an executor may be from the reference.
            pub fn tolerance(&self) -> Tolerance {
                match self { $(Op::$name(_) => <$file::$name as Primitive>::tolerance(),)* }
            }

            /// Every sample of every primitive (feature `samples`).
            #[cfg(any(test, feature = "samples"))]
            pub fn samples() -> Vec<Sample<Op>> {
                let mut all = Vec::new();
                $(all.extend(<$file::$name as Primitive>::samples().into_iter().map(|s| Sample {
                    op: Op::$name(s.op), inputs: s.inputs, smooth: s.smooth,
                }));)*
                all
            }
        }
    };
}

primitives! {
    input::Input, constant::Constant, iota::Iota, random::Random,
    neg::Neg, abs::Abs, sign::Sign, relu::Relu, exp::Exp, expm1::Expm1, log::Log, log1p::Log1p, sin::Sin, cos::Cos, atan::Atan,
    tanh::Tanh, erf::Erf, sigmoid::Sigmoid, settle::Settle, gelu::Gelu, gelu_slope::GeluSlope, log2::Log2, asinh::Asinh, erfc::Erfc, erfinv::Erfinv, lgamma::Lgamma, digamma::Digamma, polygamma::Polygamma, sqrt::Sqrt, recip::Recip, floor::Floor, round::Round, trunc::Trunc, is_nan::IsNan,
    cast::Cast, not::Not,
    add::Add, mul::Mul, div::Div, max::Max, min::Min, pow::Pow, fmod::Fmod, atan2::Atan2, compare::Compare,
    shift_right::ShiftRight, bitwise::Bitwise, where_::Where,
    reduce_sum::ReduceSum, reduce_max::ReduceMax, argmax::ArgMax, scan::Scan, linear_scan::LinearScan, loop_::Loop, pick::Pick,
    reshape::Reshape, permute::Permute, expand::Expand, slice::Slice, flip::Flip, pad::Pad, concat::Concat,
    matmul::Matmul, conv::Conv, conv_input_grad::ConvInputGrad, conv_weight_grad::ConvWeightGrad,
    attention::Attention, attention_normalizer::AttentionNormalizer, attention_grad::AttentionGrad,
    window_sum::WindowSum, window_argmax::WindowArgMax,
    gather::Gather, scatter_add::ScatterAdd, argsort::ArgSort,
    stop_gradient::StopGradient, checkpoint::Checkpoint, barrier::Barrier, host::Host, custom::Custom,
}
