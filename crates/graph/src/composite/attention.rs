//! Scaled dot-product attention (Vaswani et al. 2017), stable and with rows that attend to nothing.

use crate::dtype::DType;
use crate::tensor::Tensor;

/// Optional arguments of [`Tensor::scaled_dot_product_attention`].
#[derive(Clone, Default)]
pub struct AttentionOptions {
    /// Broadcasts to `[…, queries, keys]`: truth values say what takes part, numbers are added to the scores.
    pub attn_mask: Option<Tensor>,
    /// Whether query `i` sees keys `0..=i` only; not together with a mask.
    pub is_causal: bool,
    /// Factor of the scores; `1 / √features`.
    pub scale: Option<f64>,
    /// Whether several heads of queries (dimension −3) share one head of keys and values.
    pub enable_gqa: bool,
}

impl AttentionOptions {
    /// With a mask.
    pub fn attn_mask(self, mask: &Tensor) -> Self {
        AttentionOptions {
            attn_mask: Some(mask.clone()),
            ..self
        }
    }

    /// Causal or not.
    pub fn is_causal(self, is_causal: bool) -> Self {
        AttentionOptions { is_causal, ..self }
    }

    /// With another factor.
    pub fn scale(self, scale: f64) -> Self {
        AttentionOptions {
            scale: Some(scale),
            ..self
        }
    }

    /// With heads of keys shared or not.
    pub fn enable_gqa(self, enable_gqa: bool) -> Self {
        AttentionOptions { enable_gqa, ..self }
    }
}

impl Tensor {
    /// `softmax(q · kᵀ · scale + mask) · v`: `self` the queries `[…, queries, features]`, keys
    /// `[…, keys, features]`, values `[…, keys, value features]`. A query that sees no key gives zeros.
    ///
    /// ```
    /// # use wgrad_graph::{AttentionOptions, Device, Tensor};
    /// let d = Device::cpu();
    /// let q = Tensor::from_slice(&[0.0f32, 0.0], &[2, 1], &d);
    /// let v = Tensor::from_slice(&[1.0f32, 3.0], &[2, 1], &d);
    /// let y = q.scaled_dot_product_attention(&q, &v, &AttentionOptions::default().is_causal(true));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn scaled_dot_product_attention(
        &self,
        key: &Tensor,
        value: &Tensor,
        options: &AttentionOptions,
    ) -> Tensor {
        let op = "scaled_dot_product_attention";
        if self.rank() < 2 || key.rank() < 2 || value.rank() < 2 {
            return self.fail_with(key, op, "operands need at least [length, features]");
        }
        if options.is_causal && options.attn_mask.is_some() {
            return self.fail(op, "is_causal and attn_mask exclude each other");
        }
        let (key, value) = if options.enable_gqa {
            (key.shared_heads(op, self), value.shared_heads(op, self))
        } else {
            (key.clone(), value.clone())
        };
        let scale = options
            .scale
            .unwrap_or_else(|| (self.size(-1) as f64).sqrt().recip());
        let scores = (self.to_float() * scale).matmul(&key.to_float().t());
        if scores.check().is_err() {
            return scores;
        }
        let mask = match &options.attn_mask {
            _ if options.is_causal => Some(causal(&scores)),
            mask => mask.clone(),
        };
        if mask.is_none() && scores.size(-1) > 0 {
            // Every query sees every key.
            return scores.softmax(-1).matmul(&value.to_float());
        }
        let scores = match mask {
            Some(m) if m.dtype() == DType::Bool => {
                Tensor::where_(&m, &scores, &scores.full_like(f64::NEG_INFINITY))
            }
            Some(m) => scores + m,
            None => scores,
        };
        scores.safe_softmax().matmul(&value.to_float())
    }

    /// Softmax along the last dimension; zeros where all is −∞.
    #[track_caller]
    fn safe_softmax(&self) -> Tensor {
        let most = self.amax_dims(&[-1], true).stop_gradient();
        let most = Tensor::where_(
            &most.eq_scalar(f64::NEG_INFINITY),
            &most.zeros_like(),
            &most,
        );
        // The operand is masked too: −∞ must not meet the second derivative.
        let seen = self.ne_scalar(f64::NEG_INFINITY);
        let below = Tensor::where_(&seen, &(self - most), &self.zeros_like());
        let e = Tensor::where_(&seen, &below.exp(), &self.zeros_like());
        let sum = e.sum_dims(&[-1], true);
        let none = sum.eq_scalar(0.0);
        e / Tensor::where_(&none, &sum.ones_like(), &sum)
    }

    /// Heads (dimension −3) repeated one by one, as many as the queries have.
    #[track_caller]
    fn shared_heads(&self, op: &str, query: &Tensor) -> Tensor {
        let (have, want, rank) = (self.size(-3), query.size(-3), self.rank());
        if rank < 3 || query.rank() < 3 || have == 0 || !want.is_multiple_of(have) {
            return self.fail(
                op,
                format!("{have} heads of keys or values do not divide {want} of queries"),
            );
        }
        let mut wide = self.shape().to_vec();
        wide.insert(rank - 2, want / have);
        let mut to = self.shape().to_vec();
        to[rank - 3] = want;
        self.unsqueeze(-3).expand_to(&wide).reshape_to(&to)
    }
}

/// True where the column is not after the row.
#[track_caller]
fn causal(scores: &Tensor) -> Tensor {
    let shape = &scores.shape()[scores.rank() - 2..];
    let row = Tensor::iota_along(shape, 0, scores.device());
    Tensor::iota_along(shape, 1, scores.device()).le(&row)
}
