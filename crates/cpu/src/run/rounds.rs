//! A loop of a plan: its body's steps, round by round, in buffers of its own. What a round leaves is copied to where it
//! belongs, and carries change places with what the round was given. Where rows never meet, threads take parts of them through
//! all rounds (`sequences`). It must not know what the body computes.

use super::memory::{Buffers, Leaf};
use super::prepared::Prepared;
use super::segments::Segment;
use super::{Run, run_plan, sequences};
use crate::plan::{Loop, LoopWrite, Place, Plan, Step};
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::cell::Cell;

/// Bytes of an element.
const ELEMENT: usize = 4;

impl<'b> Buffers<'b> {
    /// Runs a loop of the plan, with `body` prepared.
    pub(super) fn rounds(
        &mut self,
        (plan, step): (&Plan, &Step),
        (l, body): (&Loop, &Prepared),
        run: Run<'_>,
        par: Par<'_>,
    ) {
        let mut outs: Vec<Option<HostBufferMut>> = Vec::with_capacity(l.writes.len());
        for slot in step.outputs() {
            let place = plan.slots[slot].place;
            outs.push(self.written(place).and_then(Option::take));
        }
        for (write, out) in l.writes.iter().zip(&mut outs) {
            // Rows that are longer than what is written into them have zeros at their ends.
            if let (LoopWrite::Each { len, pitch, .. }, Some(out)) = (write, out)
                && len != pitch
            {
                out.bytes_mut().fill(0);
            }
        }
        let inputs: Vec<&[u8]> = step
            .inputs
            .iter()
            .map(|&slot| self.operand(plan, slot).bytes)
            .collect();
        let mut inner = Buffers::within_step(&l.body, &body.packs);
        inner.leaves = (0..inputs.len())
            .map(|i| match i < l.carries.len() {
                // What an operand lies in may be longer.
                true => Leaf::Own(copied(&inputs[i][..l.carries[i] * ELEMENT])),
                false => Leaf::Part(inputs[i]),
            })
            .collect();
        let run = Run {
            scalars: &run.scalars[l.scalar..],
            ..run
        };
        let par = if body.large { par } else { Par::SERIAL };
        let enough = |s: &&Segment| s.share.parts() >= par.threads();
        match body.by_parts.as_ref().filter(enough) {
            Some(parts) => sequences::run(parts, &mut inner, l, (&inputs, &mut outs), (run, par)),
            None => inner.round_by_round((l, body), (&inputs, &mut outs), (run, par)),
        }
        for (write, out) in l.writes.iter().zip(&mut outs) {
            if let (LoopWrite::Last { carry }, Some(out)) = (write, out) {
                let n = l.carries[*carry] * ELEMENT;
                out.bytes_mut()[..n].copy_from_slice(&inner.leaves[*carry].bytes()[..n]);
            }
        }
        drop(inner);
        for (slot, out) in step.outputs().zip(outs) {
            if let Some(place) = self.written(plan.slots[slot].place) {
                *place = out;
            }
        }
    }

    /// All rounds, one after the other.
    fn round_by_round(
        &mut self,
        (l, body): (&Loop, &Prepared),
        (inputs, outs): (&[&'b [u8]], &mut [Option<HostBufferMut>]),
        (run, par): (Run<'_>, Par<'_>),
    ) {
        for round in 0..l.length {
            let row = l.row(round);
            for (j, &pitch) in l.pitches.iter().enumerate() {
                let from = row * pitch * ELEMENT;
                let at = l.carries.len() + j;
                let rows = inputs[at];
                self.leaves[at] = Leaf::Part(rows.get(from..).unwrap_or_default());
            }
            run_plan(self, (&l.body, body), run, &Cell::new(0), par);
            for (write, out) in l.writes.iter().zip(&mut *outs) {
                if let (LoopWrite::Each { result, len, pitch }, Some(out)) = (write, out) {
                    let new = self.operand(&l.body, l.body.outputs[*result]).bytes;
                    let (at, n) = (row * pitch * ELEMENT, len * ELEMENT);
                    out.bytes_mut()[at..at + n].copy_from_slice(&new[..n]);
                }
            }
            self.packed = true;
            self.hand_on(l);
        }
    }

    /// What a round has left becomes what the next is given.
    fn hand_on(&mut self, l: &Loop) {
        let is_own = |carry: usize| {
            let slot = &l.body.slots[l.body.outputs[carry]];
            slot.place == Place::Output(carry) && slot.len == l.carries[carry]
        };
        // What lies elsewhere is copied before anything changes places.
        let mut others: Vec<(usize, HostBufferMut)> = Vec::new();
        for (carry, &len) in l.carries.iter().enumerate() {
            let slot = l.body.outputs[carry];
            if !is_own(carry) && l.body.slots[slot].place != Place::Leaf(carry) {
                let new = self.operand(&l.body, slot).bytes;
                others.push((carry, copied(&new[..len * ELEMENT])));
            }
        }
        for carry in 0..l.carries.len() {
            if is_own(carry)
                && let (Leaf::Own(old), Some(new)) =
                    (&mut self.leaves[carry], &mut self.outputs[carry])
            {
                std::mem::swap(old, new);
            }
        }
        for (carry, new) in others {
            self.leaves[carry] = Leaf::Own(new);
        }
    }
}

fn copied(bytes: &[u8]) -> HostBufferMut {
    let mut copy = HostBufferMut::within_step(bytes.len());
    copy.bytes_mut().copy_from_slice(bytes);
    copy
}
