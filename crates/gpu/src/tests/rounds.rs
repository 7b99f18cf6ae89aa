//! No kernel takes more rounds of its loops than software adapters count, whatever the sizes; lowered only, for sizes that no
//! machine holds.

use super::super::call::{MAX_ITERATIONS, Work};
use super::super::choices::Choices;
use super::super::lower::lower;
use super::{TARGETS, plan_of};
use crate::dtype::{Class, DType};
use crate::plan::*;
use wgrad_graph::ops::Op;

/// Sizes around and beyond 2^16, 2^20, 2^24 and as far as an index reaches.
const SIZES: [usize; 12] = [
    1,
    31,
    1000,
    32_769,
    65_535,
    65_536,
    200_000,
    (1 << 20) + 1,
    9_000_000,
    (1 << 24) + 4,
    1 << 28,
    1 << 30,
];

pub(super) fn scalar(op: Op) -> &'static ScalarOp {
    wgrad_graph::planning::scalar(&op).expect("an element-wise operation")
}

/// Lowers a kernel on each target; panics where that is refused or takes too many rounds.
pub(super) fn bounded(kernel: Kernel, inputs: &[(DType, usize)], out: (DType, usize)) {
    let empty: Vec<super::Data> = inputs
        .iter()
        .map(|&(dtype, _)| super::Data::new(dtype, Vec::new()))
        .collect();
    let mut plan = plan_of(kernel, &empty, out, 1);
    for (slot, &(_, len)) in plan.slots.iter_mut().zip(inputs) {
        slot.len = len;
    }
    for target in TARGETS {
        let step = &plan.steps[0];
        let lowered = lower(&plan, step, target, &Choices::NONE)
            .unwrap_or_else(|e| panic!("{:?} on {target:?}: {e}", step.kernel));
        for work in lowered.work {
            let Work::Call(call) = work else { continue };
            let rounds = call.iterations;
            let what = call.label;
            assert!(
                rounds <= MAX_ITERATIONS,
                "{what}: {rounds}: {:?}",
                step.kernel
            );
            let loops = ["for (", "while (", "loop {"];
            let has = loops.iter().any(|l| call.wgsl.contains(l));
            assert!(rounds > 0 || !has, "{what}: a loop of no rounds");
        }
    }
}

fn contiguous(shape: &[usize]) -> View {
    View::contiguous(shape)
}

/// Loads of one input, in the order of memory or across it, through functions that loop.
fn expr(shape: &[usize], across: bool, gamma: bool) -> Expr {
    let mut view = contiguous(shape);
    if across {
        view.strides.reverse();
    }
    let mut insts = vec![Inst::Load { input: 0, view }];
    if gamma {
        insts.push(Inst::Apply {
            op: scalar(Op::from(wgrad_graph::ops::lgamma::Lgamma)),
            args: vec![0],
            input: DType::F32,
            dtype: DType::F32,
        });
    }
    Expr {
        inputs: vec![DType::F32],
        insts,
    }
}

#[test]
fn reductions_of_any_size_stay_within_the_rounds() {
    for inner in SIZES {
        for outer in [1, 2, 32, 600, 5000] {
            if inner * outer > 1 << 31 {
                continue;
            }
            for kind in [ReduceKind::Sum, ReduceKind::Max, ReduceKind::ArgMax] {
                for (across, gamma) in [(false, false), (true, false), (false, true), (true, true)]
                {
                    let reduce = Reduce {
                        kind,
                        outer: vec![outer],
                        inner: vec![inner],
                        expr: expr(&[outer, inner], across, gamma),
                    };
                    let dtype = match kind {
                        ReduceKind::ArgMax => DType::I32,
                        _ => DType::F32,
                    };
                    let input = (DType::F32, outer * inner);
                    bounded(Kernel::Reduce(reduce), &[input], (dtype, outer));
                }
            }
        }
    }
}

#[test]
fn scans_sorts_and_scatters_of_any_size_stay_within_the_rounds() {
    for length in SIZES {
        for (outer, inner) in [(1, 1), (3, 1), (20, 1), (1, 40), (5000, 1)] {
            let n = length * outer * inner;
            if n > 1 << 30 {
                continue;
            }
            for kind in [ScanKind::Sum, ScanKind::LogSumExp, ScanKind::Linear] {
                let scan = Scan {
                    kind,
                    outer,
                    length,
                    inner,
                    reverse: false,
                };
                let inputs = vec![(DType::F32, n); if kind == ScanKind::Linear { 2 } else { 1 }];
                bounded(Kernel::Scan(scan), &inputs, (DType::F32, n));
            }
            if n <= 1 << 28 {
                let sort = ArgSort {
                    rows: outer * inner,
                    length,
                    descending: true,
                };
                bounded(Kernel::ArgSort(sort), &[(DType::F32, n)], (DType::I32, n));
            }
            for size in [1, 9, 70_000, 1 << 22] {
                for index in [[length, 1, 0], [length * inner, inner, 1]] {
                    if outer * size * inner > 1 << 31 || n > 1 << 28 {
                        continue;
                    }
                    let scatter = ScatterAdd {
                        outer,
                        count: length,
                        size,
                        inner,
                        index,
                    };
                    let inputs = [(DType::F32, n), (DType::I32, n)];
                    let out = (DType::F32, outer * size * inner);
                    bounded(Kernel::ScatterAdd(scatter), &inputs, out);
                }
            }
        }
    }
}

#[test]
fn windows_and_products_of_any_size_stay_within_the_rounds() {
    for k in SIZES {
        for kind in [WindowKind::Sum, WindowKind::ArgMax] {
            for kernel in [[1, 1, k], [1, k, 1], [k.min(300), k.min(900), k.min(700)]] {
                let longest = kernel.iter().max().copied();
                if longest > Some(1 << 28) {
                    continue;
                }
                let input = kernel.map(|k| if k == 1 { 1 } else { k + 2 });
                let output = kernel.map(|k| if k == 1 { 1 } else { 3 });
                let window = Window {
                    kind,
                    planes: 1,
                    input,
                    output,
                    kernel,
                    stride: [1; 3],
                    padding: [0; 3],
                    dilation: [1; 3],
                };
                let (n, m) = (input.iter().product(), output.iter().product());
                bounded(Kernel::Window(window), &[(DType::F32, n)], (DType::F32, m));
            }
        }
        for (m, n) in [(1, 1), (40, 3), (700, 300)] {
            let matrix = |row| Matrix {
                offset: 0,
                batch: 0,
                row,
                col: 1,
            };
            let matmul = Matmul {
                batch: 1,
                m,
                n,
                k,
                a: matrix(k),
                b: matrix(n),
            };
            if k * m.max(n) <= 1 << 31 {
                let inputs = [(DType::F32, m * k), (DType::F32, k * n)];
                bounded(Kernel::Matmul(matmul), &inputs, (DType::F32, m * n));
            }
        }
        for kind in [ConvKind::Forward, ConvKind::InputGrad, ConvKind::WeightGrad] {
            for groups in [1, 2] {
                let conv = Conv {
                    kind,
                    batch: 1,
                    groups,
                    in_channels: 1,
                    out_channels: 1,
                    input: [1, 1, k + 2],
                    output: [1, 1, 3],
                    kernel: [1, 1, k],
                    stride: [1; 3],
                    padding: [0; 3],
                    dilation: [1; 3],
                };
                whole(conv);
                // The same sizes the other way round: few taps and long lines.
                whole(Conv {
                    output: [1, 1, k],
                    kernel: [1, 1, 3],
                    ..conv
                });
            }
        }
    }
}

/// A convolution of one plane to one in each group, [`bounded`] by its sizes.
fn whole(conv: Conv) {
    let of = |size: [usize; 3]| (DType::F32, conv.groups * size.iter().product::<usize>());
    let [x, y, w] = [conv.input, conv.output, conv.kernel].map(of);
    let (inputs, out) = match conv.kind {
        ConvKind::Forward => ([x, w], y),
        ConvKind::InputGrad => ([y, w], x),
        ConvKind::WeightGrad => ([x, y], w),
    };
    bounded(Kernel::Conv(conv), &inputs, out);
}

/// A row of a Rows kernel has at most 2^16 points.
#[test]
fn rows_of_any_length_stay_within_the_rounds() {
    for inner in [4, 1000, 10_000, 20_001, 40_000, 65_536] {
        for (outer, gamma) in [(16, false), (1000, false), (16, true)] {
            let shape = [outer, inner];
            let stage = |kind, expr, output| Stage {
                kind,
                expr,
                dtype: DType::F32,
                output,
                region: None,
            };
            let reduce = |kind| stage(StageKind::Reduce(kind), expr(&shape, false, gamma), None);
            let rows = Rows {
                outer: vec![outer],
                inner: vec![inner],
                stages: vec![
                    reduce(ReduceKind::Max),
                    reduce(ReduceKind::Sum),
                    stage(StageKind::Each, expr(&shape, false, gamma), Some(0)),
                ],
            };
            let n = outer * inner;
            bounded(Kernel::Rows(rows), &[(DType::F32, n)], (DType::F32, n));
        }
    }
}

#[test]
fn functions_that_loop_are_counted() {
    // Every function of the shaders with a loop belongs to an operation whose rounds are stated, or to random words.
    let sources = [
        include_str!("../../../../shaders/src/math/bits.wgsl"),
        include_str!("../../../../shaders/src/math/gamma.wgsl"),
        include_str!("../../../../shaders/src/math/pow.wgsl"),
        include_str!("../../../../shaders/src/math/random.wgsl"),
    ];
    let begins = |line: &str| {
        let line = line.trim_start();
        ["for (", "while ", "loop {"]
            .iter()
            .any(|l| line.starts_with(l))
    };
    let count = |text: &str| text.lines().filter(|line| begins(line)).count();
    let loops: usize = sources.into_iter().map(count).sum();
    assert_eq!(
        loops, 7,
        "state the rounds of a new loop in `ScalarOp::rounds`"
    );
    let others = [
        include_str!("../../../../shaders/src/math/erf.wgsl"),
        include_str!("../../../../shaders/src/math/exp.wgsl"),
        include_str!("../../../../shaders/src/math/hyper.wgsl"),
        include_str!("../../../../shaders/src/math/trig.wgsl"),
    ];
    for other in others {
        assert_eq!(
            count(other),
            0,
            "state the rounds of a new loop in `ScalarOp::rounds`"
        );
    }
    let digamma = scalar(Op::from(wgrad_graph::ops::digamma::Digamma));
    assert_eq!((digamma.rounds)(Class::F32), 4);
}
