//! The loop: epochs, steps, events, and what is done with what callbacks ask for. Everything else takes part as a callback.

use super::error::{Result, TrainError};
use super::event::{At, EpochScores, Event, Fitted, StepRecord, Wishes};
use super::few::Few;
use super::interrupt::Interrupt;
use super::validate::next_batch;
use super::{Resume, Trainer};
use crate::checkpoint::Checkpoint;
use crate::files::FileError;
use crate::weights::WeightsError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wgrad_data::{Batch, Batches};
use wgrad_graph::{ErrorKind, Tensor};
use wgrad_nn::{Module, Snapshot};

/// The last checkpoint of a folder.
pub(super) const LAST: &str = "last.safetensors";

/// A call of `fit`.
struct Call {
    epochs: u64,
    began: Instant,
    training: Duration,
    samples: u64,
    last: EpochScores,
}

pub(super) type Loader<'l, B> = dyn Batches<Item = B> + 'l;

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// Trains until `epochs` epochs have been trained in all, those before a resume and of earlier calls among them, or
    /// something stops it.
    ///
    /// # Errors
    /// See [`TrainError`]. The state is that of after the last good step, and training can go on from it.
    pub fn fit(&mut self, mut loader: impl Batches<Item = B>, epochs: u64) -> Result<Fitted> {
        match self.options.overfit {
            Some(n) => self.fit_with(&mut Few::new(&mut loader, n)?, epochs),
            None => self.fit_with(&mut loader, epochs),
        }
    }

    fn fit_with(&mut self, loader: &mut Loader<'_, B>, epochs: u64) -> Result<Fitted> {
        let interrupt = Interrupt::watch();
        let mut call = Call {
            epochs,
            began: Instant::now(),
            training: Duration::ZERO,
            samples: 0,
            last: EpochScores::default(),
        };
        let result = self.run(loader, &mut call, &interrupt);
        self.guard = None;
        self.between = false;
        result.map_err(|e| self.failed(e, loader))
    }

    fn run(
        &mut self,
        loader: &mut Loader<'_, B>,
        call: &mut Call,
        interrupt: &Interrupt,
    ) -> Result<Fitted> {
        self.begin(loader, call)?;
        while !self.is_over(call.epochs) {
            self.epoch(loader, call, interrupt)?;
        }
        self.dispatch(&Event::Stopping, loader)?;
        let failed = self.unsaved.take();
        let fitted = Fitted {
            steps: self.progress.step,
            epochs: self.progress.epoch,
            samples: call.samples,
            seconds: call.began.elapsed().as_secs_f64(),
            training_seconds: call.training.as_secs_f64(),
            stopped: self.stopped.take(),
            last: std::mem::take(&mut call.last),
        };
        self.dispatch(&Event::End(&fitted), loader)?;
        self.progress.set_loader(&loader.state());
        match failed {
            Some(e) => Err(e),
            None => Ok(fitted),
        }
    }

    /// All before the first step: a resume, shapes, and the event.
    fn begin(&mut self, loader: &mut Loader<'_, B>, call: &Call) -> Result<()> {
        let options = &self.options;
        let limit = options.limit_batches;
        let batches = loader.batches_per_epoch();
        let batches = match limit {
            Some(n) => Some(batches.map_or(n as usize, |b| b.min(n as usize))),
            None => batches,
        };
        let messages = std::mem::take(&mut self.at.wishes.messages);
        self.at = At {
            epochs: call.epochs,
            batches,
            limit,
            max_steps: options.max_steps,
            dry: options.dev_run,
            first: options.validate_first,
            folder: options.folder.clone(),
            wishes: Wishes {
                messages,
                ..Wishes::default()
            },
            ..At::default()
        };
        self.stopped = None;
        self.unsaved = None;
        self.pending.clear();
        self.take_up(loader)?;
        if self.loaded {
            loader.set_state(self.progress.loader())?;
            self.loaded = false;
            self.at.resumed = true;
            let (path, step) = (self.saved.clone(), self.progress.step);
            let path = path.map_or(String::new(), |p| format!(" from {}", p.display()));
            self.at.message(format!("goes on{path} after step {step}"));
        }
        self.average();
        if !self.is_over(call.epochs) {
            self.prepare(loader)?;
        }
        let description = self.description().unwrap_or_default();
        self.dispatch(&Event::Begin(&description), loader)
    }

    /// Traces the step for the next batch, so that shapes that do not fit are found before anything runs.
    fn prepare(&mut self, loader: &mut Loader<'_, B>) -> Result<()> {
        let Some(batch) = self.first(loader)? else {
            // A run that was kept between its last batch and the end of the epoch.
            return match self.progress.batch {
                0 => Err(TrainError::Empty("the loader")),
                _ => Ok(()),
            };
        };
        let prepared = self.step.prepare(&mut self.state, &batch.tensors());
        let peak = prepared.map_err(TrainError::doing("the step, before training"))?;
        // Beside what the plan takes there is the copy to go back to.
        let copy = match self.options.keep_good {
            true => self.state.state().iter().map(|(_, t)| bytes(t)).sum(),
            false => 0,
        };
        self.predicted = peak.map(|peak| peak + copy);
        Ok(())
    }

    /// The next batch, if the epoch has one; the loader is set back.
    fn first(&self, loader: &mut Loader<'_, B>) -> Result<Option<B>> {
        let before = loader.state();
        let first = next_batch(loader, self.progress.epoch, self.progress.batch)?;
        loader.set_state(before)?;
        Ok(first)
    }

    fn take_up(&mut self, loader: &mut Loader<'_, B>) -> Result<()> {
        let path = match (
            std::mem::take(&mut self.options.resume),
            &self.options.folder,
        ) {
            _ if self.options.dev_run => return Ok(()),
            (Resume::No, _) => return Ok(()),
            (Resume::From(path), _) => path,
            (Resume::Last, Some(folder)) => folder.join(LAST),
            (Resume::Last, None) => {
                let message = "resume needs Trainer::checkpoint, which says where checkpoints are";
                return Err(TrainError::Setup(message.to_string()));
            }
        };
        let asked = self.options.folder.as_ref().map(|f| f.join(LAST));
        if asked.as_ref() == Some(&path) && !path.exists() {
            self.at.message(format!(
                "{} is not there: from the beginning",
                path.display()
            ));
            return Ok(());
        }
        let checkpoint = Checkpoint::load(&path)?;
        let warnings = match self.put_back(&checkpoint, &path) {
            Ok(warnings) => warnings,
            Err(e) => self.put_back_grown(&checkpoint, &path, e, loader)?,
        };
        for warning in warnings {
            self.at.message(format!("warning: {warning}"));
        }
        self.saved = Some(path);
        Ok(())
    }

    /// Puts a run back into a state that does not have all its parts yet, because steps make some: takes one step first.
    /// The error is `first` if it does not fit then either.
    fn put_back_grown(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        first: TrainError,
        loader: &mut Loader<'_, B>,
    ) -> Result<Vec<String>> {
        if !matches!(first, TrainError::Checkpoint(WeightsError::State { .. })) {
            return Err(first);
        }
        let before = Snapshot::of(&mut self.state);
        let batch = self.first(loader)?;
        let grown = batch.map(|batch| self.step.call(&mut self.state, &batch));
        let put = grown.map(|called| called.map(|_| self.put_back(checkpoint, path)));
        match put {
            Some(Ok(Ok(warnings))) => Ok(warnings),
            _ => {
                let _ = before.restore(&mut self.state);
                Err(first)
            }
        }
    }

    fn is_over(&self, epochs: u64) -> bool {
        let steps = self.options.max_steps;
        self.stopped.is_some()
            || self.progress.epoch >= epochs
            || steps.is_some_and(|n| self.progress.step >= n)
    }

    fn epoch(
        &mut self,
        loader: &mut Loader<'_, B>,
        call: &mut Call,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let (began, first) = (Instant::now(), call.samples);
        self.dispatch(&Event::EpochBegin, loader)?;
        if self.guard.is_none() {
            self.take_guard(loader);
        }
        let ended = self.run_steps(loader, call, interrupt)?;
        self.read(loader)?;
        call.training += began.elapsed();
        if interrupt.is_hit() {
            return Err(self.interrupted(loader));
        }
        if !ended {
            return Ok(());
        }
        if self.progress.batch == 0 {
            return Err(TrainError::Empty("the loader"));
        }
        self.between = true;
        self.dispatch(&Event::EpochEnd, loader)?;
        self.between = false;
        let record = EpochScores {
            epoch: self.progress.epoch + 1,
            step: self.progress.step,
            samples: call.samples - first,
            seconds: began.elapsed().as_secs_f64(),
            training: self.at.means.clone(),
            // Not those of the next epoch, which a checkpoint that is written now begins with.
            scores: std::mem::take(&mut self.at.scores),
        };
        self.progress.epoch += 1;
        self.progress.batch = 0;
        self.progress.samples = 0;
        self.sums.clear();
        call.last = record;
        let record = call.last.clone();
        self.dispatch(&Event::Epoch(&record), loader)?;
        self.at.means.clear();
        if interrupt.is_hit() {
            return Err(self.interrupted(loader));
        }
        Ok(())
    }

    /// Steps until the epoch ends, which it says, or the run is to end.
    fn run_steps(
        &mut self,
        loader: &mut Loader<'_, B>,
        call: &mut Call,
        interrupt: &Interrupt,
    ) -> Result<bool> {
        while !self.is_over(call.epochs) && !interrupt.is_hit() {
            let Some(batch) = self.next_in_epoch(loader)? else {
                return Ok(true);
            };
            self.at.batch_samples = batch.len();
            self.dispatch(&Event::StepBegin, loader)?;
            if std::mem::take(&mut self.at.wishes.skip) {
                self.progress.batch += 1;
                continue;
            }
            let scalars = self.step.call(&mut self.state, &batch);
            let scalars = scalars.map_err(|e| self.broken(e))?;
            self.progress.step += 1;
            self.progress.batch += 1;
            call.samples += batch.len() as u64;
            self.at.samples = call.samples;
            self.pending.push(self.progress.step, batch.len(), scalars);
            self.dispatch(&Event::StepEnd, loader)?;
            if self.pending.is_due() {
                self.read(loader)?;
            }
        }
        Ok(false)
    }

    /// The next batch of the epoch. What is beyond the limit is passed over.
    pub(super) fn next_in_epoch(&mut self, loader: &mut Loader<'_, B>) -> Result<Option<B>> {
        let (epoch, batch) = (self.progress.epoch, self.progress.batch);
        if self.options.limit_batches.is_some_and(|n| batch >= n) {
            while next_batch(loader, epoch, batch)?.is_some() {}
            return Ok(None);
        }
        next_batch(loader, epoch, batch)
    }

    /// Tells everybody, and does what they ask for.
    pub(super) fn dispatch(&mut self, event: &Event<'_>, loader: &mut Loader<'_, B>) -> Result<()> {
        let progress = &self.progress;
        (self.at.step, self.at.epoch, self.at.batch) =
            (progress.step, progress.epoch, progress.batch);
        for callback in &mut self.callbacks {
            callback.on(event, &mut self.state, &mut self.at)?;
        }
        let wishes = &mut self.at.wishes;
        if let Some(reason) = wishes.stop.take() {
            self.stopped.get_or_insert(reason);
        }
        if wishes.messages.is_empty()
            && !wishes.read
            && wishes.scored == 0
            && wishes.saves.is_empty()
        {
            return Ok(());
        }
        self.grant(loader)
    }

    pub(super) fn grant(&mut self, loader: &mut Loader<'_, B>) -> Result<()> {
        let wishes = &mut self.at.wishes;
        let messages = std::mem::take(&mut wishes.messages);
        let read = std::mem::take(&mut wishes.read);
        let scored = std::mem::take(&mut wishes.scored);
        let saves = std::mem::take(&mut wishes.saves);
        for text in &messages {
            for callback in &mut self.callbacks {
                callback.on(&Event::Message(text), &mut self.state, &mut self.at)?;
            }
        }
        if scored > 0 {
            let scores = self.at.scores[self.at.scores.len() - scored..].to_vec();
            self.dispatch(&Event::Scored(&scores), loader)?;
        }
        if read {
            self.read(loader)?;
        }
        if self.between {
            // The loader has begun the next epoch, and the counts have not: a resume would be one epoch behind.
            self.at.wishes.saves.extend(saves);
        } else if !saves.is_empty() && !self.options.dev_run {
            self.write(saves, loader)?;
        }
        Ok(())
    }

    /// Reads the scalars of all steps since the last time.
    fn read(&mut self, loader: &mut Loader<'_, B>) -> Result<()> {
        let records = self.pending.read(&self.step.names());
        let records = records.map_err(|e| self.unreadable(e))?;
        let Some(last) = records.last() else {
            return Ok(());
        };
        self.at.last = Some(last.clone());
        for record in &records {
            self.add(record);
        }
        self.average();
        self.dispatch(&Event::Read(&records), loader)?;
        self.look(&records, loader)
    }

    /// The epoch's means, from its sums.
    fn average(&mut self) {
        let samples = self.progress.samples.max(1) as f64;
        let sums = self.sums.iter();
        let means = sums.map(|(name, sum)| (name.clone(), sum / samples));
        self.at.means = means.collect();
    }

    /// Adds a step to the epoch's sums.
    fn add(&mut self, record: &StepRecord) {
        self.progress.samples += record.samples as u64;
        for (name, value) in record.iter() {
            let value = value * record.samples as f64;
            match self.sums.iter_mut().find(|(n, _)| n == name) {
                Some((_, sum)) => *sum += value,
                None => self.sums.push((name.to_owned(), value)),
            }
        }
    }

    /// Writes the run to files. One that cannot be written is told, and an error at the end of the run if nothing has been
    /// written since.
    fn write(&mut self, paths: Vec<PathBuf>, loader: &mut Loader<'_, B>) -> Result<()> {
        self.read(loader)?;
        for path in &paths {
            self.dispatch(&Event::Saving(path), loader)?;
        }
        self.progress.set_loader(&loader.state());
        let checkpoint = self.gathered().map_err(|e| self.unreadable(e))?;
        for path in paths {
            let folder = path.parent().unwrap_or(Path::new("."));
            let made = std::fs::create_dir_all(folder).map_err(FileError::at(folder, "make it"));
            let written = made
                .map_err(TrainError::from)
                .and_then(|()| Ok(checkpoint.save(&path)?));
            match written {
                Ok(()) => {
                    self.unsaved = None;
                    if path.file_name().is_some_and(|name| name == LAST) {
                        self.saved = Some(path.clone());
                    }
                    self.dispatch(&Event::Saved(&path), loader)?;
                }
                Err(e) => {
                    self.at.message(format!(
                        "warning: {e}; training goes on, and tries again at the next checkpoint"
                    ));
                    self.unsaved = Some(e);
                    self.grant(loader)?;
                }
            }
        }
        Ok(())
    }

    /// A step's error. A lost device says what is left.
    fn broken(&self, source: wgrad_graph::Error) -> TrainError {
        let step = self.progress.step + 1;
        match source.kind() {
            ErrorKind::DeviceLost => TrainError::DeviceLost {
                step,
                checkpoint: self.saved.clone(),
                source,
            },
            _ => TrainError::doing(format!("step {step}"))(source),
        }
    }

    fn unreadable(&self, error: TrainError) -> TrainError {
        match error {
            TrainError::Step { source, .. }
            | TrainError::Checkpoint(WeightsError::Tensor(source))
                if source.kind() == ErrorKind::DeviceLost =>
            {
                self.broken(source)
            }
            other => other,
        }
    }

    fn interrupted(&mut self, loader: &mut Loader<'_, B>) -> TrainError {
        if let Err(e) = self.dispatch(&Event::Stopping, loader) {
            return e;
        }
        TrainError::Interrupted {
            step: self.progress.step,
            checkpoint: self.saved.clone(),
        }
    }

    /// Tells everybody; a second error on the way says less than the first.
    fn failed(&mut self, error: TrainError, loader: &mut Loader<'_, B>) -> TrainError {
        if matches!(error, TrainError::NotFinite { .. }) && self.at_good {
            let _ = self.dispatch(&Event::Stopping, loader);
        }
        self.at_good = false;
        let _ = self.dispatch(&Event::Failed(&error), loader);
        self.progress.set_loader(&loader.state());
        error
    }
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.dtype().size()) as u64
}
