//! One result of a [loop](super::loop_), whose value is all of them flattened. Derivative: the upstream gradient among
//! zeros.

use super::loop_::Output;
use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::loops;
use crate::reference::Array;
use crate::shape::numel;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pick {
    /// Which result, where the operand is a loop.
    pub(crate) output: Output,
    /// Where it begins in the value.
    pub(crate) start: usize,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
    /// Its dtype.
    pub(crate) dtype: DType,
}

impl Primitive for Pick {
    const NAME: &'static str = "pick";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let end = numel(&self.shape).checked_add(self.start);
        match x[0].shape {
            [n] if end.is_some_and(|end| end <= *n) => Ok(self.shape.clone()),
            other => Err(format!("{other:?} has no {:?} at {}", self.shape, self.start)),
        }
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x[0].dtype {
            DType::F32 => Ok(self.dtype),
            other => Err(format!("takes the value of a loop, which is f32, not {other}")),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(loops::embedded(
            upstream,
            self.start,
            cx.inputs[0].numel(),
        ))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        loops::batched_pick(self, &x[0])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        Array {
            shape: shape.to_vec(),
            dtype,
            data: x[0].data[self.start..self.start + numel(shape)].to_vec(),
        }
    }

    fn lower(&self) -> Lowered {
        Lowered::Pick(self.output)
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let pick = |start, shape: &[usize]| Pick {
            output: Output::Carry(0),
            start,
            shape: shape.to_vec(),
            dtype: DType::F32,
        };
        let flat = |n: usize| vec![SampleInput::f32(&[n], -1.0, 1.0)];
        vec![
            Sample::new(pick(3, &[2, 2]), flat(9)),
            Sample::new(pick(0, &[]), flat(1)),
            Sample::new(pick(2, &[0, 3]), flat(4)),
        ]
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance {
            rtol: 0.0,
            atol: 0.0,
        }
    }
}
