//! Layer normalisation (Ba, Kiros and Hinton 2016): `y = (x − μ) / √(σ² + ε) · weight + bias` over the last
//! dimensions, σ² biased.

use super::{fail, layer};
use crate::{Module, init};
use wgrad_graph::{Device, ErrorKind, Tensor};

/// Normalises over the last dimensions, which have the shape of `weight`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct LayerNorm {
    /// Scale, of the normalised shape.
    pub weight: Tensor,
    /// Shift, of the normalised shape.
    pub bias: Option<Tensor>,
    /// Added to the variance.
    pub eps: f64,
}

impl LayerNorm {
    /// With scale 1, shift 0 and `eps` 1e-5.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let device = Device::cpu();
    /// let y = wgrad_nn::LayerNorm::new(&[2], &device).eps(0.0).forward(&Tensor::new(&[1.0f32, 5.0], &device));
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(normalized_shape: &[usize], device: &Device) -> LayerNorm {
        let bias = init::zeros(normalized_shape, device);
        LayerNorm {
            weight: init::ones(normalized_shape, device),
            bias: Some(bias),
            eps: 1e-5,
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> LayerNorm {
        LayerNorm { eps, ..self }
    }

    /// Without the shift.
    pub fn without_bias(self) -> LayerNorm {
        LayerNorm { bias: None, ..self }
    }

    /// The normalised `x`, of its shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let shape = self.weight.shape();
        if !x.shape().ends_with(shape) {
            let message = format!(
                "an input of shape {:?} does not end in {shape:?}",
                x.shape()
            );
            return fail("layer_norm", ErrorKind::Shape, message, x);
        }
        x.layer_norm(shape, Some(&self.weight), self.bias.as_ref(), self.eps)
    }
}

layer!(LayerNorm, |l| format!("LayerNorm({:?})", l.weight.shape()));
