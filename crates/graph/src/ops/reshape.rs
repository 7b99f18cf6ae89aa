//! The same elements in row-major order with new sizes.
//! Derivative: the upstream gradient, reshaped back.

use super::{Derivative, Derive, Lowered, Operand, Primitive, Movement};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape {
    /// Sizes of the result; their product is the operand's.
    pub shape: Vec<usize>,
}

impl Primitive for Reshape {
    const NAME: &'static str = "reshape";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let (have, want) = (crate::shape::numel(x[0].shape), self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)));
        if want != Some(have) {
            return Err(format!("{have} elements do not fill shape {:?}", self.shape));
        }
        Ok(self.shape.clone())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream.reshape_to(cx.inputs[0].shape()))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let mut shape = vec![x[0].shape()[0]];
        shape.extend(&self.shape);
        Tensor::record(Reshape { shape }, &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        Array { shape: shape.to_vec(), dtype, data: x[0].data.clone() }
    }

    fn lower(&self) -> Lowered {
        Lowered::View(Movement::Reshape(self.shape.clone()))
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        [(vec![6], vec![2, 3]), (vec![2, 3, 4], vec![6, 4]), (vec![2, 6], vec![3, 4]), (vec![1], vec![]), (vec![0, 2], vec![5, 0])]
            .into_iter()
            .map(|(from, to)| Sample::new(Reshape { shape: to }, vec![SampleInput::f32(&from, -1.0, 1.0)]))
            .collect()
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
