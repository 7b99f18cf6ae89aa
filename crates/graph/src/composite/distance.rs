//! Unit vectors, and distances and angles between vectors.

use crate::in_f32;
use crate::tensor::Tensor;

impl Tensor {
    /// `max(x, least)`, whose derivative is 1 where `x` is `least` (PyTorch's `clamp_min`).
    #[track_caller]
    pub(crate) fn floored(&self, least: f64) -> Tensor {
        Tensor::where_(&self.lt_scalar(least), &self.full_like(least), self)
    }

    /// `max(x, least)` in value, `x` in derivative.
    #[track_caller]
    pub(crate) fn floored_silently(&self, least: f64) -> Tensor {
        let lifted = (self - self.stop_gradient()) + least;
        Tensor::where_(&self.lt_scalar(least), &lifted, self)
    }

    /// Vectors along `dim` divided by their p-norm, or by `eps` where that is greater (PyTorch's defaults: 2 and
    /// 1e-12).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[3.0f32, 4.0], &Device::cpu()).normalize(2.0, 0, 1e-12);
    /// assert_eq!(x.to_vec::<f32>()?, [0.6, 0.8]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn normalize(&self, p: f64, dim: isize, eps: f64) -> Tensor {
        self.normalize_dims(p, &[dim], eps)
    }

    /// As [`normalize`](Tensor::normalize), the vectors lying in several dimensions.
    #[track_caller]
    pub fn normalize_dims(&self, p: f64, dims: &[isize], eps: f64) -> Tensor {
        in_f32!([self] => |x| x.normalize_dims(p, dims, eps));
        let norm = self.vector_norm(p, dims, true).floored(eps);
        self.to_float() / norm
    }

    /// The cosine of the angle between vectors along `dim`; lengths below `eps` (PyTorch's default: 1e-8) count
    /// as `eps`. Operands broadcast.
    #[track_caller]
    pub fn cosine_similarity(&self, other: &Tensor, dim: isize, eps: f64) -> Tensor {
        in_f32!([self, other] => |x, other| x.cosine_similarity(other, dim, eps));
        let shape = match crate::shape::broadcast(self.shape(), other.shape()) {
            Ok(shape) => shape,
            Err(m) => return self.fail_with(other, "cosine_similarity", m),
        };
        let unit = |x: &Tensor| {
            let x = x.to_float().broadcast_to(&shape);
            &x / x.vector_norm(2.0, &[dim], true).floored_silently(eps)
        };
        (unit(self) * unit(other)).sum_dims(&[dim], false)
    }

    /// The p-norm of `self − other + eps` along the last dimension; operands broadcast (PyTorch's defaults: 2 and
    /// 1e-6).
    #[track_caller]
    pub fn pairwise_distance(&self, other: &Tensor, p: f64, eps: f64, keepdim: bool) -> Tensor {
        in_f32!([self, other] => |x, other| x.pairwise_distance(other, p, eps, keepdim));
        (self.to_float() - other.to_float() + eps).vector_norm(p, &[-1], keepdim)
    }
}
