//! Position (i32) of the first maximum in row-major order of the reduced dimensions, which are dropped; NaN counts
//! as greatest. Derivative: none, an index.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::reduce_max::refuse_empty;
#[cfg(any(test, feature = "samples"))]
use crate::ops::reduce_sum::sample_dims;
use crate::ops::reduce_sum::{for_each_reduced, reduced_shape};
use crate::plan::ReduceKind;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArgMax {
    /// Sorted, distinct dimensions.
    pub dims: Vec<usize>,
}

impl Primitive for ArgMax {
    const NAME: &'static str = "argmax";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let out = reduced_shape(x, &self.dims)?;
        refuse_empty(x, &self.dims, &out)?;
        Ok(out)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x[0].dtype {
            DType::Bool => Err("takes numbers, not bool".into()),
            _ => Ok(DType::I32),
        }
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(ArgMax { dims: self.dims.iter().map(|d| d + 1).collect() }, &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        let mut best: Vec<Option<f64>> = vec![None; out.data.len()];
        let mut count = vec![0usize; out.data.len()];
        for_each_reduced(x[0], &self.dims, |o, v| {
            let wins = best[o].is_none_or(|b| v > b || (v.is_nan() && !b.is_nan()));
            if wins {
                best[o] = Some(v);
                out.data[o] = count[o] as f64;
            }
            count[o] += 1;
        });
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Reduce { kind: ReduceKind::ArgMax, dims: self.dims.clone() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all: Vec<_> = sample_dims()
            .into_iter()
            .map(|(shape, dims)| Sample::special(ArgMax { dims }, vec![SampleInput::ints(&shape, DType::F32, -3, 3)]))
            .collect();
        let special = [1.0, f64::NAN, f64::NAN, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        all.push(Sample::special(ArgMax { dims: vec![1] }, vec![SampleInput::values(&[2, 3], DType::F32, &special)]));
        all.push(Sample::special(ArgMax { dims: vec![0, 1] }, vec![SampleInput::f32(&[70, 65], -9.0, -1.0)]));
        all.push(Sample::special(ArgMax { dims: vec![1] }, vec![SampleInput::ints(&[5, 130], DType::I32, -9, 9)]));
        all
    }
}
