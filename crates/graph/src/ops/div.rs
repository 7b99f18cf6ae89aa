//! `a / b` for floats (integers are cast first). Domain: all reals; ±∞ or NaN where b is 0 (IEEE
//! 754).
//! Derivative: `1 / b` and `-a / b²`.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block2;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Div;

static SCALAR: ScalarOp = ScalarOp {
    name: "div",
    wgsl: |x, _, _| format!("({} / {})", x[0], x[1]),
    cpu: |_, _| Some(block2!(|a: f32, b: f32| -> f32 { a / b })),
    cost: 4,
    function: Function::Div,
    ..ScalarOp::PLAIN
};

impl Elementwise for Div {
    const ARITY: usize = 2;

    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let a = upstream / &cx.inputs[1];
        // Through the quotient: b² may overflow or vanish where the result does not.
        let b = -(&a * cx.output);
        Derivative::Of(vec![Some(a), Some(b)])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0] / x[1]
    }

    fn simplify(&self, constant: &dyn Fn(usize) -> Option<f64>) -> Option<usize> {
        (constant(1) == Some(1.0)).then_some(0)
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let f = |shape: &[usize]| {
            vec![
                SampleInput::f32(shape, -2.0, 2.0),
                SampleInput::f32(shape, 0.4, 3.0),
            ]
        };
        let a = [
            1.0,
            -1.0,
            0.0,
            f64::INFINITY,
            f64::INFINITY,
            f64::NAN,
            3.0,
            1e30,
            3.0,
        ];
        let b = [
            0.0,
            0.0,
            0.0,
            2.0,
            f64::INFINITY,
            1.0,
            f64::NEG_INFINITY,
            1e-30,
            -7.0,
        ];
        vec![
            Sample::new(Div, f(&[3, 5])),
            Sample::new(Div, f(&[130])),
            Sample::new(Div, f(&[1])),
            Sample::new(Div, f(&[0])),
            Sample::special(
                Div,
                vec![
                    SampleInput::values(&[9], DType::F32, &a),
                    SampleInput::values(&[9], DType::F32, &b),
                ],
            ),
        ]
    }
}

elementwise!(Div, "div");
