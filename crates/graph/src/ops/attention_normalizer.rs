//! The log-sum-exp of each row of an [attention](super::attention)'s scores in two parts, `[a, b, l, 2]`: the greatest score, and the
//! logarithm of the sum of all exponentials below it. In one number it would be as coarse as scores are large, and so would
//! be the weights that its gradient computes from it. Of a row that sees nothing −∞ and 0. Always f32.
//! Derivative: that of the composition.

use super::attention_scores::{Scores, apart, joined, row, through};
use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, attention_scores};
use crate::dtype::DType;
use crate::plan::AttentionResult;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module. Operands `q`, `k`, perhaps `mask`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionNormalizer {
    /// What the weights are made of.
    pub scores: Scores,
}

impl AttentionNormalizer {
    fn recorded(&self, x: &[Tensor]) -> Tensor {
        let scores = self.scores.recorded(&x[0], &x[1], x.get(2));
        let most = scores.amax_dims(&[-1], true);
        if !self.scores.hides(x.len() > 2, scores.size(-1)) {
            let below = (&scores - &most).exp().sum_dims(&[-1], true).log();
            return Tensor::cat(&[&most, &below], -1);
        }
        let seen = scores.ne_scalar(f64::NEG_INFINITY);
        let none = most.eq_scalar(f64::NEG_INFINITY);
        let finite = Tensor::where_(&none, &most.zeros_like(), &most);
        let below = Tensor::where_(&seen, &(&scores - finite), &scores.zeros_like());
        let sum = Tensor::where_(&seen, &below.exp(), &scores.zeros_like()).sum_dims(&[-1], true);
        let below = Tensor::where_(&none, &sum.ones_like(), &sum).log();
        Tensor::cat(&[&most, &below], -1)
    }
}

impl Primitive for AttentionNormalizer {
    const NAME: &'static str = "attention_normalizer";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let [a, b, l, _] = Scores::shape(x[0].shape, x[1].shape, x.get(2).map(|m| m.shape))?;
        Ok(vec![a, b, l, 2])
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Scores::dtype(&x[..2], x.get(2)).map(|_| DType::F32)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        if cx.inputs[1].size(2) == 0 {
            // Constants: there is no greatest of no scores.
            return Derivative::Of(vec![None; cx.inputs.len()]);
        }
        through(cx, upstream, |x| self.recorded(x))
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let joined = joined(x);
        apart(&Tensor::record(self.clone(), &joined.iter().collect::<Vec<_>>()), x[0].shape()[0])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mask = x.get(2).copied();
        let scores = self.scores.in_f64(x[0], x[1], mask);
        let keys = x[1].shape[2];
        let hides = self.scores.hides(mask.is_some(), keys);
        let mut out = Array::full(shape, dtype, 0.0);
        for (at, out) in out.data.chunks_mut(2).enumerate() {
            (out[0], out[1]) = row(&scores.data[at * keys..][..keys], hides);
        }
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Attention { result: AttentionResult::Normalizer, scores: self.scores }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all = Vec::new();
        for case in attention_scores::sample_cases() {
            let op = AttentionNormalizer { scores: case.scores };
            let mut inputs = case.floats(&[]);
            inputs.extend(case.mask());
            all.push(Sample { op, inputs, smooth: case.smooth });
        }
        all
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 2e-5, atol: 2e-5 }
    }
}
