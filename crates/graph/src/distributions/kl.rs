//! Kullback–Leibler divergences in closed form. A pair without one does not compile.

use super::{
    Bernoulli, Beta, Binomial, Categorical, Dirichlet, Distribution, Entropy, Exponential, Gamma,
    Geometric, Independent, Laplace, LogNormal, Normal, Poisson, Uniform,
};
use crate::tensor::Tensor;

/// Distributions whose divergence from `Q` has a closed form.
pub trait KlDivergence<Q> {
    /// `∫ p log(p / q)`, of the batch shape.
    fn kl(&self, q: &Q) -> Tensor;
}

/// The Kullback–Leibler divergence of `p` from `q`, in nats: `∫ p log(p / q)`, of the common batch shape.
///
/// ```
/// # use wgrad_graph::{Device, Tensor, distributions::{Exponential, kl_divergence}};
/// let rate = |r: f32| Exponential::new(&Tensor::new(&[r], &Device::cpu()));
/// let kl = kl_divergence(&rate(2.0), &rate(1.0)).item::<f32>()?;
/// assert!((kl - (2f32.ln() - 0.5)).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn kl_divergence<P: KlDivergence<Q>, Q>(p: &P, q: &Q) -> Tensor {
    p.kl(q)
}

impl KlDivergence<Normal> for Normal {
    #[track_caller]
    fn kl(&self, q: &Normal) -> Tensor {
        let ratio = (&self.scale / &q.scale).square();
        let shift = ((&self.loc - &q.loc) / &q.scale).square();
        (&ratio + shift - 1.0 - ratio.log()) * 0.5
    }
}

impl KlDivergence<LogNormal> for LogNormal {
    #[track_caller]
    fn kl(&self, q: &LogNormal) -> Tensor {
        self.base.kl(&q.base)
    }
}

impl KlDivergence<Normal> for Uniform {
    /// Of the uniform's constant density from the normal one.
    #[track_caller]
    fn kl(&self, q: &Normal) -> Tensor {
        let spread = self.variance() + (self.mean() - &q.loc).square();
        // Entropy of a normal is ½ more than −log of its density at the mean.
        spread / q.scale.square() * 0.5 + q.entropy() - 0.5 - self.entropy()
    }
}

impl KlDivergence<Normal> for Laplace {
    #[track_caller]
    fn kl(&self, q: &Normal) -> Tensor {
        let spread = self.variance() + (&self.loc - &q.loc).square();
        spread / q.scale.square() * 0.5 + q.entropy() - 0.5 - self.entropy()
    }
}

impl KlDivergence<Uniform> for Uniform {
    /// Infinite where `q` does not cover this.
    #[track_caller]
    fn kl(&self, q: &Uniform) -> Tensor {
        let beyond = q.low.gt(&self.low).logical_or(&q.high.lt(&self.high));
        (q.width() / self.width())
            .log()
            .masked_fill(&beyond, f64::INFINITY)
    }
}

impl KlDivergence<Exponential> for Exponential {
    #[track_caller]
    fn kl(&self, q: &Exponential) -> Tensor {
        let ratio = &q.rate / &self.rate;
        &ratio - 1.0 - ratio.log()
    }
}

impl KlDivergence<Laplace> for Laplace {
    #[track_caller]
    fn kl(&self, q: &Laplace) -> Tensor {
        let distance = (&self.loc - &q.loc).abs();
        let decay = &self.scale * (-(&distance / &self.scale)).exp();
        (distance + decay) / &q.scale - 1.0 - (&self.scale / &q.scale).log()
    }
}

impl KlDivergence<Gamma> for Gamma {
    #[track_caller]
    fn kl(&self, q: &Gamma) -> Tensor {
        let (a, b) = (&self.concentration, &q.concentration);
        let rates = b * (&self.rate / &q.rate).log();
        let normalisers = b.lgamma() - a.lgamma();
        rates + normalisers + (a - b) * a.digamma() + (&q.rate - &self.rate) * (a / &self.rate)
    }
}

impl KlDivergence<Gamma> for Exponential {
    /// As of a gamma distribution of concentration 1.
    #[track_caller]
    fn kl(&self, q: &Gamma) -> Tensor {
        Gamma::new(&self.rate.ones_like(), &self.rate).kl(q)
    }
}

impl KlDivergence<Exponential> for Gamma {
    #[track_caller]
    fn kl(&self, q: &Exponential) -> Tensor {
        self.kl(&Gamma::new(&q.rate.ones_like(), &q.rate))
    }
}

impl KlDivergence<Beta> for Beta {
    #[track_caller]
    fn kl(&self, q: &Beta) -> Tensor {
        let term = |p: &Tensor, q: &Tensor| (p - q) * p.digamma();
        let both = term(&self.concentration1, &q.concentration1)
            + term(&self.concentration0, &q.concentration0);
        q.log_beta() - self.log_beta() + both - term(&self.total(), &q.total())
    }
}

impl KlDivergence<Dirichlet> for Dirichlet {
    #[track_caller]
    fn kl(&self, q: &Dirichlet) -> Tensor {
        let (a, b) = (&self.concentration, &q.concentration);
        let slopes = a.digamma() - self.total(true).digamma();
        q.log_beta() - self.log_beta() + ((a - b) * slopes).sum_dims(&[-1], false)
    }
}

impl KlDivergence<Poisson> for Poisson {
    #[track_caller]
    fn kl(&self, q: &Poisson) -> Tensor {
        let (a, b) = (&self.rate, &q.rate);
        a * (a / b).log() - (a - b)
    }
}

impl KlDivergence<Bernoulli> for Bernoulli {
    /// A value of probability 0 here adds nothing; one of probability 0 in `q` alone gives what its clamped logit
    /// says.
    #[track_caller]
    fn kl(&self, q: &Bernoulli) -> Tensor {
        let one = self.logits.logsigmoid() - q.logits.logsigmoid();
        let zero = (-&self.logits).logsigmoid() - (-&q.logits).logsigmoid();
        &self.probs * one + (1.0 - &self.probs) * zero
    }
}

impl KlDivergence<Binomial> for Binomial {
    /// Of equal numbers of trials; invalid otherwise.
    #[track_caller]
    fn kl(&self, q: &Binomial) -> Tensor {
        if self.total_count != q.total_count {
            let m = format!("{} and {} trials", self.total_count, q.total_count);
            return self.trial.probs.fail("kl_divergence", m);
        }
        self.trial.kl(&q.trial) * self.total_count as f64
    }
}

impl KlDivergence<Geometric> for Geometric {
    #[track_caller]
    fn kl(&self, q: &Geometric) -> Tensor {
        self.trial.kl(&q.trial) / self.probs()
    }
}

impl KlDivergence<Categorical> for Categorical {
    /// Infinite where a category is possible here and not in `q`.
    #[track_caller]
    fn kl(&self, q: &Categorical) -> Tensor {
        let p = self.probs();
        let never = p.eq_scalar(0.0);
        let terms = (&p * (&self.logits - &q.logits)).masked_fill(&never, 0.0);
        terms.sum_dims(&[-1], false)
    }
}

impl<P: KlDivergence<Q> + Distribution, Q: Distribution> KlDivergence<Independent<Q>>
    for Independent<P>
{
    /// Of equal numbers of dimensions; invalid otherwise.
    #[track_caller]
    fn kl(&self, q: &Independent<Q>) -> Tensor {
        let parts = self.base.kl(&q.base);
        if self.dims != q.dims {
            let m = format!("{} and {} dimensions of an event", self.dims, q.dims);
            return parts.fail("kl_divergence", m);
        }
        self.total(&parts)
    }
}
