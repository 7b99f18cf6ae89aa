//! Curves of a binary score and the areas below them, with ties: samples of equal score pass a threshold together.
//! In f64 on the host; must not touch a device. Values and conventions are scikit-learn's.

use crate::check::{self, Real};
use wgrad_graph::{Error, ErrorKind, Result};

/// The receiver operating characteristic: one point for each distinct score, from none predicted to all.
#[derive(Clone, Debug, PartialEq)]
pub struct RocCurve {
    /// The negatives' fraction at or above each threshold; NaN without negatives.
    pub false_positive_rate: Vec<f64>,
    /// The positives' fraction at or above each threshold; NaN without positives.
    pub true_positive_rate: Vec<f64>,
    /// Falling; the first is infinite.
    pub thresholds: Vec<f64>,
}

impl RocCurve {
    /// The area below the curve, by trapezoids: a tie counts half. NaN where one class is empty.
    pub fn area(&self) -> f64 {
        auc(&self.false_positive_rate, &self.true_positive_rate)
    }
}

/// Precision by recall: one point for each distinct score, recall falling, and (0, 1) at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecallCurve {
    /// One more than thresholds; the last is 1.
    pub precision: Vec<f64>,
    /// One more than thresholds; the last is 0. Without positives all others are 1.
    pub recall: Vec<f64>,
    /// Rising.
    pub thresholds: Vec<f64>,
}

impl PrecisionRecallCurve {
    /// The sum of precision times the gain in recall, without interpolation.
    pub fn average_precision(&self) -> f64 {
        let gain = self.recall.windows(2).map(|r| r[0] - r[1]);
        // A negative zero would be read as a mistake.
        0.0 + gain.zip(&self.precision).map(|(g, p)| g * p).sum::<f64>()
    }
}

/// Weights of true and false positives at or above each distinct score, the highest score first.
struct Steps {
    thresholds: Vec<f64>,
    true_positives: Vec<f64>,
    false_positives: Vec<f64>,
}

fn steps(op: &str, truth: &[i32], scores: &[impl Real], weight: Option<&[f64]>) -> Result<Steps> {
    check::lengths(op, truth.len(), "scores", scores.len())?;
    let weight = check::weights(op, weight, truth.len())?;
    let truth = check::labels(op, "label", truth, 2)?;
    let scores = check::finite(op, "score", scores)?;
    // A sample without weight makes no threshold.
    let mut order: Vec<usize> = (0..truth.len()).filter(|&i| weight[i] > 0.0).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut steps = Steps {
        thresholds: Vec::new(),
        true_positives: Vec::new(),
        false_positives: Vec::new(),
    };
    let (mut positives, mut negatives) = (0.0, 0.0);
    for (n, &i) in order.iter().enumerate() {
        if truth[i] == 1 {
            positives += weight[i];
        } else {
            negatives += weight[i];
        }
        if order
            .get(n + 1)
            .is_none_or(|&next| scores[next] != scores[i])
        {
            steps.thresholds.push(scores[i]);
            steps.true_positives.push(positives);
            steps.false_positives.push(negatives);
        }
    }
    Ok(steps)
}

/// The ROC curve of scores, higher for label 1 than for label 0.
///
/// ```
/// let roc = wgrad_metrics::roc_curve(&[0, 0, 1, 1], &[0.1, 0.4, 0.4, 0.8], None)?;
/// assert_eq!(roc.true_positive_rate, [0.0, 0.5, 1.0, 1.0]);
/// assert_eq!(roc.false_positive_rate, [0.0, 0.0, 0.5, 1.0]);
/// assert_eq!(roc.area(), 0.875);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// No samples, different lengths, labels other than 0 and 1, scores that are not finite, bad weights.
pub fn roc_curve(truth: &[i32], scores: &[impl Real], weight: Option<&[f64]>) -> Result<RocCurve> {
    let steps = steps("roc_curve", truth, scores, weight)?;
    Ok(RocCurve {
        false_positive_rate: rates(&steps.false_positives),
        true_positive_rate: rates(&steps.true_positives),
        thresholds: [&[f64::INFINITY], &steps.thresholds[..]].concat(),
    })
}

/// 0 and then each as a fraction of the last; NaN if that is 0.
fn rates(passed: &[f64]) -> Vec<f64> {
    let whole = passed.last().copied().unwrap_or(0.0);
    let rates = passed.iter().map(|p| p / whole);
    let first = if whole > 0.0 { 0.0 } else { f64::NAN };
    std::iter::once(first).chain(rates).collect()
}

/// The precision-recall curve of scores, higher for label 1 than for label 0.
///
/// ```
/// let curve = wgrad_metrics::precision_recall_curve(&[0, 0, 1, 1], &[0.1, 0.4, 0.35, 0.8], None)?;
/// assert_eq!(curve.precision, [0.5, 2.0 / 3.0, 0.5, 1.0, 1.0]);
/// assert_eq!(curve.recall, [1.0, 1.0, 0.5, 0.5, 0.0]);
/// assert_eq!(curve.thresholds, [0.1, 0.35, 0.4, 0.8]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// As [`roc_curve`].
pub fn precision_recall_curve(
    truth: &[i32],
    scores: &[impl Real],
    weight: Option<&[f64]>,
) -> Result<PrecisionRecallCurve> {
    let steps = steps("precision_recall_curve", truth, scores, weight)?;
    let whole = steps.true_positives.last().copied().unwrap_or(0.0);
    let (mut precision, mut recall) = (vec![1.0], vec![0.0]);
    for (&tp, &fp) in steps.true_positives.iter().zip(&steps.false_positives) {
        precision.push(tp / (tp + fp));
        recall.push(if whole > 0.0 { tp / whole } else { 1.0 });
    }
    precision.reverse();
    recall.reverse();
    let mut thresholds = steps.thresholds;
    thresholds.reverse();
    Ok(PrecisionRecallCurve {
        precision,
        recall,
        thresholds,
    })
}

/// The area below the ROC curve: how often a positive sample scores above a negative one, ties half. NaN where one class
/// is empty.
///
/// # Errors
/// As [`roc_curve`].
pub fn roc_auc(truth: &[i32], scores: &[impl Real], weight: Option<&[f64]>) -> Result<f64> {
    Ok(roc_curve(truth, scores, weight)
        .map_err(|e| Error::new(e.kind(), "roc_auc", e.message()))?
        .area())
}

/// [`PrecisionRecallCurve::average_precision`] of scores. 0 without positives.
///
/// # Errors
/// As [`roc_curve`].
pub fn average_precision(
    truth: &[i32],
    scores: &[impl Real],
    weight: Option<&[f64]>,
) -> Result<f64> {
    if truth.iter().all(|&label| label == 0) && !truth.is_empty() {
        steps("average_precision", truth, scores, weight)?;
        return Ok(0.0);
    }
    Ok(precision_recall_curve(truth, scores, weight)
        .map_err(|e| Error::new(e.kind(), "average_precision", e.message()))?
        .average_precision())
}

/// The area of each class against all others, from scores `[samples, classes]`, row by row. NaN for a class that is empty or
/// has all samples.
///
/// ```
/// let scores = [0.9, 0.1, 0.0, 0.2, 0.7, 0.1, 0.5, 0.3, 0.2];
/// let areas = wgrad_metrics::roc_auc_one_vs_rest(&[0, 1, 2], &scores, 3, None)?;
/// assert_eq!(areas, [1.0, 1.0, 1.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// As [`roc_curve`]; labels that are not below `classes`.
pub fn roc_auc_one_vs_rest(
    truth: &[i32],
    scores: &[impl Real],
    classes: usize,
    weight: Option<&[f64]>,
) -> Result<Vec<f64>> {
    let op = "roc_auc_one_vs_rest";
    let area = |truth: &[i32], scores: &[f64]| roc_auc(truth, scores, weight);
    one_vs_rest(op, truth, scores, classes, area)
}

/// Runs `score` for each class against all others.
pub(crate) fn one_vs_rest(
    op: &str,
    truth: &[i32],
    scores: &[impl Real],
    classes: usize,
    score: impl Fn(&[i32], &[f64]) -> Result<f64>,
) -> Result<Vec<f64>> {
    check::labels(op, "label", truth, classes)?;
    if truth.len().checked_mul(classes) != Some(scores.len()) {
        let message = format!(
            "{} scores for {} samples of {classes} classes",
            scores.len(),
            truth.len()
        );
        return Err(Error::new(ErrorKind::Shape, op, message));
    }
    let one = |class: usize| {
        let own: Vec<i32> = truth
            .iter()
            .map(|&label| i32::from(label as usize == class))
            .collect();
        let column: Vec<f64> = scores
            .iter()
            .skip(class)
            .step_by(classes)
            .map(|&s| s.into())
            .collect();
        score(&own, &column)
    };
    (0..classes).map(one).collect()
}

/// The area below any curve of points with rising or falling `x`, by trapezoids; falling `x` gives the same area as rising.
///
/// ```
/// assert_eq!(wgrad_metrics::auc(&[0.0, 0.5, 1.0], &[0.0, 1.0, 1.0]), 0.75);
/// ```
pub fn auc(x: &[f64], y: &[f64]) -> f64 {
    let pieces = x.windows(2).zip(y.windows(2));
    let area: f64 = pieces
        .map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0)
        .sum();
    match (x.first(), x.last()) {
        (Some(first), Some(last)) if first > last => -area,
        _ => area,
    }
}
