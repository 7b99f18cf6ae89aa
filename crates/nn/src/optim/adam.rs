//! Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as PyTorch has them. With step `t` from 1:
//! `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
//! `p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)`.
//! Adam adds `weight_decay · p` to the gradient; AdamW first multiplies `p` by `1 − lr · weight_decay`.
//! AMSGrad (Reddi et al. 2018) divides by the greatest `v` so far.

use super::optimizer;
use super::state::{State, Update, require};
use wgrad_graph::{Result, Tensor};

/// What both optimisers compute alike.
struct Numbers {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    amsgrad: bool,
}

impl Numbers {
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

    fn moments(&self) -> &'static [&'static str] {
        const ALL: &[&str] = &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
        if self.amsgrad { ALL } else { &ALL[..2] }
    }

    /// `p` less the step, and the new moments.
    #[track_caller]
    fn update(
        &self,
        step: u64,
        p: &Tensor,
        g: &Tensor,
        moments: &[Tensor],
    ) -> (Tensor, Vec<Tensor>) {
        let (beta1, beta2) = self.betas;
        let t = step as f64;
        let (correction1, correction2) = (1.0 - beta1.powf(t), 1.0 - beta2.powf(t));
        let m = &moments[0] * beta1 + g * (1.0 - beta1);
        let v = &moments[1] * beta2 + g.square() * (1.0 - beta2);
        let mut new = vec![m, v];
        if let Some(greatest) = moments.get(2) {
            new.push(greatest.maximum(&new[1]));
        }
        let denominator = new[new.len() - 1].sqrt() / correction2.sqrt() + self.eps;
        (p - &new[0] / denominator * (self.lr / correction1), new)
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
            state: State,
        }

        impl $name {
            /// PyTorch's defaults with this learning rate.
            pub fn new(lr: f64) -> $name {
                let state = State::default();
                $name { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay: $decay, amsgrad: false, maximize: false, state }
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

            fn numbers(&self) -> Numbers {
                Numbers { lr: self.lr, betas: self.betas, eps: self.eps, amsgrad: self.amsgrad }
            }

            fn validate(&self) -> Result<()> {
                self.numbers().validate(self.weight_decay)
            }

            fn moments(&self) -> &'static [&'static str] {
                self.numbers().moments()
            }
        }

        optimizer!($name, $name::moments);
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
        let p = u.parameter;
        let g = u.direction(self.maximize, self.weight_decay);
        self.numbers().update(u.step, p, &g, u.moments)
    }
}

impl AdamW {
    #[track_caller]
    fn update(&self, u: &Update) -> (Tensor, Vec<Tensor>) {
        let shrunk;
        let p = match self.weight_decay {
            0.0 => u.parameter,
            decay => {
                shrunk = u.parameter * (1.0 - self.lr * decay);
                &shrunk
            }
        };
        self.numbers()
            .update(u.step, p, &u.direction(self.maximize, 0.0), u.moments)
    }
}
