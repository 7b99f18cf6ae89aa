//! `a * b` for floats and integers (wrapping). For truth values use [`Min`](super::min::Min).
//! Derivative: the upstream gradient times the other operand.

use super::elementwise::same_dtype;
use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block2;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mul;

static SCALAR: ScalarOp = ScalarOp {
    name: "mul",
    wgsl: |x, _, _| format!("({} * {})", x[0], x[1]),
    cpu: |class, _| match class {
        Class::F32 => Some(block2!(|a: f32, b: f32| -> f32 { a * b })),
        Class::I32 | Class::U32 => Some(block2!(|a: u32, b: u32| -> u32 { a.wrapping_mul(b) })),
        Class::Bool => None,
    },
    cost: 1,
    function: Function::Mul,
    ..ScalarOp::PLAIN
};

impl Elementwise for Mul {
    const ARITY: usize = 2;

    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        same_dtype(x)?;
        match x[0].dtype {
            DType::Bool | DType::U8 => Err(format!("takes numbers, not {}", x[0].dtype)),
            d => Ok(d),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![
            Some(upstream * &cx.inputs[1]),
            Some(upstream * &cx.inputs[0]),
        ])
    }

    fn eval(&self, x: &[f64], dtype: DType) -> f64 {
        // A product of two 32-bit integers is too long for f64.
        let integers = || (x[0] as i64).wrapping_mul(x[1] as i64);
        match dtype.class() {
            Class::F32 => x[0] * x[1],
            Class::I32 => f64::from(integers() as i32),
            _ => f64::from(integers() as u32),
        }
    }

    fn simplify(&self, constant: &dyn Fn(usize) -> Option<f64>) -> Option<usize> {
        (0..2).find(|&i| constant(i) == Some(1.0)).map(|i| 1 - i)
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let f = |shape: &[usize]| {
            vec![
                SampleInput::f32(shape, -2.0, 2.0),
                SampleInput::f32(shape, -2.0, 2.0),
            ]
        };
        let special = |dtype, a: &[f64], b: &[f64]| {
            Sample::special(
                Mul,
                vec![
                    SampleInput::values(&[a.len()], dtype, a),
                    SampleInput::values(&[b.len()], dtype, b),
                ],
            )
        };
        vec![
            Sample::new(Mul, f(&[3, 5])),
            Sample::new(Mul, f(&[130])),
            Sample::new(Mul, f(&[1])),
            Sample::new(Mul, f(&[0])),
            special(
                DType::F32,
                &[f64::NAN, f64::INFINITY, f64::INFINITY, -0.0, 3e38, 1e-30],
                &[1.0, 0.0, -2.0, 3.0, 3e38, -1e30],
            ),
            special(
                DType::I32,
                &[7.0, 2147483647.0, -2147483648.0, 65537.0],
                &[-9.0, 2147483647.0, -1.0, 65537.0],
            ),
            special(
                DType::U32,
                &[7.0, 4294967295.0, 65537.0],
                &[9.0, 4294967295.0, 65537.0],
            ),
        ]
    }
}

elementwise!(Mul, "mul");
