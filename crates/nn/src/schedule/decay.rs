//! Rates that are the first one times a factor of the epoch.

use super::{Schedule, require};
use wgrad_graph::Result;

/// `lr · γ^⌊epoch / step_size⌋`: PyTorch's `StepLR`.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    base: f64,
    size: u64,
    gamma: f64,
}

impl Step {
    /// From `base_lr`, times `gamma` (PyTorch's default is 0.1) after every `step_size` epochs.
    ///
    /// # Errors
    /// `step_size` is 0.
    pub fn new(base_lr: f64, step_size: u64, gamma: f64) -> Result<Step> {
        require(step_size > 0, "Step", || "a step of 0 epochs".into())?;
        Ok(Step {
            base: base_lr,
            size: step_size,
            gamma,
        })
    }
}

impl Schedule for Step {
    fn lr(&self, epoch: u64) -> f64 {
        self.base * self.gamma.powf((epoch / self.size) as f64)
    }
}

/// Times `γ` at every milestone: PyTorch's `MultiStepLR`.
#[derive(Clone, Debug)]
pub struct MultiStep {
    base: f64,
    milestones: Vec<u64>,
    gamma: f64,
}

impl MultiStep {
    /// From `base_lr`, times `gamma` (PyTorch's default is 0.1) at each of these epochs, in any order; one that stands there
    /// twice counts twice.
    pub fn new(base_lr: f64, milestones: &[u64], gamma: f64) -> MultiStep {
        MultiStep {
            base: base_lr,
            milestones: milestones.to_vec(),
            gamma,
        }
    }
}

impl Schedule for MultiStep {
    fn lr(&self, epoch: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&m| m <= epoch).count();
        self.base * self.gamma.powf(passed as f64)
    }
}

/// `lr · γ^epoch`: PyTorch's `ExponentialLR`.
#[derive(Clone, Copy, Debug)]
pub struct Exponential {
    base: f64,
    gamma: f64,
}

impl Exponential {
    /// From `base_lr`, times `gamma` after every epoch.
    pub fn new(base_lr: f64, gamma: f64) -> Exponential {
        Exponential {
            base: base_lr,
            gamma,
        }
    }
}

impl Schedule for Exponential {
    fn lr(&self, epoch: u64) -> f64 {
        self.base * self.gamma.powf(epoch as f64)
    }
}

/// The share of `total` that has passed, 1 from there on; 0 if there is nothing to pass.
fn passed(epoch: u64, total: u64) -> f64 {
    if total == 0 {
        0.0
    } else {
        epoch.min(total) as f64 / total as f64
    }
}

/// A factor that moves along a line and then stays: PyTorch's `LinearLR`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    base: f64,
    start: f64,
    end: f64,
    total: u64,
}

impl Linear {
    /// From a third of `base_lr` to all of it, over 5 epochs.
    pub fn new(base_lr: f64) -> Linear {
        Linear {
            base: base_lr,
            start: 1.0 / 3.0,
            end: 1.0,
            total: 5,
        }
    }

    /// With another first factor.
    pub fn start_factor(self, start: f64) -> Linear {
        Linear { start, ..self }
    }

    /// With another last factor.
    pub fn end_factor(self, end: f64) -> Linear {
        Linear { end, ..self }
    }

    /// Over another number of epochs.
    pub fn total_iters(self, total: u64) -> Linear {
        Linear { total, ..self }
    }
}

impl Schedule for Linear {
    fn lr(&self, epoch: u64) -> f64 {
        self.base * (self.start + (self.end - self.start) * passed(epoch, self.total))
    }
}

/// A factor at first, then none: PyTorch's `ConstantLR`.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    base: f64,
    factor: f64,
    total: u64,
}

impl Constant {
    /// A third of `base_lr` for 5 epochs, then all of it.
    pub fn new(base_lr: f64) -> Constant {
        Constant {
            base: base_lr,
            factor: 1.0 / 3.0,
            total: 5,
        }
    }

    /// With another factor.
    pub fn factor(self, factor: f64) -> Constant {
        Constant { factor, ..self }
    }

    /// For another number of epochs.
    pub fn total_iters(self, total: u64) -> Constant {
        Constant { total, ..self }
    }
}

impl Schedule for Constant {
    fn lr(&self, epoch: u64) -> f64 {
        if epoch < self.total {
            self.base * self.factor
        } else {
            self.base
        }
    }
}

/// `lr · (1 − epoch / total_iters)^power`, then 0: PyTorch's `PolynomialLR`.
#[derive(Clone, Copy, Debug)]
pub struct Polynomial {
    base: f64,
    total: u64,
    power: f64,
}

impl Polynomial {
    /// Over `total_iters` epochs (PyTorch's defaults are 5 and a power of 1).
    pub fn new(base_lr: f64, total_iters: u64, power: f64) -> Polynomial {
        Polynomial {
            base: base_lr,
            total: total_iters,
            power,
        }
    }
}

impl Schedule for Polynomial {
    fn lr(&self, epoch: u64) -> f64 {
        self.base * (1.0 - passed(epoch, self.total)).powf(self.power)
    }
}

/// Down along a line to a least rate at step `tau`, which then stays: `(1 − k/τ) ε₀ + (k/τ) ε_τ` (Goodfellow, Bengio and
/// Courville 2016, eq. 8.14).
///
/// ```
/// use wgrad_nn::schedule::{LinearToTau, Schedule};
/// let schedule = LinearToTau::new(0.1, 100, 0.001)?;
/// assert_eq!((schedule.lr(0), schedule.lr(500)), (0.1, 0.001));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LinearToTau {
    first: f64,
    tau: u64,
    last: f64,
}

impl LinearToTau {
    /// From `first` to `last` (the book: about a hundredth of `first`) over `tau` steps.
    ///
    /// # Errors
    /// `tau` is 0.
    pub fn new(first: f64, tau: u64, last: f64) -> Result<LinearToTau> {
        require(tau > 0, "LinearToTau", || "a decay of 0 steps".into())?;
        Ok(LinearToTau { first, tau, last })
    }
}

impl Schedule for LinearToTau {
    fn lr(&self, epoch: u64) -> f64 {
        let share = passed(epoch, self.tau);
        (1.0 - share) * self.first + share * self.last
    }
}

/// Another schedule that is reached from near 0 along a line over the first steps; step `k` of `n` has the share
/// `(k + 1) / n` of its rate.
///
/// ```
/// use wgrad_nn::schedule::{CosineAnnealing, Schedule, WarmUp};
/// let schedule = WarmUp::new(4, CosineAnnealing::new(1.0, 100)?);
/// assert_eq!(schedule.lr(0), 0.25);
/// assert_eq!(schedule.lr(50), CosineAnnealing::new(1.0, 100)?.lr(50));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WarmUp<S> {
    steps: u64,
    then: S,
}

impl<S: Schedule> WarmUp<S> {
    /// Over so many steps of `then`; with 0 it is `then`.
    pub fn new(steps: u64, then: S) -> WarmUp<S> {
        WarmUp { steps, then }
    }
}

impl<S: Schedule> Schedule for WarmUp<S> {
    fn lr(&self, epoch: u64) -> f64 {
        let share = (epoch + 1) as f64 / self.steps.max(1) as f64;
        self.then.lr(epoch) * share.min(1.0)
    }
}
