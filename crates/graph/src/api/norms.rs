//! Norms of vectors and matrices. Their derivatives are 0 where the norm is 0, as in PyTorch.

use crate::in_f32;
use crate::shape::dims;
use crate::tensor::Tensor;

/// Which norm of a matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum MatrixNorm {
    /// The root of the sum of squares.
    #[default]
    Frobenius,
    /// The greatest sum of magnitudes of a column.
    One,
    /// The least sum of magnitudes of a column.
    MinusOne,
    /// The greatest sum of magnitudes of a row.
    Infinity,
    /// The least sum of magnitudes of a row.
    MinusInfinity,
    /// The sum of the singular values.
    #[cfg(feature = "linalg")]
    Nuclear,
    /// The greatest singular value.
    #[cfg(feature = "linalg")]
    Two,
    /// The least singular value.
    #[cfg(feature = "linalg")]
    MinusTwo,
}

impl Tensor {
    /// The Euclidean norm of all elements.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[3.0f32, -4.0], &Device::cpu());
    /// assert_eq!(x.norm().item::<f32>()?, 5.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn norm(&self) -> Tensor {
        self.vector_norm(2.0, &self.every_dim(), false)
    }

    /// `(Σ |x|^ord)^(1/ord)` over some dimensions; the greatest or least magnitude for ±∞, the number of elements
    /// that are not 0 for 0. Of no dimensions: the magnitudes.
    #[track_caller]
    pub fn vector_norm(&self, ord: f64, over: &[isize], keepdim: bool) -> Tensor {
        in_f32!([self] => |x| x.vector_norm(ord, over, keepdim));
        let x = self.to_float();
        match dims(over, x.rank()) {
            Err(m) => return self.fail("vector_norm", m),
            Ok(list) if list.is_empty() && ord != 0.0 => return x.abs(),
            Ok(_) => {}
        }
        match ord {
            _ if ord.is_nan() => self.fail("vector_norm", "the order is NaN"),
            f64::INFINITY => x.abs().amax_dims(over, keepdim),
            f64::NEG_INFINITY => x.abs().amin_dims(over, keepdim),
            0.0 => x.ne_scalar(0.0).cast(x.dtype()).sum_dims(over, keepdim),
            1.0 => x.abs().sum_dims(over, keepdim),
            2.0 => x.square().sum_dims(over, keepdim).root(),
            p => x.power_norm(p, over, keepdim),
        }
    }

    /// The norm of another order. Zeros are kept from the powers, whose derivatives are infinite there.
    #[track_caller]
    fn power_norm(&self, p: f64, over: &[isize], keepdim: bool) -> Tensor {
        let zero = self.eq_scalar(0.0);
        let of_zero = if p > 0.0 { 0.0 } else { f64::INFINITY };
        let powers = self
            .abs()
            .masked_fill(&zero, 1.0)
            .powf(p)
            .masked_fill(&zero, of_zero);
        let sum = powers.sum_dims(over, keepdim);
        let degenerate = sum.eq_scalar(of_zero);
        sum.masked_fill(&degenerate, 1.0)
            .powf(1.0 / p)
            .masked_fill(&degenerate, 0.0)
    }

    /// A norm of the matrices that lie in two dimensions (rows, columns), for PyTorch `(-2, -1)`.
    #[track_caller]
    pub fn matrix_norm(&self, ord: MatrixNorm, matrix_dims: [isize; 2], keepdim: bool) -> Tensor {
        in_f32!([self] => |x| x.matrix_norm(ord, matrix_dims, keepdim));
        let list = match dims(&matrix_dims, self.rank()) {
            Ok(list) if list.len() == 2 => list,
            Ok(_) => return self.fail("matrix_norm", "a tensor of rank 0 is no matrix"),
            Err(m) => return self.fail("matrix_norm", m),
        };
        let [rows, columns] = matrix_dims;
        let x = || self.to_float().abs();
        let out = match ord {
            MatrixNorm::Frobenius => self.vector_norm(2.0, &matrix_dims, true),
            MatrixNorm::One => x().sum_dims(&[rows], true).amax_dims(&[columns], true),
            MatrixNorm::MinusOne => x().sum_dims(&[rows], true).amin_dims(&[columns], true),
            MatrixNorm::Infinity => x().sum_dims(&[columns], true).amax_dims(&[rows], true),
            MatrixNorm::MinusInfinity => x().sum_dims(&[columns], true).amin_dims(&[rows], true),
            #[cfg(feature = "linalg")]
            _ => self.spectral_norm(ord, &list),
        };
        let list: Vec<isize> = list.iter().map(|&d| d as isize).collect();
        if keepdim { out } else { out.drop_dims(&list) }
    }

    /// A norm of the singular values of the matrices in two absolute dimensions, which stay with size 1.
    #[cfg(feature = "linalg")]
    #[track_caller]
    fn spectral_norm(&self, ord: MatrixNorm, matrix: &[usize]) -> Tensor {
        let others = (0..self.rank()).filter(|d| !matrix.contains(d));
        let order: Vec<usize> = others.chain(matrix.iter().copied()).collect();
        let values = self.permute_to(&order).svdvals();
        let norm = match ord {
            MatrixNorm::Nuclear => values.sum_dims(&[-1], false),
            MatrixNorm::MinusTwo => values.amin_dims(&[-1], false),
            _ => values.amax_dims(&[-1], false),
        };
        if norm.check().is_err() {
            return norm;
        }
        let size = |d: usize| {
            if matrix.contains(&d) {
                1
            } else {
                self.shape()[d]
            }
        };
        norm.reshape_to(&(0..self.rank()).map(size).collect::<Vec<_>>())
    }
}
