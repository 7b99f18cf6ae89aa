//! Early stopping: ends a run whose score has stopped getting better, and puts back the state that was best.

use super::error::{Result, TrainError};
use super::event::{At, Callback, Event, find};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use wgrad_nn::{Module, Snapshot};

/// The file that holds the best state, in the folder for checkpoints.
const FILE: &str = "stopping.safetensors";

/// Ends a run when a score has not got better for a number of validations, and puts back the state that had the best one:
/// a [`Callback`] for [`Trainer::callback`](crate::Trainer::callback).
///
/// The best state is kept in the folder for checkpoints if there is one, else on the device. For a second run on all data
/// there are the two ways of Goodfellow, Bengio and Courville (2016, section 7.8): [`Stopped::step`] says for how many steps
/// to train anew ([`Trainer::max_steps`](crate::Trainer::max_steps), algorithm 7.2); or the restored state goes on until the
/// validation's loss is below [`Stopped::train_loss`] ([`Trainer::stop_when`](crate::Trainer::stop_when), algorithm 7.3).
///
/// ```
/// use wgrad_data::from_fn;
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, Sgd, gradients};
/// use wgrad_train::{EarlyStopping, Trainer};
/// // The loss falls for ever, but the validation's has its minimum at 1.
/// let weight = Tensor::new(&[0.0f32], &Device::cpu());
/// let stopping = EarlyStopping::new("validation_loss").patience(2);
/// let stopped = stopping.outcome();
/// let mut batches = || from_fn(1, |_, _| Ok(Tensor::new(&[1.0f32], &Device::cpu())));
/// let mut trainer = Trainer::new((weight, Sgd::new(0.25)), |(w, sgd): &mut (Tensor, Sgd), x: Tensor| {
///     let loss = (&*w * &x).neg().sum();
///     let g = gradients(&loss, w)?;
///     sgd.step(w, &g)?;
///     Ok(loss)
/// })
/// .evaluation(|(w, _), x| Ok((&*w - &x).square().sum()))
/// .validate(batches())
/// .callback(stopping)
/// .quiet();
/// let fitted = trainer.fit(&mut batches(), 100)?;
/// assert_eq!((fitted.steps, stopped.step()), (6, 4));
/// assert_eq!(trainer.state.0.item::<f32>()?, 1.0);
/// # Ok::<(), wgrad_train::TrainError>(())
/// ```
pub struct EarlyStopping {
    score: String,
    rises: bool,
    patience: u64,
    min_delta: f64,
    restore: bool,
    memory: Stopped,
    own: Memory,
    kept: Option<Snapshot>,
}

/// What checkpoints keep of it.
#[derive(Clone, Debug, Module)]
#[module(crate = wgrad_nn)]
struct Memory {
    best: f64,
    step: u64,
    epoch: u64,
    train_loss: f64,
    bad: u64,
    in_file: bool,
}

/// What an [`EarlyStopping`] has seen, while it runs and afterwards.
#[derive(Clone, Debug)]
pub struct Stopped(Rc<RefCell<Memory>>);

impl Stopped {
    /// The best score; NaN before the first.
    pub fn best(&self) -> f64 {
        self.0.borrow().best
    }

    /// Steps that had been taken then.
    pub fn step(&self) -> u64 {
        self.0.borrow().step
    }

    /// Epochs that had begun then.
    pub fn epoch(&self) -> u64 {
        self.0.borrow().epoch
    }

    /// The mean of the step's `loss` over the epoch then; NaN if there is none.
    pub fn train_loss(&self) -> f64 {
        self.0.borrow().train_loss
    }
}

impl EarlyStopping {
    /// For a score that should fall; patience 1, and the best state is put back.
    pub fn new(score: impl Into<String>) -> EarlyStopping {
        let own = Memory {
            best: f64::NAN,
            step: 0,
            epoch: 0,
            train_loss: f64::NAN,
            bad: 0,
            in_file: false,
        };
        EarlyStopping {
            score: score.into(),
            rises: false,
            patience: 1,
            min_delta: 0.0,
            restore: true,
            memory: Stopped(Rc::new(RefCell::new(own.clone()))),
            own,
            kept: None,
        }
    }

    /// For a score that should rise, such as an accuracy.
    pub fn rises(self) -> EarlyStopping {
        EarlyStopping {
            rises: true,
            ..self
        }
    }

    /// Ends the run after this many validations in a row without progress.
    pub fn patience(self, patience: u64) -> EarlyStopping {
        EarlyStopping { patience, ..self }
    }

    /// Progress is more than this; 0.
    pub fn min_delta(self, min_delta: f64) -> EarlyStopping {
        EarlyStopping { min_delta, ..self }
    }

    /// Whether the best state is put back; true.
    pub fn restore_best(self, restore: bool) -> EarlyStopping {
        EarlyStopping { restore, ..self }
    }

    /// A handle on what it has seen.
    pub fn outcome(&self) -> Stopped {
        self.memory.clone()
    }

    fn better(&self, value: f64) -> bool {
        let best = self.own.best;
        if best.is_nan() {
            return !value.is_nan();
        }
        match self.rises {
            true => value > best + self.min_delta,
            false => value < best - self.min_delta,
        }
    }

    fn take<S: Module>(&mut self, value: f64, state: &mut S, at: &mut At) {
        if self.better(value) {
            let train_loss = at.score("train_loss").unwrap_or(f64::NAN);
            self.own = Memory {
                best: value,
                step: at.step(),
                epoch: at.epoch() + 1,
                train_loss,
                bad: 0,
                in_file: at.folder().is_some() && !at.is_dev_run(),
            };
            if self.restore {
                match at.folder().map(|f| f.join(FILE)) {
                    Some(path) if self.own.in_file => at.save(path),
                    _ => self.kept = Some(Snapshot::of(state)),
                }
            }
        } else {
            self.own.bad += 1;
            if self.own.bad >= self.patience {
                at.stop(format!(
                    "{} has not got better than {} since step {}",
                    self.score, self.own.best, self.own.step
                ));
            }
        }
        *self.memory.0.borrow_mut() = self.own.clone();
    }

    fn put_back<S: Module>(&mut self, state: &mut S, folder: Option<PathBuf>) -> Result<()> {
        if let Some(kept) = self.kept.take() {
            let lost =
                |lost| TrainError::Setup(format!("{lost} of the best state cannot be put back"));
            return kept.restore(state).map_err(lost);
        }
        match folder {
            Some(folder) if self.own.in_file => Ok(crate::weights::load(state, folder.join(FILE))?),
            _ => Ok(()),
        }
    }
}

impl<S: Module> Callback<S> for EarlyStopping {
    fn on(&mut self, event: &Event<'_>, state: &mut S, at: &mut At) -> Result<()> {
        match event {
            Event::Begin(_) => *self.memory.0.borrow_mut() = self.own.clone(),
            Event::Scored(scores) => {
                if let Some(value) = find(scores, &self.score) {
                    self.take(value, state, at);
                }
            }
            // A score of training, which no validation gives.
            Event::Epoch(epoch) if find(&epoch.scores, &self.score).is_none() => {
                match epoch.get(&self.score) {
                    Some(value) => self.take(value, state, at),
                    None if self.own.best.is_nan() => {
                        let message = "early stopping watches a score that nothing gives";
                        return Err(TrainError::Setup(format!("{message}: {:?}", self.score)));
                    }
                    None => {}
                }
            }
            Event::End(_) if self.restore => {
                let folder = at.folder().map(|f| f.to_path_buf());
                self.put_back(state, folder)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn memory(&mut self) -> Option<(String, &mut dyn Module)> {
        Some((format!("early stopping by {}", self.score), &mut self.own))
    }
}
