//! What composes several operations computes f16 and bf16 operands in f32 and rounds once. [`in_f32!`](crate::in_f32) stands
//! first in such a function: if an operand is of these, the function is called again with its operands in f32, and its
//! results are rounded. Gradients pass through the same casts, so they are computed in f32 too. Computes nothing else.

use crate::dtype::DType;
use crate::tensor::Tensor;

/// Returns from the function with its own value for operands in f32, rounded to the dtype that the operands meet in,
/// if one of them is f16 or bf16. Operands are `&Tensor` or `Option<&Tensor>`; an optional one is bound as `Option<Tensor>`.
///
/// ```
/// use wgrad_graph::{Device, Tensor, f16, in_f32};
/// fn energy(x: &Tensor) -> Tensor {
///     in_f32!([x] => |x| energy(x));
///     x * x / 1000.0
/// }
/// // The square of 300 is beyond the greatest f16, the energy is not.
/// let x = Tensor::new(&[f16::from_f32(300.0)], &Device::cpu());
/// assert_eq!(energy(&x).to_vec::<f16>()?, [f16::from_f32(90.0)]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[macro_export]
macro_rules! in_f32 {
    ([$($operand:expr),+ $(,)?] => |$($wide:ident),+ $(,)?| $call:expr) => {
        if let Some(once) = $crate::once::Once::of(&[$($crate::once::Wide::half(&$operand)),+]) {
            $(let $wide = &$crate::once::Wide::widened(&$operand);)+
            return once.round($call);
        }
    };
}

/// What an operand is to the choice whether to compute in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Of two bytes: f16 or bf16.
    Half(DType),
    /// f32.
    Single,
    /// No float, or absent.
    Other,
    /// Invalid: the function itself says so.
    Invalid,
}

/// An operand of a function that computes in f32.
pub trait Wide {
    /// The operand in f32.
    type Widened;

    /// What it is.
    fn half(&self) -> Operand;

    /// The operand in f32, if it is f16 or bf16; else as it is.
    fn widened(&self) -> Self::Widened;
}

impl Wide for &Tensor {
    type Widened = Tensor;

    fn half(&self) -> Operand {
        match self.dtype() {
            _ if self.check().is_err() => Operand::Invalid,
            half @ (DType::F16 | DType::BF16) => Operand::Half(half),
            DType::F32 => Operand::Single,
            DType::Bool | DType::U8 | DType::I32 | DType::U32 => Operand::Other,
        }
    }

    #[track_caller]
    fn widened(&self) -> Tensor {
        match self.dtype() {
            dtype if dtype.is_half() => self.cast(DType::F32),
            _ => Tensor::clone(self),
        }
    }
}

impl Wide for Option<&Tensor> {
    type Widened = Option<Tensor>;

    fn half(&self) -> Operand {
        self.as_ref().map_or(Operand::Other, Wide::half)
    }

    #[track_caller]
    fn widened(&self) -> Option<Tensor> {
        #[allow(clippy::manual_map, reason = "a closure has no caller")]
        match self {
            Some(t) => Some(t.widened()),
            None => None,
        }
    }
}

/// The dtype that results are rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once(DType);

impl Once {
    /// The dtype that floats among the operands meet in, if one of them is f16 or bf16 and none is invalid.
    pub fn of(operands: &[Operand]) -> Option<Once> {
        let mut meet: Option<DType> = None;
        let mut halves = false;
        for operand in operands {
            let dtype = match operand {
                Operand::Invalid => return None,
                Operand::Other => continue,
                Operand::Single => DType::F32,
                Operand::Half(dtype) => *dtype,
            };
            halves |= dtype.is_half();
            meet = match meet {
                // f16 and bf16 meet in f32.
                Some(other) if other != dtype => Some(DType::F32),
                _ => Some(dtype),
            };
        }
        meet.filter(|_| halves).map(Once)
    }

    /// Results that are f32, rounded.
    #[track_caller]
    pub fn round<R: Rounded>(self, results: R) -> R {
        results.rounded(self.0)
    }
}

/// One result or several.
pub trait Rounded {
    /// Those that are f32, in `dtype`.
    fn rounded(self, dtype: DType) -> Self;
}

impl Rounded for Tensor {
    #[track_caller]
    fn rounded(self, dtype: DType) -> Tensor {
        match self.dtype() {
            DType::F32 if self.check().is_ok() => self.cast(dtype),
            _ => self,
        }
    }
}

impl Rounded for Vec<Tensor> {
    #[track_caller]
    fn rounded(mut self, dtype: DType) -> Vec<Tensor> {
        for t in &mut self {
            *t = t.clone().rounded(dtype);
        }
        self
    }
}

macro_rules! several {
    ($($part:ident)+) => {
        impl<$($part: Rounded),+> Rounded for ($($part,)+) {
            #[track_caller]
            fn rounded(self, dtype: DType) -> Self {
                #[allow(non_snake_case, reason = "one name for a type and its value")]
                let ($($part,)+) = self;
                ($($part.rounded(dtype),)+)
            }
        }
    };
}

several! { A B }
several! { A B C }
