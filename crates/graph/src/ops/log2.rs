//! `log₂(x)`, exact for powers of 2. Domain: x ≥ 0; −∞ at 0, NaN below.
//! Derivative: `1 / (x ln 2)`.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block1;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;
use std::f64::consts::LN_2;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log2;

static SCALAR: ScalarOp = ScalarOp {
    name: "log2",
    wgsl: |x, _, _| format!("w_log2({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::log2(x) })),
    cost: 10,
    ..ScalarOp::PLAIN
};

impl Elementwise for Log2 {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream / (&cx.inputs[0] * LN_2))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].log2()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Log2, vec![SampleInput::f32(&[5, 7], 0.3, 4.0)]),
            Sample::new(Log2, vec![SampleInput::f32(&[130], 0.3, 4.0)]),
            Sample::new(Log2, vec![SampleInput::f32(&[1], 0.3, 4.0)]),
            Sample::new(Log2, vec![SampleInput::f32(&[0, 3], 0.3, 4.0)]),
            Sample::special(
                Log2,
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
                        8.0,
                        -1.0,
                        0.25,
                        2e-38,
                        3.4e38,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Log2, "log2");
