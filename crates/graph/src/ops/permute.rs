//! Dimensions in another order: dimension `d` of the result is dimension `perm[d]` of the operand.
//! Derivative: the upstream gradient, permuted back.

use super::{Derivative, Derive, Lowered, Operand, Primitive, Movement};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permute {
    /// A permutation of the dimensions.
    pub perm: Vec<usize>,
}

impl Primitive for Permute {
    const NAME: &'static str = "permute";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let mut sorted = self.perm.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x[0].shape.len()) {
            return Err(format!("{:?} is no permutation of {} dimensions", self.perm, x[0].shape.len()));
        }
        Ok(self.perm.iter().map(|&d| x[0].shape[d]).collect())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let _ = cx;
        let mut inverse = vec![0; self.perm.len()];
        for (to, &from) in self.perm.iter().enumerate() {
            inverse[from] = to;
        }
        Derivative::Of(vec![Some(upstream.permute_to(&inverse))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let mut perm = vec![0];
        perm.extend(self.perm.iter().map(|p| p + 1));
        Tensor::record(Permute { perm }, &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut from = vec![0; shape.len()];
        Array::from_index(shape, dtype, |i| {
            for (d, &p) in self.perm.iter().enumerate() {
                from[p] = i[d];
            }
            x[0].at(&from)
        })
    }

    fn lower(&self) -> Lowered {
        Lowered::View(Movement::Permute(self.perm.clone()))
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        [(vec![2, 3], vec![1, 0]), (vec![2, 3, 4], vec![2, 0, 1]), (vec![1, 4], vec![1, 0]), (vec![0, 3], vec![1, 0])]
            .into_iter()
            .map(|(shape, perm)| Sample::new(Permute { perm }, vec![SampleInput::f32(&shape, -1.0, 1.0)]))
            .collect()
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
