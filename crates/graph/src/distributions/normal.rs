//! The normal distribution and what is made of it.

use super::{Distribution, Entropy, Reparameterized, extended, together, within};
use crate::draws::normal_cdf;
use crate::dtype::DType;
use crate::rng::Generator;
use crate::tensor::Tensor;
use std::f64::consts::SQRT_2;

/// `½ log 2π`.
const HALF_LOG_TAU: f64 = 0.918_938_533_204_672_7;

/// Normal with mean `loc` and standard deviation `scale`.
#[derive(Clone)]
pub struct Normal {
    /// The mean.
    pub loc: Tensor,
    /// The standard deviation, above 0.
    pub scale: Tensor,
}

impl Normal {
    /// With parameters that broadcast.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor, distributions::{Distribution, Normal}};
    /// let one = Tensor::new(&[1.0f32], &Device::cpu());
    /// let p = Normal::new(&one, &one).log_prob(&one);
    /// assert!((p.item::<f32>()? + 0.918_938_5).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(loc: &Tensor, scale: &Tensor) -> Normal {
        let [loc, scale] = together("normal", [loc, scale]);
        Normal { loc, scale }
    }

    /// The distribution function: the probability of values up to `value`.
    #[track_caller]
    pub fn cdf(&self, value: &Tensor) -> Tensor {
        normal_cdf(&self.standard(value))
    }

    /// The value up to which the probability is `p`.
    #[track_caller]
    pub fn icdf(&self, p: &Tensor) -> Tensor {
        (p.cast(DType::F32) * 2.0 - 1.0).erfinv() * SQRT_2 * &self.scale + &self.loc
    }

    #[track_caller]
    fn standard(&self, value: &Tensor) -> Tensor {
        (value - &self.loc) / &self.scale
    }
}

impl Distribution for Normal {
    fn batch_shape(&self) -> Vec<usize> {
        self.loc.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.rsample(shape, rng).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        self.standard(value).square() * -0.5 - self.scale.log() - HALF_LOG_TAU
    }

    fn mean(&self) -> Tensor {
        self.loc.clone()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.scale.square()
    }
}

impl Entropy for Normal {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        self.scale.log() + (0.5 + HALF_LOG_TAU)
    }
}

impl Reparameterized for Normal {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let z = rng.normal(&extended(shape, self.loc.shape()), self.loc.device());
        z * &self.scale + &self.loc
    }
}

/// The exponential of a normal variate.
#[derive(Clone)]
pub struct LogNormal {
    /// The distribution of the logarithm.
    pub base: Normal,
}

impl LogNormal {
    /// With mean and standard deviation of the logarithm, which broadcast.
    #[track_caller]
    pub fn new(loc: &Tensor, scale: &Tensor) -> LogNormal {
        LogNormal {
            base: Normal::new(loc, scale),
        }
    }
}

impl Distribution for LogNormal {
    fn batch_shape(&self) -> Vec<usize> {
        self.base.batch_shape()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.base.sample(shape, rng).exp()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let log = value.cast(DType::F32).log();
        self.base.log_prob(&log) - log
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        (&self.base.loc + self.base.scale.square() * 0.5).exp()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        let square = self.base.scale.square();
        square.expm1() * (&self.base.loc * 2.0 + &square).exp()
    }
}

impl Entropy for LogNormal {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        self.base.entropy() + &self.base.loc
    }
}

impl Reparameterized for LogNormal {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.base.rsample(shape, rng).exp()
    }
}

/// Normal on condition that it lies between `low` and `high`, which may be infinite.
#[derive(Clone)]
pub struct TruncatedNormal {
    /// Mean before the truncation.
    pub loc: Tensor,
    /// Standard deviation before the truncation, above 0.
    pub scale: Tensor,
    /// The least value.
    pub low: Tensor,
    /// The greatest value.
    pub high: Tensor,
}

impl TruncatedNormal {
    /// With parameters that broadcast.
    #[track_caller]
    pub fn new(loc: &Tensor, scale: &Tensor, low: &Tensor, high: &Tensor) -> TruncatedNormal {
        let [loc, scale, low, high] = together("truncated_normal", [loc, scale, low, high]);
        TruncatedNormal {
            loc,
            scale,
            low,
            high,
        }
    }

    /// The bounds in standard deviations from the mean; infinite ones as ±40, where the density is 0 and derivatives
    /// are too.
    #[track_caller]
    fn bounds(&self) -> [Tensor; 2] {
        [&self.low, &self.high].map(|b| {
            let endless = b.isinf();
            let finite = (b.masked_fill(&endless, 0.0) - &self.loc) / &self.scale;
            Tensor::where_(&endless, &(b.sign() * 40.0), &finite)
        })
    }

    /// The probability of the window before the truncation, from the tail that is nearer to 0.
    #[track_caller]
    fn mass(&self) -> Tensor {
        let [a, b] = self.bounds();
        let mirrored = a.gt_scalar(0.0);
        let from = Tensor::where_(&mirrored, &-&b, &a);
        let to = Tensor::where_(&mirrored, &-&a, &b);
        normal_cdf(&to) - normal_cdf(&from)
    }

    /// `φ` at the bounds divided by the mass, and that times the bounds.
    #[track_caller]
    fn edges(&self) -> ([Tensor; 2], [Tensor; 2]) {
        let mass = self.mass();
        let bounds = self.bounds();
        let density = |z: &Tensor| (z.square() * -0.5 - HALF_LOG_TAU).exp() / &mass;
        let densities = [density(&bounds[0]), density(&bounds[1])];
        let products = [&bounds[0] * &densities[0], &bounds[1] * &densities[1]];
        (densities, products)
    }
}

impl Distribution for TruncatedNormal {
    fn batch_shape(&self) -> Vec<usize> {
        self.loc.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.rsample(shape, rng).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let whole = Normal {
            loc: self.loc.clone(),
            scale: self.scale.clone(),
        };
        let inside = value.ge(&self.low).logical_and(&value.le(&self.high));
        within(&inside, &(whole.log_prob(value) - self.mass().log()))
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        let ([a, b], _) = self.edges();
        (a - b) * &self.scale + &self.loc
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        let ([a, b], [a_times, b_times]) = self.edges();
        ((a_times - b_times) - (a - b).square() + 1.0) * self.scale.square()
    }
}

impl Entropy for TruncatedNormal {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        let (_, [a_times, b_times]) = self.edges();
        let log_size = (&self.scale * self.mass()).log();
        log_size + (0.5 + HALF_LOG_TAU) + (a_times - b_times) * 0.5
    }
}

impl Reparameterized for TruncatedNormal {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.loc.shape());
        let [a, b] = self.bounds().map(|t| t.broadcast_to(&full));
        let x = rng.truncated_normal_between(&a, &b) * &self.scale + &self.loc;
        x.clamp_tensor(&self.low, &self.high)
    }
}
