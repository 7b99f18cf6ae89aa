//! The noise of diffusion models: how data are drowned in it, and a step back. Holds numbers, no network.

use crate::layers::fail;
use wgrad_graph::{Device, ErrorKind, Generator, Tensor};

/// A schedule of denoising diffusion (Ho, Jain, Abbeel 2020): step `t` leaves `1 − βₜ` of the variance of what came before, so
/// that `ᾱₜ = Π (1 − β)` of the data's is left.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let diffusion = wgrad_nn::Diffusion::linear(100, 1e-3, 0.1);
/// let x = rng.normal(&[8, 2], &device);
/// let t = rng.integers(0, 100, &[8], &device);
/// let noise = rng.normal(&[8, 2], &device);
/// assert_eq!(diffusion.add_noise(&x, &noise, &t).shape(), [8, 2]);
/// assert!(diffusion.kept[0] > 0.99 && diffusion.kept[99] < 0.01);
/// // At the first step, a network that knows the noise gives back the data.
/// let drowned = diffusion.add_noise(&x, &noise, &t.zeros_like());
/// let back = diffusion.step(&drowned, &noise, 0, rng);
/// assert!((back - x).abs().amax().item::<f32>()? < 1e-4);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Diffusion {
    /// Variance of the noise that each step adds.
    pub beta: Vec<f64>,
    /// Share of the data's variance that is left after each step, `ᾱ`.
    pub kept: Vec<f64>,
}

impl Diffusion {
    /// With `β` from `first` to `last` in equal steps.
    pub fn linear(steps: usize, first: f64, last: f64) -> Diffusion {
        let share = |t: usize| t as f64 / (steps.max(2) - 1) as f64;
        let beta: Vec<f64> = (0..steps)
            .map(|t| first + (last - first) * share(t))
            .collect();
        let kept = beta.iter().scan(1.0, |kept, b| {
            *kept *= 1.0 - b;
            Some(*kept)
        });
        Diffusion {
            kept: kept.collect(),
            beta,
        }
    }

    /// `ᾱ` of all steps, f32 `[steps]`.
    pub fn table(&self, device: &Device) -> Tensor {
        let kept: Vec<f32> = self.kept.iter().map(|&k| k as f32).collect();
        Tensor::new(&kept, device)
    }

    /// `√ᾱ x + √(1 − ᾱ) noise` of data `x [batch, …]` at steps `t [batch]` (integers).
    #[track_caller]
    pub fn add_noise(&self, x: &Tensor, noise: &Tensor, t: &Tensor) -> Tensor {
        let mut kept = self.table(x.device()).index_select(0, t);
        while kept.rank() < x.rank() {
            kept = kept.unsqueeze(-1);
        }
        x * kept.sqrt() + noise * (1.0 - &kept).sqrt()
    }

    /// From `x` at step `t` to the step before, with the noise that a network says is in it:
    /// `(x − β / √(1 − ᾱ) noise) / √(1 − β) + √β z`, and no `z` at step 0.
    #[track_caller]
    pub fn step(&self, x: &Tensor, noise: &Tensor, t: usize, rng: &mut Generator) -> Tensor {
        let (Some(&beta), Some(&kept)) = (self.beta.get(t), self.kept.get(t)) else {
            let message = format!("no step {t} of {}", self.beta.len());
            return fail("diffusion_step", ErrorKind::Value, message, x);
        };
        let mean = (x - noise * (beta / (1.0 - kept).sqrt())) / (1.0 - beta).sqrt();
        match t {
            0 => mean,
            _ => mean + rng.normal(x.shape(), x.device()) * beta.sqrt(),
        }
    }
}
