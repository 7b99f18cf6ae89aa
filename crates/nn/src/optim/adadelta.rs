//! Adadelta (Zeiler 2012), as PyTorch has it:
//! `s ← ρ s + (1 − ρ) g²`, `d = √(a + ε) / √(s + ε) · g`, `a ← ρ a + (1 − ρ) d²`, `p ← p − lr · d`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// Adadelta: steps in the units of the parameter, from moving averages of both.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, Adadelta, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let mut optimizer = Adadelta::new(1.0).eps(1e-3);
/// for _ in 0..20 {
///     let g = gradients(&p.square().sum(), &p)?;
///     optimizer.step(&mut p, &g)?;
/// }
/// assert!(p.item::<f32>()? < 0.9);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Adadelta {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the averages; 0.9.
    pub rho: f64,
    /// Added to the denominator; 1e-6.
    pub eps: f64,
    /// Factor of the parameter that is added to its gradient; 0.
    pub weight_decay: f64,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl Adadelta {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: f64) -> Adadelta {
        Adadelta {
            lr,
            rho: 0.9,
            eps: 1e-6,
            weight_decay: 0.0,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With another decay of the averages.
    pub fn rho(self, rho: f64) -> Adadelta {
        Adadelta { rho, ..self }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> Adadelta {
        Adadelta { eps, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Adadelta {
        Adadelta {
            weight_decay,
            ..self
        }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> Adadelta {
        Adadelta { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let fine = [self.lr, self.rho, self.eps, self.weight_decay]
            .iter()
            .all(|&v| fits(v))
            && self.rho <= 1.0;
        require(fine, || {
            format!(
                "lr {}, rho {}, eps {}, weight decay {}",
                self.lr, self.rho, self.eps, self.weight_decay
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        vec![("square_avg", 0.0), ("acc_delta", 0.0)]
    }

    fn numbers(&self, _: u64) -> Vec<f64> {
        vec![self.lr]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("rho", self.rho),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
            ("maximize", f64::from(u8::from(self.maximize))),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let g = u.direction(self.maximize, self.weight_decay);
        let mean = |old: &Tensor, new: &Tensor| old * self.rho + new * (1.0 - self.rho);
        let square = mean(&u.moments[0], &g.square());
        let delta = (&u.moments[1] + self.eps).sqrt() / (&square + self.eps).sqrt() * g;
        let sum = mean(&u.moments[1], &delta.square());
        (u.parameter - delta * u.number(0), vec![square, sum])
    }
}

optimizer!(Adadelta);
