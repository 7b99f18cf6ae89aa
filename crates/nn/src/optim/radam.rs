//! RAdam (Liu et al. 2020), as PyTorch has it. With step `t` from 1, `ρ∞ = 2 / (1 − β₂) − 1` and
//! `ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)`: `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`, `m̂ = m / (1 − β₁ᵗ)`,
//! `p ← p − lr · m̂ · r √(1 − β₂ᵗ) / (√v + ε)` with `r² = (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ)` if `ρ > 5`, else
//! `p ← p − lr · m̂`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// RAdam: Adam that begins without its second moment, until that is reliable.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, RAdam, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let mut optimizer = RAdam::new(0.05);
/// for _ in 0..20 {
///     let g = gradients(&p.square().sum(), &p)?;
///     optimizer.step(&mut p, &g)?;
/// }
/// assert!(p.item::<f32>()? < 0.9);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct RAdam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments; (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-8.
    pub eps: f64,
    /// Factor of the parameter that is added to its gradient; 0.
    pub weight_decay: f64,
    /// Weight decay shrinks the parameter apart from the gradient, as AdamW's; false.
    pub decoupled_weight_decay: bool,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl RAdam {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: f64) -> RAdam {
        RAdam {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With other decays of the moments.
    pub fn betas(self, first: f64, second: f64) -> RAdam {
        RAdam {
            betas: (first, second),
            ..self
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> RAdam {
        RAdam { eps, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> RAdam {
        RAdam {
            weight_decay,
            ..self
        }
    }

    /// With weight decay apart from the gradient.
    pub fn decoupled_weight_decay(self, decoupled_weight_decay: bool) -> RAdam {
        RAdam {
            decoupled_weight_decay,
            ..self
        }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> RAdam {
        RAdam { maximize, ..self }
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
        vec![("exp_avg", 0.0), ("exp_avg_sq", 0.0)]
    }

    /// The weights of the plain and of the adaptive step, one of which is 0, and what decoupled decay leaves.
    fn numbers(&self, step: u64) -> Vec<f64> {
        let t = step as f64;
        let lr = self.lr / (1.0 - self.betas.0.powf(t));
        let correction = (1.0 - self.betas.1.powf(t)).sqrt();
        let (plain, adaptive) = match self.rectification(step) {
            Some(r) => (0.0, lr * r * correction),
            None => (lr, 0.0),
        };
        vec![plain, adaptive, 1.0 - self.lr * self.weight_decay]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        let flags = [self.decoupled_weight_decay, self.maximize].map(|f| f64::from(u8::from(f)));
        let (beta1, beta2) = self.betas;
        vec![
            ("beta1", beta1),
            ("beta2", beta2),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
            ("decoupled_weight_decay", flags[0]),
            ("maximize", flags[1]),
        ]
    }

    /// `r`, once the variance of the second moment is finite.
    fn rectification(&self, step: u64) -> Option<f64> {
        let (t, beta2) = (step as f64, self.betas.1);
        let limit = 2.0 / (1.0 - beta2) - 1.0;
        let power = beta2.powf(t);
        let length = limit - 2.0 * t * power / (1.0 - power);
        let of = |rho: f64| (rho - 4.0) * (rho - 2.0) / rho;
        (length > 5.0).then(|| (of(length) / of(limit)).sqrt())
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let decay = |wanted: bool| if wanted { self.weight_decay } else { 0.0 };
        let g = u.direction(self.maximize, decay(!self.decoupled_weight_decay));
        let p = u.shrunk(2, decay(self.decoupled_weight_decay));
        let (beta1, beta2) = self.betas;
        let m = &u.moments[0] * beta1 + &g * (1.0 - beta1);
        let v = &u.moments[1] * beta2 + g.square() * (1.0 - beta2);
        let adaptive = &m / (v.sqrt() + self.eps) * u.number(1);
        (p - (&m * u.number(0) + adaptive), vec![m, v])
    }
}

optimizer!(RAdam);
