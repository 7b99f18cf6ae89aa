//! The exponential of a matrix by scaling, the Padé approximant of order 13 and squaring (Higham 2005), and integer
//! powers. Derivative of the exponential: the upper right block of `exp [[Aᵀ, g], [0, Aᵀ]]` (Van Loan 1978).

use super::{call, each, one, same_square};
use crate::ops::host::Function;
use crate::tensor::Tensor;
use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef, Scale};

/// Coefficients of the approximant.
const PADE: [f64; 14] = [
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
];

/// The greatest 1-norm for which the approximant is exact to f64.
const RADIUS: f64 = 5.371920351148152;

fn exponential(a: MatRef<f64>) -> Mat<f64> {
    let n = a.nrows();
    let norm = (0..n)
        .map(|j| (0..n).map(|i| a[(i, j)].abs()).sum::<f64>())
        .fold(0.0, f64::max);
    if (0..n).any(|j| (0..n).any(|i| !a[(i, j)].is_finite())) {
        return Mat::full(n, n, f64::NAN);
    }
    let squarings = if norm > RADIUS {
        (norm / RADIUS).log2().ceil().min(1100.0) as i32
    } else {
        0
    };
    let mut result = pade((a * Scale(0.5f64.powi(squarings))).as_ref());
    for _ in 0..squarings {
        result = &result * &result;
    }
    result
}

fn pade(a: MatRef<f64>) -> Mat<f64> {
    let n = a.nrows();
    let identity = Mat::<f64>::identity(n, n);
    let a2 = a * a;
    let a4 = &a2 * &a2;
    let a6 = &a4 * &a2;
    // Σ of every second coefficient from `first`, times the powers of A².
    let sum = |first: usize| {
        let c = |k: usize| Scale(PADE[first + k]);
        let high = &a6 * c(12) + &a4 * c(10) + &a2 * c(8);
        &a6 * high + &a6 * c(6) + &a4 * c(4) + &a2 * c(2) + &identity * c(0)
    };
    let odd = a * sum(1);
    let even = sum(0);
    (&even - &odd).partial_piv_lu().solve(&even + &odd)
}

pub(super) static EXPONENTIAL: Function = Function {
    name: "matrix_exp",
    batched: true,
    shape: same_square,
    run: |_, x, _| each(x, |m| Ok(exponential(m[0]))),
    derivative: |_, cx, g| {
        let turned = cx.inputs[0].mt();
        let n = turned.size(-1);
        let top = Tensor::cat(&[&turned, g], -1);
        let bottom = Tensor::cat(&[&turned.zeros_like(), &turned], -1);
        let whole = call(&EXPONENTIAL, &[], &[&Tensor::cat(&[&top, &bottom], -2)]);
        one(whole.narrow(-2, 0, n).narrow(-1, n, n))
    },
};

impl Tensor {
    /// `Σ Aᵏ / k!` of matrices `[…, n, n]`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let a = Tensor::from_slice(&[0.0f32, 1.0, 0.0, 0.0], &[2, 2], &Device::cpu());
    /// assert_eq!(a.matrix_exp().to_vec::<f32>()?, [1.0, 1.0, 0.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_exp(&self) -> Tensor {
        match self.square_matrices("matrix_exp") {
            Ok(x) => call(&EXPONENTIAL, &[], &[&x]),
            Err(e) => e,
        }
    }

    /// `Aⁿ` of matrices `[…, n, n]`; a negative power is one of the inverse.
    #[track_caller]
    pub fn matrix_power(&self, n: i32) -> Tensor {
        let x = match self.square_matrices("matrix_power") {
            Ok(x) => x,
            Err(e) => return e,
        };
        let mut base = if n < 0 { x.inv() } else { x.clone() };
        let mut left = n.unsigned_abs();
        let mut result: Option<Tensor> = None;
        while left > 0 {
            if left & 1 == 1 {
                result = Some(match result {
                    Some(r) => r.matmul(&base),
                    None => base.clone(),
                });
            }
            left >>= 1;
            if left > 0 {
                base = base.matmul(&base);
            }
        }
        result.unwrap_or_else(|| x.identity(x.size(-1)).broadcast_to(x.shape()))
    }
}
