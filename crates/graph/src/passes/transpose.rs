//! Products that are only read transposed are computed transposed: `(a b)ᵀ = bᵀ aᵀ`, and operands may lie either way.
//! So the gradient of a linear layer's weight lies as the weight does, and its update reads both along memory. Every
//! bit stays.

use super::{Graph, GraphNode, Site};
use crate::ops::Op;
use crate::ops::permute::Permute;

/// The graph with such products exchanged.
pub(super) fn products(graph: Graph) -> Graph {
    let exchanged = exchanged(&graph);
    if !exchanged.contains(&true) {
        return graph;
    }
    let mut out = Graph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        ..graph
    };
    let mut to: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (n, mut node) in graph.nodes.into_iter().enumerate() {
        let of_exchanged = node.inputs.first().is_some_and(|&i| exchanged[i]);
        node.inputs.iter_mut().for_each(|i| *i = to[*i]);
        if exchanged[n] {
            node.inputs.reverse();
            for i in &mut node.inputs {
                *i = turn(&mut out, *i, node.location);
            }
            let rank = node.shape.len();
            node.shape.swap(rank - 1, rank - 2);
        } else if of_exchanged {
            // The transposition of an exchanged product.
            to.push(node.inputs[0]);
            continue;
        }
        to.push(out.nodes.len());
        out.nodes.push(node);
    }
    out.outputs.iter_mut().for_each(|o| *o = to[*o]);
    out
}

/// Which nodes are products that transpositions alone read.
fn exchanged(graph: &Graph) -> Vec<bool> {
    let mut read = vec![false; graph.nodes.len()];
    let mut otherwise = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|&o| otherwise[o] = true);
    for node in &graph.nodes {
        let turns = matches!(&node.op, Op::Permute(p) if *p == turned(p.perm.len()));
        for &i in &node.inputs {
            read[i] = true;
            otherwise[i] |= !turns;
        }
    }
    let nodes = graph.nodes.iter().enumerate();
    nodes
        .map(|(n, node)| matches!(node.op, Op::Matmul(_)) && read[n] && !otherwise[n])
        .collect()
}

/// The exchange of the last two of `rank` dimensions.
fn turned(rank: usize) -> Permute {
    let mut perm: Vec<usize> = (0..rank).collect();
    if rank >= 2 {
        perm.swap(rank - 1, rank - 2);
    }
    Permute { perm }
}

fn turn(out: &mut Graph, n: usize, location: Site) -> usize {
    let mut shape = out.nodes[n].shape.clone();
    let rank = shape.len();
    shape.swap(rank - 1, rank - 2);
    out.nodes.push(GraphNode {
        op: turned(rank).into(),
        inputs: vec![n],
        shape,
        dtype: out.nodes[n].dtype,
        location,
        leaf: None,
        scalar: None,
    });
    out.nodes.len() - 1
}

#[cfg(test)]
mod tests {
    use super::super::tests::{planned, tensor};
    use crate::grad;
    use crate::plan::Kernel;

    #[test]
    fn a_weights_gradient_lies_as_the_weight_does() {
        let (x, w) = (tensor(&[30, 7]), tensor(&[5, 7]));
        let y = x.matmul(&w.t());
        let g = grad(&y.square().sum(), &[&w]).expect("a gradient");
        let plan = planned(&[&(&w - &g[0] * 0.1)]);
        let products: Vec<[usize; 3]> = plan
            .steps
            .iter()
            .filter_map(|s| match &s.kernel {
                Kernel::Matmul(m) => Some([m.m, m.n, m.k]),
                _ => None,
            })
            .collect();
        assert_eq!(products, [[30, 5, 7], [5, 7, 30]]);
        // So the update is one loop.
        let Kernel::Map(update) = &plan.steps[plan.steps.len() - 1].kernel else {
            panic!("{plan:?}");
        };
        assert_eq!(update.shape, [35]);
    }

    #[test]
    fn a_product_that_is_read_both_ways_stays() {
        let (x, y) = (tensor(&[6, 4]), tensor(&[4, 9]));
        let p = x.matmul(&y);
        let plan = planned(&[&p, &p.t().tanh()]);
        let Kernel::Matmul(m) = &plan.steps[0].kernel else {
            panic!("{plan:?}");
        };
        assert_eq!([m.m, m.n], [6, 9]);
    }
}
