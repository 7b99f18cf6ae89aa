//! Learning rates over a run: schedules by step or epoch, of an optimiser or of a group, and the plateau. Knows optimisers by
//! their trait.

use super::Trainer;
use super::error::{Result, TrainError};
use super::event::{At, Callback, Event};
use wgrad_data::Batch;
use wgrad_nn::schedule::{ReduceOnPlateau, Schedule};
use wgrad_nn::{Module, Optimizer};

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// Sets the learning rate of an optimiser before each step, by a schedule of steps.
    pub fn rate<O: Optimizer + 'a>(
        self,
        of: impl Fn(&mut S) -> &mut O + 'a,
        schedule: impl Schedule + 'a,
    ) -> Self {
        self.before_step(move |state, at| {
            of(state).set_lr(schedule.lr(at.step()));
            Ok(())
        })
    }

    /// As [`Trainer::rate`], by a schedule of epochs.
    pub fn rate_by_epoch<O: Optimizer + 'a>(
        self,
        of: impl Fn(&mut S) -> &mut O + 'a,
        schedule: impl Schedule + 'a,
    ) -> Self {
        self.before_step(move |state, at| {
            of(state).set_lr(schedule.lr(at.epoch()));
            Ok(())
        })
    }

    /// As [`Trainer::rate`], of one parameter group.
    pub fn group_rate<O: Optimizer + 'a>(
        self,
        of: impl Fn(&mut S) -> &mut O + 'a,
        group: &str,
        schedule: impl Schedule + 'a,
    ) -> Self {
        let group = group.to_owned();
        self.before_step(move |state, at| {
            let set = of(state).set_group_lr(&group, schedule.lr(at.step()));
            set.map_err(TrainError::doing("a group's learning rate"))
        })
    }

    /// Lowers the learning rate when a score has stopped getting better, as the plateau says that it is told after each
    /// epoch. A resumed run knows what it was told.
    pub fn plateau<O: Optimizer + 'a>(
        self,
        of: impl Fn(&mut S) -> &mut O + 'a,
        score: &str,
        plateau: ReduceOnPlateau,
    ) -> Self {
        let score = score.to_owned();
        self.callback(Plateau { of, score, plateau })
    }
}

struct Plateau<F> {
    of: F,
    score: String,
    plateau: ReduceOnPlateau,
}

impl<S, O: Optimizer, F: Fn(&mut S) -> &mut O> Callback<S> for Plateau<F> {
    fn on(&mut self, event: &Event<'_>, state: &mut S, at: &mut At) -> Result<()> {
        match event {
            Event::StepBegin => (self.of)(state).set_lr(self.plateau.lr()),
            Event::Epoch(epoch) => {
                let Some(value) = epoch.get(&self.score) else {
                    return Err(TrainError::Setup(format!(
                        "the plateau watches {:?}, which nothing has scored in epoch {}",
                        self.score, epoch.epoch
                    )));
                };
                let before = self.plateau.lr();
                let now = self.plateau.step(value);
                if now < before {
                    at.message(format!(
                        "{} has stopped getting better: rate {now:e}",
                        self.score
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn memory(&mut self) -> Option<(String, &mut dyn Module)> {
        Some((format!("plateau of {}", self.score), &mut self.plateau))
    }
}
