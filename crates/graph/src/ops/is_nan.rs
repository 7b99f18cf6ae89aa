//! Whether a float is NaN, as a truth value.
//! Derivative: none flows through a truth value.

use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block1;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IsNan;

static SCALAR: ScalarOp = ScalarOp {
    name: "isnan",
    wgsl: |x, _, _| format!("w_is_nan({})", x[0]),
    cpu: |_, _| Some(block1!(|x: f32| -> bool { x.is_nan() })),
    cost: 1,
    ..ScalarOp::PLAIN
};

impl Elementwise for IsNan {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        if x[0].dtype.is_float() {
            Ok(DType::Bool)
        } else {
            Err(format!("takes floats, not {}", x[0].dtype))
        }
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        f64::from(u8::from(x[0].is_nan()))
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let special = [
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -f64::NAN,
            3e38,
        ];
        vec![
            Sample::special(IsNan, vec![SampleInput::f32(&[5, 7], -2.0, 2.0)]),
            Sample::special(
                IsNan,
                vec![SampleInput::values(&[1], DType::F32, &special[2..3])],
            ),
            Sample::special(IsNan, vec![SampleInput::f32(&[0, 3], 0.0, 1.0)]),
            Sample::special(
                IsNan,
                vec![SampleInput::values(&[130], DType::F32, &special)],
            ),
            Sample::special(IsNan, vec![SampleInput::values(&[7], DType::F16, &special)]),
        ]
    }
}

elementwise!(IsNan, "isnan");
