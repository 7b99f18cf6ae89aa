//! Puts casts around everything that computes in 32 bits but is given, or has to give, narrower elements: only maps
//! read and write `u8`, `f16` and `bf16`, and reductions read them.

use super::{Graph, GraphNode};
use crate::dtype::DType;
use crate::ops::cast::Cast;
use crate::ops::{Lowered, Op};

/// The graph with casts.
pub(crate) fn widen(graph: Graph) -> Graph {
    if graph.nodes.iter().all(|n| n.dtype.size() == 4) {
        return graph;
    }
    let mut out = Graph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        ..graph
    };
    let mut to = Vec::with_capacity(graph.nodes.len());
    for mut node in graph.nodes {
        let dtype = node.dtype;
        node.inputs.iter_mut().for_each(|i| *i = to[*i]);
        if !computes_in_maps(&node.op.lower()) {
            for i in &mut node.inputs {
                let to = out.nodes[*i].dtype.widened();
                *i = cast(&mut out, *i, to);
            }
            node.dtype = dtype.widened();
        }
        out.nodes.push(node);
        let at = out.nodes.len() - 1;
        to.push(cast(&mut out, at, dtype));
    }
    out.outputs.iter_mut().for_each(|o| *o = to[*o]);
    out
}

fn computes_in_maps(lowered: &Lowered) -> bool {
    use Lowered::*;
    matches!(
        lowered,
        Input
            | Constant { .. }
            | Iota
            | Random { .. }
            | Elementwise(_)
            | View(_)
            | Identity
            | Gather { .. }
    )
}

fn cast(graph: &mut Graph, n: usize, to: DType) -> usize {
    let node = &graph.nodes[n];
    if node.dtype == to {
        return n;
    }
    let cast = GraphNode {
        op: Op::Cast(Cast { to }),
        inputs: vec![n],
        dtype: to,
        shape: node.shape.clone(),
        location: node.location,
        leaf: None,
        scalar: None,
    };
    graph.nodes.push(cast);
    graph.nodes.len() - 1
}
