//! Zeros of size `size` along `dim`, to which every element of `src` is added at the position its `index` (i32, the
//! shape of `src`) names. Elements are added in their order, so a run repeats to the bit. An index out of range is
//! dropped and gives an error at the next read. Derivative: [`Gather`](super::gather) of the upstream gradient.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::gather::{check_index, in_range};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScatterAdd {
    /// The indexed dimension.
    pub dim: usize,
    /// Its size in the result.
    pub size: usize,
}

impl Primitive for ScatterAdd {
    const NAME: &'static str = "scatter_add";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        check_index(x[0].shape, &x[1], self.dim)?;
        if x[0].shape != x[1].shape {
            return Err(format!("index of shape {:?} differs from the source's {:?}", x[1].shape, x[0].shape));
        }
        let mut out = x[0].shape.to_vec();
        out[self.dim] = self.size;
        Ok(out)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match (x[0].dtype, x[1].dtype) {
            (d @ (DType::Bool | DType::U8), _) => Err(format!("adds no {d}")),
            (d, DType::I32) => Ok(d),
            (_, i) => Err(format!("the index must be i32, not {i}")),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream.gather_at(self.dim, &cx.inputs[1])), None])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        x[0].scatter_add_to(self.dim + 1, &x[1], self.size)
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        let mut to = vec![0; shape.len()];
        let mut at = 0;
        crate::shape::for_each_index(&x[0].shape, |i| {
            to.copy_from_slice(i);
            if let Some(j) = in_range(x[1].data[at], self.size) {
                to[self.dim] = j;
                let p = out.position(&to);
                out.data[p] += x[0].data[at];
            }
            at += 1;
        });
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::ScatterAdd { dim: self.dim }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |shape: &[usize], dim: usize, size: usize| {
            Sample::new(
                ScatterAdd { dim, size },
                vec![SampleInput::f32(shape, -1.0, 1.0), SampleInput::ints(shape, DType::I32, 0, size.max(1) as i64)],
            )
        };
        let mut all = vec![
            case(&[5], 0, 3),
            case(&[6, 3], 0, 4),
            case(&[2, 4, 3], 1, 5),
            case(&[3, 0], 1, 4),
            case(&[1], 0, 1),
            case(&[70, 9], 1, 4),
        ];
        let mut ints = case(&[2, 4, 3], 1, 5);
        ints.inputs[0] = SampleInput::ints(&[2, 4, 3], DType::I32, -9, 9);
        ints.smooth = false;
        all.push(ints);
        all
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 1e-5, atol: 1e-5 }
    }
}
