//! Recording a function on stand-ins for its state, and seeing what it did to the state. The state is as before then, but for
//! moments that were made.

use super::plan::{Advance, Plan};
use super::slots::Slots;
use super::slots::Updated;
use super::snapshot::{Guard, Path, Snapshot, each_tensor, named_tensors, put};
use crate::host::Host;
use crate::module::{Module, identity};
use crate::optim::{Made, TracedSteps};
use std::collections::HashMap;
use wgrad_graph::replay::{StreamState, Tracing, bind, peek};
use wgrad_graph::{Error, ErrorKind, Mark, Number, Result, Tensor};

/// What came of a trace.
pub(super) enum Traced {
    /// A plan, and the state's slots with the moments that were made. The state is as before, but for those.
    Plan(Box<Plan>, Slots),
    /// Why no plan can stand for the function, and its outputs. What was recorded has been given the values of what the
    /// stand-ins stood for, so that this was a call of the function; the state is as that has left it.
    Unfit(String, Vec<Tensor>),
}

/// One thing of a state's host side while a function is traced.
enum Seen {
    Bits(u64),
    Stream(Option<(usize, StreamState)>),
    Optimizer {
        lr: u64,
        hyperparameters: Vec<(String, f64)>,
        traced: TracedSteps,
        mark: Option<Mark>,
    },
    Variable(Number),
}

/// Traces `function`, which is given stand-ins for `inputs`. `slots` and `before` are the state's.
pub(super) fn trace<S: Module>(
    function: &mut dyn FnMut(&mut S, &[Tensor]) -> Result<Vec<Tensor>>,
    state: &mut S,
    inputs: &[&Tensor],
    slots: &Slots,
    before: &Snapshot,
) -> Result<Traced> {
    let mut tracing = Tracing::start()?;
    let current = slots.slots.iter().map(|s| &s.current);
    let own: Vec<Tensor> = current.map(|t| tracing.symbol(t)).collect();
    let stand_ins: Vec<Tensor> = inputs.iter().map(|t| tracing.symbol(t)).collect();
    let placed: Vec<Tensor> = slots.places.iter().map(|&s| own[s].clone()).collect();
    let guard = Guard::new(state, before);
    put(guard.state, &placed);
    enter(guard.state, &mut tracing);
    let first = look(guard.state, &tracing);
    let outputs = match function(guard.state, &stand_ins) {
        Ok(outputs) => outputs,
        Err(e) => return guard.leave(Err(e)),
    };
    let last = look(guard.state, &tracing);
    let (names, after) = named_tensors(guard.state);
    let done = Done {
        own,
        stand_ins,
        outputs,
        names,
        after,
        first,
        last,
    };
    match done.unfit(&tracing, slots, before) {
        Err(e) => guard.leave(Err(e)),
        Ok(Some(reason)) => {
            drop(tracing);
            match done.bind(guard.state, slots, inputs) {
                Ok(()) => guard.end(Ok(Traced::Unfit(reason, done.outputs))),
                Err(e) => guard.leave(Err(e)),
            }
        }
        Ok(None) => {
            guard.leave(Ok(()))?;
            let guard = Guard::new(state, before);
            let planned = done.plan(tracing, guard.state, slots);
            guard.end(planned)
        }
    }
}

/// Prepares a state for being traced: streams get names, variables cells of their own, and learning rates a value by which
/// it shows if they are set.
fn enter<S: Module>(state: &mut S, tracing: &mut Tracing) {
    state.visit_host(&mut |host| match host {
        Host::Generator(g) => tracing.adopt(g),
        Host::Variable(v) => {
            let own = Number::new(peek(v.cell()));
            v.set_cell(own, true);
        }
        Host::Optimizer(o) => o.nudge(),
        _ => {}
    });
}

/// What the host's side of a state shows, by name.
fn look<S: Module>(state: &mut S, tracing: &Tracing) -> Vec<(String, Seen)> {
    let mut path = Path::default();
    let mut seen = Vec::new();
    state.visit_host(&mut |host| {
        path.follow(&host);
        let what = match host {
            Host::Enter(_) | Host::Leave | Host::Tensor(_) => return,
            Host::Number(n) => Seen::Bits(n),
            Host::Value(v) => Seen::Bits(v.bits()),
            Host::Generator(g) => Seen::Stream(tracing.stream_of(g)),
            Host::Variable(v) => Seen::Variable(v.cell().clone()),
            Host::Optimizer(o) => Seen::Optimizer {
                lr: o.learning_rate().to_bits(),
                hyperparameters: o.described(),
                traced: o.take_traced(),
                mark: o.binding_mut().clone(),
            },
        };
        seen.push((path.to_string(), what));
    });
    seen
}

/// What a function changed on the host's side that a plan does not change.
fn difference(before: &[(String, Seen)], after: &[(String, Seen)]) -> Option<String> {
    for ((name, before), (_, after)) in before.iter().zip(after) {
        match (before, after) {
            (Seen::Bits(a), Seen::Bits(b)) if a == b => {}
            (Seen::Bits(_), Seen::Bits(_)) => return Some(format!("{name} changes inside it")),
            (Seen::Stream(_), Seen::Stream(Some(_))) => {}
            (Seen::Stream(_), Seen::Stream(None)) => {
                return Some(format!("the generator {name} is replaced inside it"));
            }
            (Seen::Variable(a), Seen::Variable(b)) if a.same(b) => {}
            (Seen::Variable(_), Seen::Variable(_)) => {
                return Some(format!("the variable {name} is set inside it"));
            }
            (
                Seen::Optimizer {
                    lr,
                    hyperparameters,
                    ..
                },
                Seen::Optimizer {
                    lr: lr_after,
                    hyperparameters: now,
                    ..
                },
            ) => {
                if lr != lr_after {
                    return Some(format!("the learning rate of {name} is set inside it"));
                }
                let pairs = hyperparameters.iter().zip(now);
                let mut changed = pairs.filter(|(a, b)| a.1.to_bits() != b.1.to_bits());
                if let Some(((which, _), _)) = changed.next() {
                    return Some(format!("{which} of {name} changes inside it"));
                }
            }
            _ => return Some(format!("another part stands at {name} after it")),
        }
    }
    let same = before.len() == after.len();
    (!same).then(|| "it adds or removes parts of its state".to_string())
}

/// A recorded function.
struct Done {
    own: Vec<Tensor>,
    stand_ins: Vec<Tensor>,
    outputs: Vec<Tensor>,
    names: Vec<String>,
    after: Vec<Tensor>,
    first: Vec<(String, Seen)>,
    last: Vec<(String, Seen)>,
}

impl Done {
    /// Why no plan can do what was done, if so.
    ///
    /// # Errors
    /// A result is invalid, or what it is made of cannot be computed.
    fn unfit(&self, tracing: &Tracing, slots: &Slots, before: &Snapshot) -> Result<Option<String>> {
        let results: Vec<&Tensor> = self.outputs.iter().chain(&self.after).collect();
        let ready = tracing.ready(&results);
        match &ready {
            Err(e) if e.kind() == ErrorKind::Unsupported => return Ok(Some(e.to_string())),
            _ => ready?,
        }
        if let Some((what, place)) = tracing.observed() {
            return Ok(Some(format!("{what} at {place}")));
        }
        if let Some(reason) = difference(&self.first, &self.last) {
            return Ok(Some(reason));
        }
        let made: usize = self.made().map(|(_, _, moments)| moments.len()).sum();
        let common = before.common(&self.names);
        if common.len() != slots.places.len() || self.names.len() != common.len() + made {
            return Ok(Some("it adds or removes tensors of its state".to_string()));
        }
        let names: Vec<String> = common.iter().map(|&at| self.names[at].clone()).collect();
        let after: Vec<Tensor> = common.iter().map(|&at| self.after[at].clone()).collect();
        Ok(slots.updates(&self.own, &after, &names).err())
    }

    /// The moments that were made.
    fn made(&self) -> impl Iterator<Item = &Made> {
        self.last.iter().flat_map(|(_, seen)| match seen {
            Seen::Optimizer { traced, .. } => traced.made.as_slice(),
            _ => &[],
        })
    }

    /// Makes the trace a call: stand-ins get the values of what they stood for, or give their places back to it.
    fn bind<S: Module>(&self, state: &mut S, slots: &Slots, inputs: &[&Tensor]) -> Result<()> {
        let current = slots.slots.iter().map(|s| &s.current);
        let made = self.made().flat_map(|(_, _, moments)| moments);
        let pairs = self.own.iter().zip(current);
        let pairs = pairs.chain(made.map(|(first, symbol)| (symbol, first)));
        let mut meant: HashMap<usize, Tensor> = HashMap::new();
        for (symbol, real) in pairs {
            bind(symbol, real)?;
            meant.insert(identity(symbol), real.clone());
        }
        for (symbol, real) in self.stand_ins.iter().zip(inputs) {
            bind(symbol, real)?;
        }
        each_tensor(state, &mut |t| {
            if let Some(real) = meant.get(&identity(t)) {
                *t = real.clone();
            }
        });
        state.visit_host(&mut |host| match host {
            Host::Generator(g) => Tracing::release(g),
            Host::Variable(v) => v.set_cell(v.cell().clone(), false),
            Host::Optimizer(o) => {
                o.take_traced();
                o.calm();
            }
            _ => {}
        });
        Ok(())
    }

    /// The plan of what was recorded. The state, which is as it was, gets the moments that were made.
    fn plan<S: Module>(self, tracing: Tracing, state: &mut S, slots: &Slots) -> Result<Traced> {
        let mut stand_in: HashMap<usize, Tensor> = HashMap::new();
        for (slot, symbol) in slots.slots.iter().zip(&self.own) {
            stand_in.insert(identity(&slot.current), symbol.clone());
        }
        let made = self.made().flat_map(|(_, _, moments)| moments);
        stand_in.extend(made.map(|(first, symbol)| (identity(first), symbol.clone())));
        self.admit_moments(state);
        let (names, tensors) = named_tensors(state);
        let slots = Slots::of(&names, tensors);
        let known = |t: &Tensor| stand_in.get(&identity(t)).cloned();
        let own: Option<Vec<Tensor>> = slots.slots.iter().map(|s| known(&s.current)).collect();
        let fail = |message: &str| Error::new(ErrorKind::Internal, "compile", message);
        let own = own.ok_or_else(|| fail("a tensor of the state comes from elsewhere"))?;
        if names != self.names {
            return Err(fail(
                "moments stand at other places than they were made for",
            ));
        }
        let updated = slots.updates(&own, &self.after, &self.names);
        let updated = updated.map_err(|reason| fail(&reason))?;
        let plan = self.finish(tracing, own, updated)?;
        Ok(Traced::Plan(Box::new(plan), slots))
    }

    fn admit_moments<S: Module>(&self, state: &mut S) {
        let mut made = self.last.iter().filter_map(|(_, seen)| match seen {
            Seen::Optimizer { traced, .. } => Some(traced),
            _ => None,
        });
        state.visit_host(&mut |host| {
            if let Host::Optimizer(o) = host
                && let Some(traced) = made.next()
            {
                o.admit(traced);
            }
        });
    }

    fn finish(
        self,
        tracing: Tracing,
        own: Vec<Tensor>,
        updated: Vec<(usize, Tensor)>,
    ) -> Result<Plan> {
        let results: Vec<&Tensor> = self
            .outputs
            .iter()
            .chain(updated.iter().map(|(_, t)| t))
            .collect();
        let given: Vec<Tensor> = own.into_iter().chain(self.stand_ins).collect();
        let slots = updated.iter().map(|(slot, _)| Some(*slot));
        let n_outputs = self.outputs.len();
        let replaced: Vec<Option<usize>> = vec![None; n_outputs].into_iter().chain(slots).collect();
        let replay = tracing.finish(&given, &results, &replaced)?;
        let streams: Vec<StreamState> = streams(&self.first).map(|(_, state)| state).collect();
        let advances = streams_after(&streams, &self.last);
        let (mut cells, mut marks, mut variables) = (Vec::new(), Vec::new(), Vec::new());
        for (_, seen) in self.last {
            match seen {
                Seen::Optimizer { traced, mark, .. } => {
                    marks.push(mark.filter(|_| !traced.cells.is_empty()));
                    cells.push(traced.cells);
                }
                Seen::Variable(cell) => variables.push(cell),
                Seen::Bits(_) | Seen::Stream(_) => {}
            }
        }
        let writer = |t: &Tensor| {
            let wrote = |m: &Option<Mark>| m.as_ref().is_some_and(|m| m.is_on(t));
            marks.iter().position(wrote)
        };
        let in_place = replay.in_place()[n_outputs..].iter();
        let updated = updated
            .iter()
            .zip(in_place)
            .map(|((slot, t), &in_place)| Updated {
                slot: *slot,
                in_place,
                by: writer(t),
            });
        Ok(Plan {
            updated: updated.collect(),
            replay,
            n_outputs,
            cells,
            advances,
            variables,
        })
    }
}

fn streams(seen: &[(String, Seen)]) -> impl Iterator<Item = (usize, StreamState)> {
    seen.iter().filter_map(|(_, seen)| match seen {
        Seen::Stream(stream) => *stream,
        _ => None,
    })
}

fn streams_after(before: &[StreamState], last: &[(String, Seen)]) -> Vec<Advance> {
    streams(last)
        .map(|after| Advance::between(before, after))
        .collect()
}
