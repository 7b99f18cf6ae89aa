//! Puts casts around everything that computes in 32 bits but is given, or has to give, narrower elements: only maps
//! read and write `u8` and `f16`, and reductions read them.

use super::{Graph, GraphNode};
use crate::dtype::DType;
use crate::ops::cast::Cast;
use crate::ops::{Lowered, Op};

/// The graph with casts.
pub(crate) fn widen(graph: &Graph) -> Graph {
    if graph.nodes.iter().all(|n| n.dtype.size() == 4) {
        return graph.clone();
    }
    let mut out = Graph {
        nodes: Vec::new(),
        ..graph.clone()
    };
    let mut to = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let mut inputs: Vec<usize> = node.inputs.iter().map(|&i| to[i]).collect();
        if computes_in_maps(&node.op.lower()) {
            out.nodes.push(GraphNode {
                inputs,
                ..node.clone()
            });
        } else {
            for i in &mut inputs {
                let to = wide(out.nodes[*i].dtype);
                *i = cast(&mut out, *i, to);
            }
            out.nodes.push(GraphNode {
                inputs,
                dtype: wide(node.dtype),
                ..node.clone()
            });
        }
        let at = out.nodes.len() - 1;
        to.push(cast(&mut out, at, node.dtype));
    }
    out.outputs = graph.outputs.iter().map(|&o| to[o]).collect();
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

fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 => DType::F32,
        DType::U8 => DType::U32,
        d => d,
    }
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
