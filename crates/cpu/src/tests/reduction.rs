//! Reduce: both layouts, all kinds, empty and special values.

use super::*;
use crate::plan::{Reduce, ReduceKind};

const F: DType = DType::F32;

/// The kept and reduced sizes, and a dense input of `[outer, inner]` or, if `across`, `[inner, outer]`.
fn cases() -> Vec<(Vec<usize>, Vec<usize>, View)> {
    let mut cases = Vec::new();
    for (outer, inner) in [
        (1, 1),
        (3, 5),
        (1, 300_000),
        (70, 1500),
        (5, 2000),
        (200, 10),
        (0, 3),
        (3, 0),
        (1000, 3),
    ] {
        cases.push((vec![outer], vec![inner], view(0, &[inner as i64, 1])));
        cases.push((vec![outer], vec![inner], view(0, &[1, outer as i64])));
        cases.push((vec![], vec![outer, inner], view(0, &[inner as i64, 1])));
    }
    // Sum over batch and space, keeping channels; and over channels.
    cases.push((vec![6], vec![9, 100], view(0, &[100, 600, 1])));
    cases.push((vec![9, 100], vec![6], view(0, &[600, 1, 100])));
    cases.push((vec![3, 2000], vec![50], view(0, &[100_000, 1, 2000])));
    cases.push((vec![1, 30], vec![4000, 1], view(0, &[9, 1, 30, 5])));
    cases
}

fn kernel(kind: ReduceKind, outer: &[usize], inner: &[usize], expr: Expr) -> Kernel {
    Kernel::Reduce(Reduce {
        kind,
        outer: outer.to_vec(),
        inner: inner.to_vec(),
        expr,
    })
}

/// Positions that each output reads, in order.
fn groups(outer: &[usize], inner: &[usize], view: &View) -> Vec<Vec<usize>> {
    let reduced = indices(inner);
    let read = |o: &Vec<usize>| {
        reduced
            .iter()
            .map(|r| at(view, &[&o[..], r].concat()) as usize)
            .collect()
    };
    indices(outer).iter().map(read).collect()
}

#[test]
fn sums_of_products() {
    for (outer, inner, walk) in cases() {
        check_sums(&outer, &inner, &walk);
    }
}

/// Sums of squares, the last operand at the end of its buffer.
pub(crate) fn check_sums(outer: &[usize], inner: &[usize], walk: &View) {
    let n = (outer.iter().product::<usize>() * inner.iter().product::<usize>()).max(1);
    let x = Rng(1).floats(n);
    let expr = Expr {
        inputs: vec![F],
        insts: vec![load(0, walk.clone()), apply(&SQUARE, &[0], F, F)],
    };
    let groups = groups(outer, inner, walk);
    let want: Vec<f64> = groups
        .iter()
        .map(|g| g.iter().map(|&i| f64::from(x[i] * x[i])).sum::<f64>())
        .collect();
    let (got, _) = run(
        &kernel(ReduceKind::Sum, outer, inner, expr),
        &[(F, bytes(&x))],
        F,
        want.len(),
        &[],
    );
    close(&values(&got), &want, 1e-6);
}

#[test]
fn maxima_and_their_positions() {
    for (outer, inner, walk) in cases() {
        check_maxima(&outer, &inner, &walk);
    }
}

/// Maxima and their positions.
pub(crate) fn check_maxima(outer: &[usize], inner: &[usize], walk: &View) {
    let n = (outer.iter().product::<usize>() * inner.iter().product::<usize>()).max(1);
    let groups = groups(outer, inner, walk);
    for nan_every in [usize::MAX, 997] {
        // Few different values, so that there are ties, with both zeros.
        let mut rng = Rng(2);
        let x: Vec<f32> = (0..n)
            .map(|i| match rng.below(9) {
                _ if i % nan_every == nan_every - 1 => f32::NAN,
                8 => -0.0,
                v => v as f32 - 4.0,
            })
            .collect();
        let greater = |a: f32, b: f32| a > b || (a.is_nan() && !b.is_nan());
        let best = |g: &Vec<usize>| {
            (0..g.len()).fold(None, |best: Option<usize>, i| match best {
                Some(b) if !greater(x[g[i]], x[g[b]]) => Some(b),
                _ => Some(i),
            })
        };
        let expr = || Expr {
            inputs: vec![F],
            insts: vec![load(0, walk.clone())],
        };
        let want: Vec<f64> = groups
            .iter()
            .map(|g| best(g).map_or(f64::NEG_INFINITY, |b| f64::from(x[g[b]])))
            .collect();
        let (got, _) = run(
            &kernel(ReduceKind::Max, outer, inner, expr()),
            &[(F, bytes(&x))],
            F,
            want.len(),
            &[],
        );
        close(&values(&got), &want, 0.0);
        let want: Vec<i32> = groups.iter().map(|g| best(g).unwrap_or(0) as i32).collect();
        let kernel = kernel(ReduceKind::ArgMax, outer, inner, expr());
        let (got, _) = run(&kernel, &[(F, bytes(&x))], DType::I32, want.len(), &[]);
        assert_eq!(values::<i32>(&got), want, "{outer:?} {inner:?} {walk:?}");
    }
}

#[test]
fn integers() {
    for (outer, inner, walk) in cases() {
        check_integers(&outer, &inner, &walk);
    }
}

/// Sums and maxima of integers.
pub(crate) fn check_integers(outer: &[usize], inner: &[usize], walk: &View) {
    let n = (outer.iter().product::<usize>() * inner.iter().product::<usize>()).max(1);
    let groups = groups(outer, inner, walk);
    let mut rng = Rng(3);
    let x: Vec<u32> = (0..n).map(|_| rng.next() << 1).collect();
    for dtype in [DType::I32, DType::U32] {
        let expr = || Expr {
            inputs: vec![dtype],
            insts: vec![load(0, walk.clone())],
        };
        let sums: Vec<u32> = groups
            .iter()
            .map(|g| g.iter().fold(0u32, |s, &i| s.wrapping_add(x[i])))
            .collect();
        let sum = kernel(ReduceKind::Sum, outer, inner, expr());
        assert_eq!(
            values::<u32>(&run(&sum, &[(dtype, bytes(&x))], dtype, sums.len(), &[]).0),
            sums
        );
        let max = |g: &Vec<usize>| match dtype {
            DType::I32 => g.iter().map(|&i| x[i] as i32).max().unwrap_or(i32::MIN) as u32,
            _ => g.iter().map(|&i| x[i]).max().unwrap_or(0),
        };
        let maxima: Vec<u32> = groups.iter().map(max).collect();
        let kernel = kernel(ReduceKind::Max, outer, inner, expr());
        assert_eq!(
            values::<u32>(&run(&kernel, &[(dtype, bytes(&x))], dtype, maxima.len(), &[]).0),
            maxima
        );
    }
}

#[test]
fn long_sums_stay_accurate() {
    let n = 3_000_000;
    let x = vec![0.1f32; n];
    for walk in [view(0, &[0, 1]), view(0, &[1, 2])] {
        let (outer, inner) = if walk.strides[0] == 0 {
            (1, n)
        } else {
            (2, n / 2)
        };
        let expr = Expr {
            inputs: vec![F],
            insts: vec![load(0, walk)],
        };
        let (got, _) = run(
            &kernel(ReduceKind::Sum, &[outer], &[inner], expr),
            &[(F, bytes(&x))],
            F,
            outer,
            &[],
        );
        close(
            &values(&got),
            &vec![f64::from(0.1f32) * inner as f64; outer],
            5e-7,
        );
    }
}

#[test]
fn infinities_meet_as_in_ieee() {
    let mut x = vec![1.0f32; 5000];
    x[70] = f32::INFINITY;
    for (second, want) in [(1.0, f64::INFINITY), (f32::NEG_INFINITY, f64::NAN)] {
        x[4000] = second;
        let expr = Expr {
            inputs: vec![F],
            insts: vec![load(0, view(0, &[1]))],
        };
        let (got, _) = run(
            &kernel(ReduceKind::Sum, &[], &[5000], expr),
            &[(F, bytes(&x))],
            F,
            1,
            &[],
        );
        close(&values(&got), &[want], 0.0);
    }
}

#[test]
fn halves_and_bytes_in_and_out() {
    let h: Vec<half::f16> = Rng(4)
        .floats(600)
        .into_iter()
        .map(half::f16::from_f32)
        .collect();
    let expr = Expr {
        inputs: vec![DType::F16],
        insts: vec![load(0, view(0, &[20, 1]))],
    };
    let (got, _) = run(
        &kernel(ReduceKind::Sum, &[30], &[20], expr),
        &[(DType::F16, bytes(&h))],
        DType::F16,
        30,
        &[],
    );
    for (row, got) in h.chunks(20).zip(values::<half::f16>(&got)) {
        let want: f64 = row.iter().map(|x| x.to_f64()).sum();
        assert!((got.to_f64() - want).abs() < 4e-3);
    }
    let b: Vec<half::bf16> = h.iter().map(|h| half::bf16::from_f32(h.to_f32())).collect();
    let expr = Expr {
        inputs: vec![DType::BF16],
        insts: vec![load(0, view(0, &[20, 1]))],
    };
    let kind = kernel(ReduceKind::Sum, &[30], &[20], expr);
    let (got, _) = run(&kind, &[(DType::BF16, bytes(&b))], DType::BF16, 30, &[]);
    for (row, got) in b.chunks(20).zip(values::<half::bf16>(&got)) {
        let want: f64 = row.iter().map(|x| x.to_f64()).sum();
        assert!((got.to_f64() - want).abs() <= want.abs() / 256.0 + 1e-6);
    }
    let u: Vec<u8> = (0..600).map(|i| (i * 7) as u8).collect();
    let expr = Expr {
        inputs: vec![DType::U8],
        insts: vec![load(0, view(0, &[20, 1]))],
    };
    let (got, _) = run(
        &kernel(ReduceKind::Max, &[30], &[20], expr),
        &[(DType::U8, &u)],
        DType::U8,
        30,
        &[],
    );
    assert_eq!(
        got,
        u.chunks(20)
            .map(|row| row.iter().copied().max().unwrap_or(0))
            .collect::<Vec<_>>()
    );
}
