//! Determinants, inverses and linear systems, by LU decomposition with partial pivoting. A matrix counts as singular if
//! a pivot is no larger than the rounding errors of its column.
//! Derivatives (Giles 2008, "Collected matrix derivative results"): `det`: `g · cof(A)`, the cofactors from singular
//! values, which holds at singular matrices too; `log|det|`: `g · A⁻ᵀ`; inverse `Y`: `−Yᵀ g Yᵀ`; solution `X` of
//! `A X = B`: `gB = A⁻ᵀ g`, `gA = −gB Xᵀ`.

use super::{call, column, each, extended, finite, one, same_square, square};
use crate::autodiff::{GradOptions, grad_with};
use crate::ops::host::Function;
use crate::ops::reshape::Reshape;
use crate::ops::{Derivative, Operand};
use crate::tensor::Tensor;
use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, MatRef};

/// Shape rule of a system: `[…, n, n]` and `[…, n, k]` of equal leading dimensions.
pub(super) fn system(_: &[i64], x: &[Operand]) -> Result<Vec<usize>, String> {
    let (lead, n) = square(&x[0])?;
    let (other, rows, _) = super::split(&x[1])?;
    if lead != other || rows != n {
        return Err(format!(
            "a matrix of {:?} does not fit a right-hand side of {:?}",
            x[0].shape, x[1].shape
        ));
    }
    Ok(x[1].shape.to_vec())
}

/// Shape rule of `[…, n, n]` to `[…]`.
fn number(_: &[i64], x: &[Operand]) -> Result<Vec<usize>, String> {
    square(&x[0]).map(|(lead, _)| lead.to_vec())
}

/// The decomposition of a regular matrix.
fn regular(a: MatRef<f64>) -> Result<PartialPivLu<f64>, String> {
    let lu = a.partial_piv_lu();
    let n = a.nrows();
    for k in 0..n {
        let largest = (0..n).map(|i| a[(i, k)].abs()).fold(0.0, f64::max);
        if lu.U()[(k, k)].abs() <= largest * n as f64 * f64::EPSILON {
            return Err(format!("the matrix is singular: pivot {} is zero", k + 1));
        }
    }
    Ok(lu)
}

/// Sign and `log|det|`.
fn sign_log(a: MatRef<f64>) -> (f64, f64) {
    let lu = a.partial_piv_lu();
    let sign_of = |v: f64| if v == 0.0 { 0.0 } else { v.signum() };
    let start = (parity(lu.P().arrays().0), 0.0);
    pivots(&lu).fold(start, |(sign, log), v| {
        (sign * sign_of(v), log + v.abs().ln())
    })
}

/// 1 for an even permutation, −1 for an odd one.
fn parity(permutation: &[usize]) -> f64 {
    let mut seen = vec![false; permutation.len()];
    let mut sign = 1.0;
    for start in 0..permutation.len() {
        let mut at = permutation[start];
        while at != start && !seen[start] && !seen[at] {
            seen[at] = true;
            sign = -sign;
            at = permutation[at];
        }
        seen[start] = true;
    }
    sign
}

fn determinant(a: MatRef<f64>) -> f64 {
    let lu = a.partial_piv_lu();
    pivots(&lu).fold(parity(lu.P().arrays().0), |d, pivot| d * pivot)
}

/// The pivots up to the first zero: what comes after it has been divided by it.
fn pivots(lu: &PartialPivLu<f64>) -> impl Iterator<Item = f64> {
    let all = (0..lu.U().nrows()).map(|k| lu.U()[(k, k)]);
    all.scan(1.0, |last, pivot| {
        (std::mem::replace(last, pivot) != 0.0).then_some(pivot)
    })
}

static DET: Function = Function {
    name: "det",
    batched: true,
    shape: number,
    run: |_, x, _| each(x, |m| Ok(column(&[determinant(m[0])]))),
    derivative: |_, cx, g| one(g.scales() * call(&COFACTORS, &[], &[&cx.inputs[0]])),
};

/// `U S Vᵀ` and `det U · det V`.
struct Singular {
    u: Mat<f64>,
    s: Vec<f64>,
    v: Mat<f64>,
    sign: f64,
}

fn singular(a: MatRef<f64>) -> Result<Singular, String> {
    finite(a)?;
    let svd = a
        .svd()
        .map_err(|_| "singular values did not converge".to_string())?;
    let (u, v) = (svd.U().to_owned(), svd.V().to_owned());
    let s = (0..a.nrows()).map(|i| svd.S().column_vector()[i]).collect();
    let sign = (determinant(u.as_ref()) * determinant(v.as_ref())).signum();
    Ok(Singular { u, s, v, sign })
}

/// `Π_{k ∉ {i, j}} s_k`.
fn product_without(s: &[f64], i: usize, j: usize) -> f64 {
    s.iter()
        .enumerate()
        .filter(|(k, _)| *k != i && *k != j)
        .map(|(_, v)| v)
        .product()
}

/// `∂ det / ∂A = det(U) det(V) U diag(Π_{j≠i} s_j) Vᵀ`, which needs no inverse.
static COFACTORS: Function = Function {
    name: "det_gradient",
    batched: true,
    shape: same_square,
    run: |_, x, _| {
        each(x, |m| {
            let d = singular(m[0])?;
            let n = d.s.len();
            let scaled = Mat::from_fn(n, n, |i, j| {
                d.sign * d.u[(i, j)] * product_without(&d.s, j, j)
            });
            Ok(scaled * d.v.transpose())
        })
    },
    derivative: |_, cx, g| one(call(&COFACTORS_ALONG, &[], &[&cx.inputs[0], g])),
};

/// The derivative of the cofactors of `A` along `H`, symmetric as a bilinear form. With `K = Uᵀ H V`:
/// `±U M Vᵀ`, `M_ii = Σ_{j≠i} K_jj Π_{k≠i,j} s_k`, `M_ij = −K_ji Π_{k≠i,j} s_k`.
static COFACTORS_ALONG: Function = Function {
    name: "det_curvature",
    batched: true,
    shape: same_square,
    run: |_, x, _| {
        each(x, |m| {
            let d = singular(m[0])?;
            let n = d.s.len();
            let k = d.u.transpose() * m[1] * &d.v;
            let inner = Mat::from_fn(n, n, |i, j| {
                let along = |j: usize| k[(j, j)] * product_without(&d.s, i, j);
                if i == j {
                    (0..n).filter(|&j| j != i).map(along).sum()
                } else {
                    -k[(j, i)] * product_without(&d.s, i, j)
                }
            });
            Ok(&d.u * inner * d.v.transpose() * faer::Scale(d.sign))
        })
    },
    derivative: |_, cx, g| {
        let (a, h) = (&cx.inputs[0], &cx.inputs[1]);
        let third = with_respect_to(a, g, |a| {
            let inverse = a.inv();
            let turned = inverse.mt();
            let trace = (&inverse * h.mt()).sum_dims(&[-2, -1], false);
            let curved = trace.scales() * &turned - turned.matmul(&h.mt()).matmul(&turned);
            a.det().scales() * curved
        });
        Derivative::Of(vec![third, Some(call(&COFACTORS_ALONG, &[], &[a, g]))])
    },
};

/// The vector-Jacobian product of a composition at `x`, itself differentiable by `x`.
fn with_respect_to(x: &Tensor, upstream: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> Option<Tensor> {
    // A node of its own, so that no path to `x` but through `f` counts.
    let variable = Tensor::record(
        Reshape {
            shape: x.shape().to_vec(),
        },
        &[x],
    );
    let options = GradOptions {
        upstream: Some(upstream.clone()),
        allow_unused: true,
    };
    match grad_with(&f(&variable), &[&variable], &options) {
        Ok(mut list) => list.pop(),
        Err(e) => Some(Tensor::invalid(e, x.shape(), x.dtype(), x.device())),
    }
}

static SIGN: Function = Function {
    name: "slogdet",
    batched: true,
    shape: number,
    run: |_, x, _| each(x, |m| Ok(column(&[sign_log(m[0]).0]))),
    derivative: |_, cx, _| one(cx.inputs[0].zeros_like()),
};

static LOG: Function = Function {
    name: "slogdet",
    batched: true,
    shape: number,
    run: |_, x, _| each(x, |m| Ok(column(&[sign_log(m[0]).1]))),
    derivative: |_, cx, g| one(g.scales() * call(&INV, &[], &[&cx.inputs[0]]).mt()),
};

pub(super) static INV: Function = Function {
    name: "inv",
    batched: true,
    shape: same_square,
    run: |_, x, _| {
        each(x, |m| {
            Ok(regular(m[0])?.solve(Mat::<f64>::identity(m[0].nrows(), m[0].nrows())))
        })
    },
    derivative: |_, cx, g| {
        let turned = cx.output.mt();
        one(turned.matmul(g).matmul(&turned).neg())
    },
};

pub(super) static SOLVE: Function = Function {
    name: "solve",
    batched: true,
    shape: system,
    run: |_, x, _| each(x, |m| Ok(regular(m[0])?.solve(m[1]))),
    derivative: |_, cx, g| {
        let gb = call(&SOLVE, &[], &[&cx.inputs[0].mt(), g]);
        let ga = gb.matmul(&cx.output.mt()).neg();
        Derivative::Of(vec![Some(ga), Some(gb)])
    },
};

#[cfg(any(test, feature = "samples"))]
pub(super) const DET_LIKE: [&Function; 5] = [&DET, &COFACTORS, &LOG, &INV, &SIGN];

impl Tensor {
    /// Determinants: `[…, n, n]` to `[…]`. The gradient exists at singular matrices too.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &Device::cpu());
    /// assert_eq!(a.det().item::<f32>()?, -2.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn det(&self) -> Tensor {
        match self.square_matrices("det") {
            Ok(x) => call(&DET, &[], &[&x]),
            Err(e) => e,
        }
    }

    /// Sign and logarithm of the absolute value of determinants: `[…, n, n]` to two of `[…]`. 0 and −∞ where a matrix is
    /// singular, and then reading the gradient is an error.
    #[track_caller]
    pub fn slogdet(&self) -> (Tensor, Tensor) {
        match self.square_matrices("slogdet") {
            Ok(x) => (call(&SIGN, &[], &[&x]), call(&LOG, &[], &[&x])),
            Err(e) => (e.clone(), e),
        }
    }

    /// Logarithms of determinants: `[…, n, n]` to `[…]`. NaN where a determinant is negative.
    #[track_caller]
    pub fn logdet(&self) -> Tensor {
        let (sign, log) = self.slogdet();
        Tensor::where_(&sign.lt_scalar(0.0), &log.full_like(f64::NAN), &log)
    }

    /// Inverses of `[…, n, n]`. Reading the inverse of a singular matrix is an error. For `A⁻¹ B` use
    /// [`Tensor::solve`].
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let a = Tensor::from_slice(&[2.0f32, 0.0, 0.0, 4.0], &[2, 2], &Device::cpu());
    /// assert_eq!(a.inv().to_vec::<f32>()?, [0.5, 0.0, 0.0, 0.25]);
    /// let singular = Tensor::from_slice(&[1.0f32, 2.0, 2.0, 4.0], &[2, 2], &Device::cpu());
    /// assert_eq!(singular.inv().to_vec::<f32>().unwrap_err().op(), "inv");
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn inv(&self) -> Tensor {
        match self.square_matrices("inv") {
            Ok(x) => call(&INV, &[], &[&x]),
            Err(e) => e,
        }
    }

    /// `X` of `A X = B` where `self` is `A` `[…, n, n]` and `B` is `[…, n, k]`, or `[…, n]` where that is a batch of
    /// vectors: it has one dimension, or the shape of `A` without its last. Leading dimensions of matrices broadcast.
    /// Reading the solution of a singular system is an error.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let a = Tensor::from_slice(&[2.0f32, 1.0, 0.0, 4.0], &[2, 2], &d);
    /// let x = a.solve(&Tensor::new(&[4.0f32, 8.0], &d));
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn solve(&self, b: &Tensor) -> Tensor {
        if let Err(e) = self.square_matrices("solve") {
            return e;
        }
        if is_vector(self, b) {
            return self.solve(&b.unsqueeze(-1)).squeeze(-1);
        }
        match self.pair(b, "solve") {
            Ok((a, b)) => call(&SOLVE, &[], &[&a, &b]),
            Err(e) => e,
        }
    }

    /// `X` of `X A = B` where `self` is `A`: PyTorch's `solve` with `left=False`.
    #[track_caller]
    pub fn solve_right(&self, b: &Tensor) -> Tensor {
        match self.square_matrices("solve") {
            Ok(a) if is_vector(&a, b) => a.mt().solve(b),
            Ok(a) if b.rank() >= 2 => a.mt().solve(&b.mt()).mt(),
            Ok(a) => a.fail("solve", "the right-hand side needs at least one dimension"),
            Err(e) => e,
        }
    }
}

/// Whether `b` is a batch of vectors for the systems `a`, by PyTorch's rule.
pub(super) fn is_vector(a: &Tensor, b: &Tensor) -> bool {
    let rows = a.rank().saturating_sub(1);
    b.rank() == 1 || (b.rank() == rows && b.shape() == &a.shape()[..rows])
}

/// Shape rule that keeps the leading dimensions of operand 0.
pub(super) fn leading(x: &[Operand], rows: usize, columns: usize) -> Result<Vec<usize>, String> {
    super::split(&x[0]).map(|(lead, ..)| extended(lead, &[rows, columns]))
}
