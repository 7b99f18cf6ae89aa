//! Parts of a dataset by index: folds, leave-one-out, samples with replacement; and what scores over them say.

use super::Random;
use crate::trainer::{Result, TrainError};

/// Samples to train on, and those to judge by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Its number, from 0.
    pub number: usize,
    /// Its own seed, which follows from the one that was given and its number.
    pub seed: u64,
    /// Indices to train on.
    pub training: Vec<usize>,
    /// Indices that are left out.
    pub test: Vec<usize>,
}

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

/// Trains and judges once for each of `k` folds of `n` samples, shuffled; each sample is left out once.
///
/// ```
/// use wgrad_train::select::k_fold;
/// let all = k_fold(10, 3, 1, |fold| {
///     assert_eq!(fold.training.len() + fold.test.len(), 10);
///     Ok(fold.test.len() as f64)
/// })?;
/// assert_eq!(all.scores, [4.0, 3.0, 3.0]);
/// # Ok::<(), wgrad_train::TrainError>(())
/// ```
///
/// # Errors
/// There are fewer than 2 folds or fewer samples than folds, or a run fails.
pub fn k_fold(
    n: usize,
    k: usize,
    seed: u64,
    mut run: impl FnMut(&Fold) -> Result<f64>,
) -> Result<CrossValidation> {
    if k < 2 || n < k {
        return Err(TrainError::Setup(format!(
            "{n} samples do not make {k} folds"
        )));
    }
    let mut random = Random::new(seed, k as u64);
    let order = random.shuffled(n);
    folds(&order, k, &mut random, &mut run)
}

/// As [`k_fold`] with as many folds as samples, each of which is left out alone, in order.
///
/// # Errors
/// As [`k_fold`].
pub fn leave_one_out(
    n: usize,
    seed: u64,
    mut run: impl FnMut(&Fold) -> Result<f64>,
) -> Result<CrossValidation> {
    if n < 2 {
        return Err(TrainError::Setup(format!(
            "of {n} samples none can be left out"
        )));
    }
    let order: Vec<usize> = (0..n).collect();
    folds(&order, n, &mut Random::new(seed, n as u64), &mut run)
}

fn folds(
    order: &[usize],
    k: usize,
    random: &mut Random,
    run: &mut dyn FnMut(&Fold) -> Result<f64>,
) -> Result<CrossValidation> {
    let n = order.len();
    let mut scores = Vec::with_capacity(k);
    let mut begin = 0;
    for number in 0..k {
        let end = begin + n / k + usize::from(number < n % k);
        let training = order[..begin].iter().chain(&order[end..]);
        let fold = Fold {
            number,
            seed: random.next(),
            training: training.copied().collect(),
            test: order[begin..end].to_vec(),
        };
        scores.push(run(&fold)?);
        begin = end;
    }
    Ok(CrossValidation { scores })
}

/// Samples of the size of the dataset, drawn with replacement; `test` has those that were not drawn. What bagging trains its
/// members on.
///
/// ```
/// use wgrad_train::select::resamples;
/// let all = resamples(100, 3, 1);
/// assert!(all.iter().all(|f| f.training.len() == 100 && (20..55).contains(&f.test.len())));
/// assert_eq!(all, resamples(100, 3, 1));
/// ```
pub fn resamples(n: usize, count: usize, seed: u64) -> Vec<Fold> {
    let of = |number: usize| {
        let mut random = Random::new(seed, number as u64);
        let own = random.next();
        let training: Vec<usize> = (0..n).map(|_| random.below(n)).collect();
        let mut drawn = vec![false; n];
        training.iter().for_each(|&i| drawn[i] = true);
        Fold {
            number,
            seed: own,
            training,
            test: (0..n).filter(|&i| !drawn[i]).collect(),
        }
    };
    (0..count).map(of).collect()
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
/// let mean = |of: &[usize]| Ok(of.iter().map(|&i| values[i]).sum::<f64>() / of.len() as f64);
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
    mut statistic: impl FnMut(&[usize]) -> Result<f64>,
) -> Result<Bootstrap> {
    if n == 0 {
        return Err(TrainError::Setup(
            "the bootstrap has no samples".to_string(),
        ));
    }
    let all: Vec<usize> = (0..n).collect();
    let estimate = statistic(&all)?;
    let samples = resamples(n, count, seed);
    let values = samples.iter().map(|f| statistic(&f.training));
    let mut values = values.collect::<Result<Vec<f64>>>()?;
    values.sort_by(f64::total_cmp);
    Ok(Bootstrap { estimate, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_sample_is_left_out_once() {
        for (n, k) in [(2, 2), (7, 3), (10, 10), (101, 5)] {
            let mut left_out = Vec::new();
            let mut sizes = Vec::new();
            k_fold(n, k, 3, |fold| {
                let both: BTreeSet<usize> =
                    fold.training.iter().chain(&fold.test).copied().collect();
                assert_eq!(both.len(), n);
                sizes.push(fold.test.len());
                left_out.extend(fold.test.iter().copied());
                Ok(0.0)
            })
            .expect("folds");
            left_out.sort_unstable();
            assert!(left_out.into_iter().eq(0..n));
            assert!(sizes.iter().max().expect("folds") - sizes.iter().min().expect("folds") <= 1);
        }
        let mut order = Vec::new();
        let all = leave_one_out(5, 0, |f| {
            order.extend(f.test.iter().copied());
            Ok(f.number as f64)
        });
        assert_eq!(order, [0, 1, 2, 3, 4]);
        let all = all.expect("folds");
        assert_eq!((all.mean(), all.std()), (2.0, 2.5f64.sqrt()));
        for (n, k) in [(3, 4), (5, 1), (0, 2)] {
            assert!(k_fold(n, k, 0, |_| Ok(0.0)).is_err());
        }
        assert!(leave_one_out(1, 0, |_| Ok(0.0)).is_err());
        assert!(bootstrap(0, 10, 0, |_| Ok(0.0)).is_err());
    }
}
