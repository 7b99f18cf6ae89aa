//! Linear recurrence along one dimension, from the end with `reverse`: `h_i = a_i · h_(i−1) + b_i`, and `h_0 = b_0`, for
//! factors `a` and terms `b` of one shape. Domain: all reals. Derivative: with `λ` the recurrence of the other direction,
//! `λ_i = g_i + a_(i+1) · λ_(i+1)`, it is `λ` for `b` and `λ_i · h_(i−1)` for `a`, 0 for the first, which counts for nothing.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::plan::ScanKind;
use crate::tensor::Tensor;

/// See the module. Operands `a`, `b`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinearScan {
    /// Along which dimension.
    pub dim: usize,
    /// From the last element to the first.
    pub reverse: bool,
}

/// Elements `start..start + len` of one dimension.
pub(super) fn cut(x: &Tensor, dim: usize, start: usize, len: usize) -> Tensor {
    let mut starts = vec![0; x.rank()];
    let mut size = x.shape().to_vec();
    starts[dim] = start;
    size[dim] = len;
    x.slice_to(&starts, &vec![1; x.rank()], &size)
}

impl LinearScan {
    /// The element after each in the direction of the scan, or before it, and 0 where there is none.
    fn shifted(&self, x: &Tensor, after: bool) -> Tensor {
        let n = x.shape()[self.dim];
        let up = after != self.reverse;
        let rest = cut(x, self.dim, usize::from(up), n - 1);
        let end = cut(x, self.dim, 0, 1).zeros_like();
        let parts = if up { [&rest, &end] } else { [&end, &rest] };
        Tensor::concat_of(&parts, self.dim)
    }
}

impl Primitive for LinearScan {
    const NAME: &'static str = "linear_scan";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        if self.dim >= x[0].shape.len() {
            return Err(format!("dimension {} does not exist in rank {}", self.dim, x[0].shape.len()));
        }
        if x[0].shape != x[1].shape {
            return Err(format!("factors of shape {:?} for terms of shape {:?}", x[0].shape, x[1].shape));
        }
        Ok(x[0].shape.to_vec())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match (x[0].dtype, x[1].dtype) {
            (a, b) if a == b && a.is_float() => Ok(a),
            (a, b) => Err(format!("takes floats of one dtype, not {a} and {b}")),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let factors = &cx.inputs[0];
        if factors.shape()[self.dim] == 0 {
            return Derivative::Of(vec![Some(upstream.clone()), Some(upstream.clone())]);
        }
        let other = LinearScan { dim: self.dim, reverse: !self.reverse };
        let of_terms = Tensor::record(other, &[&self.shifted(factors, true), upstream]);
        let of_factors = &of_terms * self.shifted(cx.output, false);
        Derivative::Of(vec![Some(of_factors), Some(of_terms)])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(LinearScan { dim: self.dim + 1, ..self.clone() }, &[&x[0], &x[1]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = x[1].clone();
        out.dtype = dtype;
        let n = shape[self.dim];
        let inner: usize = shape[self.dim + 1..].iter().product();
        for start in 0..out.data.len() {
            if !(start / inner).is_multiple_of(n) {
                continue;
            }
            let at = |j: usize| start + if self.reverse { n - 1 - j } else { j } * inner;
            for j in 1..n {
                out.data[at(j)] += x[0].data[at(j)] * out.data[at(j - 1)];
            }
        }
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Scan { kind: ScanKind::Linear, dim: self.dim, reverse: self.reverse }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let two = |shape: &[usize]| vec![SampleInput::f32(shape, -1.1, 1.1), SampleInput::f32(shape, -1.0, 1.0)];
        let mut all = Vec::new();
        for (shape, dim, reverse) in [(vec![5], 0, false), (vec![3, 4], 1, true), (vec![3, 4, 2], 1, false), (vec![1], 0, true)] {
            all.push(Sample::new(LinearScan { dim, reverse }, two(&shape)));
        }
        all.push(Sample::special(LinearScan { dim: 1, reverse: false }, two(&[2, 1500])));
        all.push(Sample::special(LinearScan { dim: 1, reverse: true }, two(&[20, 1100])));
        all.push(Sample::special(LinearScan { dim: 0, reverse: true }, two(&[0, 3])));
        let values = |v: &[f64]| SampleInput::values(&[5], DType::F32, v);
        let special = vec![values(&[f64::NAN, 2.0, 0.0, f64::INFINITY, 1.0]), values(&[1.0, 0.0, 3.0, 1.0, f64::NAN])];
        all.push(Sample::special(LinearScan { dim: 0, reverse: false }, special));
        all
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 2e-5, atol: 1e-5 }
    }
}
