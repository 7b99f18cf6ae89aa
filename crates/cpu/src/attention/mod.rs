//! Attention without its scores in memory: blocks of queries by blocks of keys that stay in a thread's caches, with a running
//! greatest score and sum (`forward`), and again from what the forward pass keeps of each row (`backward`). Every result is summed
//! in an order that follows from shapes. It must not know a plan.
//!
//! ```text
//!  forward   keys │ K panel · Qᵀ = scores, a lane for each query ──► weights (running maximum, sum) ──► out += weightsᵀ · V
//!  backward       │ Q panel · Kᵀ = scores, dO · Vᵀ ──► weights p, slopes z ──► dV += pᵀ · dO, dK += zᵀ · Q, dQ += z · K
//! ```

mod backward;
mod forward;
mod tiles;
mod weights;

use crate::call::Context;
use crate::dtype::DType;
use crate::plan::{Attention, AttentionResult, Heads};
use std::ops::Range;
use tiles::Lines;

/// Runs `attention`; `outs` are its results in order.
pub(crate) fn run(attention: &Attention, context: Context<'_>, outs: &mut [&mut [u32]]) {
    let given = Given::new(attention, &context);
    let mut results: Vec<(AttentionResult, &mut [f32])> = Vec::new();
    for (&result, out) in attention.results.iter().zip(outs) {
        results.push((result, bytemuck::cast_slice_mut(out)));
    }
    match attention.is_backward() {
        true => backward::run(&given, &mut results, context.par),
        false => forward::run(&given, &mut results, context.par),
    }
}

pub(crate) use backward::step_bytes;

/// The operands of a step.
struct Given<'a> {
    attention: &'a Attention,
    inputs: Vec<&'a [f32]>,
    mask: Option<(DType, &'a [u32])>,
}

/// A matrix of the batch.
#[derive(Clone, Copy)]
struct Head {
    at: [usize; 2],
}

impl<'a> Given<'a> {
    fn new(attention: &'a Attention, context: &Context<'a>) -> Given<'a> {
        let floats = |i: usize| match context.inputs[i].bytes {
            [] => &[][..],
            bytes => bytemuck::cast_slice(bytes),
        };
        let n = context.inputs.len() - usize::from(attention.mask);
        let masked = attention
            .mask
            .then(|| (context.inputs[n].dtype, words(context.inputs[n].bytes)));
        Given {
            attention,
            inputs: (0..n).map(floats).collect(),
            mask: masked,
        }
    }

    /// Matrices of the batch.
    fn heads(&self) -> usize {
        self.attention.batch[0] * self.attention.batch[1]
    }

    fn head(&self, index: usize) -> Head {
        let inner = self.attention.batch[1];
        Head {
            at: [index / inner, index % inner],
        }
    }

    /// The matrix of an input.
    fn lines(&self, input: usize, head: Head) -> Lines<'a> {
        let heads = &self.attention.inputs[input];
        Lines {
            data: self.inputs[input],
            at: first(heads, head),
            stride: heads.row,
        }
    }

    /// Where a mask of this head begins, if there is one.
    fn mask(&self, head: Head) -> Option<Mask<'a>> {
        let (dtype, words) = self.mask?;
        let heads = self.attention.inputs.last()?;
        Some(Mask {
            words,
            truth: dtype == DType::Bool,
            at: first(heads, head),
            row: heads.row,
            col: heads.col,
        })
    }

    /// Keys that queries before `queries` see, as far as causality goes.
    fn seen(&self, queries: usize) -> usize {
        match self.attention.causal {
            true => queries.min(self.attention.keys),
            false => self.attention.keys,
        }
    }

    /// Puts mask and causality on scores: query `i` and key `j` of the ranges at `i * at[0] + j * at[1]`.
    fn hide(
        &self,
        mask: Option<Mask<'_>>,
        scores: &mut [f32],
        at: [usize; 2],
        queries: &Range<usize>,
        keys: &Range<usize>,
    ) {
        if let Some(mask) = mask {
            mask.put_on(scores, at, queries, keys);
        }
        if !self.attention.causal || keys.end <= queries.start + 1 {
            return;
        }
        for (j, key) in keys.clone().enumerate() {
            for i in 0..key.saturating_sub(queries.start).min(queries.len()) {
                scores[i * at[0] + j * at[1]] = f32::NEG_INFINITY;
            }
        }
    }
}

/// Words of a mask; an empty slice may lie anywhere.
fn words(bytes: &[u8]) -> &[u32] {
    match bytes {
        [] => &[],
        _ => bytemuck::cast_slice(bytes),
    }
}

fn first(heads: &Heads, head: Head) -> usize {
    heads.offset + head.at[0] * heads.batch[0] + head.at[1] * heads.batch[1]
}

/// A mask of one head.
#[derive(Clone, Copy)]
struct Mask<'a> {
    words: &'a [u32],
    /// Truth values, not numbers.
    truth: bool,
    at: usize,
    row: usize,
    col: usize,
}

impl Mask<'_> {
    fn put_on(
        &self,
        scores: &mut [f32],
        at: [usize; 2],
        queries: &Range<usize>,
        keys: &Range<usize>,
    ) {
        let one = |score: f32, word: u32| match self.truth {
            true if word == 0 => f32::NEG_INFINITY,
            true => score,
            false => score + f32::from_bits(word),
        };
        // Scores are written in the order in which they lie.
        let (i, j) = ((queries, self.row, at[0]), (keys, self.col, at[1]));
        let (slow, fast) = if at[0] == 1 { (j, i) } else { (i, j) };
        for (s, outer) in slow.0.clone().enumerate() {
            let from = self.at + outer * slow.1 + fast.0.start * fast.1;
            let line = &mut scores[s * slow.2..][..fast.0.len()];
            match fast.1 {
                0 => line.iter_mut().for_each(|x| *x = one(*x, self.words[from])),
                1 => line
                    .iter_mut()
                    .zip(&self.words[from..])
                    .for_each(|(x, &w)| *x = one(*x, w)),
                step => line
                    .iter_mut()
                    .zip(self.words[from..].iter().step_by(step))
                    .for_each(|(x, &w)| *x = one(*x, w)),
            }
        }
    }
}

/// A result that several threads write, each its own rows.
#[derive(Clone, Copy)]
struct Shared {
    at: *mut f32,
    len: usize,
}

// SAFETY: threads take parts that do not overlap.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn of(out: &mut [f32]) -> Shared {
        Shared {
            at: out.as_mut_ptr(),
            len: out.len(),
        }
    }

    /// A part of it.
    ///
    /// # Safety
    /// Nobody else has any of it meanwhile, and the result is still borrowed.
    unsafe fn part<'o>(self, range: Range<usize>) -> &'o mut [f32] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "beyond a result"
        );
        // SAFETY: it lies in the result; the rest is the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.at.add(range.start), range.len()) }
    }
}

/// The result of this name.
fn shared(results: &mut [(AttentionResult, &mut [f32])], name: AttentionResult) -> Option<Shared> {
    let found = results.iter_mut().find(|(result, _)| *result == name);
    found.map(|(_, out)| Shared::of(out))
}

/// The parts of `range` of at most `size`.
fn blocks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(size).map(move |at| at..end.min(at + size))
}
