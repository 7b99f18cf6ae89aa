//! Window, ScatterAdd, Scan and ArgSort.

use super::*;
use crate::plan::{ArgSort, Scan, ScanKind, ScatterAdd, Window, WindowKind};

const F: DType = DType::F32;

pub(crate) fn window(
    planes: usize,
    input: [usize; 3],
    k: [usize; 3],
    s: [usize; 3],
    p: [usize; 3],
    d: [usize; 3],
) -> Window {
    let output = [0, 1, 2].map(|i| (input[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) / s[i] + 1);
    Window {
        kind: WindowKind::Sum,
        planes,
        input,
        output,
        kernel: k,
        stride: s,
        padding: p,
        dilation: d,
    }
}

#[test]
fn windows() {
    for w in [
        window(3, [1, 28, 28], [1, 2, 2], [1, 2, 2], [0; 3], [1; 3]),
        window(300, [1, 7, 9], [1, 2, 2], [1, 2, 2], [0; 3], [1; 3]),
        window(2, [1, 9, 11], [1, 3, 3], [1, 2, 2], [0, 1, 1], [1; 3]),
        window(2, [1, 12, 11], [1, 3, 2], [1, 1, 3], [0, 1, 0], [1, 2, 3]),
        window(2, [5, 6, 7], [2, 3, 2], [2, 1, 2], [1, 1, 1], [1; 3]),
        window(2, [1, 8, 8], [1, 4, 4], [1, 4, 4], [0, 2, 2], [1, 2, 1]),
        window(2, [1, 1, 50], [1, 1, 50], [1, 1, 1], [0; 3], [1; 3]),
        window(0, [1, 4, 4], [1, 2, 2], [1, 2, 2], [0; 3], [1; 3]),
    ] {
        check_window(w);
    }
}

/// Sums and first maxima of windows.
pub(crate) fn check_window(w: Window) {
    let plane: usize = w.input.iter().product();
    let mut rng = Rng(1);
    let mut x: Vec<f32> = (0..w.planes * plane)
        .map(|_| rng.below(6) as f32 - 2.0)
        .collect();
    if let Some(x) = x.get_mut(17) {
        *x = f32::NAN;
    }
    let (mut sums, mut positions) = (Vec::new(), Vec::new());
    for n in 0..w.planes {
        for p in indices(&w.output) {
            let (mut sum, mut best) = (0.0, None::<(f32, usize)>);
            for t in indices(&w.kernel) {
                let q = [0, 1, 2].map(|d| {
                    (p[d] * w.stride[d] + t[d] * w.dilation[d]) as i64 - w.padding[d] as i64
                });
                if (0..3).any(|d| q[d] < 0 || q[d] >= w.input[d] as i64) {
                    continue;
                }
                let at = (q[0] as usize * w.input[1] + q[1] as usize) * w.input[2] + q[2] as usize;
                let v = x[n * plane + at];
                sum += f64::from(v);
                if best.is_none_or(|(b, _)| v > b || (v.is_nan() && !b.is_nan())) {
                    best = Some((v, at));
                }
            }
            sums.push(sum);
            positions.push(best.map_or(0, |b| b.1) as i32);
        }
    }
    let (got, _) = run(&Kernel::Window(w), &[(F, bytes(&x))], F, sums.len(), &[]);
    close(&values(&got), &sums, 1e-6);
    let kernel = Kernel::Window(Window {
        kind: WindowKind::ArgMax,
        ..w
    });
    let (got, _) = run(&kernel, &[(F, bytes(&x))], DType::I32, sums.len(), &[]);
    assert_eq!(values::<i32>(&got), positions, "{w:?}");
}

#[test]
fn scatters() {
    for (outer, count, size, inner) in [
        (1, 5, 3, 1),
        (4, 30, 7, 5),
        (1, 3000, 50, 40),
        (300, 20, 9, 1),
        (2, 0, 3, 2),
        (2, 3, 0, 2),
        (0, 3, 3, 3),
    ] {
        check_scatter([outer, count, size, inner]);
    }
}

/// Sums at indices, good ones and bad ones.
pub(crate) fn check_scatter([outer, count, size, inner]: [usize; 4]) {
    for broadcast in [false, true] {
        for bad in [None, Some(-3), Some(size as i32)] {
            let n = outer * count * inner;
            let strides = if broadcast {
                [0, 1, 0]
            } else {
                [count * inner, inner, 1]
            };
            let mut rng = Rng(5);
            let mut index: Vec<i32> = (0..n.max(count)).map(|_| rng.below(size) as i32).collect();
            if let (Some(bad), Some(ix)) = (bad, index.get_mut(1)) {
                *ix = bad;
            }
            let src = rng.floats(n);
            let whole: Vec<u32> = src.iter().map(|x| x.to_bits()).collect();
            let (mut want, mut sums) = (
                vec![0.0f32; outer * size * inner],
                vec![0u32; outer * size * inner],
            );
            let mut any_bad = false;
            for p in indices(&[outer, count, inner]) {
                let to = index[p[0] * strides[0] + p[1] * strides[1] + p[2] * strides[2]];
                if to < 0 || to >= size as i32 {
                    any_bad = true;
                    continue;
                }
                let to = (p[0] * size + to as usize) * inner + p[2];
                let from = (p[0] * count + p[1]) * inner + p[2];
                want[to] += src[from];
                sums[to] = sums[to].wrapping_add(whole[from]);
            }
            let kernel = Kernel::ScatterAdd(ScatterAdd {
                outer,
                count,
                size,
                inner,
                index: strides,
            });
            let ix = (DType::I32, bytes(&index));
            let (got, status) = run(&kernel, &[(F, bytes(&src)), ix], F, want.len(), &[]);
            assert_eq!(values::<f32>(&got), want);
            assert_eq!(status, if any_bad { 7 } else { 0 });
            let (got, _) = run(
                &kernel,
                &[(DType::U32, bytes(&whole)), ix],
                DType::U32,
                want.len(),
                &[],
            );
            assert_eq!(values::<u32>(&got), sums);
        }
    }
}

#[test]
fn scans() {
    for (outer, length, inner) in [
        (1, 1, 1),
        (3, 100, 1),
        (2, 50, 7),
        (300, 40, 3),
        (0, 4, 4),
        (2, 0, 3),
        (2, 3, 0),
    ] {
        check_scan([outer, length, inner]);
    }
}

/// Scans of every kind in both directions.
pub(crate) fn check_scan([outer, length, inner]: [usize; 3]) {
    for reverse in [false, true] {
        let mut x = Rng(6).floats(outer * length * inner);
        if x.len() > 90 {
            x[20] = f32::NAN;
            x[75] = f32::INFINITY;
            x[50] = f32::NEG_INFINITY;
        }
        for kind in [
            ScanKind::Sum,
            ScanKind::Prod,
            ScanKind::Max,
            ScanKind::LogSumExp,
        ] {
            let scan = Scan {
                kind,
                outer,
                length,
                inner,
                reverse,
            };
            let mut want = vec![0.0; x.len()];
            for (o, i) in indices(&[outer, inner]).iter().map(|p| (p[0], p[1])) {
                for l in 0..length {
                    let range: Vec<usize> = if reverse {
                        (l..length).rev().collect()
                    } else {
                        (0..=l).collect()
                    };
                    let terms = range
                        .iter()
                        .map(|&j| f64::from(x[(o * length + j) * inner + i]));
                    want[(o * length + l) * inner + i] =
                        match kind {
                            ScanKind::Sum => terms.sum(),
                            ScanKind::Prod => terms.product(),
                            ScanKind::Max => terms.fold(f64::NEG_INFINITY, |a, b| {
                                if b > a || b.is_nan() { b } else { a }
                            }),
                            ScanKind::Linear => unreachable!("not among the kinds"),
                            ScanKind::LogSumExp => terms.map(f64::exp).sum::<f64>().ln(),
                        };
                }
            }
            let (got, _) = run(&Kernel::Scan(scan), &[(F, bytes(&x))], F, x.len(), &[]);
            close(&values(&got), &want, 1e-6);
        }
    }
}

#[test]
fn integer_scans_wrap() {
    let x: Vec<i32> = vec![5, -7, i32::MAX, 3, -2, 9];
    let scan = |kind| {
        Kernel::Scan(Scan {
            kind,
            outer: 2,
            length: 3,
            inner: 1,
            reverse: false,
        })
    };
    let run =
        |kind| values::<i32>(&run(&scan(kind), &[(DType::I32, bytes(&x))], DType::I32, 6, &[]).0);
    assert_eq!(run(ScanKind::Sum), [5, -2, i32::MAX - 2, 3, 1, 10]);
    assert_eq!(
        run(ScanKind::Prod),
        [5, -35, (-35i32).wrapping_mul(i32::MAX), 3, -6, -54]
    );
    assert_eq!(run(ScanKind::Max), [5, 5, i32::MAX, 3, 3, 9]);
}

#[test]
fn log_sum_exp_of_nothing_and_of_extremes() {
    let x = [
        f32::NEG_INFINITY,
        f32::NEG_INFINITY,
        1000.0,
        1000.0,
        -1000.0,
        f32::INFINITY,
    ];
    let scan = Scan {
        kind: ScanKind::LogSumExp,
        outer: 1,
        length: 6,
        inner: 1,
        reverse: false,
    };
    let (got, _) = run(&Kernel::Scan(scan), &[(F, bytes(&x))], F, 6, &[]);
    let twice = 1000.0 + 2.0f64.ln();
    let want = [
        f64::NEG_INFINITY,
        f64::NEG_INFINITY,
        1000.0,
        twice,
        twice,
        f64::INFINITY,
    ];
    close(&values(&got), &want, 1e-6);
}

#[test]
fn sorts_are_stable() {
    for (rows, length) in [(1, 1), (3, 50), (200, 33), (2, 5000), (0, 5), (5, 0)] {
        check_sort(rows, length);
    }
}

/// Orders of floats and integers, in both directions.
pub(crate) fn check_sort(rows: usize, length: usize) {
    for descending in [false, true] {
        let mut rng = Rng(7);
        let x: Vec<f32> = (0..rows * length)
            .map(|_| match rng.below(12) {
                0 => f32::NAN,
                1 => -0.0,
                2 => f32::NEG_INFINITY,
                v => v as f32 - 6.0,
            })
            .collect();
        let kernel = Kernel::ArgSort(ArgSort {
            rows,
            length,
            descending,
        });
        let (got, _) = run(&kernel, &[(F, bytes(&x))], DType::I32, x.len(), &[]);
        let order = |a: f32, b: f32| match (a.is_nan(), b.is_nan()) {
            (false, false) => a.partial_cmp(&b).expect("no NaN"),
            (a, b) => a.cmp(&b),
        };
        let mut want = Vec::new();
        for row in x.chunks(length.max(1)) {
            let mut places: Vec<i32> = (0..row.len() as i32).collect();
            places.sort_by(|&a, &b| {
                let order = order(row[a as usize], row[b as usize]);
                if descending { order.reverse() } else { order }
            });
            want.extend(places);
        }
        assert_eq!(values::<i32>(&got), want);
        let ints: Vec<u32> = (0..rows * length).map(|_| rng.next() << 1).collect();
        for dtype in [DType::I32, DType::U32] {
            let (got, _) = run(&kernel, &[(dtype, bytes(&ints))], DType::I32, x.len(), &[]);
            let mut want = Vec::new();
            for row in ints.chunks(length.max(1)) {
                let key = |&i: &i32| {
                    i64::from(row[i as usize])
                        - if dtype == DType::I32 && row[i as usize] >> 31 == 1 {
                            1 << 32
                        } else {
                            0
                        }
                };
                let mut places: Vec<i32> = (0..row.len() as i32).collect();
                places.sort_by_key(|i| if descending { -key(i) } else { key(i) });
                want.extend(places);
            }
            assert_eq!(values::<i32>(&got), want);
        }
    }
}
