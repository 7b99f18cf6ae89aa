//! The tensors of a state, each once, as a compiled function holds them, and lending them to a run.

use super::snapshot::{SKIPPED, each_tensor};
use crate::host::hashed;
use crate::module::{Module, NAMELESS, identity};
use std::collections::HashMap;
use wgrad_graph::Tensor;
use wgrad_graph::replay::device_key;

/// A result that is a slot's new tensor.
pub(super) struct Updated {
    pub(super) slot: usize,
    /// It takes the memory of the tensor before.
    pub(super) in_place: bool,
    /// The optimiser of which it is a parameter.
    pub(super) by: Option<usize>,
}

/// The tensors of a state, each once.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) slots: Vec<Slot>,
    /// The slot of each place that the state shows.
    pub(super) places: Vec<usize>,
    /// Names, shapes, dtypes, devices and places, as numbers.
    pub(super) signature: Vec<u64>,
    /// Whether some belong to skipped fields.
    skipped: bool,
}

pub(super) struct Slot {
    pub(super) current: Tensor,
    /// The tensor of the step before last, whose memory the next one may take, if the slot is not updated in place.
    spare: Option<Tensor>,
}

/// Shape, dtype and device of a tensor as numbers.
pub(super) fn push_type(key: &mut Vec<u64>, t: &Tensor) {
    key.push(t.dtype() as u64 | (t.rank() as u64) << 8);
    key.push(device_key(t.device()));
    key.extend(t.shape().iter().map(|&n| n as u64));
}

impl Slots {
    pub(super) fn of(names: &[String], tensors: Vec<Tensor>) -> Slots {
        let mut slots = Slots {
            signature: vec![hashed(names)],
            skipped: names.iter().any(|name| name.ends_with(SKIPPED)),
            ..Slots::default()
        };
        let mut known = HashMap::new();
        for tensor in tensors {
            let next = slots.slots.len();
            let slot = *known.entry(identity(&tensor)).or_insert(next);
            if slot == next {
                push_type(&mut slots.signature, &tensor);
                slots.slots.push(Slot {
                    current: tensor,
                    spare: None,
                });
            }
            slots.places.push(slot);
        }
        let places = slots.places.iter().map(|&s| s as u64);
        slots.signature.extend(places);
        slots
    }

    /// Whether the state shows this tensor at place `at`, as it did before.
    pub(super) fn shows(&self, at: usize, tensor: &Tensor) -> bool {
        let slot = self.places.get(at).map(|&s| &self.slots[s]);
        slot.is_some_and(|s| s.current.same(tensor))
    }

    /// Makes a state hold the slots' tensors.
    pub(super) fn show<S: Module>(&self, state: &mut S) {
        let mut places = self.places.iter();
        let mut show = |t: &mut Tensor| {
            let current = places.next().map(|&s| &self.slots[s].current);
            if let Some(current) = current.filter(|c| !c.same(t)) {
                *t = current.clone();
            }
        };
        match self.skipped {
            true => each_tensor(state, &mut show),
            false => state.visit_mut(NAMELESS, &mut |_, _, t| show(t)),
        }
    }

    /// The slots whose tensors a traced function has replaced, with the new ones. `own` stood for the slots, `after` is
    /// what the state shows now, under `names`.
    ///
    /// # Errors
    /// Why no plan can do what was done.
    pub(super) fn updates(
        &self,
        own: &[Tensor],
        after: &[Tensor],
        names: &[String],
    ) -> Result<Vec<(usize, Tensor)>, String> {
        let mut new: Vec<Option<&Tensor>> = vec![None; own.len()];
        for ((&slot, tensor), name) in self.places.iter().zip(after).zip(names) {
            let first = *new[slot].get_or_insert(tensor);
            let old = &own[slot];
            if !first.same(tensor) {
                let reason = format!("{name} held the tensor of another place and no longer does");
                return Err(reason);
            }
            let types = |t: &Tensor| (t.shape().to_vec(), t.dtype(), device_key(t.device()));
            if types(tensor) != types(old) {
                let reason = format!(
                    "{name} changes from {}{:?} to {}{:?}",
                    old.dtype(),
                    old.shape(),
                    tensor.dtype(),
                    tensor.shape()
                );
                return Err(reason);
            }
        }
        let mut holder = HashMap::new();
        for (slot, tensor) in new.iter().flatten().enumerate() {
            if holder.insert(identity(tensor), slot).is_some() {
                let place = self.places.iter().position(|&s| s == slot);
                let name = place.map_or("a part", |at| names[at].as_str());
                return Err(format!("{name} comes to hold the tensor of another place"));
            }
        }
        let changed = new.into_iter().flatten().enumerate();
        Ok(changed
            .filter(|(slot, t)| !t.same(&own[*slot]))
            .map(|(slot, t)| (slot, t.clone()))
            .collect())
    }
}

/// A state while a run may take its tensors' memory: neither the slots nor the state hold those tensors then. When this is
/// dropped, whatever has become of the run, they do again.
pub(super) struct Lent<'s, S: Module> {
    pub(super) slots: &'s mut Slots,
    state: &'s mut S,
    updated: &'s [Updated],
    n_outputs: usize,
    /// For each result the tensor whose memory it may take.
    pub(super) spares: Vec<Option<Tensor>>,
}

impl<'s, S: Module> Lent<'s, S> {
    pub(super) fn new(
        slots: &'s mut Slots,
        state: &'s mut S,
        (updated, n_outputs): (&'s [Updated], usize),
        hollow: &Tensor,
    ) -> Self {
        let mut spares: Vec<Option<Tensor>> = vec![None; n_outputs];
        spares.extend(updated.iter().map(|u| {
            let slot = &mut slots.slots[u.slot];
            match u.in_place {
                true => Some(std::mem::replace(&mut slot.current, hollow.clone())),
                false => slot.spare.take(),
            }
        }));
        slots.show(state);
        Lent {
            slots,
            state,
            updated,
            n_outputs,
            spares,
        }
    }

    /// Takes the new tensors of the slots that are updated.
    pub(super) fn take(&mut self, results: impl Iterator<Item = Tensor>) {
        for (updated, tensor) in self.updated.iter().zip(results) {
            let slot = &mut self.slots.slots[updated.slot];
            let before = std::mem::replace(&mut slot.current, tensor);
            slot.spare = (!updated.in_place).then_some(before);
        }
    }
}

impl<S: Module> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        // What a run has left is what it did not update.
        let left = self.spares.drain(..).skip(self.n_outputs);
        for (updated, spare) in self.updated.iter().zip(left) {
            if let (true, Some(tensor)) = (updated.in_place, spare) {
                self.slots.slots[updated.slot].current = tensor;
            }
        }
        self.slots.show(self.state);
    }
}
