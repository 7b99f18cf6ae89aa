//! The inverse of the error function. Domain: −1 … 1; ±∞ at the ends, NaN beyond.
//! Derivative: `√π/2 exp(y²)`, of the value `y`.

use super::{Derivative, Derive, Elementwise, Tolerance, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block1;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Erfinv;

static SCALAR: ScalarOp = ScalarOp {
    name: "erfinv",
    wgsl: |x, _, _| format!("w_erfinv({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::erfinv(x) })),
    cost: 30,
    ..ScalarOp::PLAIN
};

/// Newton's method on `erfc(y) = 1 − |x|`, from below: the complement is convex there, so it cannot overshoot.
fn inverse(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 1.0 {
        return f64::NAN;
    }
    let target = 1.0 - x.abs();
    if target == 0.0 {
        return f64::INFINITY.copysign(x);
    }
    if x.abs() < 1e-4 {
        // Newton's method would lose what 1 − |x| does. The next term of the series is below 1e-16.
        let t = PI * x * x;
        return x / FRAC_2_SQRT_PI * (1.0 + t / 12.0 + 7.0 * t * t / 480.0);
    }
    let mut y = 0.0f64;
    for _ in 0..200 {
        let step = (super::erfc::complement(y) - target) / (FRAC_2_SQRT_PI * (-y * y).exp());
        y += step;
        if step.abs() <= 1e-16 * y.abs() {
            break;
        }
    }
    y.copysign(x)
}

impl Elementwise for Erfinv {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let slope = cx.output.square().exp() * (1.0 / FRAC_2_SQRT_PI);
        Derivative::Of(vec![Some(upstream * slope)])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        inverse(x[0])
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1.5,
            f64::NAN,
            0.9999999,
            -0.99999,
            1e-10,
            f64::INFINITY,
        ];
        vec![
            Sample::new(Erfinv, vec![SampleInput::f32(&[5, 7], -0.9, 0.9)]),
            Sample::new(Erfinv, vec![SampleInput::f32(&[130], -0.9, 0.9)]),
            Sample::new(Erfinv, vec![SampleInput::f32(&[1], -0.5, 0.5)]),
            Sample::new(Erfinv, vec![SampleInput::f32(&[0, 3], -0.5, 0.5)]),
            Sample::special(
                Erfinv,
                vec![SampleInput::values(&[10], DType::F32, &special)],
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance {
            rtol: 5e-6,
            atol: 1e-7,
        }
    }
}

elementwise!(Erfinv, "erfinv");
