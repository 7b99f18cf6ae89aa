//! Draws of classes that have a gradient (Jang et al. 2017; Maddison et al. 2017).

use super::fail;
use crate::{Context, Layer, Module};
use wgrad_graph::{DType, ErrorKind, Tensor};

/// `softmax((x + g) / tau)` with Gumbel noise `g`: a draw of a class by its score, the nearer to one the smaller `tau` is.
/// Draws in training and in evaluation, as PyTorch's `gumbel_softmax`.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Context, GumbelSoftmax};
/// // Classes of probability 0.5, 0.25 and 0.25.
/// let scores = Tensor::new(&[0.5f32, 0.25, 0.25], &Device::cpu()).log().expand(&[20_000, 3]);
/// let draw = GumbelSoftmax { hard: true, ..GumbelSoftmax::default() };
/// let often = draw.forward(&scores, &mut Context::train(0)).mean_dims(&[0], false).to_vec::<f32>()?;
/// assert!(often.iter().zip([0.5, 0.25, 0.25]).all(|(a, b)| (a - b).abs() < 0.02));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct GumbelSoftmax {
    /// Temperature; 1.
    pub tau: f64,
    /// Gives the class drawn as 0 and 1, with the gradient of the softmax; false.
    pub hard: bool,
    /// The dimension of the classes; −1.
    pub dim: isize,
}

impl Default for GumbelSoftmax {
    fn default() -> GumbelSoftmax {
        GumbelSoftmax {
            tau: 1.0,
            hard: false,
            dim: -1,
        }
    }
}

impl GumbelSoftmax {
    /// A draw for each row of scores, of the shape of `x`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let op = "gumbel_softmax";
        if !(self.tau.is_finite() && self.tau > 0.0) {
            let message = format!("tau is {}, not positive", self.tau);
            return fail(op, ErrorKind::Value, message, x);
        }
        if x.check().is_err() || !x.dtype().is_float() {
            let message = format!("takes floats, not {}", x.dtype());
            return fail(op, ErrorKind::DType, message, x);
        }
        // Uniform draws may be 0, whose logarithm is not.
        let uniform = cx.rng.uniform(x.shape(), x.device()).clamp_min(1e-30);
        let noise = -(-uniform.log()).clamp_min(1e-30).log();
        let y = ((x.cast(DType::F32) + noise) / self.tau).softmax(self.dim);
        if !self.hard {
            return y.cast(x.dtype());
        }
        let best = y.argmax(self.dim, true);
        let classes = Tensor::arange(y.size(self.dim), y.device());
        let mut along = vec![1; y.rank()];
        let back = if self.dim < 0 { y.rank() as isize } else { 0 };
        if let Some(n) = along.get_mut((self.dim + back) as usize) {
            *n = -1;
        }
        let one = classes.reshape(&along).eq(&best).cast(DType::F32);
        (one - y.stop_gradient() + &y).cast(x.dtype())
    }
}

impl Layer for GumbelSoftmax {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        GumbelSoftmax::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        format!("GumbelSoftmax(tau={})", self.tau)
    }
}
