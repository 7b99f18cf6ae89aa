//! Distributions over two or more categories, from probabilities or logits.

use super::{Distribution, Entropy, extended};
use crate::dtype::DType;
use crate::rng::Generator;
use crate::tensor::Tensor;

/// Probabilities are kept this far from 0 and 1 before their logit is taken, as PyTorch does.
const EPSILON: f64 = f32::EPSILON as f64;

/// A single trial: 1 with probability `probs`, else 0 (f32).
#[derive(Clone)]
pub struct Bernoulli {
    /// Probability of 1.
    pub probs: Tensor,
    /// `log(probs / (1 − probs))`.
    pub logits: Tensor,
}

impl Bernoulli {
    /// With probabilities in 0 … 1.
    #[track_caller]
    pub fn new(probs: &Tensor) -> Bernoulli {
        let probs = probs.cast(DType::F32);
        let logits = probs.clamp(EPSILON, 1.0 - EPSILON).logit();
        Bernoulli { probs, logits }
    }

    /// With `log(p / (1 − p))`.
    #[track_caller]
    pub fn from_logits(logits: &Tensor) -> Bernoulli {
        let logits = logits.cast(DType::F32);
        let probs = logits.sigmoid();
        Bernoulli { probs, logits }
    }
}

impl Distribution for Bernoulli {
    fn batch_shape(&self) -> Vec<usize> {
        self.probs.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.probs.shape());
        rng.bernoulli_of(&self.probs, &full).cast(DType::F32)
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = value.cast(DType::F32);
        &value * self.logits.logsigmoid() + (1.0 - &value) * (-&self.logits).logsigmoid()
    }

    fn mean(&self) -> Tensor {
        self.probs.clone()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        &self.probs * (1.0 - &self.probs)
    }
}

impl Entropy for Bernoulli {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        -self.log_prob(&self.probs)
    }
}

/// One of `n` categories: positions 0 … n − 1 (i32).
#[derive(Clone)]
pub struct Categorical {
    /// Normalised log-probabilities, `[batch…, n]`.
    pub logits: Tensor,
}

impl Categorical {
    /// With weights `[batch…, n]`, which need not sum to 1.
    #[track_caller]
    pub fn new(probs: &Tensor) -> Categorical {
        Categorical::from_logits(&probs.cast(DType::F32).log())
    }

    /// With log-weights `[batch…, n]`.
    #[track_caller]
    pub fn from_logits(logits: &Tensor) -> Categorical {
        let logits = match logits.rank() {
            0 => logits.fail("categorical", "needs a last dimension of categories"),
            _ => logits.cast(DType::F32).log_softmax(-1),
        };
        Categorical { logits }
    }

    /// Probabilities, `[batch…, n]`.
    #[track_caller]
    pub fn probs(&self) -> Tensor {
        self.logits.exp()
    }
}

impl Distribution for Categorical {
    fn batch_shape(&self) -> Vec<usize> {
        let shape = self.logits.shape();
        shape[..shape.len().saturating_sub(1)].to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        rng.categorical(&self.logits.stop_gradient(), shape)
    }

    /// `value` (i32) broadcasts with the batch shape.
    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let batch = self.batch_shape();
        let shape = match crate::shape::broadcast(value.shape(), &batch) {
            Ok(shape) => shape,
            Err(m) => return self.logits.fail_with(value, "categorical", m),
        };
        let n = self.logits.size(-1);
        let rows = self.logits.broadcast_to(&extended(&shape, &[n]));
        let index = value.broadcast_to(&shape).unsqueeze(-1);
        rows.gather(-1, &index).squeeze(-1)
    }

    /// Categories have no mean: NaN, as in PyTorch.
    #[track_caller]
    fn mean(&self) -> Tensor {
        Tensor::full(
            &self.batch_shape(),
            f64::NAN,
            self.logits.dtype(),
            self.logits.device(),
        )
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.mean()
    }
}

impl Entropy for Categorical {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        // A category of probability 0 adds nothing.
        let finite = self.logits.clamp_min(f64::from(f32::MIN));
        -(finite * self.probs()).sum_dims(&[-1], false)
    }
}

/// How often each of `n` categories comes up in `total_count` draws (f32), `[batch…, n]`.
#[derive(Clone)]
pub struct Multinomial {
    /// Number of draws.
    pub total_count: usize,
    /// A single draw.
    pub category: Categorical,
}

impl Multinomial {
    /// With weights `[batch…, n]`, which need not sum to 1.
    #[track_caller]
    pub fn new(total_count: usize, probs: &Tensor) -> Multinomial {
        Multinomial {
            total_count,
            category: Categorical::new(probs),
        }
    }

    /// With log-weights `[batch…, n]`.
    #[track_caller]
    pub fn from_logits(total_count: usize, logits: &Tensor) -> Multinomial {
        Multinomial {
            total_count,
            category: Categorical::from_logits(logits),
        }
    }

    fn n(&self) -> f64 {
        self.total_count as f64
    }
}

impl Distribution for Multinomial {
    fn batch_shape(&self) -> Vec<usize> {
        self.category.batch_shape()
    }

    fn event_shape(&self) -> Vec<usize> {
        let shape = self.category.logits.shape();
        shape.last().copied().into_iter().collect()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let draws = self
            .category
            .sample(&extended(&[self.total_count], shape), rng);
        let hits = draws.one_hot(self.category.logits.size(-1));
        hits.cast(DType::F32).sum_dims(&[0], false)
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = value.cast(DType::F32);
        // A category that cannot come up and did not adds nothing.
        let absent = value.eq_scalar(0.0);
        let logits = Tensor::where_(&absent, &value.zeros_like(), &self.category.logits);
        let terms = &value * logits - (&value + 1.0).lgamma();
        let all = value.sum_dims(&[-1], false) + 1.0;
        all.lgamma() + terms.sum_dims(&[-1], false)
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        self.category.probs() * self.n()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        let p = self.category.probs();
        &p * (1.0 - &p) * self.n()
    }
}
