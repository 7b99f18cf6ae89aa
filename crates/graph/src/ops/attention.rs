//! Scaled dot-product attention: `softmax(q · kᵀ · scale + mask) · v` of queries `q [a, b, l, d]`, keys `k [a, b, s, d]`, values
//! `v [a, b, s, e]` and, if there is one, a mask `[a or 1, b or 1, l or 1, s or 1]` of truth values, which say what is seen, or
//! of numbers, which are added; causal, query `i` sees keys `0..=i`. No executor ever holds more of the scores than a block
//! (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"; Dao et al. 2022, "FlashAttention").
//!
//! A query that sees nothing gives zeros. Without mask or causality a row of nothing but −∞ gives NaN, as a softmax does. Values
//! that are not finite may reach queries that do not see them, where a block has both: 0 · ∞ is NaN.
//!
//! Derivative: with `p` the weights, recomputed from what [`AttentionNormalizer`] keeps of each row, and
//! `δ_i = Σ_j u_ij out_ij`, the gradients of [`AttentionGrad`]; that of numbers in a mask is `p · (u · vᵀ − δ)`, by blocks of
//! queries.

use super::attention_grad::{AttentionGrad, Wanted};
use super::attention_normalizer::AttentionNormalizer;
use super::attention_scores::{Scores, apart, joined};
use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, attention_scores};
use crate::dtype::DType;
use crate::plan::AttentionResult;
use crate::reference::Array;
use crate::tensor::Tensor;

/// Bytes of scores that are recorded at once for the gradient of a mask, at most.
const LARGEST_BLOCK: usize = 32 << 20;

/// See the module. Operands `q`, `k`, `v`, perhaps `mask`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// What the weights are made of.
    pub scores: Scores,
}

impl Attention {
    /// The gradient of a mask of numbers.
    fn of_mask(&self, x: &[Tensor], rows: &Tensor, upstream: &Tensor) -> Tensor {
        let [q, k, v, mask] = x else { return upstream.clone() };
        let (heads, queries, keys) = (q.size(0) * q.size(1), q.size(2), k.size(2));
        let height = (LARGEST_BLOCK / (4 * heads * keys).max(1)).clamp(1, queries.max(1));
        let own = |d: isize| mask.size(d) == 1;
        let spread: Vec<isize> = (0..4).filter(|&d| own(d)).collect();
        let mut sum: Option<Tensor> = None;
        let mut parts = Vec::new();
        for first in (0..queries.max(1)).step_by(height) {
            let n = height.min(queries - first);
            let part = crate::checkpoint(|| {
                let cut = |t: &Tensor| t.narrow(2, first, n);
                let mask = if own(2) { mask.clone() } else { cut(mask) };
                let scores = self.scores.recorded_from(&cut(q), k, Some(&mask), first);
                let p = self.scores.weights(&scores, &cut(rows), true);
                let dp = cut(upstream).matmul(&v.mt());
                (p * (dp - cut(rows).narrow(-1, 2, 1))).sum_dims(&spread, true)
            });
            if own(2) {
                sum = Some(sum.map_or(part.clone(), |sum| sum + part));
            } else {
                parts.push(part);
            }
        }
        sum.unwrap_or_else(|| Tensor::cat(&parts.iter().collect::<Vec<_>>(), 2))
    }
}

impl Primitive for Attention {
    const NAME: &'static str = "scaled_dot_product_attention";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let [a, b, l, s] = Scores::shape(x[0].shape, x[1].shape, x.get(3).map(|m| m.shape))?;
        match x[2].shape {
            &[va, vb, vs, e] if [va, vb, vs] == [a, b, s] && e <= Scores::MAX_FEATURES => Ok(vec![a, b, l, e]),
            v => Err(format!("values {v:?} do not fit keys {:?}", x[1].shape)),
        }
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Scores::dtype(&x[..3], x.get(3))
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let x = cx.inputs;
        let (q, k, v) = (&x[0], &x[1], &x[2]);
        let mut operands = vec![q, k];
        operands.extend(x.get(3));
        let normalizer = Tensor::record(AttentionNormalizer { scores: self.scores }, &operands);
        let delta = (upstream * cx.output).sum_dims(&[-1], true);
        let rows = Tensor::cat(&[&normalizer, &delta], -1);
        let mut operands = vec![q, k, v, upstream, &rows];
        operands.extend(x.get(3));
        let gradient = |wanted: Wanted, operand: usize| {
            let op = AttentionGrad { wanted, scores: self.scores };
            cx.wants(operand).then(|| Tensor::record(op, &operands))
        };
        let mut list = vec![gradient(Wanted::Query, 0), gradient(Wanted::Key, 1), gradient(Wanted::Value, 2)];
        if let Some(mask) = x.get(3) {
            let of_mask = mask.dtype().is_float() && cx.wants(3);
            list.push(of_mask.then(|| self.of_mask(x, &rows, upstream)));
        }
        Derivative::Of(list)
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let joined = joined(x);
        apart(&Tensor::record(self.clone(), &joined.iter().collect::<Vec<_>>()), x[0].shape()[0])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mask = x.get(3).copied();
        let scores = self.scores.in_f64(x[0], x[1], mask);
        let (keys, e) = (x[1].shape[2], shape[3]);
        let mut out = Array::full(shape, dtype, 0.0);
        for (row, out) in out.data.chunks_mut(e.max(1)).enumerate() {
            let scores = &scores.data[row * keys..][..keys];
            let (most, below) = super::attention_scores::row(scores, self.scores.hides(mask.is_some(), keys));
            let head = row / shape[2];
            for (j, score) in scores.iter().enumerate().filter(|_| most != f64::NEG_INFINITY) {
                let p = (score - most - below).exp();
                let v = &x[2].data[(head * keys + j) * e..][..e];
                out.iter_mut().zip(v).for_each(|(out, v)| *out += p * v);
            }
        }
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Attention { result: AttentionResult::Out, scores: self.scores }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all = Vec::new();
        for case in attention_scores::sample_cases() {
            let op = Attention { scores: case.scores };
            let mut inputs = case.floats(&[case.keys]);
            inputs.extend(case.mask());
            all.push(Sample { op, inputs, smooth: case.smooth });
        }
        all
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 2e-5, atol: 2e-5 }
    }
}
