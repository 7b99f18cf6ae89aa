//! A copy of the run when all was well, and what is done when a loss is no finite number: the steps since then again, one by
//! one, until the one that breaks the weights is found and its operation named.

use super::Trainer;
use super::error::{Result, TrainError};
use super::event::{Event, StepRecord};
use super::fit::Loader;
use super::save::Progress;
use std::time::{Duration, Instant};
use wgrad_data::{Batch, LoaderState};
use wgrad_graph::{DType, Tensor, detect_anomaly};
use wgrad_nn::{Kind, Module, Snapshot};

/// Steps and time between two copies of the state.
const GUARD_STEPS: u64 = 64;
const GUARD_AGE: Duration = Duration::from_secs(30);

/// A run as it was when all was well.
pub(super) struct Guarded {
    state: Snapshot,
    loader: LoaderState,
    progress: Progress,
    sums: Vec<(String, f64)>,
    taken: Instant,
}

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// What steps have given is looked at; a copy is taken when it is due.
    pub(super) fn look(
        &mut self,
        records: &[StepRecord],
        loader: &mut Loader<'_, B>,
    ) -> Result<()> {
        let bad = records.iter().find_map(|r| Some((r, odd_loss(r)?)));
        if let Some((record, (name, value))) = bad {
            return self.not_finite(loader, record.step, name, value);
        }
        let due = self.guard.as_ref().is_none_or(|g| {
            self.progress.step >= g.progress.step + GUARD_STEPS || g.taken.elapsed() > GUARD_AGE
        });
        if due {
            self.take_guard(loader);
        }
        Ok(())
    }

    pub(super) fn take_guard(&mut self, loader: &mut Loader<'_, B>) {
        if self.options.keep_good {
            self.guard = Some(Guarded::of(self, loader));
        }
    }

    /// A loss is no finite number. The steps since the last copy are repeated up to the one that breaks the state, which is
    /// then run again operation by operation. A step that has left all parameters as they were, as a loss scale does that is
    /// too large, breaks nothing.
    fn not_finite(
        &mut self,
        loader: &mut Loader<'_, B>,
        step: u64,
        scalar: String,
        value: f64,
    ) -> Result<()> {
        let Some(guard) = self.guard.take() else {
            if is_finite(&self.state)? {
                self.tell(
                    format!("step {step}: {scalar} is {value}; the weights are finite"),
                    loader,
                )?;
                return Ok(());
            }
            return Err(TrainError::NotFinite {
                step,
                scalar,
                value,
                cause: None,
                kept: false,
            });
        };
        self.pending.clear();
        let now = Guarded::of(self, loader);
        let last = self.progress.step;
        guard.put_back(self, loader)?;
        self.at_good = true;
        match self.repeat(loader, last)? {
            Repeated::Broken(cause) => Err(TrainError::NotFinite {
                step: self.progress.step + 1,
                scalar,
                value,
                cause,
                kept: true,
            }),
            Repeated::Fine => {
                self.at_good = false;
                now.put_back(self, loader)?;
                let text =
                    "no step that gives such a loss changes the weights, and training goes on";
                self.tell(format!("step {step}: {scalar} is {value}; {text}"), loader)?;
                self.take_guard(loader);
                Ok(())
            }
        }
    }

    /// Tells once that a loss is not finite.
    fn tell(&mut self, text: String, loader: &mut Loader<'_, B>) -> Result<()> {
        if !std::mem::replace(&mut self.told, true) {
            self.at.message(text);
            self.grant(loader)?;
        }
        Ok(())
    }

    /// Repeats steps up to number `last`, or to the one that breaks the state, which is then as before it.
    fn repeat(&mut self, loader: &mut Loader<'_, B>, last: u64) -> Result<Repeated> {
        while self.progress.step < last {
            let at = loader.state();
            let Some(batch) = self.next_in_epoch(loader)? else {
                self.progress.epoch += 1;
                self.progress.batch = 0;
                continue;
            };
            let before = Snapshot::of(&mut self.state);
            self.dispatch(&Event::StepBegin, loader)?;
            if std::mem::take(&mut self.at.wishes.skip) {
                self.progress.batch += 1;
                continue;
            }
            let ready = Snapshot::of(&mut self.state);
            let weights = parameters(&self.state);
            let scalars = self.step.call(&mut self.state, &batch)?;
            self.pending
                .push(self.progress.step + 1, batch.len(), scalars);
            let records = self.pending.read(&self.step.names())?;
            let odd = records.iter().any(|r| odd_loss(r).is_some());
            if !is_finite(&self.state)? || (odd && !are_same(&weights, &parameters(&self.state))?) {
                ready.restore(&mut self.state).map_err(lost)?;
                let (step, state) = (&mut self.step, &mut self.state);
                let watched = detect_anomaly(|| {
                    let scalars = step.record(state, &batch)?;
                    let mut scalars = scalars.iter();
                    scalars.try_for_each(|(_, t)| t.cast(DType::F32).to_vec::<f32>().map(|_| ()))
                });
                before.restore(&mut self.state).map_err(lost)?;
                loader.set_state(at)?;
                return Ok(Repeated::Broken(watched.err()));
            }
            self.progress.step += 1;
            self.progress.batch += 1;
        }
        Ok(Repeated::Fine)
    }
}

/// What has come of repeating steps.
enum Repeated {
    /// A step breaks the state; the operation that makes the first NaN or infinity, if one makes it of finite numbers.
    Broken(Option<wgrad_graph::Error>),
    Fine,
}

fn lost(what: String) -> TrainError {
    TrainError::Setup(format!("{what} of the state cannot be put back"))
}

impl Guarded {
    fn of<'a, S: Module + 'a, B: Batch + 'a>(
        trainer: &mut Trainer<'a, S, B>,
        loader: &mut Loader<'_, B>,
    ) -> Guarded {
        Guarded {
            state: Snapshot::of(&mut trainer.state),
            loader: loader.state(),
            progress: trainer.progress.clone(),
            sums: trainer.sums.clone(),
            taken: Instant::now(),
        }
    }

    fn put_back<'a, S: Module + 'a, B: Batch + 'a>(
        self,
        trainer: &mut Trainer<'a, S, B>,
        loader: &mut Loader<'_, B>,
    ) -> Result<()> {
        self.state.restore(&mut trainer.state).map_err(lost)?;
        loader.set_state(self.loader)?;
        (trainer.progress, trainer.sums) = (self.progress, self.sums);
        Ok(())
    }
}

/// All parameters that are floats.
fn parameters(state: &dyn Module) -> Vec<Tensor> {
    let mut all = Vec::new();
    state.visit("", &mut |_, kind, t| {
        if kind == Kind::Parameter && t.dtype().is_float() {
            all.push(t.clone());
        }
    });
    all
}

/// Whether none of these flags is true, in one read.
fn none_is(flags: Vec<Tensor>) -> Result<bool> {
    let counts = flags.iter().map(|t| t.cast(DType::F32).sum().reshape(&[1]));
    let counts: Vec<Tensor> = counts.collect();
    if counts.is_empty() {
        return Ok(true);
    }
    let all = Tensor::cat(&counts.iter().collect::<Vec<_>>(), 0).sum();
    Ok(all.item::<f32>()? == 0.0)
}

/// Whether all parameters are finite numbers.
fn is_finite(state: &dyn Module) -> Result<bool> {
    let odd = parameters(state).into_iter();
    none_is(odd.map(|t| t.isfinite().logical_not()).collect())
}

/// Whether tensors have the same values.
fn are_same(before: &[Tensor], after: &[Tensor]) -> Result<bool> {
    let pairs = before.iter().zip(after);
    none_is(pairs.map(|(a, b)| a.ne(b)).collect())
}

/// The first loss of a step that is no finite number: of those named so, or else the first scalar.
fn odd_loss(record: &StepRecord) -> Option<(String, f64)> {
    let is_loss = |name: &str| name == "loss" || name.ends_with("_loss");
    let named = record.iter().any(|(name, _)| is_loss(name));
    let losses = record.iter().enumerate();
    let mut losses = losses.filter(|(at, (name, _))| if named { is_loss(name) } else { *at == 0 });
    let odd = losses.find(|(_, (_, value))| !value.is_finite());
    odd.map(|(_, (name, value))| (name.to_owned(), value))
}
