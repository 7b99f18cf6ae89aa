//! Steps in a row that each do the same for many parts, as those of an attention do for its heads: one thread takes a
//! part through all of them. What lies between the steps then stays in its cache and is never written to memory, and
//! threads meet once and not after each step. Every element is computed as it would be step by step, so no bit changes.
//!
//! ```text
//!  step by step: threads meet after each step            a segment: threads meet once
//!
//!             part 0   part 1   part 2   part 3            thread a   thread b   thread a   thread b
//!    scores   ─────────────────────────────────►             part 0     part 1     part 2     part 3
//!                      all of it to memory                 ┌ scores ┐ ┌ scores ┐ ┌ scores ┐ ┌ scores ┐
//!    softmax  ─────────────────────────────────►           │   ▼    │ │   ▼    │ │   ▼    │ │   ▼    │
//!                      all of it to memory                 │softmax │ │softmax │ │softmax │ │softmax │
//!    product  ─────────────────────────────────►           │   ▼    │ │   ▼    │ │   ▼    │ │   ▼    │
//!                                                          └product ┘ └product ┘ └product ┘ └product ┘
//! ```
//!
//! The parts of a recurrence are rows of its batch: a thread takes some sequences through all time (`chains`).
//!
//! `cut` says what one step does for a part, `uses` whether parts meet, `build` puts cut steps together, `execute` runs them. It
//! must not know why the steps stand in this order, nor change what one of them computes.

mod build;
mod chains;
mod cut;
mod execute;
mod uses;

use crate::conv::weight;
use crate::dtype::DType;
use crate::plan::{ConvKind, Kernel, Place, Plan, SlotId, Step};
use crate::run::ready::{Packed, Ready};
use build::{Known, build};
pub(crate) use chains::of_body;
use cut::{Access, Share};
pub(crate) use execute::Slots;
use std::ops::Range;

/// Fewer parts are not worth it: a part goes to one thread as a whole, and so few leave threads without any at the end.
const FEWEST: usize = 8;

/// The most steps on either side of a product, so that looking for segments takes a time in proportion to the plan.
const MOST: usize = 32;

// The sizes below follow from a second-level cache of 1 MiB for each core, which `conv/choice.rs`
// assumes too, and have not been tuned beyond that: no bit depends on them.

/// Bytes between the steps, over all parts, below which they stay in a second-level cache anyway.
const BETWEEN: usize = if cfg!(miri) { 1 << 10 } else { 1 << 20 };

/// Bytes between the steps of one part, above which they leave every cache: a quarter of a last-level cache of 32 MiB.
const LARGEST: usize = 1 << 23;

/// Bytes that parts taken together touch, at most: half of the second-level cache, whose other half is for what all share.
const CACHE: usize = 1 << 19;

/// The same where they share weights that are made ready, which are read again for each part: all of the cache.
const READY: usize = 1 << 20;

/// Bytes that a part touches, at most, where parts are summed: twice the cache, as half of it is read once.
const SUMMED: usize = 1 << 21;

/// Steps that run part by part.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Which steps of the plan.
    pub(crate) steps: Range<usize>,
    /// How they are cut.
    pub(crate) share: Share,
    /// Whether it is a chain, whose steps are too short to be shared.
    chain: bool,
    chunks: Vec<Chunk>,
    /// The steps of the last part, where it has fewer units.
    last: Vec<Chunk>,
    /// The slots outside the threads' own memory, and whether they are written.
    pub(crate) slots: Vec<(SlotId, bool)>,
    /// Floats of the thread's own memory, for the values between the steps of one part.
    pub(crate) local: usize,
    /// Floats of these values.
    between: usize,
    /// Floats of the weights that are made ready for all parts.
    packs: usize,
    /// Floats of the partial sums of all parts.
    sums: usize,
    /// Bytes that all parts touch and that are not the same for each.
    touched: usize,
    /// A step that stands for all, in profiles.
    pub(crate) all: Step,
}

impl Segment {
    /// The same with its steps made ready.
    fn ready(mut self) -> Segment {
        for chunk in self.chunks.iter_mut().chain(&mut self.last) {
            chunk.ready = Ready::new(&chunk.kernel, chunk.dtype, &[]);
        }
        self
    }

    /// Whether it has parts enough for so many threads.
    pub(crate) fn suits(&self, threads: usize) -> bool {
        let each = if self.chain { 1 } else { 2 };
        threads == 1 || self.share.parts() >= each * threads
    }
}

/// A step of one part.
#[derive(Debug)]
struct Chunk {
    kernel: Kernel,
    ready: Ready,
    /// Where the weights lie that are made ready for all parts.
    pack: Option<Range<usize>>,
    /// The packed operand that it shares with other steps of the plan.
    shared: Option<Packed>,
    /// Where the partial sums lie, one of each part, if the parts are summed.
    sums: Option<Range<usize>>,
    inputs: Vec<Source>,
    outputs: Vec<Source>,
    dtype: DType,
    check: u32,
}

/// Where a value of a part is.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// In a slot, the one of this number among the segment's.
    Slot {
        number: usize,
        access: Access,
        /// Bytes of an element.
        size: usize,
        dtype: DType,
    },
    /// In the thread's own memory, from float `at` on.
    Own { at: usize, len: usize, dtype: DType },
}

/// Finds the segments of a plan, whose steps are `ready`.
pub(crate) fn find(plan: &Plan, ready: &[Ready]) -> Vec<Segment> {
    let users = users(plan);
    let known = Known {
        plan,
        ready,
        users: &users,
    };
    let mut segments: Vec<Segment> = Vec::new();
    let mut chains = chains::Finder::default();
    let mut at = 0;
    while at < plan.steps.len() {
        let from = segments.last().map_or(0, |s| s.steps.end);
        let found = chains.chain(known, at);
        match found.or_else(|| around(known, from, at)) {
            Some(segment) => {
                at = segment.steps.end;
                segments.push(segment.ready());
            }
            None => at += 1,
        }
    }
    segments
}

/// The steps that read or write each slot.
fn users(plan: &Plan) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); plan.slots.len()];
    for (at, step) in plan.steps.iter().enumerate() {
        for slot in step.outputs().chain(step.inputs.iter().copied()) {
            users[slot].push(at);
        }
    }
    users
}

/// The segment around the batched product or convolution at `at`, no step of it before `from`.
fn around(known: Known<'_>, from: usize, at: usize) -> Option<Segment> {
    let parts = match &known.plan.steps[at].kernel {
        Kernel::Matmul(m) => m.batch,
        Kernel::Conv(c) if c.kind != ConvKind::WeightGrad => c.batch,
        _ => return None,
    };
    if parts < FEWEST {
        return None;
    }
    // Weight gradients can join where a part is what they sum together.
    let summed = |s: &Segment| s.sums > 0 && s.touched / s.share.parts() <= SUMMED;
    if parts.is_multiple_of(weight::PARTS)
        && let Some(segment) = longest(known, (from, at), weight::PARTS).filter(summed)
    {
        return Some(segment);
    }
    let segment = longest(known, (from, at), parts)?;
    Some(together(known, segment, parts))
}

/// The longest segment around the step at `at` whose steps fit together.
fn longest(known: Known<'_>, (from, at): (usize, usize), parts: usize) -> Option<Segment> {
    let cuts = |i: usize| known.cut(i, Share::equal(parts));
    let start = (from.max(at.saturating_sub(MOST))..at)
        .rev()
        .take_while(|&i| cuts(i).is_some())
        .last()
        .unwrap_or(at);
    let end = (at..known.plan.steps.len().min(at + MOST))
        .take_while(|&i| cuts(i).is_some())
        .last()?
        + 1;
    let mut steps = start..end;
    // Most steps have too little between them whatever fits together, which is seen without building anything.
    while steps.len() > 1 && most_between(known, &steps, parts) >= BETWEEN {
        if let Some(segment) = worth(known, steps.clone(), parts) {
            return Some(segment);
        }
        match steps.end - at > 1 {
            true => steps.end -= 1,
            false => steps.start += 1,
        }
    }
    None
}

/// Bytes between the steps over all parts, at most.
fn most_between(known: Known<'_>, steps: &Range<usize>, parts: usize) -> usize {
    let slots = known.plan.steps[steps.clone()].iter();
    let of_slot = |slot: SlotId| {
        let slot = &known.plan.slots[slot];
        match slot.place {
            Place::Temp(_) => parts * build::room(slot.len.div_ceil(parts) * slot.dtype.size()),
            _ => 0,
        }
    };
    slots.flat_map(Step::outputs).map(of_slot).sum()
}

/// The steps as a segment, if what lies between them leaves a second-level cache step by step, and stays in the caches part by
/// part.
fn worth(known: Known<'_>, steps: Range<usize>, parts: usize) -> Option<Segment> {
    let segment = build(known, steps, Share::equal(parts)).ok()?;
    let (between, local) = (segment.between * 4 * parts, segment.between * 4);
    (between >= BETWEEN && local <= LARGEST).then_some(segment)
}

/// The same with several parts as one, as long as they fit the second-level cache: whatever is done for each part, as
/// packing an operand that all share, is done less often. Weights that are ready for all are read again for each part, and
/// are large: then it pays beyond that.
fn together(known: Known<'_>, segment: Segment, parts: usize) -> Segment {
    let cache = if segment.packs > 0 { READY } else { CACHE };
    let fits = |n: &usize| parts.is_multiple_of(*n) && parts / n >= 2 * FEWEST;
    let several = [8, 4, 2].into_iter().filter(fits);
    several
        .filter(|n| segment.touched / segment.share.parts() * n <= cache)
        .find_map(|n| worth(known, segment.steps.clone(), parts / n))
        .unwrap_or(segment)
}
