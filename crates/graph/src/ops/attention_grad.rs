//! The gradient of an [attention](super::attention) in its queries, keys or values, from operands `q`, `k`, `v`, the upstream
//! gradient `u [a, b, l, e]`, and `rows [a, b, l, 3]`: what [`AttentionNormalizer`](super::attention_normalizer) gives for each row,
//! and `δ`. With weights `p = exp(scores − rows₀ − rows₁)` and `z = p · (u · vᵀ − δ)` it is `scale · z · k`, `scale · zᵀ · q`, or
//! `pᵀ · u`. Executors compute those of one attention together, block by block of the scores.
//! Derivative: that of the composition.

use super::attention_scores::{Scores, apart, joined, through};
use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput, attention_scores};
use crate::dtype::DType;
use crate::plan::AttentionResult;
use crate::reference::Array;
use crate::tensor::Tensor;

/// Which gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Of the queries.
    Query,
    /// Of the keys.
    Key,
    /// Of the values.
    Value,
}

/// See the module. Operands `q`, `k`, `v`, `u`, `rows`, perhaps `mask`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionGrad {
    /// Which gradient.
    pub wanted: Wanted,
    /// What the weights are made of.
    pub scores: Scores,
}

impl AttentionGrad {
    fn recorded(&self, x: &[Tensor]) -> Tensor {
        let [q, k, v, upstream, rows, ..] = x else { return x[0].clone() };
        let scores = self.scores.recorded(q, k, x.get(5));
        let p = self.scores.weights(&scores, rows, x.len() > 5);
        if self.wanted == Wanted::Value {
            return p.mt().matmul(upstream);
        }
        let z = p * (upstream.matmul(&v.mt()) - rows.narrow(-1, 2, 1));
        let scale = self.scores.scale();
        match self.wanted {
            Wanted::Query => z.matmul(k) * scale,
            _ => z.mt().matmul(q) * scale,
        }
    }
}

impl Primitive for AttentionGrad {
    const NAME: &'static str = "attention_grad";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let [a, b, l, s] = Scores::shape(x[0].shape, x[1].shape, x.get(5).map(|m| m.shape))?;
        let e = x[2].shape.last().copied().unwrap_or(0);
        if x[2].shape != [a, b, s, e] || x[3].shape != [a, b, l, e] || e > Scores::MAX_FEATURES {
            return Err(format!("values {:?} and a gradient {:?} do not fit", x[2].shape, x[3].shape));
        }
        if x[4].shape != [a, b, l, 3] {
            return Err(format!("rows {:?} are not {:?}", x[4].shape, [a, b, l, 3]));
        }
        Ok(match self.wanted {
            Wanted::Query => x[0].shape.to_vec(),
            Wanted::Key => x[1].shape.to_vec(),
            Wanted::Value => x[2].shape.to_vec(),
        })
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        if x[4].dtype != DType::F32 {
            return Err(format!("rows are f32, not {}", x[4].dtype));
        }
        Scores::dtype(&x[..4], x.get(5))
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        through(cx, upstream, |x| self.recorded(x))
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let joined = joined(x);
        apart(&Tensor::record(self.clone(), &joined.iter().collect::<Vec<_>>()), x[0].shape()[0])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mask = x.get(5).copied();
        let scores = self.scores.in_f64(x[0], x[1], mask);
        let (queries, keys) = (x[0].shape[2], x[1].shape[2]);
        let hides = self.scores.hides(mask.is_some(), keys);
        let (d, e) = (x[0].shape[3], x[2].shape[3]);
        let width = shape[3];
        let mut out = Array::full(shape, dtype, 0.0);
        for (at, &score) in scores.data.iter().enumerate() {
            let (row, j) = (at / keys, at % keys);
            let column = row / queries * keys + j;
            let [most, below, delta] = [0, 1, 2].map(|i| x[4].data[3 * row + i]);
            let seen = !hides || score != f64::NEG_INFINITY;
            let p = if seen { (score - most - below).exp() } else { 0.0 };
            let (u, v) = (&x[3].data[row * e..][..e], &x[2].data[column * e..][..e]);
            let z = p * (u.iter().zip(v).map(|(u, v)| u * v).sum::<f64>() - delta) * self.scores.scale();
            let (to, from, factor) = match self.wanted {
                Wanted::Query => (row, &x[1].data[column * d..][..d], z),
                Wanted::Key => (column, &x[0].data[row * d..][..d], z),
                Wanted::Value => (column, u, p),
            };
            let out = &mut out.data[to * width..][..width];
            out.iter_mut().zip(from).for_each(|(out, x)| *out += factor * x);
        }
        out
    }

    fn lower(&self) -> Lowered {
        let result = match self.wanted {
            Wanted::Query => AttentionResult::Query,
            Wanted::Key => AttentionResult::Key,
            Wanted::Value => AttentionResult::Value,
        };
        Lowered::Attention { result, scores: self.scores }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all = Vec::new();
        for (n, case) in attention_scores::sample_cases().into_iter().enumerate() {
            let rows = [case.heads[0], case.heads[1], case.queries, 3];
            let wanted = [Wanted::Query, Wanted::Key, Wanted::Value];
            // The large ones once.
            for wanted in wanted.into_iter().filter(|&w| case.smooth || w == wanted[n % 3] || w == wanted[(n + 1) % 3]) {
                let op = AttentionGrad { wanted, scores: case.scores };
                let mut inputs = case.floats(&[case.keys, case.queries]);
                inputs.push(SampleInput::f32(&rows, 0.5, 1.5));
                inputs.extend(case.mask());
                all.push(Sample { op, inputs, smooth: case.smooth });
            }
        }
        all
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 2e-5, atol: 5e-5 }
    }
}
