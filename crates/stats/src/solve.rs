//! The QR factorisation of a design, by faer, and what follows from it. Knows no statistics.

use crate::design::{Design, fault};
use faer::Mat;
use wgrad_graph::Result;

/// A column whose part that is no combination of those before it is smaller than this, relative to itself, is one of them.
const TOLERANCE: f64 = 1e-10;

/// A factored design. Columns are scaled to length 1 first, so that units do not matter.
pub(crate) struct Factored {
    q: Mat<f64>,
    r: Mat<f64>,
    scale: Vec<f64>,
}

impl Factored {
    /// # Errors
    /// More columns than rows; a column is constant 0 or a combination of those before it: the error names it.
    pub(crate) fn new(op: &str, design: &Design) -> Result<Self> {
        Self::weighted(op, design, None)
    }

    /// With every row times its root weight.
    pub(crate) fn weighted(op: &str, design: &Design, roots: Option<&[f64]>) -> Result<Self> {
        let (n, p) = (design.rows, design.names.len());
        if p == 0 {
            return Err(fault(op, "the model has no terms and no intercept"));
        }
        if n < p {
            let message = format!("{n} rows cannot determine {p} coefficients");
            return Err(fault(op, message));
        }
        let value = |i: usize, j: usize| design.columns[j][i] * roots.map_or(1.0, |r| r[i]);
        let mut scale = Vec::with_capacity(p);
        for j in 0..p {
            // Scaled by the greatest first: squares of great numbers would overflow.
            let most = (0..n).map(|i| value(i, j).abs()).fold(0.0, f64::max);
            if most == 0.0 {
                return Err(fault(op, format!("{} is 0 in every row", design.names[j])));
            }
            let squares: f64 = (0..n).map(|i| (value(i, j) / most).powi(2)).sum();
            scale.push(most * squares.sqrt());
        }
        let x = Mat::from_fn(n, p, |i, j| value(i, j) / scale[j]);
        let qr = x.qr();
        let r = qr.thin_R().to_owned();
        if let Some(j) = (0..p).find(|&j| r[(j, j)].abs() <= TOLERANCE) {
            let before = design.names[..j].join(", ");
            let message = format!(
                "{} is a linear combination of {before}: leave one of them out",
                design.names[j]
            );
            return Err(fault(op, message));
        }
        Ok(Factored {
            q: qr.compute_thin_Q(),
            r,
            scale,
        })
    }

    /// The coefficients that come nearest to `y`.
    pub(crate) fn solve(&self, y: &[f64]) -> Vec<f64> {
        let (n, p) = (self.q.nrows(), self.scale.len());
        let mut b: Vec<f64> = (0..p)
            .map(|j| (0..n).map(|i| self.q[(i, j)] * y[i]).sum())
            .collect();
        self.back(&mut b);
        b
    }

    /// R⁻¹ b, with the scale undone.
    fn back(&self, b: &mut [f64]) {
        let p = b.len();
        for j in (0..p).rev() {
            let later: f64 = (j + 1..p).map(|k| self.r[(j, k)] * b[k]).sum();
            b[j] = (b[j] - later) / self.r[(j, j)];
        }
        b.iter_mut().zip(&self.scale).for_each(|(b, s)| *b /= s);
    }

    /// (XᵀX)⁻¹, row by row.
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let p = self.scale.len();
        // Columns of R⁻¹.
        let columns: Vec<Vec<f64>> = (0..p)
            .map(|k| {
                let mut unit = vec![0.0; p];
                unit[k] = 1.0;
                self.back(&mut unit);
                unit
            })
            .collect();
        let entry = |i: usize, j: usize| columns.iter().map(|c| c[i] * c[j]).sum();
        (0..p * p).map(|at| entry(at / p, at % p)).collect()
    }
}

/// `xᵀ C x` of a row of the design and a matrix.
pub(crate) fn quadratic(design: &Design, row: usize, matrix: &[f64]) -> f64 {
    let p = design.names.len();
    let x: Vec<f64> = design.columns.iter().map(|c| c[row]).collect();
    let inner = |i: usize| -> f64 { (0..p).map(|j| matrix[i * p + j] * x[j]).sum() };
    (0..p).map(|i| x[i] * inner(i)).sum()
}
