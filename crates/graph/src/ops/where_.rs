//! `a` where the condition holds, else `b`. The condition is a truth value, `a` and `b` have one
//! dtype, any.
//! Derivative: the upstream gradient to the operand that was taken, zero to the other.

use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block3;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module. Operands `condition`, `a`, `b`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Where;

static SCALAR: ScalarOp = ScalarOp {
    name: "where",
    wgsl: |x, _, _| format!("select({}, {}, {})", x[2], x[1], x[0]),
    cpu: |_, _| {
        Some(block3!(|c: bool, a: u32, b: u32| -> u32 {
            if c { a } else { b }
        }))
    },
    cost: 1,
    function: Function::Where,
    ..ScalarOp::PLAIN
};

impl Elementwise for Where {
    const ARITY: usize = 3;

    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        let [condition, a, b] = x else {
            return Err(format!("takes 3 operands, got {}", x.len()));
        };
        if condition.dtype != DType::Bool {
            return Err(format!("the condition is {}, not bool", condition.dtype));
        }
        if a.dtype != b.dtype {
            return Err(format!(
                "operands differ in dtype: {} and {}",
                a.dtype, b.dtype
            ));
        }
        Ok(a.dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let condition = &cx.inputs[0];
        let zero = upstream.zeros_like();
        Derivative::Of(vec![
            None,
            Some(Tensor::where_(condition, upstream, &zero)),
            Some(Tensor::where_(condition, &zero, upstream)),
        ])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        if x[0] != 0.0 { x[1] } else { x[2] }
    }

    fn simplify(&self, constant: &dyn Fn(usize) -> Option<f64>) -> Option<usize> {
        constant(0).map(|c| if c != 0.0 { 1 } else { 2 })
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let condition = |shape: &[usize]| SampleInput::ints(shape, DType::Bool, 0, 2);
        let f = |shape: &[usize]| {
            vec![
                condition(shape),
                SampleInput::f32(shape, -2.0, 2.0),
                SampleInput::f32(shape, -2.0, 2.0),
            ]
        };
        let ints = |dtype| {
            vec![
                condition(&[7]),
                SampleInput::ints(&[7], dtype, 0, 2),
                SampleInput::ints(&[7], dtype, 0, 2),
            ]
        };
        vec![
            Sample::new(Where, f(&[3, 5])),
            Sample::new(Where, f(&[130])),
            Sample::new(Where, f(&[1])),
            Sample::new(Where, f(&[0])),
            Sample::special(
                Where,
                vec![
                    SampleInput::values(&[4], DType::Bool, &[1.0, 0.0, 1.0, 0.0]),
                    SampleInput::values(
                        &[4],
                        DType::F32,
                        &[f64::NAN, f64::NAN, f64::INFINITY, 1.0],
                    ),
                    SampleInput::values(&[4], DType::F32, &[1.0, 2.0, f64::NAN, -0.0]),
                ],
            ),
            Sample::special(Where, ints(DType::I32)),
            Sample::special(Where, ints(DType::U32)),
            Sample::special(Where, ints(DType::Bool)),
        ]
    }
}

elementwise!(Where, "where");
