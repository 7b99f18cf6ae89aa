//! What must hold between passes. Runs in debug builds and tests; a violation is a fault of wgrad, so it panics with
//! the offending node or step.

use super::{Graph, Limits};
use crate::ops::Operand;
use crate::plan::{Inst, Kernel, Place, Plan};

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
    for (at, step) in plan.steps.iter().enumerate() {
        let out = plan.slots[step.output].place;
        for &i in &step.inputs {
            assert!(
                written[i],
                "step {at} ({}) reads slot {i} before it is written",
                step.origin.name
            );
            assert_ne!(
                plan.slots[i].place, out,
                "step {at} ({}) reads what it writes",
                step.origin.name
            );
        }
        assert!(
            !matches!(out, Place::Leaf(_)),
            "step {at} ({}) writes a leaf",
            step.origin.name
        );
        written[step.output] = true;
        verify_kernel(at, &step.kernel, step.inputs.len(), limits);
    }
    for &o in &plan.outputs {
        assert!(written[o], "output slot {o} is never written");
    }
}

fn verify_kernel(at: usize, kernel: &Kernel, inputs: usize, limits: &Limits) {
    let (expr, rank) = match kernel {
        Kernel::Map(m) => {
            assert_eq!(
                m.store.strides.len(),
                m.shape.len(),
                "store rank of step {at}"
            );
            (&m.expr, m.shape.len())
        }
        Kernel::Reduce(r) => (&r.expr, r.outer.len() + r.inner.len()),
        _ => return,
    };
    assert!(
        inputs <= limits.max_inputs,
        "step {at} reads {inputs} buffers"
    );
    assert_eq!(expr.inputs.len(), inputs, "inputs of step {at}");
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
            Inst::Apply { args, .. } => assert!(
                args.iter().all(|a| *a < reg),
                "order of registers in step {at}"
            ),
            Inst::Scalar { .. } | Inst::Literal { .. } => {}
        }
    }
}
