//! Rows: a softmax with all that lies on its way as results, by every target.

use super::elementwise::{EXP, MUL, RECIP, apply, load, view};
use super::{Data, assert_close, executors, plan_of};
use crate::dtype::DType;
use crate::plan::*;

fn stage(kind: StageKind, insts: Vec<Inst>, dtype: DType, output: Option<usize>) -> Stage {
    let inputs = vec![DType::F32; 2];
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

/// Of rows `x` and a weight for each row: `e = exp(x − max x)`, `e · weight / Σ e` (0), `Σ e` (1), its reciprocal (2),
/// and, with `position`, where the maximum is (3).
fn softmax(outer: usize, inner: usize, position: bool) -> Rows {
    let x = load(0, &[outer, inner]);
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
        apply(&super::elementwise::ADD, &[0, 3], f32),
        apply(&EXP, &[4], f32),
    ];
    let weighted = vec![
        of_stage(1),
        of_stage(3),
        Inst::Load {
            input: 1,
            view: view(0, &[1, 0]),
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
            Some(2),
        ),
        stage(StageKind::Each, weighted, f32, Some(0)),
    ];
    if position {
        let kind = StageKind::Reduce(ReduceKind::ArgMax);
        stages.push(stage(kind, vec![x], DType::I32, Some(3)));
    }
    Rows {
        outer: vec![outer],
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
        all[2].push(1.0 / sum);
        let at = row.iter().position(|&v| v == max).unwrap_or(0);
        all[3].push(at as f64);
    }
    let n = if position { 4 } else { 3 };
    let data = |(i, values)| Data::new(if i == 3 { DType::I32 } else { DType::F32 }, values);
    all.into_iter().take(n).enumerate().map(data).collect()
}

#[test]
fn stages_agree_with_loops() {
    for (outer, inner, position) in [
        (5, 8, false),
        (3, 7, true),
        (20, 1000, false),
        (2, 600, true),
    ] {
        let x = Data::random(DType::F32, outer * inner, 3);
        let weight = Data::random(DType::F32, outer, 4);
        let want = expected(&x.values, &weight.values, inner, position);
        let kernel = Kernel::Rows(softmax(outer, inner, position));
        let inputs = [x, weight];
        let mut plan = plan_of(kernel, &inputs, (DType::F32, outer * inner), 0);
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
        for executor in executors() {
            let prepared = executor.prepare(&plan).expect("prepares");
            assert_eq!(prepared.n_dispatches(), 1);
            let upload = |data: &Data| executor.gpu().upload(&data.bytes()).expect("uploads");
            let leaves: Vec<_> = inputs.iter().map(upload).collect();
            let leaves: Vec<_> = leaves.iter().collect();
            let results = executor.run(&prepared, &leaves, &[0; 16]).expect("runs");
            for (buffer, want) in results.iter().zip(&want) {
                let bytes = executor.gpu().read_blocking(buffer).expect("reads");
                let got = Data::from_bytes(want.dtype, &bytes);
                let what = format!("{outer} by {inner}, {:?}", executor.target);
                assert_close(&got, want, 1e-5, &what);
            }
        }
    }
}
