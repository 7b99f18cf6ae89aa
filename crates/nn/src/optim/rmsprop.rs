//! RMSprop (Hinton 2012), as PyTorch has it:
//! `s ← α s + (1 − α) g²`, `a ← α a + (1 − α) g` if centred, `d = g / (√(s − a²) + ε)`,
//! `b ← momentum · b + d`, `p ← p − lr · b`; without momentum `p ← p − lr · d`.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// RMSprop: gradients divided by a moving root mean square.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Optimizer, RmsProp, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let mut optimizer = RmsProp::new(0.05);
/// for _ in 0..20 {
///     let g = gradients(&p.square().sum(), &p)?;
///     optimizer.step(&mut p, &g)?;
/// }
/// assert!(p.item::<f32>()? < 0.5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean square; 0.99.
    pub alpha: f64,
    /// Added to the denominator; 1e-8.
    pub eps: f64,
    /// Factor of the parameter that is added to its gradient; 0.
    pub weight_decay: f64,
    /// Factor of the moment; 0.
    pub momentum: f64,
    /// Divides by the standard deviation instead of the root mean square; false.
    pub centered: bool,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl RmsProp {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: f64) -> RmsProp {
        RmsProp {
            lr,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With another decay of the mean square.
    pub fn alpha(self, alpha: f64) -> RmsProp {
        RmsProp { alpha, ..self }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> RmsProp {
        RmsProp { eps, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> RmsProp {
        RmsProp {
            weight_decay,
            ..self
        }
    }

    /// With momentum; before the first step.
    pub fn momentum(self, momentum: f64) -> RmsProp {
        RmsProp { momentum, ..self }
    }

    /// Divided by the standard deviation; before the first step.
    pub fn centered(self, centered: bool) -> RmsProp {
        RmsProp { centered, ..self }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> RmsProp {
        RmsProp { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let fine = [
            self.lr,
            self.alpha,
            self.eps,
            self.weight_decay,
            self.momentum,
        ]
        .iter()
        .all(|&v| fits(v));
        require(fine, || {
            format!(
                "lr {}, alpha {}, eps {}, weight decay {}, momentum {}",
                self.lr, self.alpha, self.eps, self.weight_decay, self.momentum
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        let mut moments = vec![("square_avg", 0.0)];
        if self.momentum > 0.0 {
            moments.push(("momentum_buffer", 0.0));
        }
        if self.centered {
            moments.push(("grad_avg", 0.0));
        }
        moments
    }

    fn numbers(&self, _: u64) -> Vec<f64> {
        vec![self.lr]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        let flags = [self.centered, self.maximize].map(|f| f64::from(u8::from(f)));
        vec![
            ("alpha", self.alpha),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
            ("momentum", self.momentum),
            ("centered", flags[0]),
            ("maximize", flags[1]),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let g = u.direction(self.maximize, self.weight_decay);
        let mean = |old: &Tensor, new: &Tensor| old * self.alpha + new * (1.0 - self.alpha);
        let mut new = vec![mean(&u.moments[0], &g.square())];
        let centre = self
            .centered
            .then(|| mean(&u.moments[u.moments.len() - 1], &g));
        let square = match &centre {
            // Rounding may take the difference below zero.
            Some(a) => (&new[0] - a.square()).relu(),
            None => new[0].clone(),
        };
        let mut step = g / (square.sqrt() + self.eps);
        if self.momentum > 0.0 {
            step = &u.moments[1] * self.momentum + step;
            new.push(step.clone());
        }
        new.extend(centre);
        (u.parameter - step * u.number(0), new)
    }
}

optimizer!(RmsProp);
