//! Distributions whose support ends at a bound.

use super::{Distribution, Entropy, Reparameterized, extended, together, within};
use crate::dtype::DType;
use crate::rng::Generator;
use crate::tensor::Tensor;

/// Uniform in `low..high`.
#[derive(Clone)]
pub struct Uniform {
    /// The least value.
    pub low: Tensor,
    /// The bound that is not reached.
    pub high: Tensor,
}

impl Uniform {
    /// With bounds that broadcast.
    #[track_caller]
    pub fn new(low: &Tensor, high: &Tensor) -> Uniform {
        let [low, high] = together("uniform", [low, high]);
        Uniform { low, high }
    }

    #[track_caller]
    pub(super) fn width(&self) -> Tensor {
        &self.high - &self.low
    }
}

impl Distribution for Uniform {
    fn batch_shape(&self) -> Vec<usize> {
        self.low.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.rsample(shape, rng).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let inside = value.ge(&self.low).logical_and(&value.lt(&self.high));
        within(&inside, &(-self.width().log()))
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        (&self.low + &self.high) * 0.5
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.width().square() / 12.0
    }
}

impl Entropy for Uniform {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        self.width().log()
    }
}

impl Reparameterized for Uniform {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let u = rng.uniform(&extended(shape, self.low.shape()), self.low.device());
        u * self.width() + &self.low
    }
}

/// Exponential with `rate`: mean `1 / rate`.
#[derive(Clone)]
pub struct Exponential {
    /// Events per unit, above 0.
    pub rate: Tensor,
}

impl Exponential {
    /// With a rate.
    #[track_caller]
    pub fn new(rate: &Tensor) -> Exponential {
        Exponential {
            rate: rate.cast(DType::F32),
        }
    }
}

impl Distribution for Exponential {
    fn batch_shape(&self) -> Vec<usize> {
        self.rate.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.rsample(shape, rng).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let inside = value.ge_scalar(0.0);
        within(&inside, &(self.rate.log() - &self.rate * value))
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        self.rate.recip()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.rate.square().recip()
    }
}

impl Entropy for Exponential {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        1.0 - self.rate.log()
    }
}

impl Reparameterized for Exponential {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        rng.exponential(&extended(shape, self.rate.shape()), self.rate.device()) / &self.rate
    }
}
