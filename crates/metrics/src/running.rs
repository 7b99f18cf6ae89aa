//! Running values on the host: a mean, a fraction. Takes plain numbers that were read back already; must not touch a device.
//! A ratio with denominator zero is `None`, never NaN.

/// A weighted mean of values that arrive one by one, in f64. A NaN value makes it NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningMean {
    mean: f64,
    weight: f64,
}

impl RunningMean {
    /// Adds `value` with weight 1.
    pub fn add(&mut self, value: f64) {
        self.add_weighted(value, 1.0);
    }

    /// Adds `value`, itself a mean over `weight` samples. A weight that is not positive is ignored.
    pub fn add_weighted(&mut self, value: f64, weight: f64) {
        if weight > 0.0 {
            self.weight += weight;
            // The update form loses no digits as the sum grows.
            self.mean += (value - self.mean) * (weight / self.weight);
        }
    }

    /// The mean; `None` before the first value.
    pub fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then_some(self.mean)
    }

    /// The sum of weights.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Back to empty.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How many of how many were right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    correct: u64,
    total: u64,
}

impl Accuracy {
    /// Counts one sample.
    pub fn record(&mut self, correct: bool) {
        self.add(u64::from(correct), 1);
    }

    /// Counts a batch.
    pub fn add(&mut self, correct: u64, total: u64) {
        self.correct += correct;
        self.total += total;
    }

    /// The fraction that was right, 0 to 1; `None` before the first sample.
    pub fn value(&self) -> Option<f64> {
        ratio(self.correct, self.total)
    }

    /// Samples that were right.
    pub fn correct(&self) -> u64 {
        self.correct
    }

    /// Samples counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Back to empty.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_mean_is_weighted() {
        let mut mean = RunningMean::default();
        assert_eq!(mean.value(), None);
        mean.add_weighted(1.0, 3.0);
        mean.add(5.0);
        mean.add_weighted(100.0, 0.0);
        assert_eq!(mean.value(), Some(2.0));
        assert_eq!(mean.weight(), 4.0);
        mean.add(f64::NAN);
        assert!(mean.value().unwrap().is_nan());
        mean.reset();
        assert_eq!(mean.value(), None);
    }

    #[test]
    fn accuracy_counts() {
        let mut accuracy = Accuracy::default();
        assert_eq!(accuracy.value(), None);
        accuracy.record(true);
        accuracy.add(1, 3);
        assert_eq!(
            (accuracy.value(), accuracy.correct(), accuracy.total()),
            (Some(0.5), 2, 4)
        );
    }
}
