//! `Φ(x) + x φ(x)` with the normal distribution function Φ and its density φ: the derivative of `x Φ(x)`. NaN at
//! infinities, as PyTorch's. Derivative: `φ(x) (2 − x²)`.

use super::{Derivative, Derive, Elementwise, Tolerance, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use super::settle::Settle;
use crate::dtype::DType;
use crate::plan::{Function, ScalarOp};
use crate::simd::error_function::GELU_SLOPE;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GeluSlope;

static SCALAR: ScalarOp = ScalarOp {
    name: "gelu_slope",
    wgsl: |x, _, _| format!("w_gelu_slope({})", x[0]),
    cpu: |_, _| Some(GELU_SLOPE),
    cost: 22,
    function: Function::GeluSlope,
    ..ScalarOp::PLAIN
};

/// `1/√(2π)`.
const PEAK: f64 = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

impl Elementwise for GeluSlope {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        // Where the density is 0 the square does not overflow.
        let x = Tensor::record(Settle, &[&cx.inputs[0]]);
        let square = x.square();
        let density = (&square * -0.5).exp() * PEAK;
        Derivative::Of(vec![Some(upstream * (density * (2.0 - square)))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        let x = x[0];
        let density = PEAK * (-0.5 * x * x).exp();
        0.5 * super::erfc::complement(x * -FRAC_1_SQRT_2) + x * density
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let sample = |(smooth, input)| match smooth {
            true => Sample::new(GeluSlope, vec![input]),
            false => Sample::special(GeluSlope, vec![input]),
        };
        samples().map(sample).collect()
    }

    fn tolerance() -> Tolerance {
        // Both terms nearly cancel around −0.75.
        Tolerance {
            rtol: 2e-6,
            atol: 3e-7,
        }
    }
}

/// Operands for this and what it is the slope of, and whether derivatives are looked at there.
#[cfg(any(test, feature = "samples"))]
pub(super) fn samples() -> std::array::IntoIter<(bool, SampleInput), 5> {
    let special = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.751_791_5,
        -13.0,
        20.0,
        -1e30,
        3e38,
    ];
    [
        (true, SampleInput::f32(&[5, 7], -3.0, 3.0)),
        (true, SampleInput::f32(&[130], -6.0, 6.0)),
        (true, SampleInput::f32(&[1], -3.0, 3.0)),
        (true, SampleInput::f32(&[0, 3], -3.0, 3.0)),
        (false, SampleInput::values(&[10], DType::F32, &special)),
    ]
    .into_iter()
}

elementwise!(GeluSlope, "gelu_slope");
