//! What a node knows of others besides its operands: which gradients were recorded with it, and which tensor it is to
//! replace. No link keeps a tensor alive, and none is part of a value or a plan.

use crate::tensor::{Node, Tensor};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// The links of a node; most nodes have none.
#[derive(Default)]
pub(crate) struct Links(OnceLock<Box<Inner>>);

#[derive(Default)]
struct Inner {
    /// Those that were asked for in one call.
    together: Mutex<Option<Family>>,
    /// What this is to replace.
    old: Mutex<Weak<Node>>,
    /// The gradients of this by the nodes below it, by their ids.
    gradients: Mutex<Vec<(u64, Weak<Node>)>>,
}

type Family = Arc<[Weak<Node>]>;

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Links {
    fn inner(&self) -> &Inner {
        self.0.get_or_init(Box::default)
    }
}

fn links(t: &Tensor) -> Option<&Inner> {
    t.0.mark.links.0.get().map(|b| &**b)
}

/// Links what one call has recorded: who reads one of `tensors` will read the others, and perhaps `result`.
pub(crate) fn join(tensors: &[Tensor], result: &Tensor) {
    if tensors.len() < 2 {
        return;
    }
    let all = tensors.iter().chain([result]);
    let family: Family = all.map(|t| Arc::downgrade(&t.0)).collect();
    for t in tensors {
        *locked(&t.0.mark.links.inner().together) = Some(family.clone());
    }
}

/// The tensors that somebody still holds of those that were recorded together with one that has no value, and have none
/// either; with that one itself. Nothing if there are no others.
pub(crate) fn read_together(t: &Tensor) -> Vec<Tensor> {
    let Some(family) = links(t).and_then(|l| locked(&l.together).clone()) else {
        return Vec::new();
    };
    let open = |t: &Tensor| t.0.value.get().is_none() && t.0.error.is_none() && !t.0.symbolic;
    if !open(t) {
        return Vec::new();
    }
    let held = family.iter().filter_map(|w| w.upgrade().map(Tensor));
    let others: Vec<Tensor> = held
        .filter(|o| open(o) && o.device() == t.device())
        .collect();
    if others.len() > 1 { others } else { Vec::new() }
}

/// The gradients of `output` that have been recorded, by the ids of the nodes that they are by.
pub(crate) fn gradients(output: &Tensor) -> Vec<(u64, Tensor)> {
    let Some(links) = links(output) else {
        return Vec::new();
    };
    let mut list = locked(&links.gradients);
    list.retain(|(_, w)| w.strong_count() > 0);
    let held = list.iter();
    held.filter_map(|(id, w)| Some((*id, Tensor(w.upgrade()?))))
        .collect()
}

/// Notes more of them.
pub(crate) fn add_gradients<'a>(output: &Tensor, new: impl Iterator<Item = (u64, &'a Tensor)>) {
    let mut list = locked(&output.0.mark.links.inner().gradients);
    list.extend(new.map(|(id, t)| (id, Arc::downgrade(&t.0))));
}

impl Tensor {
    /// Says that this is to take the place of `old`, as new running statistics do: a step that fails leaves `old`
    /// ([`Tensor::replaced`]). Keeps nothing alive. The tensor itself is given.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let old = Tensor::new(&[1.0f32], &Device::cpu());
    /// let new = (&old * 0.9).replacing(&old);
    /// assert!(new.replaced().is_some_and(|t| t.same(&old)));
    /// ```
    pub fn replacing(self, old: &Tensor) -> Tensor {
        if !self.same(old) {
            *locked(&self.0.mark.links.inner().old) = Arc::downgrade(&old.0);
        }
        self
    }

    /// The tensor that this, which has no value yet, is to take the place of: the last one that has a value, where several
    /// were to replace each other.
    pub fn replaced(&self) -> Option<Tensor> {
        let mut t = self.clone();
        while t.0.value.get().is_none() {
            let old = locked(&links(&t)?.old).upgrade()?;
            t = Tensor(old);
        }
        (!t.same(self)).then_some(t)
    }
}
