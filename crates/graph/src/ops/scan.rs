//! Inclusive scan along one dimension: running sum, product, maximum (NaN wins) or log-sum-exp; from the end with
//! `reverse`. Derivatives, with `S` the scan of the same direction and `S'` of the other:
//! sum `S'(g)`; prod: the products that leave one factor out, so that zeros are right; max: to the element where
//! the running maximum was attained; logsumexp: `Σ g_j · exp(x_i − out_j)`. Those of prod and logsumexp are linear
//! recurrences, [`LinearScan`], and take memory and work in proportion to the length.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::linear_scan::{LinearScan, cut};
use crate::plan::ScanKind;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scan {
    /// How elements combine.
    pub kind: ScanKind,
    /// Along which dimension.
    pub dim: usize,
    /// From the last element to the first.
    pub reverse: bool,
}

impl Scan {
    fn other_way(&self, kind: ScanKind) -> Scan {
        Scan { kind, dim: self.dim, reverse: !self.reverse }
    }

    /// `Σ_{j ≥ i} g_j · Π_{k ≤ j, k ≠ i} x_k` for every `i`: the product of what comes before `i`, times `s_i = g_i +
    /// x_(i+1) s_(i+1)`. Nothing is divided, so it is exact where `x` has zeros, and differentiable again.
    fn prod_grad(&self, x: &Tensor, out: &Tensor, g: &Tensor) -> Tensor {
        let head = self.end(out, false).ones_like();
        let before = self.shifted(out, &head, false);
        let tail = self.end(x, true).zeros_like();
        let s = self.linear(&self.shifted(x, &tail, true), g);
        // A sum that has overflowed behind a zero is no gradient.
        let over = before.eq_scalar(0.0).logical_and(&s.isfinite().logical_not());
        before * Tensor::where_(&over, &s.zeros_like(), &s)
    }

    /// Each element that attains the running maximum takes the gradient from there to the next that does: of equal ones
    /// the last (PyTorch's `cummax`).
    fn max_grad(&self, x: &Tensor, out: &Tensor, g: &Tensor) -> Tensor {
        let position = Tensor::iota_along(x.shape(), self.dim, x.device());
        let n = x.shape()[self.dim] as i32;
        let leads = x.eq(out).logical_or(&x.isnan());
        let place = if self.reverse { position.rsub_scalar(f64::from(n - 1)) } else { position.clone() };
        let leader = Tensor::where_(&leads, &place, &place.zeros_like());
        let leader = leader.scan(ScanKind::Max, self.dim, self.reverse);
        let leader = if self.reverse { leader.rsub_scalar(f64::from(n - 1)) } else { leader };
        g.scatter_add_to(self.dim, &leader, x.shape()[self.dim])
    }

    /// `Σ_{j ≥ i} g_j exp(x_i − out_j)` for every `i`: `exp(x_i − out_i)` times `u_i = g_i + exp(out_i − out_(i+1))
    /// u_(i+1)`. No factor exceeds 1, and the rule is linear in `g`. Where `out` is −∞ so is every `x` below it, and their
    /// shares are NaN, as in PyTorch.
    fn logsumexp_grad(&self, x: &Tensor, out: &Tensor, g: &Tensor) -> Tensor {
        let after = self.shifted(out, &self.end(out, true), true);
        let nothing = out.eq_scalar(f64::NEG_INFINITY);
        let step = Tensor::where_(&out.isinf(), &out.zeros_like(), &(out - &after)).exp();
        let factors = Tensor::where_(&nothing, &step.zeros_like(), &step);
        (x - out).exp() * self.linear(&factors, g)
    }

    /// `h_i = factor_i · h_(i+1) + x_i`, the other way than this scan goes.
    fn linear(&self, factors: &Tensor, x: &Tensor) -> Tensor {
        Tensor::record(LinearScan { dim: self.dim, reverse: !self.reverse }, &[factors, x])
    }

    /// The last element in the direction of the scan, or the first.
    fn end(&self, x: &Tensor, last: bool) -> Tensor {
        let n = x.shape()[self.dim];
        cut(x, self.dim, if last != self.reverse { n - 1 } else { 0 }, 1)
    }

    /// The element after each in the direction of the scan, or before it, and `end` where there is none.
    fn shifted(&self, x: &Tensor, end: &Tensor, after: bool) -> Tensor {
        let n = x.shape()[self.dim];
        let up = after != self.reverse;
        let rest = cut(x, self.dim, usize::from(up), n - 1);
        let parts = if up { [&rest, end] } else { [end, &rest] };
        Tensor::concat_of(&parts, self.dim)
    }

    fn step(&self, state: f64, v: f64) -> f64 {
        match self.kind {
            ScanKind::Sum => state + v,
            ScanKind::Prod => state * v,
            ScanKind::Max if state.is_nan() || v.is_nan() => f64::NAN,
            ScanKind::Max => state.max(v),
            ScanKind::LogSumExp if state == v && v.is_infinite() => v,
            ScanKind::LogSumExp if state.is_nan() || v.is_nan() => f64::NAN,
            ScanKind::LogSumExp => state.max(v) + (-(state - v).abs()).exp().ln_1p(),
            // Has two operands and is a primitive of its own.
            ScanKind::Linear => f64::NAN,
        }
    }
}

impl Primitive for Scan {
    const NAME: &'static str = "scan";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        if self.dim >= x[0].shape.len() {
            return Err(format!("dimension {} does not exist in rank {}", self.dim, x[0].shape.len()));
        }
        Ok(x[0].shape.to_vec())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match (x[0].dtype, self.kind) {
            (_, ScanKind::Linear) => Err("a linear recurrence takes factors and terms".into()),
            (d, _) if d.is_float() => Ok(d),
            (d @ (DType::I32 | DType::U32), k) if k != ScanKind::LogSumExp => Ok(d),
            (d, k) => Err(format!("{k:?} takes no {d}")),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (x, out) = (&cx.inputs[0], cx.output);
        if x.shape()[self.dim] == 0 {
            return Derivative::Of(vec![Some(upstream.clone())]);
        }
        // Half precision is computed in f32 and rounded once.
        if x.dtype().is_half() && matches!(self.kind, ScanKind::Prod | ScanKind::LogSumExp) {
            let wide = x.cast(DType::F32);
            let out = wide.scan(self.kind, self.dim, self.reverse);
            let g = upstream.cast(DType::F32);
            let gradient = match self.kind {
                ScanKind::Prod => self.prod_grad(&wide, &out, &g),
                _ => self.logsumexp_grad(&wide, &out, &g),
            };
            return Derivative::Of(vec![Some(gradient.cast(x.dtype()))]);
        }
        Derivative::Of(vec![Some(match self.kind {
            ScanKind::Sum => Tensor::record(self.other_way(ScanKind::Sum), &[upstream]),
            ScanKind::Prod => self.prod_grad(x, out, upstream),
            ScanKind::Max => self.max_grad(x, out, upstream),
            ScanKind::LogSumExp => self.logsumexp_grad(x, out, upstream),
            ScanKind::Linear => return Derivative::NotDifferentiable,
        })])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(Scan { dim: self.dim + 1, ..self.clone() }, &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let mut out = x[0].clone();
        out.dtype = dtype;
        let n = shape[self.dim];
        let inner: usize = shape[self.dim + 1..].iter().product();
        for start in 0..out.data.len() {
            if !(start / inner).is_multiple_of(n) {
                continue;
            }
            let at = |j: usize| start + if self.reverse { n - 1 - j } else { j } * inner;
            for j in 1..n {
                out.data[at(j)] = self.step(out.data[at(j - 1)], out.data[at(j)]);
            }
        }
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::Scan { kind: self.kind, dim: self.dim, reverse: self.reverse }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all = Vec::new();
        for kind in [ScanKind::Sum, ScanKind::Prod, ScanKind::Max, ScanKind::LogSumExp] {
            for (shape, dim, reverse) in [(vec![5], 0, false), (vec![3, 4], 1, true), (vec![3, 4, 2], 1, false)] {
                let fill = if kind == ScanKind::Max { SampleInput::distinct(&shape) } else { SampleInput::f32(&shape, 0.5, 1.5) };
                all.push(Sample::new(Scan { kind, dim, reverse }, vec![fill]));
            }
            all.push(Sample::special(Scan { kind, dim: 1, reverse: false }, vec![SampleInput::f32(&[2, 300], 0.9, 1.1)]));
            all.push(Sample::special(Scan { kind, dim: 0, reverse: true }, vec![SampleInput::f32(&[0, 3], 0.5, 1.5)]));
            let special = [f64::NEG_INFINITY, 1.0, f64::NAN, f64::INFINITY];
            all.push(Sample::special(Scan { kind, dim: 0, reverse: false }, vec![SampleInput::values(&[4], DType::F32, &special)]));
        }
        all.push(Sample::special(
            Scan { kind: ScanKind::Sum, dim: 0, reverse: false },
            vec![SampleInput::ints(&[9, 3], DType::I32, -9, 9)],
        ));
        all
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance { rtol: 2e-5, atol: 1e-6 }
    }
}
