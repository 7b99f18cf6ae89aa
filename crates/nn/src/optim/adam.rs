//! Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as PyTorch has them. With step `t` from 1:
//! `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
//! `p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)`.
//! Adam adds `weight_decay · p` to the gradient; AdamW first multiplies `p` by `1 − lr · weight_decay`.
//! AMSGrad (Reddi et al. 2018) divides by the greatest `v` so far.

use super::groups::Groups;
use super::optimizer;
use super::state::{Moment, State, Update, require};
use wgrad_graph::{Result, Tensor};

/// What both optimisers compute alike.
struct Settings {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    amsgrad: bool,
}

impl Settings {
    fn validate(&self, weight_decay: f64) -> Result<()> {
        let beta = |b: f64| (0.0..1.0).contains(&b);
        let fine =
            self.lr.is_finite() && self.lr >= 0.0 && self.eps >= 0.0 && weight_decay.is_finite();
        require(fine && beta(self.betas.0) && beta(self.betas.1), || {
            format!(
                "lr {}, betas {:?}, eps {}, weight decay {weight_decay}",
                self.lr, self.betas, self.eps
            )
        })
    }

    fn moments(&self) -> Vec<Moment> {
        const ALL: [Moment; 3] = [
            ("exp_avg", 0.0),
            ("exp_avg_sq", 0.0),
            ("max_exp_avg_sq", 0.0),
        ];
        ALL[..if self.amsgrad { 3 } else { 2 }].to_vec()
    }

    /// The step's length, the factor that corrects the second moment's root, and what decoupled decay leaves of a
    /// parameter.
    fn of_step(&self, step: u64, weight_decay: f64) -> Vec<f64> {
        let t = step as f64;
        let (beta1, beta2) = self.betas;
        let length = self.lr / (1.0 - beta1.powf(t));
        let kept = 1.0 - self.lr * weight_decay;
        vec![length, (1.0 - beta2.powf(t)).sqrt().recip(), kept]
    }

    /// `p` less the step, and the new moments.
    #[track_caller]
    fn update(&self, u: &Update, p: &Tensor, g: &Tensor) -> (Tensor, Vec<Tensor>) {
        let (beta1, beta2) = self.betas;
        let m = &u.moments[0] * beta1 + g * (1.0 - beta1);
        let v = &u.moments[1] * beta2 + g.square() * (1.0 - beta2);
        let mut new = vec![m, v];
        if let Some(greatest) = u.moments.get(2) {
            new.push(greatest.maximum(&new[1]));
        }
        let denominator = new[new.len() - 1].sqrt() * u.number(1) + self.eps;
        (p - &new[0] / denominator * u.number(0), new)
    }
}

macro_rules! adam {
    ($(#[$doc:meta])* $name:ident, $decay:expr, $decay_doc:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            /// Learning rate.
            pub lr: f64,
            /// Decay of the two moments; (0.9, 0.999).
            pub betas: (f64, f64),
            /// Added to the denominator; 1e-8.
            pub eps: f64,
            #[doc = $decay_doc]
            pub weight_decay: f64,
            /// Divides by the greatest second moment so far; false.
            pub amsgrad: bool,
            /// Ascends instead; false.
            pub maximize: bool,
            groups: Groups,
    state: State,
        }

        impl $name {
            /// PyTorch's defaults with this learning rate.
            pub fn new(lr: f64) -> $name {
                let state = State::default();
                $name { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay: $decay, amsgrad: false, maximize: false, groups: Groups::default(), state }
            }

            /// With other decays of the moments.
            pub fn betas(self, beta1: f64, beta2: f64) -> $name {
                $name { betas: (beta1, beta2), ..self }
            }

            /// With another `eps`.
            pub fn eps(self, eps: f64) -> $name {
                $name { eps, ..self }
            }

            /// With weight decay.
            pub fn weight_decay(self, weight_decay: f64) -> $name {
                $name { weight_decay, ..self }
            }

            /// With AMSGrad; before the first step.
            pub fn amsgrad(self, amsgrad: bool) -> $name {
                $name { amsgrad, ..self }
            }

            /// Ascending the loss.
            pub fn maximize(self, maximize: bool) -> $name {
                $name { maximize, ..self }
            }

            fn settings(&self) -> Settings {
                Settings { lr: self.lr, betas: self.betas, eps: self.eps, amsgrad: self.amsgrad }
            }

            fn validate(&self) -> Result<()> {
                self.settings().validate(self.weight_decay)
            }

            fn moments(&self) -> Vec<Moment> {
                self.settings().moments()
            }

            fn numbers(&self, step: u64) -> Vec<f64> {
                self.settings().of_step(step, self.weight_decay)
            }

            fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
                let flags = [self.amsgrad, self.maximize].map(|f| f64::from(u8::from(f)));
                let (beta1, beta2) = self.betas;
                vec![
                    ("beta1", beta1),
                    ("beta2", beta2),
                    ("eps", self.eps),
                    ("weight_decay", self.weight_decay),
                    ("amsgrad", flags[0]),
                    ("maximize", flags[1]),
                ]
            }
        }

        optimizer!($name);
    };
}

adam! {
    /// Adam, with weight decay as a term of the gradient.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{Adam, Optimizer, gradients};
    /// let mut p = Tensor::new(&[1.0f32], &Device::cpu());
    /// let mut adam = Adam::new(0.1);
    /// for _ in 0..100 {
    ///     let g = gradients(&p.square().sum(), &p)?;
    ///     adam.step(&mut p, &g)?;
    /// }
    /// assert!(p.item::<f32>()?.abs() < 0.1);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    Adam, 0.0, "Factor of the parameter that is added to its gradient; 0."
}

adam! {
    /// Adam with weight decay apart from the gradient.
    ///
    /// ```
    /// use wgrad_nn::AdamW;
    /// assert_eq!(AdamW::new(1e-3).weight_decay, 0.01);
    /// ```
    AdamW, 0.01, "Share of the parameter, times the learning rate, that is taken off in each step; 0.01."
}

impl Adam {
    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let g = u.direction(self.maximize, self.weight_decay);
        self.settings().update(u, u.parameter, &g)
    }
}

impl AdamW {
    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let p = u.shrunk(2, self.weight_decay);
        self.settings()
            .update(u, &p, &u.direction(self.maximize, 0.0))
    }
}
