//! A state as it was before a function ran, and a guard that puts it back, also when the function panics. Knows no plan.

use crate::host::{Host, Saved};
use crate::module::{Module, NAMELESS};
use std::collections::HashMap;
use std::fmt::Display;
use wgrad_graph::replay::peek;
use wgrad_graph::{Error, ErrorKind, Generator, Number, Result, Tensor};

/// The end of the names of tensors in skipped fields, which may have the names of others.
pub(super) const SKIPPED: &str = " (skipped)";

/// All tensors of a state with their names, in visiting order; those of skipped fields last.
pub(super) fn named_tensors<S: Module>(state: &mut S) -> (Vec<String>, Vec<Tensor>) {
    let (mut names, mut tensors) = (Vec::new(), Vec::new());
    state.visit("", &mut |name, _, t| {
        names.push(name.to_string());
        tensors.push(t.clone());
    });
    let mut path = Path::default();
    state.visit_host(&mut |host| {
        path.follow(&host);
        if let Host::Tensor(t) = host {
            names.push(format!("{path}{SKIPPED}"));
            tensors.push(t.clone());
        }
    });
    (names, tensors)
}

/// Shows every tensor of a state, in the order of [`named_tensors`], for replacing it.
pub(super) fn each_tensor<S: Module>(state: &mut S, f: &mut dyn FnMut(&mut Tensor)) {
    state.visit_mut(NAMELESS, &mut |_, _, t| f(t));
    state.visit_host(&mut |host| {
        if let Host::Tensor(t) = host {
            f(t);
        }
    });
}

/// Puts tensors into a state, in visiting order.
pub(super) fn put<S: Module>(state: &mut S, tensors: &[Tensor]) {
    let mut rest = tensors.iter();
    each_tensor(state, &mut |t| {
        if let Some(new) = rest.next().filter(|new| !new.same(t)) {
            *t = new.clone();
        }
    });
}

/// Where a visit of the host's side stands.
#[derive(Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub(super) fn follow(&mut self, host: &Host<'_>) {
        match host {
            Host::Enter(name) => self.0.push(name.to_string()),
            Host::Leave => drop(self.0.pop()),
            _ => {}
        }
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.is_empty() {
            true => f.write_str("the state"),
            false => f.write_str(&self.0.join(".")),
        }
    }
}

/// A state as it was: its tensors by name, and everything that its host's side shows. Tensors are held by handle, so that
/// taking one copies nothing; a compiled function that then updates them leaves those values to it.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Linear, Module, Snapshot};
/// let device = Device::cpu();
/// let mut net = Linear::new(1, 1, &mut Generator::new(0), &device);
/// let before = Snapshot::of(&mut net);
/// let old = net.weight.item::<f32>()?;
/// net.init(|_, t| t.zeros_like())?;
/// before.restore(&mut net).unwrap();
/// assert_eq!(net.weight.item::<f32>()?, old);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
pub struct Snapshot {
    names: Vec<String>,
    tensors: Vec<Tensor>,
    host: Vec<Entry>,
}

enum Entry {
    Number(u64),
    Value(Saved),
    Generator(Generator),
    Optimizer(Saved),
    Variable(Number, f64),
}

impl Entry {
    fn of(host: Host<'_>) -> Option<Entry> {
        Some(match host {
            Host::Enter(_) | Host::Leave | Host::Tensor(_) => return None,
            Host::Number(n) => Entry::Number(n),
            Host::Value(v) => Entry::Value(v.save()),
            Host::Generator(g) => Entry::Generator(g.clone()),
            Host::Optimizer(o) => Entry::Optimizer(o.save()),
            Host::Variable(v) => Entry::Variable(v.cell().clone(), peek(v.cell())),
        })
    }

    /// Puts it back. False if something else stands there now.
    fn restore(&self, host: Host<'_>) -> bool {
        match (self, host) {
            (Entry::Number(before), Host::Number(now)) => *before == now,
            (Entry::Value(saved), Host::Value(v)) => v.restore(saved),
            (Entry::Generator(saved), Host::Generator(g)) => {
                *g = saved.clone();
                true
            }
            (Entry::Optimizer(saved), Host::Optimizer(o)) => {
                o.take_traced();
                o.restore(saved)
            }
            (Entry::Variable(cell, value), Host::Variable(v)) => {
                if peek(cell).to_bits() != value.to_bits() {
                    cell.set(*value);
                }
                v.set_cell(cell.clone(), false);
                true
            }
            _ => false,
        }
    }
}

impl Snapshot {
    /// All that a state holds now.
    pub fn of<S: Module>(state: &mut S) -> Snapshot {
        let (names, tensors) = named_tensors(state);
        let mut host = Vec::new();
        state.visit_host(&mut |h| host.extend(Entry::of(h)));
        Snapshot {
            names,
            tensors,
            host,
        }
    }

    /// What puts back all but the tensors, if the state has others now: moments that were made since.
    pub(super) fn without_tensors<S: Module>(self, state: &mut S) -> Option<Snapshot> {
        let (names, _) = named_tensors(state);
        (names != self.names).then(|| Snapshot {
            names: Vec::new(),
            tensors: Vec::new(),
            host: self.host,
        })
    }

    /// The tensor of this number, if the state had it.
    pub(super) fn has(&self, at: usize, tensor: &Tensor) -> bool {
        self.tensors.get(at).is_some_and(|t| t.same(tensor))
    }

    /// Where the names of the snapshot stand in `names`, if all of them do, in order.
    pub(super) fn common(&self, names: &[String]) -> Vec<usize> {
        let mut own = self.names.iter().peekable();
        let at = names.iter().enumerate();
        let found = at.filter(|(_, name)| own.next_if(|own| own == name).is_some());
        found.map(|(at, _)| at).collect()
    }

    /// Puts everything back: first which parts there are and the numbers, each before what lies below it, then the tensors
    /// by name.
    ///
    /// # Errors
    /// The names of what could not be put back, because a function has removed it and it cannot be copied.
    pub fn restore<S: Module>(&self, state: &mut S) -> Result<(), String> {
        let mut lost = Vec::new();
        let mut path = Path::default();
        let mut rest = self.host.iter();
        state.visit_host(&mut |host| {
            path.follow(&host);
            if matches!(host, Host::Enter(_) | Host::Leave | Host::Tensor(_)) {
                return;
            }
            if !rest.next().is_some_and(|entry| entry.restore(host)) {
                lost.push(path.to_string());
            }
        });
        if rest.next().is_some() && lost.is_empty() {
            lost.push(path.to_string());
        }
        let (names, _) = named_tensors(state);
        if names == self.names {
            put(state, &self.tensors);
        } else {
            self.put_by_name(state, &names);
            let missing = self.names.iter().filter(|n| !names.contains(n));
            lost.extend(missing.cloned());
        }
        lost.dedup();
        match lost.is_empty() {
            true => Ok(()),
            false => Err(lost.join(", ")),
        }
    }

    fn put_by_name<S: Module>(&self, state: &mut S, names: &[String]) {
        let saved: HashMap<&str, &Tensor> = self
            .names
            .iter()
            .map(String::as_str)
            .zip(&self.tensors)
            .collect();
        let mut names = names.iter();
        each_tensor(state, &mut |t| {
            let saved = names.next().and_then(|name| saved.get(name.as_str()));
            if let Some(&old) = saved {
                *t = old.clone();
            }
        });
    }
}

/// A state that is put back when this is dropped, as a panic does, unless the work has succeeded.
pub(super) struct Guard<'a, S: Module> {
    pub(super) state: &'a mut S,
    before: Option<&'a Snapshot>,
}

impl<'a, S: Module> Guard<'a, S> {
    pub(super) fn new(state: &'a mut S, before: &'a Snapshot) -> Guard<'a, S> {
        Guard {
            state,
            before: Some(before),
        }
    }

    /// Puts the state back whatever came of the work; an error says what could not be.
    pub(super) fn leave<T>(mut self, result: Result<T>) -> Result<T> {
        let restored = self.before.take().map_or(Ok(()), |b| b.restore(self.state));
        match (result, restored) {
            (result, Ok(())) => result,
            (Err(error), Err(lost)) => Err(with_loss(&error, &lost)),
            (Ok(_), Err(lost)) => {
                let message = "a function that removes parts of its state cannot be compiled";
                let error = Error::new(ErrorKind::Value, "compile", message);
                Err(with_loss(&error, &lost))
            }
        }
    }

    /// Ends the work. If it has failed the state is put back, and the error says what could not be.
    pub(super) fn end<T>(mut self, result: Result<T>) -> Result<T> {
        let before = self.before.take();
        result.map_err(|error| {
            let restored = before.map_or(Ok(()), |before| before.restore(self.state));
            match restored {
                Ok(()) => error,
                Err(lost) => with_loss(&error, &lost),
            }
        })
    }
}

impl<S: Module> Drop for Guard<'_, S> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            // Nobody is left to tell what is missing: the panic goes on.
            let _ = before.restore(self.state);
        }
    }
}

/// An error that also says which parts of the state are lost.
fn with_loss(error: &Error, lost: &str) -> Error {
    let message = format!(
        "{}; and {lost} cannot be put back as it was, because the function replaced it and it cannot be copied \
         (Module::duplicate)",
        error.message()
    );
    let named = Error::new(error.kind(), error.op(), message);
    let named = named.with_operands(error.operands().to_vec());
    match error.location() {
        Some(place) => named.at(place),
        None => named,
    }
}
