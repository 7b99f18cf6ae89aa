//! Element-wise functions composed of primitives. Each composition keeps the accuracy of the primitives: none
//! subtracts nearly equal numbers, none overflows where its result does not.

use crate::dtype::DType;
use crate::in_f32;
use crate::ops::digamma::Digamma;
use crate::ops::erfinv::Erfinv;
use crate::ops::lgamma::Lgamma;
use crate::ops::polygamma::Polygamma;
use crate::tensor::Tensor;
use std::f64::consts::{LN_2, LOG10_2, PI};

impl Tensor {
    /// The least integer not below.
    #[track_caller]
    pub fn ceil(&self) -> Tensor {
        -(-self.to_float()).floor()
    }

    /// The fraction that [`trunc`](Tensor::trunc) drops, with the sign of the element.
    #[track_caller]
    pub fn frac(&self) -> Tensor {
        in_f32!([self] => |x| x.frac());
        let x = self.to_float();
        &x - x.trunc()
    }

    /// The nearest multiple of `10^−decimals`, halves to even.
    #[track_caller]
    pub fn round_decimals(&self, decimals: i32) -> Tensor {
        in_f32!([self] => |x| x.round_decimals(decimals));
        let scale = 10f64.powi(decimals.saturating_abs());
        if decimals < 0 {
            (self.to_float() / scale).round() * scale
        } else {
            (self.to_float() * scale).round() / scale
        }
    }

    /// Tangent of radians.
    #[track_caller]
    pub fn tan(&self) -> Tensor {
        in_f32!([self] => |x| x.tan());
        self.sin() / self.cos()
    }

    /// Arc sine, in radians; NaN outside −1 … 1.
    #[track_caller]
    pub fn asin(&self) -> Tensor {
        in_f32!([self] => |x| x.asin());
        let x = self.to_float();
        x.atan2(&x.leg())
    }

    /// Arc cosine, in radians; NaN outside −1 … 1.
    #[track_caller]
    pub fn acos(&self) -> Tensor {
        in_f32!([self] => |x| x.acos());
        let x = self.to_float();
        x.leg().atan2(&x)
    }

    /// `√(1 − x²)`, without cancellation near ±1.
    #[track_caller]
    fn leg(&self) -> Tensor {
        // Two roots: the slope of each is infinite at one end, where the other's must not be multiplied by it.
        (1.0 - self).sqrt() * (self + 1.0).sqrt()
    }

    /// Hyperbolic sine.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let y = Tensor::new(&[89.0f32], &Device::cpu()).sinh().item::<f32>()?;
    /// assert!((y / 2.244_806_4e38 - 1.0).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn sinh(&self) -> Tensor {
        in_f32!([self] => |x| x.sinh());
        let x = self.to_float();
        let (far, half) = x.half_exponential();
        let half = Tensor::where_(&x.lt_scalar(0.0), &-&half, &half);
        let near = Tensor::where_(&far, &x.zeros_like(), &x);
        Tensor::where_(&far, &half, &near.sinh_near())
    }

    /// Where the magnitude is so great that only one of two opposite exponentials counts, and half of it there, which
    /// does not overflow before its time.
    #[track_caller]
    fn half_exponential(&self) -> (Tensor, Tensor) {
        let size = self.abs();
        let far = size.gt_scalar(20.0);
        let root = (Tensor::where_(&far, &size, &size.zeros_like()) * 0.5).exp();
        (far, &root * 0.5 * &root)
    }

    /// Hyperbolic sine where both exponentials count.
    #[track_caller]
    fn sinh_near(&self) -> Tensor {
        (self.expm1() - (-self).expm1()) * 0.5
    }

    /// Hyperbolic cosine, near 0 as `1 + 2 sinh²(x/2)`, whose derivative is accurate at 0 too.
    #[track_caller]
    pub fn cosh(&self) -> Tensor {
        in_f32!([self] => |x| x.cosh());
        let x = self.to_float();
        let (far, half) = x.half_exponential();
        let near = Tensor::where_(&far, &x.zeros_like(), &x);
        let near = (near * 0.5).sinh_near().square() * 2.0 + 1.0;
        Tensor::where_(&far, &half, &near)
    }

    /// Inverse hyperbolic cosine; NaN below 1.
    #[track_caller]
    pub fn acosh(&self) -> Tensor {
        in_f32!([self] => |x| x.acosh());
        let x = self.to_float();
        // Far from 1 it is log 2x, which does not overflow.
        let far = x.gt_scalar(1e8);
        let one = x.ones_like();
        let tail = Tensor::where_(&far, &x, &one).log() + LN_2;
        let x = Tensor::where_(&far, &one, &x);
        let below = &x - 1.0;
        let root = below.sqrt() * (x + 1.0).sqrt();
        Tensor::where_(&far, &tail, &(below + root).log1p())
    }

    /// Inverse hyperbolic tangent; NaN outside −1 … 1.
    #[track_caller]
    pub fn atanh(&self) -> Tensor {
        in_f32!([self] => |x| x.atanh());
        let x = self.to_float();
        (x.log1p() - (-&x).log1p()) * 0.5
    }

    /// `2^x`.
    #[track_caller]
    pub fn exp2(&self) -> Tensor {
        in_f32!([self] => |x| x.exp2());
        let x = self.to_float();
        x.full_like(2.0).pow(&x)
    }

    /// Logarithm to base 10.
    #[track_caller]
    pub fn log10(&self) -> Tensor {
        in_f32!([self] => |x| x.log10());
        self.log2() * LOG10_2
    }

    /// `log(x / (1 − x))`, the inverse of [`sigmoid`](Tensor::sigmoid).
    #[track_caller]
    pub fn logit(&self) -> Tensor {
        in_f32!([self] => |x| x.logit());
        let x = self.to_float();
        x.log() - (-&x).log1p()
    }

    /// `sin(πx) / (πx)`, 1 at 0.
    #[track_caller]
    pub fn sinc(&self) -> Tensor {
        in_f32!([self] => |x| x.sinc());
        let x = self.to_float() * PI;
        let zero = x.eq_scalar(0.0);
        let angle = Tensor::where_(&zero, &x.ones_like(), &x);
        Tensor::where_(&zero, &x.ones_like(), &(angle.sin() / &angle))
    }

    /// The inverse of [`erf`](Tensor::erf); NaN outside −1 … 1.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let y = Tensor::new(&[0.5f32], &Device::cpu()).erfinv();
    /// assert!((y.item::<f32>()? - 0.476_936_28).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn erfinv(&self) -> Tensor {
        Tensor::record(Erfinv, &[&self.to_float()])
    }

    /// `log |Γ(x)|`, the logarithm of the gamma function; ∞ at its poles 0, −1, −2 ….
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let y = Tensor::new(&[5.0f32], &Device::cpu()).lgamma();
    /// assert!((y.item::<f32>()? - 24f32.ln()).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn lgamma(&self) -> Tensor {
        Tensor::record(Lgamma, &[&self.to_float()])
    }

    /// `ψ(x)`, the derivative of [`lgamma`](Tensor::lgamma).
    #[track_caller]
    pub fn digamma(&self) -> Tensor {
        Tensor::record(Digamma, &[&self.to_float()])
    }

    /// The `n`-th derivative of [`digamma`](Tensor::digamma), with derivatives of its own to any order; `n` at most
    /// 100 (from 34 on an f32 cannot hold it around 1).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let y = Tensor::new(&[1.0f32], &Device::cpu()).polygamma(1);
    /// assert!((y.item::<f32>()? - 1.644_934).abs() < 1e-5); // π²/6
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn polygamma(&self, n: u32) -> Tensor {
        let x = self.to_float();
        match n {
            0 => x.digamma(),
            1..=100 => {
                let order = x.full_like_dtype(f64::from(n), DType::I32);
                Tensor::record(Polygamma, &[&order, &x])
            }
            _ => self.fail("polygamma", format!("the order {n} exceeds 100")),
        }
    }

    /// Where the element is infinite.
    #[track_caller]
    pub fn isinf(&self) -> Tensor {
        let x = self.cast(DType::F32).abs();
        x.gt_scalar(f64::from(f32::MAX))
    }

    /// Where the element is a number and not infinite.
    #[track_caller]
    pub fn isfinite(&self) -> Tensor {
        let x = self.cast(DType::F32).abs();
        x.le_scalar(f64::from(f32::MAX))
    }

    /// The elements, with `nan` for NaN and `posinf`, `neginf` for infinities; no gradient flows to those.
    #[track_caller]
    pub fn nan_to_num(&self, nan: f64, posinf: f64, neginf: f64) -> Tensor {
        let x = self.masked_fill(&self.isnan(), nan);
        let infinite = self.isinf();
        let up = infinite.logical_and(&self.gt_scalar(0.0));
        let down = infinite.logical_and(&self.lt_scalar(0.0));
        x.masked_fill(&up, posinf).masked_fill(&down, neginf)
    }

    /// Exactly one of two truth values.
    #[track_caller]
    pub fn logical_xor(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).ne(&other.cast(DType::Bool))
    }

    /// The remainder of `self / other` with the sign of `other` (Python's and PyTorch's `remainder`).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let r = Tensor::new(&[-7, 7], &d).remainder(&Tensor::new(&[3, -3], &d));
    /// assert_eq!(r.to_vec::<i32>()?, [2, -2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn remainder(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.remainder(other));
        let r = self.fmod(other);
        let opposite = r.lt_scalar(0.0).ne(&other.lt_scalar(0.0));
        let move_up = r.ne_scalar(0.0).logical_and(&opposite);
        Tensor::where_(&move_up, &(&r + other), &r)
    }

    /// `self / other` rounded down, Python's and PyTorch's `floor_divide`; of integers exactly. A float divided by 0 is
    /// infinite, or NaN.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let q = Tensor::new(&[2_000_000_011, -7], &d).floor_divide(&Tensor::new(&[2, 2], &d));
    /// assert_eq!(q.to_vec::<i32>()?, [1_000_000_005, -4]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn floor_divide(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.floor_divide(other));
        let rest = self.fmod(other);
        let opposite = rest.lt_scalar(0.0).ne(&other.lt_scalar(0.0));
        let below = rest.ne_scalar(0.0).logical_and(&opposite);
        if !rest.dtype().is_float() {
            // f32 is off by some units of the last place; what is left over is divided once more.
            let whole = self - &rest;
            let first = (&whole / other).round().cast(rest.dtype());
            let more = ((whole - &first * other) / other).round();
            return first + more.cast(rest.dtype()) - below.cast(rest.dtype());
        }
        let quotient = (self - &rest) / other - below.cast(rest.dtype());
        let rounded = quotient.floor();
        let up = (&quotient - &rounded).gt_scalar(0.5);
        let rounded = Tensor::where_(&up, &(&rounded + 1.0), &rounded);
        let plain = self / other;
        let zero = quotient.eq_scalar(0.0);
        let signed = Tensor::where_(&zero, &plain.zeros_like().copysign(&plain), &rounded);
        let value = Tensor::where_(&other.eq_scalar(0.0), &plain, &signed).stop_gradient();
        // A gradient of zeros flows.
        let always = value.full_like_dtype(1.0, DType::Bool);
        Tensor::where_(&always, &Tensor::where_(&always, &value, self), other)
    }

    /// `self + weight · (end − self)`, exact at both ends.
    #[track_caller]
    pub fn lerp(&self, end: &Tensor, weight: &Tensor) -> Tensor {
        in_f32!([self, end, weight] => |x, end, weight| x.lerp(end, weight));
        let way = end - self;
        let from_start = self + &way * weight;
        let from_end = end - way * (1.0 - weight);
        Tensor::where_(&weight.abs().lt_scalar(0.5), &from_start, &from_end)
    }

    /// [`lerp`](Tensor::lerp) with one number as weight.
    #[track_caller]
    pub fn lerp_scalar(&self, end: &Tensor, weight: f64) -> Tensor {
        in_f32!([self, end] => |x, end| x.lerp_scalar(end, weight));
        let way = end - self;
        if weight.abs() < 0.5 {
            self + way * weight
        } else {
            end - way * (1.0 - weight)
        }
    }

    /// `log(exp(self) + exp(other))`, without overflow.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let y = Tensor::new(&[1.0f32], &d).logaddexp(&Tensor::new(&[-1e8f32], &d));
    /// assert_eq!(y.item::<f32>()?, 1.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn logaddexp(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.logaddexp(other));
        let (a, b) = (self.to_float(), other.to_float());
        // Counted from the greater, which is not lost beside the difference.
        let first = a.ge(&b);
        let (long, short) = (
            Tensor::where_(&first, &a, &b),
            Tensor::where_(&first, &b, &a),
        );
        // Equal infinities: the difference is NaN, the result is either of them.
        let same = long.eq(&short).logical_and(&long.isinf());
        let below = (short - &long).masked_fill(&same, f64::NEG_INFINITY);
        long + below.exp().log1p()
    }

    /// `√(self² + other²)`, the length of the hypotenuse, without overflow; infinite where either is, and its gradient
    /// at the origin is 0.
    #[track_caller]
    pub fn hypot(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.hypot(other));
        let (a, b) = (self.to_float().abs(), other.to_float().abs());
        let infinite = a.isinf().logical_or(&b.isinf());
        let (long, short) = (a.maximum(&b), a.minimum(&b));
        let origin = long.eq_scalar(0.0);
        let apart = origin.logical_or(&infinite);
        let length = long.masked_fill(&apart, 1.0);
        let ratio = short.masked_fill(&apart, 0.0) / &length;
        let value = length * (ratio.square() + 1.0).sqrt();
        let value = value.masked_fill(&origin, 0.0);
        value.masked_fill(&infinite, f64::INFINITY)
    }

    /// `self · log(other)`, 0 where `self` is 0. The derivative for `self` is `log(other)` there too, but 0 where that is
    /// not finite.
    #[track_caller]
    pub fn xlogy(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.xlogy(other));
        let other = other.to_float();
        let endless = other.le_scalar(0.0).logical_or(&other.isinf());
        let zero = self.eq_scalar(0.0).logical_and(&endless);
        let safe = Tensor::where_(&zero, &other.ones_like(), &other);
        self * safe.log()
    }

    /// `value` where `mask` holds, else the element; the two broadcast. The dtype stays:
    /// [`DType::convert`] makes the number an element.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::new(&[1, 2], &d).masked_fill(&Tensor::new(&[true, false], &d), 0.5);
    /// assert_eq!(x.to_vec::<i32>()?, [0, 2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: f64) -> Tensor {
        Tensor::where_(mask, &self.element("masked_fill", value), self)
    }

    /// Elements below `min` raised to it, above `max` lowered to it (`max` wins if they cross); NaN stays. The
    /// derivative is 1 strictly between the bounds, as in PyTorch. Integers stay integers with whole bounds, of which
    /// those beyond their range are none, and are computed as f32 with others.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[-2.0f32, 0.5, 2.0], &Device::cpu());
    /// assert_eq!(x.clamp(0.0, 1.0).to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn clamp(&self, min: f64, max: f64) -> Tensor {
        self.clamped(Some(min), Some(max))
    }

    /// Elements below `min` raised to it; see [`clamp`](Tensor::clamp).
    #[track_caller]
    pub fn clamp_min(&self, min: f64) -> Tensor {
        self.clamped(Some(min), None)
    }

    /// Elements above `max` lowered to it; see [`clamp`](Tensor::clamp).
    #[track_caller]
    pub fn clamp_max(&self, max: f64) -> Tensor {
        self.clamped(None, Some(max))
    }

    /// [`clamp`](Tensor::clamp) with bounds that broadcast.
    #[track_caller]
    pub fn clamp_tensor(&self, min: &Tensor, max: &Tensor) -> Tensor {
        self.clamp_min_tensor(min).clamp_max_tensor(max)
    }

    /// The greater of element and bound, which broadcasts; NaN in either wins. Where they are equal the gradient is
    /// shared.
    #[track_caller]
    pub fn clamp_min_tensor(&self, min: &Tensor) -> Tensor {
        self.maximum(min)
    }

    /// The lesser of element and bound, which broadcasts; NaN in either wins. Where they are equal the gradient is
    /// shared.
    #[track_caller]
    pub fn clamp_max_tensor(&self, max: &Tensor) -> Tensor {
        self.minimum(max)
    }

    /// `log(exp(self) − 1)`, the inverse of [`softplus`](Tensor::softplus), of positive numbers.
    #[track_caller]
    pub fn softplus_inverse(&self) -> Tensor {
        in_f32!([self] => |x| x.softplus_inverse());
        let x = self.to_float();
        let small = x.lt_scalar(LN_2);
        let near = Tensor::where_(&small, &x, &x.ones_like()).expm1().log();
        let far = Tensor::where_(&small, &x.ones_like(), &x);
        let far = &far + (-(-&far).exp()).log1p();
        Tensor::where_(&small, &near, &far)
    }
}
