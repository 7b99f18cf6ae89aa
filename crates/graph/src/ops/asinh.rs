//! `asinh(x) = log(x + √(x² + 1))`, the inverse of the hyperbolic sine. Domain: all reals; ±∞ at ±∞.
//! Derivative: `1 / √(x² + 1)`.

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
pub struct Asinh;

static SCALAR: ScalarOp = ScalarOp {
    name: "asinh",
    wgsl: |x, _, _| format!("w_asinh({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::asinh(x) })),
    cost: 20,
    ..ScalarOp::PLAIN
};

impl Elementwise for Asinh {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream / (cx.inputs[0].square() + 1.0).sqrt())])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].asinh()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Asinh, vec![SampleInput::f32(&[5, 7], -3.0, 3.0)]),
            Sample::new(Asinh, vec![SampleInput::f32(&[130], -3.0, 3.0)]),
            Sample::new(Asinh, vec![SampleInput::f32(&[1], -3.0, 3.0)]),
            Sample::new(Asinh, vec![SampleInput::f32(&[0, 3], -3.0, 3.0)]),
            Sample::special(
                Asinh,
                vec![SampleInput::values(
                    &[9],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        1e-10,
                        -1e-10,
                        1e19,
                        -1e30,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Asinh, "asinh");
