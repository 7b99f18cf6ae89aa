//! Products against sums in f64, with the kernels of every instruction set at hand.

use super::results::Results;
use super::*;
use crate::dtype::DType;
use crate::tests::{Rng, held};
use crate::threads::par::with_threads;

fn strides(layout: usize, rows: usize, cols: usize) -> (usize, usize, usize) {
    match layout {
        0 => (0, cols, 1),
        1 => (5, 1, rows),
        2 => (1, 2 * cols + 3, 2),
        3 => (2, 0, 1),
        _ => (0, cols + 7, 1),
    }
}

fn check(kernels: &Kernels, [m, n, k]: [usize; 3], layouts: [usize; 2], add: bool) {
    let (a_at, a_row, a_col) = strides(layouts[0], m, k);
    let (b_at, b_row, b_col) = strides(layouts[1], k, n);
    let size = |at, rows: usize, row, cols: usize, col| {
        at + rows.saturating_sub(1) * row + cols.saturating_sub(1) * col + 1
    };
    let x = held(&Rng(1).floats(size(a_at, m, a_row, k, a_col)));
    let y = held(&Rng(2).floats(size(b_at, k, b_row, n, b_col)));
    let [x, y]: [&[f32]; 2] = [&x, &y].map(|b| bytemuck::cast_slice(b.bytes()));
    let a = Mat {
        data: x.into(),
        at: a_at,
        row: a_row,
        col: a_col,
    };
    let b = Mat {
        data: y.into(),
        at: b_at,
        row: b_row,
        col: b_col,
    };
    let plain = Product {
        m,
        n,
        k,
        a,
        b,
        packed: None,
        add,
    };
    let row = n + 3;
    let before = Rng(3).floats(m * row);
    let runs = [1, 2, 3].map(|threads| {
        let mut buffer = held(&before);
        let out = buffer.slice_mut();
        let mut product = plain;
        let mut packed = held(&vec![f32::NAN; packed_len(k, n)]);
        // Panels are as wide as those of the best kernels.
        if std::ptr::eq(kernels, Kernels::best()) && k > 0 && n > 0 && threads != 2 {
            with_threads(threads, |par| pack_right(b, k, n, packed.slice_mut(), par));
            product.packed = Some(bytemuck::cast_slice(packed.bytes()));
        }
        with_threads(threads, |par| product.run_with(kernels, out, row, par));
        if !add && std::ptr::eq(kernels, Kernels::best()) {
            let lines = out.chunks(row).flat_map(|line| &line[..n]);
            check_rounded(&product, &lines.copied().collect::<Vec<_>>(), threads);
        }
        buffer.slice_mut::<f32>().to_vec()
    });
    assert!(
        runs[0] == runs[1] && runs[0] == runs[2],
        "{m} {n} {k}: bits depend on threads"
    );
    if k > 0 {
        check_together(kernels, &plain.checked(), (&before, row), &runs[0]);
    }
    for i in 0..m {
        for j in 0..n {
            let sum: f64 = (0..k)
                .map(|l| {
                    f64::from(x[a_at + i * a_row + l * a_col])
                        * f64::from(y[b_at + l * b_row + j * b_col])
                })
                .sum();
            let start = if add { before[i * row + j] } else { 0.0 };
            let want = sum + f64::from(start);
            let got = f64::from(runs[0][i * row + j]);
            assert!(
                (got - want).abs() <= 3e-5 * (1.0 + want.abs()),
                "{m} {n} {k} {layouts:?}: ({i}, {j}) is {got}, expected {want}"
            );
        }
        assert_eq!(
            runs[0][i * row + n..(i + 1) * row],
            before[i * row + n..(i + 1) * row],
            "wrote beside the output"
        );
    }
}

/// Threads that pack together, whatever the sizes, make of `before` what each did alone.
fn check_together(
    kernels: &Kernels,
    product: &Product<'_>,
    (before, row): (&[f32], usize),
    want: &[f32],
) {
    if dots::suits(product) {
        return;
    }
    let &Product { m, n, k, .. } = product;
    let together = Shared::cut(k, kernels.cols() * (1 + m % 2), m.min(3));
    let mut buffer = held(before);
    with_threads(2, |par| {
        let out = product.out(buffer.slice_mut(), row);
        // SAFETY: it holds the product, and nobody else has it.
        unsafe { together.run(product, kernels, out, par) };
    });
    let same = want == buffer.slice_mut::<f32>();
    assert!(same, "{m} {n} {k}: bits depend on who packs");
}

/// The product as floats of two bytes is `wide`, rounded.
fn check_rounded(product: &Product<'_>, wide: &[f32], threads: usize) {
    let rounded = |dtype: DType| {
        let mut words = held(&vec![f32::NAN; wide.len().div_ceil(2)]);
        let bytes = &mut words.bytes_mut()[..2 * wide.len()];
        let target = Results::of(bytes, dtype).target();
        // SAFETY: it holds the product, and nobody else has it.
        with_threads(threads, |par| unsafe { product.run_into(target, par) });
        bytemuck::cast_slice::<u8, u16>(&words.bytes()[..2 * wide.len()]).to_vec()
    };
    let f16s = wide.iter().map(|&x| half::f16::from_f32(x).to_bits());
    assert!(f16s.eq(rounded(DType::F16)), "f16 {product:?}");
    let bf16s = wide.iter().map(|&x| half::bf16::from_f32(x).to_bits());
    assert!(bf16s.eq(rounded(DType::BF16)), "bf16 {product:?}");
}

/// One product with the kernels of every instruction set.
pub(crate) fn check_all(sizes: [usize; 3], layouts: [usize; 2], add: bool) {
    for kernels in Kernels::all() {
        check(kernels, sizes, layouts, add);
    }
}

#[test]
fn products_of_all_sizes_and_orders() {
    for kernels in Kernels::all() {
        for m in [1, 2, 5, 6, 7, 13, 14, 15, 29, 57, 90] {
            for n in [1, 3, 8, 15, 16, 17, 31, 32, 33, 70] {
                for k in [0, 1, 2, 8, 31] {
                    let layouts = [(m + n) % 5, (n + k) % 5];
                    check(kernels, [m, n, k], layouts, (m + k) % 2 == 0);
                }
            }
        }
    }
}

#[test]
fn products_of_several_blocks() {
    for kernels in Kernels::all() {
        for layouts in [[0, 0], [0, 1], [1, 0], [1, 1], [2, 4]] {
            check(kernels, [40, 1100, 530], layouts, layouts[0] == 0);
            check(kernels, [300, 65, 1100], layouts, layouts[0] == 1);
        }
    }
}

#[test]
fn grids_cover_everything_once() {
    for (m, n, pieces) in [
        (1, 1, 4),
        (512, 128, 2),
        (128, 784, 2),
        (1024, 1024, 4),
        (3, 100, 16),
        (100, 33, 6),
    ] {
        let mut seen = vec![0; m * n];
        let grid = Grid::new(m, n, pieces, 32);
        for (rows, cols) in (0..grid.len()).map(|i| grid.rectangle(i)) {
            assert!(cols.start % 32 == 0);
            rows.for_each(|r| cols.clone().for_each(|c| seen[r * n + c] += 1));
        }
        assert!(
            seen.iter().all(|&count| count == 1),
            "{m} by {n} in {pieces}"
        );
    }
}
