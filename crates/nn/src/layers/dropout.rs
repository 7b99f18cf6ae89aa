//! Inverted dropout (Srivastava et al. 2014): in training each element is 0 with probability `p`, the others are
//! scaled by `1 / (1 − p)`; in evaluation the identity.

use super::fail;
use crate::{Context, Layer, Module};
use wgrad_graph::{ErrorKind, Tensor};

/// Drops elements at random in training.
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct Dropout {
    /// Probability that an element is dropped, in [0, 1].
    pub p: f64,
}

impl Dropout {
    /// Dropping with probability `p`; one outside [0, 1] makes the output invalid.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// use wgrad_nn::{Context, Dropout};
    /// let x = Tensor::ones(&[1000], DType::F32, &Device::cpu());
    /// let y = Dropout::new(0.5).forward(&x, &mut Context::train(0)).to_vec::<f32>()?;
    /// assert!(y.iter().all(|&v| v == 0.0 || v == 2.0));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn new(p: f64) -> Dropout {
        Dropout { p }
    }

    /// `x` with dropped elements; in evaluation, or where `p` is 0, `x` itself.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        if !(0.0..=1.0).contains(&self.p) {
            return fail(
                "dropout",
                ErrorKind::Value,
                format!("p is {}, not within [0, 1]", self.p),
                x,
            );
        }
        if !cx.training || self.p == 0.0 || x.check().is_err() {
            return x.clone();
        }
        let kept = cx.rng.bernoulli(1.0 - self.p, x.shape(), x.device());
        let scale = if self.p == 1.0 {
            0.0
        } else {
            1.0 / (1.0 - self.p)
        };
        let scaled = x * scale;
        Tensor::where_(&kept, &scaled, &scaled.zeros_like())
    }
}

impl Layer for Dropout {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        Dropout::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        format!("Dropout({})", self.p)
    }
}
