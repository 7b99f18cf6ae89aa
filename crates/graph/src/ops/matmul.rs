//! `out[…, i, j] = Σ_k a[…, i, k] · b[…, k, j]` for operands of equal leading dimensions (the API broadcasts them);
//! transposed and expanded operands are views. Sums in f32. An empty sum is 0.
//! Derivatives: `g · bᵀ` and `aᵀ · g`.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::elementwise::same_dtype;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matmul;

impl Primitive for Matmul {
    const NAME: &'static str = "matmul";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let (a, b) = (x[0].shape, x[1].shape);
        let r = a.len();
        if r < 2 || b.len() != r || a[..r - 2] != b[..r - 2] {
            return Err(format!("operands {a:?} and {b:?} need equal leading dimensions and at least rank 2"));
        }
        if a[r - 1] != b[r - 2] {
            return Err(format!("the first operand has {} columns, the second {} rows", a[r - 1], b[r - 2]));
        }
        let mut out = a.to_vec();
        out[r - 1] = b[r - 1];
        Ok(out)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        same_dtype(x)?;
        if x[0].dtype.is_float() { Ok(x[0].dtype) } else { Err(format!("takes floats, not {}", x[0].dtype)) }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (a, b) = (&cx.inputs[0], &cx.inputs[1]);
        Derivative::Of(vec![
            Some(Tensor::record(Matmul, &[upstream, &b.swap_last()])),
            Some(Tensor::record(Matmul, &[&a.swap_last(), upstream])),
        ])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(Matmul, &[&x[0], &x[1]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let r = shape.len();
        let (m, n, k) = (shape[r - 2], shape[r - 1], x[0].shape[r - 1]);
        let mut out = Array::full(shape, dtype, 0.0);
        for at in 0..out.data.len() {
            let (batch, i, j) = (at / (m * n), at / n % m, at % n);
            out.data[at] = (0..k).map(|l| x[0].data[(batch * m + i) * k + l] * x[1].data[(batch * k + l) * n + j]).sum();
        }
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Matmul
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let f = |shape: &[usize]| SampleInput::f32(shape, -1.0, 1.0);
        let mut all = vec![
            Sample::new(Matmul, vec![f(&[2, 3]), f(&[3, 4])]),
            Sample::new(Matmul, vec![f(&[1, 1]), f(&[1, 1])]),
            Sample::new(Matmul, vec![f(&[2, 3, 4]), f(&[2, 4, 5])]),
            Sample::new(Matmul, vec![f(&[2, 0]), f(&[0, 3])]),
            Sample::new(Matmul, vec![f(&[0, 3]), f(&[3, 2])]),
        ];
        for (m, k, n) in [(65, 17, 66), (1, 130, 70), (70, 33, 1)] {
            all.push(Sample::special(Matmul, vec![f(&[m, k]), f(&[k, n])]));
        }
        let special = [1.0, f64::NAN, 2.0, 1.0, f64::INFINITY, 0.5];
        all.push(Sample::special(Matmul, vec![SampleInput::values(&[3, 2], DType::F32, &special), f(&[2, 2])]));
        all
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 2e-5, atol: 2e-5 }
    }
}
