//! `log |Γ(x)|`. Domain: all reals; ∞ at 0, −1, −2 … and at ±∞.
//! Derivative: `ψ(x)`, see [`digamma`](super::digamma).

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
pub struct Lgamma;

static SCALAR: ScalarOp = ScalarOp {
    name: "lgamma",
    wgsl: |x, _, _| format!("w_lgamma({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::lgamma(x) })),
    cost: 40,
    rounds: |_| 6,
    ..ScalarOp::PLAIN
};

/// Stirling's series from 15 on; below by `Γ(x + 1) = x Γ(x)`, left of ½ by the reflection
/// `Γ(x) Γ(1 − x) = π / sin πx` (Abramowitz and Stegun, 6.1.15, 6.1.17 and 6.1.41).
fn log_gamma(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.is_infinite() || (x <= 0.0 && x.fract() == 0.0) {
        return f64::INFINITY;
    }
    if x == 1.0 || x == 2.0 {
        return 0.0;
    }
    if x < 0.5 {
        let sine = (PI * (x - x.round())).sin().abs();
        return (PI / sine).ln() - log_gamma(1.0 - x);
    }
    let (mut y, mut product) = (x, 1.0);
    while y < 15.0 {
        product *= y;
        y += 1.0;
    }
    let z = 1.0 / (y * y);
    let tail = 1.0 / 12.0 - z * (1.0 / 360.0 - z * (1.0 / 1260.0 - z * (1.0 / 1680.0 - z / 1188.0)));
    (y - 0.5) * y.ln() - y + 0.5 * (2.0 * PI).ln() + tail / y - product.ln()
}

impl Elementwise for Lgamma {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream * cx.inputs[0].digamma())])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        log_gamma(x[0])
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
            2.0,
            -1.0,
            -2.5,
            1e-10,
            1e10,
            30.0,
        ];
        vec![
            Sample::new(Lgamma, vec![SampleInput::f32(&[5, 7], 0.1, 12.0)]),
            Sample::new(Lgamma, vec![SampleInput::f32(&[130], -0.9, -0.1)]),
            Sample::new(Lgamma, vec![SampleInput::f32(&[1], 1.5, 3.0)]),
            Sample::new(Lgamma, vec![SampleInput::f32(&[0, 3], 1.0, 4.0)]),
            Sample::special(
                Lgamma,
                vec![SampleInput::values(&[12], DType::F32, &special)],
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance {
            rtol: 1e-5,
            atol: 1e-5,
        }
    }
}

elementwise!(Lgamma, "lgamma");
