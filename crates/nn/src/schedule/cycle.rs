//! Rates that rise and fall (Smith 2017; Smith and Topin 2018), with the momentum that goes the other way.

use super::{Schedule, require};
use std::f64::consts::PI;
use wgrad_graph::Result;

/// How a rate goes from one value to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anneal {
    /// A half wave.
    #[default]
    Cos,
    /// A line.
    Linear,
}

impl Anneal {
    fn between(self, start: f64, end: f64, share: f64) -> f64 {
        match self {
            Anneal::Cos => end + (start - end) / 2.0 * ((PI * share).cos() + 1.0),
            Anneal::Linear => (end - start) * share + start,
        }
    }
}

/// Up to `max_lr`, then far down, once: PyTorch's `OneCycleLR`. From the last step on the rate stays.
#[derive(Clone, Copy, Debug)]
pub struct OneCycle {
    max_lr: f64,
    total: u64,
    pct_start: f64,
    anneal: Anneal,
    div_factor: f64,
    final_div_factor: f64,
    three_phase: bool,
    base_momentum: f64,
    max_momentum: f64,
}

impl OneCycle {
    /// PyTorch's defaults over `total_steps`.
    ///
    /// # Errors
    /// `total_steps` is 0.
    pub fn new(max_lr: f64, total_steps: u64) -> Result<OneCycle> {
        require(total_steps > 0, "OneCycle", || "a cycle of 0 steps".into())?;
        Ok(OneCycle {
            max_lr,
            total: total_steps,
            pct_start: 0.3,
            anneal: Anneal::Cos,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
            base_momentum: 0.85,
            max_momentum: 0.95,
        })
    }

    /// With another share of the steps for the rise; 0.3.
    ///
    /// # Errors
    /// It is not within 0 and 1.
    pub fn pct_start(self, pct_start: f64) -> Result<OneCycle> {
        require((0.0..=1.0).contains(&pct_start), "OneCycle", || {
            format!("a share of {pct_start}")
        })?;
        Ok(OneCycle { pct_start, ..self })
    }

    /// With another way between the rates; [`Anneal::Cos`].
    pub fn anneal_strategy(self, anneal: Anneal) -> OneCycle {
        OneCycle { anneal, ..self }
    }

    /// Begins at `max_lr / div_factor`; 25.
    pub fn div_factor(self, div_factor: f64) -> OneCycle {
        OneCycle { div_factor, ..self }
    }

    /// Ends at the first rate divided by this; 10⁴.
    pub fn final_div_factor(self, final_div_factor: f64) -> OneCycle {
        OneCycle {
            final_div_factor,
            ..self
        }
    }

    /// Goes down to the first rate in as many steps as up, and then to the last; false.
    pub fn three_phase(self, three_phase: bool) -> OneCycle {
        OneCycle {
            three_phase,
            ..self
        }
    }

    /// With other bounds of the momentum; 0.85 and 0.95.
    pub fn momentums(self, base: f64, max: f64) -> OneCycle {
        OneCycle {
            base_momentum: base,
            max_momentum: max,
            ..self
        }
    }

    /// The momentum of a step, high where the rate is low.
    pub fn momentum(&self, step: u64) -> f64 {
        let (high, low) = (self.max_momentum, self.base_momentum);
        self.at(step, [high, low, high, high])
    }

    /// The value at `step` that is `first`, `peak`, `first` again and `last` at the ends of the phases.
    fn at(&self, step: u64, [first, peak, again, last]: [f64; 4]) -> f64 {
        let (rise, end) = (
            self.pct_start * self.total as f64 - 1.0,
            (self.total - 1) as f64,
        );
        let two = [(0.0, rise, first, peak), (rise, end, peak, last)];
        let back = 2.0 * self.pct_start * self.total as f64 - 2.0;
        let three = [
            (0.0, rise, first, peak),
            (rise, back, peak, again),
            (back, end, again, last),
        ];
        let phases: &[_] = if self.three_phase { &three } else { &two };
        let step = (step as f64).min(end);
        let within = phases
            .iter()
            .find(|(_, to, ..)| step <= *to)
            .or(phases.last());
        let Some(&(from, to, a, b)) = within else {
            return last;
        };
        // A phase of no length is at its end.
        let share = if to > from {
            (step - from) / (to - from)
        } else {
            1.0
        };
        self.anneal.between(a, b, share)
    }
}

impl Schedule for OneCycle {
    fn lr(&self, epoch: u64) -> f64 {
        let first = self.max_lr / self.div_factor;
        self.at(
            epoch,
            [first, self.max_lr, first, first / self.final_div_factor],
        )
    }
}

/// What happens to the height of a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum CyclicMode {
    /// It stays.
    #[default]
    Triangular,
    /// It halves after every cycle.
    Triangular2,
    /// It is multiplied by this after every step.
    ExpRange(f64),
}

/// Up and down along lines, again and again: PyTorch's `CyclicLR`.
#[derive(Clone, Copy, Debug)]
pub struct Cyclic {
    base: f64,
    max: f64,
    up: u64,
    down: u64,
    mode: CyclicMode,
    base_momentum: f64,
    max_momentum: f64,
}

impl Cyclic {
    /// From `base_lr` to `max_lr` and back, 2000 steps each.
    pub fn new(base_lr: f64, max_lr: f64) -> Cyclic {
        Cyclic {
            base: base_lr,
            max: max_lr,
            up: 2000,
            down: 2000,
            mode: CyclicMode::Triangular,
            base_momentum: 0.8,
            max_momentum: 0.9,
        }
    }

    /// With other numbers of steps up and down.
    ///
    /// # Errors
    /// Both are 0.
    pub fn step_sizes(self, up: u64, down: u64) -> Result<Cyclic> {
        require(up.saturating_add(down) > 0, "Cyclic", || {
            "a cycle of 0 steps".into()
        })?;
        Ok(Cyclic { up, down, ..self })
    }

    /// With cycles that get lower.
    pub fn mode(self, mode: CyclicMode) -> Cyclic {
        Cyclic { mode, ..self }
    }

    /// With other bounds of the momentum; 0.8 and 0.9.
    pub fn momentums(self, base: f64, max: f64) -> Cyclic {
        Cyclic {
            base_momentum: base,
            max_momentum: max,
            ..self
        }
    }

    /// The momentum of a step, high where the rate is low.
    pub fn momentum(&self, step: u64) -> f64 {
        self.max_momentum - (self.max_momentum - self.base_momentum) * self.height(step)
    }

    /// 0 at the bottom, at most 1 at the top.
    fn height(&self, step: u64) -> f64 {
        let total = self.up as f64 + self.down as f64;
        let ratio = self.up as f64 / total;
        let cycle = (1.0 + step as f64 / total).floor();
        let x = 1.0 + step as f64 / total - cycle;
        let height = if x <= ratio && ratio > 0.0 {
            x / ratio
        } else {
            (x - 1.0) / (ratio - 1.0)
        };
        height
            * match self.mode {
                CyclicMode::Triangular => 1.0,
                CyclicMode::Triangular2 => 0.5f64.powf(cycle - 1.0),
                CyclicMode::ExpRange(gamma) => gamma.powf(step as f64),
            }
    }
}

impl Schedule for Cyclic {
    fn lr(&self, epoch: u64) -> f64 {
        self.base + (self.max - self.base) * self.height(epoch)
    }
}
