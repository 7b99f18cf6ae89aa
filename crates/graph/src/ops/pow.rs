//! `a^b` for floats, with C's special cases (`pow(x, 0) = pow(1, y) = 1`, NaN for a negative base
//! and a fractional exponent), and for integers, wrapping, where a negative exponent gives 0 unless
//! the base is 1 or −1.
//! Derivative: `b a^(b-1)`, which is 0 where b = 0, and `a^b log(a)`, which is 0 where a = 0 and b
//! ≥ 0 (PyTorch's).

use super::elementwise::same_dtype;
use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block2;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pow;

static SCALAR: ScalarOp = ScalarOp {
    name: "pow",
    wgsl: |x, class, _| match class {
        Class::F32 => format!("w_pow({}, {})", x[0], x[1]),
        Class::I32 => format!("w_pow_i32({}, {})", x[0], x[1]),
        _ => format!("w_pow_u32({}, {})", x[0], x[1]),
    },
    cpu: |class, _| match class {
        Class::F32 => Some(block2!(|a: f32, b: f32| -> f32 { math::pow(a, b) })),
        Class::I32 => Some(block2!(|a: i32, b: i32| -> i32 {
            integer_power(i64::from(a), i64::from(b)) as i32
        })),
        Class::U32 => Some(block2!(|a: u32, b: u32| -> u32 { a.wrapping_pow(b) })),
        Class::Bool => None,
    },
    cost: 25,
    rounds: |operand| if operand == Class::F32 { 0 } else { 32 },
    ..ScalarOp::PLAIN
};

/// `a^b` modulo 2⁶⁴, so that its low word is right for 32-bit operands of either sign.
fn integer_power(a: i64, b: i64) -> i64 {
    match (u32::try_from(b), a) {
        (Ok(b), _) => a.wrapping_pow(b),
        (_, 1) => 1,
        (_, -1) => 1 - 2 * (b & 1),
        _ => 0,
    }
}

impl Elementwise for Pow {
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
        let (a, b) = (&cx.inputs[0], &cx.inputs[1]);
        // The operands are replaced, not the result: an infinity behind a mask would come back as
        // NaN one order on. 1 for a base whose power −1 overflows, where b = 0 makes the product 0
        // all the same.
        let usual = b.ne_scalar(0.0).maximum(&a.abs().gt_scalar(1e-37));
        let base = Tensor::where_(&usual, a, &a.ones_like());
        let to_base = upstream * (b * base.pow(&(b - 1.0)));
        // log 1 = 0 where the power of 0 is finite.
        let finite = a.ne_scalar(0.0).maximum(&b.lt_scalar(0.0));
        let log = Tensor::where_(&finite, a, &a.ones_like()).log();
        Derivative::Of(vec![Some(to_base), Some(upstream * (cx.output * log))])
    }

    fn eval(&self, x: &[f64], dtype: DType) -> f64 {
        let integers = || integer_power(x[0] as i64, x[1] as i64);
        match dtype.class() {
            Class::F32 => x[0].powf(x[1]),
            Class::I32 => f64::from(integers() as i32),
            _ => f64::from(integers() as u32),
        }
    }

    fn simplify(&self, constant: &dyn Fn(usize) -> Option<f64>) -> Option<usize> {
        (constant(1) == Some(1.0)).then_some(0)
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let f = |shape: &[usize]| {
            vec![
                SampleInput::f32(shape, 0.3, 3.0),
                SampleInput::f32(shape, -2.0, 3.0),
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
            Sample::new(Pow, f(&[3, 5])),
            Sample::new(Pow, f(&[130])),
            Sample::new(Pow, f(&[1])),
            Sample::new(Pow, f(&[0])),
            // Negative bases have derivatives with respect to the base only.
            Sample::special(
                Pow,
                pair(
                    DType::F32,
                    &[-2.0, -1.5, -3.0, -2.0, -8.0],
                    &[2.0, 3.0, -1.0, 0.0, 0.5],
                ),
            ),
            Sample::special(
                Pow,
                pair(
                    DType::F32,
                    &[
                        0.0, 0.0, 0.0, 1.0, nan, nan, 2.0, inf, inf, 0.5, -inf, -0.0, 10.0, 10.0,
                    ],
                    &[
                        0.0, 2.0, -1.0, nan, 0.0, 1.0, nan, 2.0, -2.0, inf, 3.0, -3.0, 38.0, 39.0,
                    ],
                ),
            ),
            Sample::special(
                Pow,
                pair(
                    DType::I32,
                    &[2.0, -3.0, 1.0, -1.0, -1.0, 7.0, 0.0, 3.0, 0.0, -1.0],
                    &[
                        10.0,
                        3.0,
                        -5.0,
                        -3.0,
                        -4.0,
                        -1.0,
                        0.0,
                        40.0,
                        -1.0,
                        2147483647.0,
                    ],
                ),
            ),
            Sample::special(
                Pow,
                pair(
                    DType::U32,
                    &[2.0, 3.0, 0.0, 65537.0],
                    &[31.0, 40.0, 0.0, 4294967295.0],
                ),
            ),
        ]
    }
}

elementwise!(Pow, "pow");
