//! The adjoint of [`Conv`](super::conv) in its input: `dx[i] = Σ y[p] · w[t]` over `p · stride + t · dilation −
//! padding = i`. It is also PyTorch's `conv_transpose`. Operands: `y`, `w`.
//! Derivatives: `Conv(u, w)` and `ConvWeightGrad(u, y)`.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::conv::{self, Conv, Geometry, float_pair, from_channels, into_channels, into_rows};
use crate::ops::conv_weight_grad::ConvWeightGrad;
use crate::plan::ConvKind;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvInputGrad {
    /// Strides and the like, of the convolution.
    pub geometry: Geometry,
    /// Spatial sizes of the result.
    pub input: Vec<usize>,
}

impl Primitive for ConvInputGrad {
    const NAME: &'static str = "conv_input_grad";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let (y, w) = (x[0].shape, x[1].shape);
        if y.len() != w.len() || y.len() < 3 {
            return Err(format!("operands {y:?} and {w:?} need one rank of at least 3"));
        }
        let mut out = vec![y[0], w[1].saturating_mul(self.geometry.groups)];
        out.extend(&self.input);
        let forward = self.geometry.output_shape(&out, w)?;
        if forward != y {
            return Err(format!("a convolution of {out:?} by {w:?} gives {forward:?}, not {y:?}"));
        }
        Ok(out)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        float_pair(x)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (y, w) = (&cx.inputs[0], &cx.inputs[1]);
        let geometry = self.geometry.clone();
        let dw = ConvWeightGrad { geometry: geometry.clone(), kernel: w.shape()[2..].to_vec() };
        Derivative::Of(vec![Some(Tensor::record(Conv { geometry }, &[upstream, w])), Some(Tensor::record(dw, &[upstream, y]))])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let (y, w) = (&x[0], &x[1]);
        let b = y.shape()[0];
        let op = ConvInputGrad { geometry: self.geometry.times(b), input: self.input.clone() };
        from_channels(&Tensor::record(op, &[&into_channels(y), &into_rows(w)]), b)
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        self.geometry.for_each_product(shape, &x[1].shape, &x[0].shape, |i, w, o| {
            out.data[i] += x[0].data[o] * x[1].data[w];
        });
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Conv { kind: ConvKind::InputGrad, geometry: self.geometry.clone() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |(x, w, geometry, smooth): (Vec<usize>, Vec<usize>, Geometry, bool)| {
            let y = geometry.output_shape(&x, &w).unwrap_or_default();
            Sample {
                op: ConvInputGrad { geometry, input: x[2..].to_vec() },
                inputs: vec![SampleInput::f32(&y, -1.0, 1.0), SampleInput::f32(&w, -1.0, 1.0)],
                smooth,
            }
        };
        conv::sample_cases().into_iter().map(case).collect()
    }

    fn tolerance() -> super::Tolerance {
        conv::TOLERANCE
    }
}
