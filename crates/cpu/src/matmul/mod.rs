//! The Matmul family: which products are cut over threads, matrix times vector, and what follows a product while its
//! result is in the cache.

pub(crate) mod gemm;

use crate::call::Context;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::{Epilogue, Mat, Product, WORTH_SHARING, pack_right, packed_len};
use crate::plan::Matmul;
use crate::simd::simd_fn;
use crate::threads::par::Par;

/// Runs `matmul`.
pub(crate) fn run(matmul: &Matmul, context: Context<'_>, out: &mut [u8]) {
    run_then(matmul, context, bytemuck::cast_slice_mut(out), false, None);
}

/// Runs `matmul`, adding to `out` if `add`, then calls `epilogue` on every piece of the result.
pub(crate) fn run_then(
    matmul: &Matmul,
    context: Context<'_>,
    out: &mut [f32],
    add: bool,
    epilogue: Option<&Epilogue<'_>>,
) {
    let Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    } = *matmul;
    if batch == 0 || m == 0 || n == 0 {
        return;
    }
    let [left, right] = [0, 1].map(|i| Floats::of(&context.inputs[i]));
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
        let product = Product {
            m,
            n,
            k,
            a,
            b,
            packed: context.packed,
            add,
        };
        let position = |at: usize, values: &mut [f32]| {
            if let Some(epilogue) = epilogue {
                epilogue(i * m * n + at, values);
            }
        };
        multiply(
            &product,
            out,
            epilogue.map(|_| &position as &Epilogue<'_>),
            par,
        );
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

/// Whether it pays to pack the right operand of `matmul` once for all products that read it: only few rows make
/// packing count.
pub(crate) fn shareable(matmul: &Matmul) -> bool {
    /// Rows that read a packed operand often enough to pay for packing it.
    const MANY: usize = 256;
    let &Matmul { batch, m, n, k, .. } = matmul;
    batch == 1 && (4..MANY).contains(&m) && n >= 16 && k >= 16
}

/// Packs the right operand of `matmul` into `out`.
pub(crate) fn pack(matmul: &Matmul, context: Context<'_>, out: &mut [f32]) {
    let Matmul { n, k, b, .. } = *matmul;
    let b = Mat {
        data: Floats::of(&context.inputs[1]),
        at: b.offset,
        row: b.row,
        col: b.col,
    };
    // The memory may be that of a larger operand.
    let out = &mut out[..packed_len(k, n)];
    pack_right(b, k, n, out, context.par.for_work(n * k * 5));
}

/// The product, dense in `out`.
fn multiply(p: &Product<'_>, out: &mut [f32], epilogue: Option<&Epilogue<'_>>, par: Par) {
    if p.k > 0 && (p.n == 1 || p.m == 1) && !p.add {
        match p.n {
            1 => vector(p.m, p.k, p.a, p.b, out, par),
            _ => vector(p.n, p.k, p.b.t(), p.a.t(), out, par),
        }
        if let Some(epilogue) = epilogue {
            epilogue(0, out);
        }
    } else {
        p.run(out, p.n, epilogue, par);
    }
}

/// `out [m] = a · x`, `x` being the only column.
fn vector(m: usize, k: usize, a: Mat<'_>, x: Mat<'_>, out: &mut [f32], par: Par) {
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
                *out = a.data.slab(at, k).with(|row| dot(row, x));
            }
        });
    } else if a.row == 1 || m == 1 {
        par.chunks(out, size, |first, out| {
            out.fill(0.0);
            let n = out.len();
            for (j, &x) in x.iter().enumerate() {
                let at = a.at + first + j * a.col;
                a.data.slab(at, n).with(|col| axpy(x, col, out));
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
    pub(crate) fn axpy(x: f32, a: &[f32], out: &mut [f32]) {
        for (out, &a) in out.iter_mut().zip(a) {
            *out += x * a;
        }
    }
}
