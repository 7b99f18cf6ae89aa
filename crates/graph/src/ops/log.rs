//! `log(x)`, the natural logarithm. Domain: x ≥ 0; −∞ at 0, NaN below.
//! Derivative: `1 / x`.

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
pub struct Log;

static SCALAR: ScalarOp = ScalarOp {
    name: "log",
    wgsl: |x, _, _| format!("w_log({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::log(x) })),
    cost: 10,
    ..ScalarOp::PLAIN
};

impl Elementwise for Log {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream / &cx.inputs[0])])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].ln()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Log, vec![SampleInput::f32(&[5, 7], 0.3, 4.0)]),
            Sample::new(Log, vec![SampleInput::f32(&[130], 0.3, 4.0)]),
            Sample::new(Log, vec![SampleInput::f32(&[1], 0.3, 4.0)]),
            Sample::new(Log, vec![SampleInput::f32(&[0, 3], 0.3, 4.0)]),
            Sample::special(
                Log,
                vec![SampleInput::values(
                    &[11],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        1.0,
                        -1.0,
                        0.9999999,
                        1.0000001,
                        2e-38,
                        3.4e38,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Log, "log");
