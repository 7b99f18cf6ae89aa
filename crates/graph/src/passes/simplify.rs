//! Algebra that keeps every bit: common subexpressions are computed once, operations that change nothing
//! disappear, what nobody reads is dropped. What stands on barriers is recomputed on purpose: merging anything after
//! [`without_barriers`] would undo it.

use super::{Graph, GraphNode};
use crate::ops::{Lowered, Movement, Op};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

/// The simplified graph, barriers included; leaves and scalars keep their numbers.
pub(crate) fn merge(graph: Graph) -> Graph {
    let mut out = Graph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        ..graph
    };
    // The last node of each hash, and of each node the one before of the same hash.
    let mut last: FxHashMap<u64, usize> = FxHashMap::default();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(graph.nodes.len());
    let mut to = Vec::with_capacity(graph.nodes.len());
    // What `literal` gives for each node of the new graph.
    let mut literals: Vec<Option<f64>> = Vec::with_capacity(graph.nodes.len());
    for mut node in graph.nodes {
        node.inputs.iter_mut().for_each(|i| *i = to[*i]);
        let lowered = node.op.lower();
        if let Some(same) = changes_nothing(&out, &node, &lowered, &literals) {
            to.push(same);
            continue;
        }
        let same_hash = last.entry(hash(&node)).or_insert(usize::MAX);
        let mut known = Some(*same_hash).filter(|&n| n != usize::MAX);
        while let Some(n) = known.filter(|&n| !is_same(&out.nodes[n], &node)) {
            known = before[n];
        }
        if let Some(known) = known {
            to.push(known);
            continue;
        }
        let at = out.nodes.len();
        before.push(Some(std::mem::replace(same_hash, at)).filter(|&n| n != usize::MAX));
        literals.push(match &lowered {
            Lowered::View(_) => literals[node.inputs[0]],
            Lowered::Constant { literal, .. } => literal.map(f64::from),
            _ => None,
        });
        out.nodes.push(node);
        to.push(at);
    }
    out.outputs.iter_mut().for_each(|o| *o = to[*o]);
    drop_dead(out)
}

fn hash(node: &GraphNode) -> u64 {
    let mut h = FxHasher::default();
    match (commutes(node), &node.inputs[..]) {
        (true, &[a, b]) => [a.min(b), a.max(b)].hash(&mut h),
        (_, inputs) => inputs.hash(&mut h),
    }
    (&node.op, node.leaf, node.scalar).hash(&mut h);
    h.finish()
}

/// Whether the order of the operands changes no bit. That of a maximum may, between zeros of two signs.
fn commutes(node: &GraphNode) -> bool {
    matches!(node.op, Op::Add(_) | Op::Mul(_))
}

fn same_operands(a: &GraphNode, b: &GraphNode) -> bool {
    a.inputs == b.inputs || (commutes(a) && a.inputs.iter().eq(b.inputs.iter().rev()))
}

/// Whether two nodes have the same value.
fn is_same(a: &GraphNode, b: &GraphNode) -> bool {
    (a.leaf, a.scalar) == (b.leaf, b.scalar) && a.op == b.op && same_operands(a, b)
}

/// Readers of barriers read what stands behind them: nothing may be merged any more.
pub(crate) fn without_barriers(mut graph: Graph) -> Graph {
    let mut to: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for n in 0..graph.nodes.len() {
        let node = &mut graph.nodes[n];
        node.inputs.iter_mut().for_each(|i| *i = to[*i]);
        let barrier = matches!(node.op.lower(), Lowered::Barrier);
        to.push(if barrier { node.inputs[0] } else { n });
    }
    graph.outputs.iter_mut().for_each(|o| *o = to[*o]);
    drop_dead(graph)
}

/// The operand whose value the node repeats, if there is one.
fn changes_nothing(
    graph: &Graph,
    node: &GraphNode,
    lowered: &Lowered,
    literals: &[Option<f64>],
) -> Option<usize> {
    let inputs = &node.inputs;
    let constant = |i: usize| inputs.get(i).and_then(|&n| literals[n]);
    let operand = match lowered {
        Lowered::Identity => Some(0),
        Lowered::View(m) if is_identity(m, &graph.nodes[inputs[0]].shape) => Some(0),
        _ => node.op.simplify(&constant),
    }?;
    let same = inputs[operand];
    let fits = graph.nodes[same].shape == node.shape && graph.nodes[same].dtype == node.dtype;
    fits.then_some(same)
}

fn is_identity(m: &Movement, from: &[usize]) -> bool {
    match m {
        Movement::Reshape(shape) | Movement::Expand(shape) => shape == from,
        Movement::Permute(perm) => perm.iter().enumerate().all(|(d, &p)| d == p),
        Movement::Slice { start, step, size } => {
            size == from && (0..from.len()).all(|d| from[d] <= 1 || (start[d] == 0 && step[d] == 1))
        }
    }
}

/// The value of a node that is a literal constant, seen through views.
pub(super) fn literal(graph: &Graph, mut n: usize) -> Option<f64> {
    loop {
        match graph.nodes[n].op.lower() {
            Lowered::View(_) => n = graph.nodes[n].inputs[0],
            Lowered::Constant { literal, .. } => return literal.map(f64::from),
            _ => return None,
        }
    }
}

fn drop_dead(mut graph: Graph) -> Graph {
    let mut live = vec![false; graph.nodes.len()];
    for &o in &graph.outputs {
        live[o] = true;
    }
    for n in (0..graph.nodes.len()).rev() {
        if live[n] {
            for &i in &graph.nodes[n].inputs {
                live[i] = true;
            }
        }
    }
    let mut to = vec![usize::MAX; graph.nodes.len()];
    let mut kept = 0;
    for n in 0..to.len() {
        if live[n] {
            graph.nodes[n].inputs.iter_mut().for_each(|i| *i = to[*i]);
            to[n] = kept;
            kept += 1;
        }
    }
    let mut is_live = live.iter();
    graph.nodes.retain(|_| is_live.next() == Some(&true));
    graph.outputs.iter_mut().for_each(|o| *o = to[*o]);
    graph
}
