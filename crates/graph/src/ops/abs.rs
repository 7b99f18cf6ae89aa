//! `|x|` for floats and integers (`i32` wraps at its least value).
//! Derivative: `sign(x)`, so 0 at 0 (PyTorch's convention).

use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block1;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Abs;

static SCALAR: ScalarOp = ScalarOp {
    name: "abs",
    wgsl: |x, _, _| format!("abs({})", x[0]),
    cpu: |class, _| match class {
        Class::F32 => Some(block1!(|x: f32| -> f32 { x.abs() })),
        Class::I32 => Some(block1!(|x: i32| -> i32 { x.wrapping_abs() })),
        Class::U32 => Some(block1!(|x: u32| -> u32 { x })),
        Class::Bool => None,
    },
    cost: 1,
    ..ScalarOp::PLAIN
};

impl Elementwise for Abs {
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
        Derivative::Of(vec![Some(upstream * cx.inputs[0].sign())])
    }

    fn eval(&self, x: &[f64], dtype: DType) -> f64 {
        if dtype.is_float() {
            x[0].abs()
        } else {
            dtype.rounded(x[0].abs())
        }
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
            -3e38,
        ];
        vec![
            Sample::new(Abs, vec![SampleInput::f32(&[5, 7], 0.5, 2.0)]),
            Sample::new(Abs, vec![SampleInput::f32(&[130], -2.0, -0.5)]),
            Sample::new(Abs, vec![SampleInput::f32(&[1], -2.0, -0.5)]),
            Sample::new(Abs, vec![SampleInput::f32(&[0, 3], 0.0, 1.0)]),
            Sample::special(Abs, vec![SampleInput::values(&[7], DType::F32, &special)]),
            Sample::special(
                Abs,
                vec![SampleInput::values(
                    &[4],
                    DType::I32,
                    &[0.0, -7.0, 7.0, -2147483648.0],
                )],
            ),
            Sample::special(
                Abs,
                vec![SampleInput::values(&[2], DType::U32, &[7.0, 4294967295.0])],
            ),
        ]
    }
}

elementwise!(Abs, "abs");
