//! Reduce: kinds, dtypes, layouts, one and two passes, accuracy.

use super::super::reduce::{Schedule, schedule};
use super::elementwise::{MUL, apply, load};
use super::{Data, Target, assert_close, check};
use crate::DeviceClass;
use crate::dtype::DType;
use crate::plan::*;

type Case = (Reduce, Vec<Data>, (DType, usize));

/// Reduces `x` of shape `outer ++ inner`, whose dimensions lie in memory in the order `order`.
fn reduce(
    kind: ReduceKind,
    dtype: DType,
    outer: &[usize],
    inner: &[usize],
    order: &[usize],
) -> Reduce {
    let shape = [outer, inner].concat();
    let mut strides = vec![0; shape.len()];
    let mut step = 1;
    for &d in order.iter().rev() {
        strides[d] = step;
        step *= shape[d] as i64;
    }
    let insts = vec![Inst::Load {
        input: 0,
        view: View { offset: 0, strides },
    }];
    let expr = Expr {
        inputs: vec![dtype],
        insts,
    };
    Reduce {
        kind,
        outer: outer.to_vec(),
        inner: inner.to_vec(),
        expr,
    }
}

fn out_dtype(kind: ReduceKind, dtype: DType) -> DType {
    if kind == ReduceKind::ArgMax {
        DType::I32
    } else {
        dtype
    }
}

pub(super) fn cases() -> Vec<Case> {
    use ReduceKind::{ArgMax, Max, Sum};
    let mut cases = Vec::new();
    let mut add = |kind, dtype, outer: &[usize], inner: &[usize], order: &[usize]| {
        let n: usize = outer.iter().chain(inner).product();
        let out = (out_dtype(kind, dtype), outer.iter().product());
        cases.push((
            reduce(kind, dtype, outer, inner, order),
            vec![Data::random(dtype, n, 11)],
            out,
        ));
    };
    for kind in [Sum, Max, ArgMax] {
        for dtype in [DType::F32, DType::I32, DType::U32] {
            add(kind, dtype, &[7], &[33], &[0, 1]);
            add(kind, dtype, &[], &[9001], &[0]);
            add(kind, dtype, &[40], &[300], &[1, 0]);
        }
        add(kind, DType::F32, &[3, 5], &[7, 11], &[0, 2, 1, 3]);
        add(kind, DType::F32, &[5], &[600], &[0, 1]);
    }
    for dtype in [DType::Bool, DType::U8, DType::F16, DType::BF16] {
        add(Max, dtype, &[7], &[5], &[0, 1]);
        add(Max, dtype, &[6], &[77], &[0, 1]);
        add(ArgMax, dtype, &[3], &[70], &[0, 1]);
        add(Max, dtype, &[3], &[9001], &[0, 1]);
    }
    add(Sum, DType::F16, &[5], &[99], &[0, 1]);
    add(Sum, DType::BF16, &[5], &[99], &[0, 1]);
    // Long columns.
    add(Sum, DType::F32, &[1100], &[1001], &[1, 0]);
    add(Max, DType::F32, &[36], &[30_000], &[1, 0]);
    cases
}

/// How many results there are.
fn values_of(reduce: &Reduce) -> usize {
    reduce.outer.iter().product()
}

/// The elements of each reduction, in order.
fn rows(reduce: &Reduce, x: &Data) -> Vec<Vec<f64>> {
    let Inst::Load { view, .. } = &reduce.expr.insts[0] else {
        panic!("a load")
    };
    let shape = [reduce.outer.as_slice(), &reduce.inner].concat();
    let n_inner: usize = reduce.inner.iter().product();
    let n: usize = shape.iter().product();
    let mut rows = vec![Vec::new(); reduce.outer.iter().product()];
    for i in 0..n {
        let (mut rest, mut at) = (i, 0);
        for d in (0..shape.len()).rev() {
            at += view.strides[d] * (rest % shape[d]) as i64;
            rest /= shape[d];
        }
        rows[i / n_inner].push(x.values[at as usize]);
    }
    rows
}

fn expected(kind: ReduceKind, row: &[f64]) -> f64 {
    match kind {
        ReduceKind::Sum => row.iter().sum(),
        ReduceKind::Max => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ReduceKind::ArgMax => {
            let mut best = 0;
            for (i, &v) in row.iter().enumerate() {
                if v > row[best] || (v.is_nan() && !row[best].is_nan()) {
                    best = i;
                }
            }
            best as f64
        }
    }
}

#[test]
fn reductions_agree_with_loops() {
    for (reduce, inputs, out) in cases() {
        let values = rows(&reduce, &inputs[0])
            .iter()
            .map(|row| expected(reduce.kind, row))
            .collect();
        let tolerance = match out.0 {
            DType::F16 => 2e-3,
            DType::BF16 => 1.6e-2,
            // Of so many sums of a thousand terms some nearly cancel.
            _ if values_of(&reduce) > 1000 => 1e-5,
            _ => 2e-6,
        };
        check(
            Kernel::Reduce(reduce),
            &inputs,
            &Data::new(out.0, values),
            tolerance,
        );
    }
}

#[test]
fn schedules_cover_each_style() {
    let gpu = Target::new(DeviceClass::Discrete);
    assert_eq!(
        schedule(7, 33, false, gpu),
        Schedule {
            grouped: true,
            parts: 1
        }
    );
    assert_eq!(
        schedule(40, 300, true, gpu),
        Schedule {
            grouped: false,
            parts: 4
        }
    );
    assert_eq!(
        schedule(1, 9001, false, gpu),
        Schedule {
            grouped: true,
            parts: 2
        }
    );
    assert!(schedule(1, 9001, false, Target::new(DeviceClass::Software)).parts > 1);
}

#[test]
fn nan_wins_and_ties_go_to_the_first() {
    let nan = f64::NAN;
    let rows: [[f64; 4]; 5] = [
        [1.0, nan, f64::INFINITY, nan],
        [-0.0, 0.0, -1.0, 0.0],
        [f64::NEG_INFINITY; 4],
        [3.0, 7.0, 7.0, -7.0],
        [-5.0, -2.0, -2.0, -9.0],
    ];
    let x = Data::f32(rows.concat());
    let max = reduce(ReduceKind::Max, DType::F32, &[5], &[4], &[0, 1]);
    let expected = vec![nan, 0.0, f64::NEG_INFINITY, 7.0, -2.0];
    check(
        Kernel::Reduce(max),
        std::slice::from_ref(&x),
        &Data::f32(expected),
        0.0,
    );
    let argmax = reduce(ReduceKind::ArgMax, DType::F32, &[5], &[4], &[0, 1]);
    check(
        Kernel::Reduce(argmax),
        &[x],
        &Data::new(DType::I32, vec![1.0, 0.0, 0.0, 1.0, 1.0]),
        0.0,
    );
}

#[test]
fn nothing_reduces_to_the_identity() {
    let empty = [Data::f32(vec![])];
    let sum = reduce(ReduceKind::Sum, DType::F32, &[3], &[0], &[0, 1]);
    check(Kernel::Reduce(sum), &empty, &Data::f32(vec![0.0; 3]), 0.0);
    let max = reduce(ReduceKind::Max, DType::F32, &[3], &[0], &[0, 1]);
    check(
        Kernel::Reduce(max),
        &empty,
        &Data::f32(vec![f64::NEG_INFINITY; 3]),
        0.0,
    );
    let least = reduce(ReduceKind::Max, DType::I32, &[2], &[0], &[0, 1]);
    let expected = Data::new(DType::I32, vec![f64::from(i32::MIN); 2]);
    check(
        Kernel::Reduce(least),
        &[Data::new(DType::I32, vec![])],
        &expected,
        0.0,
    );
    let no_outputs = reduce(ReduceKind::Sum, DType::F32, &[0], &[4], &[0, 1]);
    check(Kernel::Reduce(no_outputs), &empty, &Data::f32(vec![]), 0.0);
}

#[test]
fn long_sums_stay_accurate() {
    // 0.1 is not a sum of few bits: adding 200,000 of them one after another loses 3 digits.
    let n = 200_000;
    let x = Data::f32(vec![f64::from(0.1_f32); n]);
    let expected = Data::f32(vec![n as f64 * f64::from(0.1_f32)]);
    check(
        Kernel::Reduce(reduce(ReduceKind::Sum, DType::F32, &[], &[n], &[0])),
        &[x],
        &expected,
        1e-6,
    );
}

#[test]
fn expressions_are_fused() {
    let shape = [6, 50];
    let insts = vec![
        load(0, &shape),
        load(1, &shape),
        apply(&MUL, &[0, 1], DType::F32),
    ];
    let expr = Expr {
        inputs: vec![DType::F32; 2],
        insts,
    };
    let reduce = Reduce {
        kind: ReduceKind::Sum,
        outer: vec![6],
        inner: vec![50],
        expr,
    };
    let x = Data::random(DType::F32, 300, 1);
    let y = Data::random(DType::F32, 300, 2);
    let dot = |i: usize| {
        (0..50)
            .map(|j| x.values[50 * i + j] * y.values[50 * i + j])
            .sum()
    };
    let expected = Data::f32((0..6).map(dot).collect());
    check(Kernel::Reduce(reduce), &[x.clone(), y], &expected, 2e-6);
}

#[test]
fn repeated_runs_are_equal_to_the_bit() {
    let x = Data::random(DType::F32, 40 * 300, 12);
    let kernel = Kernel::Reduce(reduce(ReduceKind::Sum, DType::F32, &[40], &[300], &[1, 0]));
    for executor in super::executors() {
        let once = super::run(
            &executor,
            &kernel,
            std::slice::from_ref(&x),
            (DType::F32, 40),
            &[],
        )
        .0;
        let again = super::run(
            &executor,
            &kernel,
            std::slice::from_ref(&x),
            (DType::F32, 40),
            &[],
        )
        .0;
        assert_close(&once, &again, 0.0, "again");
    }
}
