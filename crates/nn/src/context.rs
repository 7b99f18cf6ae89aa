//! What a forward pass needs besides its input: whether it trains, and random numbers. Holds no parameters.

use crate::{Host, Kind, Module};
use wgrad_graph::{Generator, Tensor};

/// Given to the `forward` of layers that behave differently in training, or that draw random numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Whether this is training: dropout drops, batch normalisation uses the batch's statistics.
    pub training: bool,
    /// The stream that layers draw from.
    pub rng: Generator,
}

impl Context {
    /// For training, with a stream of its own.
    ///
    /// ```
    /// let mut cx = wgrad_nn::Context::train(1);
    /// assert!(cx.training);
    /// cx.next_step();
    /// assert_eq!(cx.rng.state(), [1, 1, 0]);
    /// ```
    pub fn train(seed: u64) -> Context {
        Context {
            training: true,
            rng: Generator::new(seed),
        }
    }

    /// For evaluation, where no layer draws.
    pub fn eval() -> Context {
        Context {
            training: false,
            rng: Generator::new(0),
        }
    }

    /// Goes to the next training step of the stream: draws are then named by step, so a resumed run repeats them.
    pub fn next_step(&mut self) {
        self.rng.next_step();
    }
}

impl Module for Context {
    fn visit(&self, _: &str, _: &mut dyn FnMut(&str, Kind, &Tensor)) {}

    fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, Kind, &mut Tensor)) {}

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Enter(&"training"));
        visitor(Host::Value(&mut self.training));
        visitor(Host::Leave);
        visitor(Host::Enter(&"rng"));
        visitor(Host::Generator(&mut self.rng));
        visitor(Host::Leave);
    }

    fn duplicate(&self) -> Option<Context> {
        Some(self.clone())
    }
}
