//! `out[i] = x[i with dimension dim replaced by index[i]]`, PyTorch's `gather`: `index` (i32) and `x` have one shape
//! but for `dim`. An index out of range gives NaN (0 for integers) and an error at the next read.
//! Derivative: [`ScatterAdd`](super::scatter_add) of the upstream gradient.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// The indexed dimension.
    pub dim: usize,
}

/// Checks that `x` and `index` agree in all dimensions but `dim`, and that `index` is i32.
pub(crate) fn check_index(x: &[usize], index: &Operand, dim: usize) -> Result<(), String> {
    let fits = x.len() == index.shape.len() && dim < x.len() && (0..x.len()).all(|d| d == dim || x[d] == index.shape[d]);
    if !fits {
        return Err(format!("index of shape {:?} does not fit {x:?} along dimension {dim}", index.shape));
    }
    Ok(())
}

/// Positions along `dim` as the reference reads them: `None` where out of range.
pub(crate) fn in_range(v: f64, size: usize) -> Option<usize> {
    (v >= 0.0 && v < size as f64).then_some(v as usize)
}

impl Primitive for Gather {
    const NAME: &'static str = "gather";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        check_index(x[0].shape, &x[1], self.dim)?;
        Ok(x[1].shape.to_vec())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        if x[1].dtype != DType::I32 {
            return Err(format!("the index must be i32, not {}", x[1].dtype));
        }
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let x = &cx.inputs[0];
        if !x.dtype().is_float() {
            return Derivative::Of(vec![None, None]);
        }
        Derivative::Of(vec![Some(upstream.scatter_add_to(self.dim, &cx.inputs[1], x.shape()[self.dim])), None])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        x[0].gather_at(self.dim + 1, &x[1])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let outside = if dtype.is_float() { f64::NAN } else { 0.0 };
        let mut from = vec![0; shape.len()];
        let mut at = 0;
        Array::from_index(shape, dtype, |i| {
            from.copy_from_slice(i);
            at += 1;
            match in_range(x[1].data[at - 1], x[0].shape[self.dim]) {
                Some(j) => {
                    from[self.dim] = j;
                    x[0].at(&from)
                }
                None => outside,
            }
        })
    }

    fn lower(&self) -> Lowered {
        Lowered::Gather { dim: self.dim }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |shape: &[usize], dim: usize, count: usize| {
            let mut index = shape.to_vec();
            index[dim] = count;
            Sample::new(
                Gather { dim },
                vec![SampleInput::f32(shape, -1.0, 1.0), SampleInput::ints(&index, DType::I32, 0, shape[dim] as i64)],
            )
        };
        let mut all = vec![case(&[5], 0, 3), case(&[4, 3], 0, 6), case(&[2, 5, 3], 1, 4), case(&[3, 4], 1, 0), case(&[1], 0, 1)];
        let mut bytes = case(&[7, 5], 0, 9);
        bytes.inputs[0] = SampleInput::ints(&[7, 5], DType::U8, 0, 255);
        bytes.smooth = false;
        all.push(bytes);
        all
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
