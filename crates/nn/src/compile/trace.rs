//! Recording a function on stand-ins for its state, and seeing what it did to the state. The state is as before then, but for
//! moments that were made.

use super::plan::{Advance, Plan, Updated};
use super::slots::Slots;
use super::snapshot::{Guard, Path, Snapshot, named_tensors, put};
use crate::host::Host;
use crate::module::{Module, identity};
use crate::optim::TracedSteps;
use std::collections::HashMap;
use wgrad_graph::replay::{StreamState, Tracing, peek};
use wgrad_graph::{Mark, Number, Result, Tensor};

/// What came of a trace.
pub(super) enum Traced {
    /// A plan, and the state's slots with the moments that were made.
    Plan(Box<Plan>, Slots),
    /// Why no plan can stand for the function.
    Unfit(String),
}

/// One thing of a state's host side while a function is traced.
enum Seen {
    Bits(u64),
    Stream(Option<(usize, StreamState)>),
    Optimizer {
        lr: u64,
        hyperparameters: Vec<(&'static str, f64)>,
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
    let own: Vec<Tensor> = slots
        .slots
        .iter()
        .map(|s| tracing.symbol(&s.current))
        .collect();
    let stand_ins: Vec<Tensor> = inputs.iter().map(|t| tracing.symbol(t)).collect();
    let placed: Vec<Tensor> = slots.places.iter().map(|&s| own[s].clone()).collect();
    let guard = Guard::new(state, before);
    put(guard.state, &placed);
    enter(guard.state, &mut tracing);
    let first = look(guard.state, &tracing);
    let outputs = function(guard.state, &stand_ins);
    let last = look(guard.state, &tracing);
    let observed = tracing.observed();
    let (names, after) = named_tensors(guard.state);
    let outputs = guard.leave(outputs)?;
    for t in &outputs {
        t.check()?;
    }
    if let Some((what, place)) = observed {
        return Ok(Traced::Unfit(format!("{what} at {place}")));
    }
    if let Some(reason) = difference(&first, &last) {
        return Ok(Traced::Unfit(reason));
    }
    let done = Done {
        own,
        stand_ins,
        outputs,
        names,
        after,
        first,
        last,
    };
    let guard = Guard::new(state, before);
    let planned = done.plan(tracing, guard.state, slots);
    match planned {
        Ok(Traced::Plan(..)) => guard.end(planned),
        other => guard.leave(other),
    }
}

/// Prepares a state for being traced: streams get names, variables cells of their own, and learning rates a value by which
/// it shows if they are set.
fn enter<S: Module>(state: &mut S, tracing: &mut Tracing) {
    state.visit_host(&mut |host| match host {
        Host::Generator(g) => tracing.adopt(g),
        Host::Variable(v) => {
            let own = Number::new(peek(v.cell()));
            v.set_cell(own);
        }
        Host::Optimizer(o) => {
            let lr = o.lr_mut();
            *lr = lr.next_up();
        }
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
                lr: o.lr_mut().to_bits(),
                hyperparameters: o.hyperparameters(),
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
                return Some(format!("the variable {name} is replaced inside it"));
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
    /// The plan of what was recorded. The state, which is as it was, gets the moments that were made.
    fn plan<S: Module>(self, tracing: Tracing, state: &mut S, slots: &Slots) -> Result<Traced> {
        let mut stand_in: HashMap<usize, Tensor> = HashMap::new();
        for (slot, symbol) in slots.slots.iter().zip(&self.own) {
            stand_in.insert(identity(&slot.current), symbol.clone());
        }
        for (_, seen) in &self.last {
            if let Seen::Optimizer { traced, .. } = seen {
                let made = traced.made.iter().flat_map(|(_, moments)| moments);
                stand_in.extend(made.map(|(first, symbol)| (identity(first), symbol.clone())));
            }
        }
        self.admit_moments(state);
        let (names, tensors) = named_tensors(state);
        if names != self.names {
            let reason = "it adds or removes tensors of its state".to_string();
            return Ok(Traced::Unfit(reason));
        }
        let slots = Slots::of(&names, tensors);
        let known = |t: &Tensor| stand_in.get(&identity(t)).cloned();
        let own: Option<Vec<Tensor>> = slots.slots.iter().map(|s| known(&s.current)).collect();
        let Some(own) = own else {
            let reason = "a tensor of its state comes from elsewhere".to_string();
            return Ok(Traced::Unfit(reason));
        };
        let updated = match slots.updates(&own, &self.after, &self.names)? {
            Ok(updated) => updated,
            Err(reason) => return Ok(Traced::Unfit(reason)),
        };
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
