//! The Matmul family: which products are cut over threads, and matrix times vector.

pub(crate) mod gemm;
mod vector;

pub(crate) use vector::{axpy, dot};

use crate::call::Context;
use crate::dtype::DType;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::results::{Results, Target};
use crate::matmul::gemm::{Mat, Product, WORTH_SHARING, pack_right, packed_len};
use crate::plan::Matmul;
use crate::threads::par::Par;
use vector::vector;

/// Multiplications of a product below which its packing takes as long, so that it does not widen too. Measured with 16 by 16 by
/// 16 (0.82 of f32's speed instead of 0.6) and 64 by 64 by 32 (0.86 either way).
const TINY: usize = 1 << 15;

/// Elements of a product up to which several are computed before they are rounded.
const SMALL: usize = 1 << 12;

/// Runs `matmul`, whose results are of `dtype`.
pub(crate) fn run(matmul: &Matmul, context: Context<'_>, out: &mut [u8], dtype: DType) {
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
    let mut out = Results::of(out, dtype).first(batch * m * n);
    let one = |left: Floats<'_>, right: Floats<'_>, i: usize, out: Target, par: Par| {
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
            add: false,
        };
        // SAFETY: each product is a part of its own of what is borrowed, and computed once.
        unsafe { multiply(&product, out, par) }
    };
    let work = m * n * k.max(1);
    if batch == 1 {
        let par = if work < WORTH_SHARING {
            Par::SERIAL
        } else {
            context.par
        };
        return one(left, right, 0, out.target(), par);
    }
    // Whether a product is computed on one thread or on all does not change its bits.
    let par = context.par.for_work(batch * work);
    if batch >= 2 * par.threads() || work < WORTH_SHARING {
        if m * n > SMALL {
            let out = out.target();
            return par.neighbours(batch, |i| {
                one(left, right, i, out.from(i * m * n), Par::SERIAL);
            });
        }
        // Many at once are widened before, and rounded after.
        let few = |operand: Floats<'_>, len: usize| operand.len() <= 2 * batch * len;
        let size = batch.div_ceil(par.pieces());
        let run = |left: Floats<'_>, right: Floats<'_>| {
            out.chunks(par, (size * m * n, m * n), |first, out| {
                for (i, out) in out.chunks_exact_mut(m * n).enumerate() {
                    let target = Target::Single(out.as_mut_ptr());
                    one(left, right, first / (m * n) + i, target, Par::SERIAL);
                }
            });
        };
        if work < TINY && m > 1 && n > 1 && few(left, m * k) && few(right, k * n) {
            left.shared(par, |left| {
                right.shared(par, |right| run(left.into(), right.into()))
            });
        } else {
            run(left, right);
        }
    } else {
        let out = out.target();
        (0..batch).for_each(|i| one(left, right, i, out.from(i * m * n), par));
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
///
/// # Safety
/// `out` holds it, and nobody else touches it meanwhile.
unsafe fn multiply(p: &Product<'_>, out: Target, par: Par) {
    let Product { m, n, k, a, b, .. } = *p;
    // SAFETY: the caller's.
    unsafe {
        match (m, n) {
            (_, 1) if k > 0 => out.with(m, |out| vector(m, k, a, b, out, par)),
            (1, _) if k > 0 => out.with(n, |out| vector(n, k, b.t(), a.t(), out, par)),
            _ => p.run_into(out, par),
        }
    }
}
