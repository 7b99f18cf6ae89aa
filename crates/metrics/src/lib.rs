//! How good a model is: metrics that sum on the device batch by batch, and the same as functions of slices.
//!
//! What implements [`Metric`] holds a few tensors, is fed predictions and targets, may be part of a compiled step's state, and
//! reads nothing until it is asked for its value. Short batches, sample weights and masks are weights of samples. Functions of
//! slices compute in f64 on the host. Values, averages and what a division by zero gives are scikit-learn's.
//!
//! | of | on the device | of slices |
//! |---|---|---|
//! | classes | [`Accuracy`], [`TopKAccuracy`], [`Confusion`] | [`ClassScores`], [`ConfusionMatrix`] |
//! | scores | [`RankScores`] | [`roc_curve`], [`roc_auc`], [`precision_recall_curve`], [`average_precision`] |
//! | probabilities | [`LogLoss`], [`CalibrationError`] | [`log_loss`], [`brier_score`], [`calibration_curve`] |
//! | numbers | [`Regression`], [`Mean`] | [`regression_scores`] |
//! | images | [`ImageScore`], [`ssim`], [`psnr`]; [`Confusion`] of label maps | |
//! | texts | [`LogLoss::perplexity`] | [`ErrorRate`], [`edit_distance`], [`Bleu`] |
//! | distributions | [`mmd_rbf`], `FrechetDistance` (feature `linalg`) | `frechet_distance` |
//! | clusters | | [`adjusted_rand_index`], [`silhouette`] |
//!
//! It must not know training loops, files or pictures.

mod check;
mod classify;
mod cluster;
mod curve;
mod distance;
#[cfg(feature = "linalg")]
mod frechet;
mod image;
mod inputs;
mod kept;
mod losses;
mod matrix;
mod metric;
mod probability;
mod regression;
pub mod running;
mod scores;
mod state;
#[doc(hidden)]
pub mod table;
mod text;

pub use check::Real;
pub use classify::{Accuracy, Confusion, Mean, TopKAccuracy};
pub use cluster::{adjusted_rand_index, silhouette};
pub use curve::{PrecisionRecallCurve, RocCurve, auc, average_precision, precision_recall_curve};
pub use curve::{roc_auc, roc_auc_one_vs_rest, roc_curve};
pub use distance::mmd_rbf;
#[cfg(feature = "linalg")]
pub use frechet::{FrechetDistance, frechet_distance};
pub use image::{ImageScore, SsimOptions, SsimWindow, psnr, ssim};
pub use kept::{Kept, RankScores};
pub use losses::{CalibrationError, LogLoss, Predicts, Regression};
pub use matrix::{ConfusionMatrix, MetricsError, PerClass};
pub use metric::{Metric, value_async};
pub use probability::{Binning, Calibration, brier_score, calibration_curve, log_loss};
pub use regression::{RegressionScore, regression_scores};
pub use running::RunningMean;
pub use scores::{Average, ClassScores, KappaWeights, Rate, Score, ZeroDivision};
pub use text::{Bleu, BleuSmoothing, ErrorRate, edit_distance};
