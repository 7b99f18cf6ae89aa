//! Window, ScatterAdd, Scan and ArgSort.

use super::super::scatter::{Way, way};
use super::{Data, Target, assert_close, check, executors, run};
use crate::DeviceClass;
use crate::dtype::DType;
use crate::plan::*;

type Case = (Kernel, Vec<Data>, (DType, usize));

fn window(kind: WindowKind, planes: usize, input: [usize; 3], kernel: [usize; 3]) -> Window {
    let mut w = Window {
        kind,
        planes,
        input,
        output: [0; 3],
        kernel,
        stride: [1, 2, 1],
        padding: [0, 1, 1],
        dilation: [1, 1, 2],
    };
    for d in 0..3 {
        let reach = w.dilation[d] * (w.kernel[d] - 1) + 1;
        w.output[d] = (w.input[d] + 2 * w.padding[d] - reach) / w.stride[d] + 1;
    }
    w
}

fn window_case(kind: WindowKind) -> Case {
    let w = window(kind, 5, [3, 7, 9], [2, 3, 3]);
    let n: usize = w.input.iter().product();
    let out: usize = w.output.iter().product();
    let dtype = if kind == WindowKind::Sum {
        DType::F32
    } else {
        DType::I32
    };
    (
        Kernel::Window(w),
        vec![Data::random(DType::F32, 5 * n, 41)],
        (dtype, 5 * out),
    )
}

fn scatter(
    outer: usize,
    count: usize,
    size: usize,
    inner: usize,
    index: [usize; 3],
    dtype: DType,
) -> Case {
    let kernel = ScatterAdd {
        outer,
        count,
        size,
        inner,
        index,
    };
    let n = [outer, count, inner];
    let len = if n.contains(&0) {
        0
    } else {
        (0..3).map(|d| (n[d] - 1) * index[d]).sum::<usize>() + 1
    };
    let ix = Data::random(DType::I32, len, 43)
        .values
        .iter()
        .map(|v| v % size as f64)
        .collect();
    let inputs = vec![
        Data::random(dtype, outer * count * inner, 42),
        Data::new(DType::I32, ix),
    ];
    (
        Kernel::ScatterAdd(kernel),
        inputs,
        (dtype, outer * size * inner),
    )
}

fn scatters() -> Vec<Case> {
    let mut cases = vec![
        // An embedding's gradient: lines on a GPU.
        scatter(1, 300, 40, 5, [0, 1, 0], DType::F32),
        scatter(2, 33, 9, 70, [33, 1, 0], DType::I32),
        // Few targets.
        scatter(1, 50, 3, 1, [0, 1, 0], DType::F32),
        scatter(2, 17, 5, 3, [51, 3, 1], DType::F32),
        // Few rows and few targets, but no lines.
        scatter(1, 500, 4, 2, [0, 2, 1], DType::U32),
        scatter(1, 0, 4, 2, [0, 2, 1], DType::F32),
        scatter(3, 4, 1, 0, [0, 1, 0], DType::F32),
    ];
    // Sorted.
    cases.push(scatter(1, 9000, 3000, 2, [0, 1, 0], DType::F32));
    // Many rows.
    cases.push(scatter(40, 6, 4, 50, [300, 50, 1], DType::U32));
    cases
}

fn scan(kind: ScanKind, dtype: DType, sizes: [usize; 3], reverse: bool) -> Case {
    let [outer, length, inner] = sizes;
    let n = outer * length * inner;
    let mut x = Data::random(dtype, n, 44);
    if kind == ScanKind::Prod {
        let near_one = |v: &mut f64| {
            *v = if dtype == DType::F32 {
                f64::from((1.0 + *v / 64.0) as f32)
            } else {
                *v % 2.0 + 1.0
            }
        };
        x.values.iter_mut().for_each(near_one);
        if dtype != DType::F32 {
            x.values.iter_mut().skip(20).for_each(|v| *v = 1.0);
        }
    }
    (
        Kernel::Scan(Scan {
            kind,
            outer,
            length,
            inner,
            reverse,
        }),
        vec![x],
        (dtype, n),
    )
}

fn scans() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [ScanKind::Sum, ScanKind::Prod, ScanKind::Max] {
        for dtype in [DType::F32, DType::I32, DType::U32] {
            cases.push(scan(kind, dtype, [3, 7, 5], dtype == DType::I32));
            cases.push(scan(kind, dtype, [1, 1030, 2], dtype == DType::U32));
        }
    }
    for reverse in [false, true] {
        cases.push(scan(ScanKind::LogSumExp, DType::F32, [2, 40, 3], reverse));
        cases.push(scan(ScanKind::LogSumExp, DType::F32, [2, 1500, 1], reverse));
    }
    // In parts.
    cases.push(scan(ScanKind::Sum, DType::I32, [3, 40_000, 6], false));
    cases.push(scan(ScanKind::Max, DType::F32, [1, 40_000, 20], true));
    cases.push(scan(ScanKind::Sum, DType::F32, [2, 0, 3], false));
    cases
}

fn argsort(dtype: DType, rows: usize, length: usize, descending: bool) -> Case {
    let x = Data::random(dtype, rows * length, 45);
    (
        Kernel::ArgSort(ArgSort {
            rows,
            length,
            descending,
        }),
        vec![x],
        (DType::I32, rows * length),
    )
}

fn sorts() -> Vec<Case> {
    let mut cases = Vec::new();
    for descending in [false, true] {
        for dtype in [DType::F32, DType::I32, DType::U32] {
            cases.push(argsort(dtype, 3, 37, descending));
        }
        cases.push(argsort(DType::F32, 2, 1024, descending));
        cases.push(argsort(DType::I32, 2, 2500, descending));
        cases.push(argsort(DType::F32, 5, 1, descending));
    }
    cases.push(argsort(DType::F32, 0, 9, false));
    cases
}

pub(super) fn cases() -> Vec<Case> {
    let large = |kind, kernel: [usize; 3]| {
        let input = kernel.map(|k| 2 * k + 3);
        let w = window(kind, 2, input, kernel);
        let dtype = match kind {
            WindowKind::Sum => DType::F32,
            WindowKind::ArgMax => DType::I32,
        };
        let n = 2 * input.iter().product::<usize>();
        let out = 2 * w.output.iter().product::<usize>();
        (
            Kernel::Window(w),
            vec![Data::random(DType::F32, n, 46)],
            (dtype, out),
        )
    };
    let windows = [
        window_case(WindowKind::Sum),
        window_case(WindowKind::ArgMax),
        // One dimension after the other, and in blocks.
        large(WindowKind::Sum, [17, 18, 19]),
        large(WindowKind::ArgMax, [17, 18, 19]),
        large(WindowKind::Sum, [1, 1, 5003]),
        large(WindowKind::ArgMax, [1, 5003, 1]),
    ];
    windows
        .into_iter()
        .chain(scatters())
        .chain(scans())
        .chain(sorts())
        .collect()
}

fn window_expected(w: &Window, x: &[f64]) -> Vec<f64> {
    let plane: usize = w.input.iter().product();
    let mut out = Vec::new();
    for p in 0..w.planes {
        for i in 0..w.output.iter().product() {
            let corner = [
                i / (w.output[1] * w.output[2]),
                i / w.output[2] % w.output[1],
                i % w.output[2],
            ];
            let (mut sum, mut best, mut best_ix) = (0.0, f64::NEG_INFINITY, None);
            for t in 0..w.kernel.iter().product::<usize>() {
                let tap = [
                    t / (w.kernel[1] * w.kernel[2]),
                    t / w.kernel[2] % w.kernel[1],
                    t % w.kernel[2],
                ];
                let q: [usize; 3] = std::array::from_fn(|d| {
                    (corner[d] * w.stride[d] + tap[d] * w.dilation[d]).wrapping_sub(w.padding[d])
                });
                if (0..3).all(|d| q[d] < w.input[d]) {
                    let at = (q[0] * w.input[1] + q[1]) * w.input[2] + q[2];
                    let v = x[p * plane + at];
                    sum += v;
                    if best_ix.is_none() || v > best || (v.is_nan() && !best.is_nan()) {
                        (best, best_ix) = (v, Some(at));
                    }
                }
            }
            out.push(if w.kind == WindowKind::Sum {
                sum
            } else {
                best_ix.expect("no window is empty") as f64
            });
        }
    }
    out
}

#[test]
fn windows_agree_with_loops() {
    for kind in [WindowKind::Sum, WindowKind::ArgMax] {
        let (kernel, mut inputs, out) = window_case(kind);
        if kind == WindowKind::ArgMax {
            inputs[0].values[30] = f64::NAN;
            inputs[0].values[31] = f64::NAN;
            inputs[0].values[100] = f64::NEG_INFINITY;
            inputs[0].values[200..220].fill(0.5);
        }
        let Kernel::Window(w) = &kernel else {
            panic!("a window")
        };
        let expected = window_expected(w, &inputs[0].values);
        check(kernel, &inputs, &Data::new(out.0, expected), 1e-5);
    }
}

fn scatter_expected(s: &ScatterAdd, src: &[f64], index: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; s.outer * s.size * s.inner];
    for o in 0..s.outer {
        for j in 0..s.count {
            for i in 0..s.inner {
                let d = index[o * s.index[0] + j * s.index[1] + i * s.index[2]];
                if d >= 0.0 && d < s.size as f64 {
                    out[(o * s.size + d as usize) * s.inner + i] +=
                        src[(o * s.count + j) * s.inner + i];
                }
            }
        }
    }
    out
}

#[test]
fn scatters_agree_with_loops() {
    let mut ways = Vec::new();
    for (kernel, inputs, out) in scatters() {
        let Kernel::ScatterAdd(s) = &kernel else {
            panic!("a scatter")
        };
        ways.extend(
            [DeviceClass::Software, DeviceClass::Discrete].map(|class| way(s, Target::new(class))),
        );
        let expected = scatter_expected(s, &inputs[0].values, &inputs[1].values);
        check(kernel, &inputs, &Data::new(out.0, expected), 1e-5);
    }
    for w in [Way::Rows, Way::Targets, Way::Lines, Way::Sorted] {
        assert!(ways.contains(&w), "{w:?}");
    }
}

#[test]
fn a_bad_target_is_dropped_and_sets_the_status() {
    for (kernel, mut inputs, out) in scatters()
        .into_iter()
        .filter(|case| case.1[1].values.len() > 10)
    {
        let Kernel::ScatterAdd(s) = &kernel else {
            panic!("a scatter")
        };
        inputs[1].values[3] = -1.0;
        inputs[1].values[8] = s.size as f64;
        let expected = Data::new(
            out.0,
            scatter_expected(s, &inputs[0].values, &inputs[1].values),
        );
        for executor in executors() {
            let (got, status) = run(&executor, &kernel, &inputs, out, &[]);
            assert_eq!(status, 7, "{kernel:?}");
            assert_close(&got, &expected, 1e-5, "scatter");
        }
    }
}

fn join(kind: ScanKind, dtype: DType, a: f64, b: f64) -> f64 {
    match kind {
        ScanKind::Sum => a + b,
        ScanKind::Prod if dtype == DType::F32 => a * b,
        ScanKind::Prod => (a * b) % 4_294_967_296.0,
        ScanKind::Max if a.is_nan() || b.is_nan() => f64::NAN,
        ScanKind::Max => a.max(b),
        ScanKind::Linear => unreachable!("has two operands"),
        ScanKind::LogSumExp => {
            let m = a.max(b);
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else if m.is_infinite() {
                m
            } else {
                m + ((a - m).exp() + (b - m).exp()).ln()
            }
        }
    }
}

fn scan_expected(s: &Scan, dtype: DType, x: &[f64]) -> Vec<f64> {
    let mut out = x.to_vec();
    for o in 0..s.outer {
        for i in 0..s.inner {
            let place = |step: usize| {
                let j = if s.reverse { s.length - 1 - step } else { step };
                (o * s.length + j) * s.inner + i
            };
            for step in 1..s.length {
                out[place(step)] = join(s.kind, dtype, out[place(step - 1)], x[place(step)]);
            }
        }
    }
    out
}

#[test]
fn scans_agree_with_loops() {
    for (kernel, inputs, out) in scans() {
        let Kernel::Scan(s) = &kernel else {
            panic!("a scan")
        };
        let expected = scan_expected(s, out.0, &inputs[0].values);
        check(kernel, &inputs, &Data::new(out.0, expected), 1e-4);
    }
}

#[test]
fn scans_keep_special_values() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let x = vec![-inf, -inf, 2.0, -inf, 3.0, inf, inf, 1.0, nan, 4.0];
    for kind in [ScanKind::LogSumExp, ScanKind::Max] {
        let s = Scan {
            kind,
            outer: 1,
            length: 10,
            inner: 1,
            reverse: false,
        };
        let expected = scan_expected(&s, DType::F32, &x);
        check(
            Kernel::Scan(s),
            &[Data::f32(x.clone())],
            &Data::f32(expected),
            1e-6,
        );
        let long = Scan { length: 100, ..s };
        let x: Vec<f64> = [vec![-inf; 90], x.clone()].concat();
        let expected = scan_expected(&long, DType::F32, &x);
        check(
            Kernel::Scan(long),
            &[Data::f32(x)],
            &Data::f32(expected),
            1e-6,
        );
    }
}

/// The published rule, as a stable sort of the standard library.
fn sort_expected(s: &ArgSort, x: &[f64]) -> Vec<f64> {
    let mut out = Vec::new();
    for row in x.chunks(s.length.max(1)) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        let less = |a: f64, b: f64| match (a.is_nan(), b.is_nan()) {
            (true, _) => false,
            (false, true) => true,
            _ => a < b,
        };
        order.sort_by(|&i, &j| {
            let (a, b) = if s.descending {
                (row[j], row[i])
            } else {
                (row[i], row[j])
            };
            match (less(a, b), less(b, a)) {
                (true, _) => std::cmp::Ordering::Less,
                (_, true) => std::cmp::Ordering::Greater,
                _ => std::cmp::Ordering::Equal,
            }
        });
        out.extend(order.iter().map(|&i| i as f64));
    }
    out
}

#[test]
fn sorts_agree_with_a_stable_sort() {
    for (kernel, inputs, out) in sorts() {
        let Kernel::ArgSort(s) = &kernel else {
            panic!("a sort")
        };
        let expected = sort_expected(s, &inputs[0].values);
        check(kernel, &inputs, &Data::new(out.0, expected), 0.0);
    }
}

#[test]
fn nan_sorts_as_greatest_and_zeros_as_equal() {
    let nan = f64::NAN;
    let x = vec![
        nan,
        0.0,
        -0.0,
        f64::INFINITY,
        nan,
        -1.0,
        0.0,
        f64::NEG_INFINITY,
    ];
    for descending in [false, true] {
        let s = ArgSort {
            rows: 1,
            length: 8,
            descending,
        };
        let expected = sort_expected(&s, &x);
        check(
            Kernel::ArgSort(s),
            &[Data::f32(x.clone())],
            &Data::new(DType::I32, expected),
            0.0,
        );
    }
}
