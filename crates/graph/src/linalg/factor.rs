//! Cholesky and QR decompositions.
//! Derivatives: `A = L Lᵀ`: `(S + Sᵀ) / 2` with `S = L⁻ᵀ Φ(Lᵀ g) L⁻¹`, `Φ` the lower triangle with half its diagonal
//! (Murray 2016, "Differentiation of the Cholesky decomposition"). `A = Q R`:
//! `(gQ + Q sym(triu(gR Rᵀ − Qᵀ gQ))) R⁻ᵀ`, `sym(X) = X + Xᵀ − diag X` (Walter and Lehmann 2018); a wide matrix is a
//! square one beside `Qᵀ` times the rest.

use super::lu::leading;
use super::triangle::{Triangle, solve_triangle, triangle};
use super::{call, each, one, same_square, split};
use crate::ops::host::Function;
use crate::tensor::Tensor;
use faer::linalg::cholesky::llt::factor::LltError;
use faer::{Mat, Side};

pub(super) static CHOLESKY: Function = Function {
    name: "cholesky",
    batched: true,
    shape: same_square,
    run: |attributes, x, _| {
        let which = super::triangle::of(attributes);
        each(x, |m| {
            let whole = super::triangle::mirrored(m[0], which);
            match whole.llt(Side::Lower) {
                Ok(llt) => Ok(Mat::from_fn(m[0].nrows(), m[0].nrows(), |i, j| {
                    if i >= j { llt.L()[(i, j)] } else { 0.0 }
                })),
                Err(LltError::NonPositivePivot { index }) => Err(format!(
                    "the matrix is not positive-definite: its leading minor of order {} is not",
                    index + 1
                )),
            }
        })
    },
    derivative: |_, cx, g| {
        let l = cx.output;
        let turned = l.mt();
        let product = turned.matmul(g);
        let phi =
            (triangle(&product, Triangle::Lower, 0) + triangle(&product, Triangle::Lower, 1)) * 0.5;
        let half = solve_triangle(&turned, &phi, Triangle::Upper, false);
        let s = solve_triangle(&turned, &half.mt(), Triangle::Upper, false);
        one((&s + s.mt()) * 0.5)
    },
};

/// Columns of `Q`: all rows' worth if attribute 0 is 1, else the shorter side.
pub(super) static Q: Function = Function {
    name: "qr",
    batched: true,
    shape: |attributes, x| {
        let (_, m, n) = split(&x[0])?;
        leading(x, m, if attributes[0] == 1 { m } else { m.min(n) })
    },
    run: |attributes, x, _| {
        let complete = attributes[0] == 1;
        each(x, |m| {
            Ok(if complete {
                m[0].qr().compute_Q()
            } else {
                m[0].qr().compute_thin_Q()
            })
        })
    },
    derivative: |attributes, cx, g| {
        let a = &cx.inputs[0];
        let (m, n) = (a.size(-2), a.size(-1));
        if attributes[0] == 1 && m > n {
            return crate::ops::Derivative::NotDifferentiable;
        }
        let q = cx.output;
        let r = call(&R, &[0], &[a]);
        let inner = symmetrised(&q.mt().matmul(g).neg());
        one(over(&(g + q.matmul(&inner)), &r))
    },
};

pub(super) static R: Function = Function {
    name: "qr",
    batched: true,
    shape: |attributes, x| {
        let (_, m, n) = split(&x[0])?;
        leading(x, if attributes[0] == 1 { m } else { m.min(n) }, n)
    },
    run: |_, x, shape| {
        let rows = shape[shape.len() - 2];
        each(x, |m| {
            let qr = m[0].qr();
            let r = qr.R();
            Ok(Mat::from_fn(rows, m[0].ncols(), |i, j| {
                if i <= j && i < r.nrows() {
                    r[(i, j)]
                } else {
                    0.0
                }
            }))
        })
    },
    derivative: |_, cx, g| {
        let a = &cx.inputs[0];
        let n = a.size(-1);
        // Of a complete decomposition the rows below are zeros.
        let (r, g) = (cx.output.narrow(-2, 0, n), g.narrow(-2, 0, n));
        let q = call(&Q, &[0], &[a]);
        one(over(&q.matmul(&symmetrised(&g.matmul(&r.mt()))), &r))
    },
};

/// `sym(triu(X))`.
#[track_caller]
fn symmetrised(x: &Tensor) -> Tensor {
    triangle(x, Triangle::Upper, 0) + triangle(x, Triangle::Upper, 1).mt()
}

/// `X R⁻ᵀ`.
#[track_caller]
fn over(x: &Tensor, r: &Tensor) -> Tensor {
    solve_triangle(r, &x.mt(), Triangle::Upper, false).mt()
}

impl Tensor {
    /// The Cholesky factor of symmetric positive-definite matrices `[…, n, n]`, of which the lower triangle is read:
    /// `A = L Lᵀ`, or `A = Uᵀ U` if the upper one is asked for. The gradient is symmetric. Reading the factor of a matrix that
    /// is not positive-definite is an error.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor, Triangle};
    /// let a = Tensor::from_slice(&[4.0f32, 2.0, 2.0, 5.0], &[2, 2], &Device::cpu());
    /// assert_eq!(a.cholesky(Triangle::Lower).to_vec::<f32>()?, [2.0, 0.0, 1.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cholesky(&self, which: Triangle) -> Tensor {
        let x = match self.square_matrices("cholesky") {
            Ok(x) => x,
            Err(e) => return e,
        };
        // PyTorch reads the triangle it returns.
        let factor = call(&CHOLESKY, &[which.attribute()], &[&x]);
        if which == Triangle::Lower {
            factor
        } else {
            factor.mt()
        }
    }

    /// `Q` with orthonormal columns and upper triangular `R`, `A = Q R`, as Householder's reflections give them.
    /// `[…, m, n]` to `[…, m, k]` and `[…, k, n]` with `k = min(m, n)`, or `k = m` if `complete`. The gradient of
    /// a complete `Q` exists for `m ≤ n` only.
    #[track_caller]
    pub fn qr(&self, complete: bool) -> (Tensor, Tensor) {
        let a = match self.matrices("qr") {
            Ok(a) => a,
            Err(e) => return (e.clone(), e),
        };
        let (m, n) = (a.size(-2), a.size(-1));
        let attribute = [i64::from(complete)];
        if m >= n {
            return (call(&Q, &attribute, &[&a]), call(&R, &attribute, &[&a]));
        }
        let (left, right) = (a.narrow(-1, 0, m), a.narrow(-1, m, n - m));
        let q = call(&Q, &[0], &[&left]);
        let r = Tensor::cat(&[&call(&R, &[0], &[&left]), &q.mt().matmul(&right)], -1);
        (q, r)
    }

    /// `X` of `A X = B` from the Cholesky factor `self` of `A`: PyTorch's `cholesky_solve` with its operands exchanged.
    #[track_caller]
    pub fn cholesky_solve(&self, b: &Tensor, which: Triangle) -> Tensor {
        let Err(invalid) = self.square_matrices("cholesky_solve") else {
            let lower = if which == Triangle::Lower {
                self.clone()
            } else {
                self.mt()
            };
            let half = lower.solve_triangular(b, Triangle::Lower, true, false);
            return lower
                .mt()
                .solve_triangular(&half, Triangle::Upper, true, false);
        };
        invalid
    }
}
