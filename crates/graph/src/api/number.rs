//! Rust numbers beside tensors. Where a number becomes an element (fills, padding, subscripts), one rule converts it:
//! [`DType::convert`]. Where it is an operand it must fit; where it is compared, numbers compare as numbers do.

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::ops::compare::{Compare, CompareKind};
use crate::tensor::Tensor;

impl Tensor {
    /// A number as an element of this tensor, rank 0; invalid where the dtype cannot hold it.
    #[track_caller]
    pub(crate) fn element(&self, op: &str, value: f64) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        match self.dtype().convert(value) {
            Ok(value) => Tensor::scalar(value, self.dtype(), self.device()),
            Err(m) => self.fail_kind(ErrorKind::Value, op, m),
        }
    }

    /// A number as an operand of arithmetic with this tensor: a fraction makes integers f32, truth values and bytes
    /// are computed in i32. Beside f16 and bf16 it is f32, for the result is rounded once: see [`Tensor::beside`]. Invalid where
    /// it is a whole number beyond the integers of the tensor.
    #[track_caller]
    pub(crate) fn weak(&self, value: f64) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let whole = value.fract() == 0.0 && value.is_finite();
        let dtype = match self.dtype() {
            half if half.is_half() && [0.0, 1.0, -1.0].contains(&value) => half,
            DType::F16 | DType::BF16 | DType::F32 => DType::F32,
            _ if !whole => DType::F32,
            DType::Bool | DType::U8 => DType::I32,
            d => d,
        };
        if dtype.is_float() {
            return Tensor::scalar(value, dtype, self.device());
        }
        match dtype.convert(value) {
            Ok(value) => Tensor::scalar(value, dtype, self.device()),
            Err(m) => {
                let m = format!("{m}; cast the tensor to a float for numbers beyond its integers");
                self.fail_kind(ErrorKind::Value, "number", m)
            }
        }
    }

    /// The result of arithmetic between `x` and a number, in `x`'s dtype where that is f16 or bf16.
    #[track_caller]
    pub(crate) fn beside(self, x: &Tensor) -> Tensor {
        if x.dtype().is_half() && self.dtype() == DType::F32 {
            self.cast(x.dtype())
        } else {
            self
        }
    }

    /// Truth everywhere, or nowhere.
    #[track_caller]
    fn always(&self, truth: bool) -> Tensor {
        self.full_like_dtype(f64::from(u8::from(truth)), DType::Bool)
    }

    /// This tensor compared with a number. Floats are compared with the number as their dtype rounds it, as in PyTorch;
    /// integers, and numbers beyond the dtype, as numbers compare.
    #[track_caller]
    pub(crate) fn compare_number(&self, kind: CompareKind, value: f64) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let (low, high) = self.dtype().range();
        if value.is_nan() {
            return self.always(kind == CompareKind::Ne);
        }
        if self.dtype().is_float() {
            let beyond = value.is_finite() && !(low..=high).contains(&value);
            return match kind {
                _ if !beyond => self.compared(kind, value),
                CompareKind::Eq => self.always(false),
                CompareKind::Ne => self.always(true),
                // Beyond the greatest number lies infinity alone.
                CompareKind::Lt | CompareKind::Le if value > 0.0 => {
                    self.compared(CompareKind::Le, high)
                }
                CompareKind::Gt | CompareKind::Ge if value > 0.0 => {
                    self.compared(CompareKind::Gt, high)
                }
                CompareKind::Lt | CompareKind::Le => self.compared(CompareKind::Lt, low),
                CompareKind::Gt | CompareKind::Ge => self.compared(CompareKind::Ge, low),
            };
        }
        let whole = match kind {
            CompareKind::Lt | CompareKind::Ge => value.ceil(),
            _ => value.floor(),
        };
        let inside = (low..=high).contains(&whole);
        match kind {
            CompareKind::Eq | CompareKind::Ne if !inside || whole != value => {
                self.always(kind == CompareKind::Ne)
            }
            CompareKind::Lt | CompareKind::Le if !inside => self.always(whole > high),
            CompareKind::Gt | CompareKind::Ge if !inside => self.always(whole < low),
            _ => self.compared(kind, whole),
        }
    }

    /// Compared with a number of this dtype's range.
    #[track_caller]
    fn compared(&self, kind: CompareKind, value: f64) -> Tensor {
        let dtype = match self.dtype() {
            DType::Bool | DType::U8 => DType::I32,
            d => d,
        };
        let number = Tensor::scalar(value, dtype, self.device());
        self.binary(Compare { kind }, &number)
    }

    /// Where a float exceeds a number that its dtype may have to round: exact, for kinks.
    #[track_caller]
    pub(crate) fn above(&self, value: f64) -> Tensor {
        match self.dtype().rounded(value) > value {
            true => self.ge_scalar(value),
            false => self.gt_scalar(value),
        }
    }

    /// Where a float is less than a number that its dtype may have to round: exact, for kinks.
    #[track_caller]
    pub(crate) fn below(&self, value: f64) -> Tensor {
        match self.dtype().rounded(value) < value {
            true => self.le_scalar(value),
            false => self.lt_scalar(value),
        }
    }

    /// Where a float is at most a number that its dtype may have to round: exact, and false of NaN.
    #[track_caller]
    pub(crate) fn not_above(&self, value: f64) -> Tensor {
        match self.dtype().rounded(value) > value {
            true => self.lt_scalar(value),
            false => self.le_scalar(value),
        }
    }

    /// Floats held between numbers; the derivative is 1 strictly inside and 0 elsewhere, at NaN too.
    #[track_caller]
    pub(crate) fn held(&self, op: &str, min: Option<f64>, max: Option<f64>) -> Tensor {
        let above = min.map(|v| self.above(v));
        let below = max.map(|v| self.below(v));
        let inside = match (above, below) {
            (Some(a), Some(b)) => a.logical_and(&b),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return self.clone(),
        };
        let mut value = self.stop_gradient();
        if let Some(min) = min {
            value = value.maximum(&self.element(op, min));
        }
        if let Some(max) = max {
            value = value.minimum(&self.element(op, max));
        }
        Tensor::where_(&inside, self, &value)
    }

    /// [`Tensor::clamp`] with one bound or both.
    #[track_caller]
    pub(crate) fn clamped(&self, min: Option<f64>, max: Option<f64>) -> Tensor {
        let op = "clamp";
        if self.check().is_err() {
            return self.clone();
        }
        let whole = |v: f64| v.fract() == 0.0 || v.is_infinite();
        if self.dtype().is_float() {
            let (low, high) = self.dtype().range();
            // A bound that no number of this dtype passes is none.
            let min = min.filter(|&v| v.is_nan() || v >= low);
            let max = max.filter(|&v| v.is_nan() || v <= high);
            return self.held(op, min, max);
        }
        if !min.into_iter().chain(max).all(whole) {
            return self.cast(DType::F32).held(op, min, max);
        }
        let x = match self.dtype() {
            DType::Bool => self.cast(DType::I32),
            _ => self.clone(),
        };
        let (low, high) = x.dtype().range();
        let mut y = x.clone();
        if let Some(min) = min.filter(|&v| v > low) {
            y = y.maximum(&x.element(op, min));
        }
        if let Some(max) = max.filter(|&v| v < high) {
            y = y.minimum(&x.element(op, max));
        }
        y
    }
}
