//! What a plan's steps need that does not change from run to run, worked out once.

use super::memory::Lack;
use super::ready::{Packed, Ready};
use crate::matmul;
use crate::matmul::gemm::packed_len;
use crate::plan::{Kernel, Loop, Matrix, Place, Plan, SlotId, Step};
use crate::run::segments::{self, Segment};
use crate::storage::{Needs, class_bytes};
use rustc_hash::FxHashMap;

/// The steps of a plan made ready.
#[derive(Debug)]
pub struct Prepared {
    /// One for each step.
    pub(crate) steps: Vec<Ready>,
    /// What it takes, in about tenths of nanoseconds.
    work: usize,
    /// Whether it is worth more than one thread.
    pub(crate) large: bool,
    /// Floats of each packed operand.
    pub(crate) packs: Vec<usize>,
    /// The plan's temporaries, then its packed operands.
    pub(crate) needs: Needs,
    /// Steps that run part by part, in order.
    pub(crate) segments: Vec<Segment>,
    /// The whole, part by part in all rounds, if it is the body of a loop that can run so.
    pub(crate) by_parts: Option<Segment>,
    /// The first step that writes where a leaf lies.
    pub(crate) first_in_place: usize,
}

impl Prepared {
    /// Prepares every step of `plan`.
    pub fn new(plan: &Plan) -> Prepared {
        Prepared::with_constants(plan, usize::MAX)
    }

    /// Prepares the body of a loop.
    pub(crate) fn of_body(l: &Loop) -> Prepared {
        let first_constant = l.carries.len() + l.pitches.len();
        let mut body = Prepared::with_constants(&l.body, first_constant);
        body.by_parts = segments::of_body(l, &body.steps);
        // Then threads meet once in all of the loop.
        body.large |= body.by_parts.is_some() && body.work.saturating_mul(l.length) >= LARGE;
        body
    }

    /// Prepares a plan whose leaves from `first_constant` on are the same in many runs, one after the other.
    fn with_constants(plan: &Plan, first_constant: usize) -> Prepared {
        let ready = |step: &Step| {
            let dtype = plan.slots[step.output].dtype;
            Ready::new(&step.kernel, dtype, &plan.held(step))
        };
        let mut steps: Vec<Ready> = plan.steps.iter().map(ready).collect();
        let packs = share_packs(plan, &mut steps, first_constant);
        let work: usize = plan
            .steps
            .iter()
            .zip(&steps)
            .map(|(step, ready)| work(plan, step, ready))
            .sum();
        let packed = packs.iter().map(|floats| floats * 4);
        Prepared {
            work,
            large: work >= LARGE,
            by_parts: None,
            segments: segments::find(plan, &steps),
            steps,
            needs: Needs::new(plan.temps.iter().copied().chain(packed).collect()),
            packs,
            first_in_place: plan.first_in_place(),
        }
    }

    /// What a run lacks that has no room for one of its [`Needs`].
    pub(crate) fn lack(&self, plan: &Plan, need: usize, bytes: usize) -> Lack {
        let Some(pack) = need.checked_sub(plan.temps.len()) else {
            return Lack::of(plan, Place::Temp(need), bytes);
        };
        let packs = |ready: &Ready| matches!(ready, Ready::Matmul(p) if p.pack == pack);
        let step = self.steps.iter().position(packs);
        Lack {
            bytes,
            origin: step.map(|at| plan.steps[at].origin.clone()),
        }
    }

    /// Bytes that a run takes of the arena, for temporaries and packed operands, and the most that one of its steps takes besides
    /// while it runs.
    pub fn bytes(&self, plan: &Plan) -> (u64, u64) {
        // What runs part by part works in memory of its threads.
        let by_parts = |at: usize| self.segments.iter().any(|s| s.steps.contains(&at));
        let steps = plan.steps.iter().enumerate();
        let within = steps.map(|(at, step)| match &step.kernel {
            Kernel::Conv(conv) if !by_parts(at) => {
                let dtype = plan.slots[step.output].dtype;
                let buffers = crate::conv::step_bytes(conv, dtype);
                buffers.into_iter().map(class_bytes).sum()
            }
            Kernel::Attention(a) => class_bytes(crate::attention::step_bytes(a)),
            Kernel::Loop(l) => match &self.steps[at] {
                Ready::Loop(body) => round_bytes(l, body),
                _ => 0,
            },
            _ => 0,
        });
        (self.needs.bytes(), within.max().unwrap_or(0))
    }
}

/// Bytes that a loop takes while it runs, beside its operands and outputs.
fn round_bytes(l: &Loop, body: &Prepared) -> u64 {
    let (kept, within) = body.bytes(&l.body);
    let bytes = |slot: SlotId| l.body.slots[slot].len * l.body.slots[slot].dtype.size();
    let results = l.body.outputs.iter().map(|&slot| class_bytes(bytes(slot)));
    let carries = l.body.outputs[..l.carries.len()].iter();
    let carries = carries.map(|&slot| class_bytes(bytes(slot)));
    kept + within + results.chain(carries).sum::<u64>()
}

/// Finds products that read the same right operand, as the products of a recurrent layer's steps do, or one that many runs
/// read; returns the floats that each takes when it is packed.
fn share_packs(plan: &Plan, steps: &mut [Ready], first_constant: usize) -> Vec<usize> {
    let is_constant = |slot: SlotId| match plan.slots[slot].place {
        Place::Leaf(leaf) => leaf >= first_constant,
        _ => false,
    };
    let mut readers: FxHashMap<(SlotId, Matrix, usize, usize), Vec<usize>> = FxHashMap::default();
    for (at, step) in plan.steps.iter().enumerate() {
        if let Kernel::Matmul(m) = &step.kernel
            && matmul::shareable(m)
        {
            let key = (step.inputs[1], m.b, m.k, m.n);
            readers.entry(key).or_default().push(at);
        }
    }
    let mut shared: Vec<(Vec<usize>, usize)> = readers
        .into_iter()
        .filter(|((slot, ..), at)| at.len() > 1 || is_constant(*slot))
        .map(|((_, _, k, n), at)| (at, packed_len(k, n)))
        .collect();
    shared.sort_unstable();
    let mut packs = Packs::default();
    for (readers, floats) in &shared {
        let constant = is_constant(plan.steps[readers[0]].inputs[1]);
        let last = match constant {
            true => usize::MAX,
            false => readers[readers.len() - 1],
        };
        let pack = packs.take(readers[0], last, *floats);
        for (i, &at) in readers.iter().enumerate() {
            steps[at] = Ready::Matmul(Packed {
                pack,
                first: i == 0,
                constant,
            });
        }
    }
    packs.floats
}

/// Buffers of packed operands: one is free again after the last step that reads what was packed into it.
#[derive(Default)]
struct Packs {
    floats: Vec<usize>,
    /// The last step that reads each.
    last: Vec<usize>,
}

impl Packs {
    /// A buffer from step `first` on, which must not be before that of the call before: the smallest free one that is large
    /// enough, else the largest free one, which grows.
    fn take(&mut self, first: usize, last: usize, floats: usize) -> usize {
        let free = (0..self.floats.len()).filter(|&i| self.last[i] < first);
        let best = free.min_by_key(|&i| match self.floats[i] {
            size if size >= floats => (false, size),
            size => (true, usize::MAX - size),
        });
        let at = best.unwrap_or_else(|| {
            self.floats.push(0);
            self.last.push(0);
            self.floats.len() - 1
        });
        self.floats[at] = self.floats[at].max(floats);
        self.last[at] = last;
        at
    }
}

/// Work of a plan, in about tenths of nanoseconds, below which calling other threads costs more than it brings: waking
/// threads that sleep takes tens of microseconds, and these are 50.
const LARGE: usize = if cfg!(miri) { 100 } else { 500_000 };

/// What a step takes, in about tenths of nanoseconds.
fn work(plan: &Plan, step: &Step, ready: &Ready) -> usize {
    /// Multiplications in a tenth of a nanosecond.
    const AT_ONCE: usize = 4;
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    match (&step.kernel, ready) {
        (Kernel::Matmul(m), _) => m.batch * m.m * m.n * m.k / AT_ONCE,
        (Kernel::Conv(c), _) => {
            let sums = c.batch * c.groups * c.in_channels * c.out_channels;
            sums * product(&c.output) * product(&c.kernel) / AT_ONCE
        }
        (Kernel::Attention(_), _) => step.kernel.multiply_adds() as usize / AT_ONCE,
        // Threads stand by for all of a loop or for none of it.
        (Kernel::Loop(l), Ready::Loop(body)) => match body.large {
            true => LARGE.max(body.work.saturating_mul(l.length)),
            false => 0,
        },
        (_, Ready::Map(program)) => program.as_ref().map_or(0, |p| p.nest.len * p.cost),
        (_, Ready::Reduce(r)) => r.work(),
        (_, Ready::Rows(r)) => r.work(),
        _ => {
            let slots = step.inputs.iter().chain([&step.output]);
            slots.map(|&s| plan.slots[s].len * 30).max().unwrap_or(0)
        }
    }
}
