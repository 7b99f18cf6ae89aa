//! `exp(x) - 1`, accurate near 0. Domain: all reals; −1 at −∞, overflows to +∞ above 88.73.
//! Derivative: `expm1(x) + 1`.

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
pub struct Expm1;

static SCALAR: ScalarOp = ScalarOp {
    name: "expm1",
    wgsl: |x, _, _| format!("w_expm1({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::expm1(x) })),
    cost: 12,
    ..ScalarOp::PLAIN
};

impl Elementwise for Expm1 {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream * (cx.output + 1.0))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].exp_m1()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Expm1, vec![SampleInput::f32(&[5, 7], -3.0, 3.0)]),
            Sample::new(Expm1, vec![SampleInput::f32(&[130], -3.0, 3.0)]),
            Sample::new(Expm1, vec![SampleInput::f32(&[1], -3.0, 3.0)]),
            Sample::new(Expm1, vec![SampleInput::f32(&[0, 3], -3.0, 3.0)]),
            Sample::special(
                Expm1,
                vec![SampleInput::values(
                    &[10],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        1e-10,
                        -1e-10,
                        88.0,
                        89.0,
                        -100.0,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Expm1, "expm1");
