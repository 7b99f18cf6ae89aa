//! LAMB (You et al. 2020, "Large Batch Optimization for Deep Learning", algorithm 2, φ the identity). With step `t` from 1:
//! `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
//! `r = (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε) + weight_decay · p`,
//! `p ← p − lr · ‖p‖ / ‖r‖ · r`, the quotient of norms being 1 where either is 0.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// LAMB: Adam whose step has the length of the parameter, tensor by tensor, for large batches.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Lamb, Optimizer, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let g = gradients(&p.square().sum(), &p)?;
/// Lamb::new(0.25).step(&mut p, &g)?;
/// assert!((p.item::<f32>()? - 0.75).abs() < 1e-5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Lamb {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments; (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-6.
    pub eps: f64,
    /// Factor of the parameter that is added to its step; 0.01.
    pub weight_decay: f64,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl Lamb {
    /// The paper's defaults with this learning rate.
    pub fn new(lr: f64) -> Lamb {
        Lamb {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-6,
            weight_decay: 0.01,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With other decays of the moments.
    pub fn betas(self, beta1: f64, beta2: f64) -> Lamb {
        Lamb {
            betas: (beta1, beta2),
            ..self
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> Lamb {
        Lamb { eps, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Lamb {
        Lamb {
            weight_decay,
            ..self
        }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> Lamb {
        Lamb { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let beta = |b: f64| (0.0..1.0).contains(&b);
        let numbers = [self.lr, self.eps, self.weight_decay];
        let fine = numbers.iter().all(|&v| fits(v)) && beta(self.betas.0) && beta(self.betas.1);
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

    /// The learning rate, and the factors that correct the first moment and the second one's root.
    fn numbers(&self, step: u64) -> Vec<f64> {
        let t = step as f64;
        let (beta1, beta2) = self.betas;
        let first = (1.0 - beta1.powf(t)).recip();
        vec![self.lr, first, (1.0 - beta2.powf(t)).sqrt().recip()]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("beta1", self.betas.0),
            ("beta2", self.betas.1),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
            ("maximize", f64::from(u8::from(self.maximize))),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let (beta1, beta2) = self.betas;
        let p = u.parameter;
        let g = u.direction(self.maximize, 0.0);
        let m = &u.moments[0] * beta1 + &g * (1.0 - beta1);
        let v = &u.moments[1] * beta2 + g.square() * (1.0 - beta2);
        let adam = &m * u.number(1) / (v.sqrt() * u.number(2) + self.eps);
        let r = match self.weight_decay == 0.0 {
            true => adam,
            false => adam + p * self.weight_decay,
        };
        let norm = |t: &Tensor| t.square().sum().sqrt();
        let (length, step) = (norm(p), norm(&r));
        let both = length.gt_scalar(0.0).logical_and(&step.gt_scalar(0.0));
        let one = step.ones_like();
        let trust = Tensor::where_(&both, &(length / Tensor::where_(&both, &step, &one)), &one);
        (p - r * (trust * u.number(0)), vec![m, v])
    }
}

optimizer!(Lamb);
