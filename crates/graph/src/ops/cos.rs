//! `cos(x)`, x in radians. Domain: all reals, range reduction is exact for large ones; NaN at ±∞.
//! Derivative: `-sin(x)`.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block1;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;
#[cfg(any(test, feature = "samples"))]
use std::f64::consts::{FRAC_PI_2, PI};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cos;

static SCALAR: ScalarOp = ScalarOp {
    name: "cos",
    wgsl: |x, _, _| format!("w_cos({})", x[0]),
    cpu: |_, _| Some(block),
    cost: 15,
    ..ScalarOp::PLAIN
};

block1!(narrow, |x: f32| -> f32 { math::cos_narrow(x) });
block1!(wide, |x: f32| -> f32 { math::cos(x) });

/// The narrow reduction vectorises; one wide argument sends the block the other way, with the same
/// bits elsewhere.
fn block(out: &mut [u32], args: &[&[u32]]) {
    if math::any_wide(bytemuck::cast_slice(args[0])) {
        wide(out, args)
    } else {
        narrow(out, args)
    }
}

impl Elementwise for Cos {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(-(upstream * cx.inputs[0].sin()))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].cos()
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Cos, vec![SampleInput::f32(&[5, 7], -6.0, 6.0)]),
            Sample::new(Cos, vec![SampleInput::f32(&[130], -6.0, 6.0)]),
            Sample::new(Cos, vec![SampleInput::f32(&[1], -6.0, 6.0)]),
            Sample::new(Cos, vec![SampleInput::f32(&[0, 3], -6.0, 6.0)]),
            Sample::special(
                Cos,
                vec![SampleInput::values(
                    &[11],
                    DType::F32,
                    &[
                        0.0,
                        -0.0,
                        f64::NAN,
                        f64::INFINITY,
                        f64::NEG_INFINITY,
                        PI,
                        FRAC_PI_2,
                        1e4,
                        -1e5,
                        3e10,
                        1e-10,
                    ],
                )],
            ),
        ]
    }
}

elementwise!(Cos, "cos");
