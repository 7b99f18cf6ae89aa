//! `y = x Wᵀ + b`.

use super::layer;
use crate::Module;
use crate::init::symmetric;
use wgrad_graph::{Device, Generator, Tensor};

/// A linear map of the last dimension: `[…, in_features]` to `[…, out_features]`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Tensor,
    /// `[out_features]`.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// With weight and bias drawn from `U(±1/√in_features)`, PyTorch's default.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let linear = wgrad_nn::Linear::new(3, 2, &mut Generator::new(0), &device);
    /// let y = linear.forward(&Tensor::ones(&[5, 3], DType::F32, &device));
    /// assert_eq!(y.shape(), [5, 2]);
    /// ```
    #[track_caller]
    pub fn new(
        in_features: usize,
        out_features: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> Linear {
        let bound = 1.0 / (in_features.max(1) as f64).sqrt();
        let weight = symmetric(&[out_features, in_features], bound, rng, device);
        let bias = symmetric(&[out_features], bound, rng, device);
        Linear {
            weight,
            bias: Some(bias),
        }
    }

    /// Without the bias.
    pub fn without_bias(self) -> Linear {
        Linear { bias: None, ..self }
    }

    /// `x [… , in_features]` to `[…, out_features]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }
}

layer!(Linear, |l| format!(
    "Linear({}, {})",
    l.weight.size(1),
    l.weight.size(0)
));
