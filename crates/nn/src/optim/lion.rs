//! Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2):
//! `c = β₁ m + (1 − β₁) g`, `p ← p − lr · (sign c + weight_decay · p)`, `m ← β₂ m + (1 − β₂) g`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// Lion: steps of one size in every element, along the sign of a momentum. Its learning rate is some three to ten times
/// smaller than Adam's, its weight decay as many times larger.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Lion, Optimizer, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let g = gradients(&p.square().sum(), &p)?;
/// Lion::new(0.25).step(&mut p, &g)?;
/// assert_eq!(p.item::<f32>()?, 0.75);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Lion {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the momentum in the step, and its decay; (0.9, 0.99).
    pub betas: (f64, f64),
    /// Share of the parameter, times the learning rate, that is taken off in each step; 0.
    pub weight_decay: f64,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl Lion {
    /// The paper's defaults with this learning rate.
    pub fn new(lr: f64) -> Lion {
        Lion {
            lr,
            betas: (0.9, 0.99),
            weight_decay: 0.0,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With other decays of the momentum.
    pub fn betas(self, beta1: f64, beta2: f64) -> Lion {
        Lion {
            betas: (beta1, beta2),
            ..self
        }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Lion {
        Lion {
            weight_decay,
            ..self
        }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> Lion {
        Lion { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let beta = |b: f64| (0.0..1.0).contains(&b);
        let fine =
            fits(self.lr) && fits(self.weight_decay) && beta(self.betas.0) && beta(self.betas.1);
        require(fine, || {
            format!(
                "lr {}, betas {:?}, weight decay {}",
                self.lr, self.betas, self.weight_decay
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        vec![("exp_avg", 0.0)]
    }

    /// The learning rate, and what weight decay leaves of a parameter.
    fn numbers(&self, _: u64) -> Vec<f64> {
        vec![self.lr, 1.0 - self.lr * self.weight_decay]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("beta1", self.betas.0),
            ("beta2", self.betas.1),
            ("weight_decay", self.weight_decay),
            ("maximize", f64::from(u8::from(self.maximize))),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let (beta1, beta2) = self.betas;
        let g = u.direction(self.maximize, 0.0);
        let m = &u.moments[0];
        let step = (m * beta1 + &g * (1.0 - beta1)).sign();
        let p = u.shrunk(1, self.weight_decay);
        (p - step * u.number(0), vec![m * beta2 + g * (1.0 - beta2)])
    }
}

optimizer!(Lion);
