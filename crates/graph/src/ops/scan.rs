//! Inclusive scan along one dimension: running sum, product, maximum (NaN wins) or log-sum-exp; from the end with
//! `reverse`. Derivatives, with `S` the scan of the same direction and `S'` of the other:
//! sum `S'(g)`; prod: the products that leave one factor out, so that zeros are right; max: to the element where
//! the running maximum was attained; logsumexp: `Σ g_j · exp(x_i − out_j)`.

use super::{Derivative, Derive, Lowered, Operand, Primitive, Sample, SampleInput};
use crate::dtype::DType;
use crate::exec::reference::Array;
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

    /// `Σ_{j ≥ i} g_j · Π_{k ≤ j, k ≠ i} x_k` for every `i`, as a sum over an `[n, n]` table: exact where `x` has
    /// zeros, and differentiable again.
    fn prod_grad(&self, x: &Tensor, g: &Tensor) -> Tensor {
        let (wide, one) = self.table(x);
        let spread = x.reshape_to(&one).expand_to(&wide);
        let k = Tensor::iota_along(&wide, self.dim, x.device());
        let i = Tensor::iota_along(&wide, x.rank(), x.device());
        let left_out = Tensor::where_(&k.eq(&i), &spread.ones_like(), &spread);
        let products = left_out.scan(ScanKind::Prod, self.dim, self.reverse);
        let terms = products * g.reshape_to(&one).expand_to(&wide);
        self.collapse(&Tensor::where_(&self.reached(&wide, x), &terms, &terms.zeros_like()))
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

    /// `Σ_{j ≥ i} g_j exp(x_i − out_j)` for every `i`, as a sum over an `[n, n]` table: no term exceeds `|g_j|`, and
    /// the rule is linear in `g`. Where `out` is −∞ so is every `x` below it, and their shares are NaN, as in PyTorch.
    fn logsumexp_grad(&self, x: &Tensor, out: &Tensor, g: &Tensor) -> Tensor {
        let d = self.dim;
        let rank = x.rank();
        let (wide, one) = self.table(x);
        // x_i stands along the new axis, out_j and g_j along the scanned one.
        let mut swap: Vec<usize> = (0..=rank).collect();
        swap.swap(d, rank);
        let x_i = x.reshape_to(&one).permute_to(&swap).expand_to(&wide);
        let out_j = out.reshape_to(&one).expand_to(&wide);
        let reached = self.reached(&wide, x);
        let exponent = Tensor::where_(&reached, &(x_i - out_j), &Tensor::full(&wide, f64::NEG_INFINITY, x.dtype(), x.device()));
        let terms = exponent.exp() * g.reshape_to(&one).expand_to(&wide);
        self.collapse(&Tensor::where_(&reached, &terms, &terms.zeros_like()))
    }

    /// The shape of the table, and `x`'s with a last dimension of 1.
    fn table(&self, x: &Tensor) -> (Vec<usize>, Vec<usize>) {
        let mut wide = x.shape().to_vec();
        wide.push(x.shape()[self.dim]);
        let mut one = x.shape().to_vec();
        one.push(1);
        (wide, one)
    }

    /// Where position `j` (along the scanned dimension) comes at or after position `i` (along the last).
    fn reached(&self, wide: &[usize], x: &Tensor) -> Tensor {
        let j = Tensor::iota_along(wide, self.dim, x.device());
        let i = Tensor::iota_along(wide, wide.len() - 1, x.device());
        if self.reverse { j.le(&i) } else { j.ge(&i) }
    }

    /// The table summed over `j`; axis `i` takes its place.
    fn collapse(&self, table: &Tensor) -> Tensor {
        let rank = table.rank() - 1;
        let summed = table.sum_dims(&[self.dim as isize], false);
        let mut perm: Vec<usize> = (0..rank - 1).collect();
        perm.insert(self.dim, rank - 1);
        summed.permute_to(&perm)
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
        Derivative::Of(vec![Some(match self.kind {
            ScanKind::Sum => Tensor::record(self.other_way(ScanKind::Sum), &[upstream]),
            ScanKind::Prod => self.prod_grad(x, upstream),
            ScanKind::Max => self.max_grad(x, out, upstream),
            ScanKind::LogSumExp => self.logsumexp_grad(x, out, upstream),
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
