//! Finds what a set of tensors needs: nodes without a value, in order of recording, and the leaves below them.
//! Also the key of the plan cache, compared without copying anything.

use super::{Graph, GraphNode};
use crate::ops::Lowered;
use crate::tensor::Tensor;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

/// The nodes that some tensors need, each once, operands first.
pub(crate) struct Collected {
    nodes: Vec<Tensor>,
    position: FxHashMap<u64, usize>,
    outputs: Vec<usize>,
    /// Tensors whose buffers the run reads, in the order of [`GraphNode::leaf`].
    pub(crate) leaves: Vec<Tensor>,
    /// The run-time scalars, in the order of [`GraphNode::scalar`].
    pub(crate) scalars: Vec<u32>,
    hash: u64,
    /// Whether leaves without a value count as leaves.
    symbols: bool,
}

/// Collects everything `outputs` (valid, one device) depend on down to nodes that have values.
pub(crate) fn collect(outputs: &[&Tensor]) -> Collected {
    collect_down_to(outputs, false)
}

/// As [`collect`], down to stand-ins too, which are leaves without a value.
pub(crate) fn collect_traced(outputs: &[&Tensor]) -> Collected {
    collect_down_to(outputs, true)
}

fn collect_down_to(outputs: &[&Tensor], symbols: bool) -> Collected {
    let is_leaf = |t: &Tensor| is_leaf(t, symbols);
    let mut nodes = reachable(outputs);
    nodes.sort_unstable_by_key(|t| t.0.id);
    let position: FxHashMap<u64, usize> =
        nodes.iter().enumerate().map(|(i, t)| (t.0.id, i)).collect();
    let leaves = nodes.iter().filter(|t| is_leaf(t)).cloned().collect();
    let mut scalars = Vec::new();
    for t in nodes
        .iter()
        .filter(|t| !is_leaf(t) && t.0.inputs.is_empty())
    {
        push_scalars(t, &mut scalars);
    }
    let outputs = outputs.iter().map(|t| position[&t.0.id]).collect();
    let mut collected = Collected {
        nodes,
        position,
        outputs,
        leaves,
        scalars,
        hash: 0,
        symbols,
    };
    collected.hash = collected.compute_hash();
    collected
}

/// Host steps have run before anything is planned; only an explanation meets one that has not.
fn is_leaf(t: &Tensor, symbols: bool) -> bool {
    use crate::ops::Op;
    let symbol = symbols && matches!(t.0.op, Op::Input(_));
    symbol || t.0.value.get().is_some() || matches!(t.0.op, Op::Host(_))
}

fn reachable(outputs: &[&Tensor]) -> Vec<Tensor> {
    let mut seen = rustc_hash::FxHashSet::default();
    let mut stack: Vec<Tensor> = outputs.iter().map(|&t| t.clone()).collect();
    let mut nodes = Vec::new();
    while let Some(t) = stack.pop() {
        if !seen.insert(t.0.id) {
            continue;
        }
        if !is_leaf(&t, false) {
            stack.extend(t.0.inputs.iter().cloned());
        }
        nodes.push(t);
    }
    nodes
}

fn push_scalars(t: &Tensor, scalars: &mut Vec<u32>) {
    match t.0.op.lower() {
        Lowered::Constant {
            literal: None,
            bits,
        } => scalars.push(bits),
        Lowered::Random { scalars: words } => scalars.extend(words),
        _ => {}
    }
}

impl Collected {
    fn is_leaf(&self, t: &Tensor) -> bool {
        is_leaf(t, self.symbols)
    }

    /// The nodes with run-time scalars, each with the place of its first.
    pub(crate) fn scalar_nodes(&self) -> Vec<(usize, &Tensor)> {
        let mut words = Vec::new();
        let mut nodes = Vec::new();
        for t in &self.nodes {
            if !self.is_leaf(t) && t.0.inputs.is_empty() {
                let at = words.len();
                push_scalars(t, &mut words);
                if words.len() > at {
                    nodes.push((at, t));
                }
            }
        }
        nodes
    }

    fn compute_hash(&self) -> u64 {
        let mut h = FxHasher::default();
        for t in &self.nodes {
            (t.0.dtype, &t.0.shape, self.is_leaf(t)).hash(&mut h);
            if !self.is_leaf(t) {
                t.0.op.hash(&mut h);
                for i in &t.0.inputs {
                    self.position[&i.0.id].hash(&mut h);
                }
            }
        }
        self.outputs.hash(&mut h);
        h.finish()
    }

    /// A leaf that has no value: a stand-in of a transformation that leaked.
    pub(crate) fn valueless(&self) -> Option<&Tensor> {
        let empty = |t: &&Tensor| !self.is_leaf(t) && matches!(t.0.op.lower(), Lowered::Input);
        self.nodes.iter().find(empty)
    }

    /// Hash of the structure; equal structures have equal hashes.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether a plan for `graph` computes this.
    pub(crate) fn matches(&self, graph: &Graph) -> bool {
        self.nodes.len() == graph.nodes.len()
            && self.outputs == graph.outputs
            && self.nodes.iter().zip(&graph.nodes).all(|(t, n)| {
                t.0.dtype == n.dtype
                    && t.0.shape == n.shape
                    && self.is_leaf(t) == n.leaf.is_some()
                    && (n.leaf.is_some() || t.0.op == n.op)
                    && (n.leaf.is_some() || self.same_inputs(t, &n.inputs))
            })
    }

    fn same_inputs(&self, t: &Tensor, inputs: &[usize]) -> bool {
        t.0.inputs.len() == inputs.len()
            && t.0
                .inputs
                .iter()
                .zip(inputs)
                .all(|(i, n)| self.position[&i.0.id] == *n)
    }

    /// A copy of the structure, for planning.
    pub(crate) fn graph(&self) -> Graph {
        let mut graph = Graph {
            outputs: self.outputs.clone(),
            ..Graph::default()
        };
        for t in &self.nodes {
            let leaf = self.is_leaf(t).then_some(graph.n_leaves);
            graph.n_leaves += usize::from(leaf.is_some());
            let mut words = Vec::new();
            if leaf.is_none() && t.0.inputs.is_empty() {
                push_scalars(t, &mut words);
            }
            let scalar = (!words.is_empty()).then_some(graph.n_scalars);
            graph.n_scalars += words.len();
            let input = crate::ops::Op::Input(crate::ops::input::Input);
            graph.nodes.push(GraphNode {
                op: if leaf.is_some() {
                    input
                } else {
                    t.0.op.clone()
                },
                inputs: if leaf.is_some() {
                    Vec::new()
                } else {
                    t.0.inputs.iter().map(|i| self.position[&i.0.id]).collect()
                },
                shape: t.0.shape.clone(),
                dtype: t.0.dtype,
                location: t.0.location,
                leaf,
                scalar,
            });
        }
        graph
    }
}
