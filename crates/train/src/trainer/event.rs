//! What a training run tells those who take part in it, and what they may ask of it: events, and the place that the run has
//! reached. Everything that the trainer brings along (rates, validation, checkpoints, logs, progress) uses these alone.

use super::describe::Description;
use super::error::{Result, TrainError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wgrad_nn::Module;

/// What happens in a run, in this order:
///
/// ```text
/// Begin
///   EpochBegin
///     StepBegin StepEnd …   nothing is read back here, so that the device never waits
///     Read                  now and then: the scalars of all steps since the last time
///   EpochEnd                all steps of the epoch have been read; validation runs
///     Scored                after each validation
///   Epoch                   all that is known of the epoch
/// Stopping End, or Failed
/// ```
///
/// `Saving` and `Saved` surround the writing of a checkpoint.
#[non_exhaustive]
pub enum Event<'e> {
    /// Before the first step, after a resume. Nothing has run; the step has been traced and its shapes fit.
    Begin(&'e Description),
    /// Before the first batch of an epoch, or of what is left of it after a resume.
    EpochBegin,
    /// Before a step: the time to set rates and other numbers of the state, and to skip the batch. It comes again for steps
    /// that are repeated in search of a NaN.
    StepBegin,
    /// A step has been started; its scalars are not known yet.
    StepEnd,
    /// The scalars of steps that have ended.
    Read(&'e [StepRecord]),
    /// The last batch of an epoch has been trained.
    EpochEnd,
    /// Scores have been given by a callback that saw the event before, as a validation does.
    Scored(&'e [(String, f64)]),
    /// An epoch is over, validation too.
    Epoch(&'e EpochScores),
    /// A checkpoint is about to be written here: what must not be lost with it is to be written first.
    Saving(&'e Path),
    /// A checkpoint has been written.
    Saved(&'e Path),
    /// Something for people to read.
    Message(&'e str),
    /// No step will follow; the state is as training has left it.
    Stopping,
    /// The run is over. What changes the state for what comes after training does it now.
    End(&'e Fitted),
    /// The run ends with this error.
    Failed(&'e TrainError),
}

/// The scalars of a step.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The step, from 1.
    pub step: u64,
    /// Samples of its batch.
    pub samples: usize,
    pub(super) names: Arc<[String]>,
    pub(super) values: Vec<f64>,
}

impl StepRecord {
    /// The scalar of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        let at = self.names.iter().position(|n| n == name)?;
        self.values.get(at).copied()
    }

    /// Names and values, in the order in which the step gives them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        let names = self.names.iter().map(String::as_str);
        names.zip(self.values.iter().copied())
    }
}

/// All that is known of an epoch.
#[derive(Clone, Debug, Default)]
pub struct EpochScores {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps since the beginning of training.
    pub step: u64,
    /// Samples of the epoch that this process has trained on.
    pub samples: u64,
    /// Wall time of what this process did of it, validation included.
    pub seconds: f64,
    /// Means of the step's scalars over the epoch's samples.
    pub training: Vec<(String, f64)>,
    /// What callbacks have scored in the epoch, such as `validation_loss`.
    pub scores: Vec<(String, f64)>,
}

impl EpochScores {
    /// `train_<name>` for means of training, or a score by its name.
    pub fn get(&self, name: &str) -> Option<f64> {
        let own = name
            .strip_prefix("train_")
            .and_then(|n| find(&self.training, n));
        own.or_else(|| find(&self.scores, name))
    }
}

pub(super) fn find(scores: &[(String, f64)], name: &str) -> Option<f64> {
    let mut scores = scores.iter().rev();
    scores.find(|(n, _)| n == name).map(|(_, value)| *value)
}

/// What has come of a run.
#[derive(Clone, Debug, Default)]
pub struct Fitted {
    /// Steps since the beginning of training.
    pub steps: u64,
    /// Epochs since the beginning of training.
    pub epochs: u64,
    /// Samples that this call has trained on.
    pub samples: u64,
    /// Wall time of this call.
    pub seconds: f64,
    /// Wall time of its steps, without validation.
    pub training_seconds: f64,
    /// Why it has ended before its last epoch, if so.
    pub stopped: Option<String>,
    /// The last epoch.
    pub last: EpochScores,
}

impl Fitted {
    /// Samples trained on in a second.
    pub fn samples_per_second(&self) -> f64 {
        self.samples as f64 / self.training_seconds.max(1e-9)
    }

    /// The last epoch's score or mean: `validation_accuracy`, `train_loss`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.last.get(name)
    }
}

/// Takes part in a run. A closure `|event, state, at| …` is one.
pub trait Callback<S> {
    /// Called at each event, in the order in which callbacks were added.
    ///
    /// # Errors
    /// Its own; the run ends with it.
    fn on(&mut self, event: &Event<'_>, state: &mut S, at: &mut At) -> Result<()>;

    /// What it remembers from event to event and a resumed run has to know, as a module, with a name that no other
    /// callback has: checkpoints keep it.
    fn memory(&mut self) -> Option<(String, &mut dyn Module)> {
        None
    }
}

impl<S, F: FnMut(&Event<'_>, &mut S, &mut At) -> Result<()>> Callback<S> for F {
    fn on(&mut self, event: &Event<'_>, state: &mut S, at: &mut At) -> Result<()> {
        self(event, state, at)
    }
}

/// Where a run stands, and what may be asked of it.
#[derive(Debug, Default)]
pub struct At {
    pub(super) step: u64,
    pub(super) epoch: u64,
    pub(super) batch: u64,
    pub(super) epochs: u64,
    pub(super) batches: Option<usize>,
    pub(super) max_steps: Option<u64>,
    pub(super) batch_samples: usize,
    pub(super) samples: u64,
    pub(super) last: Option<StepRecord>,
    pub(super) means: Vec<(String, f64)>,
    pub(super) scores: Vec<(String, f64)>,
    pub(super) folder: Option<PathBuf>,
    pub(super) resumed: bool,
    pub(super) limit: Option<u64>,
    pub(super) dry: bool,
    pub(super) first: u64,
    pub(super) wishes: Wishes,
}

/// What callbacks have asked for at an event.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) stop: Option<String>,
    pub(super) skip: bool,
    pub(super) read: bool,
    pub(super) saves: Vec<PathBuf>,
    pub(super) messages: Vec<String>,
    pub(super) scored: usize,
}

impl At {
    /// Steps that have ended; at [`Event::StepBegin`] the number, from 0, of the step that begins.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Epochs that have ended; within an epoch its number, from 0.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Batches of the epoch that have been trained.
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// Samples of the step under way.
    pub fn batch_samples(&self) -> usize {
        self.batch_samples
    }

    /// Samples that this call of `fit` has trained on.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Epochs of the whole run.
    pub fn epochs(&self) -> u64 {
        self.epochs
    }

    /// Batches of an epoch, if the loader knows.
    pub fn batches(&self) -> Option<usize> {
        self.batches
    }

    /// Steps of the whole run, if that is known.
    pub fn total_steps(&self) -> Option<u64> {
        let by_epochs = self.batches.map(|b| (b as u64).saturating_mul(self.epochs));
        match (by_epochs, self.max_steps) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The scalars of the last step that has been read; it may be some steps ago.
    pub fn last(&self) -> Option<&StepRecord> {
        self.last.as_ref()
    }

    /// Means of the step's scalars over the epoch so far, without steps that have not been read yet.
    pub fn means(&self) -> &[(String, f64)] {
        &self.means
    }

    /// What has been scored last under this name, in this epoch or before; `train_<name>` is a mean of the epoch so far.
    pub fn score(&self, name: &str) -> Option<f64> {
        let mean = name
            .strip_prefix("train_")
            .and_then(|n| find(&self.means, n));
        mean.or_else(|| find(&self.scores, name))
    }

    /// The folder for checkpoints, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The most batches that an epoch or a validation is to have.
    pub fn limit_batches(&self) -> Option<u64> {
        self.limit
    }

    /// Batches that a validation is to evaluate before training.
    pub fn validate_first(&self) -> u64 {
        self.first
    }

    /// Whether nothing is to be written: see [`Trainer::dev_run`](crate::Trainer::dev_run).
    pub fn is_dev_run(&self) -> bool {
        self.dry
    }

    /// Whether the run goes on from a checkpoint.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Ends the run after this event, or after the step that begins; the reason is kept in [`Fitted::stopped`].
    pub fn stop(&mut self, reason: impl Into<String>) {
        self.wishes.stop.get_or_insert_with(|| reason.into());
    }

    /// At [`Event::StepBegin`]: leaves the batch out. It counts as a batch, and not as a step.
    pub fn skip(&mut self) {
        self.wishes.skip = true;
    }

    /// Has the scalars of all steps so far read after this event. The device is waited for.
    pub fn read(&mut self) {
        self.wishes.read = true;
    }

    /// Has a checkpoint of the whole run written after this event.
    pub fn save(&mut self, path: impl Into<PathBuf>) {
        self.wishes.saves.push(path.into());
    }

    /// Gives a score of the epoch, for logs, early stopping and the best checkpoint.
    pub fn give(&mut self, name: impl Into<String>, value: f64) {
        self.scores.push((name.into(), value));
        self.wishes.scored += 1;
    }

    /// Tells people something.
    pub fn message(&mut self, text: impl Into<String>) {
        self.wishes.messages.push(text.into());
    }
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Every {
    /// After this many steps.
    Steps(u64),
    /// After this many epochs, before their lines are written: a score that is given then belongs to the epoch.
    Epochs(u64),
    /// After this many seconds of wall time, at the end of a step.
    Seconds(f64),
    /// After this many minutes of wall time, at the end of a step.
    Minutes(f64),
}

/// Says when something is due that is done again and again.
#[derive(Clone, Debug)]
pub struct Due {
    every: Every,
    last: Instant,
}

impl Due {
    /// From now on.
    pub fn new(every: Every) -> Due {
        Due {
            every,
            last: Instant::now(),
        }
    }

    /// Whether it is due at this event. An interval of 0 never is.
    pub fn at(&mut self, event: &Event<'_>, at: &At) -> bool {
        match (event, self.every) {
            (Event::StepEnd, Every::Steps(n)) => n > 0 && at.step().is_multiple_of(n),
            (Event::EpochEnd, Every::Epochs(n)) => n > 0 && (at.epoch() + 1).is_multiple_of(n),
            (Event::StepEnd, Every::Seconds(s)) => self.passed(s),
            (Event::StepEnd, Every::Minutes(m)) => self.passed(60.0 * m),
            _ => false,
        }
    }

    fn passed(&mut self, seconds: f64) -> bool {
        let Ok(interval) = Duration::try_from_secs_f64(seconds) else {
            return false;
        };
        let due = seconds > 0.0 && self.last.elapsed() >= interval;
        if due {
            self.last = Instant::now();
        }
        due
    }
}
