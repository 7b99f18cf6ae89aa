//! What is done to a scattered gradient is done before it is scattered. A maximum pooling's gradient is small, and scattered
//! over the pooled plane it is mostly zeros: the mask of a rectifier then needs to be asked at the maxima alone, and the sum
//! for a bias has only so many terms. So nothing but the scattered gradient itself is as large as the plane, and the
//! rectifier's result need not outlive the forward pass.
//!
//! The order of additions changes, so this is for optimised plans only. Must not touch other scatters than those of a
//! pooling, whose indices are always in range.

use super::{Graph, GraphNode, Site};
use crate::ops::Op;
use crate::ops::compare::{Compare, CompareKind};
use crate::ops::expand::Expand;
use crate::ops::gather::Gather;
use crate::ops::reduce_sum::ReduceSum;
use crate::ops::reshape::Reshape;
use crate::ops::scatter_add::ScatterAdd;
use crate::ops::where_::Where;
use crate::shape::numel;

/// The graph with masks and sums before the scatters of poolings.
pub(super) fn first(graph: Graph) -> Graph {
    let scatters = |node: &GraphNode| matches!(node.op, Op::ScatterAdd(_));
    if !graph.nodes.iter().any(scatters) {
        return graph;
    }
    let uses = graph.uses();
    let mut out = Graph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        ..graph
    };
    let mut to: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    // Uses of nodes of the new graph, as far as they stand for old ones.
    let mut alone: Vec<bool> = Vec::new();
    for (n, mut node) in graph.nodes.into_iter().enumerate() {
        node.inputs.iter_mut().for_each(|i| *i = to[*i]);
        out.nodes.push(node);
        let at = out.nodes.len() - 1;
        let moved = if matches!(out.nodes[at].op, Op::Where(_)) {
            mask(&mut out, &alone, at)
        } else if matches!(out.nodes[at].op, Op::ReduceSum(_)) {
            sum(&mut out, at)
        } else {
            None
        };
        to.push(moved.unwrap_or(at));
        alone.resize(out.nodes.len(), false);
        alone[to[n]] = uses[n] == 1;
    }
    out.outputs.iter_mut().for_each(|o| *o = to[*o]);
    out
}

/// What `n` is, seen through changes of shape.
fn below(graph: &Graph, mut n: usize) -> usize {
    while matches!(graph.nodes[n].op, Op::Reshape(_)) {
        n = graph.nodes[n].inputs[0];
    }
    n
}

/// A scatter of a pooling's gradient: the gradient and its positions.
struct Scatter {
    op: ScatterAdd,
    shape: Vec<usize>,
    source: usize,
    index: usize,
}

fn scatter(graph: &Graph, n: usize) -> Option<Scatter> {
    let node = &graph.nodes[below(graph, n)];
    let Op::ScatterAdd(op) = &node.op else {
        return None;
    };
    let [source, index] = node.inputs[..] else {
        return None;
    };
    let pooling = matches!(graph.nodes[below(graph, index)].op, Op::WindowArgMax(_));
    let smaller = numel(&graph.nodes[source].shape) < numel(&node.shape);
    (pooling && smaller).then(|| Scatter {
        op: op.clone(),
        shape: node.shape.clone(),
        source,
        index,
    })
}

/// `where(x <= 0, 0, scatter(g, i))` is `scatter(where(x[i] <= 0, 0, g), i)`; nobody else reads the scattered gradient.
fn mask(graph: &mut Graph, alone: &[bool], n: usize) -> Option<usize> {
    let node = graph.nodes[n].clone();
    let (Op::Where(_), [condition, zero, scattered]) = (&node.op, &node.inputs[..]) else {
        return None;
    };
    let scatter = scatter(graph, *scattered)?;
    let Op::Compare(Compare {
        kind: CompareKind::Le,
    }) = graph.nodes[*condition].op
    else {
        return None;
    };
    let [x, bound] = graph.nodes[*condition].inputs[..] else {
        return None;
    };
    let is_zero = |n: usize| super::simplify::literal(graph, n) == Some(0.0);
    let whole = graph.nodes[x].shape == node.shape;
    let mut chain = *scattered;
    let mut only = alone[chain];
    while chain != below(graph, chain) {
        chain = graph.nodes[chain].inputs[0];
        only &= alone[chain];
    }
    if !(only && whole && is_zero(*zero) && is_zero(bound)) {
        return None;
    }
    let number = |mut n: usize| {
        while !graph.nodes[n].shape.is_empty() {
            n = graph.nodes[n].inputs[0];
        }
        n
    };
    let (zero, bound, place) = (number(*zero), number(bound), node.location);
    let small = graph.nodes[scatter.source].shape.clone();
    let planes = graph.push(
        Reshape {
            shape: scatter.shape,
        },
        vec![x],
        place,
    );
    let dim = scatter.op.dim;
    let x = graph.push(Gather { dim }, vec![planes, scatter.index], place);
    let bound = filled(graph, bound, &small, place);
    let zero = filled(graph, zero, &small, place);
    let kind = CompareKind::Le;
    let condition = graph.push(Compare { kind }, vec![x, bound], place);
    let masked = graph.push(Where, vec![condition, zero, scatter.source], place);
    let whole = graph.push(scatter.op, vec![masked, scatter.index], place);
    Some(graph.push(Reshape { shape: node.shape }, vec![whole], place))
}

/// The number `n` in every place of `shape`.
fn filled(graph: &mut Graph, n: usize, shape: &[usize], place: Site) -> usize {
    let ones = Reshape {
        shape: vec![1; shape.len()],
    };
    let one = graph.push(ones, vec![n], place);
    let shape = shape.to_vec();
    graph.push(Expand { shape }, vec![one], place)
}

/// `sum(scatter(g, i))` over whole planes is `sum(g)`.
fn sum(graph: &mut Graph, n: usize) -> Option<usize> {
    let node = graph.nodes[n].clone();
    let Op::ReduceSum(ReduceSum { dims }) = &node.op else {
        return None;
    };
    let from = graph.nodes[node.inputs[0]].shape.clone();
    let scatter = scatter(graph, node.inputs[0])?;
    // The dimensions behind the scattered one's beginning are its plane, in any shape.
    let lead = scatter.op.dim;
    let last = lead + 1 == scatter.shape.len();
    let same = from.get(..lead) == scatter.shape.get(..lead);
    let planes = (lead..from.len()).all(|d| dims.contains(&d));
    if !(last && same && planes) {
        return None;
    }
    let mut dims: Vec<usize> = dims.iter().copied().filter(|&d| d < lead).collect();
    dims.push(lead);
    let sum = graph.push(ReduceSum { dims }, vec![scatter.source], node.location);
    Some(graph.push(Reshape { shape: node.shape }, vec![sum], node.location))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{planned, tensor};
    use crate::plan::Kernel;
    use crate::{ConvOptions, Device, PoolOptions, Settings, Tensor, grad};

    /// Gradients of two rectified and pooled convolutions by weights and biases.
    fn gradients(x: &Tensor, parameters: &[Tensor]) -> Vec<Tensor> {
        let (options, pool) = (ConvOptions::default().padding([1, 1]), PoolOptions::new(2));
        let mut y = x.clone();
        for p in parameters.chunks(2) {
            let z = y.conv2d(&p[0], Some(&p[1]), &options).relu();
            y = z.max_pool2d(&pool);
        }
        grad(&y.square().sum(), &parameters.iter().collect::<Vec<_>>()).expect("gradients")
    }

    #[test]
    fn masks_and_sums_come_before_scatters() {
        let x = tensor(&[3, 1, 8, 8]);
        let parameters = [&[4, 1, 3, 3][..], &[4], &[5, 4, 3, 3], &[5]].map(tensor);
        let g = gradients(&x, &parameters);
        let plan = planned(&g.iter().collect::<Vec<_>>());
        // After a scatter nothing but a convolution reads the plane.
        let scattered = plan
            .steps
            .iter()
            .filter(|s| matches!(s.kernel, Kernel::ScatterAdd(_)));
        let scattered: Vec<usize> = scattered.map(|s| s.output).collect();
        assert_eq!(scattered.len(), 2);
        for step in &plan.steps {
            let reads = step.inputs.iter().any(|i| scattered.contains(i));
            assert!(!reads || matches!(step.kernel, Kernel::Conv(_)), "{plan:?}");
        }
    }

    #[test]
    fn the_gradients_are_the_same() {
        let devices = [
            Device::cpu(),
            Device::cpu_with(&Settings {
                fuse: false,
                ..Settings::default()
            }),
        ];
        let results = devices.map(|device| {
            let data = |shape: &[usize]| {
                let n: usize = shape.iter().product();
                let values: Vec<f32> = (0..n).map(|i| (i * 37 % 23) as f32 / 8.0 - 1.4).collect();
                Tensor::from_slice(&values, shape, &device)
            };
            let parameters = [&[4, 1, 3, 3][..], &[4], &[5, 4, 3, 3], &[5]].map(data);
            let g = gradients(&data(&[3, 1, 8, 8]), &parameters);
            g.iter()
                .flat_map(|g| g.to_vec::<f32>().expect("values"))
                .collect::<Vec<f32>>()
        });
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
        assert!(results[0].iter().zip(&results[1]).all(close), "{results:?}");
    }
}
