//! Draws of a [`Generator`] that are more than uniform or normal: integers, permutations, categories, and the
//! variates of the families in `distributions`. Ordinary compositions of tensor operations; rejection samplers make a
//! fixed number of attempts at once, so that nothing waits for a result.
//!
//! Integers, permutations and what compares uniforms alone are the same bits on every device; what passes through
//! `log`, `cos` or `exp` agrees to 1e-5, and where such numbers decide (categories, rejections) two devices may differ
//! in a draw that is nearly a tie.

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind};
use crate::rng::Generator;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

/// Attempts of the gamma sampler: each fails with probability 0.05 at most.
const GAMMA_ATTEMPTS: usize = 8;
/// Attempts of the Poisson sampler: each fails with probability 0.3 at most.
const POISSON_ATTEMPTS: usize = 20;
/// Below this rate a Poisson variate is found by inversion.
const POISSON_SMALL: f64 = 10.0;

/// `[n, shape…]`.
fn with_leading(n: usize, shape: &[usize]) -> Vec<usize> {
    [&[n], shape].concat()
}

/// The first of several attempts (leading dimension) that `accepted` holds for; the first of all if none.
#[track_caller]
fn first_accepted(attempts: &Tensor, accepted: &Tensor) -> Tensor {
    let at = accepted.cast(DType::I32).argmax(0, true);
    attempts.gather(0, &at).squeeze(0)
}

/// `Φ(z)`, the standard normal distribution function.
#[track_caller]
pub(crate) fn normal_cdf(z: &Tensor) -> Tensor {
    (z * -FRAC_1_SQRT_2).erfc() * 0.5
}

impl Generator {
    /// Whole numbers in `low..high`, i32 (PyTorch's `randint`); the bias is below `(high − low) / 2³²`. Bit-equal on
    /// every device.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Generator};
    /// let dice = Generator::new(1).integers(1, 7, &[100], &Device::cpu()).to_vec::<i32>()?;
    /// assert!(dice.iter().all(|d| (1..7).contains(d)));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn integers(&mut self, low: i32, high: i32, shape: &[usize], device: &Device) -> Tensor {
        if low >= high {
            let message = format!("no whole number lies in {low}..{high}");
            let e = Error::new(ErrorKind::Value, "integers", message);
            return Tensor::invalid(e, shape, DType::I32, device);
        }
        let range = i64::from(high) - i64::from(low);
        let words = self.words(shape, device);
        let below = words.fmod(&words.full_like(range as f64));
        // Both in wrapping 32-bit arithmetic, where `low` may be negative.
        let low = words.full_like(f64::from(low as u32));
        (below + low).cast(DType::I32)
    }

    /// `0, 1, …, n − 1` in random order, i32 (PyTorch's `randperm`). Bit-equal on every device.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Generator};
    /// let mut order = Generator::new(1).permutation(10, &Device::cpu()).to_vec::<i32>()?;
    /// order.sort();
    /// assert_eq!(order, (0..10).collect::<Vec<i32>>());
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn permutation(&mut self, n: usize, device: &Device) -> Tensor {
        let order = self.words(&[n], device).argsort(0, false);
        if n <= 1024 {
            return order;
        }
        // Equal words keep their order. A second key, sorted by last and stably, leaves 64 bits to be equal.
        let keys = self.words(&[n], device).gather(0, &order);
        order.gather(0, &keys.argsort(0, false))
    }

    /// The entries of `x` along `dim` in random order, the same for all.
    #[track_caller]
    pub fn shuffle(&mut self, x: &Tensor, dim: isize) -> Tensor {
        let order = self.permutation(x.size(dim), x.device());
        x.index_select(dim, &order)
    }

    /// True with the probabilities `p`, one draw for each element of `shape`, with which `p` broadcasts from the
    /// right (PyTorch's `bernoulli` of a tensor). Bit-equal on every device.
    #[track_caller]
    pub fn bernoulli_of(&mut self, p: &Tensor, shape: &[usize]) -> Tensor {
        self.uniform(shape, p.device()).lt(&p.cast(DType::F32))
    }

    /// Exponential with mean 1, above 0.
    #[track_caller]
    pub fn exponential(&mut self, shape: &[usize], device: &Device) -> Tensor {
        let e = -(-self.uniform(shape, device)).log1p();
        // Of 24 bits the least would be 0.
        e.clamp_min(2f64.powi(-25))
    }

    /// Standard Gumbel: the greatest of `logits + gumbel` is a draw from the categories' softmax.
    #[track_caller]
    pub fn gumbel(&mut self, shape: &[usize], device: &Device) -> Tensor {
        -self.exponential(shape, device).log()
    }

    /// Positions (i32) in the last dimension of `logits [batch…, n]`, drawn with probabilities `softmax(logits)`:
    /// `shape` draws for each row, `[shape…, batch…]`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Generator, Tensor};
    /// let d = Device::cpu();
    /// let logits = Tensor::new(&[0.0f32, f32::NEG_INFINITY, 2.0], &d);
    /// let draws = Generator::new(1).categorical(&logits, &[50]).to_vec::<i32>()?;
    /// assert!(draws.iter().all(|i| *i == 0 || *i == 2));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn categorical(&mut self, logits: &Tensor, shape: &[usize]) -> Tensor {
        if logits.rank() == 0 || logits.size(-1) == 0 {
            return logits.fail("categorical", "needs a last dimension of categories");
        }
        let gumbel = self.gumbel(&[shape, logits.shape()].concat(), logits.device());
        (gumbel + logits.to_float()).argmax(-1, false)
    }

    /// `num_samples` positions (i32) in the last dimension of the weights `probs [batch…, n]`, which need not sum to
    /// 1: `[batch…, num_samples]` (PyTorch's `multinomial`). Without replacement each position comes up at most once;
    /// where fewer weights than samples are above 0, positions of weight 0 follow.
    #[track_caller]
    pub fn multinomial(&mut self, probs: &Tensor, num_samples: usize, replacement: bool) -> Tensor {
        let n = probs.size(-1);
        if probs.rank() == 0 || n == 0 {
            return probs.fail("multinomial", "needs a last dimension of weights");
        }
        let logits = probs.to_float().log();
        if replacement {
            return self.categorical(&logits, &[num_samples]).movedim(0, -1);
        }
        if num_samples > n {
            let m = format!("{num_samples} different positions of {n}");
            return probs.fail("multinomial", m);
        }
        // The order of the perturbed weights is that of drawing one after the other (Efraimidis and Spirakis 2006).
        let keys = self.gumbel(logits.shape(), logits.device()) + logits;
        keys.argsort(-1, true).narrow(-1, 0, num_samples)
    }

    /// Standard normal between `low` and `high`, element by element, in their common shape: by inversion, in the tail
    /// that is nearer to 0. Differentiable in the bounds. Windows wholly beyond 5 standard deviations are resolved
    /// coarsely, beyond 12 not at all; draws never leave the bounds.
    #[track_caller]
    pub fn truncated_normal_between(&mut self, low: &Tensor, high: &Tensor) -> Tensor {
        let shape = match crate::shape::broadcast(low.shape(), high.shape()) {
            Ok(shape) => shape,
            Err(m) => return low.fail_with(high, "truncated_normal", m),
        };
        let u = self.uniform(&shape, low.device());
        let (low, high) = (low.cast(DType::F32), high.cast(DType::F32));
        let mirrored = low.gt_scalar(0.0);
        let from = Tensor::where_(&mirrored, &-&high, &low);
        let to = Tensor::where_(&mirrored, &-&low, &high);
        let (a, b) = (normal_cdf(&from), normal_cdf(&to));
        let p = &a + u * (b - &a);
        let x = (p * 2.0 - 1.0).erfinv() * SQRT_2;
        Tensor::where_(&mirrored, &-&x, &x).clamp_tensor(&low, &high)
    }

    /// Normal with this mean and standard deviation, between `low` and `high` (PyTorch's `trunc_normal_`).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Generator};
    /// let x = Generator::new(1).truncated_normal(0.0, 1.0, -2.0, 2.0, &[100], &Device::cpu());
    /// assert!(x.to_vec::<f32>()?.iter().all(|v| v.abs() <= 2.0));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn truncated_normal(
        &mut self,
        mean: f64,
        std: f64,
        low: f64,
        high: f64,
        shape: &[usize],
        device: &Device,
    ) -> Tensor {
        let bound = |b: f64| Tensor::full(shape, (b - mean) / std, DType::F32, device);
        let x = self.truncated_normal_between(&bound(low), &bound(high)) * std + mean;
        x.clamp(low, high)
    }

    /// Gamma with these shape parameters and rate 1, one draw for each element of `shape`, with which
    /// `concentration` broadcasts from the right (Marsaglia and Tsang 2000). No gradient flows.
    #[track_caller]
    pub fn gamma(&mut self, concentration: &Tensor, shape: &[usize]) -> Tensor {
        let device = concentration.device();
        let alpha = concentration.cast(DType::F32).stop_gradient();
        let small = alpha.lt_scalar(1.0);
        // Below 1: a draw for α + 1, times U^(1/α).
        let lifted = Tensor::where_(&small, &(&alpha + 1.0), &alpha);
        let d = lifted - 1.0 / 3.0;
        let attempts = with_leading(GAMMA_ATTEMPTS, shape);
        let x = self.normal(&attempts, device);
        let u = self.uniform(&attempts, device);
        let root = 1.0 + &x / (&d * 9.0).sqrt();
        let positive = root.gt_scalar(0.0);
        let v = root.masked_fill(&positive.logical_not(), 1.0);
        let v = v.square() * v;
        let bound = x.square() * 0.5 + &d * (1.0 - &v + v.log());
        let accepted = positive.logical_and(&(1.0 - u).log().lt(&bound));
        let draw = first_accepted(&v, &accepted) * d;
        let factor = (-self.exponential(shape, device) / &alpha).exp();
        // At least the least normal number: shares of such draws must not be 0 / 0.
        let small_draw = (&draw * factor).clamp_min(f64::from(f32::MIN_POSITIVE));
        Tensor::where_(&small, &small_draw, &draw)
    }

    /// Poisson counts (f32) with these rates, one draw for each element of `shape`, with which `rate` broadcasts from
    /// the right: by inversion below 10, by Hörmann's transformed rejection (PTRS, 1993) above. No gradient flows.
    #[track_caller]
    pub fn poisson(&mut self, rate: &Tensor, shape: &[usize]) -> Tensor {
        let rate = rate.cast(DType::F32).stop_gradient();
        let small = rate.lt_scalar(POISSON_SMALL);
        let few = self.poisson_inversion(&rate.clamp_max(POISSON_SMALL), shape);
        let many = self.poisson_rejection(&rate.clamp_min(POISSON_SMALL), shape);
        Tensor::where_(&small, &few, &many)
    }

    /// How many steps of the distribution function lie at or below a uniform number.
    #[track_caller]
    fn poisson_inversion(&mut self, rate: &Tensor, shape: &[usize]) -> Tensor {
        let u = self.uniform(shape, rate.device());
        // More than 42 have probability below 1e-13 at rate 10.
        let k = Tensor::arange(43, rate.device()).cast(DType::F32);
        let rate = rate.unsqueeze(-1);
        let pmf = (k.xlogy(&rate) - &rate - (&k + 1.0).lgamma()).exp();
        let steps = pmf.cumsum(-1).le(&u.unsqueeze(-1));
        steps.cast(DType::F32).sum_dims(&[-1], false)
    }

    #[track_caller]
    fn poisson_rejection(&mut self, rate: &Tensor, shape: &[usize]) -> Tensor {
        let attempts = with_leading(POISSON_ATTEMPTS, shape);
        let u = self.uniform(&attempts, rate.device()) - 0.5;
        // In (0, 1], for its logarithm.
        let v = 1.0 - self.uniform(&attempts, rate.device());
        let b = rate.sqrt() * 2.53 + 0.931;
        let a = &b * 0.02483 - 0.059;
        let us = (0.5 - u.abs()).clamp_min(2f64.powi(-25));
        let k = ((&a * 2.0 / &us + &b) * &u + rate + 0.43).floor();
        let squeeze = us
            .ge_scalar(0.07)
            .logical_and(&v.le(&(0.9277 - 3.6224 / (&b - 2.0))));
        let inverse_alpha = 1.1239 + 1.1328 / (&b - 3.4);
        let height = v.log() + inverse_alpha.log() - (&a / us.square() + &b).log();
        let exact = height.le(&poisson_log_mass(&k, rate));
        let inside = us.ge_scalar(0.013).logical_or(&v.le(&us));
        let slow = k.ge_scalar(0.0).logical_and(&inside).logical_and(&exact);
        let accepted = squeeze.logical_or(&slow);
        first_accepted(&k.clamp_min(0.0), &accepted)
    }

    /// Counts (f32) of successes in `total_count` trials of these probabilities, one draw for each element of
    /// `shape`, with which `probs` broadcasts from the right. Bit-equal on every device.
    #[track_caller]
    pub fn binomial(&mut self, total_count: usize, probs: &Tensor, shape: &[usize]) -> Tensor {
        let trials = self.bernoulli_of(probs, &with_leading(total_count, shape));
        trials.cast(DType::F32).sum_dims(&[0], false)
    }
}

/// `log P(k)` of a Poisson variate for counts from 0 on, without cancellation at great rates (Loader 2000, "Fast and
/// accurate computation of binomial probabilities"); Stirling's error to 3e-4.
#[track_caller]
fn poisson_log_mass(k: &Tensor, rate: &Tensor) -> Tensor {
    let none = k.lt_scalar(1.0);
    let safe = k.masked_fill(&none, 1.0);
    let off = (&safe - rate) / rate;
    let deviance = rate * ((&off + 1.0) * off.log1p() - &off);
    let w = safe.recip();
    let stirling = &w * (1.0 / 12.0 - w.square() * (1.0 / 360.0 - w.square() / 1260.0));
    let log_mass = -deviance - stirling - (&safe * (2.0 * PI)).log() * 0.5;
    Tensor::where_(&none, &-rate, &log_mass)
}
