//! `erf(x) = 2/√π ∫₀ˣ exp(-t²) dt`, the error function. Domain: all reals; ±1 at ±∞.
//! Derivative: `2/√π exp(-x²)`.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::error_function::ERF;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;
use std::f64::consts::FRAC_2_SQRT_PI;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Erf;

static SCALAR: ScalarOp = ScalarOp {
    name: "erf",
    wgsl: |x, _, _| format!("w_erf({})", x[0]),
    cpu: |_, _| Some(ERF),
    cost: 15,
    function: Function::Erf,
    ..ScalarOp::PLAIN
};

/// `erf(x) = 2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (1·3·5…(2n+1))` (Abramowitz and Stegun, 7.1.6): all terms
/// have one sign, so nothing cancels. From 6 on the function is 1 to f64.
fn series(x: f64) -> f64 {
    if x.abs() >= 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

impl Elementwise for Erf {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(
            upstream * ((-cx.inputs[0].square()).exp() * FRAC_2_SQRT_PI as f32),
        )])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        series(x[0])
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Erf, vec![SampleInput::f32(&[5, 7], -3.0, 3.0)]),
            Sample::new(Erf, vec![SampleInput::f32(&[130], -3.0, 3.0)]),
            Sample::new(Erf, vec![SampleInput::f32(&[1], -3.0, 3.0)]),
            Sample::new(Erf, vec![SampleInput::f32(&[0, 3], -3.0, 3.0)]),
            Sample::special(
                Erf,
                vec![SampleInput::values(
                    &[10],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        4.0,
                        -4.0,
                        6.0,
                        -1e10,
                        1e-10,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Erf, "erf");
