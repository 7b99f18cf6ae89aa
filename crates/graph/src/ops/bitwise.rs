//! `and`, `or`, `xor` and shifts of the bits of i32 and u32. A shift by a negative count, or by 32 and more, leaves
//! nothing but the sign of what is shifted right (PyTorch's rule).
//! Derivative: none, integers.

use super::elementwise::same_dtype;
use super::{Derivative, Derive, Elementwise, Operand, Tolerance, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::plan::ScalarOp;
use crate::simd::block2;
use crate::tensor::Tensor;

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BitwiseKind {
    /// Bits of both.
    And,
    /// Bits of either.
    Or,
    /// Bits of one alone.
    Xor,
    /// Bits moved to the left.
    ShiftLeft,
    /// Bits moved to the right; the sign of i32 is copied.
    ShiftRight,
}

impl BitwiseKind {
    /// Every kind.
    pub const ALL: [BitwiseKind; 5] = [
        BitwiseKind::And,
        BitwiseKind::Or,
        BitwiseKind::Xor,
        BitwiseKind::ShiftLeft,
        BitwiseKind::ShiftRight,
    ];
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bitwise {
    /// Which operation.
    pub kind: BitwiseKind,
}

/// The scalar operation of a kind.
macro_rules! bits {
    ($name:literal, $wgsl:expr, |$a:ident, $b:ident| $signed:expr, $unsigned:expr) => {
        ScalarOp {
            name: $name,
            wgsl: |x, class, _| {
                let f: fn(&[&str], Class) -> String = $wgsl;
                f(x, class)
            },
            cpu: |class, _| match class {
                Class::I32 => Some(block2!(|$a: i32, $b: i32| -> i32 { $signed })),
                Class::U32 => Some(block2!(|$a: u32, $b: u32| -> u32 { $unsigned })),
                Class::F32 | Class::Bool => None,
            },
            cost: 1,
            ..ScalarOp::PLAIN
        }
    };
}

static AND: ScalarOp = bits!("bitwise_and", |x, _| format!("({} & {})", x[0], x[1]), |a, b| a & b, a & b);
static OR: ScalarOp = bits!("bitwise_or", |x, _| format!("({} | {})", x[0], x[1]), |a, b| a | b, a | b);
static XOR: ScalarOp = bits!("bitwise_xor", |x, _| format!("({} ^ {})", x[0], x[1]), |a, b| a ^ b, a ^ b);
static LEFT: ScalarOp = bits!(
    "bitwise_left_shift",
    |x, class| {
        let zero = if class == Class::I32 { "0i" } else { "0u" };
        format!("select({0} << (u32({1}) & 31u), {zero}, u32({1}) > 31u)", x[0], x[1])
    },
    |a, b| if (b as u32) < 32 { a << (b & 31) } else { 0 },
    if b < 32 { a << (b & 31) } else { 0 }
);
static RIGHT: ScalarOp = bits!(
    "bitwise_right_shift",
    |x, class| {
        let rest = if class == Class::I32 { format!("({} >> 31u)", x[0]) } else { "0u".into() };
        format!("select({0} >> (u32({1}) & 31u), {rest}, u32({1}) > 31u)", x[0], x[1])
    },
    |a, b| if (b as u32) < 32 { a >> (b & 31) } else { a >> 31 },
    if b < 32 { a >> (b & 31) } else { 0 }
);

impl Elementwise for Bitwise {
    const ARITY: usize = 2;

    fn scalar(&self) -> &'static ScalarOp {
        match self.kind {
            BitwiseKind::And => &AND,
            BitwiseKind::Or => &OR,
            BitwiseKind::Xor => &XOR,
            BitwiseKind::ShiftLeft => &LEFT,
            BitwiseKind::ShiftRight => &RIGHT,
        }
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        same_dtype(x)?;
        match x[0].dtype {
            d @ (DType::I32 | DType::U32) => Ok(d),
            d => Err(format!("takes i32 or u32, not {d}")),
        }
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None, None])
    }

    fn eval(&self, x: &[f64], dtype: DType) -> f64 {
        let (a, b) = (x[0] as i64, x[1] as i64);
        let outside = !(0..32).contains(&b);
        let value = match self.kind {
            BitwiseKind::And => a & b,
            BitwiseKind::Or => a | b,
            BitwiseKind::Xor => a ^ b,
            BitwiseKind::ShiftLeft if outside => 0,
            BitwiseKind::ShiftLeft => a << b,
            BitwiseKind::ShiftRight if outside => -i64::from(a < 0),
            BitwiseKind::ShiftRight => a >> b,
        };
        // Bits beyond the 32nd are dropped.
        match dtype {
            DType::U32 => f64::from(value as u32),
            _ => f64::from(value as i32),
        }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let signed = [0.0, 1.0, -1.0, 255.0, -256.0, 2_147_483_647.0, -2_147_483_648.0];
        let unsigned = [0.0, 1.0, 255.0, 65_537.0, 4_294_967_295.0, 2_147_483_648.0, 6.0];
        let counts = [0.0, 1.0, 8.0, 31.0, 32.0, 5.0, 1000.0];
        let of = |kind, dtype, a: &[f64], b: &[f64]| {
            Sample::special(
                Bitwise { kind },
                vec![
                    SampleInput::values(&[7, 7], dtype, a),
                    SampleInput::values(&[7, 7], dtype, b),
                ],
            )
        };
        let mut all = Vec::new();
        for kind in BitwiseKind::ALL {
            let shift = matches!(kind, BitwiseKind::ShiftLeft | BitwiseKind::ShiftRight);
            let negative = [-1.0, 3.0, 31.0, 0.0, 2.0, 40.0, -40.0];
            let (right, words) = match shift {
                true => (&negative, &counts),
                false => (&negative, &unsigned),
            };
            all.push(of(kind, DType::I32, &signed, right));
            all.push(of(kind, DType::I32, &signed, &counts));
            all.push(of(kind, DType::U32, &unsigned, words));
        }
        all
    }

    fn tolerance() -> Tolerance {
        Tolerance {
            rtol: 0.0,
            atol: 0.0,
        }
    }
}

elementwise!(Bitwise, "bitwise");
