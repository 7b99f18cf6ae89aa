//! Outputs that take the place of a leaf: what a plan says of them, the one place that executors and checks ask. Whether an
//! output may is decided before, by the pass that writes [`Plan::in_place`]; here nothing is decided, and nothing else may
//! compare places to find it out.
//!
//! ```text
//!   leaf 3 (old parameter) ──► step 7: p - lr * g ──► output 0 (new parameter)      in_place: output 0 ► leaf 3
//!                                      ▲
//!   buffer of the leaf  ═══════════════╪═════════════ buffer of output 0             one buffer
//!                                      │
//!                 `held`: input 0 of step 7 is what output 0 holds before; it is not bound as an input
//!                 `first_in_place`: step 7; a run that has failed before it stops there, and the old parameter is whole
//! ```

use super::{Place, Plan, SlotId, Step};

/// An output that takes the place of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InPlace {
    /// The number of the output.
    pub output: usize,
    /// The number of the leaf.
    pub leaf: usize,
}

/// An input of a step that is what an output of the same step holds before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which input.
    pub input: usize,
    /// Which of [`Step::outputs`].
    pub output: usize,
}

impl Plan {
    /// The inputs of a step that are what its outputs hold before. A Map, or stages of Rows for each point, read them
    /// only at the point that they write, and no later than they write it.
    pub fn held(&self, step: &Step) -> Vec<Held> {
        if self.in_place.is_empty() {
            return Vec::new();
        }
        let outputs = step.outputs().enumerate();
        let pairs = outputs.flat_map(|(output, slot)| {
            let place = self.slots[slot].place;
            let inputs = step.inputs.iter().enumerate();
            let same = inputs.filter(move |&(_, &i)| self.slots[i].place == place);
            same.map(move |(input, _)| Held { input, output })
        });
        pairs.collect()
    }

    /// Whether what a step reads from a slot is what one of its outputs holds before: then the step itself has it.
    #[inline]
    pub fn is_held(&self, step: &Step, slot: SlotId) -> bool {
        let place = self.slots[slot].place;
        step.outputs()
            .any(|output| self.slots[output].place == place)
    }

    /// The first step that writes an output which takes the place of a leaf, or the number of steps.
    pub fn first_in_place(&self) -> usize {
        let writes = |step: &Step| step.outputs().any(|slot| self.is_in_place(slot));
        let first = self.steps.iter().position(writes);
        first.unwrap_or(self.steps.len())
    }

    /// Whether a slot's output takes the place of a leaf.
    #[inline]
    pub fn is_in_place(&self, slot: SlotId) -> bool {
        match self.slots[slot].place {
            Place::Output(output) => {
                let found = self.in_place.binary_search_by_key(&output, |p| p.output);
                found.is_ok()
            }
            _ => false,
        }
    }

    /// Of each output whether it takes the place of a leaf.
    pub fn replaces(&self) -> Vec<bool> {
        let mut replaces = vec![false; self.outputs.len()];
        self.in_place.iter().for_each(|p| replaces[p.output] = true);
        replaces
    }
}
