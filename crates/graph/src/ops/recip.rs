//! `1 / x`. Domain: all reals; ±∞ at ±0 (IEEE 754).
//! Derivative: `-1 / x²`.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block1;
use crate::math;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recip;

static SCALAR: ScalarOp = ScalarOp {
    name: "recip",
    wgsl: |x, _, _| format!("w_recip({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::recip(x) })),
    cost: 4,
    function: Function::Recip,
    ..ScalarOp::PLAIN
};

impl Elementwise for Recip {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(-(upstream * cx.output.square()))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        1.0 / x[0]
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Recip, vec![SampleInput::f32(&[5, 7], 0.3, 3.0)]),
            Sample::new(Recip, vec![SampleInput::f32(&[130], 0.3, 3.0)]),
            Sample::new(Recip, vec![SampleInput::f32(&[1], 0.3, 3.0)]),
            Sample::new(Recip, vec![SampleInput::f32(&[0, 3], 0.3, 3.0)]),
            Sample::special(
                Recip,
                vec![SampleInput::values(
                    &[9],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        3.0,
                        -3.0,
                        1e-30,
                        1e30,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Recip, "recip");
