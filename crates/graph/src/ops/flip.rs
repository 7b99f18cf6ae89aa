//! The elements of some dimensions in reverse order. Derivative: the upstream gradient, flipped back.

use super::{Derivative, Derive, Lowered, Operand, Primitive, Movement};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flip {
    /// Sorted dimensions.
    pub dims: Vec<usize>,
    /// The sizes of the operand, which the view needs.
    pub shape: Vec<usize>,
}

impl Primitive for Flip {
    const NAME: &'static str = "flip";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        if self.shape != x[0].shape || self.dims.iter().any(|&d| d >= x[0].shape.len()) {
            return Err(format!("cannot flip dimensions {:?} of {:?}", self.dims, x[0].shape));
        }
        Ok(x[0].shape.to_vec())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let _ = cx;
        Derivative::Of(vec![Some(upstream.flip_to(&self.dims))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        x[0].flip_to(&self.dims.iter().map(|d| d + 1).collect::<Vec<_>>())
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut from = vec![0; shape.len()];
        Array::from_index(shape, dtype, |i| {
            for d in 0..shape.len() {
                from[d] = if self.dims.contains(&d) { shape[d] - 1 - i[d] } else { i[d] };
            }
            x[0].at(&from)
        })
    }

    fn lower(&self) -> Lowered {
        let flipped = |d: usize| self.dims.contains(&d);
        Lowered::View(Movement::Slice {
            start: (0..self.shape.len()).map(|d| if flipped(d) { self.shape[d].max(1) - 1 } else { 0 }).collect(),
            step: (0..self.shape.len()).map(|d| if flipped(d) { -1 } else { 1 }).collect(),
            size: self.shape.clone(),
        })
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        [(vec![5], vec![0]), (vec![2, 3, 4], vec![0, 2]), (vec![1, 4], vec![0]), (vec![0, 3], vec![0, 1])]
            .into_iter()
            .map(|(shape, dims)| {
                Sample::new(Flip { dims, shape: shape.clone() }, vec![SampleInput::f32(&shape, -1.0, 1.0)])
            })
            .collect()
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
