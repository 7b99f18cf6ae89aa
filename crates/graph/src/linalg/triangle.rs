//! Triangles of matrices and systems with them.
//! `solve_triangular`: `A X = B`; derivatives `gB = A⁻ᵀ g` and `gA` = the triangle of `−gB Xᵀ` (Giles 2008).

use super::{call, each, extended, split, square};
use crate::ops::host::Function;
use crate::ops::{Derivative, Derive, Operand};
use crate::tensor::Tensor;
use faer::Mat;

/// Which half of a matrix is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Triangle {
    /// On and below the diagonal.
    #[default]
    Lower,
    /// On and above the diagonal.
    Upper,
}

impl Triangle {
    pub(super) fn attribute(self) -> i64 {
        i64::from(self == Triangle::Upper)
    }

    fn of(attribute: i64) -> Triangle {
        if attribute == 1 {
            Triangle::Upper
        } else {
            Triangle::Lower
        }
    }

    fn other(self) -> Triangle {
        if self == Triangle::Upper {
            Triangle::Lower
        } else {
            Triangle::Upper
        }
    }
}

/// The triangle of matrices whose elements are at least `offset` from the diagonal; zero elsewhere.
#[track_caller]
pub(super) fn triangle(x: &Tensor, which: Triangle, offset: i32) -> Tensor {
    let sizes = [x.size(-2), x.size(-1)];
    let row = Tensor::iota_along(&sizes, 0, x.device());
    let column = Tensor::iota_along(&sizes, 1, x.device());
    let mask = match which {
        Triangle::Lower => row.ge(&(column + offset)),
        Triangle::Upper => column.ge(&(row + offset)),
    };
    Tensor::where_(&mask, x, &x.zeros_like())
}

/// `X` of `A X = B`; reads one triangle of `A`, and its diagonal as ones if `unitriangular`. Equal leading dimensions.
#[track_caller]
pub(super) fn solve_triangle(
    a: &Tensor,
    b: &Tensor,
    which: Triangle,
    unitriangular: bool,
) -> Tensor {
    call(
        &SOLVE,
        &[which.attribute(), i64::from(unitriangular)],
        &[a, b],
    )
}

pub(super) static SOLVE: Function = Function {
    name: "solve_triangular",
    batched: true,
    shape: super::lu::system,
    run: |attributes, x, _| {
        let (which, unit) = (Triangle::of(attributes[0]), attributes[1] == 1);
        each(x, |m| {
            let mut out = m[1].to_owned();
            match (which, unit) {
                (Triangle::Lower, false) => m[0].solve_lower_triangular_in_place(&mut out),
                (Triangle::Lower, true) => m[0].solve_unit_lower_triangular_in_place(&mut out),
                (Triangle::Upper, false) => m[0].solve_upper_triangular_in_place(&mut out),
                (Triangle::Upper, true) => m[0].solve_unit_upper_triangular_in_place(&mut out),
            }
            Ok(out)
        })
    },
    derivative: |attributes, cx: &Derive, g| {
        let (which, unit) = (Triangle::of(attributes[0]), attributes[1] == 1);
        let gb = solve_triangle(&cx.inputs[0].mt(), g, which.other(), unit);
        let ga = triangle(&gb.matmul(&cx.output.mt()).neg(), which, i32::from(unit));
        Derivative::Of(vec![Some(ga), Some(gb)])
    },
};

/// One triangle of symmetric matrices, mirrored: what functions that read one triangle see.
pub(super) fn mirrored(m: faer::MatRef<f64>, which: Triangle) -> Mat<f64> {
    Mat::from_fn(m.nrows(), m.ncols(), |i, j| {
        let (low, high) = (i.max(j), i.min(j));
        if which == Triangle::Lower {
            m[(low, high)]
        } else {
            m[(high, low)]
        }
    })
}

/// Attribute 0 as a triangle.
pub(super) fn of(attributes: &[i64]) -> Triangle {
    Triangle::of(attributes[0])
}

/// Shape rule of `[…, n, n]` to `[…, n]`.
pub(super) fn diagonal_shape(_: &[i64], x: &[Operand]) -> Result<Vec<usize>, String> {
    let (lead, n) = square(&x[0])?;
    Ok(extended(lead, &[n]))
}

/// Shape rule of `[…, m, n]` to `[…, min(m, n)]`.
pub(super) fn short_side_shape(_: &[i64], x: &[Operand]) -> Result<Vec<usize>, String> {
    let (lead, m, n) = split(&x[0])?;
    Ok(extended(lead, &[m.min(n)]))
}

impl Tensor {
    /// `X` of `A X = B` where `self` is `A`, of which one triangle is read; `left: false` solves `X A = B`.
    /// `[…, n, n]` and `[…, n, k]` (`[…, k, n]` from the right) to the shape of `B`; leading dimensions broadcast.
    /// With `unitriangular` the diagonal counts as ones. PyTorch's `linalg.solve_triangular`.
    ///
    /// A zero on the diagonal gives infinities or NaN.
    #[track_caller]
    pub fn solve_triangular(
        &self,
        b: &Tensor,
        which: Triangle,
        left: bool,
        unitriangular: bool,
    ) -> Tensor {
        if !left {
            return match b.matrices("solve_triangular") {
                Ok(b) if self.rank() >= 2 => self
                    .mt()
                    .solve_triangular(&b.mt(), which.other(), true, unitriangular)
                    .mt(),
                Ok(_) => self.fail("solve_triangular", "takes at least two dimensions"),
                Err(invalid) => invalid,
            };
        }
        match self.pair(b, "solve_triangular") {
            Ok((a, b)) => solve_triangle(&a, &b, which, unitriangular),
            Err(invalid) => invalid,
        }
    }
}
