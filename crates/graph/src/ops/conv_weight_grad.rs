//! The adjoint of [`Conv`](super::conv) in its weight: `dw[t] = Σ x[p · stride + t · dilation − padding] · y[p]`.
//! Operands: `x`, `y`. Derivatives: `ConvInputGrad(y, u)` and `Conv(x, u)`.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::conv::{self, Conv, Geometry, float_pair, into_channels};
use crate::ops::conv_input_grad::ConvInputGrad;
use crate::plan::ConvKind;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvWeightGrad {
    /// Strides and the like, of the convolution.
    pub geometry: Geometry,
    /// Spatial sizes of the result.
    pub kernel: Vec<usize>,
}

impl Primitive for ConvWeightGrad {
    const NAME: &'static str = "conv_weight_grad";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let (x, y, g) = (x[0].shape, x[1].shape, self.geometry.groups);
        if x.len() != y.len() || x.len() < 3 || g == 0 {
            return Err(format!("operands {x:?} and {y:?} need one rank of at least 3"));
        }
        let mut out = vec![y[1], x[1] / g];
        out.extend(&self.kernel);
        let forward = self.geometry.output_shape(x, &out)?;
        if forward != y {
            return Err(format!("a convolution of {x:?} by {out:?} gives {forward:?}, not {y:?}"));
        }
        Ok(out)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        float_pair(x)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (x, y) = (&cx.inputs[0], &cx.inputs[1]);
        let geometry = self.geometry.clone();
        let dx = ConvInputGrad { geometry: geometry.clone(), input: x.shape()[2..].to_vec() };
        Derivative::Of(vec![Some(Tensor::record(dx, &[y, upstream])), Some(Tensor::record(Conv { geometry }, &[x, upstream]))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let (x, y) = (&x[0], &x[1]);
        let b = x.shape()[0];
        let op = ConvWeightGrad { geometry: self.geometry.times(b), kernel: self.kernel.clone() };
        let w = Tensor::record(op, &[&into_channels(x), &into_channels(y)]);
        conv::from_rows(&w, b)
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        self.geometry.for_each_product(&x[0].shape, shape, &x[1].shape, |i, w, o| {
            out.data[w] += x[0].data[i] * x[1].data[o];
        });
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Conv { kind: ConvKind::WeightGrad, geometry: self.geometry.clone() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |(x, w, geometry, smooth): (Vec<usize>, Vec<usize>, Geometry, bool)| {
            let y = geometry.output_shape(&x, &w).unwrap_or_default();
            Sample {
                op: ConvWeightGrad { geometry, kernel: w[2..].to_vec() },
                inputs: vec![SampleInput::f32(&x, -1.0, 1.0), SampleInput::f32(&y, -1.0, 1.0)],
                smooth,
            }
        };
        conv::sample_cases().into_iter().map(case).collect()
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 1e-4, atol: 1e-4 }
    }
}
