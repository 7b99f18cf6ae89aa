//! `0, 1, 2, …` in row-major order, i32.
//! Derivative: none, integers.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::Sample;
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Iota {
    /// Sizes of the result.
    pub shape: Vec<usize>,
}

impl Primitive for Iota {
    const NAME: &'static str = "iota";

    fn shape(&self, _: &[Operand]) -> Result<Vec<usize>, String> {
        Ok(self.shape.clone())
    }

    fn dtype(&self, _: &[Operand]) -> Result<DType, String> {
        Ok(DType::I32)
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(Vec::new())
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        // Without operands there is nothing to batch.
        x[0].clone()
    }

    fn reference(&self, _: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut next = 0.0;
        Array::from_index(shape, dtype, |_| {
            next += 1.0;
            next - 1.0
        })
    }

    fn lower(&self) -> Lowered {
        Lowered::Iota
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        [vec![7], vec![3, 5], vec![], vec![0, 2]].map(|shape| Sample::special(Iota { shape }, Vec::new())).to_vec()
    }
}
