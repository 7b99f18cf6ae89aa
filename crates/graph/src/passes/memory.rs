//! Assigns temporaries to as few buffers as their lives allow: a buffer is free again after the last step that reads
//! it. A step's output never shares a buffer with its inputs.

use super::lower::slot_bytes;
use crate::plan::{Place, Plan, SlotId};

/// Rewrites the places of temporary slots and fills [`Plan::temps`].
pub(crate) fn assign(plan: &mut Plan) {
    let last_use = last_uses(plan);
    let mut free: Vec<usize> = Vec::new();
    let mut assigned: Vec<Option<usize>> = vec![None; plan.slots.len()];
    for at in 0..plan.steps.len() {
        let outputs: Vec<SlotId> = plan.steps[at].outputs().collect();
        for &out in &outputs {
            if matches!(plan.slots[out].place, Place::Temp(_)) && assigned[out].is_none() {
                let bytes = slot_bytes(plan.slots[out].len, plan.slots[out].dtype);
                assigned[out] = Some(take(&mut plan.temps, &mut free, bytes));
            }
        }
        let mut touched = plan.steps[at].inputs.clone();
        touched.extend(outputs);
        touched.sort_unstable();
        touched.dedup();
        free.extend(
            touched
                .iter()
                .filter(|&&s| last_use[s] == at)
                .filter_map(|&s| assigned[s]),
        );
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

/// A free buffer of at least `bytes` (the smallest that is not more than twice as large), else a new one.
fn take(temps: &mut Vec<usize>, free: &mut Vec<usize>, bytes: usize) -> usize {
    let fits = |b: &usize| temps[*b] >= bytes && temps[*b] / 2 <= bytes.max(2048);
    let best = free
        .iter()
        .enumerate()
        .filter(|(_, b)| fits(b))
        .min_by_key(|(_, b)| temps[**b])
        .map(|(i, _)| i);
    match best {
        Some(i) => free.swap_remove(i),
        None => {
            temps.push(bytes.max(4));
            temps.len() - 1
        }
    }
}
