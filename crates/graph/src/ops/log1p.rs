//! `log(1 + x)`, accurate near 0. Domain: x ≥ −1; −∞ at −1, NaN below.
//! Derivative: `1 / (1 + x)`.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block1;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log1p;

static SCALAR: ScalarOp = ScalarOp {
    name: "log1p",
    wgsl: |x, _, _| format!("w_log1p({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::log1p(x) })),
    cost: 12,
    ..ScalarOp::PLAIN
};

impl Elementwise for Log1p {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream / (&cx.inputs[0] + 1.0))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].ln_1p()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Log1p, vec![SampleInput::f32(&[5, 7], -0.5, 3.0)]),
            Sample::new(Log1p, vec![SampleInput::f32(&[130], -0.5, 3.0)]),
            Sample::new(Log1p, vec![SampleInput::f32(&[1], -0.5, 3.0)]),
            Sample::new(Log1p, vec![SampleInput::f32(&[0, 3], -0.5, 3.0)]),
            Sample::special(
                Log1p,
                vec![SampleInput::values(
                    &[11],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        -1.0,
                        -2.0,
                        1e-10,
                        -1e-10,
                        1e30,
                        -0.9999999,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Log1p, "log1p");
