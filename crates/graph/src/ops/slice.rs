//! Elements `start + i * step` of each dimension, `step` at least 1.
//! Derivative: the upstream gradient, padded back with zeros around and between.

use super::{Derivative, Derive, Lowered, Operand, Primitive, Movement};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// First element of each dimension.
    pub start: Vec<usize>,
    /// Step of each dimension.
    pub step: Vec<usize>,
    /// Sizes of the result.
    pub size: Vec<usize>,
}

impl Primitive for Slice {
    const NAME: &'static str = "slice";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let n = x[0].shape.len();
        if [self.start.len(), self.step.len(), self.size.len()] != [n; 3] || self.step.contains(&0) {
            return Err(format!("start, step and size need {n} entries, steps at least 1"));
        }
        for d in 0..n {
            if self.size[d] > 0 && self.start[d] + (self.size[d] - 1) * self.step[d] >= x[0].shape[d] {
                return Err(format!(
                    "elements {} + {} * {} lie outside dimension {d} of size {}",
                    self.start[d], self.size[d] - 1, self.step[d], x[0].shape[d]
                ));
            }
        }
        Ok(self.size.clone())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let from = cx.inputs[0].shape();
        if self.size.contains(&0) {
            return Derivative::Of(vec![None]);
        }
        let last = |d: usize| self.start[d] + (self.size[d] - 1) * self.step[d];
        let hi: Vec<usize> = (0..from.len()).map(|d| from[d] - 1 - last(d)).collect();
        let interior: Vec<usize> = self.step.iter().map(|s| s - 1).collect();
        Derivative::Of(vec![Some(upstream.pad_to(&self.start, &hi, &interior))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let lead = |first: usize, rest: &[usize]| [&[first], rest].concat();
        x[0].slice_to(&lead(0, &self.start), &lead(1, &self.step), &lead(x[0].shape()[0], &self.size))
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut from = vec![0; shape.len()];
        Array::from_index(shape, dtype, |i| {
            for d in 0..shape.len() {
                from[d] = self.start[d] + i[d] * self.step[d];
            }
            x[0].at(&from)
        })
    }

    fn lower(&self) -> Lowered {
        Lowered::View(Movement::Slice {
            start: self.start.clone(),
            step: self.step.iter().map(|&s| s as isize).collect(),
            size: self.size.clone(),
        })
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |shape: &[usize], start: &[usize], step: &[usize], size: &[usize]| {
            let op = Slice { start: start.to_vec(), step: step.to_vec(), size: size.to_vec() };
            Sample::new(op, vec![SampleInput::f32(shape, -1.0, 1.0)])
        };
        vec![
            case(&[7], &[2], &[1], &[3]),
            case(&[7], &[1], &[3], &[2]),
            case(&[4, 5], &[1, 0], &[2, 2], &[2, 3]),
            case(&[3, 4], &[1, 1], &[1, 1], &[0, 2]),
            case(&[1], &[0], &[1], &[1]),
        ]
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
