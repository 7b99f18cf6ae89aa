//! Loops as tensors: recording one over a traced body, its results, and rows of slices. It must not know who asks for it.

use super::body::{Traced, trace};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::Result;
use crate::ops::Op;
use crate::ops::loop_::{Loop, Output, Spec};
use crate::ops::pick::Pick;
use crate::shape::numel;
use crate::tensor::Tensor;
use std::panic::Location;

/// How a loop runs.
#[derive(Clone, Copy)]
pub(super) struct Rounds {
    pub(super) length: usize,
    pub(super) reverse: bool,
    /// See [`Spec::align`].
    pub(super) align: usize,
    /// Whether the derivative is given the products of the body.
    pub(super) keep_products: bool,
}

/// Stand-ins for a body's operands, and what they stand for.
pub(super) struct Given<'a> {
    /// Carries, slices, constants, in this order.
    pub(super) stand_ins: &'a [Tensor],
    pub(super) carries: usize,
    pub(super) slices: usize,
    /// The operand of a stand-in, asked for where the body needs it.
    pub(super) operand: &'a dyn Fn(usize) -> Tensor,
    /// An id that nodes before the body do not reach.
    pub(super) first: u64,
    pub(super) device: &'a Device,
    pub(super) location: &'static Location<'static>,
}

/// Records the loop whose body gives `outputs`, the next carries first. Operands that the body does not need are left out,
/// but for carries.
///
/// # Errors
/// As [`trace`].
pub(super) fn looped(given: &Given<'_>, rounds: Rounds, outputs: &[Tensor]) -> Result<Tensor> {
    let Traced { body, captured } = trace(given.stand_ins, outputs, given.first)?;
    let mut keep = body.used();
    keep[..given.carries].fill(true);
    let own = 0..given.stand_ins.len();
    let mut operands: Vec<Tensor> = own
        .filter(|&i| keep[i])
        .map(|i| (given.operand)(i))
        .collect();
    let slices = &keep[given.carries..given.carries + given.slices];
    let n_slices = slices.iter().filter(|&&k| k).count();
    let body = body.without(&keep);
    let spec = Spec {
        carries: given.carries,
        slices: n_slices,
        kept: match rounds.keep_products {
            true => body.products(),
            false => Vec::new(),
        },
        body,
        length: rounds.length,
        reverse: rounds.reverse,
        align: rounds.align,
    };
    operands.extend(captured);
    let operands: Vec<&Tensor> = operands.iter().collect();
    let op = Op::Loop(Loop::new(spec));
    let node = Tensor::record_on(op, &operands, given.device.clone(), given.location);
    node.check()?;
    Ok(node)
}

/// A result of a loop.
pub(super) fn pick(node: &Tensor, l: &Loop, output: Output) -> Tensor {
    let (shape, dtype) = l.result(output);
    let op = Pick {
        output,
        start: l.range(output).start,
        shape,
        dtype,
    };
    Tensor::record_on(op.into(), &[node], node.device().clone(), node.location())
}

/// The loop of a node that is one.
pub(super) fn of(node: &Tensor) -> Option<&Loop> {
    node.0.op.as_loop()
}

/// `[length, …]` as rows of slices.
pub(super) fn rows(x: &Tensor, align: usize) -> Tensor {
    let n = numel(&x.shape()[1..]);
    let flat = x.reshape_to(&[x.shape()[0], n]);
    let missing = n.next_multiple_of(align) - n;
    match missing {
        0 => flat,
        _ => flat.pad_to(&[0, 0], &[0, missing], &[0, 0]),
    }
}

/// Rows of slices as `[length, shape…]`.
pub(super) fn from_rows(rows: &Tensor, shape: &[usize]) -> Tensor {
    let (length, n) = (rows.shape()[0], numel(shape));
    let part = match rows.shape()[1] == n {
        true => rows.clone(),
        false => rows.slice_to(&[0, 0], &[1, 1], &[length, n]),
    };
    part.reshape_to(&[&[length], shape].concat())
}

/// A part of a flat value, among zeros.
pub(crate) fn embedded(part: &Tensor, start: usize, total: usize) -> Tensor {
    let n = part.numel();
    let flat = part.cast(DType::F32).reshape_to(&[n]);
    flat.pad_to(&[start], &[total - start - n], &[0])
}
