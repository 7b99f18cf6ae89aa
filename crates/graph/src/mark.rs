//! Marks on tensors: who wrote them last. An optimiser marks the parameters that it has written, and so knows them again
//! when it is given a module. A mark keeps no tensor alive and is no part of a value or of a plan.

use crate::links::Links;
use crate::tensor::Tensor;
use rustc_hash::FxHashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Operations that are followed back from a tensor that is not marked itself.
const MAX_ANCESTORS: usize = 4096;

/// A mark that tensors can bear. A tensor bears one at a time; handles of one node share it.
///
/// ```
/// use wgrad_graph::{Device, Mark, Tensor};
/// let x = Tensor::new(&[1.0f32], &Device::cpu());
/// let mark = Mark::new();
/// mark.put_on(&x);
/// assert!(mark.is_on(&x) && mark.is_below(&(&x + 1.0)));
/// drop(x);
/// assert!(!mark.is_borne());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Mark(Arc<()>);

/// The mark of a node, and its links.
#[derive(Default)]
pub(crate) struct Bearer {
    mark: Mutex<Weak<()>>,
    pub(crate) links: Links,
}

impl Mark {
    /// A mark that no tensor bears yet.
    pub fn new() -> Mark {
        Mark::default()
    }

    /// Marks a tensor; the mark that it bore is gone.
    pub fn put_on(&self, tensor: &Tensor) {
        tensor.0.mark.set(Arc::downgrade(&self.0));
    }

    /// Whether a tensor bears this mark.
    pub fn is_on(&self, tensor: &Tensor) -> bool {
        std::ptr::eq(tensor.0.mark.lock().as_ptr(), Arc::as_ptr(&self.0))
    }

    /// Whether no copy of this mark is held.
    pub fn is_sole(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Whether a tensor bears this mark, or was recorded from one that does.
    pub fn is_below(&self, tensor: &Tensor) -> bool {
        let mut seen = FxHashSet::default();
        let mut stack = vec![tensor.clone()];
        while let Some(t) = stack.pop() {
            if self.is_on(&t) {
                return true;
            }
            if seen.len() < MAX_ANCESTORS && seen.insert(t.0.id) {
                stack.extend(t.inputs().iter().cloned());
            }
        }
        false
    }

    /// Whether any tensor that is still held bears it.
    pub fn is_borne(&self) -> bool {
        Arc::weak_count(&self.0) > 0
    }

    /// Whether a tensor bears a mark that somebody holds.
    pub(crate) fn is_marked(tensor: &Tensor) -> bool {
        tensor.0.mark.get().strong_count() > 0
    }

    /// Gives `to` the mark of `from`, if that bears one.
    pub fn pass_on(from: &Tensor, to: &Tensor) {
        let mark = from.0.mark.get();
        if mark.strong_count() > 0 {
            to.0.mark.set(mark);
        }
    }
}

impl Bearer {
    fn lock(&self) -> MutexGuard<'_, Weak<()>> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> Weak<()> {
        self.lock().clone()
    }

    fn set(&self, mark: Weak<()>) {
        *self.lock() = mark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    #[test]
    fn marks_are_found_again_and_keep_nothing_alive() {
        let device = Device::reference();
        let (a, b) = (
            Tensor::new(&[1.0f32], &device),
            Tensor::new(&[1.0f32], &device),
        );
        let mark = Mark::new();
        assert!(!mark.is_on(&a) && !mark.is_borne());
        mark.put_on(&a);
        assert!(mark.is_on(&a.clone()) && !mark.is_on(&b));
        assert!(mark.is_below(&(&b + &a * 2.0)) && !mark.is_below(&(&b * 2.0)));
        Mark::pass_on(&a, &b);
        Mark::new().put_on(&a);
        assert!(mark.is_on(&b) && !mark.is_on(&a));
        drop(b);
        assert!(!mark.is_borne());
    }
}
