//! The larger of `a` and `b`; NaN if either is NaN (IEEE 754-2019 `maximum`). For every dtype; of
//! truth values, whether either holds.
//! Derivative: the upstream gradient to the larger operand; half to each where they are equal, and
//! all of it to both where one is NaN (PyTorch's `maximum`).

use super::elementwise::same_dtype;
use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block2;
use crate::math;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Max;

static SCALAR: ScalarOp = ScalarOp {
    name: "max",
    wgsl: |x, class, _| match class {
        Class::F32 => format!("w_max({}, {})", x[0], x[1]),
        Class::I32 | Class::U32 => format!("max({}, {})", x[0], x[1]),
        Class::Bool => format!("({} | {})", x[0], x[1]),
    },
    cpu: |class, _| {
        Some(match class {
            Class::F32 => block2!(|a: f32, b: f32| -> f32 { math::max(a, b) }),
            Class::I32 => block2!(|a: i32, b: i32| -> i32 { a.max(b) }),
            Class::U32 | Class::Bool => block2!(|a: u32, b: u32| -> u32 { a.max(b) }),
        })
    },
    cost: 1,
    function: Function::Max,
    ..ScalarOp::PLAIN
};

impl Elementwise for Max {
    const ARITY: usize = 2;

    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        same_dtype(x)?;
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (a, b) = (&cx.inputs[0], &cx.inputs[1]);
        let shared = Tensor::where_(&a.eq(b), &(upstream * 0.5), upstream);
        let zero = upstream.zeros_like();
        Derivative::Of(vec![
            Some(Tensor::where_(&a.lt(b), &zero, &shared)),
            Some(Tensor::where_(&b.lt(a), &zero, &shared)),
        ])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        if x[0] > x[1] || x[0].is_nan() {
            x[0]
        } else {
            x[1]
        }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let pair = |shape: &[usize], dtype, a: &[f64], b: &[f64]| {
            vec![
                SampleInput::values(shape, dtype, a),
                SampleInput::values(shape, dtype, b),
            ]
        };
        // Far enough apart for finite differences.
        let (a, b) = ([0.5, -1.0, 2.0, 0.25, -3.0], [1.0, -1.5, 0.5, 0.75, -2.0]);
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let special = (
            [nan, 1.0, nan, inf, -inf, 1.0, -inf],
            [1.0, nan, nan, 1.0, 1.0, 1.0, inf],
        );
        let integers = (
            [-2147483648.0, 3.0, 3.0, -1.0],
            [2147483647.0, -3.0, 3.0, 0.0],
        );
        let words = ([0.0, 3.0, 4294967295.0], [2147483648.0, 2.0, 1.0]);
        let truth = ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]);
        vec![
            Sample::new(Max, pair(&[5], DType::F32, &a, &b)),
            Sample::new(Max, pair(&[26, 5], DType::F32, &a, &b)),
            Sample::new(Max, pair(&[1], DType::F32, &a, &b)),
            Sample::new(Max, pair(&[0], DType::F32, &a, &b)),
            Sample::special(Max, pair(&[7], DType::F32, &special.0, &special.1)),
            Sample::special(Max, pair(&[4], DType::I32, &integers.0, &integers.1)),
            Sample::special(Max, pair(&[3], DType::U32, &words.0, &words.1)),
            Sample::special(Max, pair(&[4], DType::Bool, &truth.0, &truth.1)),
        ]
    }
}

elementwise!(Max, "max");
