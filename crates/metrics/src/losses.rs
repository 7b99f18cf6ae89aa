//! Log loss and what is the same in other units, Brier score, calibration and the scores of regressions, summed on the device.

use crate::classify::{common, no_samples};
use crate::inputs::{Gate, class_indices, class_scores, ignore, numbers};
use crate::metric::{Metric, alike, other_options};
use crate::probability::Calibration;
use crate::regression::{RegressionScore, Sums as RegressionSums};
use crate::state::{Fault, State, moved, replace};
use std::any::Any;
use wgrad_graph::{DType, Device, Result, Tensor};
use wgrad_nn::Module;

/// What a prediction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Predicts {
    /// Probabilities: 0 to 1.
    #[default]
    Probabilities,
    /// What a softmax or (one number for a sample) a sigmoid would make probabilities of.
    Logits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    LogLoss,
    Perplexity,
    Bits,
}

/// The mean negative logarithm of the true class's probability: result `log_loss`; or its exponential, `perplexity`; or the
/// same in bits for each token, `bits_per_character`.
///
/// Predictions are `[samples, classes, …]`, or `[samples]` for label 1 of two; targets are class indices. Probabilities are
/// kept above 1.2e-7, so that a certain mistake costs 16; logits have no such bound.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{LogLoss, Metric};
/// let device = Device::cpu();
/// let mut perplexity = LogLoss::perplexity(&device).ignore_index(-100);
/// let logits = Tensor::zeros(&[3, 8], wgrad_graph::DType::F32, &device);
/// perplexity.update(&logits, &Tensor::new(&[0, 5, -100], &device), None)?;
/// assert!((perplexity.value()?[0].1 - 8.0).abs() < 1e-5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct LogLoss {
    #[module(buffer)]
    state: State,
    #[module(constant)]
    predicts: Predicts,
    #[module(constant)]
    unit: Unit,
    #[module(constant)]
    ignore_index: Option<i32>,
}

impl LogLoss {
    fn of(unit: Unit, predicts: Predicts, device: &Device) -> Self {
        LogLoss {
            state: State::new(0, 2, true, device),
            predicts,
            unit,
            ignore_index: None,
        }
    }

    /// The mean loss, in natural logarithms.
    pub fn new(predicts: Predicts, device: &Device) -> Self {
        Self::of(Unit::LogLoss, predicts, device)
    }

    /// The exponential of the mean loss of logits.
    pub fn perplexity(device: &Device) -> Self {
        Self::of(Unit::Perplexity, Predicts::Logits, device)
    }

    /// The mean loss of logits in bits.
    pub fn bits_per_character(device: &Device) -> Self {
        Self::of(Unit::Bits, Predicts::Logits, device)
    }

    /// Samples with this label do not count.
    pub fn ignore_index(mut self, label: i32) -> Self {
        self.ignore_index = Some(label);
        self
    }

    fn options(&self) -> (Predicts, Unit, Option<i32>) {
        (self.predicts, self.unit, self.ignore_index)
    }
}

/// Refuses what is no probability, and gives 0 there.
fn probability(p: &Tensor, gate: &mut Gate) -> Tensor {
    let inside = p.ge_scalar(0.0).logical_and(&p.le_scalar(1.0));
    gate.refuse(Fault::Probability, &inside.logical_not());
    let zero = Tensor::scalar(0.0, DType::F32, p.device());
    Tensor::where_(&inside, p, &zero)
}

impl Metric for LogLoss {
    fn name(&self) -> &str {
        match self.unit {
            Unit::LogLoss => "log_loss",
            Unit::Perplexity => "perplexity",
            Unit::Bits => "bits_per_character",
        }
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let op = self.name();
        let logits = self.predicts == Predicts::Logits;
        let mut gate = Gate::new(op, target, weight)?;
        ignore(&mut gate, target, self.ignore_index);
        let loss = if prediction.shape() == target.shape() {
            let truth = class_indices(op, target, 2, &mut gate)?;
            let x = numbers(op, prediction, target, &mut gate)?;
            let positive = truth.gt_scalar(0.0);
            if logits {
                // log(1 + exp(-x)) for label 1, of x for label 0.
                Tensor::where_(&positive, &x.neg(), &x).softplus()
            } else {
                let p = probability(&x, &mut gate);
                let own = Tensor::where_(&positive, &p, &(p.neg() + 1.0));
                own.clamp_min(f64::from(f32::EPSILON)).log().neg()
            }
        } else {
            let rows = class_scores(op, prediction, target, None, &mut gate)?;
            let truth = class_indices(op, target, rows.size(1), &mut gate)?.unsqueeze(1);
            if logits {
                rows.log_softmax(1).gather(1, &truth).neg().squeeze(1)
            } else {
                let p = probability(&rows.gather(1, &truth).squeeze(1), &mut gate);
                p.clamp_min(f64::from(f32::EPSILON)).log().neg()
            }
        };
        let next = self
            .state
            .plus(&gate.sums(&[gate.weighted(&loss), gate.weights()]));
        replace(&mut self.state, next)
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let name = self.name();
        let totals = self.state.totals(name, state)?;
        if totals.sums[1] <= 0.0 {
            return Err(no_samples(name));
        }
        let mean = totals.sums[0] / totals.sums[1];
        let value = match self.unit {
            Unit::LogLoss => mean,
            Unit::Perplexity => mean.exp(),
            Unit::Bits => mean / std::f64::consts::LN_2,
        };
        Ok(vec![(name.into(), value)])
    }

    common!();
}

/// How well probabilities are calibrated, in bins of equal width: results `brier`, `expected_calibration_error` and
/// `maximum_calibration_error`.
///
/// Predictions are probabilities `[samples]` of label 1, whose frequency is compared, or `[samples, classes, …]`, of which the
/// greatest is compared with how often it is right. The Brier score of the latter sums over the classes.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{CalibrationError, Metric};
/// let device = Device::cpu();
/// let mut calibration = CalibrationError::new(10, &device);
/// let p = Tensor::new(&[0.75f32, 0.75, 0.75, 0.75], &device);
/// calibration.update(&p, &Tensor::new(&[1, 1, 1, 0], &device), None)?;
/// let values = calibration.value()?;
/// assert_eq!(values[0], ("brier".to_string(), 0.1875));
/// assert_eq!(values[1], ("expected_calibration_error".to_string(), 0.0));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct CalibrationError {
    #[module(buffer)]
    state: State,
    #[module(constant)]
    bins: usize,
}

impl CalibrationError {
    /// With so many bins (at least one), summed on `device`.
    pub fn new(bins: usize, device: &Device) -> Self {
        let bins = bins.max(1);
        CalibrationError {
            state: State::new(0, 3 * bins + 1, true, device),
            bins,
        }
    }

    /// Reads the curve.
    ///
    /// # Errors
    /// No samples; samples that could not be used; what was recorded cannot be computed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn curve(&self) -> Result<Calibration> {
        self.curve_of(&crate::metric::read(&self.buffers())?)
            .map(|(curve, _)| curve)
    }

    fn curve_of(&self, state: &[Vec<f64>]) -> Result<(Calibration, f64)> {
        let sums = self.state.totals(self.name(), state)?.sums;
        let column = |bin: usize, k: usize| sums[k * self.bins + bin];
        let bins = (0..self.bins).map(|bin| [column(bin, 0), column(bin, 1), column(bin, 2)]);
        let curve = Calibration::of_sums(bins);
        let weight: f64 = curve.weight.iter().sum();
        if weight > 0.0 {
            Ok((curve, sums[3 * self.bins] / weight))
        } else {
            Err(no_samples(self.name()))
        }
    }

    fn options(&self) -> usize {
        self.bins
    }
}

impl Metric for CalibrationError {
    fn name(&self) -> &str {
        "calibration"
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let op = self.name();
        let mut gate = Gate::new(op, target, weight)?;
        let (confidence, right, squared) = if prediction.shape() == target.shape() {
            let truth = class_indices(op, target, 2, &mut gate)?.cast(DType::F32);
            let p = numbers(op, prediction, target, &mut gate)?;
            let p = probability(&p, &mut gate);
            let squared = (&p - &truth).square();
            (p, truth, squared)
        } else {
            let rows = class_scores(op, prediction, target, None, &mut gate)?;
            let classes = rows.size(1);
            let truth = class_indices(op, target, classes, &mut gate)?;
            let least = probability(&rows.amin_dims(&[1], false), &mut gate);
            let p = probability(&rows.amax_dims(&[1], false), &mut gate) + least * 0.0;
            let right = rows.argmax(1, false).eq(&truth).cast(DType::F32);
            let squared = (&rows - truth.one_hot(classes).cast(DType::F32)).square();
            (p, right, squared.sum_dims(&[1], false))
        };
        // A bin holds its upper end, the first also 0.
        let bin = (&confidence * self.bins as f64).ceil() - 1.0;
        let bin = bin
            .clamp(0.0, (self.bins - 1) as f64)
            .nan_to_num(0.0, 0.0, 0.0);
        let bin = bin.cast(DType::I32);
        let of = |values: &Tensor| {
            Tensor::zeros(&[self.bins], DType::F32, values.device()).scatter_add(0, &bin, values)
        };
        let brier = gate.weighted(&squared).sum().unsqueeze(0);
        let columns = [
            of(&gate.weights()),
            of(&gate.weighted(&confidence)),
            of(&gate.weighted(&right)),
            brier,
        ];
        let all = Tensor::cat(&columns.iter().collect::<Vec<_>>(), 0);
        let next = self.state.plus(&gate.summed(all));
        replace(&mut self.state, next)
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let (curve, brier) = self.curve_of(state)?;
        Ok(vec![
            ("brier".into(), brier),
            ("expected_calibration_error".into(), curve.expected_error()),
            ("maximum_calibration_error".into(), curve.maximum_error()),
        ])
    }

    common!();
}

/// Scores of predicted numbers: results `mse`, `rmse`, `mae`, `mape`, `r2` and `explained_variance`, as asked for. Every
/// element of prediction and target, which have one shape, is a sample.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{Metric, Regression, RegressionScore};
/// let device = Device::cpu();
/// let mut scores = Regression::new(&[RegressionScore::Rmse, RegressionScore::R2], &device);
/// let truth = Tensor::new(&[1.0f32, 2.0, 3.0, 4.0], &device);
/// scores.update(&(&truth + 0.5), &truth, None)?;
/// assert_eq!(scores.value()?, [("rmse".to_string(), 0.5), ("r2".to_string(), 0.8)]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct Regression {
    #[module(buffer)]
    state: State,
    /// Sums of squares are taken around the first true value, f32 `[]`, so that they lose no digits to the mean.
    #[module(buffer)]
    shift: Tensor,
    #[module(constant)]
    scores: Vec<RegressionScore>,
}

/// Weight, error, squared, absolute, relative, truth, its square, samples.
const COLUMNS: usize = 8;

impl Regression {
    /// These scores, summed on `device`.
    pub fn new(scores: &[RegressionScore], device: &Device) -> Self {
        Regression {
            state: State::new(0, COLUMNS, true, device),
            shift: Tensor::zeros(&[], DType::F32, device),
            scores: scores.to_vec(),
        }
    }
}

impl Metric for Regression {
    fn name(&self) -> &str {
        "regression"
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let op = self.name();
        let mut gate = Gate::new(op, target, weight)?;
        let predicted = numbers(op, prediction, target, &mut gate)?;
        let truth = numbers(op, target, target, &mut gate)?;
        if target.numel() == 0 {
            return Ok(());
        }
        let weights = gate.weights();
        // The first that counts.
        let first = weights.gt_scalar(0.0).cast(DType::I32).argmax(0, true);
        let first = truth.gather(0, &first).squeeze(0);
        let empty = self.state.sums().map(|s| s.is_empty());
        let shift = match empty {
            Some(empty) => Tensor::where_(&empty, &first, &self.shift),
            None => first,
        };
        let error = &truth - &predicted;
        let size = truth.abs().clamp_min(f64::EPSILON);
        let distance = &truth - &shift;
        let columns = [
            weights.clone(),
            gate.weighted(&error),
            gate.weighted(&error.square()),
            gate.weighted(&error.abs()),
            gate.weighted(&(error.abs() / size)),
            gate.weighted(&distance),
            gate.weighted(&distance.square()),
            gate.valid().cast(DType::F32),
        ];
        let state = self.state.plus(&gate.sums(&columns));
        let next = Regression {
            state,
            shift,
            scores: self.scores.clone(),
        };
        replace(self, next)
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let op = self.name();
        // The shift, which is read last, drops out of every score.
        let totals = self
            .state
            .totals(op, &state[..state.len().saturating_sub(1)])?;
        let s = &totals.sums;
        let sums = RegressionSums {
            weight: s[0],
            error: s[1],
            squared: s[2],
            absolute: s[3],
            relative: s[4],
            truth: s[5],
            truth_squared: s[6],
            samples: s[7],
        };
        if sums.weight <= 0.0 {
            return Err(no_samples(op));
        }
        let one = |score: &RegressionScore| (score.name().into(), sums.of(*score));
        Ok(self.scores.iter().map(one).collect())
    }

    fn merge(&mut self, other: &dyn Metric) -> Result<()> {
        let other = alike(self, other)?;
        if self.scores != other.scores {
            return Err(other_options(self.name()));
        }
        let device = self.shift.device().clone();
        let theirs = moved(&other.shift, &device)?;
        let (Some(own), Some(others)) = (self.state.sums(), other.state.sums()) else {
            return Err(other_options(self.name()));
        };
        let shift = Tensor::where_(&own.is_empty(), &theirs, &self.shift);
        let rebased = |state: &State, by: Tensor, levels: &Tensor| {
            let mut state = state.clone();
            let column = |k| levels.narrow(1, k, 1);
            let (w, sum, square) = (column(0), column(5), column(6));
            let new_square = square + &sum * &by * 2.0 + &w * by.square();
            let new_sum = sum + w * &by;
            let parts = [&levels.narrow(1, 0, 5), &new_sum, &new_square, &column(7)];
            let levels = Tensor::cat(&parts, 1);
            if let Some(sums) = state.sums() {
                let sums = sums.with_levels(levels);
                state.set_sums(sums);
            }
            state
        };
        let mut left = rebased(&self.state, &self.shift - &shift, own.levels());
        let levels = moved(others.levels(), &device)?;
        let right = rebased(&other.state, theirs - &shift, &levels);
        let next = Regression {
            state: left.merged(&right)?,
            shift,
            scores: self.scores.clone(),
        };
        replace(self, next)
    }

    fn reset(&mut self) {
        self.state = self.state.emptied();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
