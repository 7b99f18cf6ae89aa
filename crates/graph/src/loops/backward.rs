//! The derivative of a loop: a loop in the other direction, whose body is the vector-Jacobian product of the body.
//!
//! ```text
//!              x₀      x₁                                  forward: c₁ = f(c₀, x₀, w), with what it gives besides
//!              ▼       ▼
//!      c₀ ──► body ─► body ─► c₂                           kept: the carries before each round, if anybody differentiates
//!              │ c₀    │ c₁                                backward: from the gradient of c₂ on, the body is computed again
//!              ▼       ▼                                   from c₁, x₁ and differentiated; the gradients of what all
//!     g₀ ◄── pull ◄── pull ◄── g₂,  Σ gradients of w       rounds share are added up in a carry
//! ```
//!
//! As that is a loop again, so is every further derivative. It must not run anything.

use super::late::{Finder, Late, Rows};
use super::record::{Given, Rounds, looped, of, pick};
use crate::autodiff::pulled_back_all;
use crate::depth::Pause;
use crate::dtype::DType;
use crate::error::Result;
use crate::ops::loop_::{Loop, Output, Spec};
use crate::ops::{Derivative, Derive, Op};
use crate::tensor::{Tensor, next_id};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// The rule of [`Loop`].
pub(crate) fn derivative(l: &Loop, cx: &Derive, upstream: &Tensor) -> Derivative {
    let _pause = Pause::new();
    let wanted: Vec<bool> = (0..cx.inputs.len()).map(|i| cx.wants(i)).collect();
    let backward = Backward::new(l, cx.inputs, cx.output, upstream, &wanted);
    let list = backward.record().unwrap_or_else(|e| {
        // An invalid gradient is the outer gradient's error.
        let all = cx.inputs.iter().zip(&wanted);
        let invalid = |t: &Tensor| Tensor::invalid(e.clone(), t.shape(), t.dtype(), t.device());
        all.map(|(t, &wanted)| wanted.then(|| invalid(t))).collect()
    });
    Derivative::Of(list)
}

struct Backward<'a> {
    l: &'a Loop,
    operands: &'a [Tensor],
    value: &'a Tensor,
    wanted: &'a [bool],
    /// Gradients of the results; none where it is zero.
    upstream: FxHashMap<Output, Tensor>,
    /// Of each node of the body whether a wanted operand reaches it.
    reached: Vec<bool>,
    /// Carries whose gradients go on from round to round.
    carried: Vec<usize>,
    /// Slices whose gradients are wanted.
    sliced: Vec<usize>,
    /// The same of constants.
    summed: Vec<usize>,
}

/// Stand-ins of the backward loop.
struct StandIns {
    carried: Vec<Tensor>,
    slices: Vec<Tensor>,
    constants: Vec<Tensor>,
}

/// What a round of the backward loop gives.
struct Pulled {
    /// Gradients of carries.
    carried: Vec<Tensor>,
    /// This round's part of gradients of constants.
    sums: Vec<Option<Tensor>>,
    /// Gradients of slices.
    slices: Vec<Tensor>,
}

/// How the gradient of a constant is summed.
enum Sum {
    Zero,
    /// After the loop.
    Late(Late),
    /// In a carry.
    Carry(usize),
}

/// What a slice of the backward loop is.
#[derive(Clone, Copy)]
enum Slice {
    /// The operand of the body, a carry or a slice.
    Operand(usize),
    /// What was kept of a round.
    Kept(usize),
    /// The gradient of a result.
    Gradient(Output),
}

impl<'a> Backward<'a> {
    fn new(
        l: &'a Loop,
        operands: &'a [Tensor],
        value: &'a Tensor,
        upstream: &Tensor,
        wanted: &'a [bool],
    ) -> Backward<'a> {
        let Spec {
            body,
            carries,
            slices,
            ..
        } = l.spec();
        let reached = reached(l, wanted);
        let constants = carries + slices;
        Backward {
            carried: (0..*carries).filter(|&i| reached[i]).collect(),
            sliced: (*carries..constants).filter(|&i| wanted[i]).collect(),
            summed: (constants..body.n_inputs).filter(|&i| wanted[i]).collect(),
            upstream: parts(l, upstream),
            l,
            operands,
            value,
            wanted,
            reached,
        }
    }

    /// The slices that the backward loop may need, and the carries and slices of the body first.
    fn slices(&self) -> Vec<Slice> {
        let spec = self.l.spec();
        let own = (0..spec.carries + spec.slices).map(Slice::Operand);
        let kept = (0..spec.kept.len()).map(Slice::Kept);
        let given = self.l.outputs().filter(|o| self.upstream.contains_key(o));
        let given = given.filter(|&o| match o {
            Output::Carry(_) => false,
            Output::Each(j) => self.reached[spec.body.outputs[spec.carries + j]],
            Output::Before(i) => self.reached[i],
            Output::Kept(k) => self.reached[spec.kept[k]],
        });
        let given = given.map(Slice::Gradient);
        own.chain(kept).chain(given).collect()
    }

    /// Zeros of the operand's shape; sums are f32.
    fn zeros(&self, operand: usize, dtype: DType) -> Tensor {
        let shape = &self.l.spec().body.nodes[operand].shape;
        Tensor::zeros(shape, dtype, self.value.device())
    }

    fn record(&self) -> Result<Vec<Option<Tensor>>> {
        let spec = self.l.spec();
        let device = self.value.device();
        let nodes = &spec.body.nodes;
        let slices = self.slices();
        let first = next_id();
        let stand_in = |shape: &[usize], dtype: DType| Tensor::symbol(shape, dtype, device);
        let of_node = |i: usize| stand_in(&nodes[i].shape, nodes[i].dtype);
        let constants = spec.carries + spec.slices..spec.body.n_inputs;
        let operands: Vec<Tensor> = (0..spec.body.n_inputs).map(of_node).collect();
        let body = spec.body.record(&operands, device);
        let of_slice = |slice: &Slice| match *slice {
            Slice::Operand(i) => operands[i].clone(),
            // Differentiated as the product that it is, and then not computed.
            Slice::Kept(k) => body[spec.kept[k]].clone(),
            Slice::Gradient(output) => {
                let (shape, dtype) = self.l.part(output);
                stand_in(shape, dtype)
            }
        };
        let ins = StandIns {
            carried: self.carried.iter().map(|&i| of_node(i)).collect(),
            slices: slices.iter().map(of_slice).collect(),
            constants: operands[constants.clone()].to_vec(),
        };
        let pulled = self.pulled(&ins, &slices, &body)?;
        let (mut outputs, mut each) = (pulled.carried, pulled.slices);
        let mut finder = Finder {
            slices: &ins.slices,
            each: &mut each,
            length: spec.length,
        };
        let mut stand_ins = ins.carried.clone();
        let mut sums = Vec::new();
        for (at, gradient) in pulled.sums.into_iter().enumerate() {
            sums.push(match gradient {
                None => Sum::Zero,
                Some(g) => match finder.late(&g) {
                    Some(late) => Sum::Late(late),
                    None => {
                        let sum = stand_in(&nodes[self.summed[at]].shape, DType::F32);
                        outputs.push(&sum + g.cast(DType::F32));
                        stand_ins.push(sum);
                        Sum::Carry(stand_ins.len() - 1)
                    }
                },
            });
        }
        outputs.extend(each);
        let carries = stand_ins.len();
        stand_ins.extend(ins.slices.into_iter().chain(ins.constants));
        let is = |s: &Sum, carry: usize| matches!(s, Sum::Carry(c) if *c == carry);
        let operand = |i: usize| match i {
            i if i < self.carried.len() => self.first_gradient(self.carried[i]),
            i if i < carries => {
                let sum = sums.iter().position(|s| is(s, i)).unwrap_or_default();
                self.zeros(self.summed[sum], DType::F32)
            }
            i if i < carries + slices.len() => self.slice_operand(slices[i - carries]),
            i => self.operands[constants.start + i - carries - slices.len()].clone(),
        };
        let given = Given {
            stand_ins: &stand_ins,
            carries,
            slices: slices.len(),
            operand: &operand,
            first,
            device,
            location: self.value.location(),
        };
        let rounds = Rounds {
            length: spec.length,
            reverse: !spec.reverse,
            align: spec.align,
            keep_products: !spec.kept.is_empty(),
        };
        let node = looped(&given, rounds, &outputs)?;
        Ok(self.results(&node, &sums, &slices))
    }

    /// The gradient of a carry after the last round.
    fn first_gradient(&self, carry: usize) -> Tensor {
        let known = self.upstream.get(&Output::Carry(carry));
        let zeros = || self.zeros(carry, self.l.spec().body.nodes[carry].dtype);
        known.cloned().unwrap_or_else(zeros)
    }

    fn slice_operand(&self, slice: Slice) -> Tensor {
        match slice {
            Slice::Operand(i) if i < self.l.spec().carries => {
                pick(self.value, self.l, Output::Before(i))
            }
            Slice::Operand(i) => self.operands[i].clone(),
            Slice::Kept(k) => pick(self.value, self.l, Output::Kept(k)),
            Slice::Gradient(output) => self.upstream[&output].clone(),
        }
    }

    /// The gradients that a round of the backward loop computes, where `body` is the body recorded.
    fn pulled(&self, ins: &StandIns, slices: &[Slice], body: &[Tensor]) -> Result<Pulled> {
        let spec = self.l.spec();
        let result = |j: usize| &body[spec.body.outputs[j]];
        let given = |output: Output| {
            let is = |s: &Slice| matches!(s, Slice::Gradient(o) if *o == output);
            let at = slices.iter().position(is)?;
            Some(&ins.slices[at])
        };
        let mut seeds: Vec<(&Tensor, &Tensor)> = Vec::new();
        for (gradient, &i) in ins.carried.iter().zip(&self.carried) {
            if self.reached[spec.body.outputs[i]] {
                seeds.push((result(i), gradient));
            }
        }
        for j in 0..spec.body.outputs.len() - spec.carries {
            let gradient = given(Output::Each(j));
            seeds.extend(gradient.map(|g| (result(spec.carries + j), g)));
        }
        for (k, &node) in spec.kept.iter().enumerate() {
            let gradient = given(Output::Kept(k));
            seeds.extend(gradient.map(|g| (&body[node], g)));
        }
        let wanted = self.carried.iter().chain(&self.summed).chain(&self.sliced);
        let wanted: Vec<&Tensor> = wanted.map(|&i| &body[i]).collect();
        let mut gradients = pulled_back_all(&seeds, &wanted)?;
        let of_slices = gradients.split_off(self.carried.len() + self.summed.len());
        let sums = gradients.split_off(self.carried.len());
        let carried = gradients.into_iter().zip(&self.carried);
        let carried = carried.map(
            |(gradient, &i)| match (gradient, given(Output::Before(i))) {
                (Some(g), Some(before)) => g + before,
                (Some(g), None) => g,
                (None, Some(before)) => before.clone(),
                (None, None) => self.zeros(i, spec.body.nodes[i].dtype),
            },
        );
        let of_slices = of_slices.into_iter().zip(&self.sliced);
        let of_slices = of_slices.map(|(g, &i)| g.unwrap_or_else(|| body[i].zeros_like()));
        Ok(Pulled {
            carried: carried.collect(),
            sums,
            slices: of_slices.collect(),
        })
    }

    /// The gradients of the operands, picked from the backward loop.
    fn results(&self, node: &Tensor, sums: &[Sum], slices: &[Slice]) -> Vec<Option<Tensor>> {
        let mut list = vec![None; self.operands.len()];
        let Some(l) = of(node) else { return list };
        let picked = |output| pick(node, l, output);
        for (at, &i) in self.carried.iter().enumerate() {
            if self.wanted[i] {
                list[i] = Some(picked(Output::Carry(at)));
            }
        }
        let rows = |rows: Rows| match rows {
            Rows::Slice(at) => self.slice_operand(slices[at]),
            Rows::Each(at) => picked(Output::Each(at)),
        };
        for (sum, &i) in sums.iter().zip(&self.summed) {
            let sum = match sum {
                Sum::Zero => None,
                Sum::Late(late) => Some(late.finished(&rows)),
                Sum::Carry(at) => Some(picked(Output::Carry(*at))),
            };
            list[i] = sum.map(|t| t.cast(self.operands[i].dtype()));
        }
        for (at, &i) in self.sliced.iter().enumerate() {
            list[i] = Some(picked(Output::Each(at)));
        }
        list
    }
}

/// Which nodes of the body carry floats that depend on wanted operands, by this round or by one before.
fn reached(l: &Loop, wanted: &[bool]) -> Vec<bool> {
    let Spec { body, carries, .. } = l.spec();
    let mut from = wanted.to_vec();
    loop {
        let reached = body.reached(&from);
        let new = |&i: &usize| reached[body.outputs[i]] && body.nodes[i].dtype.is_float();
        let more: Vec<usize> = (0..*carries).filter(new).filter(|&i| !from[i]).collect();
        if more.is_empty() {
            return reached;
        }
        more.into_iter().for_each(|i| from[i] = true);
    }
}

/// The gradient of a loop's value in parts. It is a sum of parts among zeros where the results were picked: then those are
/// taken as they are.
fn parts(l: &Loop, upstream: &Tensor) -> FxHashMap<Output, Tensor> {
    let ranges: Vec<_> = l.outputs().map(|o| (o, l.range(o))).collect();
    let mut parts: FxHashMap<Output, Tensor> = FxHashMap::default();
    let mut add = |output: Output, flat: &Tensor| {
        let (shape, dtype) = l.result(output);
        let part = flat.reshape_to(&shape).cast(dtype);
        let sum = match parts.remove(&output) {
            Some(before) => before + part,
            None => part,
        };
        parts.insert(output, sum);
    };
    let mut rest: Option<Tensor> = None;
    let mut stack = vec![upstream.clone()];
    while let Some(t) = stack.pop() {
        if matches!(t.0.op, Op::Add(_)) {
            stack.extend(t.inputs().iter().rev().cloned());
            continue;
        }
        if let Op::Pad(pad) = &t.0.op
            && pad.lo.len() == 1
            && pad.interior[0] == 0
        {
            let (start, n) = (pad.lo[0], t.inputs()[0].numel());
            let same = |(_, r): &&(Output, Range<usize>)| (r.start, r.len()) == (start, n);
            if let Some((output, _)) = ranges.iter().find(same).filter(|_| n > 0) {
                add(*output, &t.inputs()[0]);
            }
            if n == 0 || ranges.iter().any(|r| same(&r)) {
                continue;
            }
        }
        rest = Some(rest.map_or_else(|| t.clone(), |r| r + &t));
    }
    if let Some(rest) = rest {
        for (output, range) in ranges.iter().filter(|(_, r)| !r.is_empty()) {
            add(
                *output,
                &rest.slice_to(&[range.start], &[1], &[range.len()]),
            );
        }
    }
    parts
}
