//! Normalisation over the last dimensions: layer normalisation (Ba, Kiros and Hinton 2016),
//! `y = (x − μ) / √(σ² + ε) · weight + bias` with σ² biased, and by the root mean square alone (Zhang and Sennrich 2019).

use super::{fail, layer};
use crate::{Module, init};
use wgrad_graph::{Device, ErrorKind, Tensor};

/// Normalises over the last dimensions.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct LayerNorm {
    /// Sizes of the last dimensions.
    pub normalized_shape: Vec<usize>,
    /// Scale, of the normalised shape; none if not affine.
    pub weight: Option<Tensor>,
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
        LayerNorm {
            normalized_shape: normalized_shape.to_vec(),
            weight: Some(init::ones(normalized_shape, device)),
            bias: Some(init::zeros(normalized_shape, device)),
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

    /// Without scale and shift.
    pub fn without_affine(self) -> LayerNorm {
        LayerNorm {
            weight: None,
            bias: None,
            ..self
        }
    }

    /// The normalised `x`, of its shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let shape = self.normalized_shape.as_slice();
        if let Some(bad) = misfit("layer_norm", x, shape) {
            return bad;
        }
        x.layer_norm(shape, self.weight.as_ref(), self.bias.as_ref(), self.eps)
    }
}

/// The error of an input that does not end in `shape`.
#[track_caller]
fn misfit(op: &str, x: &Tensor, shape: &[usize]) -> Option<Tensor> {
    if x.shape().ends_with(shape) {
        return None;
    }
    let message = format!(
        "an input of shape {:?} does not end in {shape:?}",
        x.shape()
    );
    Some(fail(op, ErrorKind::Shape, message, x))
}

layer!(LayerNorm, |l| format!(
    "LayerNorm({:?})",
    l.normalized_shape
));

/// Divides by the root mean square over the last dimensions: `x / √(mean(x²) + ε) · weight`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct RmsNorm {
    /// Sizes of the last dimensions.
    pub normalized_shape: Vec<usize>,
    /// Scale, of the normalised shape; none if not affine.
    pub weight: Option<Tensor>,
    /// Added to the mean square.
    pub eps: f64,
}

impl RmsNorm {
    /// With scale 1, and for `eps` the distance from 1 to the next f32, PyTorch's default.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let device = Device::cpu();
    /// let y = wgrad_nn::RmsNorm::new(&[2], &device).eps(0.0).forward(&Tensor::new(&[1.0f32, 7.0], &device));
    /// assert_eq!(y.to_vec::<f32>()?, [0.2, 1.4]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(normalized_shape: &[usize], device: &Device) -> RmsNorm {
        RmsNorm {
            normalized_shape: normalized_shape.to_vec(),
            weight: Some(init::ones(normalized_shape, device)),
            eps: f64::from(f32::EPSILON),
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> RmsNorm {
        RmsNorm { eps, ..self }
    }

    /// Without the scale.
    pub fn without_affine(self) -> RmsNorm {
        RmsNorm {
            weight: None,
            ..self
        }
    }

    /// The normalised `x`, of its shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let shape = self.normalized_shape.as_slice();
        if let Some(bad) = misfit("rms_norm", x, shape) {
            return bad;
        }
        x.rms_norm(shape, self.weight.as_ref(), self.eps)
    }
}

layer!(RmsNorm, |l| format!("RmsNorm({:?})", l.normalized_shape));
