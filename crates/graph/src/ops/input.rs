//! A leaf whose value is in a buffer: data, parameters, results of earlier runs.
//! Derivative: none to pass on; it is where differentiation ends.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::Sample;
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module. Recorded only by `Tensor::from_value`, which knows shape and dtype.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input;

impl Primitive for Input {
    const NAME: &'static str = "input";

    fn shape(&self, _: &[Operand]) -> Result<Vec<usize>, String> {
        Err("has no shape rule".into())
    }

    fn dtype(&self, _: &[Operand]) -> Result<DType, String> {
        Err("has no dtype rule".into())
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(Vec::new())
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        // Without operands there is nothing to batch.
        x[0].clone()
    }

    fn reference(&self, _: &[&Array], shape: &[usize], dtype: DType) -> Array {
        // The evaluator reads the buffer instead.
        Array::full(shape, dtype, f64::NAN)
    }

    fn lower(&self) -> Lowered {
        Lowered::Input
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        Vec::new()
    }
}
