//! Small callbacks that come with a trainer: numbers that follow the step, and functions called every so often.

use super::Trainer;
use super::error::Result;
use super::event::{At, Callback, Due, Event, Every};
use wgrad_data::Batch;
use wgrad_nn::{Module, Variable};

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// Sets a number of the state before each step: `of` finds it, `value` gives it for the step's number, from 0.
    ///
    /// ```
    /// use wgrad_data::from_fn;
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::Variable;
    /// use wgrad_train::Trainer;
    /// let mut trainer = Trainer::new(Variable::new(0.0), |beta: &mut Variable, x: Tensor| Ok((&x * &*beta).sum()))
    ///     .vary(|beta| beta, |step| 0.5 * step as f64)
    ///     .quiet();
    /// let mut ones = from_fn(3, |_, _| Ok(Tensor::new(&[1.0f32], &Device::cpu())));
    /// let fitted = trainer.fit(&mut ones, 1)?;
    /// assert_eq!(fitted.get("train_loss"), Some(0.5)); // the mean of 0, 0.5 and 1
    /// # Ok::<(), wgrad_train::TrainError>(())
    /// ```
    pub fn vary(
        self,
        of: impl Fn(&mut S) -> &mut Variable + 'a,
        value: impl Fn(u64) -> f64 + 'a,
    ) -> Self {
        self.before_step(move |state, at| {
            of(state).set(value(at.step()));
            Ok(())
        })
    }

    /// Calls a function before each step, to set what the step goes by: flags, numbers, parts that are frozen. What it sets
    /// should depend on where the run stands, so that a resumed run sets the same.
    pub fn before_step(self, mut f: impl FnMut(&mut S, &mut At) -> Result<()> + 'a) -> Self {
        self.callback(
            move |event: &Event<'_>, state: &mut S, at: &mut At| match event {
                Event::StepBegin => f(state, at),
                _ => Ok(()),
            },
        )
    }

    /// Calls a function with the state every so often.
    pub fn every(self, every: Every, f: impl FnMut(&mut S, &mut At) -> Result<()> + 'a) -> Self {
        self.callback(Repeated {
            due: Due::new(every),
            f,
        })
    }

    /// Ends the run when a score has reached a value: falls to it or below, or with `rises` rises to it or above.
    ///
    /// With `train_loss` at an early stop as the value and `validation_loss` as the score, this is the second way of going on
    /// with all data (Goodfellow, Bengio and Courville 2016, algorithm 7.3).
    pub fn stop_when(self, score: &str, rises: bool, value: f64) -> Self {
        let score = score.to_owned();
        self.callback(move |event: &Event<'_>, _: &mut S, at: &mut At| {
            let reached = match event {
                Event::Epoch(epoch) => epoch.get(&score),
                Event::Scored(scores) => super::event::find(scores, &score),
                _ => None,
            };
            if reached.is_some_and(|now| if rises { now >= value } else { now <= value }) {
                at.stop(format!("{score} has reached {value}"));
            }
            Ok(())
        })
    }
}

struct Repeated<F> {
    due: Due,
    f: F,
}

impl<S, F: FnMut(&mut S, &mut At) -> Result<()>> Callback<S> for Repeated<F> {
    fn on(&mut self, event: &Event<'_>, state: &mut S, at: &mut At) -> Result<()> {
        if self.due.at(event, at) {
            (self.f)(state, at)?;
        }
        Ok(())
    }
}
