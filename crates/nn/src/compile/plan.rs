//! A traced function as a plan: one run, and the state's numbers brought up to date.

use super::slots::{Lent, Slots, Updated};
use crate::host::Host;
use crate::module::Module;
use crate::optim::Hooks;
use wgrad_graph::replay::{Outcome, Replay, StreamState, peek};
use wgrad_graph::{Mark, Number, Result, Tensor};

pub(super) struct Plan {
    pub(super) replay: Replay,
    pub(super) n_outputs: usize,
    /// What becomes of the results after the outputs.
    pub(super) updated: Vec<Updated>,
    /// For each optimiser, the cells of the steps it takes.
    pub(super) cells: Vec<Vec<Vec<Number>>>,
    /// For each random stream, what a call makes of it.
    pub(super) advances: Vec<Advance>,
    /// For each variable, the cell that the plan reads.
    pub(super) variables: Vec<Number>,
}

/// How far a call takes a random stream.
#[derive(Clone, Copy)]
pub(super) struct Advance {
    /// The stream that it goes on from; another one where a function swaps them.
    from: usize,
    steps: u64,
    /// Draws in the last step.
    draws: u64,
}

impl Advance {
    pub(super) fn between(before: &[StreamState], (from, after): (usize, StreamState)) -> Advance {
        let steps = after[1].wrapping_sub(before[from][1]);
        let draws = if steps == 0 {
            after[2].wrapping_sub(before[from][2])
        } else {
            after[2]
        };
        Advance { from, steps, draws }
    }

    fn apply(self, states: &[StreamState]) -> StreamState {
        let state = states[self.from];
        let before = if self.steps == 0 { state[2] } else { 0 };
        [
            state[0],
            state[1].wrapping_add(self.steps),
            before.wrapping_add(self.draws),
        ]
    }
}

impl Plan {
    /// One run, and the state brought up to date.
    pub(super) fn run<S: Module>(
        &mut self,
        slots: &mut Slots,
        state: &mut S,
        inputs: &[&Tensor],
    ) -> Result<Vec<Tensor>> {
        let streams = self.prepare(state)?;
        let updated = (&self.updated[..], self.n_outputs);
        let mut lent = Lent::new(slots, state, updated, self.replay.hollow());
        let own = lent.slots.slots.iter().map(|s| &s.current);
        let given: Vec<&Tensor> = own.chain(inputs.iter().copied()).collect();
        let (mut results, outcome) = self.replay.run(&given, &streams, &mut lent.spares)?;
        lent.take(results.drain(self.n_outputs..));
        drop(lent);
        self.finish(slots, state, &streams, &outcome);
        Ok(results)
    }

    /// Puts the numbers of the next step into the cells; the states of the streams.
    fn prepare<S: Module>(&self, state: &mut S) -> Result<Vec<StreamState>> {
        let mut streams = Vec::with_capacity(self.advances.len());
        let (mut cells, mut variables) = (self.cells.iter(), self.variables.iter());
        let mut outcome = Ok(());
        state.visit_host(&mut |host| match host {
            Host::Generator(g) => streams.push((*g).state()),
            Host::Optimizer(o) => {
                let renewed = cells.next().map_or(Ok(()), |cells| renew(o, cells));
                if outcome.is_ok() {
                    outcome = renewed;
                }
            }
            Host::Variable(v) => {
                if let Some(cell) = variables.next() {
                    cell.set(peek(v.cell()));
                }
            }
            _ => {}
        });
        outcome.map(|()| streams)
    }

    fn finish<S: Module>(
        &self,
        slots: &Slots,
        state: &mut S,
        streams: &[StreamState],
        outcome: &Outcome,
    ) {
        let mut advances = streams.iter().zip(&self.advances);
        let mut optimizers = 0..self.cells.len();
        state.visit_host(&mut |host| match host {
            Host::Generator(g) => {
                if let Some((&from, advance)) = advances.next() {
                    g.go_on(from, advance.apply(streams), outcome);
                }
            }
            Host::Optimizer(o) => {
                if let Some(at) = optimizers.next() {
                    self.stepped(slots, o, at, outcome);
                }
            }
            _ => {}
        });
    }

    /// Counts an optimiser's steps, and marks the parameters that it has written.
    fn stepped(&self, slots: &Slots, optimizer: &mut dyn Hooks, at: usize, outcome: &Outcome) {
        let steps = self.cells[at].len();
        if steps == 0 {
            return;
        }
        optimizer.count(steps as u64, outcome);
        let own = self.updated.iter().filter(|u| u.by == Some(at));
        let own = own.map(|u| &slots.slots[u.slot].current);
        let binding = optimizer.binding_mut();
        // Nobody else knows the mark, and all have kept it: no other tensor can have come by it since.
        let known = binding
            .as_ref()
            .is_some_and(|mark| mark.is_sole() && own.clone().all(|t| mark.is_on(t)));
        if !known {
            let mark = Mark::new();
            own.for_each(|t| mark.put_on(t));
            *binding = Some(mark);
        }
    }
}

fn renew(optimizer: &dyn Hooks, cells: &[Vec<Number>]) -> Result<()> {
    for (step, cells) in (optimizer.steps_taken() + 1..).zip(cells) {
        let numbers = optimizer.numbers(step)?;
        cells.iter().zip(numbers).for_each(|(c, n)| c.set(n));
    }
    Ok(())
}
