//! Delta-bar-delta (Jacobs 1988, "Increased Rates of Convergence Through Learning Rate Adaptation"). Every element has a
//! learning rate `lr · gain`, whose gain starts at 1. With the gradient `g` and the average `b` of those before it:
//! `gain ← gain + κ` where `b g > 0`, `gain · (1 − φ)` where `b g < 0`; `p ← p − lr · gain · g`; `b ← θ b + (1 − θ) g`.
//! Jacobs' own κ is `lr · κ` here, so that a schedule of the rate goes through all of it.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, fits, require};
use wgrad_graph::{Result, Tensor};

/// Delta-bar-delta: gradient descent with a learning rate for each element, which grows while its gradients agree.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{DeltaBarDelta, Optimizer, gradients};
/// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
/// let mut optimizer = DeltaBarDelta::new(0.125).kappa(0.5);
/// for want in [0.75, 0.46875] {
///     let g = gradients(&p.square().sum(), &p)?;
///     optimizer.step(&mut p, &g)?;
///     assert_eq!(p.item::<f32>()?, want);
/// }
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct DeltaBarDelta {
    /// Learning rate where the gain is 1.
    pub lr: f64,
    /// What is added to the gain of an element whose gradients agree; 0.05.
    pub kappa: f64,
    /// The share of the gain that is taken off where they do not; 0.05.
    pub phi: f64,
    /// Decay of the average; 0.7.
    pub theta: f64,
    /// Ascends instead; false.
    pub maximize: bool,
    groups: Groups,
    state: State,
}

impl DeltaBarDelta {
    /// With this learning rate at the start.
    pub fn new(lr: f64) -> DeltaBarDelta {
        DeltaBarDelta {
            lr,
            kappa: 0.05,
            phi: 0.05,
            theta: 0.7,
            maximize: false,
            groups: Groups::default(),
            state: State::default(),
        }
    }

    /// With another growth of the gains.
    pub fn kappa(self, kappa: f64) -> DeltaBarDelta {
        DeltaBarDelta { kappa, ..self }
    }

    /// With another fall of the gains.
    pub fn phi(self, phi: f64) -> DeltaBarDelta {
        DeltaBarDelta { phi, ..self }
    }

    /// With another decay of the average.
    pub fn theta(self, theta: f64) -> DeltaBarDelta {
        DeltaBarDelta { theta, ..self }
    }

    /// Ascending the loss.
    pub fn maximize(self, maximize: bool) -> DeltaBarDelta {
        DeltaBarDelta { maximize, ..self }
    }

    fn validate(&self) -> Result<()> {
        let share = |v: f64| (0.0..1.0).contains(&v);
        let fine = fits(self.lr) && fits(self.kappa) && share(self.phi) && share(self.theta);
        require(fine, || {
            format!(
                "lr {}, kappa {}, phi {}, theta {}",
                self.lr, self.kappa, self.phi, self.theta
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        vec![("delta_bar", 0.0), ("gain", 1.0)]
    }

    fn numbers(&self, _: u64) -> Vec<f64> {
        vec![self.lr]
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("kappa", self.kappa),
            ("phi", self.phi),
            ("theta", self.theta),
            ("maximize", f64::from(u8::from(self.maximize))),
        ]
    }

    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let g = u.direction(self.maximize, 0.0);
        let (bar, gain) = (&u.moments[0], &u.moments[1]);
        // The product of signs: that of the numbers may underflow.
        let agree = bar.sign() * g.sign();
        let grown = Tensor::where_(&agree.gt_scalar(0.0), &(gain + self.kappa), gain);
        let fallen = gain * (1.0 - self.phi);
        let gain = Tensor::where_(&agree.lt_scalar(0.0), &fallen, &grown);
        let new = u.parameter - &gain * &g * u.number(0);
        (new, vec![bar * self.theta + g * (1.0 - self.theta), gain])
    }
}

optimizer!(DeltaBarDelta);
