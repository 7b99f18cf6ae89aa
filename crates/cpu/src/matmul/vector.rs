//! A matrix times a vector, and the two loops it is made of: sums along a row, and columns added up. Elements of two bytes are
//! widened as they are read.

use crate::lanes::{Element, Lanes, best, read};
use crate::matmul::gemm::Mat;
use crate::matmul::gemm::floats::Floats;
use crate::simd::simd_fn;
use crate::threads::par::Par;
use half::{bf16, f16};

/// `out [m] = a · x`, `x` being the only column.
pub(super) fn vector(m: usize, k: usize, a: Mat<'_>, x: Mat<'_>, out: &mut [f32], par: Par) {
    let dense: Vec<f32>;
    let x = match x.data.single() {
        Some(data) if x.row == 1 => &data[x.at..x.at + k],
        _ => {
            dense = (0..k).map(|i| x.data.get(x.at + i * x.row)).collect();
            &dense
        }
    };
    let size = m.div_ceil(par.pieces()).next_multiple_of(64);
    if a.col == 1 {
        par.chunks(out, size, |first, out| {
            for (i, out) in out.iter_mut().enumerate() {
                let at = a.at + (first + i) * a.row;
                *out = dot_of(a.data.slab(at, k), x);
            }
        });
    } else if a.row == 1 || m == 1 {
        par.chunks(out, size, |first, out| {
            out.fill(0.0);
            let n = out.len();
            for (j, &x) in x.iter().enumerate() {
                let at = a.at + first + j * a.col;
                axpy_of(x, a.data.slab(at, n), out);
            }
        });
    } else {
        let mut row: Vec<f32> = crate::storage::reserved(k);
        row.resize(k, 0.0);
        for (i, out) in out.iter_mut().enumerate() {
            row.iter_mut()
                .enumerate()
                .for_each(|(j, x)| *x = a.data.get(a.at + i * a.row + j * a.col));
            *out = dot(&row, x);
        }
    }
}

simd_fn! {
    /// `Σ a[i] * b[i]` by 64 interleaved chains.
    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
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
        halved(acc)
    }
}

/// The sum of all chains, by halves.
#[inline(always)]
fn halved(mut chains: [f32; 64]) -> f32 {
    for half in [32, 16, 8, 4, 2, 1] {
        for i in 0..half {
            chains[i] += chains[i + half];
        }
    }
    chains[0]
}

simd_fn! {
    /// `out += x * a`.
    pub(crate) fn axpy(x: f32, a: &[f32], out: &mut [f32]) {
        for (out, &a) in out.iter_mut().zip(a) {
            *out += x * a;
        }
    }
}

/// [`dot`] of a row of any floats.
fn dot_of(row: Floats<'_>, x: &[f32]) -> f32 {
    let mut sum = 0.0;
    match row {
        Floats::Single(row) => return dot(row, x),
        Floats::Half(row) => dot_f16(row, x, &mut sum),
        Floats::Upper(row) => dot_bf16(row, x, &mut sum),
    }
    sum
}

/// [`axpy`] of a column of any floats.
fn axpy_of(x: f32, col: Floats<'_>, out: &mut [f32]) {
    match col {
        Floats::Single(col) => axpy(x, col, out),
        Floats::Half(col) => axpy_f16(x, col, out),
        Floats::Upper(col) => axpy_bf16(x, col, out),
    }
}

best! {
    fn dot_f16(row: &[f16], x: &[f32], sum: &mut f32) = dot_with
}

best! {
    fn dot_bf16(row: &[bf16], x: &[f32], sum: &mut f32) = dot_with
}

best! {
    fn axpy_f16(x: f32, col: &[f16], out: &mut [f32]) = axpy_with
}

best! {
    fn axpy_bf16(x: f32, col: &[bf16], out: &mut [f32]) = axpy_with
}

/// The sums of [`dot`], in its order: one for each of as many chains.
#[inline(always)]
unsafe fn dot_with<V: Lanes>(row: &[impl Element], x: &[f32], sum: &mut f32) {
    const CHAINS: usize = 64;
    assert_eq!(row.len(), x.len());
    let mut chains = [0.0; CHAINS];
    // SAFETY: both have as many elements; the processor is the caller's promise.
    unsafe {
        // As many vectors as hold the chains, of which the shortest have four lanes.
        let mut sums = [V::splat(0.0); CHAINS / 4];
        let sums = &mut sums[..CHAINS / V::LEN];
        let whole = x.len() / CHAINS * CHAINS;
        let add = |sum: &mut V, at: usize, n: usize| {
            let (row, x) = (row.as_ptr().add(at), x.as_ptr().add(at));
            *sum = sum.add(V::splat(0.0).fma(Element::load(row, n), read(x, n)));
        };
        for at in (0..whole).step_by(CHAINS) {
            for (i, sum) in sums.iter_mut().enumerate() {
                add(sum, at + i * V::LEN, V::LEN);
            }
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            let at = whole + i * V::LEN;
            let n = x.len().saturating_sub(at).min(V::LEN);
            if n > 0 {
                add(sum, at, n);
            }
        }
        for (sum, chains) in sums.iter().zip(chains.chunks_exact_mut(V::LEN)) {
            sum.store(chains.as_mut_ptr());
        }
    }
    *sum = halved(chains);
}

/// `out += x * col`, rounded as [`axpy`] rounds.
#[inline(always)]
unsafe fn axpy_with<V: Lanes>(x: f32, col: &[impl Element], out: &mut [f32]) {
    for (col, out) in col.chunks(V::LEN).zip(out.chunks_mut(V::LEN)) {
        let n = col.len().min(out.len());
        // SAFETY: both have as many elements; the processor is the caller's promise.
        unsafe {
            let product = V::splat(0.0).fma(V::splat(x), Element::load(col.as_ptr(), n));
            let sum = read::<V>(out.as_ptr(), n).add(product);
            match n == V::LEN {
                true => sum.store(out.as_mut_ptr()),
                false => sum.store_first(out.as_mut_ptr(), n),
            }
        }
    }
}
