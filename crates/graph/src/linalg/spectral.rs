//! Eigenvalues of symmetric matrices, singular values, and what is made of them: pseudo-inverse, rank, least squares.
//! Derivatives, for distinct values (Giles 2008; Townsend 2016, "Differentiating the singular value decomposition"):
//! `A = V Λ Vᵀ`: `V (diag gΛ + (Vᵀ gV) / E) Vᵀ`, `E_ij = λ_j − λ_i`. `A = U S Vᵀ`:
//! `U (skew(Uᵀ gU) / E · S + S · skew(Vᵀ gV) / E + diag gS) Vᵀ + (1 − U Uᵀ) gU S⁻¹ Vᵀ + U S⁻¹ gVᵀ (1 − V Vᵀ)`,
//! `E_ij = s_j² − s_i²`, `skew(X) = X − Xᵀ`. Pseudo-inverse (Golub and Pereyra 1973):
//! `dP = −P dA P + P Pᵀ dAᵀ (1 − A P) + (1 − P A) dAᵀ Pᵀ P`. Signs of vectors are free: a function of them that depends on
//! their signs has no meaning.

use super::lu::{is_vector, leading};
use super::triangle::{Triangle, diagonal_shape, mirrored, of, short_side_shape};
use super::{call, column, each, finite, one, same_square, split};
use crate::dtype::DType;
use crate::ops::Derivative;
use crate::ops::host::Function;
use crate::tensor::Tensor;
use faer::{Mat, MatRef, Side};

fn converged<T, E>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|_| "the iteration did not converge".to_string())
}

/// Ascending.
pub(super) static EIGENVALUES: Function = Function {
    name: "eigvalsh",
    batched: true,
    shape: diagonal_shape,
    run: |attributes, x, _| {
        each(x, |m| {
            finite(m[0])?;
            // The solver counts on at least one row.
            if m[0].nrows() == 0 {
                return Ok(Mat::new());
            }
            let whole = mirrored(m[0], of(attributes));
            Ok(column(&converged(
                whole.self_adjoint_eigenvalues(Side::Lower),
            )?))
        })
    },
    derivative: |attributes, cx, g| {
        let v = call(&EIGENVECTORS, attributes, &[&cx.inputs[0]]);
        one((&v * g.unsqueeze(-2)).matmul(&v.mt()))
    },
};

pub(super) static EIGENVECTORS: Function = Function {
    name: "eigh",
    batched: true,
    shape: same_square,
    run: |attributes, x, _| {
        each(x, |m| {
            finite(m[0])?;
            if m[0].nrows() == 0 {
                return Ok(Mat::new());
            }
            let whole = mirrored(m[0], of(attributes));
            Ok(converged(whole.self_adjoint_eigen(Side::Lower))?
                .U()
                .to_owned())
        })
    },
    derivative: |attributes, cx, g| {
        let v = cx.output;
        let values = call(&EIGENVALUES, attributes, &[&cx.inputs[0]]);
        let inner = over_differences(&v.mt().matmul(g), &values);
        one(v.matmul(&inner).matmul(&v.mt()))
    },
};

/// `X_ij / (x_j − x_i)`, 0 on the diagonal.
#[track_caller]
fn over_differences(x: &Tensor, values: &Tensor) -> Tensor {
    let differences = values.unsqueeze(-2) - values.unsqueeze(-1);
    let diagonal = x.identity(x.size(-1)).gt_scalar(0.0);
    // Ones where the quotient is not taken, for its derivative's sake.
    let safe = Tensor::where_(&diagonal, &differences.ones_like(), &differences);
    Tensor::where_(&diagonal, &x.zeros_like(), &(x / safe))
}

/// Descending.
pub(super) static SINGULAR_VALUES: Function = Function {
    name: "svdvals",
    batched: true,
    shape: short_side_shape,
    run: |_, x, _| {
        each(x, |m| {
            finite(m[0])?;
            Ok(column(&converged(m[0].singular_values())?))
        })
    },
    derivative: |_, cx, g| {
        let a = &cx.inputs[0];
        let (u, vt) = (call(&LEFT, &[0], &[a]), call(&RIGHT, &[0], &[a]));
        one((u * g.unsqueeze(-2)).matmul(&vt))
    },
};

/// `U`, square if attribute 0 is 1.
pub(super) static LEFT: Function = Function {
    name: "svd",
    batched: true,
    shape: |attributes, x| {
        let (_, m, n) = split(&x[0])?;
        leading(x, m, if attributes[0] == 1 { m } else { m.min(n) })
    },
    run: |attributes, x, _| {
        each(x, |m| {
            finite(m[0])?;
            Ok(decomposed(m[0], attributes[0] == 1)?.0)
        })
    },
    derivative: |attributes, cx, g| {
        let a = &cx.inputs[0];
        let k = a.size(-1).min(a.size(-2));
        let s = call(&SINGULAR_VALUES, &[], &[a]);
        // Of the same decomposition, for the signs.
        let vt = call(&RIGHT, attributes, &[a]).narrow(-2, 0, k);
        let (u, g) = (cx.output.narrow(-1, 0, k), g.narrow(-1, 0, k));
        one(left_gradient(&u, &s, &vt, &g))
    },
};

/// `Vᵀ`, square if attribute 0 is 1.
pub(super) static RIGHT: Function = Function {
    name: "svd",
    batched: true,
    shape: |attributes, x| {
        let (_, m, n) = split(&x[0])?;
        leading(x, if attributes[0] == 1 { n } else { m.min(n) }, n)
    },
    run: |attributes, x, _| {
        each(x, |m| {
            finite(m[0])?;
            Ok(decomposed(m[0], attributes[0] == 1)?.1)
        })
    },
    derivative: |attributes, cx, g| {
        let a = &cx.inputs[0];
        let k = a.size(-1).min(a.size(-2));
        let s = call(&SINGULAR_VALUES, &[], &[a]);
        // Vᵀ of A is Uᵀ of Aᵀ.
        let (v, g) = (cx.output.narrow(-2, 0, k).mt(), g.narrow(-2, 0, k).mt());
        let ut = call(&LEFT, attributes, &[a]).narrow(-1, 0, k).mt();
        one(left_gradient(&v, &s, &ut, &g).mt())
    },
};

/// `U` and `Vᵀ`, from the same decomposition whichever is wanted, so that their signs agree.
fn decomposed(a: MatRef<f64>, full: bool) -> Result<(Mat<f64>, Mat<f64>), String> {
    let svd = converged(if full { a.svd() } else { a.thin_svd() })?;
    Ok((svd.U().to_owned(), svd.V().transpose().to_owned()))
}

/// What `gU` gives: see the module.
#[track_caller]
fn left_gradient(u: &Tensor, s: &Tensor, vt: &Tensor, g: &Tensor) -> Tensor {
    let product = u.mt().matmul(g);
    let skew = &product - product.mt();
    let row = s.unsqueeze(-2);
    let inner = over_differences(&skew, &s.square()) * &row;
    let within = u.matmul(&inner);
    if u.size(-2) == u.size(-1) {
        return within.matmul(vt);
    }
    let beyond = (g - u.matmul(&product)) / &row;
    (within + beyond).matmul(vt)
}

/// Operands: the matrix; attributes: bits of `atol` and `rtol`.
pub(super) static PINV: Function = Function {
    name: "pinv",
    batched: true,
    shape: |_, x| {
        let (_, m, n) = split(&x[0])?;
        leading(x, n, m)
    },
    run: |attributes, x, _| {
        let [atol, rtol] = [0, 1].map(|i| f64::from_bits(attributes[i] as u64));
        each(x, |m| {
            finite(m[0])?;
            let svd = converged(m[0].thin_svd())?;
            let s = svd.S().column_vector();
            let largest = if s.nrows() > 0 { s[0] } else { 0.0 };
            let least = atol.max(rtol * largest);
            let scaled = Mat::from_fn(m[0].ncols(), s.nrows(), |i, j| {
                if s[j] > least {
                    svd.V()[(i, j)] / s[j]
                } else {
                    0.0
                }
            });
            Ok(scaled * svd.U().transpose())
        })
    },
    derivative: |_, cx, g| {
        let (a, p) = (&cx.inputs[0], cx.output);
        let (pt, gt) = (p.mt(), g.mt());
        let (left, right) = (
            a.identity(a.size(-2)) - a.matmul(p),
            a.identity(a.size(-1)) - p.matmul(a),
        );
        let direct = pt.matmul(g).matmul(&pt);
        let rows = left.matmul(&gt).matmul(p).matmul(&pt);
        let columns = pt.matmul(p).matmul(&gt).matmul(&right);
        Derivative::Of(vec![Some(rows + columns - direct)])
    },
};

/// Optional arguments of [`Tensor::pinv`] and [`Tensor::matrix_rank`]: which singular values count as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PinvOptions {
    /// Those up to this; 0.
    pub atol: Option<f64>,
    /// Those up to this times the greatest; `max(m, n)` times the f32 epsilon, or 0 if `atol` is given.
    pub rtol: Option<f64>,
}

impl PinvOptions {
    /// With an absolute tolerance.
    pub fn atol(self, atol: f64) -> PinvOptions {
        PinvOptions {
            atol: Some(atol),
            ..self
        }
    }

    /// With a relative tolerance.
    pub fn rtol(self, rtol: f64) -> PinvOptions {
        PinvOptions {
            rtol: Some(rtol),
            ..self
        }
    }

    /// Both for matrices `x`, by PyTorch's defaults.
    fn tolerances(&self, x: &Tensor) -> (f64, f64) {
        let default = match self.atol {
            Some(a) if a > 0.0 => 0.0,
            _ => x.size(-1).max(x.size(-2)) as f64 * f64::from(f32::EPSILON),
        };
        (self.atol.unwrap_or(0.0), self.rtol.unwrap_or(default))
    }
}

impl Tensor {
    /// Eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices of which one triangle is read:
    /// `[…, n, n]` to `[…, n]` and `[…, n, n]`. The gradient of the vectors needs distinct values.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor, Triangle};
    /// let a = Tensor::from_slice(&[2.0f32, 1.0, 1.0, 2.0], &[2, 2], &Device::cpu());
    /// let (values, vectors) = a.eigh(Triangle::Lower);
    /// let back = (&vectors * values.unsqueeze(-2)).matmul(&vectors.t());
    /// assert!((back - a).abs().amax().item::<f32>()? < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn eigh(&self, which: Triangle) -> (Tensor, Tensor) {
        match self.square_matrices("eigh") {
            Ok(x) => (
                call(&EIGENVALUES, &[which.attribute()], &[&x]),
                call(&EIGENVECTORS, &[which.attribute()], &[&x]),
            ),
            Err(e) => (e.clone(), e),
        }
    }

    /// Eigenvalues, ascending, of symmetric matrices of which one triangle is read: `[…, n, n]` to `[…, n]`.
    #[track_caller]
    pub fn eigvalsh(&self, which: Triangle) -> Tensor {
        match self.square_matrices("eigvalsh") {
            Ok(x) => call(&EIGENVALUES, &[which.attribute()], &[&x]),
            Err(e) => e,
        }
    }

    /// `U`, `S` (descending) and `Vᵀ` of `A = U S Vᵀ`: `[…, m, n]` to `[…, m, k]`, `[…, k]`, `[…, k, n]` with
    /// `k = min(m, n)`; with `full_matrices` `U` and `Vᵀ` are square, and no gradient flows through what is beyond `k`.
    #[track_caller]
    pub fn svd(&self, full_matrices: bool) -> (Tensor, Tensor, Tensor) {
        let full = [i64::from(full_matrices)];
        match self.matrices("svd") {
            Ok(x) => (
                call(&LEFT, &full, &[&x]),
                call(&SINGULAR_VALUES, &[], &[&x]),
                call(&RIGHT, &full, &[&x]),
            ),
            Err(e) => (e.clone(), e.clone(), e),
        }
    }

    /// Singular values, descending: `[…, m, n]` to `[…, min(m, n)]`.
    #[track_caller]
    pub fn svdvals(&self) -> Tensor {
        match self.matrices("svdvals") {
            Ok(x) => call(&SINGULAR_VALUES, &[], &[&x]),
            Err(e) => e,
        }
    }

    /// Pseudo-inverses (Moore–Penrose): `[…, m, n]` to `[…, n, m]`. The gradient holds where the rank is constant.
    ///
    /// ```
    /// # use wgrad_graph::{Device, PinvOptions, Tensor};
    /// let a = Tensor::from_slice(&[2.0f32, 0.0, 0.0, 0.0], &[2, 2], &Device::cpu());
    /// assert_eq!(a.pinv(&PinvOptions::default()).to_vec::<f32>()?, [0.5, 0.0, 0.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn pinv(&self, options: &PinvOptions) -> Tensor {
        let x = match self.matrices("pinv") {
            Ok(x) => x,
            Err(e) => return e,
        };
        let (atol, rtol) = options.tolerances(&x);
        call(
            &PINV,
            &[atol.to_bits() as i64, rtol.to_bits() as i64],
            &[&x],
        )
    }

    /// How many singular values are not counted as zero: `[…, m, n]` to `[…]`, i32.
    #[track_caller]
    pub fn matrix_rank(&self, options: &PinvOptions) -> Tensor {
        let x = match self.matrices("matrix_rank") {
            Ok(x) => x,
            Err(e) => return e,
        };
        let (atol, rtol) = options.tolerances(&x);
        let values = x.svdvals();
        if values.size(-1) == 0 {
            return values.sum_dims(&[-1], false).cast(DType::I32);
        }
        let least = (values.amax_dims(&[-1], true) * rtol)
            .maximum(&values.amax_dims(&[-1], true).full_like(atol));
        values.gt(&least).cast(DType::I32).sum_dims(&[-1], false)
    }

    /// The `X` of least norm that minimises `‖A X − B‖`, `A⁺ B`: `[…, m, n]` and `[…, m, k]` (or vectors, as in
    /// [`Tensor::solve`]) to `[…, n, k]`. Singular values up to `rcond` times the greatest count as zero; the default
    /// is `max(m, n)` times the f32 epsilon.
    #[track_caller]
    pub fn lstsq(&self, b: &Tensor, rcond: Option<f64>) -> Tensor {
        if let Err(e) = self.matrices("lstsq") {
            return e;
        }
        if is_vector(self, b) {
            return self.lstsq(&b.unsqueeze(-1), rcond).squeeze(-1);
        }
        let options = PinvOptions {
            atol: None,
            rtol: rcond,
        };
        match self.pair(b, "lstsq") {
            Ok((a, b)) if a.size(-2) == b.size(-2) => a.pinv(&options).matmul(&b),
            Ok((a, b)) => a.fail(
                "lstsq",
                format!(
                    "{} rows on the left, {} on the right",
                    a.size(-2),
                    b.size(-2)
                ),
            ),
            Err(e) => e,
        }
    }
}
