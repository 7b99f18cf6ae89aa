//! Recurrences: chains of products of few rows by the same weights, and the element-wise work between them, as the steps of a
//! recurrent layer are. Sequences of a batch do not meet in them, so a thread takes some rows through the whole chain, or
//! through all rounds of a loop, and threads meet once and not several times for each step, which takes but some ten
//! microseconds.
//!
//! ```text
//!                    step 0           step 1           step 2
//!    rows 0 to 7     product, gates ► product, gates ► product, gates      thread a
//!    rows 8 to 15    product, gates ► product, gates ► product, gates      thread b
//! ```
//!
//! Each thread reads all weights in each step and so has to find them in a cache; where they are larger the columns of a
//! product are shared instead, step by step. It must not know what the steps compute.

use super::build::{Known, Unfit, build, packs_over};
use super::cut::Share;
use super::uses::{Use, Uses};
use super::{Segment, users};
use crate::matmul::gemm::packed_len;
use crate::plan::{Kernel, Loop, Matmul, Place, Plan, SlotId};
use crate::run::ready::Ready;
use rustc_hash::FxHashSet;
use std::ops::Range;

/// Rows of a part, at least, where there are as many: fewer use each weight that is read too seldom.
const FEWEST_ROWS: usize = 8;

/// Bytes of the weights of a chain, at most: a quarter of a last-level cache of 32 MiB. Eight rows use a weight often enough that it
/// may come from there: with 1 and 4 MiB of weights a chain is as fast as shared products or faster by 5 %.
const WEIGHTS: usize = 1 << 23;

/// The most steps of a chain, so that looking for chains takes a time in proportion to the plan.
const LONGEST: usize = 1 << 10;

/// How so many rows are cut; none where they stay together. An even number of parts, so that the last does not leave one of
/// two threads alone.
fn share(rows: usize) -> Option<Share> {
    if rows < 4 {
        return None;
    }
    let parts = (rows / FEWEST_ROWS / 2 * 2).max(2);
    if rows.is_multiple_of(parts) {
        return Some(Share::equal(parts));
    }
    let mut height = rows.div_ceil(parts);
    // A single row is summed in another order.
    if rows % height == 1 {
        height += 1;
    }
    Some(Share {
        units: rows,
        height,
    })
}

/// The product of few rows at step `at`, whose right operand is packed for several.
fn product<'a>(known: Known<'a>, at: usize) -> Option<&'a Matmul> {
    match (&known.plan.steps[at].kernel, &known.ready[at]) {
        (Kernel::Matmul(m), Ready::Matmul(_)) => Some(m),
        _ => None,
    }
}

/// Finds chains, from the first step of a plan to the last.
#[derive(Default)]
pub(super) struct Finder {
    /// Up to this step there is none that was not found.
    looked: usize,
}

impl Finder {
    /// The chain that begins with step `at`.
    pub(super) fn chain(&mut self, known: Known<'_>, at: usize) -> Option<Segment> {
        if at < self.looked {
            return None;
        }
        let share = share(product(known, at)?.m)?;
        let mut steps = at..reached(known, at, share);
        self.looked = steps.end;
        // Each time a part is cut off that cannot be of the chain.
        while worth(known, steps.clone()) {
            match build(known, steps.clone(), share) {
                Ok(chain) => {
                    return Some(Segment {
                        chain: true,
                        ..chain
                    });
                }
                Err(Unfit::Never) => return None,
                Err(Unfit::Crowded(end)) => steps.end = end.min(steps.end - 1),
            }
            self.looked = steps.end;
        }
        None
    }
}

/// Where the chain ends that begins at `at`.
fn reached(known: Known<'_>, at: usize, share: Share) -> usize {
    let mut uses = Uses::new(known.plan, share);
    let mut packs = FxHashSet::default();
    let mut fits = |i: usize| {
        !packs_over(known, i, &mut packs)
            && known.cut(i, share).is_some_and(|cut| uses.add(i, &cut))
    };
    let most = known.plan.steps.len().min(at + LONGEST);
    (at..most).find(|&i| !fits(i)).unwrap_or(most)
}

/// Whether the chain has several products, and weights that stay in a cache.
fn worth(known: Known<'_>, steps: Range<usize>) -> bool {
    let products = steps.clone().filter(|&i| product(known, i).is_some());
    products.count() > 1 && weights(known, steps) <= WEIGHTS
}

/// Bytes of the packed operands of some steps.
fn weights(known: Known<'_>, steps: Range<usize>) -> usize {
    let packed = |i: usize| match known.ready[i] {
        Ready::Matmul(packed) => product(known, i).map(|m| (packed.pack, packed_len(m.k, m.n))),
        _ => None,
    };
    let all: FxHashSet<(usize, usize)> = steps.filter_map(packed).collect();
    all.iter().map(|(_, floats)| floats * 4).sum()
}

/// The body of a loop as parts that are independent in all rounds, if its steps fit together so.
pub(crate) fn of_body(l: &Loop, ready: &[Ready]) -> Option<Segment> {
    let plan: &Plan = &l.body;
    let users = users(plan);
    let known = Known {
        plan,
        ready,
        users: &users,
    };
    let steps = 0..plan.steps.len();
    let rows = steps.clone().find_map(|at| product(known, at))?.m;
    let share = share(rows)?;
    if weights(known, steps.clone()) > WEIGHTS {
        return None;
    }
    // Weights are packed once, before the first round.
    let changes = |ready: &Ready| matches!(ready, Ready::Matmul(packed) if !packed.constant);
    if ready.iter().any(changes) {
        return None;
    }
    let mut uses = Uses::new(plan, share);
    let fits = |at: usize| known.cut(at, share).is_some_and(|cut| uses.add(at, &cut));
    if !steps.clone().all(fits) || !handed_on(l, &uses, share.units) {
        return None;
    }
    let body = build(known, steps, share).ok()?;
    let is_given = |(slot, _): &(SlotId, bool)| !matches!(plan.slots[*slot].place, Place::Temp(_));
    body.slots.iter().all(is_given).then(|| body.ready())
}

/// Whether a part of what is handed on from round to round, or left by each, is made of the same part.
fn handed_on(l: &Loop, uses: &Uses<'_>, units: usize) -> bool {
    let plan = &l.body;
    let by_part = |slot: SlotId| {
        let used = uses.of(slot).is_none_or(Use::is_by_part);
        used && plan.slots[slot].len.is_multiple_of(units)
    };
    let is_carry =
        |slot: SlotId| matches!(plan.slots[slot].place, Place::Leaf(i) if i < l.carries.len());
    let leaves = (0..plan.slots.len()).filter(|&slot| is_carry(slot));
    let carries = l.carries.iter().enumerate().all(|(i, &len)| {
        let slot = plan.outputs[i];
        let place = plan.slots[slot].place;
        let own = place == Place::Output(i) && uses.of(slot).is_some();
        (own || place == Place::Leaf(i)) && plan.slots[slot].len == len
    });
    let results = plan.outputs.iter().all(|&slot| {
        let made = matches!(plan.slots[slot].place, Place::Output(_)) && uses.of(slot).is_some();
        (made || is_carry(slot)) && by_part(slot)
    });
    carries && results && leaves.into_iter().all(by_part)
}
