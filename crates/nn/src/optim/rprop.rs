//! Rprop (Riedmiller and Braun 1993), as PyTorch has it. Every element has a step size `s`, which starts as `lr`. With the
//! last gradient `q`: where `g q > 0` the step grows by `η₊`; where `g q < 0` it shrinks by `η₋` and the element rests, `g ← 0`;
//! `s` stays within bounds, `p ← p − s · sign g`, `q ← g`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// Rprop: steps by the sign of the gradient alone; for full batches.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, Rprop, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let mut optimizer = Rprop::new(0.05);
/// for _ in 0..20 {
///     let g = gradients(&p.square().sum(), &p)?;
///     optimizer.step(&mut p, &g)?;
/// }
/// assert!(p.item::<f32>()? < 0.3);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Rprop {
    /// Learning rate.
    pub lr: f64,
    /// Factors by which a step shrinks and grows; (0.5, 1.2).
    pub etas: (f64, f64),
    /// Least and greatest step; (1e-6, 50).
    pub step_sizes: (f64, f64),
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl Rprop {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: f64) -> Rprop {
        Rprop {
            lr,
            etas: (0.5, 1.2),
            step_sizes: (1e-6, 50.0),
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With other factors of the step size.
    pub fn etas(self, first: f64, second: f64) -> Rprop {
        Rprop {
            etas: (first, second),
            ..self
        }
    }

    /// With other bounds of the step size.
    pub fn step_sizes(self, first: f64, second: f64) -> Rprop {
        Rprop {
            step_sizes: (first, second),
            ..self
        }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> Rprop {
        Rprop { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let fine = fits(self.lr)
            && 0.0 < self.etas.0
            && self.etas.0 < 1.0
            && 1.0 < self.etas.1
            && self.etas.1.is_finite()
            && fits(self.step_sizes.0)
            && self.step_sizes.0 <= self.step_sizes.1;
        require(fine, || {
            format!(
                "lr {}, etas {:?}, step sizes {:?}",
                self.lr, self.etas, self.step_sizes
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        vec![("prev", 0.0), ("step_size", self.lr)]
    }

    fn numbers(&self, _: u64) -> Vec<f64> {
        Vec::new()
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        let (etas, sizes) = (self.etas, self.step_sizes);
        vec![
            ("eta_minus", etas.0),
            ("eta_plus", etas.1),
            ("min_step", sizes.0),
            ("max_step", sizes.1),
            ("maximize", f64::from(u8::from(self.maximize))),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let g = u.direction(self.maximize, 0.0);
        let size = u.moments[1].clone();
        // The product of signs: that of the gradients may underflow.
        let agree = g.sign() * u.moments[0].sign();
        let (same, opposite) = (agree.gt_scalar(0.0), agree.lt_scalar(0.0));
        let grown = Tensor::where_(&same, &(&size * self.etas.1), &size);
        let moved = Tensor::where_(&opposite, &(&size * self.etas.0), &grown);
        let size = moved.clamp(self.step_sizes.0, self.step_sizes.1);
        let g = Tensor::where_(&opposite, &g.zeros_like(), &g);
        (u.parameter - g.sign() * &size, vec![g, size])
    }
}

optimizer!(Rprop);
