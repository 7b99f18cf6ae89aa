//! What queries may not see: padding, masks of one's own, the future. Holds tensors, computes their union.

use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor};

/// Masks of an attention layer, as PyTorch's `MultiheadAttention` takes them: truth values say what is *not* seen,
/// numbers are added to the scores.
#[derive(Clone, Default)]
pub struct AttentionMasks {
    /// Keys that no query sees: `[batch, keys]`, or `[keys]` without a batch.
    pub key_padding_mask: Option<Tensor>,
    /// `[queries, keys]`, or `[batch · heads, queries, keys]`.
    pub attn_mask: Option<Tensor>,
    /// Whether query `i` sees keys `0..=i` only, besides what the masks say.
    pub is_causal: bool,
}

impl AttentionMasks {
    /// Without masks.
    ///
    /// ```
    /// use wgrad_nn::AttentionMasks;
    /// assert!(AttentionMasks::causal().is_causal && !AttentionMasks::none().is_causal);
    /// ```
    pub fn none() -> AttentionMasks {
        AttentionMasks::default()
    }

    /// Query `i` sees keys `0..=i`.
    pub fn causal() -> AttentionMasks {
        AttentionMasks {
            is_causal: true,
            ..AttentionMasks::default()
        }
    }

    /// With keys that are padding.
    pub fn key_padding_mask(self, mask: &Tensor) -> AttentionMasks {
        AttentionMasks {
            key_padding_mask: Some(mask.clone()),
            ..self
        }
    }

    /// With a mask of queries and keys.
    pub fn attn_mask(self, mask: &Tensor) -> AttentionMasks {
        AttentionMasks {
            attn_mask: Some(mask.clone()),
            ..self
        }
    }

    /// One mask for [`Tensor::scaled_dot_product_attention`], which takes what *is* seen, or what is added; of a rank of 4.
    /// `None` if there is nothing but causality, which is no part of it. `sizes` are batch, heads, queries and keys.
    #[track_caller]
    pub(super) fn union(&self, sizes: [usize; 4]) -> Result<Option<Tensor>> {
        let [batch, heads, queries, keys] = sizes;
        let mut all = Vec::new();
        if let Some(mask) = &self.key_padding_mask {
            mask.check()?;
            let wanted = [vec![batch, keys], vec![keys]];
            if !(mask.shape() == wanted[0] || batch == 1 && mask.shape() == wanted[1]) {
                let m = format!("key_padding_mask {:?} is not {:?}", mask.shape(), wanted[0]);
                return Err(Error::new(ErrorKind::Shape, "multihead_attention", m));
            }
            all.push(mask.reshape(&[batch as isize, 1, 1, keys as isize]));
        }
        if let Some(mask) = &self.attn_mask {
            mask.check()?;
            let shape = match mask.shape() {
                [q, k] if (*q, *k) == (queries, keys) => [1, 1, queries, keys],
                [n, q, k] if (*n, *q, *k) == (batch * heads, queries, keys) => sizes,
                other => {
                    let m = format!(
                        "attn_mask {other:?} is neither {:?} nor {:?}",
                        [queries, keys],
                        [batch * heads, queries, keys]
                    );
                    return Err(Error::new(ErrorKind::Shape, "multihead_attention", m));
                }
            };
            all.push(mask.reshape(&shape.map(|n| n as isize)));
        }
        if all.is_empty() {
            return Ok(None);
        }
        for mask in &all {
            let of_truth = mask.dtype() == DType::Bool;
            if !(of_truth || mask.dtype().is_float()) {
                let m = format!("masks are bool or floats, not {}", mask.dtype());
                return Err(Error::new(ErrorKind::DType, "multihead_attention", m));
            }
        }
        Ok(Some(union(&all)))
    }
}

/// What is seen, if all are truth values; else what is added.
#[track_caller]
fn union(masks: &[Tensor]) -> Tensor {
    let hidden = masks.iter().filter(|m| m.dtype() == DType::Bool);
    let hidden = hidden.cloned().reduce(|a, b| a.logical_or(&b));
    let added = masks.iter().filter(|m| m.dtype() != DType::Bool);
    let added = added.cloned().reduce(|a, b| a + b);
    match (hidden, added) {
        (Some(hidden), None) => hidden.logical_not(),
        (Some(hidden), Some(added)) => {
            let never = added.full_like(f64::NEG_INFINITY);
            Tensor::where_(&hidden, &never, &added)
        }
        (None, Some(added)) => added,
        (None, None) => unreachable!("there is a mask"),
    }
}
