//! Puts cut steps together: where each value of a part lies, and whether the whole is worth a segment. It must not know
//! how a step is cut.

use super::cut::{Cut, cut};
use super::{BETWEEN, Chunk, LARGEST, Segment, Source};
use crate::conv;
use crate::plan::{ConvKind, Kernel, Place, Plan, SlotId, Step};
use crate::run::ready::Ready;
use std::ops::Range;

/// The steps as one segment of so many parts, if they fit together and it is worth it.
pub(super) fn build(
    plan: &Plan,
    users: &[Vec<usize>],
    steps: Range<usize>,
    parts: usize,
) -> Option<Segment> {
    let cuts: Vec<Cut> = steps
        .clone()
        .map(|i| cut(plan, &plan.steps[i], parts))
        .collect::<Option<_>>()?;
    let mut places = Places {
        plan,
        users,
        steps: steps.clone(),
        parts,
        own: Vec::new(),
        local: 0,
    };
    let mut chunks = Vec::with_capacity(cuts.len());
    let (mut packs, mut sums) = (0, 0);
    for (i, cut) in steps.clone().zip(cuts) {
        let step = &plan.steps[i];
        let is_read_by_part =
            |(&slot, &reads): (&SlotId, &(usize, usize))| places.is_read_by_part(slot, reads);
        if !step.inputs.iter().zip(&cut.inputs).all(is_read_by_part) {
            return None;
        }
        let pack = match &step.kernel {
            Kernel::Conv(c) => conv::packed_len(c),
            _ => None,
        };
        let partial = match &cut.kernel {
            Kernel::Conv(c) => conv::sums(c).map(|s| s.len() * parts),
            _ => None,
        };
        let inputs = step.inputs.iter().copied().zip(cut.inputs.iter().copied());
        let outputs = step.outputs().zip(cut.outputs.iter().map(|&n| (n, n)));
        let dtype = plan.slots[step.output].dtype;
        chunks.push(Chunk {
            pack: pack.map(|floats| take(&mut packs, floats)),
            sums: partial.map(|floats| take(&mut sums, floats)),
            inputs: inputs.map(|(slot, n)| places.source(slot, n)).collect(),
            outputs: outputs.map(|(slot, n)| places.source(slot, n)).collect(),
            ready: Ready::new(&cut.kernel, dtype, &[]),
            kernel: cut.kernel,
            dtype,
            check: step.check,
        });
    }
    let local = places.local;
    let worth = local * 4 * parts >= BETWEEN && local * 4 <= LARGEST;
    if !worth || !apart(plan, &chunks) {
        return None;
    }
    Some(Segment {
        touched: touched(plan, &chunks, parts) + local * 4 * parts,
        all: for_all(plan, &steps),
        steps,
        parts,
        chunks,
        local,
        packs,
        sums,
    })
}

/// The next `floats` floats, at a multiple of a cache line from the first.
fn take(len: &mut usize, floats: usize) -> Range<usize> {
    let at = *len;
    *len += floats.next_multiple_of(16);
    at..at + floats
}

/// One step that stands for `steps` in profiles.
fn for_all(plan: &Plan, steps: &Range<usize>) -> Step {
    let names = plan.steps[steps.clone()].iter();
    let names: Vec<&str> = names.map(|s| s.origin.name.as_str()).collect();
    let mut all = plan.steps[steps.start].clone();
    all.origin.name = names.join(" · ");
    all
}

/// Where the values of a part lie, found slot by slot.
struct Places<'a> {
    plan: &'a Plan,
    users: &'a [Vec<usize>],
    steps: Range<usize>,
    parts: usize,
    /// Slots that have a place in the thread's own memory, and where.
    own: Vec<(SlotId, usize)>,
    /// Floats of the thread's own memory.
    local: usize,
}

impl Places<'_> {
    fn is_written(&self, slot: SlotId) -> bool {
        let mut steps = self.plan.steps[self.steps.clone()].iter();
        steps.any(|s| s.outputs().any(|o| o == slot))
    }

    fn is_summed(&self, slot: SlotId) -> bool {
        let mut steps = self.plan.steps[self.steps.clone()].iter();
        steps.any(|s| s.output == slot && is_sum(s))
    }

    /// Whether anybody but these steps sees the slot.
    fn is_outside(&self, slot: SlotId) -> bool {
        !matches!(self.plan.slots[slot].place, Place::Temp(_))
            || self.plan.outputs.contains(&slot)
            || self.users[slot].iter().any(|at| !self.steps.contains(at))
    }

    /// What is computed here has to be read part by part.
    fn is_read_by_part(&self, slot: SlotId, (stride, reach): (usize, usize)) -> bool {
        let part = self.plan.slots[slot].len / self.parts;
        !self.is_written(slot) || (stride == part && reach <= part && !self.is_summed(slot))
    }

    fn source(&mut self, slot: SlotId, (stride, reach): (usize, usize)) -> Source {
        let written = self.is_written(slot);
        if !written || self.is_outside(slot) || self.is_summed(slot) {
            return Source::Slot {
                slot,
                stride,
                reach,
                written,
            };
        }
        let len = self.plan.slots[slot].len / self.parts;
        let known = self.own.iter().find(|o| o.0 == slot).map(|o| o.1);
        let at = known.unwrap_or_else(|| {
            let words = (len * self.plan.slots[slot].dtype.size()).div_ceil(4);
            let at = take(&mut self.local, words).start;
            self.own.push((slot, at));
            at
        });
        Source::Own {
            at,
            len,
            dtype: self.plan.slots[slot].dtype,
        }
    }
}

/// Whether the parts of a step are summed.
fn is_sum(step: &Step) -> bool {
    matches!(&step.kernel, Kernel::Conv(c) if c.kind == ConvKind::WeightGrad)
}

/// Bytes of slots that are cut into parts.
fn touched(plan: &Plan, chunks: &[Chunk], parts: usize) -> usize {
    let sources = chunks
        .iter()
        .flat_map(|c| c.inputs.iter().chain(&c.outputs));
    let mut slots: Vec<(SlotId, usize)> = sources
        .filter_map(|s| match *s {
            Source::Slot { slot, stride, .. } => {
                Some((slot, stride * parts * plan.slots[slot].dtype.size()))
            }
            Source::Own { .. } => None,
        })
        .collect();
    slots.sort_unstable();
    slots.dedup();
    slots.iter().map(|s| s.1).sum()
}

/// Whether no slot that is written shares its buffer with another: lives that follow each other step by step overlap
/// here.
fn apart(plan: &Plan, chunks: &[Chunk]) -> bool {
    let sources = chunks
        .iter()
        .flat_map(|c| c.inputs.iter().chain(&c.outputs));
    let mut slots: Vec<(SlotId, bool)> = sources
        .filter_map(|s| match s {
            Source::Slot { slot, written, .. } => Some((*slot, *written)),
            Source::Own { .. } => None,
        })
        .collect();
    slots.sort_unstable();
    slots.dedup();
    slots.iter().enumerate().all(|(i, a)| {
        let clash =
            |b: &(SlotId, bool)| (a.1 || b.1) && plan.slots[a.0].place == plan.slots[b.0].place;
        !slots[i + 1..].iter().any(clash)
    })
}
