//! Maximum over sorted dimensions, which are dropped; NaN wins. The maximum of nothing is an error, as in PyTorch.
//! Derivative: shared evenly among the elements that attain the maximum (PyTorch's `amax`).

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
#[cfg(any(test, feature = "samples"))]
use crate::ops::reduce_sum::sample_dims;
use crate::ops::reduce_sum::{for_each_reduced, reduced_shape, spread};
use crate::plan::ReduceKind;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReduceMax {
    /// Sorted, distinct dimensions.
    pub dims: Vec<usize>,
}

/// Refuses to reduce dimensions of size 0 to a result that has elements.
pub(crate) fn refuse_empty(x: &[Operand], dims: &[usize], out: &[usize]) -> Result<(), String> {
    match dims.iter().find(|&&d| x[0].shape[d] == 0) {
        Some(d) if !out.contains(&0) => Err(format!("dimension {d} has size 0 and the maximum of nothing does not exist")),
        _ => Ok(()),
    }
}

impl Primitive for ReduceMax {
    const NAME: &'static str = "amax";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let out = reduced_shape(x, &self.dims)?;
        refuse_empty(x, &self.dims, &out)?;
        Ok(out)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let x = &cx.inputs[0];
        let hit = x.eq(&spread(cx.output, x, &self.dims)).cast(x.dtype());
        let dims: Vec<isize> = self.dims.iter().map(|&d| d as isize).collect();
        let share = upstream / hit.sum_dims(&dims, false);
        Derivative::Of(vec![Some(hit * spread(&share, x, &self.dims))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(ReduceMax { dims: self.dims.iter().map(|d| d + 1).collect() }, &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, f64::NEG_INFINITY);
        for_each_reduced(x[0], &self.dims, |o, v| {
            if v > out.data[o] || v.is_nan() {
                out.data[o] = v;
            }
        });
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Reduce { kind: ReduceKind::Max, dims: self.dims.clone() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all: Vec<_> = sample_dims()
            .into_iter()
            .map(|(shape, dims)| Sample::new(ReduceMax { dims }, vec![SampleInput::distinct(&shape)]))
            .collect();
        let special = [1.0, f64::NAN, f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0, f64::INFINITY];
        all.push(Sample::special(ReduceMax { dims: vec![1] }, vec![SampleInput::values(&[3, 2], DType::F32, &special)]));
        all.push(Sample::special(ReduceMax { dims: vec![0] }, vec![SampleInput::ints(&[9, 3], DType::I32, -9, -2)]));
        all.push(Sample::special(ReduceMax { dims: vec![0, 1] }, vec![SampleInput::f32(&[70, 65], -9.0, -1.0)]));
        all.push(Sample::special(ReduceMax { dims: vec![0] }, vec![SampleInput::f32(&[4, 0], 0.0, 1.0)]));
        all
    }
}
