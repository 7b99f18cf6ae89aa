//! `max(x, 0)` for floats and integers; NaN stays. A primitive and not a comparison and a selection, so that its
//! gradient needs nothing but the result: the operand's buffer is free again after the forward pass.
//! Derivative: 1 where the result is above 0 (or NaN), else 0.

use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block1;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relu;

static SCALAR: ScalarOp = ScalarOp {
    name: "relu",
    wgsl: |x, class, _| match class {
        // The built-in maximum says nothing of NaN.
        Class::F32 => format!("select({0}, 0.0, {0} <= 0.0)", x[0]),
        Class::I32 => format!("max({}, 0)", x[0]),
        _ => x[0].to_string(),
    },
    cpu: |class, _| match class {
        Class::F32 => Some(block1!(|x: f32| -> f32 { if x <= 0.0 { 0.0 } else { x } })),
        Class::I32 => Some(block1!(|x: i32| -> i32 { x.max(0) })),
        Class::U32 => Some(block1!(|x: u32| -> u32 { x })),
        Class::Bool => None,
    },
    cost: 1,
    function: Function::Relu,
    ..ScalarOp::PLAIN
};

impl Elementwise for Relu {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x[0].dtype {
            DType::Bool | DType::U8 => Err(format!("takes numbers, not {}", x[0].dtype)),
            d => Ok(d),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let zero = cx.output.zeros_like();
        let passed = Tensor::where_(&cx.output.le(&zero), &zero, upstream);
        Derivative::Of(vec![Some(passed)])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        if x[0] <= 0.0 { 0.0 } else { x[0] }
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
            Sample::new(Relu, vec![SampleInput::f32(&[5, 7], 0.5, 2.0)]),
            Sample::new(Relu, vec![SampleInput::f32(&[130], -2.0, -0.5)]),
            Sample::new(Relu, vec![SampleInput::f32(&[1], 0.1, 0.5)]),
            Sample::new(Relu, vec![SampleInput::f32(&[0, 3], 0.0, 1.0)]),
            Sample::special(Relu, vec![SampleInput::values(&[7], DType::F32, &special)]),
            Sample::special(
                Relu,
                vec![SampleInput::values(
                    &[4],
                    DType::I32,
                    &[0.0, -7.0, 7.0, -2147483648.0],
                )],
            ),
            Sample::special(
                Relu,
                vec![SampleInput::values(&[2], DType::U32, &[7.0, 4294967295.0])],
            ),
        ]
    }
}

elementwise!(Relu, "relu");
