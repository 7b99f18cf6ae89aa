//! Scores over folds, and statistics over samples with replacement. The parts themselves are [`wgrad_data::split`]'s.

use super::Random;
use crate::trainer::{Result, TrainError};
use wgrad_data::split::{self, Fold};

/// The scores of all folds.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossValidation {
    /// One for each fold.
    pub scores: Vec<f64>,
}

impl CrossValidation {
    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len().max(1) as f64
    }

    /// Their standard deviation, with `n − 1`.
    pub fn std(&self) -> f64 {
        std(&self.scores, self.mean())
    }

    /// The standard error of the mean.
    pub fn standard_error(&self) -> f64 {
        self.std() / (self.scores.len().max(1) as f64).sqrt()
    }
}

fn std(scores: &[f64], mean: f64) -> f64 {
    let squares: f64 = scores.iter().map(|s| (s - mean) * (s - mean)).sum();
    (squares / (scores.len().max(2) - 1) as f64).sqrt()
}

/// Trains and judges once for each fold: of [`split::k_fold`], [`split::stratified_k_fold`], [`split::leave_one_out`]. `run`
/// is given the fold and a seed of its own, which follows from `seed` and the fold's number.
///
/// ```
/// use wgrad_data::split;
/// use wgrad_train::select::cross_validate;
/// let folds = split::k_fold(10, 3, Some(1))?;
/// let all = cross_validate(folds, 1, |fold, _seed| {
///     assert_eq!(fold.train.len() + fold.test.len(), 10);
///     Ok(fold.test.len() as f64)
/// })?;
/// assert_eq!(all.scores.iter().sum::<f64>(), 10.0);
/// let each = cross_validate(split::leave_one_out(4)?, 1, |fold, _| Ok(f64::from(fold.test[0])))?;
/// assert_eq!((each.mean(), each.std()), (1.5, (5.0f64 / 3.0).sqrt()));
/// # Ok::<(), wgrad_train::TrainError>(())
/// ```
///
/// # Errors
/// There are no folds, or a run fails.
pub fn cross_validate(
    folds: impl IntoIterator<Item = Fold>,
    seed: u64,
    mut run: impl FnMut(&Fold, u64) -> Result<f64>,
) -> Result<CrossValidation> {
    let mut scores = Vec::new();
    for (number, fold) in folds.into_iter().enumerate() {
        scores.push(run(&fold, Random::new(seed, number as u64).next())?);
    }
    if scores.is_empty() {
        return Err(TrainError::Setup("there are no folds".to_string()));
    }
    Ok(CrossValidation { scores })
}

/// Trains members of an ensemble, each on samples with replacement (bagging, Breiman 1996); the samples that a member has not
/// seen are its fold's `test`. What they say together: [`mean_of`](super::mean_of), [`vote_of`](super::vote_of).
///
/// ```
/// use wgrad_train::select::bagging;
/// let members = bagging(50, 3, 1, |fold, seed| {
///     assert!(fold.train.len() == 50 && !fold.test.is_empty());
///     Ok(seed)
/// })?;
/// assert_eq!(members, bagging(50, 3, 1, |_, seed| Ok(seed))?);
/// # Ok::<(), wgrad_train::TrainError>(())
/// ```
///
/// # Errors
/// There are no samples, or training a member fails.
pub fn bagging<M>(
    n: usize,
    members: usize,
    seed: u64,
    mut train: impl FnMut(&Fold, u64) -> Result<M>,
) -> Result<Vec<M>> {
    let mut all = Vec::with_capacity(members);
    for number in 0..members {
        let own = Random::new(seed, number as u64).next();
        all.push(train(&split::bootstrap(n, own)?, own)?);
    }
    Ok(all)
}

/// A statistic over samples with replacement.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// Of the samples themselves.
    pub estimate: f64,
    /// Of each resample, rising.
    pub values: Vec<f64>,
}

impl Bootstrap {
    /// The standard error of the estimate.
    pub fn standard_error(&self) -> f64 {
        let mean = self.values.iter().sum::<f64>() / self.values.len().max(1) as f64;
        std(&self.values, mean)
    }

    /// The percentile interval of this confidence: 0.95 gives from the 2.5 % to the 97.5 % quantile.
    pub fn interval(&self, confidence: f64) -> (f64, f64) {
        let tail = (1.0 - confidence) / 2.0;
        (
            quantile(&self.values, tail),
            quantile(&self.values, 1.0 - tail),
        )
    }
}

/// Between neighbours along a line, as NumPy's default; NaN of nothing.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let (low, share) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * share
}

/// A statistic of `n` samples, and of `count` resamples of their indices (Efron 1979).
///
/// ```
/// use wgrad_train::select::bootstrap;
/// let values: Vec<f64> = (0..200).map(f64::from).collect();
/// let mean = |of: &[u32]| Ok(of.iter().map(|&i| values[i as usize]).sum::<f64>() / of.len() as f64);
/// let b = bootstrap(200, 1000, 1, mean)?;
/// assert_eq!(b.estimate, 99.5);
/// assert!((b.standard_error() - 57.88 / 200f64.sqrt()).abs() < 0.4);
/// let (low, high) = b.interval(0.95);
/// assert!(low < 93.0 && high > 106.0);
/// # Ok::<(), wgrad_train::TrainError>(())
/// ```
///
/// # Errors
/// There are no samples, or the statistic fails.
pub fn bootstrap(
    n: usize,
    count: usize,
    seed: u64,
    mut statistic: impl FnMut(&[u32]) -> Result<f64>,
) -> Result<Bootstrap> {
    let all: Vec<u32> = (0..n as u32).collect();
    if all.is_empty() {
        return Err(TrainError::Setup(
            "the bootstrap has no samples".to_string(),
        ));
    }
    let estimate = statistic(&all)?;
    let mut values = Vec::with_capacity(count);
    for number in 0..count {
        let own = Random::new(seed, number as u64).next();
        values.push(statistic(&split::bootstrap(n, own)?.train)?);
    }
    values.sort_by(f64::total_cmp);
    Ok(Bootstrap { estimate, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_repeats_all_and_nothing_is_an_error() {
        let seeds = |seed| {
            let folds = split::k_fold(7, 3, Some(0)).expect("folds");
            let mut seen = Vec::new();
            cross_validate(folds, seed, |_, own| {
                seen.push(own);
                Ok(0.0)
            })
            .expect("scores");
            seen
        };
        assert_eq!(seeds(1), seeds(1));
        assert_ne!(seeds(1), seeds(2));
        assert!(cross_validate(Vec::new(), 0, |_, _| Ok(0.0)).is_err());
        assert!(bootstrap(0, 10, 0, |_| Ok(0.0)).is_err());
        assert!(bagging(0, 1, 0, |_, _| Ok(())).is_err());
        let constant = bootstrap(5, 0, 0, |of| Ok(of.len() as f64)).expect("an estimate");
        assert!(constant.estimate == 5.0 && constant.interval(0.9).0.is_nan());
    }
}
