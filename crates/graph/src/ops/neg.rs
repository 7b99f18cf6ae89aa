//! `-x` for floats (the sign bit, so −0 for 0) and integers (wrapping, `u32` too).
//! Derivative: `-1`.

use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block1;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Neg;

static SCALAR: ScalarOp = ScalarOp {
    name: "neg",
    wgsl: |x, class, _| match class {
        Class::U32 => format!("(0u - {})", x[0]),
        _ => format!("(-({}))", x[0]),
    },
    cpu: |class, _| match class {
        Class::F32 => Some(block1!(|x: f32| -> f32 { -x })),
        Class::I32 | Class::U32 => Some(block1!(|x: u32| -> u32 { x.wrapping_neg() })),
        Class::Bool => None,
    },
    cost: 1,
    function: Function::Neg,
    ..ScalarOp::PLAIN
};

impl Elementwise for Neg {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x[0].dtype {
            DType::Bool | DType::U8 => Err(format!("takes numbers, not {}", x[0].dtype)),
            d => Ok(d),
        }
    }

    fn derivative(&self, _: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(-upstream)])
    }

    fn eval(&self, x: &[f64], dtype: DType) -> f64 {
        if dtype.is_float() {
            -x[0]
        } else {
            dtype.rounded(-x[0])
        }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let special = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        vec![
            Sample::new(Neg, vec![SampleInput::f32(&[5, 7], -2.0, 2.0)]),
            Sample::new(Neg, vec![SampleInput::f32(&[130], -2.0, 2.0)]),
            Sample::new(Neg, vec![SampleInput::f32(&[1], -2.0, 2.0)]),
            Sample::new(Neg, vec![SampleInput::f32(&[0, 3], 0.0, 1.0)]),
            Sample::special(Neg, vec![SampleInput::values(&[5], DType::F32, &special)]),
            Sample::special(
                Neg,
                vec![SampleInput::values(
                    &[4],
                    DType::I32,
                    &[0.0, 7.0, 2147483647.0, -2147483648.0],
                )],
            ),
            Sample::special(
                Neg,
                vec![SampleInput::values(
                    &[3],
                    DType::U32,
                    &[0.0, 7.0, 4294967295.0],
                )],
            ),
        ]
    }
}

elementwise!(Neg, "neg");
