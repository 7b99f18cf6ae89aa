//! Gradients of what all rounds share that one product gives for all rounds at once: where a round's part is a product of
//! matrices, or a sum of what is stacked anyway, its operands are stacked and the rest is done after the loop. A long sum of
//! products is then one product, as in a graph without a loop, and no round reads and writes a matrix of weights. It must not
//! know where gradients come from.

use super::record::from_rows;
use crate::dtype::DType;
use crate::ops::Op;
use crate::tensor::Tensor;

/// Elements that all rounds may stack beyond what they stack anyway.
const MOST: usize = 1 << 22;

/// Where the rows of an operand come from.
#[derive(Clone, Copy)]
pub(super) enum Rows {
    /// A slice of the loop, by its number.
    Slice(usize),
    /// What each round gives, by its number.
    Each(usize),
}

/// A part of a product, with whether it stands there transposed.
#[derive(Clone, Copy)]
struct Factor {
    rows: Rows,
    transposed: bool,
}

/// A gradient that is summed after the loop.
pub(super) struct Late {
    kind: Kind,
    /// The result is transposed.
    transposed: bool,
    shape: Vec<usize>,
}

enum Kind {
    Product([Factor; 2], [Vec<usize>; 2]),
    Sum(Rows, Vec<usize>, Vec<isize>),
}

/// Finds late gradients and what has to be stacked for them.
pub(super) struct Finder<'a> {
    /// Stand-ins of slices.
    pub(super) slices: &'a [Tensor],
    /// What each round gives; grows.
    pub(super) each: &'a mut Vec<Tensor>,
    pub(super) length: usize,
}

/// Below transpositions of matrices, and whether there are an odd number.
fn below(t: &Tensor) -> (Tensor, bool) {
    let (mut t, mut transposed) = (t.clone(), false);
    while let Op::Permute(p) = &t.0.op
        && p.perm.len() == 2
    {
        transposed ^= p.perm == [1, 0];
        let below = t.inputs()[0].clone();
        t = below;
    }
    (t, transposed)
}

impl Finder<'_> {
    fn known(&self, t: &Tensor) -> Option<Rows> {
        let slice = self.slices.iter().position(|s| s.same(t));
        let each = || self.each.iter().position(|s| s.same(t));
        slice.map(Rows::Slice).or_else(|| each().map(Rows::Each))
    }

    /// How the gradient of a round can be summed after the loop, if it can and that is no loss.
    pub(super) fn late(&mut self, gradient: &Tensor) -> Option<Late> {
        let shape = gradient.shape().to_vec();
        if gradient.dtype() != DType::F32 {
            return None;
        }
        let (inner, transposed) = below(gradient);
        if !matches!(inner.0.op, Op::Matmul(_)) || inner.rank() != 2 {
            return self.sum(gradient).map(|kind| Late {
                kind,
                transposed: false,
                shape,
            });
        }
        let operands = [below(&inner.inputs()[0]), below(&inner.inputs()[1])];
        let new = operands.iter().filter(|(t, _)| self.known(t).is_none());
        let new: usize = new.map(|(t, _)| t.numel()).sum();
        if new > inner.numel() || new.saturating_mul(self.length) > MOST {
            return None;
        }
        let shapes = [0, 1].map(|i| operands[i].0.shape().to_vec());
        let factors = operands.map(|(t, transposed)| Factor {
            rows: self.known(&t).unwrap_or_else(|| {
                self.each.push(t.clone());
                Rows::Each(self.each.len() - 1)
            }),
            transposed,
        });
        Some(Late {
            kind: Kind::Product(factors, shapes),
            transposed,
            shape,
        })
    }

    /// A sum over dimensions of what is stacked anyway.
    fn sum(&self, gradient: &Tensor) -> Option<Kind> {
        let mut t = gradient.clone();
        while let Op::Reshape(_) = &t.0.op {
            let below = t.inputs()[0].clone();
            t = below;
        }
        let Op::ReduceSum(sum) = &t.0.op else {
            return None;
        };
        let operand = &t.inputs()[0];
        let dims = sum.dims.iter().map(|&d| d as isize + 1);
        let dims = std::iter::once(0).chain(dims).collect();
        Some(Kind::Sum(
            self.known(operand)?,
            operand.shape().to_vec(),
            dims,
        ))
    }
}

impl Late {
    /// The gradient, from the rows of slices and results.
    pub(super) fn finished(&self, rows: &dyn Fn(Rows) -> Tensor) -> Tensor {
        let all = match &self.kind {
            Kind::Sum(from, shape, dims) => from_rows(&rows(*from), shape).sum_dims(dims, false),
            Kind::Product([a, b], [of_a, of_b]) => {
                let a = joined(&from_rows(&rows(a.rows), of_a), !a.transposed);
                let b = joined(&from_rows(&rows(b.rows), of_b), b.transposed);
                // Rows of both are the terms of the sum.
                a.t().matmul(&b)
            }
        };
        let all = if self.transposed { all.t() } else { all };
        all.reshape_to(&self.shape)
    }
}

/// Matrices `[length, m, n]` below each other, each transposed first if that is asked for.
fn joined(all: &Tensor, transposed: bool) -> Tensor {
    let all = match transposed {
        true => all.permute_to(&[0, 2, 1]),
        false => all.clone(),
    };
    let [length, m, n] = [0, 1, 2].map(|d| all.shape()[d]);
    all.reshape_to(&[length * m, n])
}
