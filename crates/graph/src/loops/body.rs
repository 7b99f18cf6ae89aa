//! The body of a loop: a graph as data, found by calling a function on stand-ins. What the function uses and has not made
//! from its operands stays outside and is given to the loop. It must not know how a loop runs.

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::input::Input;
use crate::ops::{Lowered, Movement, Op};
use crate::tensor::Tensor;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;

/// A node of a body; operands are positions of earlier nodes.
#[derive(Clone, Debug)]
pub(crate) struct BodyNode {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<usize>,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) location: &'static Location<'static>,
}

impl PartialEq for BodyNode {
    fn eq(&self, other: &BodyNode) -> bool {
        self.dtype == other.dtype
            && self.shape == other.shape
            && self.inputs == other.inputs
            && self.op == other.op
    }
}

/// Operands first, then the nodes in order. Numbers that are neither 0, 1 nor −1 are no part of what makes two bodies equal.
pub(crate) struct Body {
    pub(crate) nodes: Vec<BodyNode>,
    pub(crate) n_inputs: usize,
    pub(crate) outputs: Vec<usize>,
    /// Nodes, those of inner loops included.
    pub(crate) size: usize,
    hash: u64,
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        std::ptr::eq(self, other)
            || (self.hash == other.hash
                && self.n_inputs == other.n_inputs
                && self.outputs == other.outputs
                && self.nodes == other.nodes)
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} nodes)", self.nodes.len())
    }
}

/// A body and what it needs from outside, which are its last operands.
pub(crate) struct Traced {
    pub(crate) body: Body,
    pub(crate) captured: Vec<Tensor>,
}

/// Makes a body of `outputs`, which were recorded from the stand-ins `inputs` after node `first`.
///
/// # Errors
/// An output is invalid; the function draws random numbers or has a host step.
pub(crate) fn trace(inputs: &[Tensor], outputs: &[Tensor], first: u64) -> Result<Traced> {
    for t in outputs {
        t.check()?;
    }
    let nodes = reachable(inputs, outputs, first);
    let kinds = sorted_out(inputs, &nodes, first)?;
    let is_inside = |t: &Tensor| kinds[&t.0.id].is_inside;
    // What is inside but for the sake of something outside is not needed.
    let mut seen: FxHashSet<u64> = inputs.iter().map(|t| t.0.id).collect();
    let mut stack: Vec<Tensor> = outputs.to_vec();
    let (mut inside, mut captured) = (Vec::new(), Vec::new());
    while let Some(t) = stack.pop() {
        if !seen.insert(t.0.id) {
            continue;
        }
        if is_inside(&t) {
            stack.extend(t.inputs().iter().cloned());
            inside.push(t);
        } else {
            captured.push(t);
        }
    }
    inside.sort_unstable_by_key(|t| t.0.id);
    captured.sort_unstable_by_key(|t| t.0.id);
    Ok(Traced {
        body: assembled(inputs, &captured, &inside, outputs),
        captured,
    })
}

/// Everything below `outputs` down to stand-ins and what was there before, in order of recording.
fn reachable(inputs: &[Tensor], outputs: &[Tensor], first: u64) -> Vec<Tensor> {
    let ends: FxHashSet<u64> = inputs.iter().map(|t| t.0.id).collect();
    let mut seen = FxHashSet::default();
    let mut stack = outputs.to_vec();
    let mut nodes = Vec::new();
    while let Some(t) = stack.pop() {
        if !seen.insert(t.0.id) {
            continue;
        }
        if t.0.id >= first && t.0.value.get().is_none() && !ends.contains(&t.0.id) {
            stack.extend(t.inputs().iter().cloned());
        }
        nodes.push(t);
    }
    nodes.sort_unstable_by_key(|t| t.0.id);
    nodes
}

#[derive(Clone, Copy)]
struct Kind {
    /// Depends on a stand-in.
    depends: bool,
    /// Computed in every round.
    is_inside: bool,
    /// A number, or made of numbers alone.
    is_literal: bool,
}

/// What each node is. What changes from round to round is inside, and so are numbers and views, which cost nothing there.
fn sorted_out(inputs: &[Tensor], nodes: &[Tensor], first: u64) -> Result<FxHashMap<u64, Kind>> {
    let outside = Kind {
        depends: false,
        is_inside: false,
        is_literal: false,
    };
    let mut kinds: FxHashMap<u64, Kind> = FxHashMap::default();
    for t in inputs {
        let stand_in = Kind {
            depends: true,
            is_inside: true,
            is_literal: false,
        };
        kinds.insert(t.0.id, stand_in);
    }
    for t in nodes {
        if kinds.contains_key(&t.0.id) {
            continue;
        }
        if t.0.id < first || t.0.value.get().is_some() {
            kinds.insert(t.0.id, outside);
            continue;
        }
        let below: Vec<Kind> = t.inputs().iter().map(|i| kinds[&i.0.id]).collect();
        let depends = below.iter().any(|k| k.depends);
        refused(t, depends)?;
        let is_number = matches!(&t.0.op, Op::Constant(c) if !c.is_cell());
        let of_numbers = !below.is_empty() && below.iter().all(|k| k.is_literal);
        let is_literal = is_number || of_numbers || matches!(t.0.op, Op::Iota(_));
        let kind = Kind {
            depends,
            is_inside: depends || is_literal || moves_all(&t.0.op),
            is_literal,
        };
        kinds.insert(t.0.id, kind);
    }
    Ok(kinds)
}

/// What no loop can repeat.
fn refused(t: &Tensor, depends: bool) -> Result<()> {
    let fail = |kind, message: &str| Err(Error::new(kind, "scan", message).at(t.location()));
    if matches!(t.0.op, Op::Random(_)) {
        let message = "the step draws random numbers, which would be the same in every step: draw them for all steps \
                       before, and give them as inputs";
        return fail(ErrorKind::Value, message);
    }
    if depends && matches!(t.0.op, Op::Host(_)) {
        return fail(
            ErrorKind::Unsupported,
            "a host step cannot be part of a loop",
        );
    }
    Ok(())
}

/// Whether the operation is a view of all that its operand has.
fn moves_all(op: &Op) -> bool {
    matches!(
        op.lower(),
        Lowered::View(Movement::Reshape(_) | Movement::Permute(_) | Movement::Expand(_))
    )
}

fn assembled(
    inputs: &[Tensor],
    captured: &[Tensor],
    inside: &[Tensor],
    outputs: &[Tensor],
) -> Body {
    let mut position: FxHashMap<u64, usize> = FxHashMap::default();
    let mut nodes = Vec::with_capacity(inputs.len() + captured.len() + inside.len());
    for t in inputs.iter().chain(captured).chain(inside) {
        let is_operand = nodes.len() < inputs.len() + captured.len();
        nodes.push(BodyNode {
            op: match is_operand {
                true => Op::Input(Input),
                false => t.0.op.clone(),
            },
            inputs: match is_operand {
                true => Vec::new(),
                false => t.inputs().iter().map(|i| position[&i.0.id]).collect(),
            },
            shape: t.shape().to_vec(),
            dtype: t.dtype(),
            location: t.location(),
        });
        position.insert(t.0.id, nodes.len() - 1);
    }
    let outputs = outputs.iter().map(|t| position[&t.0.id]).collect();
    Body::new(nodes, inputs.len() + captured.len(), outputs)
}

impl Body {
    fn new(nodes: Vec<BodyNode>, n_inputs: usize, outputs: Vec<usize>) -> Body {
        let mut h = FxHasher::default();
        (n_inputs, &outputs).hash(&mut h);
        for node in &nodes {
            (&node.op, &node.inputs, &node.shape, node.dtype).hash(&mut h);
        }
        let of_loop = |n: &BodyNode| n.op.as_loop().map_or(0, |l| l.body().size);
        let inner = nodes.iter().map(|n| 1 + of_loop(n));
        Body {
            size: inner.sum(),
            nodes,
            n_inputs,
            outputs,
            hash: h.finish(),
        }
    }

    /// The nodes that are products of many terms, and not the same in all rounds.
    pub(crate) fn products(&self) -> Vec<usize> {
        let is_product = |n: &usize| {
            let lowered = self.nodes[*n].op.lower();
            matches!(lowered, Lowered::Matmul | Lowered::Conv { .. })
        };
        (self.n_inputs..self.nodes.len())
            .filter(is_product)
            .collect()
    }

    /// All nodes recorded on `inputs`, which fit the operands.
    pub(crate) fn record(&self, inputs: &[Tensor], device: &Device) -> Vec<Tensor> {
        let mut all: Vec<Tensor> = inputs.to_vec();
        for node in &self.nodes[self.n_inputs..] {
            let operands: Vec<&Tensor> = node.inputs.iter().map(|&i| &all[i]).collect();
            let op = node.op.clone();
            all.push(Tensor::record_on(
                op,
                &operands,
                device.clone(),
                node.location,
            ));
        }
        all
    }

    /// Which operands anything is computed from.
    pub(crate) fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.nodes.len()];
        let reads = self.nodes.iter().flat_map(|n| &n.inputs);
        reads.chain(&self.outputs).for_each(|&n| used[n] = true);
        used.truncate(self.n_inputs);
        used
    }

    /// Without the operands that are not used, for which `keep` is not set either.
    pub(crate) fn without(self, keep: &[bool]) -> Body {
        let mut to = Vec::with_capacity(self.nodes.len());
        let mut kept = 0;
        for n in 0..self.nodes.len() {
            to.push(kept);
            kept += usize::from(n >= self.n_inputs || keep[n]);
        }
        let mut number = 0;
        let mut nodes = self.nodes;
        nodes.retain(|_| {
            number += 1;
            number > self.n_inputs || keep[number - 1]
        });
        for node in &mut nodes {
            node.inputs.iter_mut().for_each(|i| *i = to[*i]);
        }
        let outputs = self.outputs.iter().map(|&o| to[o]).collect();
        let n_inputs = keep[..self.n_inputs].iter().filter(|&&k| k).count();
        Body::new(nodes, n_inputs, outputs)
    }

    /// Which nodes carry floats that depend on the operands that are marked.
    pub(crate) fn reached(&self, from: &[bool]) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            let below = node.inputs.iter().any(|&i| reached[i]);
            reached[n] = node.dtype.is_float() && (below || from.get(n) == Some(&true));
        }
        reached
    }

    /// The numbers that a plan is given when it runs, in the order of the nodes, those of inner loops among them.
    pub(crate) fn push_scalars(&self, scalars: &mut Vec<u32>) {
        for node in &self.nodes {
            if let Some(l) = node.op.as_loop() {
                l.body().push_scalars(scalars);
            } else if node.inputs.is_empty()
                && let Lowered::Constant {
                    literal: None,
                    bits,
                } = node.op.lower()
            {
                scalars.push(bits);
            }
        }
    }

    /// Name and place of the node of this number, where the body's own nodes come first and those of inner loops follow.
    pub(crate) fn site(&self, node: usize) -> Option<(&'static str, &'static Location<'static>)> {
        if let Some(own) = self.nodes.get(node) {
            return Some((own.op.name(), own.location));
        }
        let inner = self.nodes.iter().map(|n| &n.op);
        site_in(inner, node - self.nodes.len())
    }
}

/// The node of this number among those of the loops in `ops`, one loop after the other.
pub(crate) fn site_in<'a>(
    ops: impl Iterator<Item = &'a Op>,
    mut node: usize,
) -> Option<(&'static str, &'static Location<'static>)> {
    for op in ops {
        if let Op::Loop(l) = op {
            if node < l.body().size {
                return l.body().site(node);
            }
            node -= l.body().size;
        }
    }
    None
}
