//! The softmax family, stable: the maximum is taken off first, and no gradient flows through it, for it cancels.

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
        let e = self.below_maximum(dim).exp();
        &e / e.sum_dims(&[dim], true)
    }

    /// `log(softmax(x))` along `dim`, accurate where probabilities vanish.
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Tensor {
        let x = self.below_maximum(dim);
        &x - x.exp().sum_dims(&[dim], true).log()
    }

    /// `log Σ exp(x)` along `dim`, without overflow; ±∞ where the maximum is.
    #[track_caller]
    pub fn logsumexp(&self, dim: isize, keepdim: bool) -> Tensor {
        let x = self.to_float();
        let m = x.amax_dims(&[dim], true).stop_gradient();
        let finite = m.abs().lt_scalar(f64::INFINITY);
        let m = Tensor::where_(&finite, &m, &m.zeros_like());
        let out = (&x - &m).exp().sum_dims(&[dim], true).log() + m;
        if keepdim { out } else { out.squeeze(dim) }
    }

    #[track_caller]
    fn below_maximum(&self, dim: isize) -> Tensor {
        let x = self.to_float();
        &x - x.amax_dims(&[dim], true).stop_gradient()
    }
}
