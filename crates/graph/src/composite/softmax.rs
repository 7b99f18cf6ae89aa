//! The softmax family, stable: the maximum is taken off first, and no gradient flows through it, for it cancels.

use crate::in_f32;
use crate::tensor::Tensor;

impl Tensor {
    /// `exp(x) / Σ exp(x)` along `dim`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let p = Tensor::new(&[0.0f32, 0.0], &Device::cpu()).softmax(-1);
    /// assert_eq!(p.to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn softmax(&self, dim: isize) -> Tensor {
        in_f32!([self] => |x| x.softmax(dim));
        let e = self.below_maximum(dim).exp();
        // One division for each sum, not for each element.
        &e * e.sum_dims(&[dim], true).recip()
    }

    /// `log(softmax(x))` along `dim`, accurate where probabilities vanish.
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Tensor {
        in_f32!([self] => |x| x.log_softmax(dim));
        let x = self.below_maximum(dim);
        &x - x.exp().sum_dims(&[dim], true).log()
    }

    /// `log Σ exp(x)` along `dim`, without overflow; ±∞ where the maximum is.
    #[track_caller]
    pub fn logsumexp(&self, dim: isize, keepdim: bool) -> Tensor {
        self.logsumexp_dims(&[dim], keepdim)
    }

    /// `log Σ exp(x)` over some dimensions. The gradient is 0 where the sum is.
    #[track_caller]
    pub fn logsumexp_dims(&self, over: &[isize], keepdim: bool) -> Tensor {
        in_f32!([self] => |x| x.logsumexp_dims(over, keepdim));
        let x = self.to_float();
        if x.numel() == 0 {
            return x.exp().sum_dims(over, keepdim).log();
        }
        let top = x.amax_dims(over, true).stop_gradient();
        let finite = top.abs().lt_scalar(f64::INFINITY);
        let top = Tensor::where_(&finite, &top, &top.zeros_like());
        let sum = (&x - &top).exp().sum_dims(over, true);
        // The operand is replaced, not the result: an infinite slope behind a mask would come back as NaN.
        let none = sum.eq_scalar(0.0);
        let log = Tensor::where_(&none, &sum.ones_like(), &sum).log() + top;
        let out = Tensor::where_(&none, &log.full_like(f64::NEG_INFINITY), &log);
        if keepdim { out } else { out.drop_dims(over) }
    }

    #[track_caller]
    fn below_maximum(&self, dim: isize) -> Tensor {
        let x = self.to_float();
        if x.numel() == 0 {
            // Nothing has no maximum, and needs none taken off.
            return x;
        }
        &x - x.amax_dims(&[dim], true).stop_gradient()
    }
}
