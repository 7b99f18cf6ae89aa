//! Half waves of the cosine (Loshchilov and Hutter 2017):
//! `lr = η_min + ½ (base − η_min) (1 + cos(π t / T))`.

use super::{Schedule, require};
use std::f64::consts::PI;
use wgrad_graph::Result;

fn wave(base: f64, least: f64, share: f64) -> f64 {
    least + (base - least) * (1.0 + (PI * share).cos()) / 2.0
}

/// Down over `t_max` epochs, and up again after them: PyTorch's `CosineAnnealingLR`.
#[derive(Clone, Copy, Debug)]
pub struct CosineAnnealing {
    base: f64,
    t_max: u64,
    eta_min: f64,
}

impl CosineAnnealing {
    /// From `base_lr` to 0.
    ///
    /// # Errors
    /// `t_max` is 0.
    pub fn new(base_lr: f64, t_max: u64) -> Result<CosineAnnealing> {
        require(t_max > 0, "CosineAnnealing", || "a wave of 0 epochs".into())?;
        Ok(CosineAnnealing {
            base: base_lr,
            t_max,
            eta_min: 0.0,
        })
    }

    /// Down to this rate instead.
    pub fn eta_min(self, eta_min: f64) -> CosineAnnealing {
        CosineAnnealing { eta_min, ..self }
    }
}

impl Schedule for CosineAnnealing {
    fn lr(&self, epoch: u64) -> f64 {
        wave(self.base, self.eta_min, epoch as f64 / self.t_max as f64)
    }
}

/// Down again and again, every time over `t_mult` times as many epochs: PyTorch's `CosineAnnealingWarmRestarts`.
#[derive(Clone, Copy, Debug)]
pub struct CosineAnnealingWarmRestarts {
    base: f64,
    t_0: u64,
    t_mult: u64,
    eta_min: f64,
}

impl CosineAnnealingWarmRestarts {
    /// From `base_lr` to 0, at first over `t_0` epochs and then over as many again.
    ///
    /// # Errors
    /// `t_0` is 0.
    pub fn new(base_lr: f64, t_0: u64) -> Result<CosineAnnealingWarmRestarts> {
        require(t_0 > 0, "CosineAnnealingWarmRestarts", || {
            "a wave of 0 epochs".into()
        })?;
        Ok(CosineAnnealingWarmRestarts {
            base: base_lr,
            t_0,
            t_mult: 1,
            eta_min: 0.0,
        })
    }

    /// Every wave this many times as long as the one before.
    ///
    /// # Errors
    /// It is 0.
    pub fn t_mult(self, t_mult: u64) -> Result<CosineAnnealingWarmRestarts> {
        require(t_mult > 0, "CosineAnnealingWarmRestarts", || {
            "waves of 0 epochs".into()
        })?;
        Ok(CosineAnnealingWarmRestarts { t_mult, ..self })
    }

    /// Down to this rate instead.
    pub fn eta_min(self, eta_min: f64) -> CosineAnnealingWarmRestarts {
        CosineAnnealingWarmRestarts { eta_min, ..self }
    }
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn lr(&self, epoch: u64) -> f64 {
        let (mut at, mut length) = (epoch, self.t_0);
        if self.t_mult == 1 {
            at %= length;
        }
        while at >= length {
            at -= length;
            length = length.saturating_mul(self.t_mult);
        }
        wave(self.base, self.eta_min, at as f64 / length as f64)
    }
}
