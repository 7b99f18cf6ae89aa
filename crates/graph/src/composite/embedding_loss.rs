//! Losses of pairs and triples of vectors.

use crate::Reduction;
use crate::in_f32;
use crate::tensor::Tensor;

/// Optional arguments of [`Tensor::triplet_margin_loss`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TripletMarginOptions {
    /// How much farther the negative should be; 1.
    pub margin: f64,
    /// Which norm; 2.
    pub p: f64,
    /// Added to differences; 1e-6.
    pub eps: f64,
    /// Whether the negative's distance from the positive counts where it is less; no.
    pub swap: bool,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for TripletMarginOptions {
    fn default() -> Self {
        let (p, eps) = (2.0, 1e-6);
        TripletMarginOptions {
            margin: 1.0,
            p,
            eps,
            swap: false,
            reduction: Reduction::Mean,
        }
    }
}

impl Tensor {
    /// `1 − cos` of vectors whose target is 1, `max(0, cos − margin)` where it is −1 (PyTorch's default margin: 0).
    /// Vectors `[batch, features]` and targets `[batch]`, or `[features]` and `[]`.
    #[track_caller]
    pub fn cosine_embedding_loss(
        &self,
        other: &Tensor,
        target: &Tensor,
        margin: f64,
        reduction: Reduction,
    ) -> Tensor {
        in_f32!([self, other, target] => |x, other, target| x.cosine_embedding_loss(other, target, margin, reduction));
        if target.rank() > 1 || self.rank() != target.rank() + 1 || other.rank() != self.rank() {
            let m = "takes vectors [batch, features] and targets [batch], or both without batch";
            return self.fail_with(other, "cosine_embedding_loss", m);
        }
        let (a, b) = (self.to_float(), other.to_float());
        let norm = |x: &Tensor| x.square().sum_dims(&[-1], false) + 1e-12;
        // Two roots rather than the root of the product, which may overflow.
        let cos = (&a * &b).sum_dims(&[-1], false) / (norm(&a).sqrt() * norm(&b).sqrt());
        let apart = (&cos - margin).floored(0.0);
        let zero = cos.zeros_like();
        let near = Tensor::where_(&target.eq_scalar(1.0), &(1.0 - &cos), &zero);
        reduction.apply(&(near + Tensor::where_(&target.eq_scalar(-1.0), &apart, &zero)))
    }

    /// `max(0, margin − t · (x − other))`, targets 1 and −1 (PyTorch's default margin: 0).
    #[track_caller]
    pub fn margin_ranking_loss(
        &self,
        other: &Tensor,
        target: &Tensor,
        margin: f64,
        reduction: Reduction,
    ) -> Tensor {
        in_f32!([self, other, target] => |x, other, target| x.margin_ranking_loss(other, target, margin, reduction));
        let x = (self - other).to_float();
        reduction.apply(&(margin - target * x).floored(0.0))
    }

    /// `max(0, margin + ‖x − positive‖ − ‖x − negative‖)` of vectors along the last dimension.
    #[track_caller]
    pub fn triplet_margin_loss(
        &self,
        positive: &Tensor,
        negative: &Tensor,
        options: &TripletMarginOptions,
    ) -> Tensor {
        in_f32!([self, positive, negative] => |x, positive, negative| x.triplet_margin_loss(positive, negative, options));
        let distance =
            |a: &Tensor, b: &Tensor| a.pairwise_distance(b, options.p, options.eps, false);
        let (near, mut far) = (distance(self, positive), distance(self, negative));
        if options.swap {
            far = far.minimum(&distance(positive, negative));
        }
        options
            .reduction
            .apply(&(near - far + options.margin).floored(0.0))
    }
}
