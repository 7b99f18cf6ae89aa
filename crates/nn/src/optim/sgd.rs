//! Stochastic gradient descent, with momentum as PyTorch has it (Sutskever et al. 2013 with the learning rate outside):
//! `g ← g + weight_decay · p`, `b ← momentum · b + (1 − dampening) · g` (the first `b` is `g`),
//! `p ← p − lr · (g + momentum · b if nesterov, else b)`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, require};
use wgrad_graph::{Result, Tensor};

/// Stochastic gradient descent.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, Sgd, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let g = gradients(&p.square().sum(), &p)?;
/// Sgd::new(0.25).step(&mut p, &g)?;
/// assert_eq!(p.to_vec::<f32>()?, [0.5]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Factor of the moment; 0.
    pub momentum: f64,
    /// Damps what enters the moment; 0.
    pub dampening: f64,
    /// Factor of the parameter that is added to its gradient; 0.
    pub weight_decay: f64,
    /// Looks one moment ahead; needs momentum and no dampening.
    pub nesterov: bool,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new(lr: f64) -> Sgd {
        let state = State::default();
        Sgd {
            lr,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            maximize: false,
            groups: Groups::default(),
            state,
        }
    }

    /// With momentum.
    pub fn momentum(self, momentum: f64) -> Sgd {
        Sgd { momentum, ..self }
    }

    /// With dampening.
    pub fn dampening(self, dampening: f64) -> Sgd {
        Sgd { dampening, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Sgd {
        Sgd {
            weight_decay,
            ..self
        }
    }

    /// With Nesterov's momentum.
    pub fn nesterov(self, nesterov: bool) -> Sgd {
        Sgd { nesterov, ..self }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> Sgd {
        Sgd { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let all = [self.lr, self.momentum, self.dampening, self.weight_decay];
        require(
            all.iter().all(|v| v.is_finite()) && self.lr >= 0.0 && self.momentum >= 0.0,
            || {
                format!(
                    "lr {}, momentum {}, dampening {}, weight decay {}",
                    all[0], all[1], all[2], all[3]
                )
            },
        )?;
        let fits = !self.nesterov || (self.momentum > 0.0 && self.dampening == 0.0);
        require(fits, || {
            "nesterov needs a momentum and no dampening".to_string()
        })
    }

    fn moments(&self) -> Vec<Moment> {
        if self.momentum == 0.0 {
            Vec::new()
        } else {
            vec![("momentum_buffer", 0.0)]
        }
    }

    /// The learning rate, and the weight of the gradient in the moment: the first moment is the gradient itself, zeros
    /// before it, and nothing damped.
    fn numbers(&self, step: u64) -> Vec<f64> {
        let weight = if step == 1 { 1.0 } else { 1.0 - self.dampening };
        vec![self.lr, weight]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        let flags = [self.nesterov, self.maximize].map(|f| f64::from(u8::from(f)));
        vec![
            ("momentum", self.momentum),
            ("dampening", self.dampening),
            ("weight_decay", self.weight_decay),
            ("nesterov", flags[0]),
            ("maximize", flags[1]),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let p = u.parameter;
        let g = u.direction(self.maximize, self.weight_decay);
        let Some(old) = u.moments.first() else {
            return (p - g * u.number(0), Vec::new());
        };
        let damped = if self.dampening == 0.0 {
            g.clone()
        } else {
            &g * u.number(1)
        };
        let buffer = old * self.momentum + damped;
        let direction = if self.nesterov {
            g + &buffer * self.momentum
        } else {
            buffer.clone()
        };
        (p - direction * u.number(0), vec![buffer])
    }
}

optimizer!(Sgd);
