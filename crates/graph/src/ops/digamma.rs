//! `ψ(x) = Γ'(x) / Γ(x)`. Domain: all reals; ∓∞ at ±0, NaN at −1, −2 … and −∞.
//! Derivative: `ψ'(x)`, see [`polygamma`](super::polygamma).

use super::{Derivative, Derive, Elementwise, Tolerance, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block1;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;
use std::f64::consts::PI;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digamma;

static SCALAR: ScalarOp = ScalarOp {
    name: "digamma",
    wgsl: |x, _, _| format!("w_digamma({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::digamma(x) })),
    cost: 40,
    rounds: |_| 4,
    ..ScalarOp::PLAIN
};

/// The asymptotic series from 20 on; below by `ψ(x + 1) = ψ(x) + 1/x`, left of ½ by the reflection
/// `ψ(1 − x) − ψ(x) = π / tan πx` (Abramowitz and Stegun, 6.3.5, 6.3.7 and 6.3.18).
fn psi(x: f64) -> f64 {
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    if x < 0.0 && (x.fract() == 0.0 || x.is_infinite()) {
        return f64::NAN;
    }
    if x < 0.5 {
        return psi(1.0 - x) - PI / (PI * (x - x.round())).tan();
    }
    let (mut y, mut sum) = (x, 0.0);
    while y < 20.0 {
        sum -= 1.0 / y;
        y += 1.0;
    }
    let z = 1.0 / (y * y);
    let tail =
        z * (1.0 / 12.0 - z * (1.0 / 120.0 - z * (1.0 / 252.0 - z * (1.0 / 240.0 - z / 132.0))));
    sum + y.ln() - 0.5 / y - tail
}

impl Elementwise for Digamma {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream * cx.inputs[0].polygamma(1))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        psi(x[0])
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let special = [
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1.0,
            -1.0,
            -2.5,
            1e10,
            30.0,
        ];
        vec![
            Sample::new(Digamma, vec![SampleInput::f32(&[5, 7], 0.2, 12.0)]),
            Sample::new(Digamma, vec![SampleInput::f32(&[130], -0.8, -0.2)]),
            Sample::new(Digamma, vec![SampleInput::f32(&[1], 1.5, 3.0)]),
            Sample::new(Digamma, vec![SampleInput::f32(&[0, 3], 1.0, 4.0)]),
            Sample::special(
                Digamma,
                vec![SampleInput::values(&[10], DType::F32, &special)],
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance {
            rtol: 1e-5,
            atol: 2e-5,
        }
    }
}

elementwise!(Digamma, "digamma");
