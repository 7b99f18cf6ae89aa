//! The Matmul family, through the `gemm` crate, and the checked wrapper over it that Conv uses too.

use super::Context;
use super::par::Par;
use super::simd::simd_fn;
use crate::plan::Matmul;

/// A matrix somewhere in a slice: element `(r, c)` at `at + r * row + c * col`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mat<'a> {
    pub(super) data: &'a [f32],
    pub(super) at: usize,
    pub(super) row: usize,
    pub(super) col: usize,
}

impl<'a> Mat<'a> {
    /// A matrix with contiguous rows, from the front of `data`.
    pub(super) fn rows(data: &'a [f32], row: usize) -> Mat<'a> {
        Mat {
            data,
            at: 0,
            row,
            col: 1,
        }
    }

    /// The transposed matrix.
    pub(super) fn t(self) -> Mat<'a> {
        Mat {
            row: self.col,
            col: self.row,
            ..self
        }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        self.at + (rows - 1) * self.row + (cols - 1) * self.col < self.data.len()
    }
}

/// `out[r * row + c] (+)= (a · b)[r, c]`, `a` being `m` by `k` and `b` `k` by `n`; adds to `out` if `add`.
#[allow(
    clippy::too_many_arguments,
    reason = "the sizes and operands of a product"
)]
pub(super) fn product(
    [m, n, k]: [usize; 3],
    a: Mat<'_>,
    b: Mat<'_>,
    out: &mut [f32],
    row: usize,
    add: bool,
    par: Par,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        (m - 1) * row + n <= out.len() && (n <= row || m == 1),
        "product does not fit its output"
    );
    if k == 0 {
        if !add {
            out.chunks_mut(row.max(1))
                .take(m)
                .for_each(|r| r[..n].fill(0.0));
        }
        return;
    }
    assert!(
        a.holds(m, k) && b.holds(k, n),
        "operands of a product out of bounds"
    );
    let (a, b) = (with_usable_strides(a, m, k), with_usable_strides(b, k, n));
    // SAFETY: the assertions keep every element that is read or written inside the slices, the strides given are
    // those they were computed with, and rows of `out` do not overlap as `n <= row`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            row as isize,
            add,
            a.data.as_ptr().add(a.at),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr().add(b.at),
            b.col as isize,
            b.row as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            parallelism(par),
        );
    }
}

/// Strides of dimensions of size 1 are free: the natural ones keep the fast paths.
fn with_usable_strides(m: Mat<'_>, rows: usize, cols: usize) -> Mat<'_> {
    let row = if rows == 1 { cols * m.col } else { m.row };
    let col = if cols == 1 { rows * m.row } else { m.col };
    Mat { row, col, ..m }
}

#[cfg(not(target_arch = "wasm32"))]
fn parallelism(par: Par) -> gemm::Parallelism {
    match par.threads() {
        1 => gemm::Parallelism::None,
        n => gemm::Parallelism::Rayon(n),
    }
}

#[cfg(target_arch = "wasm32")]
fn parallelism(_: Par) -> gemm::Parallelism {
    gemm::Parallelism::None
}

/// Multiplications below which one product is not shared.
const WORTH_SHARING: usize = 1 << 20;

/// Runs `matmul`.
pub(super) fn run(matmul: &Matmul, context: Context<'_>, out: &mut [u8]) {
    let Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    } = *matmul;
    let out: &mut [f32] = bytemuck::cast_slice_mut(out);
    if batch == 0 || m == 0 || n == 0 {
        return;
    }
    let (left, right) = (context.words(0), context.words(1));
    let left: &[f32] = bytemuck::cast_slice(left);
    let right: &[f32] = bytemuck::cast_slice(right);
    let one = |i: usize, out: &mut [f32], par: Par| {
        let a = Mat {
            data: left,
            at: a.offset + i * a.batch,
            row: a.row,
            col: a.col,
        };
        let b = Mat {
            data: right,
            at: b.offset + i * b.batch,
            row: b.row,
            col: b.col,
        };
        multiply([m, n, k], a, b, out, par);
    };
    let work = m * n * k.max(1);
    if batch == 1 {
        let par = if work < WORTH_SHARING {
            Par::SERIAL
        } else {
            context.par
        };
        return one(0, out, par);
    }
    // Whether a product is computed on one thread or on all does not change its bits.
    let par = context.par.for_work(batch * work);
    if batch >= 2 * par.threads() || work < WORTH_SHARING {
        let size = batch.div_ceil(par.pieces());
        par.chunks(out, size * m * n, |first, out| {
            for (i, out) in out.chunks_mut(m * n).enumerate() {
                one(first / (m * n) + i, out, Par::SERIAL);
            }
        });
    } else {
        out.chunks_mut(m * n)
            .enumerate()
            .for_each(|(i, out)| one(i, out, par));
    }
}

/// Dense `out [m, n] = a · b`.
fn multiply([m, n, k]: [usize; 3], a: Mat<'_>, b: Mat<'_>, out: &mut [f32], par: Par) {
    if k > 0 && n == 1 {
        vector(m, k, a, b, out, par);
    } else if k > 0 && m == 1 {
        vector(n, k, b.t(), a.t(), out, par);
    } else {
        product([m, n, k], a, b, out, n, false, par);
    }
}

/// `out [m] = a · x`, `x` being the only column.
fn vector(m: usize, k: usize, a: Mat<'_>, x: Mat<'_>, out: &mut [f32], par: Par) {
    let dense: Vec<f32>;
    let x = if x.row == 1 {
        &x.data[x.at..x.at + k]
    } else {
        dense = (0..k).map(|i| x.data[x.at + i * x.row]).collect();
        &dense
    };
    let size = m.div_ceil(par.pieces()).next_multiple_of(64);
    if a.col == 1 {
        par.chunks(out, size, |first, out| {
            for (i, out) in out.iter_mut().enumerate() {
                let at = a.at + (first + i) * a.row;
                *out = dot(&a.data[at..at + k], x);
            }
        });
    } else if a.row == 1 || m == 1 {
        par.chunks(out, size, |first, out| {
            out.fill(0.0);
            let n = out.len();
            for (j, &x) in x.iter().enumerate() {
                let at = a.at + first + j * a.col;
                axpy(x, &a.data[at..at + n], out);
            }
        });
    } else {
        let mut row = vec![0.0; k];
        for (i, out) in out.iter_mut().enumerate() {
            row.iter_mut()
                .enumerate()
                .for_each(|(j, x)| *x = a.data[a.at + i * a.row + j * a.col]);
            *out = dot(&row, x);
        }
    }
}

simd_fn! {
    /// `Σ a[i] * b[i]` by 64 interleaved chains.
    pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut acc = [0.0f32; 64];
        let (mut left, mut right) = (a.chunks_exact(64), b.chunks_exact(64));
        for (a, b) in (&mut left).zip(&mut right) {
            for i in 0..64 {
                acc[i] += a[i] * b[i];
            }
        }
        for ((acc, &a), &b) in acc.iter_mut().zip(left.remainder()).zip(right.remainder()) {
            *acc += a * b;
        }
        for half in [32, 16, 8, 4, 2, 1] {
            for i in 0..half {
                acc[i] += acc[i + half];
            }
        }
        acc[0]
    }
}

simd_fn! {
    /// `out += x * a`.
    pub(super) fn axpy(x: f32, a: &[f32], out: &mut [f32]) {
        for (out, &a) in out.iter_mut().zip(a) {
            *out += x * a;
        }
    }
}
