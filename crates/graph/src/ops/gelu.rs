//! `x Φ(x)` with the normal distribution function Φ (Hendrycks and Gimpel, 2016). A primitive, as its gate and its slope are made of
//! one exponential and one polynomial. −0 far below zero, NaN at −∞. Derivative: [`GeluSlope`].

use super::gelu_slope::GeluSlope;
use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::Sample;
use crate::dtype::DType;
use crate::plan::ScalarOp;
use crate::simd::error_function::GELU;
use crate::tensor::Tensor;
use std::f64::consts::FRAC_1_SQRT_2;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gelu;

static SCALAR: ScalarOp = ScalarOp {
    name: "gelu",
    wgsl: |x, _, _| format!("w_gelu({})", x[0]),
    cpu: |_, _| Some(GELU),
    cost: 20,
    ..ScalarOp::PLAIN
};

impl Elementwise for Gelu {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let slope = Tensor::record(GeluSlope, &[&cx.inputs[0]]);
        Derivative::Of(vec![Some(slope * upstream)])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        super::erfc::complement(x[0] * -FRAC_1_SQRT_2) * (x[0] * 0.5)
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let sample = |(smooth, input)| match smooth {
            true => Sample::new(Gelu, vec![input]),
            false => Sample::special(Gelu, vec![input]),
        };
        super::gelu_slope::samples().map(sample).collect()
    }
}

elementwise!(Gelu, "gelu");
