//! Dimensions of size 1 repeated; the rank stays. Derivative: the sum over the repeated dimensions.

use super::{Derivative, Derive, Lowered, Operand, Primitive, Movement};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expand {
    /// Sizes of the result.
    pub shape: Vec<usize>,
}

impl Primitive for Expand {
    const NAME: &'static str = "expand";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let from = x[0].shape;
        let fits = from.len() == self.shape.len() && from.iter().zip(&self.shape).all(|(&a, &b)| a == b || a == 1);
        if !fits {
            return Err(format!("{from:?} does not expand to {:?}", self.shape));
        }
        Ok(self.shape.clone())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let from = cx.inputs[0].shape();
        let dims: Vec<isize> = (0..from.len()).filter(|&d| from[d] != self.shape[d]).map(|d| d as isize).collect();
        Derivative::Of(vec![Some(upstream.sum_dims(&dims, true))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let mut shape = vec![x[0].shape()[0]];
        shape.extend(&self.shape);
        Tensor::record(Expand { shape }, &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut from = vec![0; shape.len()];
        Array::from_index(shape, dtype, |i| {
            for d in 0..shape.len() {
                from[d] = if x[0].shape[d] == 1 { 0 } else { i[d] };
            }
            x[0].at(&from)
        })
    }

    fn lower(&self) -> Lowered {
        Lowered::View(Movement::Expand(self.shape.clone()))
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        [(vec![1, 3], vec![4, 3]), (vec![2, 1, 3], vec![2, 5, 3]), (vec![1, 1], vec![3, 2]), (vec![1], vec![0])]
            .into_iter()
            .map(|(from, to)| Sample::new(Expand { shape: to }, vec![SampleInput::f32(&from, -1.0, 1.0)]))
            .collect()
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
