//! `⌊x⌋`, the greatest integer not above x. Domain: all reals.
//! Derivative: zero, PyTorch's convention at the steps too.

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
pub struct Floor;

static SCALAR: ScalarOp = ScalarOp {
    name: "floor",
    wgsl: |x, _, _| format!("w_floor({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> f32 { math::floor(x) })),
    cost: 1,
    ..ScalarOp::PLAIN
};

impl Elementwise for Floor {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].floor()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(
                Floor,
                vec![SampleInput::values(
                    &[5],
                    DType::F32,
                    &[-1.5, -0.3, 0.4, 1.7, 2.5],
                )],
            ),
            Sample::new(
                Floor,
                vec![SampleInput::values(
                    &[130],
                    DType::F32,
                    &[-1.5, -0.3, 0.4, 1.7, 2.5],
                )],
            ),
            Sample::new(Floor, vec![SampleInput::f32(&[1], 0.6, 0.9)]),
            Sample::new(Floor, vec![SampleInput::f32(&[0, 3], 0.0, 1.0)]),
            Sample::special(
                Floor,
                vec![SampleInput::values(
                    &[15],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        0.5,
                        -0.5,
                        1.5,
                        -1.5,
                        2.5,
                        -2.5,
                        0.49999997,
                        8388609.0,
                        1e30,
                        -1e30,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Floor, "floor");
