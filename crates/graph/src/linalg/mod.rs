//! Linear algebra: decompositions and what follows from them, as host steps in f64 on faer. Every function takes
//! matrices with any number of leading dimensions; results have the operands' dtype. Derivatives are other operations
//! of this module and of the graph, so they go to any order. Nothing here knows a device.

mod exponential;
mod factor;
mod lu;
mod pca;
#[cfg(any(test, feature = "samples"))]
mod samples;
mod spectral;
#[cfg(test)]
mod tests;
mod triangle;

pub use pca::Pca;
#[cfg(any(test, feature = "samples"))]
pub(crate) use samples::samples;
pub use spectral::PinvOptions;
pub use triangle::Triangle;

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::ops::host::{Function, Host};
use crate::ops::{Derivative, Operand};
use crate::reference::Array;
use crate::shape;
use crate::tensor::Tensor;
use faer::{Mat, MatRef};

/// Records a host function.
#[track_caller]
fn call(function: &'static Function, attributes: &[i64], inputs: &[&Tensor]) -> Tensor {
    Tensor::record(Host::new(function, attributes), inputs)
}

/// The derivative of a function of one operand.
fn one(gradient: Tensor) -> Derivative {
    Derivative::Of(vec![Some(gradient)])
}

/// Leading dimensions, rows and columns.
fn split<'a>(x: &Operand<'a>) -> Result<(&'a [usize], usize, usize), String> {
    match x.shape {
        [lead @ .., m, n] => Ok((lead, *m, *n)),
        s => Err(format!("takes matrices, not shape {s:?}")),
    }
}

/// As [`split`] for square matrices: leading dimensions and size.
fn square<'a>(x: &Operand<'a>) -> Result<(&'a [usize], usize), String> {
    match split(x)? {
        (lead, m, n) if m == n => Ok((lead, n)),
        (_, m, n) => Err(format!("takes square matrices, not {m} by {n}")),
    }
}

/// `lead` with more dimensions.
fn extended(lead: &[usize], more: &[usize]) -> Vec<usize> {
    [lead, more].concat()
}

/// Shape rule of functions from square matrices to matrices of the same size.
fn same_square(_: &[i64], x: &[Operand]) -> Result<Vec<usize>, String> {
    square(&x[0]).map(|_| x[0].shape.to_vec())
}

/// Applies `f` to each matrix of a batch and gives all elements of the results, row by row. Vectors and numbers are
/// results of one column.
fn each(
    x: &[&Array],
    f: impl Fn(&[MatRef<f64>]) -> Result<Mat<f64>, String>,
) -> Result<Vec<f64>, String> {
    let sizes: Vec<(usize, usize)> = x
        .iter()
        .map(|a| (a.shape[a.shape.len() - 2], a.shape[a.shape.len() - 1]))
        .collect();
    let count = shape::numel(&x[0].shape[..x[0].shape.len() - 2]);
    let mut out = Vec::new();
    for i in 0..count {
        let matrices: Vec<MatRef<f64>> = x
            .iter()
            .zip(&sizes)
            .map(|(a, &(m, n))| {
                MatRef::from_row_major_slice(&a.data[i * m * n..(i + 1) * m * n], m, n)
            })
            .collect();
        let result = f(&matrices).map_err(|e| {
            if count > 1 {
                format!("{e} (matrix {i} of the batch)")
            } else {
                e
            }
        })?;
        for r in 0..result.nrows() {
            out.extend((0..result.ncols()).map(|c| result[(r, c)]));
        }
    }
    Ok(out)
}

/// A column of numbers.
fn column(values: &[f64]) -> Mat<f64> {
    Mat::from_fn(values.len(), 1, |i, _| values[i])
}

/// An error unless every element is finite: iterations would not end otherwise.
fn finite(a: MatRef<f64>) -> Result<(), String> {
    let fine = (0..a.ncols()).all(|j| (0..a.nrows()).all(|i| a[(i, j)].is_finite()));
    if fine {
        Ok(())
    } else {
        Err("a matrix has an element that is not finite".into())
    }
}

impl Tensor {
    /// `[…]` as `[…, 1, 1]`, to scale matrices.
    #[track_caller]
    fn scales(&self) -> Tensor {
        self.unsqueeze(-1).unsqueeze(-1)
    }

    /// 1 on the diagonal of matrices `[n, n]` of this dtype, 0 elsewhere.
    #[track_caller]
    fn identity(&self, n: usize) -> Tensor {
        Tensor::eye(n, self.dtype(), self.device())
    }

    /// Floats with at least two dimensions, or the invalid result of `op`.
    #[track_caller]
    fn matrices(&self, op: &'static str) -> Result<Tensor, Tensor> {
        if self.check().is_err() {
            return Err(self.clone());
        }
        if self.rank() < 2 {
            return Err(self.fail(op, "takes at least two dimensions"));
        }
        if !self.dtype().is_float() {
            return Err(self.fail_kind(ErrorKind::DType, op, "takes floats"));
        }
        Ok(self.clone())
    }

    /// As [`Tensor::matrices`], of as many rows as columns.
    #[track_caller]
    fn square_matrices(&self, op: &'static str) -> Result<Tensor, Tensor> {
        let x = self.matrices(op)?;
        if x.size(-1) == x.size(-2) {
            Ok(x)
        } else {
            Err(self.fail(op, "takes square matrices"))
        }
    }

    /// Two batches of matrices with equal leading dimensions and dtype, or the invalid result of `op`.
    #[track_caller]
    fn pair(&self, other: &Tensor, op: &'static str) -> Result<(Tensor, Tensor), Tensor> {
        let (a, b) = (self.matrices(op)?, other.matrices(op)?);
        let lead = |t: &Tensor| t.shape()[..t.rank() - 2].to_vec();
        let common = shape::broadcast(&lead(&a), &lead(&b)).map_err(|m| self.fail(op, m))?;
        let dtype = if a.dtype() == b.dtype() {
            a.dtype()
        } else {
            DType::F32
        };
        let whole = |t: &Tensor| {
            t.cast(dtype)
                .broadcast_to(&extended(&common, &t.shape()[t.rank() - 2..]))
        };
        Ok((whole(&a), whole(&b)))
    }
}
