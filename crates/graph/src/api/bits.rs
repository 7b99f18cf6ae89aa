//! Functions of whole numbers: bits, shifts, divisors. Truth values are single bits; bytes are computed in i32 and are
//! bytes again. Floats are errors.

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::ops::bitwise::{Bitwise, BitwiseKind};
use crate::tensor::Tensor;

/// Steps after which Euclid's algorithm has ended for any two numbers of 32 bits.
const EUCLID: usize = 47;

impl Tensor {
    /// The bits of both, PyTorch's `&`; of truth values: whether both hold.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let (a, b) = (Tensor::new(&[12, -1], &d), Tensor::new(&[10, 7], &d));
    /// assert_eq!(a.bitwise_and(&b).to_vec::<i32>()?, [8, 7]);
    /// assert_eq!(a.bitwise_xor(&b).to_vec::<i32>()?, [6, -8]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn bitwise_and(&self, other: &Tensor) -> Tensor {
        self.bitwise(BitwiseKind::And, other)
    }

    /// The bits of either, PyTorch's `|`; of truth values: whether either holds.
    #[track_caller]
    pub fn bitwise_or(&self, other: &Tensor) -> Tensor {
        self.bitwise(BitwiseKind::Or, other)
    }

    /// The bits of one alone, PyTorch's `^`; of truth values: whether exactly one holds.
    #[track_caller]
    pub fn bitwise_xor(&self, other: &Tensor) -> Tensor {
        self.bitwise(BitwiseKind::Xor, other)
    }

    /// Every bit turned, PyTorch's `~`; of truth values: whether the element is false.
    #[track_caller]
    pub fn bitwise_not(&self) -> Tensor {
        match self.dtype() {
            DType::Bool => self.logical_not(),
            DType::U8 => self.rsub_scalar(255.0).cast(DType::U8),
            DType::U32 => self.bitwise_xor(&self.full_like(f64::from(u32::MAX))),
            DType::I32 => self.rsub_scalar(-1.0),
            DType::F32 | DType::F16 | DType::BF16 => self.needs_integers("bitwise_not"),
        }
    }

    /// The bits moved to the left by `other`; 0 where that is negative or beyond the bits there are.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let y = Tensor::new(&[3, 3], &d).bitwise_left_shift(&Tensor::new(&[2, 32], &d));
    /// assert_eq!(y.to_vec::<i32>()?, [12, 0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn bitwise_left_shift(&self, other: &Tensor) -> Tensor {
        self.bitwise(BitwiseKind::ShiftLeft, other)
    }

    /// The bits moved to the right by `other`, the sign of i32 copied.
    #[track_caller]
    pub fn bitwise_right_shift(&self, other: &Tensor) -> Tensor {
        self.bitwise(BitwiseKind::ShiftRight, other)
    }

    #[track_caller]
    fn needs_integers(&self, op: &str) -> Tensor {
        let m = format!("takes integers, not {}", self.dtype());
        self.fail_kind(ErrorKind::DType, op, m)
    }

    #[track_caller]
    fn bitwise(&self, kind: BitwiseKind, other: &Tensor) -> Tensor {
        let name = match kind {
            BitwiseKind::And => "bitwise_and",
            BitwiseKind::Or => "bitwise_or",
            BitwiseKind::Xor => "bitwise_xor",
            BitwiseKind::ShiftLeft => "bitwise_left_shift",
            BitwiseKind::ShiftRight => "bitwise_right_shift",
        };
        let operands = [self, other];
        if let Some(wrong) = operands.iter().find(|t| t.dtype().is_float()) {
            return wrong.needs_integers(name);
        }
        let whole = |t: &Tensor| match t.dtype() {
            DType::Bool | DType::U8 => t.cast(DType::I32),
            _ => t.clone(),
        };
        let out = whole(self).binary(Bitwise { kind }, &whole(other));
        match self.dtype().promote(other.dtype()) {
            Some(d @ DType::U8) => out.cast(d),
            Some(d @ DType::Bool) if !name.ends_with("shift") => out.cast(d),
            _ => out,
        }
    }

    /// The greatest common divisor, at least 0, of integers.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let (a, b) = (Tensor::new(&[12, -9, 0], &d), Tensor::new(&[18, 6, 5], &d));
    /// assert_eq!(a.gcd(&b).to_vec::<i32>()?, [6, 3, 5]);
    /// assert_eq!(a.lcm(&b).to_vec::<i32>()?, [36, 18, 0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn gcd(&self, other: &Tensor) -> Tensor {
        let operands = [self, other];
        if let Some(wrong) = operands.iter().find(|t| t.dtype().is_float()) {
            return wrong.needs_integers("gcd");
        }
        let whole = |t: &Tensor| match t.dtype() {
            DType::U32 => t.clone(),
            _ => t.cast(DType::I32).abs(),
        };
        let (mut a, mut b) = (whole(self), whole(other));
        if a.dtype() != b.dtype() {
            return a.add(&b);
        }
        for _ in 0..EUCLID {
            let zero = b.eq_scalar(0.0);
            let rest = a.fmod(&b.masked_fill(&zero, 1.0));
            (a, b) = (
                Tensor::where_(&zero, &a, &b),
                Tensor::where_(&zero, &b, &rest),
            );
        }
        a
    }

    /// The least common multiple, at least 0, of integers; 0 where either is.
    #[track_caller]
    pub fn lcm(&self, other: &Tensor) -> Tensor {
        let gcd = self.gcd(other);
        if gcd.check().is_err() {
            return gcd;
        }
        let zero = gcd.eq_scalar(0.0);
        let whole = self.floor_divide(&gcd.masked_fill(&zero, 1.0)) * other;
        if whole.dtype() == DType::U32 {
            whole
        } else {
            whole.abs()
        }
    }
}
