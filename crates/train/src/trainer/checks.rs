//! Looking for mistakes before and beside training: derivatives of the step's loss, whether two runs are the same, and which
//! learning rate to begin with. All of them leave state and loader as they were.

use super::Trainer;
use super::error::{Result, TrainError};
use super::validate::next_batch;
use wgrad_data::{Batch, Batches};
use wgrad_graph::{DType, GradcheckOptions, Tensor, gradcheck};
use wgrad_nn::{Kind, Module, Optimizer, Snapshot};

/// Two runs of the same steps that differ.
#[derive(Debug, thiserror::Error)]
#[error("step {step} differs in two runs of the same steps: {what}")]
pub struct DeterminismError {
    /// The first step that differs, from 1.
    pub step: u64,
    /// The scalars or tensors that differ after it.
    pub what: String,
}

/// Learning rates to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRange {
    /// The first.
    pub from: f64,
    /// The last.
    pub to: f64,
    /// Steps, each with a rate that is so many times the one before.
    pub steps: u64,
}

impl Default for RateRange {
    /// From 10⁻⁷ to 10 in 100 steps.
    fn default() -> RateRange {
        RateRange {
            from: 1e-7,
            to: 10.0,
            steps: 100,
        }
    }
}

/// What a search for a learning rate has found (Smith 2017).
#[derive(Clone, Debug, PartialEq)]
pub struct RateSearch {
    /// The rates, rising. It ends early where the loss is four times the best.
    pub rates: Vec<f64>,
    /// The loss at each.
    pub losses: Vec<f64>,
    /// The losses smoothed, as an exponential mean with 0.9 that is corrected for its start.
    pub smoothed: Vec<f64>,
}

impl RateSearch {
    /// The rate where the smoothed loss falls fastest over the logarithm of the rate, before its minimum; `None` if it does
    /// not fall.
    pub fn suggestion(&self) -> Option<f64> {
        let lowest = (0..self.smoothed.len())
            .min_by(|&a, &b| self.smoothed[a].total_cmp(&self.smoothed[b]))?;
        let slope = |at: usize| self.smoothed[at + 1] - self.smoothed[at - 1];
        let steepest = (1..lowest).min_by(|&a, &b| slope(a).total_cmp(&slope(b)))?;
        (slope(steepest) < 0.0).then(|| self.rates[steepest])
    }

    /// The losses over the rates, with the suggestion marked.
    ///
    /// ```
    /// let search = wgrad_train::RateSearch {
    ///     rates: vec![1e-3, 1e-2, 1e-1, 1.0],
    ///     losses: vec![1.0, 0.8, 0.3, 2.0],
    ///     smoothed: vec![1.0, 0.8, 0.3, 2.0],
    /// };
    /// assert!(search.figure().to_svg().unwrap().contains("1.00e-2"));
    /// ```
    #[cfg(feature = "report")]
    pub fn figure(&self) -> wgrad_plot::Figure {
        let figure = wgrad_plot::Figure::new("Learning rates")
            .x("learning rate")
            .y("loss")
            .log_x()
            .scatter("batches", &self.rates, &self.losses)
            .line("smoothed", &self.rates, &self.smoothed);
        match self.suggestion() {
            Some(rate) => figure.vertical(&format!("{rate:.2e}"), rate),
            None => figure,
        }
    }
}

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// Runs `f`, and puts state and loader back.
    fn aside<T>(
        &mut self,
        loader: &mut dyn Batches<Item = B>,
        f: impl FnOnce(&mut Self, &mut dyn Batches<Item = B>) -> Result<T>,
    ) -> Result<T> {
        let (before, at) = (Snapshot::of(&mut self.state), loader.state());
        let result = f(self, loader);
        let lost = |lost| TrainError::Setup(format!("{lost} of the state cannot be put back"));
        before.restore(&mut self.state).map_err(lost)?;
        loader.set_state(at)?;
        result
    }

    /// The next batch; after the last one of an epoch the first of the next.
    fn any_batch(&self, loader: &mut dyn Batches<Item = B>) -> Result<B> {
        for _ in 0..2 {
            if let Some(batch) = next_batch(loader, self.progress.epoch, 0)? {
                return Ok(batch);
            }
        }
        Err(TrainError::Empty("the loader"))
    }

    /// Compares the gradients of the step's loss, its first scalar, with central differences in f64 on the reference, for one
    /// batch. The step's random numbers are the same in all evaluations. For small networks: each costs evaluations of the
    /// whole loss, operation by operation.
    ///
    /// # Errors
    /// A slope differs, or the loss cannot be differentiated.
    pub fn gradcheck(
        &mut self,
        mut loader: impl Batches<Item = B>,
        options: &GradcheckOptions,
    ) -> Result<()> {
        self.aside(&mut loader, |own, loader| {
            let batch = own.any_batch(loader)?;
            let mut parameters: Vec<Tensor> = Vec::new();
            own.state.visit("", &mut |_, kind, t| {
                if kind == Kind::Parameter
                    && t.dtype() == DType::F32
                    && !parameters.iter().any(|p| p.same(t))
                {
                    parameters.push(t.clone());
                }
            });
            let scalars = own.step.record(&mut own.state, &batch)?;
            let Some((name, loss)) = scalars.first() else {
                return Err(TrainError::Setup("the step gives no scalar".to_string()));
            };
            let inputs: Vec<&Tensor> = parameters.iter().collect();
            gradcheck(loss, &inputs, options)
                .map_err(TrainError::doing(format!("the gradient of {name}")))
        })
    }

    /// Runs the same steps twice from the same state and says which is the first whose scalars, or after which any tensor
    /// of the state, differ in a bit; the inner result is fine if none does.
    ///
    /// # Errors
    /// A step fails, or the loader has no batch.
    pub fn check_determinism(
        &mut self,
        mut loader: impl Batches<Item = B>,
        steps: u64,
    ) -> Result<Result<(), DeterminismError>> {
        let first = self.aside(&mut loader, |own, loader| own.fingerprints(loader, steps))?;
        let second = self.aside(&mut loader, |own, loader| own.fingerprints(loader, steps))?;
        for (at, (a, b)) in first.iter().zip(&second).enumerate() {
            let pairs = a.iter().zip(b);
            let differing = pairs.filter(|((_, a), (_, b))| a != b);
            let what: Vec<&str> = differing.map(|((name, _), _)| name.as_str()).collect();
            if !what.is_empty() || a.len() != b.len() {
                return Ok(Err(DeterminismError {
                    step: at as u64 + 1,
                    what: what.join(", "),
                }));
            }
        }
        Ok(Ok(()))
    }

    /// Scalars and tensors after each of some steps, as bytes.
    fn fingerprints(
        &mut self,
        loader: &mut dyn Batches<Item = B>,
        steps: u64,
    ) -> Result<Vec<Vec<(String, Vec<u8>)>>> {
        let mut all = Vec::new();
        for _ in 0..steps {
            let batch = self.any_batch(loader)?;
            let scalars = self.step.call(&mut self.state, &batch)?.to_vec::<f32>()?;
            let names = self.step.names();
            let scalars = names.iter().zip(&scalars);
            let mut own: Vec<(String, Vec<u8>)> = scalars
                .map(|(name, v)| (name.clone(), v.to_le_bytes().to_vec()))
                .collect();
            for (name, tensor) in self.state.state() {
                let array = wgrad_graph::block_on(crate::session::to_array(&tensor))?;
                own.push((name, array.bytes));
            }
            all.push(own);
        }
        Ok(all)
    }

    /// Trains with learning rates that rise from step to step, and says what becomes of the loss: a first rate for an
    /// optimiser. The schedules of the trainer do not act meanwhile.
    ///
    /// # Errors
    /// A step fails, the loader has no batch, or the range is empty.
    ///
    /// ```
    /// use wgrad_data::from_fn;
    /// use wgrad_graph::{Device, Generator, Tensor};
    /// use wgrad_nn::{Linear, Optimizer, Sgd, gradients};
    /// use wgrad_train::{RateRange, Trainer};
    /// let device = Device::cpu();
    /// let state = (Linear::new(4, 1, &mut Generator::new(0), &device), Sgd::new(0.1));
    /// let mut trainer = Trainer::new(state, |(net, sgd): &mut (Linear, Sgd), x: Tensor| {
    ///     let loss = (net.forward(&x) - x.sum_dims(&[1], true)).square().mean();
    ///     let g = gradients(&loss, net)?;
    ///     sgd.step(net, &g)?;
    ///     Ok(loss)
    /// });
    /// let mut batches = from_fn(10, move |e, b| Ok(Generator::from_state([1, e, b]).normal(&[64, 4], &device)));
    /// let search = trainer.find_rate(&mut batches, |(_, sgd)| sgd, RateRange::default())?;
    /// assert!((1e-3..3.0).contains(&search.suggestion().unwrap()));
    /// assert_eq!(trainer.state.1.lr(), 0.1);
    /// # Ok::<(), wgrad_train::TrainError>(())
    /// ```
    pub fn find_rate<O: Optimizer>(
        &mut self,
        mut loader: impl Batches<Item = B>,
        of: impl Fn(&mut S) -> &mut O,
        range: RateRange,
    ) -> Result<RateSearch> {
        if !(range.from > 0.0 && range.to > range.from && range.to.is_finite() && range.steps > 1) {
            return Err(TrainError::Setup(format!(
                "no rates can be tried in {range:?}"
            )));
        }
        self.aside(&mut loader, |own, loader| {
            let mut search = RateSearch {
                rates: Vec::new(),
                losses: Vec::new(),
                smoothed: Vec::new(),
            };
            let (mut mean, mut best) = (0.0, f64::INFINITY);
            for at in 0..range.steps {
                let share = at as f64 / (range.steps - 1) as f64;
                let rate = range.from * (range.to / range.from).powf(share);
                let batch = own.any_batch(loader)?;
                of(&mut own.state).set_lr(rate);
                let scalars = own.step.call(&mut own.state, &batch)?.to_vec::<f32>()?;
                let loss = scalars.first().map_or(f64::NAN, |&v| f64::from(v));
                mean = 0.9 * mean + 0.1 * loss;
                let smoothed = mean / (1.0 - 0.9f64.powi(at as i32 + 1));
                if !smoothed.is_finite() || (at > 0 && smoothed > 4.0 * best) {
                    break;
                }
                best = best.min(smoothed);
                search.rates.push(rate);
                search.losses.push(loss);
                search.smoothed.push(smoothed);
            }
            Ok(search)
        })
    }
}
