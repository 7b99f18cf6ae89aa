//! `1` where x > 0, `-1` where x < 0, else `0`: PyTorch's convention, by which NaN gives 0 too.
//! For floats and integers. Derivative: zero.

use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block1;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sign;

static SCALAR: ScalarOp = ScalarOp {
    name: "sign",
    wgsl: |x, class, _| match class {
        // The built-in says nothing of NaN.
        Class::F32 => format!("(f32({0} > 0.0) - f32({0} < 0.0))", x[0]),
        Class::I32 => format!("sign({})", x[0]),
        _ => format!("min({}, 1u)", x[0]),
    },
    cpu: |class, _| match class {
        Class::F32 => Some(block1!(|x: f32| -> f32 {
            let positive = if x > 0.0 { 1.0 } else { 0.0 };
            if x < 0.0 { -1.0 } else { positive }
        })),
        Class::I32 => Some(block1!(|x: i32| -> i32 { x.signum() })),
        Class::U32 => Some(block1!(|x: u32| -> u32 { x.min(1) })),
        Class::Bool => None,
    },
    cost: 1,
    ..ScalarOp::PLAIN
};

impl Elementwise for Sign {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x[0].dtype {
            DType::Bool | DType::U8 => Err(format!("takes numbers, not {}", x[0].dtype)),
            d => Ok(d),
        }
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        f64::from(i8::from(x[0] > 0.0) - i8::from(x[0] < 0.0))
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let special = [
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -1e-30,
            3e38,
        ];
        vec![
            Sample::new(Sign, vec![SampleInput::f32(&[5, 7], 0.5, 2.0)]),
            Sample::new(Sign, vec![SampleInput::f32(&[130], -2.0, -0.5)]),
            Sample::new(Sign, vec![SampleInput::f32(&[1], -2.0, -0.5)]),
            Sample::new(Sign, vec![SampleInput::f32(&[0, 3], 0.0, 1.0)]),
            Sample::special(Sign, vec![SampleInput::values(&[7], DType::F32, &special)]),
            Sample::special(
                Sign,
                vec![SampleInput::values(
                    &[4],
                    DType::I32,
                    &[0.0, -7.0, 7.0, -2147483648.0],
                )],
            ),
            Sample::special(
                Sign,
                vec![SampleInput::values(
                    &[3],
                    DType::U32,
                    &[0.0, 7.0, 4294967295.0],
                )],
            ),
        ]
    }
}

elementwise!(Sign, "sign");
