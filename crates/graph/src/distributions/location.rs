//! Families of a location and a scale other than the normal.

use super::{Distribution, Entropy, Reparameterized, extended, together};
use crate::rng::Generator;
use crate::tensor::Tensor;
use std::f64::consts::{LN_2, PI};

/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;
/// `log π`.
const LOG_PI: f64 = 1.144_729_885_849_400_2;

/// What the families with two parameters share.
macro_rules! location_scale {
    ($(#[$doc:meta])* $name:ident, $op:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            /// The location.
            pub loc: Tensor,
            /// The scale, above 0.
            pub scale: Tensor,
        }

        impl $name {
            /// With parameters that broadcast.
            #[track_caller]
            pub fn new(loc: &Tensor, scale: &Tensor) -> $name {
                let [loc, scale] = together($op, [loc, scale]);
                $name { loc, scale }
            }

            #[track_caller]
            fn standard(&self, value: &Tensor) -> Tensor {
                (value - &self.loc) / &self.scale
            }

            /// Standard draws moved and stretched.
            #[track_caller]
            fn placed(&self, draws: Tensor) -> Tensor {
                draws * &self.scale + &self.loc
            }
        }
    };
}

location_scale! {
    /// Laplace: `exp(−|x − loc| / scale) / (2 scale)`.
    Laplace, "laplace"
}

impl Distribution for Laplace {
    fn batch_shape(&self) -> Vec<usize> {
        self.loc.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.rsample(shape, rng).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        -self.standard(value).abs() - self.scale.log() - LN_2
    }

    fn mean(&self) -> Tensor {
        self.loc.clone()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.scale.square() * 2.0
    }
}

impl Entropy for Laplace {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        self.scale.log() + (1.0 + LN_2)
    }
}

impl Reparameterized for Laplace {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.loc.shape());
        let size = rng.exponential(&full, self.loc.device());
        let positive = rng.bernoulli(0.5, &full, self.loc.device());
        self.placed(Tensor::where_(&positive, &size, &-&size))
    }
}

location_scale! {
    /// Gumbel, the limit of maxima: `exp(−z − exp(−z)) / scale` with `z = (x − loc) / scale`.
    Gumbel, "gumbel"
}

impl Distribution for Gumbel {
    fn batch_shape(&self) -> Vec<usize> {
        self.loc.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.rsample(shape, rng).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let z = self.standard(value);
        -(&z + (-&z).exp()) - self.scale.log()
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        &self.loc + &self.scale * EULER
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.scale.square() * (PI * PI / 6.0)
    }
}

impl Entropy for Gumbel {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        self.scale.log() + (1.0 + EULER)
    }
}

impl Reparameterized for Gumbel {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.loc.shape());
        self.placed(rng.gumbel(&full, self.loc.device()))
    }
}

location_scale! {
    /// Cauchy: the quotient of two centred normal variates; without mean and variance.
    Cauchy, "cauchy"
}

impl Distribution for Cauchy {
    fn batch_shape(&self) -> Vec<usize> {
        self.loc.shape().to_vec()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.rsample(shape, rng).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        -self.standard(value).square().log1p() - self.scale.log() - LOG_PI
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        self.loc.full_like(f64::NAN)
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.loc.full_like(f64::INFINITY)
    }
}

impl Entropy for Cauchy {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        self.scale.log() + (LOG_PI + 2.0 * LN_2)
    }
}

impl Reparameterized for Cauchy {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.loc.shape());
        let angle = (rng.uniform(&full, self.loc.device()) - 0.5) * PI;
        self.placed(angle.tan())
    }
}

/// Student's t with `df` degrees of freedom, moved and stretched.
#[derive(Clone)]
pub struct StudentT {
    /// Degrees of freedom, above 0.
    pub df: Tensor,
    /// The location.
    pub loc: Tensor,
    /// The scale, above 0.
    pub scale: Tensor,
}

impl StudentT {
    /// With parameters that broadcast.
    #[track_caller]
    pub fn new(df: &Tensor, loc: &Tensor, scale: &Tensor) -> StudentT {
        let [df, loc, scale] = together("student_t", [df, loc, scale]);
        StudentT { df, loc, scale }
    }

    /// `log B(df/2, 1/2) + ½ log df`: the logarithm of what the standard density is divided by.
    #[track_caller]
    fn normaliser(&self) -> Tensor {
        let half = &self.df * 0.5;
        let beta = half.lgamma() - (&half + 0.5).lgamma() + 0.5 * LOG_PI;
        beta + self.df.log() * 0.5
    }
}

impl Distribution for StudentT {
    fn batch_shape(&self) -> Vec<usize> {
        self.loc.shape().to_vec()
    }

    /// Draws are not reparameterised: the chi-square below is a rejection sampler.
    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        let full = extended(shape, self.loc.shape());
        let z = rng.normal(&full, self.loc.device());
        // Chi-square over its degrees of freedom is a gamma variate over its mean.
        let half = &self.df * 0.5;
        let spread = (rng.gamma(&half, &full) / half).sqrt();
        (z / spread * &self.scale + &self.loc).stop_gradient()
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        let z = (value - &self.loc) / &self.scale;
        let log = (z.square() / &self.df).log1p();
        log * (&self.df + 1.0) * -0.5 - self.normaliser() - self.scale.log()
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        self.loc.masked_fill(&self.df.le_scalar(1.0), f64::NAN)
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        let beyond = self.df.gt_scalar(2.0);
        let safe = Tensor::where_(&beyond, &self.df, &self.df.full_like(3.0));
        let finite = self.scale.square() * &safe / (&safe - 2.0);
        let out = finite.masked_fill(&beyond.logical_not(), f64::INFINITY);
        out.masked_fill(&self.df.le_scalar(1.0), f64::NAN)
    }
}

impl Entropy for StudentT {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        let half = (&self.df + 1.0) * 0.5;
        let slope = half.digamma() - (&self.df * 0.5).digamma();
        self.scale.log() + half * slope + self.normaliser()
    }
}
