//! How far predicted numbers are from true ones. In f64 on the host; must not touch a device.

use crate::check::{self, Real};
use wgrad_graph::Result;

/// Sums over samples from which all scores of a regression follow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) weight: f64,
    /// Of the errors, true minus predicted.
    pub(crate) error: f64,
    pub(crate) squared: f64,
    pub(crate) absolute: f64,
    /// Of |error| / |true|.
    pub(crate) relative: f64,
    /// Of the true values, less anything that is the same for all.
    pub(crate) truth: f64,
    pub(crate) truth_squared: f64,
    pub(crate) samples: f64,
}

impl Sums {
    fn spread(&self) -> f64 {
        (self.truth_squared - self.truth * self.truth / self.weight).max(0.0)
    }

    fn explained(&self, residual: f64) -> f64 {
        if self.samples < 2.0 {
            return f64::NAN;
        }
        match self.spread() {
            0.0 if residual == 0.0 => 1.0,
            0.0 => 0.0,
            spread => 1.0 - residual / spread,
        }
    }

    pub(crate) fn of(&self, score: RegressionScore) -> f64 {
        match score {
            RegressionScore::Mse => self.squared / self.weight,
            RegressionScore::Rmse => (self.squared / self.weight).sqrt(),
            RegressionScore::Mae => self.absolute / self.weight,
            RegressionScore::Mape => self.relative / self.weight,
            RegressionScore::R2 => self.explained(self.squared),
            RegressionScore::ExplainedVariance => {
                let residual = self.squared - self.error * self.error / self.weight;
                self.explained(residual.max(0.0))
            }
        }
    }
}

/// A score of a regression, for [`regression_scores`] and [`Regression`](crate::Regression).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegressionScore {
    /// The mean squared error.
    Mse,
    /// Its root.
    Rmse,
    /// The mean absolute error.
    Mae,
    /// The mean of |error| / |true|, as a fraction; a true 0 counts as 2.2e-16.
    Mape,
    /// 1 − residual / total sum of squares. Of constant true values 1 if all is right, else 0; NaN of one sample.
    R2,
    /// As R², without the error's mean.
    ExplainedVariance,
}

impl RegressionScore {
    /// All of them.
    pub const ALL: [RegressionScore; 6] = [
        RegressionScore::Mse,
        RegressionScore::Rmse,
        RegressionScore::Mae,
        RegressionScore::Mape,
        RegressionScore::R2,
        RegressionScore::ExplainedVariance,
    ];

    /// Its name among results.
    pub fn name(self) -> &'static str {
        match self {
            RegressionScore::Mse => "mse",
            RegressionScore::Rmse => "rmse",
            RegressionScore::Mae => "mae",
            RegressionScore::Mape => "mape",
            RegressionScore::R2 => "r2",
            RegressionScore::ExplainedVariance => "explained_variance",
        }
    }
}

/// Scores of predicted numbers.
///
/// ```
/// use wgrad_metrics::{RegressionScore, regression_scores};
/// let scores = [RegressionScore::Mae, RegressionScore::R2];
/// let found = regression_scores(&[1.0, 2.0, 3.0], &[1.0, 2.0, 2.0], None, &scores)?;
/// assert!((found[0] - 1.0 / 3.0).abs() < 1e-12 && (found[1] - 0.5).abs() < 1e-12);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// No samples, different lengths, numbers that are not finite, bad weights.
pub fn regression_scores(
    truth: &[impl Real],
    predicted: &[impl Real],
    weight: Option<&[f64]>,
    scores: &[RegressionScore],
) -> Result<Vec<f64>> {
    let op = "regression_scores";
    check::lengths(op, truth.len(), "predictions", predicted.len())?;
    let weight = check::weights(op, weight, truth.len())?;
    let truth = check::finite(op, "true value", truth)?;
    let predicted = check::finite(op, "prediction", predicted)?;
    // Sums of squares around a first value that counts lose no digits to the mean.
    let first = (0..truth.len()).find(|&i| weight[i] > 0.0).unwrap_or(0);
    let mut sums = Sums {
        samples: truth.len() as f64,
        ..Sums::default()
    };
    for i in 0..truth.len() {
        let (error, w) = (truth[i] - predicted[i], weight[i]);
        let distance = truth[i] - truth[first];
        sums.weight += w;
        sums.error += w * error;
        sums.squared += w * error * error;
        sums.absolute += w * error.abs();
        sums.relative += w * error.abs() / truth[i].abs().max(f64::EPSILON);
        sums.truth += w * distance;
        sums.truth_squared += w * distance * distance;
    }
    Ok(scores.iter().map(|&score| sums.of(score)).collect())
}
