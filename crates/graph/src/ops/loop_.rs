//! A loop: the body, a graph as data, computed `length` times, where each round is given what the round before has left
//! (the carries), its part of some operands (the slices), and all of others. [`scan`](crate::scan()) records it. Operands:
//! first carries, `[length, pitch]` slices, constants. Its value is all results flattened, one behind the other; they are
//! picked from it by [`Pick`](super::pick::Pick), and only those that are picked are computed and kept:
//!
//! ```text
//!  carry 0 … │ the carries after the last round
//!  each 0 …  │ [length, pitch]  what each round gives besides
//!  before 0 …│ [length, pitch]  the carries before each round, which the derivative needs
//!  kept 0 …  │ [length, pitch]  what the derivative is spared to compute again, if anything
//! ```
//!
//! A row of `pitch` elements holds an array of the body and what is missing to a multiple of the device's alignment.
//! Derivative: a loop in the other direction over the vector-Jacobian product of the body ([`crate::loops`]).

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::error::Result;
use crate::loops::{self, Body};
use crate::reference::{self, Array};
use crate::shape::numel;
use crate::tensor::Tensor;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug)]
pub struct Loop(Arc<Spec>);

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    pub(crate) body: Body,
    /// How many operands, and as many results, are carries.
    pub(crate) carries: usize,
    /// How many operands after those are given slice by slice.
    pub(crate) slices: usize,
    pub(crate) length: usize,
    /// From the last slice to the first.
    pub(crate) reverse: bool,
    /// Rows begin at multiples of so many elements.
    pub(crate) align: usize,
    /// Nodes of the body whose values the derivative is given instead of computing them again.
    pub(crate) kept: Vec<usize>,
}

impl PartialEq for Loop {
    fn eq(&self, other: &Loop) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Loop {}

impl Hash for Loop {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// A result of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// This carry after the last round.
    Carry(usize),
    /// What each round gives besides its carries: this one of them.
    Each(usize),
    /// This carry before each round.
    Before(usize),
    /// The value in each round of this one of the nodes that are kept for the derivative.
    Kept(usize),
}

impl Loop {
    pub(crate) fn new(spec: Spec) -> Loop {
        Loop(Arc::new(spec))
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.0
    }

    pub(crate) fn body(&self) -> &Body {
        &self.0.body
    }

    /// Its results, in the order of its value.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = Output> + use<> {
        let (carries, all) = (self.0.carries, self.0.body.outputs.len());
        let last = (0..carries).map(Output::Carry);
        let each = (0..all - carries).map(Output::Each);
        let before = (0..carries).map(Output::Before);
        let kept = (0..self.0.kept.len()).map(Output::Kept);
        last.chain(each).chain(before).chain(kept)
    }

    /// The array of the body that a result consists of: its shape and dtype.
    pub(crate) fn part(&self, output: Output) -> (&[usize], DType) {
        let Spec { body, carries, .. } = &*self.0;
        let node = match output {
            Output::Carry(i) | Output::Before(i) => i,
            Output::Each(j) => body.outputs[carries + j],
            Output::Kept(k) => self.0.kept[k],
        };
        (&body.nodes[node].shape, body.nodes[node].dtype)
    }

    /// Elements from one row of such arrays to the next.
    pub(crate) fn pitch(&self, shape: &[usize]) -> usize {
        numel(shape).next_multiple_of(self.0.align)
    }

    /// Shape and dtype of a result.
    pub(crate) fn result(&self, output: Output) -> (Vec<usize>, DType) {
        let (shape, dtype) = self.part(output);
        match output {
            Output::Carry(_) => (shape.to_vec(), dtype),
            _ => (vec![self.0.length, self.pitch(shape)], dtype),
        }
    }

    /// Where a result lies in the value.
    pub(crate) fn range(&self, output: Output) -> Range<usize> {
        let mut at = 0;
        for one in self.outputs() {
            let end = numel(&self.result(one).0).saturating_add(at);
            if one == output {
                return at..end;
            }
            at = end;
        }
        at..at
    }

    /// Shape and dtype of each operand.
    pub(crate) fn operands(&self) -> impl Iterator<Item = (Vec<usize>, DType)> + '_ {
        let Spec {
            body,
            carries,
            slices,
            length,
            ..
        } = &*self.0;
        let nodes = body.nodes[..body.n_inputs].iter().enumerate();
        nodes.map(move |(i, node)| match i {
            i if (*carries..carries + slices).contains(&i) => {
                (vec![*length, self.pitch(&node.shape)], node.dtype)
            }
            _ => (node.shape.clone(), node.dtype),
        })
    }

    /// The value in f64, round by round; each operation rounded to its dtype, or only integers.
    ///
    /// # Errors
    /// An index of the body is out of range.
    pub(crate) fn run(&self, x: &[&Array], round: bool) -> Result<Array> {
        let spec = &*self.0;
        let outputs: Vec<(Output, Range<usize>)> =
            self.outputs().map(|o| (o, self.range(o))).collect();
        let total = outputs.last().map_or(0, |(_, range)| range.end);
        let mut value = Array::full(&[total], DType::F32, 0.0);
        let mut state: Vec<Arc<Array>> = x.iter().map(|a| Arc::new((*a).clone())).collect();
        for at in 0..spec.length {
            let t = match spec.reverse {
                true => spec.length - 1 - at,
                false => at,
            };
            for j in spec.carries..spec.carries + spec.slices {
                state[j] = Arc::new(self.slice(j, x[j], t));
            }
            let nodes = reference::evaluate_body(&spec.body, &state, round)?;
            let result = |j: usize| &nodes[spec.body.outputs[j]];
            for (output, range) in &outputs {
                let array = match *output {
                    Output::Carry(_) => continue,
                    Output::Each(j) => result(spec.carries + j),
                    Output::Before(i) => &state[i],
                    Output::Kept(k) => &nodes[spec.kept[k]],
                };
                let to = range.start + t * self.pitch(&array.shape);
                value.data[to..to + array.data.len()].copy_from_slice(&array.data);
            }
            let next: Vec<_> = (0..spec.carries).map(|j| result(j).clone()).collect();
            state.splice(..spec.carries, next);
        }
        for ((_, range), carry) in outputs.into_iter().zip(&state).take(spec.carries) {
            value.data[range].copy_from_slice(&carry.data);
        }
        Ok(value)
    }

    /// Slice `t` of operand `j`.
    fn slice(&self, j: usize, rows: &Array, t: usize) -> Array {
        let node = &self.0.body.nodes[j];
        let from = t * self.pitch(&node.shape);
        Array {
            shape: node.shape.clone(),
            dtype: node.dtype,
            data: rows.data[from..from + numel(&node.shape)].to_vec(),
        }
    }
}

impl Primitive for Loop {
    const NAME: &'static str = "loop";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        let n = self.0.body.n_inputs;
        if x.len() != n {
            return Err(format!("{} operands instead of {n}", x.len()));
        }
        for (i, (have, (shape, _))) in x.iter().zip(self.operands()).enumerate() {
            if have.shape != shape {
                return Err(format!("operand {i} is {:?} instead of {shape:?}", have.shape));
            }
        }
        let sizes = self.outputs().map(|o| numel(&self.result(o).0));
        Ok(vec![sizes.fold(0, usize::saturating_add)])
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        for (i, (have, (_, dtype))) in x.iter().zip(self.operands()).enumerate() {
            if have.dtype != dtype {
                return Err(format!("operand {i} is {} instead of {dtype}", have.dtype));
            }
        }
        Ok(DType::F32)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        loops::derivative(self, cx, upstream)
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        loops::batch(self, x)
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        // The evaluators call `run` themselves, for its error.
        self.run(x, true)
            .unwrap_or_else(|_| Array::full(shape, dtype, f64::NAN))
    }

    fn lower(&self) -> Lowered {
        Lowered::Loop
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        samples()
    }
}

#[cfg(any(test, feature = "samples"))]
fn samples() -> Vec<Sample<Loop>> {
    let f = |shape: &[usize]| SampleInput::f32(shape, -1.0, 1.0);
    let mut all = Vec::new();
    // Every device may bind rows that begin at multiples of 64.
    let align = 64;
    for (length, reverse) in [(4, false), (3, true), (1, false), (0, false)] {
        // h' = tanh(h W + x), y = h' sin(x), beside a carry that adds up.
        let cell = |c: &[Tensor]| {
            let [h, sum, x, w] = c else { return Vec::new() };
            let new = (h.matmul(w) + x).tanh();
            let y = &new * x.sin();
            vec![new.clone(), sum + new.sum() * 0.5, y]
        };
        let shapes: [&[usize]; 4] = [&[2, 3], &[], &[2, 3], &[3, 3]];
        let op = loops::sample(&shapes, [2, 1], (length, reverse, align), &cell);
        let row = 6usize.next_multiple_of(align);
        let inputs = vec![f(&[2, 3]), f(&[]), f(&[length, row]), f(&[3, 3])];
        all.push(Sample::new(op, inputs));
    }
    // No carry, no slice: a loop of one number.
    let square = |c: &[Tensor]| vec![&c[0] * &c[0] * 0.9];
    let op = loops::sample(&[&[]], [1, 0], (3, false, align), &square);
    all.push(Sample::new(op, vec![f(&[])]));
    let map = |c: &[Tensor]| vec![c[0].exp()];
    let op = loops::sample(&[&[2]], [0, 1], (5, false, align), &map);
    all.push(Sample::new(op, vec![f(&[5, align])]));
    all
}
