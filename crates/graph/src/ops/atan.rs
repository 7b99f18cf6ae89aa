//! `atan(x)`, the arc tangent in radians. Domain: all reals; ±π/2 at ±∞.
//! Derivative: `1 / (1 + x²)`.

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
pub struct Atan;

static SCALAR: ScalarOp = ScalarOp {
    name: "atan",
    wgsl: |x, _, _| format!("w_atan({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::atan(x) })),
    cost: 10,
    ..ScalarOp::PLAIN
};

impl Elementwise for Atan {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream / (cx.inputs[0].square() + 1.0))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].atan()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Atan, vec![SampleInput::f32(&[5, 7], -5.0, 5.0)]),
            Sample::new(Atan, vec![SampleInput::f32(&[130], -5.0, 5.0)]),
            Sample::new(Atan, vec![SampleInput::f32(&[1], -5.0, 5.0)]),
            Sample::new(Atan, vec![SampleInput::f32(&[0, 3], -5.0, 5.0)]),
            Sample::special(
                Atan,
                vec![SampleInput::values(
                    &[10],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        1.0,
                        -1.0,
                        1e10,
                        -1e10,
                        1e-10,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Atan, "atan");
