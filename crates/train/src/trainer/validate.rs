//! Evaluating a state on batches: means of scalars over samples, short batches counted right; predictions. Changes no state.

use super::Trainer;
use super::error::{Result, TrainError};
use super::event::{At, Callback, Due, Event, Every};
use super::step::{Scalars, Stepper, read_rows};
use std::cell::RefCell;
use std::rc::Rc;
use wgrad_data::{Batch, Batches, LoaderState};
use wgrad_graph::Tensor;
use wgrad_nn::Module;

/// Batches whose scalars are left on the device.
const MAX_PENDING: usize = 64;

/// A compiled evaluation.
pub(super) struct Evaluator<'a, S: Module>(Stepper<'a, S>);

impl<'a, S: Module + 'a> Evaluator<'a, S> {
    pub(super) fn new<B: Batch, R: Scalars>(
        function: impl FnMut(&mut S, B) -> wgrad_graph::Result<R> + 'a,
    ) -> Evaluator<'a, S> {
        Evaluator(Stepper::new("evaluation", function))
    }

    /// Finds mistakes in shapes before anything runs.
    pub(super) fn prepare(&mut self, state: &mut S, batch: &impl Batch) -> Result<()> {
        let prepared = self.0.prepare(state, &batch.tensors());
        prepared
            .map(|_| ())
            .map_err(TrainError::doing("the evaluation, before training"))
    }

    /// The means over one epoch of a loader, or its first `limit` batches.
    pub(super) fn run<B: Batch>(
        &mut self,
        state: &mut S,
        loader: &mut dyn Batches<Item = B>,
        limit: Option<u64>,
    ) -> Result<Vec<(String, f64)>> {
        let mut means = Means::default();
        let mut at = 0;
        while let Some(batch) = next_batch(loader, 0, at)? {
            at += 1;
            if limit.is_some_and(|n| at > n) {
                continue;
            }
            let scalars = self.0.call(state, &batch);
            let doing = TrainError::doing(format!("evaluation of batch {at}"));
            means.push(batch.len(), scalars.map_err(doing)?)?;
        }
        if at == 0 {
            return Err(TrainError::Empty("the loader of the evaluation"));
        }
        means.finish(&self.0.names())
    }
}

/// The next batch; an error says which it was to be.
pub(super) fn next_batch<B: Batch>(
    loader: &mut dyn Batches<Item = B>,
    epoch: u64,
    batch: u64,
) -> Result<Option<B>> {
    loader.next().map_err(|source| TrainError::Data {
        epoch: epoch + 1,
        batch: batch + 1,
        source,
    })
}

/// Sums of scalars, weighted by samples.
#[derive(Default)]
struct Means {
    pending: Vec<(usize, Tensor)>,
    sums: Vec<f64>,
    samples: u64,
}

impl Means {
    fn push(&mut self, samples: usize, scalars: Tensor) -> Result<()> {
        self.pending.push((samples, scalars));
        if self.pending.len() >= MAX_PENDING {
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let tensors: Vec<&Tensor> = pending.iter().map(|(_, t)| t).collect();
        let values = read_rows(&tensors).map_err(TrainError::doing("evaluation"))?;
        let width = values.len() / pending.len().max(1);
        self.sums.resize(width.max(self.sums.len()), 0.0);
        for ((samples, _), row) in pending.iter().zip(values.chunks(width.max(1))) {
            self.samples += *samples as u64;
            for (sum, value) in self.sums.iter_mut().zip(row) {
                *sum += f64::from(*value) * *samples as f64;
            }
        }
        Ok(())
    }

    fn finish(mut self, names: &[String]) -> Result<Vec<(String, f64)>> {
        if !self.pending.is_empty() {
            self.read()?;
        }
        let samples = self.samples as f64;
        let means = self.sums.iter().map(|sum| sum / samples);
        Ok(names.iter().cloned().zip(means).collect())
    }
}

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// Validates at the end of each epoch: what [`Trainer::evaluation`] gives becomes scores named `validation_…`. Before
    /// training one batch is traced, so that shapes that do not fit are found before hours have passed.
    pub fn validate(self, loader: impl Batches<Item = B> + 'a) -> Self {
        self.validate_every(Every::Epochs(1), loader)
    }

    /// As [`Trainer::validate`], every so often.
    pub fn validate_every(self, every: Every, loader: impl Batches<Item = B> + 'a) -> Self {
        let evaluator = self.evaluator.clone();
        self.callback(Validate {
            due: Due::new(every),
            evaluator,
            first: loader.state(),
            loader,
        })
    }

    /// Means over the samples of one epoch of a loader: of each scalar that [`Trainer::evaluation`] gives.
    ///
    /// # Errors
    /// There is no evaluation, no batch, or a batch fails.
    pub fn evaluate(&mut self, mut loader: impl Batches<Item = B>) -> Result<Vec<(String, f64)>> {
        let mut evaluator = self.evaluator.borrow_mut();
        let evaluator = evaluator.as_mut().ok_or_else(no_evaluation)?;
        evaluator.run(&mut self.state, &mut loader, self.options.limit_batches)
    }

    /// What [`Trainer::prediction`] gives for all batches of one epoch of a loader, one after the other in the first
    /// dimension.
    ///
    /// # Errors
    /// There is no prediction, no batch, or a batch fails.
    pub fn predict(&mut self, mut loader: impl Batches<Item = B>) -> Result<Tensor> {
        let loader: &mut dyn Batches<Item = B> = &mut loader;
        let Some(predictor) = &mut self.predictor else {
            let message =
                "predict needs Trainer::prediction, which says what is computed for a batch";
            return Err(TrainError::Setup(message.to_string()));
        };
        let mut parts = Vec::new();
        while let Some(batch) = next_batch(loader, 0, parts.len() as u64)? {
            let inputs = batch.tensors();
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            let doing = TrainError::doing(format!("prediction of batch {}", parts.len() + 1));
            parts.push(predictor.call(&mut self.state, &inputs).map_err(doing)?);
        }
        if parts.is_empty() {
            return Err(TrainError::Empty("the loader of the prediction"));
        }
        let all = Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0);
        all.check().map_err(TrainError::doing("the predictions"))?;
        Ok(all)
    }
}

fn no_evaluation() -> TrainError {
    let message = "validation needs Trainer::evaluation, which says what is computed for a batch";
    TrainError::Setup(message.to_string())
}

struct Validate<'a, S: Module, L> {
    due: Due,
    evaluator: Rc<RefCell<Option<Evaluator<'a, S>>>>,
    loader: L,
    /// Where each validation begins, so that one does not depend on how many there were.
    first: LoaderState,
}

impl<'a, S: Module + 'a, B: Batch, L: Batches<Item = B>> Validate<'a, S, L> {
    /// The first batch is traced, and some evaluated if that is asked for.
    fn try_first(&mut self, state: &mut S, batches: u64) -> Result<()> {
        let mut evaluator = self.evaluator.borrow_mut();
        let evaluator = evaluator.as_mut().ok_or_else(no_evaluation)?;
        let first = next_batch(&mut self.loader, 0, 0)?;
        let batch = first.ok_or(TrainError::Empty("the loader of the validation"))?;
        self.loader.set_state(self.first.clone())?;
        evaluator.prepare(state, &batch)?;
        if batches > 0 {
            evaluator.run(state, &mut self.loader, Some(batches))?;
        }
        Ok(())
    }
}

impl<'a, S: Module + 'a, B: Batch, L: Batches<Item = B>> Callback<S> for Validate<'a, S, L> {
    fn on(&mut self, event: &Event<'_>, state: &mut S, at: &mut At) -> Result<()> {
        if let Event::Begin(_) = event {
            return self.try_first(state, at.validate_first());
        }
        if !self.due.at(event, at) {
            return Ok(());
        }
        let mut evaluator = self.evaluator.borrow_mut();
        let evaluator = evaluator.as_mut().ok_or_else(no_evaluation)?;
        self.loader.set_state(self.first.clone())?;
        let scores = evaluator.run(state, &mut self.loader, at.limit_batches())?;
        for (name, value) in scores {
            at.give(format!("validation_{name}"), value);
        }
        Ok(())
    }
}
