//! `1 / (1 + exp(−x))`. Domain: all reals; accurate where it vanishes, 0 and 1 at ∓∞.
//! Derivative: `s (1 − s)`, of the value `s`.

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
pub struct Sigmoid;

static SCALAR: ScalarOp = ScalarOp {
    name: "sigmoid",
    wgsl: |x, _, _| format!("w_recip(1.0 + w_exp(-({})))", x[0]),
    cpu: |_, _| {
        Some(block1!(|x: f32| -> f32 {
            math::recip(1.0 + math::exp_fused::<FUSED>(-x))
        }))
    },
    cost: 12,
    ..ScalarOp::PLAIN
};

impl Elementwise for Sigmoid {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream * (cx.output * (1.0 - cx.output)))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        1.0 / (1.0 + (-x[0]).exp())
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Sigmoid, vec![SampleInput::f32(&[5, 7], -4.0, 4.0)]),
            Sample::new(Sigmoid, vec![SampleInput::f32(&[130], -4.0, 4.0)]),
            Sample::new(Sigmoid, vec![SampleInput::f32(&[1], -4.0, 4.0)]),
            Sample::new(Sigmoid, vec![SampleInput::f32(&[0, 3], -4.0, 4.0)]),
            Sample::special(
                Sigmoid,
                vec![SampleInput::values(
                    &[11],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        30.0,
                        -30.0,
                        -80.0,
                        1e10,
                        -1e10,
                        1e-10,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Sigmoid, "sigmoid");
