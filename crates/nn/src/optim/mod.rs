//! Optimisers: they record every new parameter and moment, run them with the loss in one evaluation, and only then
//! touch the tree. Update rules are files of their own; what is common to all stands in `state`.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod delta_bar_delta;
mod groups;
mod half;
mod lamb;
mod lion;
mod muon;
mod nadam;
mod parameters;
mod radam;
mod rmsprop;
mod rprop;
mod sgd;
mod state;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use adamax::Adamax;
pub use delta_bar_delta::DeltaBarDelta;
pub use lamb::Lamb;
pub use lion::Lion;
pub use muon::{AdjustLr, Muon};
pub use nadam::NAdam;
pub use radam::RAdam;
pub use rmsprop::RmsProp;
pub use rprop::Rprop;
pub use sgd::Sgd;
pub(crate) use state::Made;
pub use state::TracedSteps;

use crate::gradients::Gradients;
use crate::host::Saved;
use crate::module::Module;
use wgrad_graph::replay::Outcome;
use wgrad_graph::{Mark, Result, Tensor};

/// Where an optimiser shows the number of steps that it has left out, which [`Hooks::steps_taken`] does not count. No field
/// has such a name.
pub const LEFT_OUT: &str = "steps left out";

/// Moves the parameters of a module against a gradient. As a [`Module`] it is the tree of its moments, which are
/// buffers, so that it can be part of the state of a compiled step.
pub trait Optimizer: Module {
    /// One training step in one run: the loss, the tensors of [`Gradients::also`], new parameters, new moments and the
    /// module's buffers. The tree then holds leaves, and reading the loss costs no further run.
    ///
    /// The learning rate and all that changes from step to step are inputs of the plan, so no step after the second plans anew.
    ///
    /// Parameters without a gradient ([`Gradients::freeze`], [`Gradients::split`]) and their moments are left as they are. What
    /// an update rule makes of the step's number (Adam's corrections of bias) goes by the optimiser's steps, also for a
    /// parameter that was frozen in some of them; PyTorch counts for each.
    ///
    /// An optimiser belongs to one module. It knows it again by its parameters: those that it wrote, that were loaded or
    /// moved into their place ([`Module::load_state`], [`Module::to_device`]), or that were computed from them. Where
    /// every parameter has been replaced by hand the moments go on with the new ones, provided that the old ones are gone.
    ///
    /// # Errors
    /// The gradients are not this model's, a number is out of its range, a tensor is invalid, or running fails; the model
    /// is another than that of the last step, whose parameters still exist.
    /// Parameters, moments and step count are as they were then. A bad index on the device is met here on the cpu; a GPU
    /// tells of it with the loss, and parameters, moments and steps are then as if the step had not been taken.
    fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()>;

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Another learning rate from the next step on: for the parameters of no group, and of each group that has no rate of
    /// its own.
    fn set_lr(&mut self, lr: f64);

    /// The names of the parameter groups, with their learning rates, in the order in which they were added.
    fn groups(&self) -> Vec<(String, f64)>;

    /// The learning rate of a group.
    fn group_lr(&self, name: &str) -> Option<f64>;

    /// Another learning rate for a group, from the next step on; it has one of its own then.
    ///
    /// # Errors
    /// There is no group of this name.
    ///
    /// ```
    /// use wgrad_nn::{AdamW, Optimizer};
    /// let mut adamw = AdamW::new(1e-3)
    ///     .weight_decay(0.1)
    ///     .group("head", |name, _| name.starts_with("head."), |g| g.with_lr(1e-2))
    ///     .group("plain", |_, t| t.rank() < 2, |g| g.weight_decay(0.0));
    /// adamw.set_lr(2e-3); // of the optimiser, and of "plain", which has no rate of its own
    /// adamw.set_group_lr("head", 5e-3)?;
    /// assert_eq!(adamw.groups(), [("head".to_string(), 5e-3), ("plain".to_string(), 2e-3)]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    fn set_group_lr(&mut self, name: &str, lr: f64) -> Result<()>;

    /// The parameters by whose gradients `gradients` are, each with the name of its group if it is in one.
    fn members(&self, gradients: &Gradients) -> Vec<(String, Option<String>)>;

    /// Steps taken.
    fn steps(&self) -> u64;

    /// Goes on from saved moments ([`Module::state`], named by parameter and kind: `conv1.weight.exp_avg`) and a number
    /// of steps; shapes are checked by the next step.
    ///
    /// # Errors
    /// A name is given twice or is no moment of this optimiser, a parameter lacks one of its moments, or a tensor is
    /// invalid: one error lists them all, and nothing is changed.
    fn load_moments(&mut self, state: &[(String, Tensor)], steps: u64) -> Result<()>;

    /// What [`compile`](crate::compile()) asks for.
    fn hooks(&mut self) -> &mut dyn Hooks;
}

/// How a compiled step keeps an optimiser's numbers up to date without running its code.
pub trait Hooks {
    /// The numbers that change from step to step, for this step (from 1).
    ///
    /// # Errors
    /// A hyperparameter is out of its range.
    fn numbers(&self, step: u64) -> Result<Vec<f64>>;

    /// The numbers that are built into a compiled step, with their names: it is traced anew when one changes.
    fn hyperparameters(&self) -> Vec<(&'static str, f64)>;

    /// The same numbers with names that tell groups apart, for messages.
    fn described(&self) -> Vec<(String, f64)>;

    /// What was done since the last call while a function was traced.
    fn take_traced(&mut self) -> TracedSteps;

    /// Takes the moments that a traced function made.
    fn admit(&mut self, traced: &TracedSteps);

    /// The learning rate as it is kept, without being noticed by a trace.
    fn learning_rate(&self) -> f64;

    /// Keeps another number in the place of the learning rate while a function is traced, by which it shows if it is set.
    fn nudge(&mut self);

    /// Ends that: the learning rate is what it was, or what it has been set to.
    fn calm(&mut self);

    /// The groups with the learning rates of their own, if they have one.
    fn group_rates(&self) -> Vec<(String, Option<f64>)>;

    /// Puts back what [`Hooks::group_rates`] gave. False if the groups have other names.
    fn set_group_rates(&mut self, rates: &[(String, Option<f64>)]) -> bool;

    /// The number of steps taken, without being noticed by a trace.
    fn steps_taken(&self) -> u64;

    /// Counts steps of a run; if it turns out to have failed they do not count.
    fn count(&mut self, steps: u64, outcome: &Outcome);

    /// The mark that the parameters bear which were written last.
    fn binding_mut(&mut self) -> &mut Option<Mark>;

    /// A copy with everything.
    fn save(&self) -> Saved;

    /// Becomes what was saved. False if that is another optimiser.
    fn restore(&mut self, saved: &Saved) -> bool;

    /// Goes on from moments by name, a number of steps and a learning rate, as a file holds them.
    ///
    /// # Errors
    /// As [`Optimizer::load_moments`].
    fn resume(&mut self, moments: &[(String, Tensor)], steps: u64, lr: f64) -> Result<()>;
}

/// Implements [`Optimizer`] for a struct with fields `lr`, `groups` and `state`, and methods `validate`, `moments`,
/// `numbers`, `hyperparameters` and `update`.
macro_rules! optimizer {
    ($t:ident) => {
        impl crate::Module for $t {
            fn visit(
                &self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &wgrad_graph::Tensor),
            ) {
                self.state.visit(path, visitor);
            }

            fn visit_mut(
                &mut self,
                path: &str,
                visitor: &mut dyn FnMut(&str, crate::Kind, &mut wgrad_graph::Tensor),
            ) {
                self.state.visit_mut(path, visitor);
            }

            fn visit_host(&mut self, visitor: &mut dyn FnMut(crate::Host<'_>)) {
                visitor(crate::Host::Optimizer(self));
                if let Some(skipped) = &mut self.state.skipped {
                    visitor(crate::Host::Enter(&crate::optim::LEFT_OUT));
                    visitor(crate::Host::Tensor(skipped));
                    visitor(crate::Host::Leave);
                }
            }

            fn duplicate(&self) -> Option<$t> {
                Some(self.clone())
            }
        }

        impl crate::optim::Optimizer for $t {
            #[track_caller]
            fn step(
                &mut self,
                model: &mut dyn crate::Module,
                gradients: &crate::Gradients,
            ) -> wgrad_graph::Result<()> {
                let now = (self.state.calm(self.lr), self.state.taken() + 1);
                let ran = std::cell::Cell::new(false);
                let next = crate::optim::groups::with_rules(self, now, &|rules| {
                    self.state.next(model, gradients, rules, &ran)
                });
                self.state.finish(model, next, ran.get())
            }

            #[track_caller]
            fn lr(&self) -> f64 {
                wgrad_graph::replay::observe("a learning rate is read");
                self.state.calm(self.lr)
            }

            #[track_caller]
            fn set_lr(&mut self, lr: f64) {
                wgrad_graph::replay::observe("a learning rate is set");
                self.lr = lr;
            }

            #[track_caller]
            fn groups(&self) -> Vec<(String, f64)> {
                wgrad_graph::replay::observe("a learning rate is read");
                self.groups.rates(self.state.calm(self.lr))
            }

            #[track_caller]
            fn group_lr(&self, name: &str) -> Option<f64> {
                let groups = crate::optim::Optimizer::groups(self);
                groups
                    .into_iter()
                    .find(|(n, _)| n == name)
                    .map(|(_, lr)| lr)
            }

            #[track_caller]
            fn set_group_lr(&mut self, name: &str, lr: f64) -> wgrad_graph::Result<()> {
                wgrad_graph::replay::observe("a learning rate is set");
                self.groups.set_rate(name, lr)
            }

            fn members(&self, gradients: &crate::Gradients) -> Vec<(String, Option<String>)> {
                crate::optim::groups::members(self, gradients)
            }

            #[track_caller]
            fn steps(&self) -> u64 {
                wgrad_graph::replay::observe("an optimiser's steps are read");
                self.state.taken()
            }

            #[track_caller]
            fn load_moments(
                &mut self,
                state: &[(String, wgrad_graph::Tensor)],
                steps: u64,
            ) -> wgrad_graph::Result<()> {
                wgrad_graph::replay::observe("moments are loaded");
                let kinds = crate::optim::groups::kinds(self);
                let loaded = crate::optim::state::State::load(state, &kinds, steps)?;
                self.state.become_loaded(loaded);
                Ok(())
            }

            fn hooks(&mut self) -> &mut dyn crate::optim::Hooks {
                self
            }
        }

        impl crate::optim::Hooks for $t {
            fn numbers(&self, step: u64) -> wgrad_graph::Result<Vec<f64>> {
                crate::optim::groups::numbers(self, self.lr, step)
            }

            fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
                crate::optim::groups::hyperparameters(self)
            }

            fn described(&self) -> Vec<(String, f64)> {
                crate::optim::groups::described(self)
            }

            fn take_traced(&mut self) -> crate::optim::TracedSteps {
                self.state.take_traced()
            }

            fn admit(&mut self, traced: &crate::optim::TracedSteps) {
                self.state.admit(&traced.made);
            }

            fn learning_rate(&self) -> f64 {
                self.lr
            }

            fn nudge(&mut self) {
                self.state.nudge(&mut self.lr);
            }

            fn calm(&mut self) {
                self.lr = self.state.calm(self.lr);
            }

            fn group_rates(&self) -> Vec<(String, Option<f64>)> {
                self.groups.own_rates()
            }

            fn set_group_rates(&mut self, rates: &[(String, Option<f64>)]) -> bool {
                self.groups.set_own_rates(rates)
            }

            fn steps_taken(&self) -> u64 {
                self.state.taken()
            }

            fn count(&mut self, steps: u64, outcome: &wgrad_graph::replay::Outcome) {
                self.state.count(steps, outcome);
            }

            fn binding_mut(&mut self) -> &mut Option<wgrad_graph::Mark> {
                &mut self.state.binding.0
            }

            fn save(&self) -> crate::Saved {
                let state = self.state.saved();
                Box::new(<$t>::clone(self).with_state(state))
            }

            fn restore(&mut self, saved: &crate::Saved) -> bool {
                let saved = saved.downcast_ref::<$t>();
                if let Some(saved) = saved {
                    *self = saved.clone().with_state(saved.state.saved());
                }
                saved.is_some()
            }

            fn resume(
                &mut self,
                moments: &[(String, wgrad_graph::Tensor)],
                steps: u64,
                lr: f64,
            ) -> wgrad_graph::Result<()> {
                crate::optim::Optimizer::load_moments(self, moments, steps)?;
                self.lr = lr;
                Ok(())
            }
        }

        impl crate::optim::groups::Settings for $t {
            fn rate(&self) -> f64 {
                self.lr
            }

            fn set_rate(&mut self, lr: f64) {
                self.lr = lr;
            }

            fn boxed(&self) -> Box<dyn crate::optim::groups::Settings> {
                Box::new(self.clone())
            }

            fn groups(&self) -> &crate::optim::groups::Groups {
                &self.groups
            }

            fn validate(&self) -> wgrad_graph::Result<()> {
                <$t>::validate(self)
            }

            fn moments(&self) -> Vec<crate::optim::state::Moment> {
                <$t>::moments(self)
            }

            fn numbers(&self, step: u64) -> Vec<f64> {
                <$t>::numbers(self, step)
            }

            fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
                <$t>::hyperparameters(self)
            }

            #[track_caller]
            fn update(
                &self,
                update: &crate::optim::state::Update,
            ) -> (wgrad_graph::Tensor, Vec<wgrad_graph::Tensor>) {
                <$t>::update(self, update)
            }
        }

        impl $t {
            /// With another learning rate, as a group may have.
            pub fn with_lr(self, lr: f64) -> $t {
                $t { lr, ..self }
            }

            /// With a parameter group: the parameters for which `belongs(name, tensor)` is true, and which no group before
            /// has, get what `change` makes of the hyperparameters that are set so far. All other parameters keep those of
            /// the optimiser.
            ///
            /// A group has the optimiser's learning rate, also when that is set later, unless `change` gives it another
            /// ([`with_lr`](Self::with_lr)) or [`Optimizer::set_group_lr`](crate::Optimizer::set_group_lr) does. Two groups of
            /// one name are an error of the step.
            pub fn group(
                mut self,
                name: &str,
                belongs: impl Fn(&str, &wgrad_graph::Tensor) -> bool + Send + Sync + 'static,
                change: impl FnOnce($t) -> $t,
            ) -> $t {
                let mut base = <$t>::clone(&self).with_state(crate::optim::state::State::default());
                base.groups = crate::optim::groups::Groups::default();
                let before = base.lr;
                let settings = Box::new(change(base));
                self.groups
                    .add(before, name, std::sync::Arc::new(belongs), settings);
                self
            }

            fn with_state(mut self, state: crate::optim::state::State) -> $t {
                self.state = state;
                self
            }
        }
    };
}
use optimizer;
