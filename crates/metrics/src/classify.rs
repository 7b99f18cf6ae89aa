//! Accuracy, top-k accuracy and the confusion matrix, counted on the device. Formulas of what follows from the matrix are in
//! `scores`.

use crate::inputs::{
    Gate, class_indices, class_scores, ignore, misfit, numbers, predicted_classes,
};
use crate::matrix::ConfusionMatrix;
use crate::metric::{Metric, alike, other_options};
use crate::scores::{ClassScores, Score, ZeroDivision};
use crate::state::{State, Totals, replace};
use std::any::Any;
use wgrad_graph::{DType, Device, Error, ErrorKind, Result, Tensor};
use wgrad_nn::Module;

fn fraction(op: &str, totals: &Totals) -> Result<f64> {
    let part = totals.counts[0] + totals.sums[0];
    let whole = totals.counts[1] + totals.sums[1];
    if whole > 0.0 {
        Ok(part / whole)
    } else {
        Err(no_samples(op))
    }
}

pub(crate) fn no_samples(op: &str) -> Error {
    Error::new(ErrorKind::Value, op, "there are no samples")
}

/// What is the same for every metric whose state is a `State` and whose options are compared by `options`.
macro_rules! common {
    () => {
        fn merge(&mut self, other: &dyn Metric) -> Result<()> {
            let other = alike(self, other)?;
            if self.options() != other.options() {
                return Err(other_options(self.name()));
            }
            let next = self.state.merged(&other.state)?;
            replace(&mut self.state, next)
        }

        fn reset(&mut self) {
            self.state = self.state.emptied();
        }

        fn as_any(&self) -> &dyn Any {
            self
        }
    };
}
pub(crate) use common;

/// The fraction of samples whose class is predicted right: result `accuracy`.
///
/// Predictions are scores `[samples, classes, …]` (the greatest wins, the first of equal ones), class indices of the target's
/// shape, or for two classes scores of the target's shape, which predict 1 above the threshold. Targets are class indices.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{Accuracy, Metric};
/// let device = Device::cpu();
/// let mut accuracy = Accuracy::new(2, &device);
/// let probabilities = Tensor::new(&[0.9f32, 0.2, 0.6, 0.7], &device);
/// let weights = Tensor::new(&[1.0f32, 1.0, 2.0, 0.0], &device);
/// accuracy.update(&probabilities, &Tensor::new(&[1, 0, 0, -1], &device), Some(&weights))?;
/// assert_eq!(accuracy.value()?, [("accuracy".to_string(), 0.5)]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct Accuracy {
    #[module(buffer)]
    state: State,
    #[module(constant)]
    classes: usize,
    #[module(constant)]
    threshold: f64,
    #[module(constant)]
    ignore_index: Option<i32>,
}

impl Accuracy {
    /// Of so many classes, counted on `device`.
    pub fn new(classes: usize, device: &Device) -> Self {
        Accuracy {
            state: State::new(2, 2, false, device),
            classes,
            threshold: 0.5,
            ignore_index: None,
        }
    }

    /// Above which a single score predicts class 1; 0.5, and 0 would be right for logits.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Samples with this label do not count.
    pub fn ignore_index(mut self, label: i32) -> Self {
        self.ignore_index = Some(label);
        self
    }

    fn options(&self) -> (usize, u64, Option<i32>) {
        (self.classes, self.threshold.to_bits(), self.ignore_index)
    }
}

impl Metric for Accuracy {
    fn name(&self) -> &str {
        "accuracy"
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let op = "accuracy";
        let mut gate = Gate::new(op, target, weight)?;
        ignore(&mut gate, target, self.ignore_index);
        let truth = class_indices(op, target, self.classes, &mut gate)?;
        let (classes, threshold) = (self.classes, self.threshold);
        let predicted = predicted_classes(op, prediction, target, classes, threshold, &mut gate)?;
        let next = self.state.plus(&gate.hits(&predicted.eq(&truth)));
        replace(&mut self.state, next)
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let totals = self.state.totals(self.name(), state)?;
        let value = fraction(self.name(), &totals)?;
        Ok(vec![(self.name().into(), value)])
    }

    common!();
}

/// The fraction of samples whose class is among the k with the greatest scores: result `top_<k>_accuracy`.
///
/// Predictions are scores `[samples, classes, …]`. Of equal scores the later class goes first, as in scikit-learn.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{Metric, TopKAccuracy};
/// let device = Device::cpu();
/// let mut top2 = TopKAccuracy::new(2, 3, &device)?;
/// let scores = Tensor::from_slice(&[0.1f32, 0.3, 0.6, 0.5, 0.3, 0.2], &[2, 3], &device);
/// top2.update(&scores, &Tensor::new(&[1, 2], &device), None)?;
/// assert_eq!(top2.value()?, [("top_2_accuracy".to_string(), 0.5)]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct TopKAccuracy {
    #[module(buffer)]
    state: State,
    #[module(constant)]
    k: usize,
    #[module(constant)]
    classes: usize,
    #[module(constant)]
    name: String,
}

impl TopKAccuracy {
    /// Among the best `k` of so many classes, counted on `device`.
    ///
    /// # Errors
    /// `k` is 0 or above the number of classes.
    pub fn new(k: usize, classes: usize, device: &Device) -> Result<Self> {
        if k == 0 || k > classes {
            let message = format!("k is {k} of {classes} classes");
            return Err(Error::new(ErrorKind::Value, "top_k_accuracy", message));
        }
        Ok(TopKAccuracy {
            state: State::new(2, 2, false, device),
            k,
            classes,
            name: format!("top_{k}_accuracy"),
        })
    }

    fn options(&self) -> (usize, usize) {
        (self.k, self.classes)
    }
}

impl Metric for TopKAccuracy {
    fn name(&self) -> &str {
        &self.name
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let op = "top_k_accuracy";
        let mut gate = Gate::new(op, target, weight)?;
        let truth = class_indices(op, target, self.classes, &mut gate)?;
        let rows = class_scores(op, prediction, target, Some(self.classes), &mut gate)?;
        let at = truth.unsqueeze(1);
        let own = rows.gather(1, &at);
        let classes = Tensor::arange(self.classes, rows.device()).unsqueeze(0);
        let before = rows
            .gt(&own)
            .logical_or(&rows.eq(&own).logical_and(&classes.gt(&at)));
        let rank = before.cast(DType::I32).sum_dims(&[1], false);
        let next = self.state.plus(&gate.hits(&rank.lt_scalar(self.k as f64)));
        replace(&mut self.state, next)
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let totals = self.state.totals(&self.name, state)?;
        Ok(vec![(self.name.clone(), fraction(&self.name, &totals)?)])
    }

    common!();
}

/// The confusion matrix, counted on the device, and the scores asked for: precision, recall, F, intersection over union, kappa
/// and others. Inputs are those of [`Accuracy`], so label maps of segmentation work as well.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{Average, Confusion, Metric, Rate, Score};
/// let device = Device::cpu();
/// let mut confusion = Confusion::new(3, &device).scores(&[
///     Score::Rate(Rate::F(1.0), Average::Macro),
///     Score::Rate(Rate::Recall, Average::Class(1)),
/// ]);
/// let predicted = Tensor::new(&[0, 1, 2, 2], &device);
/// confusion.update(&predicted, &Tensor::new(&[0, 1, 1, 2], &device), None)?;
/// let values = confusion.value()?;
/// assert_eq!(values[1], ("recall_class_1".to_string(), 0.5));
/// assert_eq!(confusion.matrix()?.count(1, 2), 1); // the host's, which prints as a table
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct Confusion {
    #[module(buffer)]
    state: State,
    #[module(constant)]
    classes: usize,
    #[module(constant)]
    threshold: f64,
    #[module(constant)]
    ignore_index: Option<i32>,
    #[module(constant)]
    scores: Vec<Score>,
    #[module(constant)]
    zero_division: ZeroDivision,
}

impl Confusion {
    /// Of so many classes, counted on `device`; results are accuracy and macro F1 unless [`scores`](Self::scores) says
    /// otherwise. Holds `2 classes²` words, and `8 classes²` more once weights come.
    pub fn new(classes: usize, device: &Device) -> Self {
        use crate::scores::{Average, Rate};
        // Beyond what a tensor may hold any number is as good: the first use tells.
        let cells = classes.saturating_mul(classes).min(1 << 31);
        Confusion {
            state: State::new(cells, cells, false, device),
            classes,
            threshold: 0.5,
            ignore_index: None,
            scores: vec![Score::Accuracy, Score::Rate(Rate::F(1.0), Average::Macro)],
            zero_division: ZeroDivision::default(),
        }
    }

    /// What the results are.
    pub fn scores(mut self, scores: &[Score]) -> Self {
        self.scores = scores.to_vec();
        self
    }

    /// What `0 / 0` is; 0 at first.
    pub fn zero_division(mut self, zero_division: ZeroDivision) -> Self {
        self.zero_division = zero_division;
        self
    }

    /// Above which a single score predicts class 1; 0.5, and 0 would be right for logits.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Samples with this label do not count.
    pub fn ignore_index(mut self, label: i32) -> Self {
        self.ignore_index = Some(label);
        self
    }

    /// Reads all counts and weights.
    ///
    /// # Errors
    /// Samples that could not be used; what was recorded cannot be computed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn class_scores(&self) -> Result<ClassScores> {
        self.scores_of(&crate::metric::read(&self.buffers())?)
    }

    /// Reads the counts as a matrix that prints.
    ///
    /// # Errors
    /// As [`class_scores`](Self::class_scores); or samples had weights, which are no counts.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn matrix(&self) -> Result<ConfusionMatrix> {
        let scores = self.class_scores()?;
        if self.state.sums().is_some() {
            let message = "samples had weights, which are no counts: see class_scores";
            return Err(Error::new(ErrorKind::Value, "confusion", message));
        }
        let mut matrix = ConfusionMatrix::new(self.classes);
        for truth in 0..self.classes {
            for predicted in 0..self.classes {
                matrix.add(truth, predicted, scores.count(truth, predicted) as u64);
            }
        }
        Ok(matrix)
    }

    fn scores_of(&self, state: &[Vec<f64>]) -> Result<ClassScores> {
        let totals = self.state.totals("confusion", state)?;
        let both = totals.counts.iter().zip(&totals.sums);
        let counts = both.map(|(c, s)| c + s).collect();
        Ok(ClassScores::of_counts(self.classes, counts).zero_division(self.zero_division))
    }

    fn options(&self) -> (usize, u64, Option<i32>) {
        (self.classes, self.threshold.to_bits(), self.ignore_index)
    }
}

impl Metric for Confusion {
    fn name(&self) -> &str {
        "confusion"
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let (op, classes) = ("confusion", self.classes);
        let mut gate = Gate::new(op, target, weight)?;
        ignore(&mut gate, target, self.ignore_index);
        let truth = class_indices(op, target, classes, &mut gate)?;
        let threshold = self.threshold;
        let predicted = predicted_classes(op, prediction, target, classes, threshold, &mut gate)?;
        let cells = classes
            .checked_mul(classes)
            .and_then(|c| i32::try_from(c).ok());
        let cells = cells.ok_or_else(|| {
            let message = format!("{classes} classes are too many");
            misfit(op, ErrorKind::Value, message, &[])
        })?;
        let cell = truth * classes as i32 + predicted;
        let of = |dtype| Tensor::zeros(&[cells as usize], dtype, target.device());
        let addition = if gate.is_weighted() {
            let sums = of(DType::F32).scatter_add(0, &cell, &gate.weights());
            gate.summed(sums)
        } else {
            let ones = gate.valid().cast(DType::I32);
            gate.counts(of(DType::I32).scatter_add(0, &cell, &ones))
        };
        let next = self.state.plus(&addition);
        replace(&mut self.state, next)
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let scores = self.scores_of(state)?;
        let one = |score: &Score| Ok((score.name(), score.of(&scores)?));
        self.scores.iter().map(one).collect()
    }

    common!();
}

/// The weighted mean of numbers, such as losses: result under a name of one's own. The prediction holds the numbers; the
/// target has their shape and is not looked at (give the same tensor).
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{Mean, Metric};
/// let device = Device::cpu();
/// let mut loss = Mean::new("loss", &device);
/// let losses = Tensor::new(&[1.0f32, 2.0, 6.0], &device);
/// loss.add(&losses, None)?;
/// assert_eq!(loss.value()?, [("loss".to_string(), 3.0)]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct Mean {
    #[module(buffer)]
    state: State,
    #[module(constant)]
    name: String,
}

impl Mean {
    /// The mean called `name`, summed on `device`.
    pub fn new(name: &str, device: &Device) -> Self {
        Mean {
            state: State::new(0, 2, true, device),
            name: name.into(),
        }
    }

    /// Adds numbers, of any shape.
    ///
    /// # Errors
    /// As [`Metric::update`].
    pub fn add(&mut self, values: &Tensor, weight: Option<&Tensor>) -> Result<()> {
        self.update(values, values, weight)
    }

    fn options(&self) -> &str {
        &self.name
    }
}

impl Metric for Mean {
    fn name(&self) -> &str {
        &self.name
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let mut gate = Gate::new(&self.name, target, weight)?;
        let values = numbers(&self.name, prediction, target, &mut gate)?;
        let next = self
            .state
            .plus(&gate.sums(&[gate.weighted(&values), gate.weights()]));
        replace(&mut self.state, next)
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let totals = self.state.totals(&self.name, state)?;
        if totals.sums[1] > 0.0 {
            Ok(vec![(self.name.clone(), totals.sums[0] / totals.sums[1])])
        } else {
            Err(no_samples(&self.name))
        }
    }

    common!();
}
