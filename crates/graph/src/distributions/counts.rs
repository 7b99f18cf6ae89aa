//! Distributions over counts 0, 1, 2 …, as f32.

use super::{Bernoulli, Distribution, Entropy, extended};
use crate::dtype::DType;
use crate::rng::Generator;
use crate::tensor::Tensor;

/// Poisson: `rateᵏ exp(−rate) / k!`.
#[derive(Clone)]
pub struct Poisson {
    /// The mean, above 0.
    pub rate: Tensor,
}

impl Poisson {
    /// With a rate.
    #[track_caller]
    pub fn new(rate: &Tensor) -> Poisson {
        Poisson {
            rate: rate.cast(DType::F32),
        }
    }
}

impl Distribution for Poisson {
    fn batch_shape(&self) -> Vec<usize> {
        self.rate.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        rng.poisson(&self.rate, &extended(shape, self.rate.shape()))
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = value.cast(DType::F32);
        value.xlogy(&self.rate) - &self.rate - (&value + 1.0).lgamma()
    }

    fn mean(&self) -> Tensor {
        self.rate.clone()
    }

    fn variance(&self) -> Tensor {
        self.rate.clone()
    }
}

/// Geometric: failures before the first success, `p (1 − p)ᵏ`.
#[derive(Clone)]
pub struct Geometric {
    /// A single trial.
    pub(super) trial: Bernoulli,
}

impl Geometric {
    /// With the probability of success, in 0 … 1.
    #[track_caller]
    pub fn new(probs: &Tensor) -> Geometric {
        Geometric {
            trial: Bernoulli::new(probs),
        }
    }

    /// The probability of success.
    pub fn probs(&self) -> &Tensor {
        &self.trial.probs
    }
}

impl Distribution for Geometric {
    fn batch_shape(&self) -> Vec<usize> {
        self.trial.batch_shape()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let p = self.probs();
        let e = rng.exponential(&extended(shape, p.shape()), p.device());
        (e / -(-p).log1p()).floor().stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        value.cast(DType::F32) * (-&self.trial.logits).logsigmoid() + self.trial.logits.logsigmoid()
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        self.probs().recip() - 1.0
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.mean() / self.probs()
    }
}

impl Entropy for Geometric {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        self.trial.entropy() / self.probs()
    }
}

/// Binomial: successes in `total_count` trials.
#[derive(Clone)]
pub struct Binomial {
    /// Number of trials.
    pub total_count: usize,
    /// A single trial.
    pub(super) trial: Bernoulli,
}

impl Binomial {
    /// With the probability of success of each trial, in 0 … 1.
    #[track_caller]
    pub fn new(total_count: usize, probs: &Tensor) -> Binomial {
        Binomial {
            total_count,
            trial: Bernoulli::new(probs),
        }
    }

    fn n(&self) -> f64 {
        self.total_count as f64
    }
}

impl Distribution for Binomial {
    fn batch_shape(&self) -> Vec<usize> {
        self.trial.batch_shape()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let p = &self.trial.probs;
        let full = extended(shape, p.shape());
        rng.binomial(self.total_count, p, &full)
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let k = value.cast(DType::F32);
        let rest = self.n() - &k;
        let all = k.full_like(self.n() + 1.0).lgamma();
        let choices = all - (&k + 1.0).lgamma() - (&rest + 1.0).lgamma();
        let logits = &self.trial.logits;
        choices + k * logits.logsigmoid() + rest * (-logits).logsigmoid()
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        &self.trial.probs * self.n()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.trial.variance() * self.n()
    }
}
