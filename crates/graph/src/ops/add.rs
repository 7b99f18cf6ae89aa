//! `a + b` for floats and integers (wrapping). For truth values use [`Max`](super::max::Max).
//! Derivative: the upstream gradient, to both.

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
pub struct Add;

static SCALAR: ScalarOp = ScalarOp {
    name: "add",
    wgsl: |x, _, _| format!("({} + {})", x[0], x[1]),
    cpu: |class, _| match class {
        Class::F32 => Some(block2!(|a: f32, b: f32| -> f32 { a + b })),
        Class::I32 | Class::U32 => Some(block2!(|a: u32, b: u32| -> u32 { a.wrapping_add(b) })),
        Class::Bool => None,
    },
    cost: 1,
    function: Function::Add,
    ..ScalarOp::PLAIN
};

impl Elementwise for Add {
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

    fn derivative(&self, _: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream.clone()), Some(upstream.clone())])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0] + x[1]
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let f = |shape: &[usize]| SampleInput::f32(shape, -2.0, 2.0);
        vec![
            Sample::new(Add, vec![f(&[3, 5]), f(&[3, 5])]),
            Sample::new(Add, vec![f(&[1]), f(&[1])]),
            Sample::new(Add, vec![f(&[0]), f(&[0])]),
            Sample::special(
                Add,
                vec![
                    SampleInput::values(&[4], DType::F32, &[f64::NAN, f64::INFINITY, f64::INFINITY, -0.0]),
                    SampleInput::values(&[4], DType::F32, &[1.0, f64::NEG_INFINITY, 1.0, -0.0]),
                ],
            ),
            Sample::special(
                Add,
                vec![SampleInput::ints(&[7], DType::I32, -9, 9), SampleInput::ints(&[7], DType::I32, -9, 9)],
            ),
        ]
    }
}

elementwise!(Add, "add");
