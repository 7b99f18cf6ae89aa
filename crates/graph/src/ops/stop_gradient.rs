//! The operand, through which no gradient flows (JAX's `stop_gradient`, PyTorch's `detach` within a graph).
//! Derivative: zero, by definition.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StopGradient;

impl Primitive for StopGradient {
    const NAME: &'static str = "stop_gradient";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        Ok(x[0].shape.to_vec())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(self.clone(), &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        Array { shape: shape.to_vec(), dtype, data: x[0].data.clone() }
    }

    fn lower(&self) -> Lowered {
        Lowered::Identity
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![Sample::special(StopGradient, vec![SampleInput::f32(&[3, 2], -1.0, 1.0)])]
    }
}
