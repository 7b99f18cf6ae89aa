//! `tanh(x)`, the hyperbolic tangent. Domain: all reals; ±1 at ±∞.
//! Derivative: `1 - tanh(x)²`.

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
pub struct Tanh;

static SCALAR: ScalarOp = ScalarOp {
    name: "tanh",
    wgsl: |x, _, _| format!("w_tanh({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::tanh_fused::<FUSED>(x) })),
    cost: 12,
    ..ScalarOp::PLAIN
};

impl Elementwise for Tanh {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream * (1.0 - cx.output.square()))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].tanh()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Tanh, vec![SampleInput::f32(&[5, 7], -3.0, 3.0)]),
            Sample::new(Tanh, vec![SampleInput::f32(&[130], -3.0, 3.0)]),
            Sample::new(Tanh, vec![SampleInput::f32(&[1], -3.0, 3.0)]),
            Sample::new(Tanh, vec![SampleInput::f32(&[0, 3], -3.0, 3.0)]),
            Sample::special(
                Tanh,
                vec![SampleInput::values(
                    &[10],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        9.0,
                        -9.0,
                        20.0,
                        -1e10,
                        1e-10,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Tanh, "tanh");
