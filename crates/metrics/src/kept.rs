//! Scores that are kept on the device, up to a capacity, for what does not sum: ROC, AUC and average precision with exact ties.
//! The curves themselves are in `curve`.

use crate::classify::no_samples;
use crate::curve::{average_precision, one_vs_rest, roc_auc};
use crate::inputs::{Gate, class_indices, class_scores, numbers};
use crate::metric::{Metric, alike, other_options};
use crate::state::{Addition, Counts, Fault, MAX_BATCH, State, moved, replace};
use std::any::Any;
use wgrad_graph::{DType, Device, Error, ErrorKind, Result, Tensor};
use wgrad_nn::Module;

/// The areas below the ROC and the precision-recall curve, with exact ties: results `roc_auc` and `average_precision`; of
/// more than two classes their means over the classes, each against all others.
///
/// Keeps every score, up to a capacity that is asked for at the beginning: `capacity · (classes + 2)` words. Predictions are
/// scores `[samples]` of label 1 for two classes, `[samples, classes, …]` for more; any rising function of probabilities
/// will do. NaN where a class is empty, as scikit-learn.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{Metric, RankScores};
/// let device = Device::cpu();
/// let mut auc = RankScores::new(2, 1000, &device);
/// let scores = Tensor::new(&[0.1f32, 0.4, 0.4, 0.8], &device);
/// auc.update(&scores, &Tensor::new(&[0, 0, 1, 1], &device), None)?;
/// assert_eq!(auc.value()?[0], ("roc_auc".to_string(), 0.875));
/// let kept = auc.kept()?; // for drawing the curves
/// assert_eq!(wgrad_metrics::roc_curve(&kept.labels, &kept.scores, None)?.area(), 0.875);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct RankScores {
    #[module(buffer)]
    store: Store,
    #[module(constant)]
    classes: usize,
}

#[derive(Clone, Module)]
#[module(crate = wgrad_nn)]
struct Store {
    /// f32 `[capacity, columns]`
    #[module(buffer)]
    scores: Tensor,
    /// i32 `[capacity]`
    #[module(buffer)]
    labels: Tensor,
    /// f32 `[capacity]`
    #[module(buffer)]
    weights: Tensor,
    /// i32 `[1]`: how many are used.
    #[module(buffer)]
    used: Tensor,
    #[module(buffer)]
    state: State,
}

/// What [`RankScores`] has kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// `[samples]` for two classes, else `[samples, classes]` row by row.
    pub scores: Vec<f64>,
    /// The true class of each sample.
    pub labels: Vec<i32>,
    /// The weight of each sample.
    pub weights: Vec<f64>,
}

impl Store {
    fn new(capacity: usize, columns: usize, device: &Device) -> Self {
        Store {
            scores: Tensor::zeros(&[capacity, columns], DType::F32, device),
            labels: Tensor::zeros(&[capacity], DType::I32, device),
            weights: Tensor::zeros(&[capacity], DType::F32, device),
            used: Tensor::zeros(&[1], DType::I32, device),
            state: State::new(0, 0, false, device),
        }
    }

    /// Puts the first `count` (i32 `[1]`) of these rows behind those that are kept.
    fn with(
        &mut self,
        scores: &Tensor,
        labels: &Tensor,
        weights: &Tensor,
        count: &Tensor,
        mut found: Vec<(Fault, Tensor)>,
    ) -> Self {
        let (capacity, rows) = (self.labels.numel(), labels.numel());
        let at = Tensor::arange(capacity, labels.device()) - &self.used;
        let new = at.ge_scalar(0.0).logical_and(&at.lt(count));
        let at = at.clamp(0.0, (rows - 1) as f64);
        let pick = |old: &Tensor, new_rows: &Tensor, new: &Tensor| {
            Tensor::where_(new, &new_rows.index_select(0, &at), old)
        };
        let used = &self.used + count;
        let room = Tensor::full(&[1], capacity as f64, DType::I32, labels.device());
        found.push((Fault::Room, (&used - &room).clamp_min(0.0).sum()));
        Store {
            scores: pick(&self.scores, scores, &new.unsqueeze(1)),
            labels: pick(&self.labels, labels, &new),
            weights: pick(&self.weights, weights, &new),
            used: used.minimum(&room),
            state: self.state.plus(&Addition {
                counts: Counts::None,
                sums: None,
                faults: found,
            }),
        }
    }
}

impl RankScores {
    /// For so many classes and at most so many samples, on `device`.
    pub fn new(classes: usize, capacity: usize, device: &Device) -> Self {
        let columns = if classes <= 2 { 1 } else { classes };
        RankScores {
            store: Store::new(capacity.clamp(1, MAX_BATCH), columns, device),
            classes: classes.max(2),
        }
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// Samples that could not be used or kept; what was recorded cannot be computed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn kept(&self) -> Result<Kept> {
        self.kept_of(&crate::metric::read(&self.buffers())?)
    }

    fn kept_of(&self, state: &[Vec<f64>]) -> Result<Kept> {
        let op = self.name();
        let [scores, labels, weights, used, rest @ ..] = state else {
            let message = "what was read is not this metric's state";
            return Err(Error::new(ErrorKind::Value, op, message));
        };
        self.store.state.totals(op, rest)?;
        let used = used.first().map_or(0, |u| *u as usize);
        let columns = self.store.scores.size(1);
        let keep = |i: &usize| weights[*i] > 0.0;
        let rows: Vec<usize> = (0..used.min(labels.len())).filter(keep).collect();
        Ok(Kept {
            scores: rows
                .iter()
                .flat_map(|&i| scores[i * columns..][..columns].iter().copied())
                .collect(),
            labels: rows.iter().map(|&i| labels[i] as i32).collect(),
            weights: rows.iter().map(|&i| weights[i]).collect(),
        })
    }

    fn options(&self) -> (usize, usize) {
        (self.classes, self.store.labels.numel())
    }
}

impl Metric for RankScores {
    fn name(&self) -> &str {
        "rank_scores"
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let op = "rank_scores";
        let mut gate = Gate::new(op, target, weight)?;
        let labels = class_indices(op, target, self.classes, &mut gate)?;
        let scores = if self.classes == 2 && prediction.shape() == target.shape() {
            numbers(op, prediction, target, &mut gate)?.unsqueeze(1)
        } else {
            let classes = self.store.scores.size(1);
            class_scores(op, prediction, target, Some(classes), &mut gate)?
        };
        // An infinite score has its place in the order, but no number on the host stands for it.
        let scores = scores.nan_to_num(0.0, f64::from(f32::MAX), f64::from(f32::MIN));
        if target.numel() == 0 {
            return Ok(());
        }
        let count = Tensor::full(&[1], target.numel() as f64, DType::I32, target.device());
        let found = gate.faults();
        let weights = gate.weights();
        let next = self.store.with(&scores, &labels, &weights, &count, found);
        replace(&mut self.store, next)
    }

    fn merge(&mut self, other: &dyn Metric) -> Result<()> {
        let other = alike(self, other)?;
        if self.options() != other.options() {
            return Err(other_options(self.name()));
        }
        let device = self.store.labels.device().clone();
        let mut theirs = other.store.clone();
        let mut failed = None;
        theirs.visit_mut("", &mut |_, _, t| match moved(t, &device) {
            Ok(here) => *t = here,
            Err(e) => failed = Some(e),
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let (labels, weights) = (&theirs.labels, &theirs.weights);
        let mut next = self
            .store
            .with(&theirs.scores, labels, weights, &theirs.used, Vec::new());
        next.state = next.state.merged(&theirs.state)?;
        replace(&mut self.store, next)
    }

    fn reset(&mut self) {
        let (capacity, columns) = (self.store.labels.numel(), self.store.scores.size(1));
        let device = self.store.labels.device().clone();
        self.store = Store::new(capacity, columns, &device);
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let op = self.name();
        let kept = self.kept_of(state)?;
        if kept.labels.is_empty() {
            return Err(no_samples(op));
        }
        let weights = Some(&kept.weights[..]);
        let (auc, precision) = if self.store.scores.size(1) == 1 {
            (
                roc_auc(&kept.labels, &kept.scores, weights)?,
                average_precision(&kept.labels, &kept.scores, weights)?,
            )
        } else {
            let mean = |score: &dyn Fn(&[i32], &[f64]) -> Result<f64>| -> Result<f64> {
                let each = one_vs_rest(op, &kept.labels, &kept.scores, self.classes, score)?;
                Ok(each.iter().sum::<f64>() / each.len() as f64)
            };
            (
                mean(&|t, s| roc_auc(t, s, weights))?,
                mean(&|t, s| average_precision(t, s, weights))?,
            )
        };
        Ok(vec![
            ("roc_auc".into(), auc),
            ("average_precision".into(), precision),
        ])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
