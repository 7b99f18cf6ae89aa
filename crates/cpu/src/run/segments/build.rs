//! Puts cut steps together: where each value of a part lies, and whether no part meets another. It must not know how a step is
//! cut, nor whether a segment is worth it.

use super::cut::{Access, Cut, Share, cut};
use super::uses::Uses;
use super::{Chunk, Segment, Source};
use crate::conv;
use crate::plan::{Kernel, Place, Plan, SlotId, Step};
use crate::run::ready::Ready;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;

/// Why steps are no segment.
pub(super) enum Unfit {
    /// They cannot be computed part by part.
    Never,
    /// From this step on slots share memory whose lives follow each other step by step, which overlap here.
    Crowded(usize),
}

/// The plan and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) plan: &'a Plan,
    pub(super) ready: &'a [Ready],
    /// The steps that read or write each slot.
    pub(super) users: &'a [Vec<usize>],
}

impl Known<'_> {
    /// A part of step `at`.
    pub(super) fn cut(&self, at: usize, share: Share) -> Option<Cut> {
        cut(self.plan, (&self.plan.steps[at], &self.ready[at]), share)
    }
}

/// The steps as one segment that is cut so, if they fit together.
pub(super) fn build(known: Known<'_>, steps: Range<usize>, share: Share) -> Result<Segment, Unfit> {
    let whole = of_equal(known, steps.clone(), share)?;
    let Some(last) = share.last() else {
        return Ok(whole);
    };
    let last = of_equal(known, steps, last)?;
    if last.slots != whole.slots {
        return Err(Unfit::Never);
    }
    Ok(Segment {
        last: last.chunks,
        local: whole.local.max(last.local),
        ..whole
    })
}

/// The same of parts that are all as high.
fn of_equal(known: Known<'_>, steps: Range<usize>, share: Share) -> Result<Segment, Unfit> {
    let plan = known.plan;
    let parts = share.parts();
    let mut packs = FxHashSet::default();
    if let Some(at) = steps.clone().find(|&i| packs_over(known, i, &mut packs)) {
        return Err(Unfit::Crowded(at));
    }
    let cuts: Option<Vec<Cut>> = steps.clone().map(|i| known.cut(i, share)).collect();
    let cuts = cuts.ok_or(Unfit::Never)?;
    let mut uses = Uses::new(plan, share);
    for (i, cut) in steps.clone().zip(&cuts) {
        if !uses.add(i, cut) {
            return Err(Unfit::Never);
        }
    }
    let mut places = Places {
        known,
        steps: steps.clone(),
        share,
        uses: &uses,
        slots: Vec::new(),
        numbers: FxHashMap::default(),
        own: FxHashMap::default(),
        free: Vec::new(),
        local: 0,
        between: 0,
    };
    let mut chunks = Vec::with_capacity(cuts.len());
    let (mut packs, mut sums) = (0, 0);
    for (i, cut) in steps.clone().zip(cuts) {
        let step = &plan.steps[i];
        let pack = match &step.kernel {
            Kernel::Conv(c) => conv::packed_len(c),
            _ => None,
        };
        let partial = match &cut.kernel {
            Kernel::Conv(c) => conv::sums(c).map(|s| s.len() * parts),
            _ => None,
        };
        let inputs = step.inputs.iter().copied().zip(cut.inputs.iter().copied());
        let outputs = step.outputs().zip(cut.outputs.iter().copied());
        let dtype = plan.slots[step.output].dtype;
        chunks.push(Chunk {
            pack: pack.map(|floats| take(&mut packs, floats)),
            shared: match &known.ready[i] {
                Ready::Matmul(packed) => Some(*packed),
                _ => None,
            },
            sums: partial.map(|floats| take(&mut sums, floats)),
            inputs: inputs.map(|(slot, n)| places.source(slot, n)).collect(),
            outputs: outputs.map(|(slot, n)| places.source(slot, n)).collect(),
            // Only what is run is made ready, as that may mean machine code.
            ready: Ready::Plain,
            kernel: cut.kernel,
            dtype,
            check: step.check,
        });
        places.end(i);
    }
    if let Some(at) = crowded(plan, &uses, &places.slots) {
        return Err(Unfit::Crowded(at));
    }
    let (local, between) = (places.local, places.between);
    Ok(Segment {
        touched: touched(plan, &chunks, &places.slots, share.units) + between * 4 * parts,
        all: for_all(plan, &steps),
        slots: places.slots,
        steps,
        share,
        chain: false,
        chunks,
        last: Vec::new(),
        local,
        between,
        packs,
        sums,
    })
}

/// Whether the operand of step `at` is packed where that of an earlier one was, whose places are `packs`: all are packed before the
/// first part runs.
pub(super) fn packs_over(known: Known<'_>, at: usize, packs: &mut FxHashSet<usize>) -> bool {
    match known.ready[at] {
        Ready::Matmul(packed) => !packs.insert(packed.pack) && packed.first,
        _ => false,
    }
}

/// Bytes that a value of so many takes in a thread's memory: whole lines of a cache.
pub(super) fn room(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

/// The next `floats` floats, at a multiple of a cache line from the first.
fn take(len: &mut usize, floats: usize) -> Range<usize> {
    let at = *len;
    *len += floats.next_multiple_of(16);
    at..at + floats
}

/// One step that stands for `steps` in profiles.
fn for_all(plan: &Plan, steps: &Range<usize>) -> Step {
    /// The most names.
    const NAMES: usize = 32;
    let names = plan.steps[steps.clone()].iter().take(NAMES);
    let names: Vec<&str> = names.map(|s| s.origin.name.as_str()).collect();
    let mut all = plan.steps[steps.start].clone();
    all.origin.name = names.join(" · ");
    all
}

/// Where the values of a part lie, found slot by slot.
struct Places<'a> {
    known: Known<'a>,
    steps: Range<usize>,
    share: Share,
    uses: &'a Uses<'a>,
    /// Slots outside the thread's own memory, and whether they are written.
    slots: Vec<(SlotId, bool)>,
    /// The number of each among them.
    numbers: FxHashMap<SlotId, usize>,
    /// Slots that have a place in the thread's own memory now.
    own: FxHashMap<SlotId, Range<usize>>,
    /// Places there that are free again.
    free: Vec<Range<usize>>,
    /// Floats of the thread's own memory.
    local: usize,
    /// The same if each value had a place of its own.
    between: usize,
}

impl Places<'_> {
    /// Whether anybody but these steps sees the slot.
    fn is_outside(&self, slot: SlotId) -> bool {
        let Known { plan, users, .. } = self.known;
        !matches!(plan.slots[slot].place, Place::Temp(_))
            || plan.outputs.contains(&slot)
            || users[slot].iter().any(|at| !self.steps.contains(at))
    }

    fn source(&mut self, slot: SlotId, access: Access) -> Source {
        let (plan, used) = (self.known.plan, self.uses.of(slot));
        let is_own = used.is_some_and(|u| u.can_be_own()) && !self.is_outside(slot);
        if !is_own {
            let written = used.is_some_and(|u| u.written);
            let next = self.slots.len();
            let number = *self.numbers.entry(slot).or_insert(next);
            if number == next {
                self.slots.push((slot, written));
            }
            return Source::Slot {
                number,
                access,
                size: plan.slots[slot].dtype.size(),
                dtype: plan.slots[slot].dtype,
            };
        }
        let dtype = plan.slots[slot].dtype;
        let len = self.share.of(plan.slots[slot].len);
        let at = match self.own.get(&slot) {
            Some(place) => place.start,
            None => self.room(slot, (len * dtype.size()).div_ceil(4)),
        };
        Source::Own { at, len, dtype }
    }

    /// A place in the thread's own memory: one that is free again and large enough, or a new one.
    fn room(&mut self, slot: SlotId, words: usize) -> usize {
        take(&mut self.between, words);
        let words = words.next_multiple_of(16);
        let fits = |&i: &usize| self.free[i].len() >= words;
        let best = (0..self.free.len())
            .filter(fits)
            .min_by_key(|&i| self.free[i].len());
        let place = match best {
            Some(i) => {
                let found = self.free.swap_remove(i);
                let place = found.start..found.start + words;
                if place.end < found.end {
                    self.free.push(place.end..found.end);
                }
                place
            }
            None => take(&mut self.local, words),
        };
        let at = place.start;
        self.own.insert(slot, place);
        at
    }

    /// Step `at` is done: what it was the last to touch is free.
    fn end(&mut self, at: usize) {
        let step = &self.known.plan.steps[at];
        for slot in step.inputs.iter().copied().chain(step.outputs()) {
            if self.uses.of(slot).is_some_and(|u| u.last == at)
                && let Some(place) = self.own.remove(&slot)
            {
                self.free.push(place);
            }
        }
    }
}

/// Bytes of slots that are cut into parts.
fn touched(plan: &Plan, chunks: &[Chunk], slots: &[(SlotId, bool)], units: usize) -> usize {
    let mut bytes = vec![0; slots.len()];
    let sources = chunks
        .iter()
        .flat_map(|c| c.inputs.iter().chain(&c.outputs));
    for source in sources {
        if let Source::Slot { number, access, .. } = *source {
            let size = plan.slots[slots[number].0].dtype.size();
            bytes[number] = bytes[number].max(access.stride * units * size);
        }
    }
    bytes.iter().sum()
}

/// The first step at which a slot that is written shares its buffer with another.
fn crowded(plan: &Plan, uses: &Uses<'_>, slots: &[(SlotId, bool)]) -> Option<usize> {
    let outside: FxHashMap<SlotId, bool> = slots.iter().copied().collect();
    let mut places: FxHashMap<Place, bool> = FxHashMap::default();
    uses.order.iter().find_map(|&(slot, at)| {
        let &written = outside.get(&slot)?;
        let before = places.insert(plan.slots[slot].place, written);
        let clash = |before: bool| before || written;
        before.is_some_and(clash).then_some(at)
    })
}
