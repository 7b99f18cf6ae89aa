//! Rows: a softmax with all that lies on its way as results, by every target.

use super::elementwise::{ADD, EXP, MUL, RECIP, apply, load, view};
use super::{Data, assert_close, executors, plan_of};
use crate::dtype::DType;
use crate::plan::*;

fn stage(kind: StageKind, insts: Vec<Inst>, dtype: DType, output: Option<usize>) -> Stage {
    let inputs = vec![DType::F32; 6];
    Stage {
        kind,
        expr: Expr { inputs, insts },
        dtype,
        region: None,
        output,
    }
}

fn of_stage(stage: usize) -> Inst {
    Inst::Stage {
        stage,
        dtype: DType::F32,
    }
}

/// Of rows `x` and a weight for each row: `e = exp(x − max x)`, `e · weight / Σ e` (0), `Σ e` (1), its reciprocal plus
/// the weight (2), and, with `position`, where the maximum is (3).
fn softmax(outer: usize, inner: usize, position: bool) -> Rows {
    // One row has no dimension of its own.
    let outer: &[usize] = if outer == 1 { &[] } else { &[outer] };
    let x = load(0, &[outer, &[inner]].concat());
    let minus_one = Inst::Literal {
        value: -1,
        dtype: DType::F32,
    };
    let f32 = DType::F32;
    let product = |a, b| apply(&MUL, &[a, b], f32);
    let shifted = vec![
        x.clone(),
        of_stage(0),
        minus_one,
        product(1, 2),
        apply(&ADD, &[0, 3], f32),
        apply(&EXP, &[4], f32),
    ];
    let weighted = vec![
        of_stage(1),
        of_stage(3),
        Inst::Load {
            input: 1,
            view: view(0, &[&vec![1; outer.len()][..], &[0]].concat()),
        },
        product(0, 1),
        product(3, 2),
    ];
    let mut stages = vec![
        stage(
            StageKind::Reduce(ReduceKind::Max),
            vec![x.clone()],
            f32,
            None,
        ),
        stage(StageKind::Each, shifted, f32, None),
        stage(
            StageKind::Reduce(ReduceKind::Sum),
            vec![of_stage(1)],
            f32,
            Some(1),
        ),
        stage(
            StageKind::Once,
            vec![of_stage(2), apply(&RECIP, &[0], f32)],
            f32,
            None,
        ),
        stage(
            StageKind::Once,
            vec![of_stage(3), load(1, outer), apply(&ADD, &[0, 1], f32)],
            f32,
            Some(2),
        ),
        stage(StageKind::Each, weighted, f32, Some(0)),
    ];
    if position {
        let kind = StageKind::Reduce(ReduceKind::ArgMax);
        stages.push(stage(kind, vec![x], DType::I32, Some(3)));
    }
    Rows {
        outer: outer.to_vec(),
        inner: vec![inner],
        stages,
    }
}

/// What it should give, output by output.
fn expected(x: &[f64], weight: &[f64], inner: usize, position: bool) -> Vec<Data> {
    let mut all = vec![Vec::new(); 4];
    for (row, weight) in x.chunks(inner).zip(weight) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|v| (v - max).exp()).sum();
        all[0].extend(row.iter().map(|v| (v - max).exp() * weight / sum));
        all[1].push(sum);
        all[2].push(1.0 / sum + weight);
        let at = row.iter().position(|&v| v == max).unwrap_or(0);
        all[3].push(at as f64);
    }
    let n = if position { 4 } else { 3 };
    let data = |(i, values)| Data::new(if i == 3 { DType::I32 } else { DType::F32 }, values);
    all.into_iter().take(n).enumerate().map(data).collect()
}

/// The step alone, with results like these.
fn plan_with(rows: Rows, inputs: &[Data], want: &[Data]) -> Plan {
    let first = (want[0].dtype, want[0].values.len());
    let mut plan = plan_of(Kernel::Rows(rows), inputs, first, 0);
    for (i, data) in want.iter().enumerate().skip(1) {
        plan.slots.push(Slot {
            dtype: data.dtype,
            len: data.values.len(),
            place: Place::Output(i),
        });
        let slot = plan.slots.len() - 1;
        plan.steps[0].more_outputs.push(slot);
        plan.outputs.push(slot);
    }
    plan
}

/// Runs `rows` as every target would, in so many kernels.
fn check(rows: Rows, inputs: &[Data], want: &[Data], kernels: usize) {
    let what = format!("{:?} by {:?}", rows.outer, rows.inner);
    let plan = plan_with(rows, inputs, want);
    for executor in executors() {
        let prepared = executor.prepare(&plan).expect("prepares");
        assert_eq!(prepared.n_dispatches(), kernels, "{what}");
        let upload = |data: &Data| executor.gpu().upload(&data.bytes()).expect("uploads");
        let leaves: Vec<_> = inputs.iter().map(upload).collect();
        let leaves: Vec<_> = leaves.iter().collect();
        let results = executor.run(&prepared, &leaves, &[0; 16]).expect("runs");
        for (buffer, want) in results.iter().zip(want) {
            let bytes = executor.gpu().read_blocking(buffer).expect("reads");
            let got = Data::from_bytes(want.dtype, &bytes);
            let what = format!("{what}, {:?}", executor.target);
            assert_close(&got, want, 1e-5, &what);
        }
    }
}

/// Softmaxes with their inputs and results.
fn softmaxes() -> impl Iterator<Item = (Rows, [Data; 2], Vec<Data>)> {
    let sizes = [
        (5, 8, false),
        (3, 7, true),
        (20, 1000, false),
        (2, 600, true),
        (1, 33, true),
        (37, 20, false),
    ];
    sizes.into_iter().map(|(outer, inner, position)| {
        let x = Data::random(DType::F32, outer * inner, 3);
        let weight = Data::random(DType::F32, outer, 4);
        let want = expected(&x.values, &weight.values, inner, position);
        (softmax(outer, inner, position), [x, weight], want)
    })
}

/// Their plans and inputs.
pub(super) fn plans() -> impl Iterator<Item = (Plan, [Data; 2])> {
    softmaxes().map(|(rows, inputs, want)| (plan_with(rows, &inputs, &want), inputs))
}

#[test]
fn stages_agree_with_loops() {
    for (rows, inputs, want) in softmaxes() {
        check(rows, &inputs, &want, 1);
    }
}

/// Kernels whose texts must be valid.
pub(super) fn cases() -> Vec<(Rows, Vec<Data>)> {
    let x = |n| Data::random(DType::F32, n, 1);
    let softmax = [(1, 33), (3, 20), (5, 12)].map(|(outer, inner)| {
        let inputs = vec![x(outer * inner), x(outer)];
        (softmax(outer, inner, true), inputs)
    });
    let mut all = softmax.to_vec();
    all.push((many_results(), vec![x(60); 6]));
    all
}

/// Rows of `SIZE`.
const SIZE: [usize; 2] = [5, 12];

/// The sums of six inputs, and two of them times the sums of the first.
fn many_results() -> Rows {
    let kind = StageKind::Reduce(ReduceKind::Sum);
    let sum = |i| stage(kind, vec![load(i, &SIZE)], DType::F32, Some(i));
    let mut stages: Vec<Stage> = (0..6).map(sum).collect();
    for i in 0..2 {
        let times = apply(&MUL, &[0, 1], DType::F32);
        let insts = vec![load(i, &SIZE), of_stage(0), times];
        stages.push(stage(StageKind::Each, insts, DType::F32, Some(6 + i)));
    }
    Rows {
        outer: vec![SIZE[0]],
        inner: vec![SIZE[1]],
        stages,
    }
}

#[test]
fn more_buffers_than_can_be_bound_make_several_kernels() {
    let inputs: [Data; 6] =
        std::array::from_fn(|i| Data::random(DType::F32, SIZE[0] * SIZE[1], i as u64));
    let sums = |x: &Data| -> Vec<f64> {
        let rows = x.values.chunks(SIZE[1]);
        rows.map(|row| row.iter().sum()).collect()
    };
    let mut want: Vec<Data> = inputs.iter().map(|x| Data::f32(sums(x))).collect();
    let first = sums(&inputs[0]);
    for x in &inputs[..2] {
        let points = x.values.iter().enumerate();
        want.push(Data::f32(
            points.map(|(i, v)| v * first[i / SIZE[1]]).collect(),
        ));
    }
    check(many_results(), &inputs, &want, 3);
}
