//! Algebra that keeps every bit: common subexpressions are computed once, operations that change nothing
//! disappear, what nobody reads is dropped. What stands on barriers is recomputed on purpose: merging anything after
//! [`without_barriers`] would undo it.

use super::{Graph, GraphNode};
use crate::ops::{Lowered, Movement, Op};
use rustc_hash::FxHashMap;

/// The simplified graph, barriers included; leaves and scalars keep their numbers.
pub(crate) fn merge(graph: &Graph) -> Graph {
    let mut out = Graph {
        n_leaves: graph.n_leaves,
        n_scalars: graph.n_scalars,
        ..Graph::default()
    };
    let mut known: FxHashMap<(Op, Vec<usize>, Option<usize>, Option<usize>), usize> =
        FxHashMap::default();
    let mut to = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<usize> = node.inputs.iter().map(|&i| to[i]).collect();
        let lowered = node.op.lower();
        if let Some(same) = changes_nothing(&out, node, &lowered, &inputs) {
            to.push(same);
            continue;
        }
        let key = (node.op.clone(), inputs.clone(), node.leaf, node.scalar);
        let at = *known.entry(key).or_insert_with(|| {
            out.nodes.push(GraphNode {
                inputs,
                ..node.clone()
            });
            out.nodes.len() - 1
        });
        to.push(at);
    }
    out.outputs = graph.outputs.iter().map(|&o| to[o]).collect();
    drop_dead(out)
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
    inputs: &[usize],
) -> Option<usize> {
    let constant = |i: usize| inputs.get(i).and_then(|&n| literal(graph, n));
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

fn drop_dead(graph: Graph) -> Graph {
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
    let mut out = Graph {
        nodes: Vec::new(),
        ..graph.clone()
    };
    for (n, mut node) in graph.nodes.into_iter().enumerate() {
        if live[n] {
            node.inputs.iter_mut().for_each(|i| *i = to[*i]);
            to[n] = out.nodes.len();
            out.nodes.push(node);
        }
    }
    out.outputs = graph.outputs.iter().map(|&o| to[o]).collect();
    out
}
