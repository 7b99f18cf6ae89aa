//! Finds what a set of tensors needs: nodes without a value, in order of recording, and the leaves below them.
//! Also the key of the plan cache, compared without copying anything.

use super::{Graph, GraphNode, Site};
use crate::eval::Value;
use crate::ops::{Lowered, Op};
use crate::tensor::Tensor;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

/// A tensor whose buffer a run reads.
pub(crate) struct Leaf {
    /// The tensor.
    pub(crate) tensor: Tensor,
    /// Its number among the nodes.
    pub(crate) node: usize,
    /// What it held when it was found to be a leaf; nothing for a stand-in.
    pub(crate) value: Option<Value>,
}

/// The nodes that some tensors need, each once, operands first. What is a leaf is decided once, for another thread may give
/// any node a value at any time.
pub(crate) struct Collected {
    nodes: Vec<Tensor>,
    /// Of each node whether it is a leaf.
    is_leaf: Vec<bool>,
    /// The operands of all nodes that are no leaves, one after the other, and where those of each node end: `history` may let
    /// go of a node's own once another thread has given it a value.
    operands: Vec<usize>,
    ends: Vec<usize>,
    outputs: Vec<usize>,
    /// In the order of [`GraphNode::leaf`].
    pub(crate) leaves: Vec<Leaf>,
    /// The run-time scalars, in the order of [`GraphNode::scalar`].
    pub(crate) scalars: Vec<u32>,
    hash: u64,
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
    let _unchanged = crate::history::hold();
    let mut found = reachable(outputs, symbols);
    found.sort_unstable_by_key(|(t, _)| t.0.id);
    let mut nodes = Vec::with_capacity(found.len());
    let mut is_leaf = Vec::with_capacity(found.len());
    let mut leaves = Vec::new();
    let mut scalars = Vec::new();
    for (tensor, found) in found {
        is_leaf.push(!matches!(found, Found::Inner));
        match found {
            Found::Leaf(value) => leaves.push(Leaf {
                tensor: tensor.clone(),
                node: nodes.len(),
                value,
            }),
            Found::Inner => push_scalars(&tensor, &mut scalars),
        }
        nodes.push(tensor);
    }
    let position: FxHashMap<u64, usize> =
        nodes.iter().enumerate().map(|(i, t)| (t.0.id, i)).collect();
    let outputs = outputs.iter().map(|t| position[&t.0.id]).collect();
    let (mut operands, mut ends) = (Vec::new(), Vec::with_capacity(nodes.len()));
    for (t, &leaf) in nodes.iter().zip(&is_leaf) {
        if !leaf {
            operands.extend(t.inputs().iter().map(|i| position[&i.0.id]));
        }
        ends.push(operands.len());
    }
    let mut collected = Collected {
        nodes,
        is_leaf,
        operands,
        ends,
        outputs,
        leaves,
        scalars,
        hash: 0,
    };
    collected.hash = collected.compute_hash();
    collected
}

/// What a node was found to be.
enum Found {
    Leaf(Option<Value>),
    Inner,
}

/// Host steps have run before anything is planned; only an explanation meets one that has not. A loop's value is not what
/// its results are picked from: it runs for them.
fn found(t: &Tensor, symbols: bool) -> Found {
    if matches!(t.0.op, Op::Loop(_)) {
        return Found::Inner;
    }
    let host = matches!(t.0.op, Op::Host(_));
    let symbol = symbols && matches!(t.0.op, Op::Input(_));
    match t.0.value.get() {
        Some(value) => Found::Leaf(Some(value.clone())),
        None if host || symbol => Found::Leaf(None),
        None => Found::Inner,
    }
}

fn reachable(outputs: &[&Tensor], symbols: bool) -> Vec<(Tensor, Found)> {
    let mut seen = rustc_hash::FxHashSet::default();
    let mut stack: Vec<Tensor> = outputs.iter().map(|&t| t.clone()).collect();
    let mut nodes = Vec::new();
    while let Some(t) = stack.pop() {
        if !seen.insert(t.0.id) {
            continue;
        }
        let found = found(&t, symbols);
        if let Found::Inner = found {
            stack.extend(t.inputs().iter().cloned());
        }
        nodes.push((t, found));
    }
    nodes
}

fn push_scalars(t: &Tensor, scalars: &mut Vec<u32>) {
    if let Op::Loop(l) = &t.0.op {
        return l.body().push_scalars(scalars);
    }
    if !t.inputs().is_empty() {
        return;
    }
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
    /// All nodes that are no leaves.
    fn inner(&self) -> impl Iterator<Item = &Tensor> {
        let nodes = self.nodes.iter().zip(&self.is_leaf);
        nodes.filter(|(_, leaf)| !**leaf).map(|(t, _)| t)
    }

    /// The operands of a node; none of a leaf.
    fn operands(&self, node: usize) -> &[usize] {
        let begin = node.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.operands[begin..self.ends[node]]
    }

    /// Name and place of the node of this number, as [`Graph::site`] counts.
    pub(crate) fn site(&self, node: usize) -> Option<crate::run::Site> {
        match self.nodes.get(node) {
            Some(own) => Some((own.op_name(), own.location())),
            None => {
                let ops = self.inner().map(|t| &t.0.op);
                crate::loops::site_in(ops, node - self.nodes.len())
            }
        }
    }

    /// The nodes with run-time scalars, each with the place of its first.
    pub(crate) fn scalar_nodes(&self) -> Vec<(usize, &Tensor)> {
        let mut words = Vec::new();
        let mut nodes = Vec::new();
        for t in self.inner() {
            let at = words.len();
            push_scalars(t, &mut words);
            if words.len() > at {
                nodes.push((at, t));
            }
        }
        nodes
    }

    fn compute_hash(&self) -> u64 {
        let mut h = FxHasher::default();
        for (node, (t, leaf)) in self.nodes.iter().zip(&self.is_leaf).enumerate() {
            (t.0.dtype, &t.0.shape, leaf).hash(&mut h);
            if !leaf {
                t.0.op.hash(&mut h);
                for i in self.operands(node) {
                    i.hash(&mut h);
                }
            }
        }
        self.outputs.hash(&mut h);
        h.finish()
    }

    /// A leaf that has no value: a stand-in of a transformation that leaked.
    pub(crate) fn valueless(&self) -> Option<&Tensor> {
        self.inner().find(|t| matches!(t.0.op, Op::Input(_)))
    }

    /// Hash of the structure; equal structures have equal hashes.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether a plan for `graph` computes this.
    pub(crate) fn matches(&self, graph: &Graph) -> bool {
        let nodes = self.nodes.iter().zip(&self.is_leaf).zip(&graph.nodes);
        let same = |(node, ((t, &leaf), n)): (usize, ((&Tensor, &bool), &GraphNode))| {
            t.0.dtype == n.dtype
                && t.0.shape == n.shape
                && leaf == n.leaf.is_some()
                && (leaf || t.0.op == n.op)
                && (leaf || self.operands(node) == n.inputs)
        };
        self.nodes.len() == graph.nodes.len()
            && self.outputs == graph.outputs
            && nodes.enumerate().all(same)
    }

    /// A copy of the structure, for planning.
    pub(crate) fn graph(&self) -> Graph {
        let mut graph = Graph {
            outputs: self.outputs.clone(),
            ..Graph::default()
        };
        for (node, (t, &is_leaf)) in self.nodes.iter().zip(&self.is_leaf).enumerate() {
            let leaf = is_leaf.then_some(graph.n_leaves);
            graph.n_leaves += usize::from(is_leaf);
            let mut words = Vec::new();
            if !is_leaf {
                push_scalars(t, &mut words);
            }
            let scalar = (!words.is_empty()).then_some(graph.n_scalars);
            graph.n_scalars += words.len();
            let input = Op::Input(crate::ops::input::Input);
            graph.nodes.push(GraphNode {
                op: if is_leaf { input } else { t.0.op.clone() },
                inputs: self.operands(node).to_vec(),
                shape: t.0.shape.clone(),
                dtype: t.0.dtype,
                location: Site {
                    line: t.0.location,
                    node,
                },
                leaf,
                scalar,
            });
        }
        graph
    }
}
