//! `√x`. Domain: x ≥ 0; NaN below, −0 at −0.
//! Derivative: `1 / (2 √x)`.

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
pub struct Sqrt;

static SCALAR: ScalarOp = ScalarOp {
    name: "sqrt",
    wgsl: |x, _, _| format!("w_sqrt({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::sqrt(x) })),
    cost: 4,
    function: Function::Sqrt,
    ..ScalarOp::PLAIN
};

impl Elementwise for Sqrt {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some((upstream * 0.5) / cx.output)])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].sqrt()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Sqrt, vec![SampleInput::f32(&[5, 7], 0.2, 4.0)]),
            Sample::new(Sqrt, vec![SampleInput::f32(&[130], 0.2, 4.0)]),
            Sample::new(Sqrt, vec![SampleInput::f32(&[1], 0.2, 4.0)]),
            Sample::new(Sqrt, vec![SampleInput::f32(&[0, 3], 0.2, 4.0)]),
            Sample::special(
                Sqrt,
                vec![SampleInput::values(
                    &[9],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        -1.0,
                        4.0,
                        1e-30,
                        1e30,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Sqrt, "sqrt");
