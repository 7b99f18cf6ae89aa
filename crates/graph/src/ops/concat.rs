//! Operands one after another along one dimension. Derivative: each operand's part of the upstream gradient.

use super::{Derivative, Derive, Lowered, Operand, Primitive, Region};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::elementwise::same_dtype;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// Along which dimension.
    pub dim: usize,
    /// The operands' shapes, which the regions need.
    pub shapes: Vec<Vec<usize>>,
}

impl Concat {
    fn starts(&self) -> impl Iterator<Item = Vec<usize>> + '_ {
        self.shapes.iter().scan(0, |at, shape| {
            let mut start = vec![0; shape.len()];
            start[self.dim] = *at;
            *at += shape[self.dim];
            Some(start)
        })
    }
}

impl Primitive for Concat {
    const NAME: &'static str = "cat";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let mut out = x[0].shape.to_vec();
        if self.dim >= out.len() {
            return Err(format!("dimension {} does not exist in rank {}", self.dim, out.len()));
        }
        out[self.dim] = 0;
        for (n, o) in x.iter().enumerate() {
            let fits = o.shape.len() == out.len() && (0..out.len()).all(|d| d == self.dim || o.shape[d] == x[0].shape[d]);
            if !fits || o.shape != self.shapes[n] {
                return Err(format!("operand {n} of shape {:?} does not join {:?} along {}", o.shape, x[0].shape, self.dim));
            }
            out[self.dim] = out[self.dim].saturating_add(o.shape[self.dim]);
        }
        Ok(out)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        same_dtype(x)?;
        Ok(x[0].dtype)
    }

    fn derivative(&self, _: &Derive, upstream: &Tensor) -> Derivative {
        let part = |(start, shape): (Vec<usize>, &Vec<usize>)| {
            Some(upstream.slice_to(&start, &vec![1; shape.len()], shape))
        };
        Derivative::Of(self.starts().zip(&self.shapes).map(part).collect())
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::concat_of(&x.iter().collect::<Vec<_>>(), self.dim + 1)
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        for (start, x) in self.starts().zip(x) {
            let mut at = 0;
            let mut to = vec![0; shape.len()];
            crate::shape::for_each_index(&x.shape, |i| {
                for d in 0..i.len() {
                    to[d] = start[d] + i[d];
                }
                let p = out.position(&to);
                out.data[p] = x.data[at];
                at += 1;
            });
        }
        out
    }

    fn lower(&self) -> Lowered {
        let region = |start: Vec<usize>| Region { step: vec![1; start.len()], start };
        Lowered::Regions { fill: false, regions: self.starts().map(region).collect() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |dim: usize, shapes: &[&[usize]]| {
            let op = Concat { dim, shapes: shapes.iter().map(|s| s.to_vec()).collect() };
            Sample::new(op, shapes.iter().map(|s| SampleInput::f32(s, -1.0, 1.0)).collect())
        };
        vec![
            case(0, &[&[2, 3], &[1, 3]]),
            case(1, &[&[2, 1], &[2, 3], &[2, 2]]),
            case(1, &[&[2, 1, 3], &[2, 0, 3]]),
            case(0, &[&[1]]),
            case(0, &[&[0], &[0]]),
        ]
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
