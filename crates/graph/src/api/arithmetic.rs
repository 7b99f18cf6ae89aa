//! Element-wise methods. Two operands promote to one dtype and broadcast to one shape, as in PyTorch.

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::in_f32;
use crate::ops::cast::Cast;
use crate::ops::compare::{Compare, CompareKind};
use crate::ops::stop_gradient::StopGradient;
use crate::ops::{self, Op};
use crate::shape::broadcast;
use crate::tensor::Tensor;

/// Methods without arguments that record one primitive; integers are computed as f32 where `float` is said.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $op:expr, $kind:ident;)*) => {
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Tensor {
                Tensor::record($op, &[&unary!(@ $kind self)])
            })*
        }
    };
    (@ float $x:ident) => { $x.to_float() };
    (@ any $x:ident) => { $x };
}

unary! {
    /// `exp(x)`.
    exp => ops::exp::Exp, float;
    /// `exp(x) − 1`, accurate near 0.
    expm1 => ops::expm1::Expm1, float;
    /// Natural logarithm.
    log => ops::log::Log, float;
    /// `log(1 + x)`, accurate near 0.
    log1p => ops::log1p::Log1p, float;
    /// Sine of radians.
    sin => ops::sin::Sin, float;
    /// Cosine of radians.
    cos => ops::cos::Cos, float;
    /// Arc tangent, in radians.
    atan => ops::atan::Atan, float;
    /// Hyperbolic tangent.
    tanh => ops::tanh::Tanh, float;
    /// `1 / (1 + exp(−x))`, without overflow.
    sigmoid => ops::sigmoid::Sigmoid, float;
    /// Logarithm to base 2, exact for powers of 2.
    log2 => ops::log2::Log2, float;
    /// Inverse hyperbolic sine.
    asinh => ops::asinh::Asinh, float;
    /// `1 − erf(x)`, accurate where it vanishes.
    erfc => ops::erfc::Erfc, float;
    /// The error function.
    erf => ops::erf::Erf, float;
    /// Square root.
    sqrt => ops::sqrt::Sqrt, float;
    /// `1 / x`.
    recip => ops::recip::Recip, float;
    /// Absolute value.
    abs => ops::abs::Abs, any;
    /// −1, 0 or 1.
    sign => ops::sign::Sign, any;
    /// The greatest integer not above.
    floor => ops::floor::Floor, float;
    /// The nearest integer, halves to even.
    round => ops::round::Round, float;
    /// The integer part.
    trunc => ops::trunc::Trunc, float;
    /// Where the element is NaN.
    isnan => ops::is_nan::IsNan, float;
    /// The same values, through which no gradient flows.
    stop_gradient => StopGradient, any;
}

/// Comparisons, with a tensor and with a number.
macro_rules! compare {
    ($($(#[$doc:meta])* $name:ident, $scalar:ident => $kind:ident;)*) => {
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: &Tensor) -> Tensor {
                self.binary(Compare { kind: CompareKind::$kind }, other)
            }

            /// As the method of a similar name, with a number.
            #[track_caller]
            pub fn $scalar(&self, value: f64) -> Tensor {
                self.compare_number(CompareKind::$kind, value)
            })*
        }
    };
}

compare! {
    /// `self == other`, element-wise; bool.
    eq, eq_scalar => Eq;
    /// `self != other`.
    ne, ne_scalar => Ne;
    /// `self < other`.
    lt, lt_scalar => Lt;
    /// `self <= other`.
    le, le_scalar => Le;
    /// `self > other`.
    gt, gt_scalar => Gt;
    /// `self >= other`.
    ge, ge_scalar => Ge;
}

impl Tensor {
    /// Integers and truth values as f32; floats as they are.
    #[track_caller]
    pub(crate) fn to_float(&self) -> Tensor {
        if self.dtype().is_float() {
            self.clone()
        } else {
            self.cast(DType::F32)
        }
    }

    /// Records a binary primitive after promotion and broadcasting.
    #[track_caller]
    pub(crate) fn binary(&self, op: impl Into<Op>, other: &Tensor) -> Tensor {
        let op = op.into();
        match self.meet(other, op.name()) {
            Ok((a, b)) => Tensor::record(op, &[&a, &b]),
            Err(t) => *t,
        }
    }

    /// Both operands in one dtype and one shape, or the invalid result.
    #[track_caller]
    fn meet(&self, other: &Tensor, op: &str) -> Result<(Tensor, Tensor), Box<Tensor>> {
        let operands = || {
            vec![
                (self.shape().to_vec(), self.dtype()),
                (other.shape().to_vec(), other.dtype()),
            ]
        };
        // A closure has no caller: the place is taken here.
        let place = crate::place::of(std::panic::Location::caller());
        let fail = |kind, message: String, shape: &[usize]| {
            let first = self.0.error.clone().or_else(|| other.0.error.clone());
            let error = first.unwrap_or_else(|| {
                crate::error::Error::new(kind, op, message)
                    .with_operands(operands())
                    .at(place)
            });
            Err(Box::new(Tensor::invalid(
                error,
                shape,
                self.dtype(),
                self.device(),
            )))
        };
        let shape = match broadcast(self.shape(), other.shape()) {
            Ok(shape) => shape,
            Err(m) => return fail(ErrorKind::Shape, m, &[]),
        };
        let Some(dtype) = self.dtype().promote(other.dtype()) else {
            return fail(
                ErrorKind::DType,
                format!("{} and {} do not mix", self.dtype(), other.dtype()),
                &shape,
            );
        };
        Ok((
            self.cast(dtype).broadcast_to(&shape),
            other.cast(dtype).broadcast_to(&shape),
        ))
    }

    /// The elements converted: towards zero from floats to integers, `≠ 0` to truth values.
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Tensor {
        if self.dtype() == dtype {
            self.clone()
        } else {
            Tensor::record(Cast { to: dtype }, &[self])
        }
    }

    /// Whether both hold truth values, whose sum and product are truth values too.
    fn both_truth(&self, other: &Tensor) -> bool {
        self.dtype() == DType::Bool && other.dtype() == DType::Bool
    }

    /// `self + other`; the operator's method. Of truth values: whether either holds.
    #[track_caller]
    pub fn add(&self, other: &Tensor) -> Tensor {
        if self.both_truth(other) {
            return self.maximum(other);
        }
        let (a, b) = (self.numeric(), other.numeric());
        a.binary(ops::add::Add, &b)
    }

    /// `self − other`.
    #[track_caller]
    pub fn sub(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.numeric(), other.numeric());
        match a.meet(&b, "sub") {
            Ok((a, b)) => {
                Tensor::record(ops::add::Add, &[&a, &Tensor::record(ops::neg::Neg, &[&b])])
            }
            Err(t) => *t,
        }
    }

    /// `self · other`, element-wise. Of truth values: whether both hold.
    #[track_caller]
    pub fn mul(&self, other: &Tensor) -> Tensor {
        if self.both_truth(other) {
            return self.minimum(other);
        }
        let (a, b) = (self.numeric(), other.numeric());
        a.binary(ops::mul::Mul, &b)
    }

    /// `self / other`; integers give f32.
    #[track_caller]
    pub fn div(&self, other: &Tensor) -> Tensor {
        let (a, b) = match (self.dtype().is_float(), other.dtype().is_float()) {
            (false, false) => (self.to_float(), other.to_float()),
            _ => (self.numeric(), other.numeric()),
        };
        a.binary(ops::div::Div, &b)
    }

    /// `−x`.
    #[track_caller]
    pub fn neg(&self) -> Tensor {
        Tensor::record(ops::neg::Neg, &[&self.numeric()])
    }

    /// Truth values and bytes as i32, the least type that computes.
    #[track_caller]
    fn numeric(&self) -> Tensor {
        if matches!(self.dtype(), DType::Bool | DType::U8) {
            self.cast(DType::I32)
        } else {
            self.clone()
        }
    }

    /// `value − self`.
    #[track_caller]
    pub(crate) fn rsub_scalar(&self, value: f64) -> Tensor {
        self.weak(value).sub(self).beside(self)
    }

    /// `self` to the power of `other`, element-wise.
    #[track_caller]
    pub fn pow(&self, other: &Tensor) -> Tensor {
        self.numeric().binary(ops::pow::Pow, &other.numeric())
    }

    /// `self` to the power of a number. Small whole powers are products.
    #[track_caller]
    pub fn powf(&self, exponent: f64) -> Tensor {
        in_f32!([self] => |x| x.powf(exponent));
        match exponent {
            // A gradient of zeros flows.
            0.0 => {
                let ones = self.ones_like();
                Tensor::where_(&ones.cast(DType::Bool), &ones, self)
            }
            1.0 => self.clone(),
            2.0 => self.square(),
            3.0 => self.square().mul(self),
            -1.0 => self.recip(),
            0.5 => self.sqrt(),
            _ => self.pow(&self.weak(exponent)),
        }
    }

    /// `x²`.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        self.mul(self)
    }

    /// `1 / √x`.
    #[track_caller]
    pub fn rsqrt(&self) -> Tensor {
        in_f32!([self] => |x| x.rsqrt());
        self.sqrt().recip()
    }

    /// The greater of two elements; NaN wins.
    #[track_caller]
    pub fn maximum(&self, other: &Tensor) -> Tensor {
        self.binary(ops::max::Max, other)
    }

    /// The lesser of two elements; NaN wins.
    #[track_caller]
    pub fn minimum(&self, other: &Tensor) -> Tensor {
        self.binary(ops::min::Min, other)
    }

    /// The greater of two elements, or the one that is a number.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let y = Tensor::new(&[f32::NAN, 1.0], &d).fmax(&Tensor::new(&[2.0f32, 3.0], &d));
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 3.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn fmax(&self, other: &Tensor) -> Tensor {
        self.number_of(other, &self.maximum(other))
    }

    /// The lesser of two elements, or the one that is a number.
    #[track_caller]
    pub fn fmin(&self, other: &Tensor) -> Tensor {
        self.number_of(other, &self.minimum(other))
    }

    /// `both` where both are numbers, else the one that is.
    #[track_caller]
    fn number_of(&self, other: &Tensor, both: &Tensor) -> Tensor {
        if !both.dtype().is_float() {
            return both.clone();
        }
        let known = Tensor::where_(&self.isnan(), other, both);
        Tensor::where_(&other.isnan(), self, &known)
    }

    /// The magnitude of `self` with the sign of `other`, that of −0 too. No gradient flows to `other`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let y = Tensor::new(&[3.0f32, -2.0], &d).copysign(&Tensor::new(&[-0.0f32, 1.0], &d));
    /// assert_eq!(y.to_vec::<f32>()?, [-3.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn copysign(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.copysign(other));
        let sign = other.to_float().stop_gradient();
        // 1 / −0 is −∞.
        let below = sign.recip().lt_scalar(0.0).logical_or(&sign.lt_scalar(0.0));
        let size = self.to_float().abs();
        Tensor::where_(&below, &-&size, &size)
    }

    /// The remainder of `self / other` with the sign of `self` (C's and PyTorch's `fmod`).
    #[track_caller]
    pub fn fmod(&self, other: &Tensor) -> Tensor {
        self.numeric().binary(ops::fmod::Fmod, &other.numeric())
    }

    /// The angle, in radians, of the point with ordinate `self` and abscissa `x`.
    #[track_caller]
    pub fn atan2(&self, x: &Tensor) -> Tensor {
        self.to_float().binary(ops::atan2::Atan2, &x.to_float())
    }

    /// Whether the element is 0.
    #[track_caller]
    pub fn logical_not(&self) -> Tensor {
        Tensor::record(ops::not::Not, &[&self.cast(DType::Bool)])
    }

    /// `self and other`, as truth values.
    #[track_caller]
    pub fn logical_and(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).minimum(&other.cast(DType::Bool))
    }

    /// `self or other`, as truth values.
    #[track_caller]
    pub fn logical_or(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).maximum(&other.cast(DType::Bool))
    }

    /// `a` where `condition` holds, else `b`; all three broadcast.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[-1.0f32, 2.0], &Device::cpu());
    /// let y = Tensor::where_(&x.gt_scalar(0.0), &x, &x.zeros_like());
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn where_(condition: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
        let (a, b) = match a.meet(b, "where") {
            Ok(pair) => pair,
            Err(t) => return *t,
        };
        match broadcast(condition.shape(), a.shape()) {
            Ok(shape) => {
                let condition = condition.cast(DType::Bool).broadcast_to(&shape);
                Tensor::record(
                    ops::where_::Where,
                    &[&condition, &a.broadcast_to(&shape), &b.broadcast_to(&shape)],
                )
            }
            Err(m) => condition.fail("where", m),
        }
    }

    /// `max(x, 0)`; NaN stays. The derivative at 0 is 0.
    #[track_caller]
    pub fn relu(&self) -> Tensor {
        match self.dtype() {
            // Nothing is below 0.
            DType::Bool | DType::U8 => self.clone(),
            _ => Tensor::record(ops::relu::Relu, &[self]),
        }
    }
}
