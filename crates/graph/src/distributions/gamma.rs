//! Families of the gamma function. Draws are made by rejection, so no gradient flows through them.

use super::{Distribution, Entropy, extended, together};
use crate::dtype::DType;
use crate::rng::Generator;
use crate::tensor::Tensor;

/// Gamma: density `rateᵅ xᵅ⁻¹ exp(−rate x) / Γ(α)`.
#[derive(Clone)]
pub struct Gamma {
    /// The shape α, above 0.
    pub concentration: Tensor,
    /// The rate, above 0.
    pub rate: Tensor,
}

impl Gamma {
    /// With parameters that broadcast.
    #[track_caller]
    pub fn new(concentration: &Tensor, rate: &Tensor) -> Gamma {
        let [concentration, rate] = together("gamma", [concentration, rate]);
        Gamma {
            concentration,
            rate,
        }
    }
}

impl Distribution for Gamma {
    fn batch_shape(&self) -> Vec<usize> {
        self.rate.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.rate.shape());
        (rng.gamma(&self.concentration, &full) / &self.rate).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let a = &self.concentration;
        a.xlogy(&self.rate) + (a - 1.0).xlogy(value) - &self.rate * value - a.lgamma()
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        &self.concentration / &self.rate
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        &self.concentration / self.rate.square()
    }
}

impl Entropy for Gamma {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        let a = &self.concentration;
        a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()
    }
}

/// Beta: density `xᵅ⁻¹ (1 − x)ᵝ⁻¹ / B(α, β)` on 0 … 1.
#[derive(Clone)]
pub struct Beta {
    /// α, above 0.
    pub concentration1: Tensor,
    /// β, above 0.
    pub concentration0: Tensor,
}

impl Beta {
    /// With parameters that broadcast.
    #[track_caller]
    pub fn new(concentration1: &Tensor, concentration0: &Tensor) -> Beta {
        let [concentration1, concentration0] = together("beta", [concentration1, concentration0]);
        Beta {
            concentration1,
            concentration0,
        }
    }

    #[track_caller]
    pub(super) fn total(&self) -> Tensor {
        &self.concentration1 + &self.concentration0
    }

    /// `log B(α, β)`.
    #[track_caller]
    pub(super) fn log_beta(&self) -> Tensor {
        self.concentration1.lgamma() + self.concentration0.lgamma() - self.total().lgamma()
    }
}

impl Distribution for Beta {
    fn batch_shape(&self) -> Vec<usize> {
        self.concentration1.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.concentration1.shape());
        let a = rng.gamma(&self.concentration1, &full);
        let b = rng.gamma(&self.concentration0, &full);
        (&a / (&a + b)).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = value.cast(DType::F32);
        let one = (&self.concentration1 - 1.0).xlogy(&value);
        let zero = &self.concentration0 - 1.0;
        // As xlogy, with log(1 − x).
        let flat = zero.eq_scalar(0.0).logical_and(&value.ge_scalar(1.0));
        let safe = Tensor::where_(&flat, &value.zeros_like(), &value);
        one + zero * (-safe).log1p() - self.log_beta()
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        &self.concentration1 / self.total()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        let n = self.total();
        &self.concentration1 * &self.concentration0 / (n.square() * (n + 1.0))
    }
}

impl Entropy for Beta {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        let term = |a: &Tensor| (a - 1.0) * a.digamma();
        let n = self.total();
        let both = term(&self.concentration1) + term(&self.concentration0);
        self.log_beta() - both + (&n - 2.0) * n.digamma()
    }
}

/// Dirichlet: probabilities of `n` categories with density `Π xᵢ^(αᵢ − 1) / B(α)`.
#[derive(Clone)]
pub struct Dirichlet {
    /// `[batch…, n]`, above 0.
    pub concentration: Tensor,
}

impl Dirichlet {
    /// With the concentrations of the categories in the last dimension.
    #[track_caller]
    pub fn new(concentration: &Tensor) -> Dirichlet {
        let concentration = match concentration.rank() {
            0 => concentration.fail("dirichlet", "needs a last dimension of categories"),
            _ => concentration.cast(DType::F32),
        };
        Dirichlet { concentration }
    }

    #[track_caller]
    pub(super) fn total(&self, keepdim: bool) -> Tensor {
        self.concentration.sum_dims(&[-1], keepdim)
    }

    /// `log B(α)`.
    #[track_caller]
    pub(super) fn log_beta(&self) -> Tensor {
        self.concentration.lgamma().sum_dims(&[-1], false) - self.total(false).lgamma()
    }
}

impl Distribution for Dirichlet {
    fn batch_shape(&self) -> Vec<usize> {
        let shape = self.concentration.shape();
        shape[..shape.len().saturating_sub(1)].to_vec()
    }

    fn event_shape(&self) -> Vec<usize> {
        self.concentration
            .shape()
            .last()
            .copied()
            .into_iter()
            .collect()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.concentration.shape());
        let x = rng.gamma(&self.concentration, &full);
        (&x / x.sum_dims(&[-1], true)).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let terms = (&self.concentration - 1.0).xlogy(value);
        terms.sum_dims(&[-1], false) - self.log_beta()
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        &self.concentration / self.total(true)
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        let n = self.total(true);
        &self.concentration * (&n - &self.concentration) / (n.square() * (&n + 1.0))
    }
}

impl Entropy for Dirichlet {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        let a = &self.concentration;
        let n = self.total(false);
        let terms = ((a - 1.0) * a.digamma()).sum_dims(&[-1], false);
        self.log_beta() + (&n - a.size(-1) as f64) * n.digamma() - terms
    }
}
