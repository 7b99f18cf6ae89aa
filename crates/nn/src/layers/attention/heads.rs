//! Attention of heads that are already apart, with dropout and with the weights as a result. Knows no parameters.

use crate::{Context, Dropout};
use wgrad_graph::{AttentionOptions, DType, Tensor, checkpoint};

/// Bytes of weights that are dropped at once, at most, as far as queries can be cut: as
/// [`Tensor::scaled_dot_product_attention`] has of scores.
const LARGEST_WEIGHTS: usize = 64 << 20;

/// Queries `[batch, heads, queries, features]`, keys and values `[batch, heads of keys, keys, features]`.
pub(crate) struct Heads {
    pub(crate) query: Tensor,
    pub(crate) key: Tensor,
    pub(crate) value: Tensor,
    /// What is seen, or what is added to the scores.
    pub(crate) mask: Option<Tensor>,
    /// If it is causal too, the place of the first query among the keys.
    pub(crate) first: Option<usize>,
    pub(crate) dropout: f64,
}

impl Heads {
    /// `[batch, heads, queries, features]`.
    #[track_caller]
    pub(crate) fn attend(&self, cx: &mut Context) -> Tensor {
        if cx.training && self.dropout != 0.0 {
            return self.within(LARGEST_WEIGHTS, cx);
        }
        let options = AttentionOptions {
            attn_mask: self.mask.clone(),
            is_causal: self.first.is_some(),
            ..AttentionOptions::default()
        };
        let grouped = self.key.size(1) != self.query.size(1);
        let options = options.enable_gqa(grouped);
        self.query
            .scaled_dot_product_attention(&self.key, &self.value, &options)
    }

    /// The same by weights of no more than `largest` bytes at once, in blocks of queries that the gradient computes again.
    #[track_caller]
    fn within(&self, largest: usize, cx: &mut Context) -> Tensor {
        let [batch, heads, queries] = [0, 1, 2].map(|d| self.query.size(d));
        let of_query = batch * heads * self.key.size(2) * 4;
        let rows = (largest / of_query.max(1)).max(1);
        if rows >= queries || self.query.check().is_err() || self.key.check().is_err() {
            return self.attend_with_weights(cx).0;
        }
        let starts = (0..queries).step_by(rows);
        let blocks = starts.map(|at| {
            let block = self.queries(at, rows.min(queries - at));
            checkpoint(|| block.attend_with_weights(cx).0)
        });
        let blocks: Vec<Tensor> = blocks.collect();
        Tensor::cat(&blocks.iter().collect::<Vec<_>>(), 2)
    }

    /// For `n` of the queries from `at` on, and the keys that they may see.
    #[track_caller]
    fn queries(&self, at: usize, n: usize) -> Heads {
        let keys = self.key.size(2);
        let seen = match self.first {
            Some(first) => keys.min(first + at + n),
            None => keys,
        };
        // What is the same for all of them stays as it is.
        let cut = |mask: &Tensor| {
            let rows = match mask.size(-2) {
                1 => mask.clone(),
                _ => mask.narrow(-2, at, n),
            };
            match rows.size(-1) == keys {
                true => rows.narrow(-1, 0, seen),
                false => rows,
            }
        };
        Heads {
            query: self.query.narrow(2, at, n),
            key: self.key.narrow(2, 0, seen),
            value: self.value.narrow(2, 0, seen),
            mask: self.mask.as_ref().map(cut),
            first: self.first.map(|first| first + at),
            dropout: self.dropout,
        }
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
        let never = |scores: &Tensor| scores.full_like(f64::NEG_INFINITY);
        let scores = match &self.mask {
            Some(seen) if seen.dtype() == DType::Bool => {
                Tensor::where_(seen, &scores, &never(&scores))
            }
            Some(added) => scores + added,
            None => scores,
        };
        let Some(first) = self.first else {
            return scores;
        };
        let [queries, keys] = [scores.size(-2), scores.size(-1)];
        let row = Tensor::arange(queries, scores.device()) + first as i32;
        let seen = Tensor::arange(keys, scores.device())
            .reshape(&[1, -1])
            .le(&row.reshape(&[-1, 1]));
        Tensor::where_(&seen, &scores, &never(&scores))
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

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_graph::{Device, Generator, grad};

    /// Blocks of queries attend as all of them do, whatever hides keys; with dropout each has its share of them.
    #[test]
    fn blocks_attend_as_the_whole() {
        let device = Device::cpu();
        let mut rng = Generator::new(1);
        let mut of = |shape: &[usize]| rng.uniform(shape, &device).detach().expect("numbers");
        let (q, k, v) = (of(&[2, 4, 7, 3]), of(&[2, 2, 7, 3]), of(&[2, 2, 7, 5]));
        let masks = [vec![7, 7], vec![2, 1, 1, 7], vec![2, 4, 7, 1]].map(|shape| of(&shape));
        let seen = masks[0].gt_scalar(0.3);
        let masks = masks.into_iter().chain([seen]).map(Some).chain([None]);
        for mask in masks {
            for first in [None, Some(0)] {
                let heads = |dropout: f64| Heads {
                    query: q.clone(),
                    key: k.clone(),
                    value: v.clone(),
                    mask: mask.clone(),
                    first,
                    dropout,
                };
                let computed = |largest: usize| {
                    let y = heads(0.0).within(largest, &mut Context::train(0));
                    let all = grad(&(&y * &y).sum(), &[&q, &k, &v]).expect("gradients");
                    let all = std::iter::once(&y).chain(&all);
                    all.flat_map(|t| t.to_vec::<f32>().expect("values"))
                        .collect::<Vec<f32>>()
                };
                let want = computed(usize::MAX);
                for largest in [1, 450, 1200] {
                    let got = computed(largest);
                    assert_eq!(got.len(), want.len());
                    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 * (1.0 + b.abs());
                    assert!(
                        got.iter().zip(&want).all(close),
                        "{largest}: {got:?}\n{want:?}"
                    );
                }
                let y = heads(1.0).within(450, &mut Context::train(0));
                assert!(y.to_vec::<f32>().expect("values").iter().all(|&x| x == 0.0));
                let dropped = heads(0.5).within(450, &mut Context::train(0));
                assert_ne!(
                    dropped.to_vec::<f32>().expect("values"),
                    want[..dropped.numel()]
                );
            }
        }
    }
}
