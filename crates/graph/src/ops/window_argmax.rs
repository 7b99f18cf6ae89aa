//! Position (i32), within the plane of the last one to three dimensions, of the first greatest element of each
//! window; NaN counts as greatest. Max-pooling gathers there. Derivative: none, an index.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::window_sum::Frame;
#[cfg(any(test, feature = "samples"))]
use crate::ops::window_sum::sample_cases;
use crate::plan::WindowKind;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowArgMax {
    /// The windows.
    pub frame: Frame,
}

impl Primitive for WindowArgMax {
    const NAME: &'static str = "window_argmax";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        self.frame.output_shape(x[0].shape)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        if x[0].dtype.is_float() { Ok(DType::I32) } else { Err(format!("takes floats, not {}", x[0].dtype)) }
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(self.clone(), &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = Array::full(shape, dtype, 0.0);
        let mut best: Vec<Option<f64>> = vec![None; out.data.len()];
        self.frame.for_each_tap(&x[0].shape, shape, |o, plane_ix, i| {
            let v = x[0].data[i];
            if best[o].is_none_or(|b| v > b || (v.is_nan() && !b.is_nan())) {
                best[o] = Some(v);
                out.data[o] = plane_ix as f64;
            }
        });
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Window { kind: WindowKind::ArgMax, frame: self.frame.clone() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let case = |(x, frame): (Vec<usize>, Frame)| Sample::special(WindowArgMax { frame }, vec![SampleInput::f32(&x, -1.0, 1.0)]);
        let mut all: Vec<_> = sample_cases().into_iter().map(case).collect();
        let (_, frame) = sample_cases().swap_remove(0);
        let special = [1.0, f64::NAN, f64::NAN, 1.0, f64::NEG_INFINITY, f64::NEG_INFINITY, 2.0, f64::INFINITY, 3.0];
        all.push(Sample::special(WindowArgMax { frame }, vec![SampleInput::values(&[2, 6, 6], DType::F32, &special)]));
        all
    }
}
