//! The confusion matrix on the host, as counts that print as a table.
//!
//! Takes plain numbers that were read back already; must not touch a device.
//! A ratio with denominator zero is `None`, never NaN.

use std::fmt;

use crate::running::{RunningMean, ratio};
use crate::scores::ClassScores;
use crate::table::{Align, write_table};

/// A class index outside of a [`ConfusionMatrix`], or a count of labels that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// A class that the matrix does not have.
    #[error("{which} class {class} is out of range: the confusion matrix has {classes} classes")]
    Class {
        /// `true` or `predicted`.
        which: &'static str,
        /// The class given.
        class: usize,
        /// The number of classes.
        classes: usize,
    },
    /// Two things that must have one size have two.
    #[error("{what}: expected {expected}, got {found}")]
    Size {
        /// What was counted.
        what: &'static str,
        /// The right number.
        expected: usize,
        /// The number given.
        found: usize,
    },
}

/// Counts of samples by true class (row) and predicted class (column).
///
/// `Display` gives an aligned table with totals, and recall per row, precision per column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    labels: Vec<String>,
    /// `[classes, classes]`, row-major.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// No samples; the classes are called `0`, `1`, ….
    pub fn new(classes: usize) -> Self {
        Self::with_labels((0..classes).map(|class| class.to_string()).collect())
    }

    /// No samples; one class for each label.
    pub fn with_labels(labels: Vec<String>) -> Self {
        let counts = vec![0; labels.len() * labels.len()];
        Self { labels, counts }
    }

    /// Counts one sample.
    ///
    /// # Errors
    /// A class that is not below [`classes`](Self::classes); nothing is counted.
    pub fn record(&mut self, truth: usize, predicted: usize) -> Result<(), MetricsError> {
        let classes = self.classes();
        for (which, class) in [("true", truth), ("predicted", predicted)] {
            if class >= classes {
                return Err(MetricsError::Class {
                    which,
                    class,
                    classes,
                });
            }
        }
        self.counts[truth * classes + predicted] += 1;
        Ok(())
    }

    /// Counts so many samples of classes that exist.
    pub(crate) fn add(&mut self, truth: usize, predicted: usize, samples: u64) {
        let classes = self.classes();
        self.counts[truth * classes + predicted] += samples;
    }

    /// Counts a batch: `truth[i]` was predicted as `predicted[i]`.
    ///
    /// # Errors
    /// Different lengths or a class out of range (a negative one is shown as a huge one); nothing is counted.
    pub fn record_all(&mut self, truth: &[i32], predicted: &[i32]) -> Result<(), MetricsError> {
        if truth.len() != predicted.len() {
            let (expected, found) = (truth.len(), predicted.len());
            return Err(MetricsError::Size {
                what: "predictions for the true classes",
                expected,
                found,
            });
        }
        let mut next = self.clone();
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            next.record(class_index(truth), class_index(predicted))?;
        }
        *self = next;
        Ok(())
    }

    /// Adds another matrix's counts.
    ///
    /// # Errors
    /// Another number of classes.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricsError> {
        if self.classes() != other.classes() {
            let (expected, found) = (self.classes(), other.classes());
            return Err(MetricsError::Size {
                what: "classes of the other matrix",
                expected,
                found,
            });
        }
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(count, more)| *count += more);
        Ok(())
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.labels.len()
    }

    /// The classes' names.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Samples of class `truth` predicted as `predicted`; 0 for classes that do not exist.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        let classes = self.classes();
        if truth < classes && predicted < classes {
            self.counts[truth * classes + predicted]
        } else {
            0
        }
    }

    /// All samples.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Samples whose true class is `class`.
    pub fn row_total(&self, class: usize) -> u64 {
        (0..self.classes())
            .map(|predicted| self.count(class, predicted))
            .sum()
    }

    /// Samples predicted as `class`.
    pub fn column_total(&self, class: usize) -> u64 {
        (0..self.classes())
            .map(|truth| self.count(truth, class))
            .sum()
    }

    /// Samples on the diagonal.
    pub fn correct(&self) -> u64 {
        (0..self.classes())
            .map(|class| self.count(class, class))
            .sum()
    }

    /// The fraction on the diagonal; `None` without samples.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.correct(), self.total())
    }

    /// Of the samples predicted as `class`, the fraction that is; `None` if there is none.
    pub fn precision(&self, class: usize) -> Option<f64> {
        ratio(self.count(class, class), self.column_total(class))
    }

    /// Of the samples of `class`, the fraction predicted as such; `None` if there is none.
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.count(class, class), self.row_total(class))
    }

    /// `2 TP / (2 TP + FP + FN)`, the harmonic mean of precision and recall; `None` if the class
    /// neither occurs nor is predicted.
    pub fn f1(&self, class: usize) -> Option<f64> {
        ratio(
            2 * self.count(class, class),
            self.row_total(class) + self.column_total(class),
        )
    }

    /// The mean of [`f1`](Self::f1) over the classes that have one.
    pub fn macro_f1(&self) -> Option<f64> {
        let mut mean = RunningMean::default();
        (0..self.classes())
            .filter_map(|class| self.f1(class))
            .for_each(|f1| mean.add(f1));
        mean.value()
    }

    /// Everything that follows from the counts: precision, recall, F, kappa and more, averaged as asked for.
    ///
    /// ```
    /// use wgrad_metrics::{Average, ConfusionMatrix, Rate};
    /// let mut matrix = ConfusionMatrix::new(2);
    /// matrix.record_all(&[0, 0, 1, 1], &[0, 1, 1, 1])?;
    /// let scores = matrix.scores();
    /// assert_eq!(scores.average(Rate::Recall, Average::Macro)?, 0.75);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scores(&self) -> ClassScores {
        ClassScores::of_counts(
            self.classes(),
            self.counts.iter().map(|&c| c as f64).collect(),
        )
    }

    /// A table of precision, recall, F1 and sample count per class.
    pub fn per_class(&self) -> PerClass<'_> {
        PerClass(self)
    }

    fn row(&self, class: usize) -> Vec<String> {
        let counts = (0..self.classes()).map(|predicted| self.count(class, predicted).to_string());
        let mut row: Vec<_> = std::iter::once(self.labels[class].clone())
            .chain(counts)
            .collect();
        row.push(self.row_total(class).to_string());
        row.push(percent(self.recall(class)));
        row
    }

    fn footer(
        &self,
        name: &str,
        cell: impl Fn(usize) -> String,
        total: String,
        last: String,
    ) -> Vec<String> {
        let mut row: Vec<_> = std::iter::once(name.to_owned())
            .chain((0..self.classes()).map(cell))
            .collect();
        row.extend([total, last]);
        row
    }
}

fn class_index(class: i32) -> usize {
    usize::try_from(class).unwrap_or(usize::MAX)
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.2}%", 100.0 * value))
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = self.footer(
            "true \\ predicted",
            |class| self.labels[class].clone(),
            String::new(),
            String::new(),
        );
        let last = head.len() - 2;
        head[last..].clone_from_slice(&["total".to_owned(), "recall".to_owned()]);
        let totals = |class| self.column_total(class).to_string();
        let precisions = |class| percent(self.precision(class));

        let mut rows = vec![Some(head), None];
        rows.extend((0..self.classes()).map(|class| Some(self.row(class))));
        rows.push(None);
        rows.push(Some(self.footer(
            "total",
            totals,
            self.total().to_string(),
            percent(self.accuracy()),
        )));
        rows.push(Some(self.footer(
            "precision",
            precisions,
            String::new(),
            String::new(),
        )));
        let mut align = vec![Align::Right; self.classes() + 3];
        align[0] = Align::Left;
        write_table(f, &align, &rows)
    }
}

/// The table that [`ConfusionMatrix::per_class`] gives.
#[derive(Clone, Copy, Debug)]
pub struct PerClass<'a>(&'a ConfusionMatrix);

impl fmt::Display for PerClass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matrix = self.0;
        let head = ["class", "precision", "recall", "F1", "samples"]
            .map(str::to_owned)
            .to_vec();
        let mut rows = vec![Some(head), None];
        rows.extend((0..matrix.classes()).map(|class| {
            let ratios = [
                matrix.precision(class),
                matrix.recall(class),
                matrix.f1(class),
            ]
            .map(percent);
            let mut row = vec![matrix.labels[class].clone()];
            row.extend(ratios);
            row.push(matrix.row_total(class).to_string());
            Some(row)
        }));
        let mut align = [Align::Right; 5];
        align[0] = Align::Left;
        write_table(f, &align, &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ConfusionMatrix {
        let mut matrix = ConfusionMatrix::new(3);
        matrix
            .record_all(&[0, 0, 0, 1, 1, 1, 1], &[0, 0, 1, 1, 1, 1, 0])
            .unwrap();
        matrix
    }

    #[test]
    fn ratios_by_hand() {
        let matrix = sample();
        assert_eq!(matrix.total(), 7);
        assert_eq!(matrix.accuracy(), Some(5.0 / 7.0));
        assert_eq!(matrix.precision(0), Some(2.0 / 3.0));
        assert_eq!(matrix.precision(1), Some(3.0 / 4.0));
        assert_eq!(matrix.recall(1), Some(3.0 / 4.0));
        assert_eq!(matrix.f1(0), Some(2.0 / 3.0));
        assert_eq!(matrix.macro_f1(), Some((2.0 / 3.0 + 0.75) / 2.0));
        assert_eq!(
            (matrix.precision(2), matrix.recall(2), matrix.f1(2)),
            (None, None, None)
        );
        assert_eq!(ConfusionMatrix::new(0).accuracy(), None);
    }

    #[test]
    fn classes_out_of_range_change_nothing() {
        let mut matrix = sample();
        let error = matrix.record(1, 3).unwrap_err();
        assert_eq!(
            error,
            MetricsError::Class {
                which: "predicted",
                class: 3,
                classes: 3
            }
        );
        assert!(matrix.record_all(&[0, -1], &[0, 0]).is_err());
        assert!(matrix.record_all(&[0], &[0, 0]).is_err());
        assert!(matrix.merge(&ConfusionMatrix::new(2)).is_err());
        assert_eq!(matrix, sample());
    }

    #[test]
    fn merging_adds() {
        let mut matrix = sample();
        matrix.merge(&sample()).unwrap();
        assert_eq!(matrix.count(0, 0), 4);
        assert_eq!(matrix.total(), 14);
    }

    #[test]
    fn the_table_is_aligned() {
        let expected = "\
true \\ predicted       0       1  2  total  recall
--------------------------------------------------
0                      2       1  0      3  66.67%
1                      1       3  0      4  75.00%
2                      0       0  0      0       -
--------------------------------------------------
total                  3       4  0      7  71.43%
precision         66.67%  75.00%  -";
        assert_eq!(sample().to_string(), expected);
    }

    #[test]
    fn the_table_per_class() {
        let mut matrix = ConfusionMatrix::with_labels(vec!["кот".to_owned(), "dog".to_owned()]);
        matrix.record(0, 0).unwrap();
        let expected = "\
class  precision   recall       F1  samples
-------------------------------------------
кот      100.00%  100.00%  100.00%        1
dog            -        -        -        0";
        assert_eq!(matrix.per_class().to_string(), expected);
    }
}
