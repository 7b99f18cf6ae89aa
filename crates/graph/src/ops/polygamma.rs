//! `ψ⁽ⁿ⁾(x) = (−1)ⁿ⁺¹ n! Σ_k 1 / (x + k)ⁿ⁺¹`, the n-th derivative of ψ, for operands `n` (i32, at least 1) and `x`.
//! Domain of x: all reals; ±∞ at 0, −1, −2 …, NaN at −∞. Derivative: `ψ⁽ⁿ⁺¹⁾(x)` for x, none for n.

use super::{Derivative, Derive, Elementwise, Operand, Tolerance, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block2;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module. Operands `n`, `x`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Polygamma;

static SCALAR: ScalarOp = ScalarOp {
    name: "polygamma",
    wgsl: |x, _, _| format!("w_polygamma(f32({}), {})", x[0], x[1]),
    cpu: |_, _| {
        Some(block2!(|n: i32, x: f32| -> f32 {
            math::polygamma(n as f32, x)
        }))
    },
    cost: 100,
    // Three sums of up to 115 terms, each with 14 rounds for eight factors of up to 104.
    rounds: |_| 3 * (115 * 15 + 15),
    ..ScalarOp::PLAIN
};

/// `n! Σ_k 1 / (x + k)ⁿ⁺¹` for `x > 0`: terms up to `25 + n`, then Euler and Maclaurin's series (Abramowitz and
/// Stegun, 6.4.11).
fn positive(n: f64, x: f64) -> f64 {
    let falling = |y: f64| (1..=n as u32).fold(1.0, |t, i| t * f64::from(i) / y);
    let (mut y, mut sum) = (x, 0.0);
    while y < 25.0 + n {
        sum += falling(y) / y;
        y += 1.0;
    }
    let (s, z) = (n + 1.0, 1.0 / (y * y));
    let bernoulli = [
        1.0 / 12.0,
        -1.0 / 720.0,
        1.0 / 30240.0,
        -1.0 / 1_209_600.0,
        1.0 / 47_900_160.0,
        -5.284_190_138_687_493e-10,
    ];
    let (mut factor, mut series) = (s / y, 0.0);
    for (j, b) in bernoulli.into_iter().enumerate() {
        series += b * factor;
        let k = 2.0 * j as f64;
        factor *= (s + k + 1.0) * (s + k + 2.0) * z;
    }
    sum + falling(y) * (1.0 / n + (0.5 + series) / y)
}

/// All x: left of 0 by `ζ(s, x) = ζ(s, r) ± (ζ(s, 1 − r) − ζ(s, 1 − x))`, r the fraction of x.
fn derivative_of_psi(n: f64, x: f64) -> f64 {
    if n.is_nan() || n < 1.0 || x.is_nan() || x == f64::NEG_INFINITY {
        return f64::NAN;
    }
    let sign = if n % 2.0 == 0.0 { -1.0 } else { 1.0 };
    if x > 0.0 {
        return if x == f64::INFINITY {
            0.0
        } else {
            sign * positive(n, x)
        };
    }
    if x.fract() == 0.0 {
        return sign * f64::INFINITY;
    }
    let d = x - x.round();
    let (r, q) = if d > 0.0 { (d, 1.0 - d) } else { (1.0 + d, -d) };
    sign * (positive(n, r) + sign * (positive(n, q) - positive(n, 1.0 - x)))
}

impl Elementwise for Polygamma {
    const ARITY: usize = 2;

    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x {
            [n, x] if n.dtype == DType::I32 && x.dtype.is_float() => Ok(x.dtype),
            _ => Err("takes an order in i32 and floats".into()),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (n, x) = (&cx.inputs[0], &cx.inputs[1]);
        let next = Tensor::record(Polygamma, &[&(n + 1), x]);
        Derivative::Of(vec![None, Some(upstream * next)])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        derivative_of_psi(x[0], x[1])
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let pair = |shape: &[usize], n: &[f64], x: SampleInput| {
            vec![SampleInput::values(shape, DType::I32, n), x]
        };
        let special = [
            0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -1.0,
            -2.5,
            1e10,
            30.0,
        ];
        let x = SampleInput::f32(&[4, 9], 0.5, 12.0);
        let negative = SampleInput::f32(&[130], -0.8, -0.2);
        vec![
            Sample::new(Polygamma, pair(&[4, 9], &[1.0, 2.0, 3.0], x)),
            Sample::new(Polygamma, pair(&[130], &[1.0, 2.0], negative)),
            Sample::special(
                Polygamma,
                pair(
                    &[8],
                    &[1.0],
                    SampleInput::values(&[8], DType::F32, &special),
                ),
            ),
        ]
    }

    fn tolerance() -> Tolerance {
        Tolerance {
            rtol: 3e-5,
            atol: 1e-5,
        }
    }
}

elementwise!(Polygamma, "polygamma");
