//! `!x`, the negation of a truth value.
//! Derivative: none flows through a truth value.

use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block1;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Not;

static SCALAR: ScalarOp = ScalarOp {
    name: "not",
    wgsl: |x, _, _| format!("(!{})", x[0]),
    cpu: |_, _| Some(block1!(|x: bool| -> bool { !x })),
    cost: 1,
    function: Function::Not,
    ..ScalarOp::PLAIN
};

impl Elementwise for Not {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x[0].dtype {
            DType::Bool => Ok(DType::Bool),
            d => Err(format!("takes truth values, not {d}")),
        }
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        1.0 - x[0]
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        [&[5, 7][..], &[130], &[1], &[0, 3]]
            .map(|shape| Sample::special(Not, vec![SampleInput::ints(shape, DType::Bool, 0, 2)]))
            .to_vec()
    }
}

elementwise!(Not, "not");
