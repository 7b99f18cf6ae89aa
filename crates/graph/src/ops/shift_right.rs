//! `a >> b` of u32, zeros from the left; only the lowest five bits of `b` count.
//! Derivative: none, integers.

use super::elementwise::same_dtype;
use super::{Derivative, Derive, Elementwise, Operand, Tolerance, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block2;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShiftRight;

static SCALAR: ScalarOp = ScalarOp {
    name: "shift_right",
    wgsl: |x, _, _| format!("({} >> ({} & 31u))", x[0], x[1]),
    cpu: |_, _| Some(block2!(|a: u32, b: u32| -> u32 { a >> (b & 31) })),
    cost: 1,
    ..ScalarOp::PLAIN
};

impl Elementwise for ShiftRight {
    const ARITY: usize = 2;

    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        same_dtype(x)?;
        if x[0].dtype == DType::U32 { Ok(DType::U32) } else { Err(format!("takes u32, not {}", x[0].dtype)) }
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None, None])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        f64::from(x[0] as u32 >> (x[1] as u32 & 31))
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let words = [0.0, 1.0, 255.0, 256.0, 4_294_967_295.0, 2_147_483_648.0, 65_537.0];
        vec![Sample::special(
            ShiftRight,
            vec![
                SampleInput::values(&[7], DType::U32, &words),
                SampleInput::values(&[7], DType::U32, &[0.0, 1.0, 8.0, 8.0, 31.0, 24.0, 16.0]),
            ],
        )]
    }

    fn tolerance() -> Tolerance {
        Tolerance { rtol: 0.0, atol: 0.0 }
    }
}

elementwise!(ShiftRight, "shift_right");
