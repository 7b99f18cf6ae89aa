//! A loop applied to each of a batch: one loop over the batched body. It must not run anything.

use super::record::{Given, Rounds, from_rows, looped, of, pick, rows};
use crate::error::Result;
use crate::ops::Op;
use crate::ops::loop_::{Loop, Output, Spec};
use crate::ops::pick::Pick;
use crate::tensor::{Tensor, next_id};

/// The rule of [`Loop`]: every operand has a leading dimension more. The value is that of the batched loop, whose results are
/// brought into order when they are picked.
pub(crate) fn batch(l: &Loop, x: &[Tensor]) -> Tensor {
    let made = batched_loop(l, x);
    made.unwrap_or_else(|e| Tensor::invalid(e, &[], crate::DType::F32, x[0].device()))
}

/// What all examples share, if the operand is only repeated.
fn shared(x: &Tensor) -> Option<Tensor> {
    if !matches!(x.0.op, Op::Expand(_)) {
        return None;
    }
    let whole = &x.inputs()[0];
    let same = whole.shape().first() == Some(&1) && whole.shape()[1..] == x.shape()[1..];
    same.then(|| whole.reshape_to(&whole.shape()[1..]))
}

fn batched_loop(l: &Loop, x: &[Tensor]) -> Result<Tensor> {
    let Spec {
        body,
        carries,
        slices,
        ..
    } = l.spec();
    let size = x[0].shape()[0];
    let constants = carries + slices;
    let common: Vec<Option<Tensor>> = x
        .iter()
        .enumerate()
        .map(|(i, t)| shared(t).filter(|_| i >= *carries))
        .collect();
    let device = x[0].device();
    let first = next_id();
    let mut known: Vec<(Tensor, bool)> = Vec::with_capacity(body.nodes.len());
    for (node, common) in body.nodes.iter().zip(&common) {
        let shape = match common {
            Some(_) => node.shape.clone(),
            None => [&[size], &node.shape[..]].concat(),
        };
        let stand_in = Tensor::symbol(&shape, node.dtype, device);
        known.push((stand_in, common.is_none()));
    }
    let stand_ins: Vec<Tensor> = known.iter().map(|(t, _)| t.clone()).collect();
    for node in &body.nodes[body.n_inputs..] {
        let is_batched = node.inputs.iter().any(|&i| known[i].1);
        let new = match is_batched {
            true => {
                let operands = node.inputs.iter().map(|&i| repeated(&known[i], size));
                node.op.batch(&operands.collect::<Vec<_>>())
            }
            false => {
                let operands: Vec<&Tensor> = node.inputs.iter().map(|&i| &known[i].0).collect();
                Tensor::record_on(node.op.clone(), &operands, device.clone(), node.location)
            }
        };
        known.push((new, is_batched));
    }
    // What is kept is a result as any other then.
    let outputs = body.outputs.iter().chain(l.spec().kept.iter().rev());
    let outputs: Vec<Tensor> = outputs.map(|&o| repeated(&known[o], size)).collect();
    let align = l.spec().align;
    let operand = |i: usize| match &common[i] {
        Some(common) => common.clone(),
        None if (*carries..constants).contains(&i) => {
            // [batch, length, pitch] to [length, batch · n].
            let node = &body.nodes[i];
            let n: usize = node.shape.iter().product();
            let length = x[i].shape()[1];
            let part = x[i].slice_to(&[0; 3], &[1; 3], &[size, length, n]);
            rows(&part.permute_to(&[1, 0, 2]), align)
        }
        None => x[i].clone(),
    };
    let given = Given {
        stand_ins: &stand_ins,
        carries: *carries,
        slices: *slices,
        operand: &operand,
        first,
        device,
        location: x[0].location(),
    };
    let rounds = Rounds {
        length: l.spec().length,
        reverse: l.spec().reverse,
        align,
        keep_products: false,
    };
    looped(&given, rounds, &outputs)
}

/// A value of each example.
fn repeated((t, is_batched): &(Tensor, bool), size: usize) -> Tensor {
    match is_batched {
        true => t.clone(),
        false => t.unsqueeze(0).expand_to(&[&[size], t.shape()].concat()),
    }
}

/// The rule of [`Pick`]: from a batched loop, else from values `[batch, total]`.
pub(crate) fn batched_pick(pick_: &Pick, x: &Tensor) -> Tensor {
    let Some(l) = of(x) else {
        let n: usize = pick_.shape.iter().product();
        let size = x.size(0);
        let part = x.slice_to(&[0, pick_.start], &[1, 1], &[size, n]);
        let shape = [&[size], &pick_.shape[..]].concat();
        return part.reshape_to(&shape).cast(pick_.dtype);
    };
    // What was kept comes last, in the other order.
    let each = l.spec().body.outputs.len() - l.spec().carries;
    let output = match pick_.output {
        Output::Kept(k) => Output::Each(each - 1 - k),
        other => other,
    };
    let result = pick(x, l, output);
    if let Output::Carry(_) = output {
        return result;
    }
    let part = l.part(output).0;
    let n: usize = part[1..].iter().product();
    let each = from_rows(&result, &[part[0], n]).permute_to(&[1, 0, 2]);
    match pick_.shape[1] - n {
        0 => each,
        missing => each.pad_to(&[0; 3], &[0, 0, missing], &[0; 3]),
    }
}
