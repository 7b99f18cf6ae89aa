//! Probability distributions over tensors of parameters, named as in `torch.distributions`: draws, log-probabilities,
//! moments, entropies, and [`kl_divergence`] for pairs that have it in closed form. Parameters broadcast to the
//! *batch shape*; a draw of `shape` has the sizes `[shape…, batch…, event…]`. Everything is recorded, so it is lazy,
//! differentiable in the parameters, and draws depend on the [`Generator`] alone.
//!
//! Parameters of any dtype are computed in f32, which results have. They are not checked: a negative scale gives NaN.
//! Values outside the support have log-probability −∞ where a support's bound is a parameter or 0 by definition of the
//! density (uniform, exponential, truncated normal); elsewhere the formula says what it says.
//!
//! ```
//! use wgrad_graph::distributions::{Distribution, Normal, Reparameterized, kl_divergence};
//! use wgrad_graph::{DType, Device, Generator, Tensor, grad};
//! let d = Device::cpu();
//! let (mean, scale) = (Tensor::new(&[0.0f32, 2.0], &d), Tensor::new(&[1.0f32, 0.5], &d));
//! let q = Normal::new(&mean, &scale);
//! let z = q.rsample(&[1000], &mut Generator::new(0));
//! assert_eq!(z.shape(), [1000, 2]);
//! let prior = Normal::new(&mean.zeros_like(), &mean.ones_like());
//! let loss = kl_divergence(&q, &prior).sum() - prior.log_prob(&z).mean();
//! let gradients = grad(&loss, &[&mean, &scale])?; // the gradient flows through the draws
//! assert!(gradients[0].to_vec::<f32>()?[1] > 2.0);
//! # Ok::<(), wgrad_graph::Error>(())
//! ```

mod categories;
mod counts;
mod gamma;
mod independent;
mod interval;
mod kl;
mod location;
mod normal;

pub use categories::{Bernoulli, Categorical, Multinomial};
pub use counts::{Binomial, Geometric, Poisson};
pub use gamma::{Beta, Dirichlet, Gamma};
pub use independent::{Independent, diagonal_normal};
pub use interval::{Exponential, Uniform};
pub use kl::{KlDivergence, kl_divergence};
pub use location::{Cauchy, Gumbel, Laplace, StudentT};
pub use normal::{LogNormal, Normal, TruncatedNormal};

use crate::dtype::DType;
use crate::rng::Generator;
use crate::shape::broadcast;
use crate::tensor::Tensor;

/// A family of distributions with its parameters.
pub trait Distribution {
    /// The common shape of the parameters.
    fn batch_shape(&self) -> Vec<usize>;

    /// The shape of one draw of one member; `[]` for numbers.
    fn event_shape(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Draws of sizes `[shape…, batch…, event…]`, through which no gradient flows.
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor;

    /// The logarithm of the density, or of the probability of discrete values, at values whose sizes broadcast with
    /// `[batch…, event…]`; `[…, batch…]`.
    fn log_prob(&self, value: &Tensor) -> Tensor;

    /// Expectations, `[batch…, event…]`; NaN where there is none.
    fn mean(&self) -> Tensor;

    /// Variances, `[batch…, event…]`; of vectors, those of the components.
    fn variance(&self) -> Tensor;

    /// Roots of the variances.
    fn stddev(&self) -> Tensor {
        self.variance().sqrt()
    }
}

/// Distributions whose entropy has a closed form.
pub trait Entropy: Distribution {
    /// Differential entropies, or entropies of discrete values, in nats: `[batch…]`.
    fn entropy(&self) -> Tensor;
}

/// Distributions whose draws are differentiable functions of the parameters.
pub trait Reparameterized: Distribution {
    /// Draws as of [`Distribution::sample`], through which gradients flow to the parameters.
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor;
}

/// Parameters as f32, the dtype of draws, in their common shape, or all of them invalid.
#[track_caller]
fn together<const N: usize>(op: &str, parameters: [&Tensor; N]) -> [Tensor; N] {
    let first = parameters[0];
    let mut shape = first.shape().to_vec();
    for p in parameters {
        match broadcast(&shape, p.shape()) {
            Ok(s) => shape = s,
            Err(m) => return parameters.map(|_| first.fail_with(p, op, m.clone())),
        }
    }
    parameters.map(|p| p.cast(DType::F32).broadcast_to(&shape))
}

/// `[shape…, batch…]`.
fn extended(shape: &[usize], batch: &[usize]) -> Vec<usize> {
    [shape, batch].concat()
}

/// `value` where `inside` holds, −∞ elsewhere.
#[track_caller]
fn within(inside: &Tensor, value: &Tensor) -> Tensor {
    value.masked_fill(&inside.logical_not(), f64::NEG_INFINITY)
}
