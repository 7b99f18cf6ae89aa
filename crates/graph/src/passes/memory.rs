//! Assigns temporaries to as few buffers as their lives allow: a buffer is free again after the last step that reads
//! it. A step's output never shares a buffer with its inputs.

use super::lower::slot_bytes;
use crate::plan::{Place, Plan, SlotId};
use std::collections::{BTreeMap, BTreeSet};

/// Rewrites the places of temporary slots and fills [`Plan::temps`].
pub(crate) fn assign(plan: &mut Plan) {
    let last_use = last_uses(plan);
    let mut free = Free::default();
    let mut assigned: Vec<Option<usize>> = vec![None; plan.slots.len()];
    for at in 0..plan.steps.len() {
        let outputs: Vec<SlotId> = plan.steps[at].outputs().collect();
        for &out in &outputs {
            if matches!(plan.slots[out].place, Place::Temp(_)) && assigned[out].is_none() {
                let bytes = slot_bytes(plan.slots[out].len, plan.slots[out].dtype);
                assigned[out] = Some(free.take(&mut plan.temps, bytes));
            }
        }
        let mut touched = plan.steps[at].inputs.clone();
        touched.extend(outputs);
        touched.sort_unstable();
        touched.dedup();
        let ended = touched.iter().filter(|&&s| last_use[s] == at);
        ended
            .filter_map(|&s| assigned[s])
            .for_each(|buffer| free.give(buffer, plan.temps[buffer]));
    }
    for (slot, buffer) in plan.slots.iter_mut().zip(assigned) {
        if matches!(slot.place, Place::Temp(_)) {
            // A slot that no step writes is empty; any buffer will do.
            slot.place = Place::Temp(buffer.unwrap_or_else(|| {
                plan.temps.push(4);
                plan.temps.len() - 1
            }));
        }
    }
}

/// The last step that touches each slot.
fn last_uses(plan: &Plan) -> Vec<usize> {
    let mut last = vec![usize::MAX; plan.slots.len()];
    for (at, step) in plan.steps.iter().enumerate() {
        for i in step.outputs().chain(step.inputs.iter().copied()) {
            last[i] = at;
        }
    }
    last
}

/// Buffers that nobody uses, found by their size.
#[derive(Default)]
struct Free {
    list: Vec<usize>,
    /// Where those of each size stand in the list.
    by_size: BTreeMap<usize, BTreeSet<usize>>,
}

impl Free {
    fn give(&mut self, buffer: usize, bytes: usize) {
        let places = self.by_size.entry(bytes).or_default();
        places.insert(self.list.len());
        self.list.push(buffer);
    }

    /// A free buffer of at least `bytes` (the smallest that is not more than twice as large), else a new one.
    fn take(&mut self, temps: &mut Vec<usize>, bytes: usize) -> usize {
        let best = self.by_size.range_mut(bytes..).next();
        match best.filter(|(size, _)| *size / 2 <= bytes.max(2048)) {
            Some((&size, places)) => {
                let at = places.pop_first().unwrap_or_default();
                if places.is_empty() {
                    self.by_size.remove(&size);
                }
                self.swap_remove(at, temps)
            }
            None => {
                temps.push(bytes.max(4));
                temps.len() - 1
            }
        }
    }

    fn swap_remove(&mut self, at: usize, temps: &[usize]) -> usize {
        let buffer = self.list.swap_remove(at);
        if let Some(&moved) = self.list.get(at)
            && let Some(places) = self.by_size.get_mut(&temps[moved])
        {
            places.remove(&self.list.len());
            places.insert(at);
        }
        buffer
    }
}
