//! Who writes and reads each slot of a plan, which steps have to follow which, and whether some steps can run as one. Where
//! many steps write one slot, as the parts of a concatenation, *gates* stand between them and those who read it: a gate
//! follows each writer and the gate before, so that there are as many edges as readers and writers and not their product.

use crate::plan::{Kernel, Plan, SlotId, Step};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A gate's number.
type Gate = usize;

/// Writers, readers and the order that follows from them.
pub(super) struct Flow {
    /// In order, as all lists of steps here.
    pub(super) writers: Vec<Vec<usize>>,
    pub(super) readers: Vec<Vec<usize>>,
    /// Slots that several maps write, each element once.
    pub(super) divided: Vec<bool>,
    /// How often each slot is a result.
    pub(super) results: Vec<usize>,
    steps: Vec<After>,
    gates: Vec<After>,
    /// The step that each gate follows directly.
    gate_of: Vec<usize>,
    /// Of each step the slots that several steps write, and how many of these have to be done.
    needs: Vec<Vec<(SlotId, usize)>>,
}

/// What follows a step or a gate directly.
#[derive(Clone, Default)]
struct After {
    steps: Vec<usize>,
    gates: Vec<Gate>,
}

impl Flow {
    pub(super) fn new(plan: &Plan) -> Flow {
        let mut flow = Flow {
            writers: vec![Vec::new(); plan.slots.len()],
            readers: vec![Vec::new(); plan.slots.len()],
            divided: divided(plan),
            results: vec![0; plan.slots.len()],
            steps: vec![After::default(); plan.steps.len()],
            gates: Vec::new(),
            gate_of: Vec::new(),
            needs: vec![Vec::new(); plan.steps.len()],
        };
        plan.outputs
            .iter()
            .for_each(|&slot| flow.results[slot] += 1);
        let mut n_writers = vec![0usize; plan.slots.len()];
        let written = plan.steps.iter().flat_map(Step::outputs);
        written.for_each(|slot| n_writers[slot] += 1);
        let mut last_gate: Vec<Option<Gate>> = vec![None; plan.slots.len()];
        for (at, step) in plan.steps.iter().enumerate() {
            for &slot in &step.inputs {
                flow.after_writers(slot, at, last_gate[slot]);
                flow.readers[slot].push(at);
            }
            for slot in step.outputs() {
                // Regions of one slot are written in order where one may lie over another.
                if !flow.divided[slot] {
                    flow.after_writers(slot, at, last_gate[slot]);
                }
                flow.writers[slot].push(at);
                if n_writers[slot] > 1 {
                    let gate = flow.gates.len();
                    flow.gates.push(After::default());
                    flow.gate_of.push(at);
                    flow.steps[at].gates.push(gate);
                    if let Some(before) = last_gate[slot].replace(gate) {
                        flow.gates[before].gates.push(gate);
                    }
                }
            }
        }
        flow
    }

    /// Step `at` follows all that have written the slot so far.
    fn after_writers(&mut self, slot: SlotId, at: usize, gate: Option<Gate>) {
        match (gate, &self.writers[slot][..]) {
            (Some(gate), writers) => {
                self.needs[at].push((slot, writers.len()));
                self.gates[gate].steps.push(at);
            }
            (None, &[writer]) => self.steps[writer].steps.push(at),
            (None, _) => {}
        }
    }
}

/// The part of a list in order that lies in a range.
pub(super) fn within(list: &[usize], range: std::ops::Range<usize>) -> &[usize] {
    let from = list.partition_point(|&s| s < range.start);
    let to = list.partition_point(|&s| s < range.end);
    &list[from..to.max(from)]
}

/// Which slots several maps write without a step that fills them first: those of a concatenation.
fn divided(plan: &Plan) -> Vec<bool> {
    let mut written = vec![(0, 0); plan.slots.len()];
    for step in &plan.steps {
        if let Kernel::Map(m) = &step.kernel {
            let (maps, elements) = &mut written[step.output];
            *maps += 1;
            *elements += m.shape.iter().product::<usize>();
        }
    }
    let slots = written.iter().zip(&plan.slots);
    slots
        .map(|(&(maps, elements), slot)| maps > 1 && elements == slot.len)
        .collect()
}

/// Steps that will run as one.
pub(super) struct Groups {
    pub(super) of: Vec<Option<usize>>,
    pub(super) all: Vec<Vec<usize>>,
    /// The greatest end of the groups that begin in a part of the steps: a Fenwick tree over where they begin.
    ends: Vec<usize>,
}

impl Groups {
    pub(super) fn new(n_steps: usize) -> Groups {
        Groups {
            of: vec![None; n_steps],
            all: Vec::new(),
            ends: vec![0; n_steps + 1],
        }
    }

    /// One more, in order.
    pub(super) fn add(&mut self, members: Vec<usize>) {
        let end = members.last().map_or(0, |&m| m + 1);
        let mut at = members[0] + 1;
        while at < self.ends.len() {
            self.ends[at] = self.ends[at].max(end);
            at += at & at.wrapping_neg();
        }
        members
            .iter()
            .for_each(|&m| self.of[m] = Some(self.all.len()));
        self.all.push(members);
    }

    /// The greatest end of the groups that begin before `before`.
    fn reach(&self, before: usize) -> usize {
        let (mut at, mut end) = (before.min(self.of.len()), 0);
        while at > 0 {
            end = end.max(self.ends[at]);
            at &= at - 1;
        }
        end
    }

    /// The first step from which no way leads back to the members: groups that begin before end before.
    fn end(&self, members: &[usize]) -> usize {
        let mut end = members.last().map_or(0, |&m| m + 1);
        loop {
            let further = self.reach(end);
            if further <= end {
                return end;
            }
            end = further;
        }
    }

    /// The first step of what runs with `step` as one.
    fn unit(&self, step: usize) -> usize {
        self.of[step].map_or(step, |g| self.all[g][0])
    }

    /// What runs with `step` as one, if it is not alone.
    fn members(&self, step: usize) -> Option<&[usize]> {
        self.of[step].map(|g| &self.all[g][..])
    }
}

/// Visited steps and gates, kept from search to search.
pub(super) struct Search {
    /// The last search that has seen a step.
    steps: Vec<u32>,
    /// The last search that came to a gate past other gates alone, and past steps.
    gates: Vec<[u32; 2]>,
    members: Vec<u32>,
    number: u32,
    stack: Vec<Reached>,
}

enum Reached {
    Step(usize),
    /// A gate, by a way through gates alone or not.
    Gate(Gate, bool),
}

impl Search {
    pub(super) fn new(flow: &Flow) -> Search {
        Search {
            steps: vec![0; flow.steps.len()],
            gates: vec![[0; 2]; flow.gates.len()],
            members: vec![0; flow.steps.len()],
            number: 0,
            stack: Vec::new(),
        }
    }

    /// Whether nothing outside has to run between the members, which are in order. Where finding that out takes more than
    /// it is worth, no.
    pub(super) fn is_convex(&mut self, flow: &Flow, groups: &Groups, members: &[usize]) -> bool {
        self.number += 1;
        self.stack.clear();
        let end = groups.end(members);
        members.iter().for_each(|&m| self.members[m] = self.number);
        for &m in members {
            self.follow(flow, &flow.steps[m], end, true);
        }
        let mut visits = 0;
        while let Some(reached) = self.stack.pop() {
            visits += 1;
            if visits > MOST_VISITS {
                return false;
            }
            match reached {
                Reached::Step(step) => {
                    if self.members[step] == self.number {
                        return false;
                    }
                    if std::mem::replace(&mut self.steps[step], self.number) == self.number {
                        continue;
                    }
                    // A group runs as one.
                    for &m in groups.members(step).unwrap_or(&[step]) {
                        self.steps[m] = self.number;
                        self.follow(flow, &flow.steps[m], end, false);
                    }
                }
                Reached::Gate(gate, direct) => {
                    let seen = &mut self.gates[gate];
                    if seen[1] == self.number || (direct && seen[0] == self.number) {
                        continue;
                    }
                    seen[usize::from(!direct)] = self.number;
                    self.follow(flow, &flow.gates[gate], end, direct);
                }
            }
        }
        true
    }

    /// What follows; `direct`: where a member follows a member there is nothing between.
    fn follow(&mut self, flow: &Flow, after: &After, end: usize, direct: bool) {
        for &step in after.steps.iter().take_while(|&&s| s < end) {
            if !(direct && self.members[step] == self.number) {
                self.stack.push(Reached::Step(step));
            }
        }
        let gates = after.gates.iter().filter(|&&g| flow.gate_of[g] < end);
        self.stack.extend(gates.map(|&g| Reached::Gate(g, direct)));
    }
}

/// Steps and gates that a search visits, at most.
const MOST_VISITS: usize = 1 << 12;

/// A unit that waits for the first `needs` writers of a slot.
struct Wait {
    unit: usize,
    slot: SlotId,
    needs: usize,
}

/// The steps that stand first, one for each unit, in an order that respects the flow: each unit as early as its last
/// member allows.
pub(super) fn order(flow: &Flow, groups: &Groups) -> Vec<usize> {
    let n = groups.of.len();
    let mut order = Order {
        flow,
        groups,
        waiting: vec![0; n],
        waits: Vec::new(),
        waits_for: vec![Vec::new(); n],
        done: vec![false; n],
        first_left: vec![0; flow.writers.len()],
        ready: BinaryHeap::new(),
    };
    for step in 0..n {
        let unit = groups.unit(step);
        for &a in &flow.steps[step].steps {
            let follower = groups.unit(a);
            order.waiting[follower] += usize::from(follower != unit);
        }
        for &(slot, needs) in &flow.needs[step] {
            order.waits.push(Wait { unit, slot, needs });
            let wait = order.waits.len() - 1;
            order.waiting[unit] += usize::from(order.still_waits(wait));
        }
    }
    for step in (0..n).filter(|&s| groups.unit(s) == s) {
        if order.waiting[step] == 0 {
            order.push(step);
        }
    }
    order.run()
}

struct Order<'f> {
    flow: &'f Flow,
    groups: &'f Groups,
    /// For how much each unit waits.
    waiting: Vec<usize>,
    waits: Vec<Wait>,
    /// Waits that are looked at again when a step is done.
    waits_for: Vec<Vec<usize>>,
    done: Vec<bool>,
    /// Of each slot how many of its writers, from the first on, are done.
    first_left: Vec<usize>,
    ready: BinaryHeap<Reverse<(usize, usize)>>,
}

impl Order<'_> {
    /// Finds the last step that a wait is for, other than the unit's own; whether there is one.
    fn still_waits(&mut self, wait: usize) -> bool {
        let Wait { unit, slot, needs } = &mut self.waits[wait];
        let writers = &self.flow.writers[*slot];
        let first_left = &mut self.first_left[*slot];
        while writers.get(*first_left).is_some_and(|&w| self.done[w]) {
            *first_left += 1;
        }
        while *needs > *first_left {
            let writer = writers[*needs - 1];
            if !self.done[writer] && self.groups.unit(writer) != *unit {
                self.waits_for[writer].push(wait);
                return true;
            }
            *needs -= 1;
        }
        false
    }

    fn push(&mut self, unit: usize) {
        let members = self.groups.members(unit);
        let last = members.and_then(|m| m.last().copied()).unwrap_or(unit);
        self.ready.push(Reverse((last, unit)));
    }

    fn less(&mut self, unit: usize) {
        self.waiting[unit] -= 1;
        if self.waiting[unit] == 0 {
            self.push(unit);
        }
    }

    fn run(mut self) -> Vec<usize> {
        let (flow, groups) = (self.flow, self.groups);
        let mut order = Vec::with_capacity(self.done.len());
        while let Some(Reverse((_, unit))) = self.ready.pop() {
            order.push(unit);
            let members = groups.members(unit).unwrap_or(std::slice::from_ref(&unit));
            members.iter().for_each(|&m| self.done[m] = true);
            for &m in members {
                for &a in &flow.steps[m].steps {
                    let follower = groups.unit(a);
                    if follower != unit {
                        self.less(follower);
                    }
                }
                for wait in std::mem::take(&mut self.waits_for[m]) {
                    if !self.still_waits(wait) {
                        self.less(self.waits[wait].unit);
                    }
                }
            }
        }
        order
    }
}
