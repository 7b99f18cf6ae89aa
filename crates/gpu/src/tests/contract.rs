//! Matmul and the convolution products: odd sizes, all layouts, groups, dilation, splits, empty sums.

use super::elementwise::{ADD, MUL, apply, load, view};
use super::rounds::scalar;
use super::{Data, assert_close, check, executors, plan_of, run_plan};
use crate::dtype::DType;
use crate::plan::*;
use wgrad_graph::ops::Op;

pub(super) type Case = (Kernel, Vec<Data>, (DType, usize));

/// Dense `[batch, m, k]` by `[batch, k, n]`, each optionally stored transposed.
fn matmul(batch: usize, m: usize, n: usize, k: usize, ta: bool, tb: bool) -> Matmul {
    let dense = |rows: usize, cols: usize, t: bool| {
        let (row, col) = if t { (1, rows) } else { (cols, 1) };
        Matrix {
            offset: 0,
            batch: rows * cols,
            row,
            col,
        }
    };
    Matmul {
        batch,
        m,
        n,
        k,
        a: dense(m, k, ta),
        b: dense(k, n, tb),
    }
}

fn matmul_case(kernel: Matmul) -> Case {
    let Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    } = kernel;
    let len = |x: Matrix, rows: usize, cols: usize| {
        if rows * cols * batch == 0 {
            return 0;
        }
        x.offset + (batch - 1) * x.batch + (rows - 1) * x.row + (cols - 1) * x.col + 1
    };
    let inputs = vec![
        Data::random(DType::F32, len(a, m, k), 21),
        Data::random(DType::F32, len(b, k, n), 22),
    ];
    (Kernel::Matmul(kernel), inputs, (DType::F32, batch * m * n))
}

pub(super) fn conv(
    kind: ConvKind,
    groups: usize,
    channels: [usize; 2],
    input: [usize; 3],
    kernel: [usize; 3],
) -> Conv {
    let mut conv = Conv {
        kind,
        batch: 2,
        groups,
        in_channels: channels[0],
        out_channels: channels[1],
        input,
        output: [0; 3],
        kernel,
        stride: [1; 3],
        padding: [0; 3],
        dilation: [1; 3],
    };
    set_output(&mut conv);
    conv
}

pub(super) fn set_output(c: &mut Conv) {
    for d in 0..3 {
        let reach = c.dilation[d] * (c.kernel[d] - 1) + 1;
        c.output[d] = (c.input[d] + 2 * c.padding[d] - reach) / c.stride[d] + 1;
    }
}

fn sizes(c: &Conv) -> [usize; 3] {
    let product = |x: [usize; 3]| x.iter().product::<usize>();
    let x = c.batch * c.groups * c.in_channels * product(c.input);
    let y = c.batch * c.groups * c.out_channels * product(c.output);
    let w = c.groups * c.out_channels * c.in_channels * product(c.kernel);
    [x, w, y]
}

pub(super) fn conv_case(c: Conv) -> Case {
    let [x, w, y] = sizes(&c);
    let (first, second, out) = match c.kind {
        ConvKind::Forward => (x, w, y),
        ConvKind::InputGrad => (y, w, x),
        ConvKind::WeightGrad => (x, y, w),
    };
    let inputs = vec![
        Data::random(DType::F32, first, 31),
        Data::random(DType::F32, second, 32),
    ];
    (Kernel::Conv(c), inputs, (DType::F32, out))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
        cases.push(matmul_case(matmul(2, 67, 35, 19, ta, tb)));
        cases.push(matmul_case(matmul(1, 13, 70, 33, ta, tb)));
        cases.push(matmul_case(matmul(2, 20, 44, 36, ta, tb)));
        cases.push(matmul_case(matmul(1, 19, 10, 640, ta, tb)));
    }
    for (ta, tb) in [(false, false), (true, true)] {
        cases.push(matmul_case(matmul(2, 140, 133, 21, ta, tb)));
    }
    // Lines that are aligned, for large tiles and for others.
    for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
        cases.push(matmul_case(matmul(1, 140, 132, 44, ta, tb)));
    }
    cases.push(matmul_case(matmul(1, 1160, 100, 3, false, false)));
    cases.push(matmul_case(matmul(1, 1, 1, 1, false, false)));
    cases.push(matmul_case(matmul(1, 5, 9, 700, false, false)));
    cases.push(matmul_case(matmul(1, 1, 130, 300, false, false)));
    let mut odd = matmul(3, 9, 10, 8, false, false);
    odd.a = Matrix {
        offset: 5,
        batch: 0,
        row: 17,
        col: 2,
    };
    odd.b = Matrix {
        offset: 3,
        batch: 90,
        row: 0,
        col: 4,
    };
    cases.push(matmul_case(odd));
    for kind in [ConvKind::Forward, ConvKind::InputGrad, ConvKind::WeightGrad] {
        cases.push(conv_case(conv(kind, 1, [3, 5], [1, 7, 9], [1, 3, 3])));
        cases.push(conv_case(conv(kind, 1, [4, 40], [1, 6, 5], [1, 1, 1])));
        let mut strided = conv(kind, 2, [3, 4], [1, 11, 9], [1, 3, 2]);
        strided.stride = [1, 2, 3];
        strided.padding = [0, 2, 1];
        strided.dilation = [1, 2, 1];
        set_output(&mut strided);
        cases.push(conv_case(strided));
        let mut deep = conv(kind, 1, [2, 3], [5, 4, 6], [2, 3, 2]);
        deep.padding = [1, 1, 0];
        deep.stride = [2, 1, 1];
        set_output(&mut deep);
        cases.push(conv_case(deep));
        cases.push(conv_case(conv(kind, 6, [1, 1], [1, 8, 8], [1, 3, 3])));
    }
    // Large enough for wide tiles.
    cases.push(conv_case(conv(
        ConvKind::Forward,
        1,
        [2, 130],
        [1, 10, 12],
        [1, 3, 3],
    )));
    cases.push(conv_case(conv(
        ConvKind::InputGrad,
        1,
        [130, 2],
        [1, 10, 12],
        [1, 3, 3],
    )));
    cases.push(conv_case(conv(
        ConvKind::WeightGrad,
        2,
        [15, 130],
        [1, 5, 6],
        [1, 3, 3],
    )));
    // Long enough to be split.
    let mut long = conv(ConvKind::WeightGrad, 1, [2, 3], [1, 20, 20], [1, 3, 3]);
    long.batch = 3;
    cases.push(conv_case(long));
    cases
}

fn matmul_expected(c: &Matmul, a: &[f64], b: &[f64]) -> Vec<f64> {
    let at =
        |x: Matrix, z: usize, r: usize, c: usize| x.offset + z * x.batch + r * x.row + c * x.col;
    let mut out = Vec::new();
    for z in 0..c.batch {
        for i in 0..c.m {
            for j in 0..c.n {
                out.push(
                    (0..c.k)
                        .map(|k| a[at(c.a, z, i, k)] * b[at(c.b, z, k, j)])
                        .sum(),
                );
            }
        }
    }
    out
}

/// Every product of the convolution, as (x, weight, y) positions.
fn for_each_term(c: &Conv, mut f: impl FnMut(usize, usize, usize)) {
    let [kd, kh, kw] = c.kernel;
    let [od, oh, ow] = c.output;
    let flat = |p: [usize; 3], size: [usize; 3]| (p[0] * size[1] + p[1]) * size[2] + p[2];
    let product = |x: [usize; 3]| x.iter().product::<usize>();
    let positions = |d: usize, h: usize, w: usize| {
        (0..d).flat_map(move |a| (0..h).flat_map(move |b| (0..w).map(move |c| [a, b, c])))
    };
    for n in 0..c.batch {
        for g in 0..c.groups {
            for o in 0..c.out_channels {
                for i in 0..c.in_channels {
                    let x_plane = ((n * c.groups + g) * c.in_channels + i) * product(c.input);
                    let w_plane =
                        ((g * c.out_channels + o) * c.in_channels + i) * product(c.kernel);
                    let y_plane = ((n * c.groups + g) * c.out_channels + o) * product(c.output);
                    for p in positions(od, oh, ow) {
                        for t in positions(kd, kh, kw) {
                            let q: [usize; 3] = std::array::from_fn(|d| {
                                (p[d] * c.stride[d] + t[d] * c.dilation[d])
                                    .wrapping_sub(c.padding[d])
                            });
                            if (0..3).all(|d| q[d] < c.input[d]) {
                                let x = x_plane + flat(q, c.input);
                                f(x, w_plane + flat(t, c.kernel), y_plane + flat(p, c.output));
                            }
                        }
                    }
                }
            }
        }
    }
}

fn conv_expected(c: &Conv, inputs: &[Data], len: usize) -> Vec<f64> {
    let (first, second) = (&inputs[0].values, &inputs[1].values);
    let mut out = vec![0.0; len];
    for_each_term(c, |x, w, y| match c.kind {
        ConvKind::Forward => out[y] += first[x] * second[w],
        ConvKind::InputGrad => out[x] += first[y] * second[w],
        ConvKind::WeightGrad => out[w] += first[x] * second[y],
    });
    out
}

pub(super) fn expected(kernel: &Kernel, inputs: &[Data], len: usize) -> Vec<f64> {
    match kernel {
        Kernel::Matmul(c) => matmul_expected(c, &inputs[0].values, &inputs[1].values),
        Kernel::Conv(c) => conv_expected(c, inputs, len),
        other => panic!("{other:?} is no product"),
    }
}

#[test]
fn products_agree_with_loops() {
    for (kernel, inputs, out) in cases() {
        let expected = expected(&kernel, &inputs, out.1);
        check(kernel, &inputs, &Data::f32(expected), 3e-5);
    }
}

/// The same products of operands of two bytes, beside each other and beside f32.
pub(super) fn of_halves() -> Vec<Case> {
    let dtypes = [
        [DType::BF16, DType::BF16],
        [DType::F16, DType::BF16],
        [DType::F32, DType::BF16],
        [DType::F16, DType::F32],
    ];
    let each = cases().into_iter().zip(dtypes.into_iter().cycle());
    each.map(|((kernel, inputs, out), dtypes)| {
        let narrowed = |(input, dtype): (Data, DType)| {
            let values = input.values;
            Data::from_bytes(dtype, &Data { dtype, values }.bytes())
        };
        let inputs = inputs.into_iter().zip(dtypes).map(narrowed).collect();
        (kernel, inputs, out)
    })
    .collect()
}

#[test]
fn products_read_halves() {
    for (kernel, inputs, out) in of_halves() {
        let expected = expected(&kernel, &inputs, out.1);
        check(kernel, &inputs, &Data::f32(expected), 3e-5);
    }
}

/// `x * bias + rest + scalar` of a product's values as rows, `bias` one for each column, `rest` in halves.
fn what_follows(len: usize) -> (Map, usize) {
    let columns = [7, 5, 3, 2].into_iter().find(|c| len.is_multiple_of(*c));
    let columns = columns.unwrap_or(1);
    let shape = [len / columns, columns];
    let load_bias = Inst::Load {
        input: 1,
        view: view(0, &[0, 1]),
    };
    let scalar = Inst::Scalar {
        scalar: 1,
        dtype: DType::F32,
    };
    let insts = vec![
        load_bias,
        load(0, &shape),
        apply(&MUL, &[1, 0], DType::F32),
        load(2, &shape),
        apply(&ADD, &[2, 3], DType::F32),
        scalar,
        apply(&ADD, &[4, 5], DType::F32),
    ];
    let map = Map {
        shape: shape.to_vec(),
        expr: Expr {
            inputs: vec![DType::F32, DType::F32, DType::F16],
            insts,
        },
        store: View::contiguous(&shape),
    };
    (map, columns)
}

/// Plans of all cases that go on so, with their inputs and results.
pub(super) fn going_on() -> impl Iterator<Item = (Plan, Vec<Data>, Data)> {
    cases()
        .into_iter()
        .chain(of_halves())
        .map(|(kernel, mut inputs, out)| {
            let product = expected(&kernel, &inputs, out.1);
            let (then, columns) = what_follows(out.1);
            inputs.push(Data::random(DType::F32, columns, 41));
            inputs.push(Data::random(DType::F16, out.1, 42));
            let points = product.iter().zip(&inputs[3].values).enumerate();
            let expected =
                points.map(|(i, (x, rest))| x * inputs[2].values[i % columns] + rest + 0.75);
            let expected = Data::f32(expected.collect());
            let mut plan = plan_of(kernel, &inputs, out, 7);
            plan.steps[0].then = Some(then);
            (plan, inputs, expected)
        })
}

#[test]
fn products_go_on_where_they_store() {
    for (plan, inputs, expected) in going_on() {
        for executor in executors() {
            let (got, status) = run_plan(&executor, &plan, &inputs, &[0, 0.75f32.to_bits()]);
            assert_eq!(status, 0);
            let what = format!("{:?} {:?}", plan.steps[0].kernel, executor.target);
            assert_close(&got, &expected, 6e-5, &what);
        }
    }
}

/// The remainder of a product's values by a number that is larger, so many times, and `rest` in halves.
fn remainders(len: usize, value: DType, times: usize) -> Map {
    let fmod = scalar(Op::from(wgrad_graph::ops::fmod::Fmod));
    let mut insts = vec![
        Inst::Load {
            input: 1,
            view: view(0, &[0]),
        },
        load(0, &[len]),
    ];
    for i in 0..times {
        insts.push(apply(fmod, &[1 + i, 0], DType::F32));
    }
    insts.push(load(2, &[len]));
    insts.push(apply(&ADD, &[1 + times, 2 + times], DType::F32));
    Map {
        shape: vec![len],
        expr: Expr {
            inputs: vec![value, DType::F32, DType::F16],
            insts,
        },
        store: View::contiguous(&[len]),
    }
}

/// Runs a product that goes on with remainders on each target.
fn check_remainders(case: Case, [value, out]: [DType; 2], times: usize, tolerance: f64) {
    let (kernel, mut inputs, (_, len)) = case;
    let product = expected(&kernel, &inputs, len);
    inputs.push(Data::f32(vec![1e6]));
    inputs.push(Data::random(DType::F16, len, 43));
    let points = product.iter().zip(&inputs[3].values);
    let expected = Data::new(out, points.map(|(x, rest)| x + rest).collect());
    let mut plan = plan_of(kernel, &inputs, (out, len), 0);
    plan.steps[0].then = Some(remainders(len, value, times));
    for executor in executors() {
        let (got, _) = run_plan(&executor, &plan, &inputs, &[]);
        let what = format!("{:?} {:?}", plan.steps[0].kernel, executor.target);
        assert_close(&got, &expected, tolerance, &what);
    }
}

/// A thread that stores many elements has no rounds for long functions of each: what follows is a dispatch of its own.
#[test]
fn products_go_on_however_long_that_takes() {
    let case = matmul_case(matmul(1, 67, 35, 19, false, true));
    check_remainders(case, [DType::F32; 2], 65, 6e-5);
}

/// A thread of few stores has them beside a sum that is nearly as long as may be.
#[test]
fn long_sums_go_on_where_they_store() {
    let mut c = conv(ConvKind::Forward, 2, [10_500, 1], [1, 1, 6], [1, 1, 1]);
    c.batch = 1;
    check_remainders(conv_case(c), [DType::F32; 2], 1, 3e-4);
}

#[test]
fn empty_sums_are_zero_and_empty_results_nothing() {
    let (kernel, inputs, out) = matmul_case(matmul(2, 3, 4, 0, false, false));
    check(kernel, &inputs, &Data::f32(vec![0.0; out.1]), 0.0);
    let (kernel, inputs, _) = matmul_case(matmul(2, 0, 4, 5, false, false));
    check(kernel, &inputs, &Data::f32(vec![]), 0.0);
    let mut none = conv(ConvKind::WeightGrad, 1, [2, 3], [1, 5, 5], [1, 3, 3]);
    none.batch = 0;
    let (kernel, inputs, out) = conv_case(none);
    check(kernel, &inputs, &Data::f32(vec![0.0; out.1]), 0.0);
}

#[test]
fn nan_spreads_along_its_row_and_column_alone() {
    let (kernel, mut inputs, _) = matmul_case(matmul(1, 6, 7, 5, false, false));
    inputs[0].values[2 * 5 + 1] = f64::NAN;
    inputs[1].values[4 * 7 + 3] = f64::INFINITY;
    let Kernel::Matmul(c) = &kernel else {
        panic!("a matmul")
    };
    let expected = matmul_expected(c, &inputs[0].values, &inputs[1].values);
    check(kernel, &inputs, &Data::f32(expected), 1e-5);
}
