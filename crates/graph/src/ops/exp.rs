//! `exp(x)`, the natural exponential. Domain: all reals; overflows to +∞ above 88.73.
//! Derivative: `exp(x)`.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::exponential::EXP;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exp;

static SCALAR: ScalarOp = ScalarOp {
    name: "exp",
    wgsl: |x, _, _| format!("w_exp({})", x[0]),
    cpu: |_, _| Some(EXP),
    cost: 10,
    function: Function::Exp,
    ..ScalarOp::PLAIN
};

impl Elementwise for Exp {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream * cx.output)])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].exp()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Exp, vec![SampleInput::f32(&[5, 7], -3.0, 3.0)]),
            Sample::special(
                Exp,
                vec![SampleInput::values(&[8], DType::F32, &[0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 88.0, -87.0, 89.0, -110.0])],
            ),
            Sample::new(Exp, vec![SampleInput::f32(&[0, 3], 0.0, 1.0)]),
        ]
    }
}

elementwise!(Exp, "exp");
