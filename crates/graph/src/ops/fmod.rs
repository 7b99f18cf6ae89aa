//! `a - trunc(a / b) b`, exact, with the sign of a: C's `fmod`, PyTorch's `torch.fmod`. For floats,
//! NaN where b is 0 or a infinite; for integers, 0 where b is 0.
//! Derivative: `1` and `-trunc(a / b)`.

use super::elementwise::same_dtype;
use super::trunc::Trunc;
use super::{Derivative, Derive, Elementwise, Operand, Tolerance, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block2;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fmod;

static SCALAR: ScalarOp = ScalarOp {
    name: "fmod",
    wgsl: |x, class, _| match class {
        Class::F32 => format!("w_fmod({}, {})", x[0], x[1]),
        // A divisor known to be 0 when the shader is made would be refused.
        Class::I32 => format!(
            "select({0} % select({1}, 1, {1} == 0), 0, {1} == 0)",
            x[0], x[1]
        ),
        _ => format!(
            "select({0} % select({1}, 1u, {1} == 0u), 0u, {1} == 0u)",
            x[0], x[1]
        ),
    },
    cpu: |class, _| match class {
        Class::F32 => Some(block2!(|a: f32, b: f32| -> f32 { math::fmod(a, b) })),
        Class::I32 => Some(block2!(|a: i32, b: i32| -> i32 {
            if b == 0 { 0 } else { a.wrapping_rem(b) }
        })),
        Class::U32 => Some(block2!(|a: u32, b: u32| -> u32 {
            if b == 0 { 0 } else { a % b }
        })),
        Class::Bool => None,
    },
    cost: 25,
    // Eight bits of a quotient of up to 254, and one bit of an exponent.
    rounds: |operand| if operand == Class::F32 { 32 } else { 0 },
    ..ScalarOp::PLAIN
};

impl Elementwise for Fmod {
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
        let quotient = Tensor::record(Trunc, &[&(&cx.inputs[0] / &cx.inputs[1])]);
        Derivative::Of(vec![Some(upstream.clone()), Some(-(upstream * quotient))])
    }

    fn eval(&self, x: &[f64], dtype: DType) -> f64 {
        if !dtype.is_float() && x[1] == 0.0 {
            0.0
        } else {
            x[0] % x[1]
        }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        // The quotient stays between 2.1 and 2.95, away from the steps.
        let f = |shape: &[usize]| {
            vec![
                SampleInput::f32(shape, 3.2, 3.8),
                SampleInput::f32(shape, 1.3, 1.5),
            ]
        };
        let pair = |dtype, a: &[f64], b: &[f64]| {
            vec![
                SampleInput::values(&[a.len()], dtype, a),
                SampleInput::values(&[b.len()], dtype, b),
            ]
        };
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        vec![
            Sample::new(Fmod, f(&[3, 5])),
            Sample::new(Fmod, f(&[130])),
            Sample::new(Fmod, f(&[1])),
            Sample::new(Fmod, f(&[0])),
            Sample::special(
                Fmod,
                pair(
                    DType::F32,
                    &[
                        5.5, -5.5, 5.5, -5.5, 0.0, -0.0, nan, 1.0, inf, 1.0, 1.0, 6.0, 1e10, 3e38,
                    ],
                    &[
                        2.0, 2.0, -2.0, -2.0, 2.0, 2.0, 1.0, nan, 2.0, inf, 0.0, 3.0, 0.7, 3.0,
                    ],
                ),
            ),
            Sample::special(
                Fmod,
                pair(
                    DType::I32,
                    &[7.0, -7.0, 7.0, -7.0, 5.0, -2147483648.0],
                    &[3.0, 3.0, -3.0, -3.0, 0.0, -1.0],
                ),
            ),
            Sample::special(
                Fmod,
                pair(DType::U32, &[7.0, 4294967295.0, 5.0], &[3.0, 10.0, 0.0]),
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance {
            rtol: 0.0,
            atol: 0.0,
        }
    }
}

elementwise!(Fmod, "fmod");
