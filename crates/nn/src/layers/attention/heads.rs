//! Attention of heads that are already apart, with dropout and with the weights as a result. Knows no parameters.

use crate::{Context, Dropout};
use wgrad_graph::{AttentionOptions, DType, Tensor};

/// Queries `[batch, heads, queries, features]`, keys and values `[batch, heads of keys, keys, features]`.
pub(crate) struct Heads {
    pub(crate) query: Tensor,
    pub(crate) key: Tensor,
    pub(crate) value: Tensor,
    /// What is seen, or what is added to the scores.
    pub(crate) mask: Option<Tensor>,
    pub(crate) is_causal: bool,
    pub(crate) dropout: f64,
}

impl Heads {
    /// `[batch, heads, queries, features]`.
    #[track_caller]
    pub(crate) fn attend(&self, cx: &mut Context) -> Tensor {
        if cx.training && self.dropout != 0.0 {
            return self.attend_with_weights(cx).0;
        }
        let options = AttentionOptions {
            attn_mask: self.mask.clone(),
            is_causal: self.is_causal && self.mask.is_none(),
            ..AttentionOptions::default()
        };
        let grouped = self.key.size(1) != self.query.size(1);
        let options = options.enable_gqa(grouped);
        self.query
            .scaled_dot_product_attention(&self.key, &self.value, &options)
    }

    /// The same, and the weights `[batch, heads, queries, keys]`.
    #[track_caller]
    pub(crate) fn attend_with_weights(&self, cx: &mut Context) -> (Tensor, Tensor) {
        let groups = self.query.size(1) / self.key.size(1).max(1);
        let shared = |t: &Tensor| match groups {
            0 | 1 => t.clone(),
            n => t.repeat_interleave(n, 1),
        };
        let scale = (self.query.size(-1) as f64).sqrt().recip();
        let scores = (&self.query * scale).matmul(&shared(&self.key).t());
        let weights = masked_softmax(&self.masked(scores));
        let weights = Dropout::new(self.dropout).forward(&weights, cx);
        (weights.matmul(&shared(&self.value)), weights)
    }

    #[track_caller]
    fn masked(&self, scores: Tensor) -> Tensor {
        let causal = || {
            let [queries, keys] = [scores.size(-2), scores.size(-1)];
            let row = Tensor::arange(queries, scores.device()).reshape(&[-1, 1]);
            Tensor::arange(keys, scores.device())
                .reshape(&[1, -1])
                .le(&row)
        };
        let mask = match &self.mask {
            None if self.is_causal => Some(causal()),
            mask => mask.clone(),
        };
        match mask {
            Some(seen) if seen.dtype() == DType::Bool => {
                Tensor::where_(&seen, &scores, &scores.full_like(f64::NEG_INFINITY))
            }
            Some(added) => scores + added,
            None => scores,
        }
    }
}

/// Softmax along the last dimension; zeros where all is −∞.
#[track_caller]
fn masked_softmax(x: &Tensor) -> Tensor {
    let seen = x.ne_scalar(f64::NEG_INFINITY);
    let none = seen.any_dims(&[-1], true).logical_not();
    // A row that sees nothing must not meet the softmax' derivative.
    let safe = Tensor::where_(&none, &x.zeros_like(), x);
    let y = safe.softmax(-1);
    Tensor::where_(&none, &y.zeros_like(), &y)
}

/// `x [batch, length, heads · features]` as `[batch, heads, length, features]`.
#[track_caller]
pub(crate) fn split(x: &Tensor, heads: usize) -> Tensor {
    let features = x.size(2) / heads.max(1);
    x.unflatten(2, &[heads as isize, features as isize])
        .transpose(1, 2)
}

/// Heads `[batch, heads, length, features]` side by side, `[batch, length, heads · features]`.
#[track_caller]
pub(crate) fn merge(y: &Tensor) -> Tensor {
    y.transpose(1, 2).flatten(2, 3)
}
