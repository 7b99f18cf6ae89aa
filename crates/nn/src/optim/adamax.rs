//! Adamax (Kingma and Ba 2015, §7.1), as PyTorch has it. With step `t` from 1:
//! `m ← β₁ m + (1 − β₁) g`, `u ← max(β₂ u, |g| + ε)`, `p ← p − lr / (1 − β₁ᵗ) · m / u`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// Adamax: Adam with the greatest gradient instead of the mean square.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, Adamax, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let mut optimizer = Adamax::new(0.05);
/// for _ in 0..20 {
///     let g = gradients(&p.square().sum(), &p)?;
///     optimizer.step(&mut p, &g)?;
/// }
/// assert!(p.item::<f32>()? < 0.5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Adamax {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments; (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-8.
    pub eps: f64,
    /// Factor of the parameter that is added to its gradient; 0.
    pub weight_decay: f64,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl Adamax {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: f64) -> Adamax {
        Adamax {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With other decays of the moments.
    pub fn betas(self, first: f64, second: f64) -> Adamax {
        Adamax {
            betas: (first, second),
            ..self
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> Adamax {
        Adamax { eps, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Adamax {
        Adamax {
            weight_decay,
            ..self
        }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> Adamax {
        Adamax { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let fine = [self.lr, self.eps, self.weight_decay]
            .iter()
            .all(|&v| fits(v))
            && (0.0..1.0).contains(&self.betas.0)
            && (0.0..1.0).contains(&self.betas.1);
        require(fine, || {
            format!(
                "lr {}, betas {:?}, eps {}, weight decay {}",
                self.lr, self.betas, self.eps, self.weight_decay
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        vec![("exp_avg", 0.0), ("exp_inf", 0.0)]
    }

    fn numbers(&self, step: u64) -> Vec<f64> {
        vec![self.lr / (1.0 - self.betas.0.powf(step as f64))]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        let (beta1, beta2) = self.betas;
        vec![
            ("beta1", beta1),
            ("beta2", beta2),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
            ("maximize", f64::from(u8::from(self.maximize))),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let g = u.direction(self.maximize, self.weight_decay);
        let (beta1, beta2) = self.betas;
        let m = &u.moments[0] * beta1 + &g * (1.0 - beta1);
        let greatest = (&u.moments[1] * beta2).maximum(&(g.abs() + self.eps));
        let step = &m / &greatest * u.number(0);
        (u.parameter - step, vec![m, greatest])
    }
}

optimizer!(Adamax);
