//! Products of few rows by a matrix that lies transposed, as a linear layer's weight does: sums of products along both
//! operands as they lie, since there are too few rows to pay for copying the matrix into panels. Rows that are not f32 are
//! widened first, columns as they are read.

use crate::lanes::{Element, Lanes, best};
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::results::Target;
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Mat, Out, Product, blocks::part};
use crate::threads::par::Par;
use half::{bf16, f16};
use std::ops::Range;

/// The most rows.
const MOST_ROWS: usize = 128;
/// Steps of a sum, at least, and for each row: adding up lanes costs less than panels where sums are long and rows few. On
/// one core of 110 GFLOP/s, products by 1024x1024 of 4 and 32 rows reach 77 and 109 instead of 15 and 70, 96 rows by 256x784
/// 108 instead of 104; 128 rows by 512x512 are as fast in panels.
const FEWEST_STEPS: usize = 64;
const STEPS_A_ROW: usize = 6;
/// Steps after which a sum is added to the output, so that the rows stay in the second-level cache.
const DEPTH: usize = 2048;
/// Columns at once.
const COLS: usize = 4;

/// Whether a product is computed so.
pub(crate) fn suits(p: &Product<'_>) -> bool {
    let lies_so = p.a.col == 1 && p.b.row == 1;
    let long = p.k >= FEWEST_STEPS.max(STEPS_A_ROW * p.m);
    let fits = (2..=MOST_ROWS).contains(&p.m) && p.n >= COLS && long;
    lies_so && fits && !p.add && p.packed.is_none()
}

/// Computes it in `pieces` ranges of columns; rows of the output are `row` apart.
///
/// # Safety
/// The output holds the product, nobody else touches it meanwhile, and the operands hold what it is computed from.
pub(crate) unsafe fn run(p: &Product<'_>, (out, row): (Target, usize), pieces: usize, par: Par) {
    if p.a.data.single().is_none() {
        return with_scratch(p.m * p.k, |a| {
            let rows = p.m.div_ceil(par.pieces());
            par.for_work(p.m * p.k).chunks(a, rows * p.k, |first, a| {
                let at = p.a.at + first / p.k * p.a.row;
                p.a.data.lines((at, p.a.row), a, (p.k, p.k));
            });
            let a = Mat::rows(a, p.k);
            // SAFETY: the caller's.
            unsafe { run(&Product { a, ..*p }, (out, row), pieces, par) }
        });
    }
    par.for_each(pieces, |i| {
        let cols = part(p.n, i, pieces)..part(p.n, i + 1, pieces);
        match out.single() {
            Some(at) => floats(p, Out { at, row }, cols),
            // SAFETY: the caller's.
            None => unsafe { rounded(p, (out, row), cols) },
        }
    });
}

fn floats(p: &Product<'_>, out: Out, cols: Range<usize>) {
    let Some(rows) = p.a.data.single() else {
        return;
    };
    match p.b.data {
        Floats::Single(data) => columns((p, rows), data, out, cols),
        Floats::Half(data) => columns_f16((p, rows), data, out, cols),
        Floats::Upper(data) => columns_bf16((p, rows), data, out, cols),
    }
}

/// Columns that are computed in the thread's own memory.
///
/// # Safety
/// As for [`run`].
unsafe fn rounded(p: &Product<'_>, (out, row): (Target, usize), cols: Range<usize>) {
    if cols.is_empty() {
        return;
    }
    let n = cols.len();
    let at = p.b.at + cols.start * p.b.col;
    let b = Mat { at, ..p.b };
    with_scratch(p.m * n, |wide| {
        let own = Out {
            at: wide.as_mut_ptr(),
            row: n,
        };
        floats(&Product { n, b, ..*p }, own, 0..n);
        // SAFETY: the caller's.
        unsafe { out.from(cols.start).store_lines(wide, (n, n), row) };
    });
}

best! {
    fn columns(p: (&Product<'_>, &[f32]), b: &[f32], out: Out, cols: Range<usize>) = columns_with
}

best! {
    fn columns_f16(p: (&Product<'_>, &[f32]), b: &[f16], out: Out, cols: Range<usize>) = columns_with
}

best! {
    fn columns_bf16(p: (&Product<'_>, &[f32]), b: &[bf16], out: Out, cols: Range<usize>) = columns_with
}

/// `(p, a)`: the product and its rows; `b`: its columns.
#[inline(always)]
unsafe fn columns_with<L: Lanes>(
    (p, a): (&Product<'_>, &[f32]),
    b: &[impl Element],
    out: Out,
    cols: Range<usize>,
) {
    let depths = p.k.div_ceil(DEPTH);
    for d in 0..depths {
        let steps = part(p.k, d, depths)..part(p.k, d + 1, depths);
        let mut col = cols.start;
        while col < cols.end {
            // SAFETY: the caller's.
            unsafe {
                if cols.end - col >= COLS {
                    rows_with::<L, COLS>((p, a), b, out, (col, steps.clone()));
                    col += COLS;
                } else {
                    rows_with::<L, 1>((p, a), b, out, (col, steps.clone()));
                    col += 1;
                }
            }
        }
    }
}

/// All rows of some columns.
#[inline(always)]
unsafe fn rows_with<L: Lanes, const C: usize>(
    (p, a): (&Product<'_>, &[f32]),
    b: &[impl Element],
    out: Out,
    (col, steps): (usize, Range<usize>),
) {
    /// Rows at once: as many as the registers hold.
    const MANY: usize = 6;
    const FEW: usize = 2;
    let mut row = 0;
    while row < p.m {
        let left = p.m - row;
        // SAFETY: the caller's.
        unsafe {
            if L::LEN == 16 && left >= MANY {
                tile::<L, MANY, C>((p, a), b, out, (row, col, steps.clone()));
                row += MANY;
            } else if left >= FEW {
                tile::<L, FEW, C>((p, a), b, out, (row, col, steps.clone()));
                row += FEW;
            } else {
                tile::<L, 1, C>((p, a), b, out, (row, col, steps.clone()));
                row += 1;
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const C: usize>(
    (p, left): (&Product<'_>, &[f32]),
    right: &[impl Element],
    out: Out,
    (row, col, steps): (usize, usize, Range<usize>),
) {
    let first = steps.start == 0;
    // SAFETY: the operands hold these rows and columns, the output these elements, says the caller.
    unsafe {
        let a: [*const f32; R] = std::array::from_fn(|r| {
            left.as_ptr()
                .add(p.a.at + (row + r) * p.a.row + steps.start)
        });
        let b: [_; C] = std::array::from_fn(|c| {
            right
                .as_ptr()
                .add(p.b.at + (col + c) * p.b.col + steps.start)
        });
        let mut sums = [[L::splat(0.0); C]; R];
        let whole = steps.len() / L::LEN * L::LEN;
        let mut k = 0;
        while k < whole {
            let right: [L; C] = std::array::from_fn(|c| Element::load(b[c].add(k), L::LEN));
            for r in 0..R {
                let left = L::load(a[r].add(k));
                for c in 0..C {
                    sums[r][c] = sums[r][c].fma(left, right[c]);
                }
            }
            k += L::LEN;
        }
        let rest = steps.len() - whole;
        if rest > 0 {
            let right: [L; C] = std::array::from_fn(|c| Element::load(b[c].add(whole), rest));
            for r in 0..R {
                let left = L::load_first(a[r].add(whole), rest);
                for c in 0..C {
                    sums[r][c] = sums[r][c].fma(left, right[c]);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                let out = out.at.add((row + r) * out.row + col + c);
                let before = if first { 0.0 } else { *out };
                *out = before + sum.sum();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::matmul::gemm::dots::suits;
    use crate::matmul::gemm::{Mat, Product};
    use crate::tests::{Rng, held};
    use crate::threads::par::with_threads;

    #[test]
    fn few_rows_by_a_transposed_matrix() {
        for (m, n, k) in [
            (2, 4, 64),
            (5, 6, 70),
            (3, 5, 300),
            (7, 9, 1000),
            (16, 33, 2049),
            (64, 18, 4100),
            (128, 7, 777),
        ] {
            let mut rng = Rng((m * n + k) as u64);
            let (a, b) = (held(&rng.floats(m * (k + 3) - 3)), held(&rng.floats(n * k)));
            let [a, b]: [&[f32]; 2] = [&a, &b].map(|x| bytemuck::cast_slice(x.bytes()));
            let product = Product {
                m,
                n,
                k,
                a: Mat::rows(a, k + 3),
                b: Mat::rows(b, k).t(),
                packed: None,
                add: false,
            };
            assert!(suits(&product));
            let [one, three] = [1, 3].map(|threads| {
                let mut out = held(&vec![f32::NAN; m * n]);
                with_threads(threads, |par| product.run(out.slice_mut(), n, par));
                out.slice_mut::<f32>().to_vec()
            });
            assert_eq!(one, three, "{m} {n} {k}");
            for i in 0..m {
                for j in 0..n {
                    let terms =
                        (0..k).map(|l| f64::from(a[i * (k + 3) + l]) * f64::from(b[j * k + l]));
                    let want: f64 = terms.sum();
                    let got = f64::from(one[i * n + j]);
                    assert!(
                        (got - want).abs() < 1e-5 * (k as f64).sqrt(),
                        "{got} {want}"
                    );
                }
            }
        }
    }
}
