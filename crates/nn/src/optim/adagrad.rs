//! Adagrad (Duchi et al. 2011), as PyTorch has it. With step `t` from 1:
//! `s ← s + g²`, `p ← p − lr / (1 + (t − 1) lr_decay) · g / (√s + ε)`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// Adagrad: every element has a learning rate that falls with its gradients so far.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, Adagrad, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let mut optimizer = Adagrad::new(0.1);
/// for _ in 0..20 {
///     let g = gradients(&p.square().sum(), &p)?;
///     optimizer.step(&mut p, &g)?;
/// }
/// assert!(p.item::<f32>()? < 0.5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Adagrad {
    /// Learning rate.
    pub lr: f64,
    /// How fast the learning rate falls; 0.
    pub lr_decay: f64,
    /// Factor of the parameter that is added to its gradient; 0.
    pub weight_decay: f64,
    /// What the sum of squares starts from; 0.
    pub initial_accumulator_value: f64,
    /// Added to the denominator; 1e-10.
    pub eps: f64,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl Adagrad {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: f64) -> Adagrad {
        Adagrad {
            lr,
            lr_decay: 0.0,
            weight_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With a falling learning rate.
    pub fn lr_decay(self, lr_decay: f64) -> Adagrad {
        Adagrad { lr_decay, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Adagrad {
        Adagrad {
            weight_decay,
            ..self
        }
    }

    /// With another start of the sum of squares; before the first step.
    pub fn initial_accumulator_value(self, initial_accumulator_value: f64) -> Adagrad {
        Adagrad {
            initial_accumulator_value,
            ..self
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> Adagrad {
        Adagrad { eps, ..self }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> Adagrad {
        Adagrad { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let fine = [
            self.lr,
            self.lr_decay,
            self.weight_decay,
            self.initial_accumulator_value,
            self.eps,
        ]
        .iter()
        .all(|&v| fits(v));
        require(fine, || {
            format!(
                "lr {}, lr decay {}, weight decay {}, initial accumulator value {}, eps {}",
                self.lr, self.lr_decay, self.weight_decay, self.initial_accumulator_value, self.eps
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        vec![("sum", self.initial_accumulator_value)]
    }

    fn numbers(&self, step: u64) -> Vec<f64> {
        vec![self.lr / (1.0 + (step - 1) as f64 * self.lr_decay)]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("weight_decay", self.weight_decay),
            ("eps", self.eps),
            ("maximize", f64::from(u8::from(self.maximize))),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let g = u.direction(self.maximize, self.weight_decay);
        let sum = &u.moments[0] + g.square();
        let step = g / (sum.sqrt() + self.eps) * u.number(0);
        (u.parameter - step, vec![sum])
    }
}

optimizer!(Adagrad);
