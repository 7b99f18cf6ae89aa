//! Optimisers: they record every new parameter and moment, run them with the loss in one evaluation, and only then
//! touch the tree. Update rules are files of their own; what is common to all stands in `state`.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod nadam;
mod radam;
mod rmsprop;
mod rprop;
mod sgd;
mod state;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use adamax::Adamax;
pub use nadam::NAdam;
pub use radam::RAdam;
pub use rmsprop::RmsProp;
pub use rprop::Rprop;
pub use sgd::Sgd;

use crate::gradients::Gradients;
use crate::module::Module;
use wgrad_graph::{Result, Tensor};

/// Moves the parameters of a module against a gradient.
pub trait Optimizer: Send {
    /// One training step in one run: the loss, the tensors of [`Gradients::also`], new parameters, new moments and the
    /// module's buffers. The tree then holds leaves, and reading the loss costs no further run.
    ///
    /// The learning rate and all that changes from step to step are inputs of the plan, so no step after the second plans anew.
    ///
    /// # Errors
    /// The gradients are not this model's, a number is out of its range, a tensor is invalid, or running fails.
    /// Model and optimiser are as they were then. A bad index on the device is met here on the cpu, and elsewhere by
    /// the next read.
    fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()>;

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Another learning rate from the next step on.
    fn set_lr(&mut self, lr: f64);

    /// Steps taken.
    fn steps(&self) -> u64;

    /// The moments, named by parameter and kind: `conv1.weight.exp_avg`.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Goes on from saved moments and a number of steps; shapes are checked by the next step.
    ///
    /// # Errors
    /// A name is given twice or is no moment of this optimiser, a parameter lacks one of its moments, or a tensor is
    /// invalid: one error lists them all, and nothing is changed.
    fn load_state(&mut self, state: &[(String, Tensor)], steps: u64) -> Result<()>;
}

/// Implements [`Optimizer`] for a struct with fields `lr` and `state`, and methods `validate` and `update`.
macro_rules! optimizer {
    ($t:ty, $moments:expr) => {
        impl crate::optim::Optimizer for $t {
            #[track_caller]
            fn step(
                &mut self,
                model: &mut dyn crate::Module,
                gradients: &crate::Gradients,
            ) -> wgrad_graph::Result<()> {
                self.validate()?;
                let moments: &[&str] = $moments(&*self);
                let next = self
                    .state
                    .next(model, gradients, moments, &|u| self.update(u))?;
                self.state.commit(model, next);
                Ok(())
            }

            fn lr(&self) -> f64 {
                self.lr
            }

            fn set_lr(&mut self, lr: f64) {
                self.lr = lr;
            }

            fn steps(&self) -> u64 {
                self.state.steps
            }

            fn state(&self) -> Vec<(String, wgrad_graph::Tensor)> {
                self.state.named($moments(self))
            }

            fn load_state(
                &mut self,
                state: &[(String, wgrad_graph::Tensor)],
                steps: u64,
            ) -> wgrad_graph::Result<()> {
                self.state = crate::optim::state::State::load(state, $moments(&*self), steps)?;
                Ok(())
            }
        }
    };
}
use optimizer;
