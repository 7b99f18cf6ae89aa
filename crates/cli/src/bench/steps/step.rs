//! A training step that is replayed, with all that it changes, and what a file of models says of one. Knows no model and
//! times nothing.

use super::super::case::Unit;
use wgrad::nn::{Compiled, Context, compile, gradients};
use wgrad::{Device, Generator, Module, Optimizer, Tensor};

/// A model as it is trained: what is built, what a batch is, and how much of it a step takes.
pub struct Model {
    pub name: &'static str,
    pub unit: Unit,
    /// Samples or tokens of a step.
    pub amount: usize,
    /// The step with fresh weights.
    pub build: fn(&Device) -> Box<dyn Step>,
    /// A batch by chance: the step's arguments.
    pub batch: fn(&mut Generator, &Device) -> Vec<Tensor>,
}

/// A whole training step.
pub trait Step {
    /// Takes it on a batch: for each optimiser its loss, and the norm of its gradients before clipping.
    fn run(&mut self, batch: &[&Tensor]) -> wgrad::Result<Vec<Tensor>>;

    /// What is trained.
    fn networks(&mut self) -> &mut dyn Module;

    /// How often the step was traced.
    #[cfg(test)]
    fn traces(&self) -> usize;
}

type Function<M, R> = Box<dyn FnMut(&mut (M, R), &[Tensor]) -> wgrad::Result<Vec<Tensor>>>;

/// A compiled step with its state: networks, and the rest.
pub struct Trained<M, R> {
    state: (M, R),
    step: Compiled<(M, R), Vec<Tensor>, Function<M, R>>,
    schedule: fn(&mut R, u64),
    done: u64,
}

impl<M: Module + 'static, R: Module + 'static> Trained<M, R> {
    /// `function` takes a batch and gives what [`Step::run`] does.
    pub fn new(
        networks: M,
        rest: R,
        mut function: impl FnMut(&mut M, &mut R, &[Tensor]) -> wgrad::Result<Vec<Tensor>> + 'static,
    ) -> Trained<M, R> {
        let step: Function<M, R> =
            Box::new(move |(networks, rest), batch| function(networks, rest, batch));
        Trained {
            state: (networks, rest),
            step: compile(step),
            schedule: |_, _| (),
            done: 0,
        }
    }

    /// With learning rates that `schedule` sets before each step, which are counted from 0.
    pub fn scheduled(self, schedule: fn(&mut R, u64)) -> Trained<M, R> {
        Trained { schedule, ..self }
    }
}

impl<M: Module + 'static, O: Optimizer + 'static> Trained<M, (O, Context)> {
    /// One network with one optimiser.
    pub fn single(
        network: M,
        optimizer: O,
        loss: fn(&mut M, &[Tensor], &mut Context) -> Tensor,
    ) -> Trained<M, (O, Context)> {
        let rest = (optimizer, Context::train(0));
        Trained::new(network, rest, move |network, (optimizer, cx), batch| {
            let loss = loss(network, batch, cx);
            let norm = descend(&loss, network, optimizer)?;
            Ok(vec![loss, norm])
        })
    }
}

impl<M: Module + 'static, R: Module + 'static> Step for Trained<M, R> {
    fn run(&mut self, batch: &[&Tensor]) -> wgrad::Result<Vec<Tensor>> {
        (self.schedule)(&mut self.state.1, self.done);
        self.done += 1;
        self.step.call(&mut self.state, batch)
    }

    fn networks(&mut self) -> &mut dyn Module {
        &mut self.state.0
    }

    #[cfg(test)]
    fn traces(&self) -> usize {
        self.step.traces()
    }
}

/// One step down, gradients clipped to a norm of 1. Gives the norm before.
pub fn descend<M: Module, O: Optimizer>(
    loss: &Tensor,
    network: &mut M,
    optimizer: &mut O,
) -> wgrad::Result<Tensor> {
    let (gradients, norm) = gradients(loss, network)?.clip_grad_norm(1.0);
    optimizer.step(network, &gradients.also(&norm))?;
    Ok(norm)
}

/// Whether a parameter belongs to the group that does not decay: biases, and the scales and shifts of norms.
pub fn plain(_: &str, parameter: &Tensor) -> bool {
    parameter.rank() < 2
}
