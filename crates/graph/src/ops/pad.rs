//! Zeros before (`lo`), after (`hi`) and between (`interior` between neighbours) the elements of each dimension.
//! Other values than zero are composed with `where`. Derivative: the elements of the upstream gradient that the
//! operand went to.

use super::{Derivative, Derive, Lowered, Operand, Primitive, Region};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pad {
    /// Zeros before the first element of each dimension.
    pub lo: Vec<usize>,
    /// Zeros after the last.
    pub hi: Vec<usize>,
    /// Zeros between two neighbours.
    pub interior: Vec<usize>,
}

impl Primitive for Pad {
    const NAME: &'static str = "pad";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let n = x[0].shape.len();
        if [self.lo.len(), self.hi.len(), self.interior.len()] != [n; 3] {
            return Err(format!("lo, hi and interior need {n} entries"));
        }
        let size = |d: usize| {
            let inside = x[0].shape[d] + x[0].shape[d].saturating_sub(1).checked_mul(self.interior[d])?;
            inside.checked_add(self.lo[d])?.checked_add(self.hi[d])
        };
        (0..n).map(|d| size(d).ok_or_else(|| format!("the size of dimension {d} overflows"))).collect()
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let step: Vec<usize> = self.interior.iter().map(|i| i + 1).collect();
        Derivative::Of(vec![Some(upstream.slice_to(&self.lo, &step, cx.inputs[0].shape()))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let lead = |rest: &[usize]| [&[0], rest].concat();
        x[0].pad_to(&lead(&self.lo), &lead(&self.hi), &lead(&self.interior))
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        let mut to = vec![0; shape.len()];
        let mut at = 0;
        crate::shape::for_each_index(&x[0].shape, |i| {
            for d in 0..i.len() {
                to[d] = self.lo[d] + i[d] * (self.interior[d] + 1);
            }
            let p = out.position(&to);
            out.data[p] = x[0].data[at];
            at += 1;
        });
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Regions {
            fill: true,
            regions: vec![Region { start: self.lo.clone(), step: self.interior.iter().map(|i| i + 1).collect() }],
        }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |shape: &[usize], lo: &[usize], hi: &[usize], interior: &[usize]| {
            let op = Pad { lo: lo.to_vec(), hi: hi.to_vec(), interior: interior.to_vec() };
            Sample::new(op, vec![SampleInput::f32(shape, -1.0, 1.0)])
        };
        vec![
            case(&[3], &[1], &[2], &[0]),
            case(&[2, 3], &[0, 2], &[1, 0], &[0, 1]),
            case(&[2, 1, 3], &[1, 1, 1], &[0, 1, 0], &[2, 3, 0]),
            case(&[0, 2], &[1, 1], &[1, 0], &[0, 0]),
            case(&[1], &[0], &[0], &[4]),
        ]
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 0.0, atol: 0.0 }
    }
}
