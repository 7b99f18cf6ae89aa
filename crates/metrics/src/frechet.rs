//! The Fréchet distance of two Gaussians, with means and covariances summed on the device or given. Matrix roots are taken on
//! the host in f64.

use crate::check::value_error;
use crate::classify::{common, no_samples};
use crate::inputs::misfit;
use crate::metric::{Metric, alike, other_options};
use crate::state::{Addition, Counts, Fault, State, counted, replace};
use faer::{Mat, Side};
use std::any::Any;
use wgrad_graph::{DType, Device, Error, ErrorKind, Result, Tensor};
use wgrad_nn::Module;

/// The squared Fréchet distance of the Gaussians with these means `[n]` and covariances `[n, n]` (row by row):
/// `|m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½)`.
///
/// ```
/// // Two normal distributions on a line: squared distances of means and of standard deviations.
/// let d = wgrad_metrics::frechet_distance(&[0.0], &[4.0], &[3.0], &[1.0])?;
/// assert!((d - (9.0 + 1.0)).abs() < 1e-12);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Sizes that do not fit, numbers that are not finite, no eigenvalues found.
pub fn frechet_distance(mean1: &[f64], cov1: &[f64], mean2: &[f64], cov2: &[f64]) -> Result<f64> {
    let op = "frechet_distance";
    let n = mean1.len();
    let sizes = [mean2.len(), cov1.len(), cov2.len()];
    if n == 0 || sizes != [n, n * n, n * n] {
        let message = format!(
            "means of {n} and {}, covariances of {} and {} numbers",
            sizes[0], sizes[1], sizes[2]
        );
        return Err(Error::new(ErrorKind::Shape, op, message));
    }
    let all = [mean1, cov1, mean2, cov2];
    if all.iter().any(|part| part.iter().any(|v| !v.is_finite())) {
        return Err(value_error(op, "a number is not finite"));
    }
    let symmetric = |c: &[f64]| Mat::from_fn(n, n, |i, j| 0.5 * (c[i * n + j] + c[j * n + i]));
    let (first, second) = (symmetric(cov1), symmetric(cov2));
    let failed = |_| value_error(op, "the eigenvalues did not converge");
    let spectrum = first.self_adjoint_eigen(Side::Lower).map_err(failed)?;
    let (vectors, values) = (spectrum.U(), spectrum.S().column_vector());
    // C₁^½ C₂ C₁^½ is symmetric and has the eigenvalues of C₁ C₂. What rounding leaves below 0 is 0.
    let scaled = Mat::from_fn(n, n, |i, j| {
        vectors[(i, j)] * values[j].max(0.0).sqrt().sqrt()
    });
    let root = &scaled * scaled.transpose();
    let inner = &root * &second * &root;
    let inner = Mat::from_fn(n, n, |i, j| 0.5 * (inner[(i, j)] + inner[(j, i)]));
    let roots = inner
        .self_adjoint_eigenvalues(Side::Lower)
        .map_err(failed)?;
    let cross: f64 = roots.iter().map(|v| v.max(0.0).sqrt()).sum();
    let traces: f64 = (0..n).map(|i| cov1[i * n + i] + cov2[i * n + i]).sum();
    let means = mean1.iter().zip(mean2).map(|(a, b)| (a - b).powi(2));
    Ok((means.sum::<f64>() + traces - 2.0 * cross).max(0.0))
}

/// The squared Fréchet distance of features: result `frechet_distance`. With the features of an Inception network it is the
/// Fréchet inception distance. Predictions are features `[samples, features]` of one set, targets of the other; the numbers of
/// samples may differ, and one may be empty in an update. Covariances divide by one less than the samples.
///
/// Holds `16 · features²` words: 268 MB for 2048 features. There are no weights.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{FrechetDistance, Metric};
/// let device = Device::cpu();
/// let mut distance = FrechetDistance::new(1, &device);
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], &[3, 1], &device);
/// distance.update(&x, &(&x * 3.0), None)?;
/// assert!((distance.value()?[0].1 - (16.0 + 4.0)).abs() < 1e-4);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct FrechetDistance {
    #[module(buffer)]
    state: State,
    #[module(constant)]
    features: usize,
}

/// Columns of one set: samples, sums, sums of products.
fn columns(features: usize) -> usize {
    1 + features + features * features
}

impl FrechetDistance {
    /// Of so many features, summed on `device`.
    pub fn new(features: usize, device: &Device) -> Self {
        FrechetDistance {
            state: State::new(0, 2 * columns(features), true, device),
            features,
        }
    }

    fn options(&self) -> usize {
        self.features
    }

    /// Mean and covariance from the sums of one set.
    fn moments(&self, sums: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let (n, f) = (sums[0], self.features);
        if n == 0.0 {
            return Err(no_samples(self.name()));
        }
        if n < 2.0 {
            return Err(value_error(self.name(), "one sample has no covariance"));
        }
        let mean: Vec<f64> = sums[1..=f].iter().map(|s| s / n).collect();
        let products = &sums[1 + f..];
        let covariance = |at: usize| {
            let (i, j) = (at / f, at % f);
            (products[at] - n * mean[i] * mean[j]) / (n - 1.0)
        };
        let covariance = (0..f * f).map(covariance).collect();
        Ok((mean, covariance))
    }
}

impl Metric for FrechetDistance {
    fn name(&self) -> &str {
        "frechet_distance"
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let op = "frechet_distance";
        let device = self.state.device().clone();
        let mut found = Vec::new();
        let mut sums = Vec::new();
        if let Some(weight) = weight {
            let message = "sets of features have no weights".into();
            return Err(misfit(op, ErrorKind::Value, message, &[weight]));
        }
        for features in [prediction, target] {
            if features.check()?.rank() != 2 || features.size(1) != self.features {
                let message = format!("takes features [samples, {}]", self.features);
                return Err(misfit(op, ErrorKind::Shape, message, &[prediction, target]));
            }
            let x = features.cast(DType::F32);
            let sound = x.isfinite().all_dims(&[1], true);
            found.push(sound.logical_not().squeeze(1));
            let zero = Tensor::scalar(0.0, DType::F32, &device);
            let x = Tensor::where_(&sound, &x, &zero);
            let count = sound.cast(DType::F32).sum().unsqueeze(0);
            let products = x.t().matmul(&x).reshape(&[-1]);
            sums.extend([count, x.sum_dims(&[0], false), products]);
        }
        let bad = found
            .iter()
            .flat_map(|f: &Tensor| counted(std::slice::from_ref(f)))
            .reduce(|a, b| a + b)
            .unwrap_or_else(|| Tensor::scalar(0.0, DType::I32, &device));
        let next = self.state.plus(&Addition {
            counts: Counts::None,
            sums: Some(Tensor::cat(&sums.iter().collect::<Vec<_>>(), 0)),
            faults: vec![(Fault::Nan, bad)],
        });
        replace(&mut self.state, next)
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        let totals = self.state.totals(self.name(), state)?;
        let (first, second) = totals.sums.split_at(columns(self.features));
        let (mean1, cov1) = self.moments(first)?;
        let (mean2, cov2) = self.moments(second)?;
        let distance = frechet_distance(&mean1, &cov1, &mean2, &cov2)?;
        Ok(vec![(self.name().into(), distance)])
    }

    common!();
}
