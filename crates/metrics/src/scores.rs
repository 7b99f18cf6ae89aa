//! What follows from a matrix of counts (or weights) by true and predicted class: precision and its like, averaged over
//! classes, and the scores of the whole matrix. In f64 on the host; must not touch a device.
//!
//! Names, averages and what a division by zero gives are scikit-learn's, for `labels=range(classes)`.

use crate::check;
use wgrad_graph::{Error, ErrorKind, Result};

/// A rate of one class, from its true and false positives and negatives.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rate {
    /// TP / (TP + FP).
    Precision,
    /// TP / (TP + FN), the sensitivity.
    Recall,
    /// TN / (TN + FP).
    Specificity,
    /// (1 + β²) TP / ((1 + β²) TP + β² FN + FP): recall counts β times as much as precision. Infinite: recall.
    F(f64),
    /// TP / (TP + FP + FN), the intersection over union or Jaccard index.
    Iou,
    /// 2 TP / (2 TP + FP + FN): the same as `F(1.0)`.
    Dice,
}

/// How the rates of the classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Average {
    /// The parts of the fraction are summed over the classes first.
    Micro,
    /// The plain mean over the classes.
    Macro,
    /// The mean over the classes, weighted by their true samples.
    Weighted,
    /// The rate of this class alone.
    Class(usize),
}

/// What `0 / 0` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ZeroDivision {
    /// 0, as scikit-learn gives together with a warning.
    #[default]
    Zero,
    /// 1.
    One,
    /// NaN, and averages leave the class out.
    Nan,
}

impl ZeroDivision {
    fn divide(self, part: f64, whole: f64) -> f64 {
        match self {
            _ if whole > 0.0 => part / whole,
            ZeroDivision::Zero => 0.0,
            ZeroDivision::One => 1.0,
            ZeroDivision::Nan => f64::NAN,
        }
    }
}

/// How wrong a wrong class is, for [`ClassScores::cohen_kappa`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KappaWeights {
    /// All alike.
    #[default]
    None,
    /// By the distance of the classes.
    Linear,
    /// By its square.
    Quadratic,
}

/// Counts or weights by true class (row) and predicted class (column), and the scores that follow from them.
///
/// ```
/// use wgrad_metrics::{Average, ClassScores, Rate};
/// let scores = ClassScores::new(&[0, 1, 2, 2], &[0, 2, 2, 2], 3, None)?;
/// assert_eq!(scores.accuracy()?, 0.75);
/// assert_eq!(scores.per_class(Rate::Recall)?, [1.0, 0.0, 1.0]);
/// assert_eq!(scores.average(Rate::Precision, Average::Micro)?, 0.75);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    classes: usize,
    counts: Vec<f64>,
    zero_division: ZeroDivision,
}

impl ClassScores {
    /// From true and predicted labels below `classes`, with a weight for each sample if given.
    ///
    /// # Errors
    /// No samples, different lengths, a label out of range, a negative or infinite weight, weights that are all 0.
    pub fn new(
        truth: &[i32],
        predicted: &[i32],
        classes: usize,
        weight: Option<&[f64]>,
    ) -> Result<Self> {
        let op = "class scores";
        check::lengths(op, truth.len(), "predictions", predicted.len())?;
        let weight = check::weights(op, weight, truth.len())?;
        let truth = check::labels(op, "true label", truth, classes)?;
        let predicted = check::labels(op, "predicted label", predicted, classes)?;
        let size = classes
            .checked_mul(classes)
            .ok_or_else(|| check::value_error(op, format!("{classes} classes are too many")))?;
        let mut counts = vec![0.0; size];
        for i in 0..truth.len() {
            counts[truth[i] * classes + predicted[i]] += weight[i];
        }
        Ok(Self::of_counts(classes, counts))
    }

    /// From `classes * classes` counts or weights, row by row.
    ///
    /// # Errors
    /// Another number of counts; one that is negative or not finite.
    pub fn from_counts(classes: usize, counts: Vec<f64>) -> Result<Self> {
        let op = "class scores";
        if classes.checked_mul(classes) != Some(counts.len()) {
            let message = format!("{} counts for {classes} classes", counts.len());
            return Err(Error::new(ErrorKind::Shape, op, message));
        }
        if let Some(at) = counts.iter().position(|c| !(c.is_finite() && *c >= 0.0)) {
            let message = format!("count {at} is {}", counts[at]);
            return Err(check::value_error(op, message));
        }
        Ok(Self::of_counts(classes, counts))
    }

    pub(crate) fn of_counts(classes: usize, counts: Vec<f64>) -> Self {
        Self {
            classes,
            counts,
            zero_division: ZeroDivision::default(),
        }
    }

    /// What `0 / 0` is from now on; 0 at first.
    pub fn zero_division(mut self, zero_division: ZeroDivision) -> Self {
        self.zero_division = zero_division;
        self
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Weight of the samples of class `truth` predicted as `predicted`; 0 for classes that do not exist.
    pub fn count(&self, truth: usize, predicted: usize) -> f64 {
        if truth.max(predicted) < self.classes {
            self.counts[truth * self.classes + predicted]
        } else {
            0.0
        }
    }

    /// Weight of all samples.
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    fn correct(&self) -> f64 {
        (0..self.classes).map(|c| self.count(c, c)).sum()
    }

    /// Weight of the samples of a class.
    pub fn support(&self, class: usize) -> f64 {
        (0..self.classes).map(|p| self.count(class, p)).sum()
    }

    fn predicted(&self, class: usize) -> f64 {
        (0..self.classes).map(|t| self.count(t, class)).sum()
    }

    fn some(&self, op: &str) -> Result<f64> {
        let total = self.total();
        if total > 0.0 {
            Ok(total)
        } else {
            Err(check::value_error(op, "there are no samples"))
        }
    }

    /// Numerator and denominator of a class's rate.
    fn parts(&self, rate: Rate, class: usize) -> (f64, f64) {
        let tp = self.count(class, class);
        let (fn_, fp) = (self.support(class) - tp, self.predicted(class) - tp);
        match rate {
            Rate::Precision => (tp, tp + fp),
            Rate::Recall => (tp, tp + fn_),
            Rate::F(beta) if beta.is_infinite() => (tp, tp + fn_),
            Rate::Specificity => {
                let negative = self.total() - tp - fn_;
                (negative - fp, negative)
            }
            Rate::F(beta) => {
                let squared = beta * beta;
                let part = (1.0 + squared) * tp;
                (part, part + squared * fn_ + fp)
            }
            Rate::Iou => (tp, tp + fp + fn_),
            Rate::Dice => (2.0 * tp, 2.0 * tp + fp + fn_),
        }
    }

    fn checked(&self, rate: Rate) -> Result<()> {
        self.some(rate.name())?;
        match rate {
            Rate::F(beta) if beta.is_nan() || beta < 0.0 => Err(check::value_error(
                "f_beta",
                format!("beta is {beta}: it must be 0 or more"),
            )),
            _ => Ok(()),
        }
    }

    /// The rate of every class.
    ///
    /// # Errors
    /// No samples; a β that is negative or NaN.
    pub fn per_class(&self, rate: Rate) -> Result<Vec<f64>> {
        self.checked(rate)?;
        let one = |class| {
            let (part, whole) = self.parts(rate, class);
            self.zero_division.divide(part, whole)
        };
        Ok((0..self.classes).map(one).collect())
    }

    /// The rate of all classes as one number. With [`ZeroDivision::Nan`], NaN if no class has one.
    ///
    /// # Errors
    /// As [`per_class`](Self::per_class), or a class that does not exist.
    pub fn average(&self, rate: Rate, average: Average) -> Result<f64> {
        let per_class = self.per_class(rate)?;
        let mean = |weight: &dyn Fn(usize) -> f64| {
            let defined = (0..self.classes).filter(|&c| !per_class[c].is_nan());
            let (mut sum, mut whole) = (0.0, 0.0);
            for class in defined {
                sum += weight(class) * per_class[class];
                whole += weight(class);
            }
            sum / whole
        };
        match average {
            Average::Micro => {
                let mut all = (0.0, 0.0);
                for class in 0..self.classes {
                    let (part, whole) = self.parts(rate, class);
                    all = (all.0 + part, all.1 + whole);
                }
                Ok(self.zero_division.divide(all.0, all.1))
            }
            Average::Macro => Ok(mean(&|_| 1.0)),
            Average::Weighted => Ok(mean(&|class| self.support(class))),
            Average::Class(class) => per_class.get(class).copied().ok_or_else(|| {
                let message = format!("class {class} is outside of {} classes", self.classes);
                Error::new(ErrorKind::Index, rate.name(), message)
            }),
        }
    }

    /// The fraction on the diagonal.
    ///
    /// # Errors
    /// No samples.
    pub fn accuracy(&self) -> Result<f64> {
        Ok(self.correct() / self.some("accuracy")?)
    }

    /// The mean recall of the classes that have samples.
    ///
    /// # Errors
    /// No samples.
    pub fn balanced_accuracy(&self) -> Result<f64> {
        self.some("balanced_accuracy")?;
        let with_samples = (0..self.classes).filter(|&c| self.support(c) > 0.0);
        let recalls: Vec<f64> = with_samples
            .map(|c| self.count(c, c) / self.support(c))
            .collect();
        Ok(recalls.iter().sum::<f64>() / recalls.len() as f64)
    }

    /// Cohen's kappa: agreement beyond chance. NaN where all samples are, and are said to be, of one class.
    ///
    /// # Errors
    /// No samples.
    pub fn cohen_kappa(&self, weights: KappaWeights) -> Result<f64> {
        let total = self.some("cohen_kappa")?;
        let (mut observed, mut expected) = (0.0, 0.0);
        let rows: Vec<f64> = (0..self.classes).map(|c| self.support(c)).collect();
        let columns: Vec<f64> = (0..self.classes).map(|c| self.predicted(c)).collect();
        for truth in 0..self.classes {
            for predicted in 0..self.classes {
                let distance = truth.abs_diff(predicted) as f64;
                let weight = match weights {
                    KappaWeights::None => f64::from(u8::from(truth != predicted)),
                    KappaWeights::Linear => distance,
                    KappaWeights::Quadratic => distance * distance,
                };
                observed += weight * self.count(truth, predicted);
                expected += weight * rows[truth] * columns[predicted] / total;
            }
        }
        Ok(1.0 - observed / expected)
    }

    /// Matthews' correlation coefficient, for any number of classes. 0 where one class has all true or all predicted
    /// samples.
    ///
    /// # Errors
    /// No samples.
    pub fn matthews(&self) -> Result<f64> {
        let total = self.some("matthews")?;
        let (mut both, mut truth, mut predicted) = (0.0, 0.0, 0.0);
        for class in 0..self.classes {
            // Fractions, so that nothing overflows and equal marginals cancel.
            let (t, p) = (self.support(class) / total, self.predicted(class) / total);
            both += t * p;
            truth += t * t;
            predicted += p * p;
        }
        let spread = (1.0 - truth) * (1.0 - predicted);
        let one_class = |of: &dyn Fn(usize) -> f64| (0..self.classes).any(|c| of(c) == total);
        if one_class(&|c| self.support(c)) || one_class(&|c| self.predicted(c)) {
            return Ok(0.0);
        }
        Ok((self.correct() / total - both) / spread.sqrt())
    }
}

impl Rate {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rate::Precision => "precision",
            Rate::Recall => "recall",
            Rate::Specificity => "specificity",
            Rate::F(1.0) => "f1",
            Rate::F(_) => "f_beta",
            Rate::Iou => "iou",
            Rate::Dice => "dice",
        }
    }
}

/// A number that a confusion matrix gives, for [`Confusion`](crate::Confusion).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Score {
    /// The fraction on the diagonal.
    Accuracy,
    /// The mean recall.
    BalancedAccuracy,
    /// Cohen's kappa.
    CohenKappa(KappaWeights),
    /// Matthews' correlation coefficient.
    Matthews,
    /// A rate of the classes, averaged.
    Rate(Rate, Average),
}

impl Score {
    /// Its name among results: `accuracy`, `precision_macro`, `f1_weighted`, `iou_class_3`, ….
    pub fn name(self) -> String {
        match self {
            Score::Accuracy => "accuracy".into(),
            Score::BalancedAccuracy => "balanced_accuracy".into(),
            Score::CohenKappa(KappaWeights::None) => "cohen_kappa".into(),
            Score::CohenKappa(KappaWeights::Linear) => "cohen_kappa_linear".into(),
            Score::CohenKappa(KappaWeights::Quadratic) => "cohen_kappa_quadratic".into(),
            Score::Matthews => "matthews".into(),
            Score::Rate(rate, average) => {
                let rate = match rate {
                    Rate::F(beta) => format!("f{beta}"),
                    other => other.name().into(),
                };
                match average {
                    Average::Micro => format!("{rate}_micro"),
                    Average::Macro => format!("{rate}_macro"),
                    Average::Weighted => format!("{rate}_weighted"),
                    Average::Class(class) => format!("{rate}_class_{class}"),
                }
            }
        }
    }

    /// The number.
    ///
    /// # Errors
    /// No samples, a class that does not exist, a bad β.
    pub fn of(self, scores: &ClassScores) -> Result<f64> {
        match self {
            Score::Accuracy => scores.accuracy(),
            Score::BalancedAccuracy => scores.balanced_accuracy(),
            Score::CohenKappa(weights) => scores.cohen_kappa(weights),
            Score::Matthews => scores.matthews(),
            Score::Rate(rate, average) => scores.average(rate, average),
        }
    }
}
