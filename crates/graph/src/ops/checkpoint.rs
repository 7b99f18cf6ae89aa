//! The first operand, whose derivative is taken through a copy of what computed it: operands `y, b₀, b₁, …`, where
//! `y` depends on nothing that was there before but `b₀, b₁, …` ([`checkpoint`](crate::checkpoint) finds them).
//! Derivative: the nodes between `y` and the `b`s recorded anew on [barriers](super::barrier) of the `b`s, and
//! differentiated there. So nothing that the backward pass reads ties it to the intermediate results of the forward
//! pass, which may be forgotten (Chen, Xu, Zhang and Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost").
//!
//! Where the gradient of a tensor between `y` and the `b`s is asked for, this is the identity.

use super::barrier;
use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::autodiff::pulled_back;
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;
use rustc_hash::{FxHashMap, FxHashSet};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint;

/// The nodes from `y` down to `boundary`, which is left out; operands first.
fn between(y: &Tensor, boundary: &[Tensor]) -> Vec<Tensor> {
    let mut seen: FxHashSet<u64> = boundary.iter().map(|t| t.0.id).collect();
    let mut stack = vec![y.clone()];
    let mut nodes = Vec::new();
    while let Some(t) = stack.pop() {
        if seen.insert(t.0.id) {
            stack.extend(t.inputs().iter().cloned());
            nodes.push(t);
        }
    }
    nodes.sort_unstable_by_key(|t| t.0.id);
    nodes
}

/// The last of `nodes` recorded anew, where `copies` stand for what lies below them. Constants are shared; other
/// nodes without operands (random words, indices) keep their values and stand behind barriers.
fn again(nodes: &[Tensor], mut copies: FxHashMap<u64, Tensor>) -> Option<Tensor> {
    for node in nodes {
        let copy = if !node.inputs().is_empty() {
            let inputs = node.inputs();
            let inputs: Vec<&Tensor> = inputs.iter().map(|i| &copies[&i.0.id]).collect();
            let (op, device) = (node.0.op.clone(), node.device().clone());
            Tensor::record_on(op, &inputs, device, node.location())
        } else if matches!(node.0.op.lower(), Lowered::Constant { .. }) {
            node.clone()
        } else {
            barrier::on(node)
        };
        copies.insert(node.0.id, copy);
    }
    nodes.last().and_then(|y| copies.remove(&y.0.id))
}

/// Gradients of the wanted operands through a copy.
fn recomputed(cx: &Derive, nodes: &[Tensor], upstream: &Tensor) -> Vec<Option<Tensor>> {
    let boundary: Vec<Tensor> = cx.inputs[1..].iter().map(barrier::on).collect();
    let copies = cx.inputs[1..]
        .iter()
        .zip(&boundary)
        .map(|(b, barrier)| (b.0.id, barrier.clone()))
        .collect();
    let wanted: Vec<usize> = (1..cx.inputs.len()).filter(|&i| cx.wants(i)).collect();
    let inputs: Vec<&Tensor> = wanted.iter().map(|&i| &boundary[i - 1]).collect();
    let mut list = vec![None; cx.inputs.len()];
    let Some(y) = again(nodes, copies) else {
        return list;
    };
    match pulled_back(&y, &inputs, upstream) {
        Ok(gradients) => {
            for (i, g) in wanted.into_iter().zip(gradients) {
                list[i] = g;
            }
        }
        // An invalid gradient is the outer gradient's error.
        Err(e) => {
            for i in wanted {
                let b = &cx.inputs[i];
                list[i] = Some(Tensor::invalid(
                    e.clone(),
                    b.shape(),
                    b.dtype(),
                    b.device(),
                ));
            }
        }
    }
    list
}

impl Primitive for Checkpoint {
    const NAME: &'static str = "checkpoint";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        Ok(x[0].shape.to_vec())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let nodes = between(&cx.inputs[0], &cx.inputs[1..]);
        if nodes.iter().any(|t| cx.request.names(t)) {
            let mut list = vec![None; cx.inputs.len()];
            list[0] = Some(upstream.clone());
            return Derivative::Of(list);
        }
        Derivative::Of(recomputed(cx, &nodes, upstream))
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        // The batched operands are no longer all that the batched value depends on.
        x[0].clone()
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        Array {
            shape: shape.to_vec(),
            dtype,
            data: x[0].data.clone(),
        }
    }

    fn lower(&self) -> Lowered {
        Lowered::Identity
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let x = || SampleInput::f32(&[3, 2], -1.0, 1.0);
        vec![
            Sample::new(Checkpoint, vec![x()]),
            Sample::special(Checkpoint, vec![x(), SampleInput::f32(&[4], -1.0, 1.0)]),
        ]
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance {
            rtol: 0.0,
            atol: 0.0,
        }
    }
}
