//! What the steps of a segment do to each slot, part by part: whether a part ever meets what another part has written. It must
//! not know what a step computes.

use super::cut::{Access, Cut, Share};
use crate::plan::{ConvKind, Kernel, Plan, SlotId, Step};
use rustc_hash::FxHashMap;

/// What is known of the slots that some steps touch.
pub(super) struct Uses<'a> {
    plan: &'a Plan,
    share: Share,
    slots: FxHashMap<SlotId, Use>,
    /// The slots in order of their first step, with that step.
    pub(super) order: Vec<(SlotId, usize)>,
}

#[derive(Clone, Copy)]
pub(super) struct Use {
    /// Some step writes it.
    pub(super) written: bool,
    /// A unit's elements are the `stride` ones from a multiple of all units' on, and no other part's.
    apart: bool,
    stride: usize,
    /// The parts are all of it.
    whole: bool,
    /// Parts are added to it: whole only after the last.
    pub(super) summed: bool,
    /// The last step that touches it.
    pub(super) last: usize,
}

impl Use {
    /// Whether its parts are equal, one after the other, and each touched by a part alone.
    pub(super) fn is_by_part(&self) -> bool {
        self.whole && !self.summed
    }

    /// Whether a part of it can lie in the thread's own memory, if nobody else needs it.
    pub(super) fn can_be_own(&self) -> bool {
        self.written && self.is_by_part()
    }
}

/// Whether the parts of a step are summed.
fn is_sum(step: &Step) -> bool {
    matches!(&step.kernel, Kernel::Conv(c) if c.kind == ConvKind::WeightGrad)
}

impl<'a> Uses<'a> {
    pub(super) fn new(plan: &'a Plan, share: Share) -> Uses<'a> {
        Uses {
            plan,
            share,
            slots: FxHashMap::default(),
            order: Vec::new(),
        }
    }

    pub(super) fn of(&self, slot: SlotId) -> Option<&Use> {
        self.slots.get(&slot)
    }

    /// Adds step `at`, cut; false where it does not fit those before, which leaves this of no more use.
    pub(super) fn add(&mut self, at: usize, cut: &Cut) -> bool {
        let step = &self.plan.steps[at];
        let inputs = step.inputs.iter().copied().zip(&cut.inputs);
        let outputs = step.outputs().zip(&cut.outputs);
        let summed = is_sum(step);
        let inputs = inputs.map(|(slot, access)| (slot, access, false));
        let outputs = outputs.map(|(slot, access)| (slot, access, true));
        let mut all = inputs.chain(outputs);
        all.all(|(slot, access, writes)| self.touch(at, (slot, access), (writes, summed && writes)))
    }

    fn touch(
        &mut self,
        at: usize,
        (slot, access): (SlotId, &Access),
        (written, summed): (bool, bool),
    ) -> bool {
        let Access {
            base,
            stride,
            reach,
        } = *access;
        let (all, len) = (stride * self.share.units, self.plan.slots[slot].len);
        let within = reach <= stride * self.share.height;
        let now = Use {
            written,
            apart: within && base + all <= len,
            stride,
            whole: base == 0 && all == len && within,
            summed,
            last: at,
        };
        let known = self.slots.entry(slot).or_insert_with(|| {
            self.order.push((slot, at));
            now
        });
        let before = *known;
        *known = Use {
            written: before.written || written,
            apart: before.apart && now.apart && before.stride == stride,
            whole: before.whole && now.whole,
            summed: before.summed || summed,
            last: at,
            stride,
        };
        match known.summed {
            // It has no other use here.
            true => summed && before.summed && before.last == at,
            false => known.apart || !known.written,
        }
    }
}
