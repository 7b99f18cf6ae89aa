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
