//! Element types and the rules that combine them. Must not know of tensors or storage.

use crate::math;
use std::fmt;

/// The type of a tensor's elements.
///
/// `U8` is for storage: it can be created, sliced, gathered and cast; arithmetic promotes it.
/// `F16` and `BF16` are stored in two bytes and computed in `f32`. `Bool` takes four bytes on every device, 0 or 1.
/// There is no 64-bit type: indices are `I32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// True or false.
    Bool,
    /// Unsigned bytes, for datasets.
    U8,
    /// 32-bit signed integers; the type of every index.
    I32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit floats with the range of `F32` and 8 bits of precision: its upper half.
    BF16,
    /// 32-bit IEEE floats, the default.
    F32,
    /// 32-bit unsigned integers; mixes with no other type.
    U32,
}

/// How an element is held in a register of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `f32`, for `F32`, `F16` and `BF16`.
    F32,
    /// `i32`.
    I32,
    /// `u32`, for `U32` and `U8`.
    U32,
    /// A truth value; 0 or 1 in memory.
    Bool,
}

impl DType {
    /// Every dtype, in promotion order, `U32` last.
    pub const ALL: [DType; 7] = [
        DType::Bool,
        DType::U8,
        DType::I32,
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::U32,
    ];

    /// Bytes that one element takes in a buffer.
    #[inline]
    pub const fn size(self) -> usize {
        match self {
            DType::U8 => 1,
            DType::F16 | DType::BF16 => 2,
            DType::Bool | DType::I32 | DType::F32 | DType::U32 => 4,
        }
    }

    /// Whether this is `F32`, `F16` or `BF16`.
    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F16 | DType::BF16)
    }

    /// Whether this is `F16` or `BF16`: floats that are stored in two bytes and computed in `f32`.
    ///
    /// ```
    /// use wgrad_plan::DType;
    /// assert!(DType::BF16.is_half() && !DType::F32.is_half());
    /// ```
    #[inline]
    pub const fn is_half(self) -> bool {
        matches!(self, DType::F16 | DType::BF16)
    }

    /// The dtype that elements are computed in: `F32` for floats of two bytes, `U32` for bytes, else the dtype itself.
    ///
    /// ```
    /// use wgrad_plan::DType;
    /// assert_eq!(DType::BF16.widened(), DType::F32);
    /// assert_eq!(DType::I32.widened(), DType::I32);
    /// ```
    #[inline]
    pub const fn widened(self) -> DType {
        match self {
            DType::F16 | DType::BF16 => DType::F32,
            DType::U8 => DType::U32,
            DType::Bool | DType::I32 | DType::F32 | DType::U32 => self,
        }
    }

    /// The register class that holds an element.
    #[inline]
    pub const fn class(self) -> Class {
        match self {
            DType::F32 | DType::F16 | DType::BF16 => Class::F32,
            DType::I32 => Class::I32,
            DType::U32 | DType::U8 => Class::U32,
            DType::Bool => Class::Bool,
        }
    }

    /// The least and the greatest finite value.
    pub const fn range(self) -> (f64, f64) {
        match self {
            DType::Bool => (0.0, 1.0),
            DType::U8 => (0.0, 255.0),
            DType::I32 => (-2_147_483_648.0, 2_147_483_647.0),
            DType::U32 => (0.0, 4_294_967_295.0),
            DType::F16 => (-65504.0, 65504.0),
            // (2 - 2^-7) * 2^127.
            DType::BF16 => (-3.389_531_389_251_535_5e38, 3.389_531_389_251_535_5e38),
            DType::F32 => (f32::MIN as f64, f32::MAX as f64),
        }
    }

    /// A Rust number as an element, PyTorch's rule for fills: rounded to nearest by floats, towards zero by integers,
    /// true where it is not 0. A float holds infinities and NaN; unlike PyTorch no negative number wraps.
    ///
    /// # Errors
    /// The number is beyond the range of the dtype, or an integer would have to hold NaN or an infinity.
    ///
    /// ```
    /// use wgrad_plan::DType;
    /// assert_eq!(DType::I32.convert(0.5), Ok(0.0));
    /// assert!(DType::U8.convert(300.0).is_err());
    /// assert!(DType::F16.convert(-1e9).is_err());
    /// ```
    pub fn convert(self, value: f64) -> Result<f64, String> {
        let (low, high) = self.range();
        let fits = match self {
            DType::Bool => return Ok(if value == 0.0 { 0.0 } else { 1.0 }),
            DType::F16 | DType::BF16 | DType::F32 => {
                !value.is_finite() || (low..=high).contains(&value)
            }
            DType::U8 | DType::I32 | DType::U32 => (low..=high).contains(&value.trunc()),
        };
        if !fits {
            return Err(format!("{value:?} is beyond the range of {self}"));
        }
        Ok(if self.is_float() {
            value
        } else {
            value.trunc() + 0.0
        })
    }

    /// The nearest value of the dtype: floats to nearest even, integers wrap.
    pub fn rounded(self, value: f64) -> f64 {
        match self {
            DType::F32 => f64::from(value as f32),
            DType::F16 => half::f16::from_f64(value).to_f64(),
            DType::BF16 => f64::from(math::bf16_to_f32(math::bf16_from_f64(value))),
            DType::I32 => f64::from(value as i64 as i32),
            DType::U32 => f64::from(value as i64 as u32),
            DType::U8 => f64::from(value as i64 as u8),
            DType::Bool => f64::from(u8::from(value != 0.0)),
        }
    }

    /// The dtype two operands meet in: PyTorch's promotion, restricted to these types.
    /// `None` where they do not mix (`U32` with anything else).
    pub fn promote(self, other: DType) -> Option<DType> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (DType::U32, _) | (_, DType::U32) => None,
            (DType::F16, DType::BF16) | (DType::BF16, DType::F16) => Some(DType::F32),
            (a, b) => Some(a.max(b)),
        }
    }

    /// PyTorch's short name, as `Display` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "u8",
            DType::I32 => "i32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
            DType::U32 => "u32",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_pytorchs() {
        assert_eq!(DType::Bool.promote(DType::U8), Some(DType::U8));
        assert_eq!(DType::I32.promote(DType::F16), Some(DType::F16));
        assert_eq!(DType::F32.promote(DType::F16), Some(DType::F32));
        assert_eq!(DType::I32.promote(DType::BF16), Some(DType::BF16));
        assert_eq!(DType::BF16.promote(DType::Bool), Some(DType::BF16));
        assert_eq!(DType::F32.promote(DType::BF16), Some(DType::F32));
        assert_eq!(DType::F16.promote(DType::BF16), Some(DType::F32));
        assert_eq!(DType::BF16.promote(DType::F16), Some(DType::F32));
        assert_eq!(DType::U32.promote(DType::BF16), None);
        assert_eq!(DType::U32.promote(DType::I32), None);
        assert_eq!(DType::U32.promote(DType::U32), Some(DType::U32));
    }

    #[test]
    fn the_limits_of_bf16_are_its_patterns() {
        let value = |h: u16| f64::from(math::bf16_to_f32(h));
        assert_eq!(DType::BF16.range(), (value(0xff7f), value(0x7f7f)));
        // The next above 1, and the least normal number.
        assert_eq!(value(0x3f81) - 1.0, 0.0078125);
        assert_eq!(value(0x0080), f64::from(f32::MIN_POSITIVE));
    }

    #[test]
    fn bf16_is_rounded_once() {
        let rounded = |v: f64| DType::BF16.rounded(v);
        // Just above the middle of two neighbours, by less than f32 sees.
        assert_eq!(rounded(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(rounded(1.0 + 1.0 / 256.0 + 1e-12), 1.0078125);
        assert_eq!(rounded(-1.0 - 3.0 / 256.0 + 1e-12), -1.0078125);
        assert_eq!(rounded(-1.0 - 3.0 / 256.0), -1.015625);
        assert_eq!(rounded(3.4e38), f64::INFINITY);
        assert_eq!(rounded(1e300), f64::INFINITY);
        assert_eq!(rounded(-1e300), f64::NEG_INFINITY);
        assert_eq!(rounded(3.39e38), DType::BF16.range().1);
        assert_eq!(rounded(1e-60).to_bits(), 0);
        assert!(rounded(f64::NAN).is_nan());
    }
}
