//! What must hold between passes. Runs in debug builds and tests; a violation is a fault of wgrad, so it panics with
//! the offending node or step.

use super::extent::may_store;
use super::{Graph, Limits};
use crate::ops::Operand;
use crate::plan::{Expr, Inst, Kernel, Place, Plan, Rows, SlotId, Stage, StageKind, Step};
use rustc_hash::FxHashMap;

/// Operands come first, and every node has the shape and dtype its rules give.
pub(crate) fn verify_graph(graph: &Graph) {
    for (n, node) in graph.nodes.iter().enumerate() {
        assert!(
            node.inputs.iter().all(|&i| i < n),
            "node {n} ({}) precedes its operands",
            node.op.name()
        );
        if node.leaf.is_some() {
            continue;
        }
        let operands: Vec<Operand> = node
            .inputs
            .iter()
            .map(|&i| Operand {
                shape: &graph.nodes[i].shape,
                dtype: graph.nodes[i].dtype,
            })
            .collect();
        assert_eq!(
            node.op.shape(&operands).as_ref(),
            Ok(&node.shape),
            "shape of node {n} ({:?})",
            node.op
        );
        assert_eq!(
            node.op.dtype(&operands),
            Ok(node.dtype),
            "dtype of node {n} ({:?})",
            node.op
        );
    }
}

/// Steps read what earlier steps wrote, never write what they read, and respect the limits.
pub(crate) fn verify_plan(plan: &Plan, limits: &Limits) {
    let mut written: Vec<bool> = plan
        .slots
        .iter()
        .map(|s| matches!(s.place, Place::Leaf(_)) || s.len == 0)
        .collect();
    let mut is_result = vec![false; plan.slots.len()];
    plan.outputs.iter().for_each(|&slot| is_result[slot] = true);
    // Slots that lie where a leaf lay.
    let mut in_place: FxHashMap<Place, Vec<SlotId>> = FxHashMap::default();
    for slot in (0..plan.slots.len()).filter(|&slot| plan.is_in_place(slot)) {
        written[slot] |= !is_result[slot];
        in_place
            .entry(plan.slots[slot].place)
            .or_default()
            .push(slot);
    }
    for (at, step) in plan.steps.iter().enumerate() {
        let outs: Vec<Place> = step.outputs().map(|o| plan.slots[o].place).collect();
        for &i in &step.inputs {
            assert!(
                written[i],
                "step {at} ({}) reads slot {i} before it is written",
                step.origin.name
            );
            let held = plan.is_in_place(i) && step.outputs().all(|o| o != i);
            assert!(
                held || !outs.contains(&plan.slots[i].place),
                "step {at} ({}) reads what it writes",
                step.origin.name
            );
        }
        for (o, out) in outs.iter().enumerate() {
            assert!(
                !matches!(out, Place::Leaf(_)),
                "step {at} ({}) writes a leaf",
                step.origin.name
            );
            assert!(
                !outs[..o].contains(out),
                "outputs of step {at} share memory"
            );
        }
        for o in step.outputs() {
            // What an output replaces is gone.
            let place = plan.slots[o].place;
            let same = in_place.get(&place).into_iter().flatten();
            same.for_each(|&leaf| written[leaf] = false);
            written[o] = true;
        }
        verify_kernel(plan, at, step, limits);
    }
    for &o in &plan.outputs {
        assert!(written[o], "output slot {o} is never written");
    }
}

fn verify_kernel(plan: &Plan, at: usize, step: &Step, limits: &Limits) {
    let inputs = step.inputs.len();
    if let Some(then) = &step.then {
        assert!(limits.epilogues, "step {at} goes on where it cannot");
        assert_eq!(
            then.expr.inputs.len(),
            inputs - 1,
            "inputs of what follows step {at}"
        );
        verify_expr(at, &then.expr, then.shape.len(), &[]);
    }
    let several = matches!(
        step.kernel,
        Kernel::Rows(_) | Kernel::Loop(_) | Kernel::Attention(_)
    );
    assert!(
        several || step.more_outputs.is_empty(),
        "step {at} has more than one output"
    );
    match &step.kernel {
        Kernel::Map(m) => {
            let rank = m.shape.len();
            assert_eq!(m.store.strides.len(), rank, "store rank of step {at}");
            verify_expr(at, &m.expr, rank, &[]);
        }
        Kernel::Reduce(r) => verify_expr(at, &r.expr, r.outer.len() + r.inner.len(), &[]),
        Kernel::Rows(r) => verify_rows(plan, at, step, r, limits),
        Kernel::Attention(a) => {
            assert_eq!(a.inputs.len(), inputs, "inputs of step {at}");
            assert_eq!(
                a.results.len(),
                step.outputs().count(),
                "outputs of step {at}"
            );
        }
        _ => return,
    }
    assert!(
        inputs <= limits.max_inputs,
        "step {at} reads {inputs} buffers"
    );
    for expr in exprs(&step.kernel) {
        assert_eq!(expr.inputs.len(), inputs, "inputs of step {at}");
    }
}

fn verify_rows(plan: &Plan, at: usize, step: &Step, rows: &Rows, limits: &Limits) {
    assert!(rows.stages.len() <= Rows::MAX_STAGES, "stages of step {at}");
    let outputs: Vec<usize> = step.outputs().collect();
    assert!(
        outputs.len() <= Rows::MAX_OUTPUTS,
        "outputs of step {at}: {}",
        outputs.len()
    );
    let mut stored = Vec::new();
    for (s, stage) in rows.stages.iter().enumerate() {
        let once = stage.kind == StageKind::Once;
        let rank = rows.outer.len() + if once { 0 } else { rows.inner.len() };
        verify_expr(at, &stage.expr, rank, &rows.stages[..s]);
        for inst in &stage.expr.insts {
            if let (true, Inst::Stage { stage, .. }) = (once, inst) {
                let one = rows.stages[*stage].kind != StageKind::Each;
                assert!(one, "stage {s} of step {at} reads points of a row");
            }
        }
        let fits = may_store(stage.dtype, limits);
        assert!(fits, "stage {s} of step {at} is narrow");
        assert!(
            stage.kind != StageKind::Across || stage.output.is_some(),
            "stage {s} of step {at} is lost"
        );
        if let Some(o) = stage.output {
            let outer: usize = rows.outer.iter().product();
            let inner: usize = rows.inner.iter().product();
            let len = match stage.kind {
                StageKind::Each => outer * inner,
                StageKind::Across => inner,
                StageKind::Once | StageKind::Reduce(_) => outer,
            };
            let slot = &plan.slots[outputs[o]];
            match stage.region {
                None => assert_eq!(slot.len, len, "output {o} of step {at}"),
                Some(r) => {
                    let inside = r.end(outer, inner).is_some_and(|end| end <= slot.len);
                    let fits = stage.kind == StageKind::Each && inside;
                    assert!(fits, "region of output {o} of step {at}");
                }
            }
            assert_eq!(slot.dtype, stage.dtype, "output {o} of step {at}");
            stored.push(o);
        }
    }
    stored.sort_unstable();
    stored.dedup();
    let all: Vec<usize> = (0..outputs.len()).collect();
    assert_eq!(stored, all, "outputs of step {at}");
}

/// The programs of a kernel.
fn exprs(kernel: &Kernel) -> Vec<&Expr> {
    match kernel {
        Kernel::Map(m) => vec![&m.expr],
        Kernel::Reduce(r) => vec![&r.expr],
        Kernel::Rows(r) => r.stages.iter().map(|s| &s.expr).collect(),
        _ => Vec::new(),
    }
}

/// `earlier` are the stages whose values may be read.
fn verify_expr(at: usize, expr: &Expr, rank: usize, earlier: &[Stage]) {
    for (reg, inst) in expr.insts.iter().enumerate() {
        match inst {
            Inst::Load { view, .. } | Inst::Index { view } | Inst::Random { view, .. } => {
                assert_eq!(view.strides.len(), rank, "view rank in step {at}");
            }
            Inst::Gather { view, index, .. } => {
                assert!(
                    view.strides.len() == rank && *index < reg,
                    "gather in step {at}"
                );
            }
            Inst::Stage { stage, dtype } => assert!(
                earlier
                    .get(*stage)
                    .is_some_and(|s| s.dtype == *dtype && s.kind != StageKind::Across),
                "step {at} reads stage {stage}"
            ),
            Inst::Apply { args, .. } => assert!(
                args.iter().all(|a| *a < reg),
                "order of registers in step {at}"
            ),
            Inst::Scalar { .. } | Inst::Literal { .. } => {}
        }
    }
}
