//! How good predicted probabilities are: log loss, Brier score, calibration. In f64 on the host; must not touch a device.

use crate::check::{self, Real};
use wgrad_graph::{Error, ErrorKind, Result};

/// Rows of probabilities may miss a sum of 1 by this much: f32 softmaxes of many classes do.
const SUM_TOLERANCE: f64 = 1e-3;

/// Probabilities `[samples, classes]` row by row, or `[samples]` of label 1, checked and in f64, with the number of classes.
fn rows(op: &str, truth: &[i32], probabilities: &[impl Real]) -> Result<(Vec<f64>, usize)> {
    let n = truth.len();
    if n == 0 {
        return Err(check::value_error(op, "there are no samples"));
    }
    if probabilities.is_empty() || !probabilities.len().is_multiple_of(n) {
        let message = format!("{} probabilities for {n} samples", probabilities.len());
        return Err(Error::new(ErrorKind::Shape, op, message));
    }
    let given = check::probabilities(op, probabilities)?;
    let classes = given.len() / n;
    if classes == 1 {
        return Ok((given.iter().flat_map(|p| [1.0 - p, *p]).collect(), 2));
    }
    for (at, row) in given.chunks(classes).enumerate() {
        let sum: f64 = row.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            let message = format!("the probabilities of sample {at} sum to {sum}, not to 1");
            return Err(check::value_error(op, message));
        }
    }
    Ok((given, classes))
}

fn weighted_mean(values: impl Iterator<Item = f64>, weight: &[f64]) -> f64 {
    let sum: f64 = values.zip(weight).map(|(v, w)| v * w).sum();
    sum / weight.iter().sum::<f64>()
}

/// The mean negative logarithm (natural) of the probability of the true class. `probabilities` are `[samples]` of label 1, or
/// `[samples, classes]` row by row; each is kept within 2.2e-16 of 0 and 1, so that a certain mistake costs 36.
///
/// ```
/// let loss = wgrad_metrics::log_loss(&[1, 0], &[0.5, 0.5], None)?;
/// assert!((loss - 2.0f64.ln()).abs() < 1e-12);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// No samples, sizes that do not fit, labels out of range, numbers that are no probabilities, rows that do not sum to 1.
pub fn log_loss(truth: &[i32], probabilities: &[impl Real], weight: Option<&[f64]>) -> Result<f64> {
    let op = "log_loss";
    let (rows, classes) = rows(op, truth, probabilities)?;
    let weight = check::weights(op, weight, truth.len())?;
    let truth = check::labels(op, "label", truth, classes)?;
    let loss = |(at, &class): (usize, &usize)| {
        let p = rows[at * classes + class];
        -p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
    };
    Ok(weighted_mean(truth.iter().enumerate().map(loss), &weight))
}

/// The mean squared distance of probabilities from the truth: `(p − y)²` for two classes given as `[samples]`, summed over
/// the classes for `[samples, classes]`.
///
/// ```
/// assert_eq!(wgrad_metrics::brier_score(&[1, 0], &[0.5, 0.0], None)?, 0.125);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// As [`log_loss`].
pub fn brier_score(
    truth: &[i32],
    probabilities: &[impl Real],
    weight: Option<&[f64]>,
) -> Result<f64> {
    let op = "brier_score";
    let (rows, classes) = rows(op, truth, probabilities)?;
    let weight = check::weights(op, weight, truth.len())?;
    let truth = check::labels(op, "label", truth, classes)?;
    let half = if probabilities.len() == truth.len() {
        0.5
    } else {
        1.0
    };
    let distance = |(at, &class): (usize, &usize)| {
        let row = &rows[at * classes..][..classes];
        let squared = |(k, p): (usize, &f64)| (p - f64::from(u8::from(k == class))).powi(2);
        half * row.iter().enumerate().map(squared).sum::<f64>()
    };
    Ok(weighted_mean(
        truth.iter().enumerate().map(distance),
        &weight,
    ))
}

/// Where the bins of a calibration curve end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Binning {
    /// Equal widths.
    #[default]
    Uniform,
    /// Equal numbers of samples.
    Quantile,
}

/// Predicted and observed frequencies in bins of the predicted probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The mean predicted probability of each bin that has samples.
    pub predicted: Vec<f64>,
    /// The fraction of those samples that have label 1, or are right.
    pub observed: Vec<f64>,
    /// The weight of those samples.
    pub weight: Vec<f64>,
}

impl Calibration {
    /// The expected calibration error: the mean over all samples of their bin's distance between predicted and observed.
    pub fn expected_error(&self) -> f64 {
        let whole: f64 = self.weight.iter().sum();
        let bins = self.gaps().zip(&self.weight);
        bins.map(|(gap, w)| gap * w / whole).sum()
    }

    /// The greatest distance of a bin.
    pub fn maximum_error(&self) -> f64 {
        self.gaps().fold(0.0, f64::max)
    }

    fn gaps(&self) -> impl Iterator<Item = f64> {
        let pairs = self.predicted.iter().zip(&self.observed);
        pairs.map(|(p, o)| (p - o).abs())
    }

    /// From sums over each bin: weight, weight times probability, weight of the positives.
    pub(crate) fn of_sums(sums: impl Iterator<Item = [f64; 3]>) -> Self {
        let filled: Vec<[f64; 3]> = sums.filter(|s| s[0] > 0.0).collect();
        Calibration {
            predicted: filled.iter().map(|s| s[1] / s[0]).collect(),
            observed: filled.iter().map(|s| s[2] / s[0]).collect(),
            weight: filled.iter().map(|s| s[0]).collect(),
        }
    }
}

/// The calibration of probabilities of label 1. A bin holds its upper end, the first also 0.
///
/// ```
/// use wgrad_metrics::{Binning, calibration_curve};
/// let curve = calibration_curve(&[0, 1, 1, 1], &[0.2, 0.4, 0.8, 0.9], 2, Binning::Uniform, None)?;
/// assert_eq!(curve.observed, [0.5, 1.0]);
/// assert!((curve.expected_error() - (0.5 * 0.2 + 0.5 * 0.15)).abs() < 1e-12);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// No samples or bins, different lengths, labels other than 0 and 1, numbers that are no probabilities, bad weights.
pub fn calibration_curve(
    truth: &[i32],
    probabilities: &[impl Real],
    bins: usize,
    binning: Binning,
    weight: Option<&[f64]>,
) -> Result<Calibration> {
    let op = "calibration_curve";
    check::lengths(op, truth.len(), "probabilities", probabilities.len())?;
    if bins == 0 {
        return Err(check::value_error(op, "there are no bins"));
    }
    let weight = check::weights(op, weight, truth.len())?;
    let truth = check::labels(op, "label", truth, 2)?;
    let p = check::probabilities(op, probabilities)?;
    let inner: Vec<f64> = match binning {
        Binning::Uniform => (1..bins).map(|b| b as f64 / bins as f64).collect(),
        Binning::Quantile => quantiles(&p, bins),
    };
    let mut sums = vec![[0.0; 3]; bins];
    for i in 0..p.len() {
        let bin = inner.partition_point(|edge| *edge < p[i]);
        sums[bin][0] += weight[i];
        sums[bin][1] += weight[i] * p[i];
        sums[bin][2] += weight[i] * truth[i] as f64;
    }
    Ok(Calibration::of_sums(sums.into_iter()))
}

/// The inner edges of bins with equal numbers of samples, interpolated linearly.
fn quantiles(values: &[f64], bins: usize) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |bin: usize| {
        let position = bin as f64 / bins as f64 * (sorted.len() - 1) as f64;
        let (below, part) = (position.floor() as usize, position.fract());
        let above = sorted[(below + 1).min(sorted.len() - 1)];
        sorted[below] + (above - sorted[below]) * part
    };
    (1..bins).map(at).collect()
}
