//! NAdam (Dozat 2016), as PyTorch has it. With step `t` from 1, `μ_t = β₁ (1 − ½ 0.96^(t · momentum_decay))` and
//! `M_t = Π_{i ≤ t} μ_i`: `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`, `d = √(v / (1 − β₂ᵗ)) + ε`,
//! `p ← p − lr ((1 − μ_t) / (1 − M_t) · g + μ_{t+1} / (1 − M_{t+1}) · m) / d`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// NAdam: Adam with Nesterov's momentum.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, NAdam, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let mut optimizer = NAdam::new(0.05);
/// for _ in 0..20 {
///     let g = gradients(&p.square().sum(), &p)?;
///     optimizer.step(&mut p, &g)?;
/// }
/// assert!(p.item::<f32>()? < 0.5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct NAdam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments; (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the denominator; 1e-8.
    pub eps: f64,
    /// Factor of the parameter that is added to its gradient; 0.
    pub weight_decay: f64,
    /// How fast the momentum reaches β₁; 0.004.
    pub momentum_decay: f64,
    /// Weight decay shrinks the parameter apart from the gradient, as AdamW's; false.
    pub decoupled_weight_decay: bool,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl NAdam {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: f64) -> NAdam {
        NAdam {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            momentum_decay: 4e-3,
            decoupled_weight_decay: false,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With other decays of the moments.
    pub fn betas(self, first: f64, second: f64) -> NAdam {
        NAdam {
            betas: (first, second),
            ..self
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> NAdam {
        NAdam { eps, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> NAdam {
        NAdam {
            weight_decay,
            ..self
        }
    }

    /// With another growth of the momentum.
    pub fn momentum_decay(self, momentum_decay: f64) -> NAdam {
        NAdam {
            momentum_decay,
            ..self
        }
    }

    /// With weight decay apart from the gradient.
    pub fn decoupled_weight_decay(self, decoupled_weight_decay: bool) -> NAdam {
        NAdam {
            decoupled_weight_decay,
            ..self
        }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> NAdam {
        NAdam { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let fine = [self.lr, self.eps, self.weight_decay, self.momentum_decay]
            .iter()
            .all(|&v| fits(v))
            && (0.0..1.0).contains(&self.betas.0)
            && (0.0..1.0).contains(&self.betas.1);
        require(fine, || {
            format!(
                "lr {}, betas {:?}, eps {}, weight decay {}, momentum decay {}",
                self.lr, self.betas, self.eps, self.weight_decay, self.momentum_decay
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        vec![("exp_avg", 0.0), ("exp_avg_sq", 0.0)]
    }

    /// The learning rate, the correction of the second moment, the weights of gradient and moment, and what decoupled
    /// decay leaves of a parameter.
    fn numbers(&self, step: u64) -> Vec<f64> {
        let (now, next) = (self.momentum(step), self.momentum(step + 1));
        let product = self.product(step);
        vec![
            self.lr,
            1.0 - self.betas.1.powf(step as f64),
            (1.0 - now) / (1.0 - product),
            next / (1.0 - product * next),
            1.0 - self.lr * self.weight_decay,
        ]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        let flags = [self.decoupled_weight_decay, self.maximize].map(|f| f64::from(u8::from(f)));
        let (beta1, beta2) = self.betas;
        vec![
            ("beta1", beta1),
            ("beta2", beta2),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
            ("momentum_decay", self.momentum_decay),
            ("decoupled_weight_decay", flags[0]),
            ("maximize", flags[1]),
        ]
    }

    /// `μ_t`.
    fn momentum(&self, t: u64) -> f64 {
        self.betas.0 * (1.0 - 0.5 * 0.96f64.powf(t as f64 * self.momentum_decay))
    }

    /// `M_t`. Every factor is below β₁, so that the product soon no longer counts beside 1.
    fn product(&self, t: u64) -> f64 {
        let mut product = 1.0;
        for i in 1..=t {
            product *= self.momentum(i);
            if product < 1e-20 {
                return 0.0;
            }
        }
        product
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let decay = |wanted: bool| if wanted { self.weight_decay } else { 0.0 };
        let g = u.direction(self.maximize, decay(!self.decoupled_weight_decay));
        let p = u.shrunk(4, decay(self.decoupled_weight_decay));
        let (beta1, beta2) = self.betas;
        let m = &u.moments[0] * beta1 + &g * (1.0 - beta1);
        let v = &u.moments[1] * beta2 + g.square() * (1.0 - beta2);
        let denominator = (&v / u.number(1)).sqrt() + self.eps;
        let direction = g * u.number(2) + &m * u.number(3);
        (p - direction / denominator * u.number(0), vec![m, v])
    }
}

optimizer!(NAdam);
