//! A rate that falls when a metric has stopped improving: PyTorch's `ReduceLROnPlateau`. The one schedule with a state.

use super::require;
use crate::{Host, Kind, Module};
use wgrad_graph::{Result, Tensor};

/// What counts as better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Less.
    #[default]
    Min,
    /// More.
    Max,
}

/// What the threshold is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThresholdMode {
    /// The best value so far.
    #[default]
    Rel,
    /// Nothing: it is a difference.
    Abs,
}

/// Multiplies the rate by a factor when more than `patience` epochs in a row have brought nothing better.
///
/// ```
/// use wgrad_nn::schedule::ReduceOnPlateau;
/// let mut schedule = ReduceOnPlateau::new(1.0).factor(0.5)?.patience(1);
/// let rates: Vec<f64> = [3.0, 3.0, 3.0, 2.0].map(|loss| schedule.step(loss)).to_vec();
/// assert_eq!(rates, [1.0, 1.0, 0.5, 0.5]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReduceOnPlateau {
    lr: f64,
    mode: Mode,
    factor: f64,
    patience: u64,
    threshold: f64,
    threshold_mode: ThresholdMode,
    cooldown: u64,
    min_lr: f64,
    eps: f64,
    /// NaN before the first.
    best: f64,
    bad: u64,
    cooling: u64,
}

impl ReduceOnPlateau {
    /// PyTorch's defaults from `base_lr`.
    pub fn new(base_lr: f64) -> ReduceOnPlateau {
        ReduceOnPlateau {
            lr: base_lr,
            mode: Mode::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
            best: f64::NAN,
            bad: 0,
            cooling: 0,
        }
    }

    /// For a metric that should grow or fall; [`Mode::Min`].
    pub fn mode(self, mode: Mode) -> ReduceOnPlateau {
        ReduceOnPlateau { mode, ..self }
    }

    /// With another factor; 0.1.
    ///
    /// # Errors
    /// It is not below 1.
    pub fn factor(self, factor: f64) -> Result<ReduceOnPlateau> {
        require(factor < 1.0, "ReduceOnPlateau", || {
            format!("a factor of {factor}")
        })?;
        Ok(ReduceOnPlateau { factor, ..self })
    }

    /// Bears this many epochs in a row without progress; 10.
    pub fn patience(self, patience: u64) -> ReduceOnPlateau {
        ReduceOnPlateau { patience, ..self }
    }

    /// With another least progress; 10⁻⁴ of the best value.
    pub fn threshold(self, threshold: f64, mode: ThresholdMode) -> ReduceOnPlateau {
        ReduceOnPlateau {
            threshold,
            threshold_mode: mode,
            ..self
        }
    }

    /// Counts nothing for this many epochs after a fall; 0.
    pub fn cooldown(self, cooldown: u64) -> ReduceOnPlateau {
        ReduceOnPlateau { cooldown, ..self }
    }

    /// With a least rate; 0.
    pub fn min_lr(self, min_lr: f64) -> ReduceOnPlateau {
        ReduceOnPlateau { min_lr, ..self }
    }

    /// Leaves out falls of no more than this; 10⁻⁸.
    pub fn eps(self, eps: f64) -> ReduceOnPlateau {
        ReduceOnPlateau { eps, ..self }
    }

    /// The rate of the next epoch.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// Takes the metric of an epoch that has ended and gives the rate of the next.
    pub fn step(&mut self, metric: f64) -> f64 {
        if self.better(metric) {
            self.best = metric;
            self.bad = 0;
        } else {
            self.bad += 1;
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad > self.patience {
            let next = (self.lr * self.factor).max(self.min_lr);
            if self.lr - next > self.eps {
                self.lr = next;
            }
            self.cooling = self.cooldown;
            self.bad = 0;
        }
        self.lr
    }

    /// The first metric is better than none, unless it is NaN or the worst there is.
    fn better(&self, metric: f64) -> bool {
        let best = self.best;
        if best.is_nan() {
            return match self.mode {
                Mode::Min => metric < f64::INFINITY,
                Mode::Max => metric > f64::NEG_INFINITY,
            };
        }
        match (self.mode, self.threshold_mode) {
            (Mode::Min, ThresholdMode::Rel) => metric < best * (1.0 - self.threshold),
            (Mode::Min, ThresholdMode::Abs) => metric < best - self.threshold,
            (Mode::Max, ThresholdMode::Rel) => metric > best * (1.0 + self.threshold),
            (Mode::Max, ThresholdMode::Abs) => metric > best + self.threshold,
        }
    }
}

/// Without tensors: its numbers, so that a checkpoint keeps where it stands.
impl Module for ReduceOnPlateau {
    fn visit(&self, _: &str, _: &mut dyn FnMut(&str, Kind, &Tensor)) {}

    fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, Kind, &mut Tensor)) {}

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Value(&mut self.lr));
        visitor(Host::Value(&mut self.best));
        visitor(Host::Value(&mut self.bad));
        visitor(Host::Value(&mut self.cooling));
    }

    fn duplicate(&self) -> Option<ReduceOnPlateau> {
        Some(self.clone())
    }
}
