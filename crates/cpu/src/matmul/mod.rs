//! The Matmul family: which products are cut over threads, and matrix times vector.

pub(crate) mod gemm;
mod vector;

pub(crate) use vector::{axpy, dot};

use crate::call::{Context, Operand};
use crate::dtype::DType;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::results::{Results, Target};
use crate::matmul::gemm::{Mat, Product, WORTH_SHARING, pack_right, packed_len};
use crate::plan::{Matmul, Matrix};
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
    // The `j`th product of operands whose first matrix begins at these elements: of all, or of a few that are widened.
    let one = |left: (Floats<'_>, usize), right: (Floats<'_>, usize), j, out: Target, par: Par| {
        let product = Product {
            m,
            n,
            k,
            a: matrix(left, &a, j),
            b: matrix(right, &b, j),
            packed: context.packed,
            add: false,
        };
        // SAFETY: each product is a part of its own of what is borrowed, and computed once.
        unsafe { multiply(&product, out, par) }
    };
    let (left, right) = ((left, a.offset), (right, b.offset));
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
        small(matmul, (left, right), out, par, one);
    } else {
        let out = out.target();
        (0..batch).for_each(|i| one(left, right, i, out.from(i * m * n), par));
    }
}

/// Many small products, `one` by one. Operands of tiny ones are widened several at a time, if they are dense.
fn small(
    matmul: &Matmul,
    (left, right): ((Floats<'_>, usize), (Floats<'_>, usize)),
    out: Results<'_>,
    par: Par,
    one: impl Fn((Floats<'_>, usize), (Floats<'_>, usize), usize, Target, Par) + Sync,
) {
    let Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    } = *matmul;
    let dense = |x: &Matrix, len: usize| (1..=2 * len).contains(&x.batch);
    let tiny = m * n * k < TINY && m > 1 && n > 1;
    let several = match tiny && dense(&a, m * k) && dense(&b, k * n) {
        true => (SMALL / (m * n).max(m * k).max(k * n)).max(1),
        false => 0,
    };
    let size = batch.div_ceil(par.pieces());
    let run = |left: (Floats<'_>, usize), right: (Floats<'_>, usize), first, out: &mut [f32]| {
        for (i, out) in out.chunks_exact_mut(m * n).enumerate() {
            let target = Target::Single(out.as_mut_ptr());
            one(left, right, first + i, target, Par::SERIAL);
        }
    };
    out.chunks(par, (size * m * n, m * n), |first, out| {
        let first = first / (m * n);
        if several == 0 {
            return run(left, right, first, out);
        }
        for (i, out) in out.chunks_mut(several * m * n).enumerate() {
            let some = (first + i * several, out.len() / (m * n));
            let left = part(left.0, &a, some, [m, k]);
            let right = part(right.0, &b, some, [k, n]);
            left.with(|left| {
                right.with(|right| run((left.into(), 0), (right.into(), 0), 0, out));
            });
        }
    });
}

/// Matrix `j` of an operand whose first begins at element `at`.
fn matrix<'a>((data, at): (Floats<'a>, usize), x: &Matrix, j: usize) -> Mat<'a> {
    Mat {
        data,
        at: at + j * x.batch,
        row: x.row,
        col: x.col,
    }
}

/// What `count` matrices of an operand from the `first` on take, from the first's first element on.
fn part<'a>(
    operand: Floats<'a>,
    x: &Matrix,
    (first, count): (usize, usize),
    [rows, cols]: [usize; 2],
) -> Floats<'a> {
    let reach = (rows - 1) * x.row + cols.saturating_sub(1) * x.col + 1;
    let len = if cols == 0 {
        0
    } else {
        (count - 1) * x.batch + reach
    };
    operand.slab(x.offset + first * x.batch, len)
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
pub(crate) fn pack(matmul: &Matmul, right: &Operand<'_>, out: &mut [f32], par: Par<'_>) {
    let Matmul { n, k, b, .. } = *matmul;
    let b = Mat {
        data: Floats::of(right),
        at: b.offset,
        row: b.row,
        col: b.col,
    };
    // The memory may be that of a larger operand.
    let out = &mut out[..packed_len(k, n)];
    pack_right(b, k, n, out, par.for_work(n * k * 5));
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
