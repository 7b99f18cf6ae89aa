//! Element-wise functions of two and three operands, and turns of notation: fused products and sums, signs, angles.

use crate::dtype::DType;
use crate::in_f32;
use crate::tensor::Tensor;
use std::f64::consts::{LN_2, LOG2_E, PI};

impl Tensor {
    /// `self + value · a · b`; all broadcast.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::new(&[1.0f32, 2.0], &d);
    /// assert_eq!(x.addcmul(&x, &x, 0.5).to_vec::<f32>()?, [1.5, 4.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn addcmul(&self, a: &Tensor, b: &Tensor, value: f64) -> Tensor {
        in_f32!([self, a, b] => |x, a, b| x.addcmul(a, b, value));
        self + (a * b).times(value)
    }

    /// `self + value · a / b`; all broadcast.
    #[track_caller]
    pub fn addcdiv(&self, a: &Tensor, b: &Tensor, value: f64) -> Tensor {
        in_f32!([self, a, b] => |x, a, b| x.addcdiv(a, b, value));
        self + (a / b).times(value)
    }

    /// A multiple; by 1 the tensor itself.
    #[track_caller]
    pub(crate) fn times(&self, factor: f64) -> Tensor {
        if factor == 1.0 {
            self.clone()
        } else {
            self * factor
        }
    }

    /// `log2(2^self + 2^other)`, without overflow.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1000.0f32], &Device::cpu());
    /// assert_eq!(x.logaddexp2(&x).item::<f32>()?, 1001.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn logaddexp2(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.logaddexp2(other));
        let (a, b) = (self.to_float(), other.to_float());
        let first = a.ge(&b).logical_or(&a.isnan());
        let (long, short) = (
            Tensor::where_(&first, &a, &b),
            Tensor::where_(&first, &b, &a),
        );
        let same = long.eq(&short).logical_and(&long.isinf());
        let below = (short - &long).masked_fill(&same, f64::NEG_INFINITY);
        long + (below * LN_2).exp().log1p() * LOG2_E
    }

    /// 0 below 0 and for NaN, 1 above, `values` at 0. No gradient flows.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let y = Tensor::new(&[-1.0f32, 0.0, 2.0], &d).heaviside(&Tensor::new(&[0.5f32], &d));
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn heaviside(&self, values: &Tensor) -> Tensor {
        let x = self.stop_gradient();
        let step = x.gt_scalar(0.0).cast(x.dtype());
        Tensor::where_(&x.eq_scalar(0.0), &values.stop_gradient(), &step)
    }

    /// `self · 2^exponent`.
    #[track_caller]
    pub fn ldexp(&self, exponent: &Tensor) -> Tensor {
        in_f32!([self, exponent] => |x, exponent| x.ldexp(exponent));
        // In two steps, each of which stays in range where the result does.
        let half = (exponent.to_float() * 0.5).floor();
        let rest = exponent.to_float() - &half;
        self.to_float() * half.exp2() * rest.exp2()
    }

    /// Where the sign is negative, that of −0 too.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[-0.0f32, 0.0, -3.0], &Device::cpu());
    /// assert_eq!(x.signbit().to_vec::<bool>()?, [true, false, true]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn signbit(&self) -> Tensor {
        if self.dtype() == DType::Bool || !self.dtype().is_float() {
            return self.lt_scalar(0.0);
        }
        let x = self.stop_gradient();
        x.lt_scalar(0.0)
            .logical_or(&x.eq_scalar(0.0).logical_and(&x.recip().lt_scalar(0.0)))
    }

    /// Where the element is +∞.
    #[track_caller]
    pub fn isposinf(&self) -> Tensor {
        self.isinf().logical_and(&self.gt_scalar(0.0))
    }

    /// Where the element is −∞.
    #[track_caller]
    pub fn isneginf(&self) -> Tensor {
        self.isinf().logical_and(&self.lt_scalar(0.0))
    }

    /// Degrees as radians.
    #[track_caller]
    pub fn deg2rad(&self) -> Tensor {
        in_f32!([self] => |x| x.deg2rad());
        self.to_float() * (PI / 180.0)
    }

    /// Radians as degrees.
    #[track_caller]
    pub fn rad2deg(&self) -> Tensor {
        in_f32!([self] => |x| x.rad2deg());
        self.to_float() * (180.0 / PI)
    }

    /// `other − alpha · self`.
    #[track_caller]
    pub fn rsub(&self, other: &Tensor, alpha: f64) -> Tensor {
        in_f32!([self, other] => |x, other| x.rsub(other, alpha));
        other - self.times(alpha)
    }

    /// The multivariate log-gamma function of dimension `p`: `Σ lgamma(x + (1 − i) / 2) + p (p − 1) / 4 · log π` over
    /// `i = 1 … p`.
    #[track_caller]
    pub fn mvlgamma(&self, p: u32) -> Tensor {
        in_f32!([self] => |x| x.mvlgamma(p));
        if p == 0 || p > 4096 {
            let m = format!("the dimension {p} does not lie between 1 and 4096");
            return self.fail_kind(crate::error::ErrorKind::Value, "mvlgamma", m);
        }
        let x = self.to_float();
        let terms = (0..p).map(f64::from);
        let constant = f64::from(p) * f64::from(p - 1) / 4.0 * PI.ln();
        let mut sum = x.full_like(constant);
        for i in terms {
            sum = sum + (&x - i / 2.0).lgamma();
        }
        sum
    }

    /// The modified Bessel function of the first kind of order 0.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let y = Tensor::new(&[1.0f32], &Device::cpu()).i0().item::<f32>()?;
    /// assert!((y - 1.266_065_9).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn i0(&self) -> Tensor {
        in_f32!([self] => |x| x.i0());
        let size = self.to_float().abs();
        let near = size.le_scalar(8.0);
        // The series of (x/2)²ᵏ / k!² up to 8; the asymptotic one beyond.
        let square = (size.masked_fill(&near.logical_not(), 0.0) * 0.5).square();
        let mut factorial = 1.0;
        let terms: Vec<f64> = (0..32u32)
            .map(|k| {
                factorial *= f64::from(k.max(1));
                (factorial * factorial).recip()
            })
            .collect();
        let small = square.polynomial(&terms);
        let far = size.masked_fill(&near, 8.0);
        let mut term = 1.0;
        let tail: Vec<f64> = (0..13u32)
            .map(|k| {
                if k > 0 {
                    let odd = f64::from(2 * k - 1);
                    term *= odd * odd / (8.0 * f64::from(k));
                }
                term
            })
            .collect();
        let half = (&far * 0.5).exp();
        let large = far.recip().polynomial(&tail) / (far.sqrt() * (2.0 * PI).sqrt()) * &half * half;
        Tensor::where_(&near, &small, &large)
    }

    /// `Σ coefficients[k] · selfᵏ`.
    #[track_caller]
    fn polynomial(&self, coefficients: &[f64]) -> Tensor {
        let mut sum = self.zeros_like();
        for &c in coefficients.iter().rev() {
            sum = sum * self + c;
        }
        sum
    }
}
