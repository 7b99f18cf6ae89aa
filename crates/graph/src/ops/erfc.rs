//! `erfc(x) = 1 − erf(x)`, accurate where it vanishes. Domain: all reals; 2 and 0 at ∓∞.
//! Derivative: `−2/√π exp(−x²)`.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::error_function::ERFC;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;
use std::f64::consts::FRAC_2_SQRT_PI;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Erfc;

static SCALAR: ScalarOp = ScalarOp {
    name: "erfc",
    wgsl: |x, _, _| format!("w_erfc({})", x[0]),
    cpu: |_, _| Some(ERFC),
    cost: 18,
    function: Function::Erfc,
    ..ScalarOp::PLAIN
};

/// Below 2 by `2/√π exp(−x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!`, above by the continued fraction
/// `exp(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …))))` (Abramowitz and Stegun, 7.1.6 and 7.1.14).
pub(super) fn complement(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x < 0.0 {
        return 2.0 - complement(-x);
    }
    if x > 30.0 {
        return 0.0;
    }
    let e = FRAC_2_SQRT_PI * (-x * x).exp();
    if x < 2.0 {
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term > 1e-17 * sum {
            odd += 2.0;
            term *= 2.0 * x * x / odd;
            sum += term;
        }
        return 1.0 - e * sum;
    }
    let fraction = (1..120).rev().fold(x, |f, k| x + 0.5 * f64::from(k) / f);
    0.5 * e / fraction
}

impl Elementwise for Erfc {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(
            upstream * ((-cx.inputs[0].square()).exp() * -FRAC_2_SQRT_PI),
        )])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        complement(x[0])
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Erfc, vec![SampleInput::f32(&[5, 7], -3.0, 3.0)]),
            Sample::new(Erfc, vec![SampleInput::f32(&[130], -3.0, 3.0)]),
            Sample::new(Erfc, vec![SampleInput::f32(&[1], -3.0, 3.0)]),
            Sample::new(Erfc, vec![SampleInput::f32(&[0, 3], -3.0, 3.0)]),
            Sample::special(
                Erfc,
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
                        9.0,
                        -1e10,
                        1e-10,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Erfc, "erfc");
