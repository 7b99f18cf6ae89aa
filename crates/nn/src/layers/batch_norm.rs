//! Batch normalisation (Ioffe and Szegedy 2015): `y = (x − μ) / √(σ² + ε) · weight + bias` for each channel.
//! In training μ and σ² are the batch's (σ² biased), and the running statistics move towards them (σ² unbiased) by
//! `momentum`; in evaluation they are the running statistics.

use super::fail;
use crate::{Context, Layer, Module, init};
use wgrad_graph::once::{Once, Wide};
use wgrad_graph::{Device, ErrorKind, Tensor};

/// Batch normalisation over the batch and `D` spatial dimensions: `[batch, channels, …]`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct BatchNorm<const D: usize> {
    /// Scale `[channels]`.
    pub weight: Tensor,
    /// Shift `[channels]`.
    pub bias: Tensor,
    /// Running mean `[channels]`.
    #[module(buffer)]
    pub running_mean: Tensor,
    /// Running variance `[channels]`.
    #[module(buffer)]
    pub running_var: Tensor,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the new batch in the running statistics.
    pub momentum: f64,
}

/// For `[batch, channels]` and `[batch, channels, length]`.
pub type BatchNorm1d = BatchNorm<1>;
/// For `[batch, channels, height, width]`.
pub type BatchNorm2d = BatchNorm<2>;

impl<const D: usize> BatchNorm<D> {
    /// With scale 1, shift 0, running mean 0 and variance 1; `eps` 1e-5 and `momentum` 0.1.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{BatchNorm1d, Context};
    /// let device = Device::cpu();
    /// let mut norm = BatchNorm1d::new(1, &device);
    /// let x = Tensor::from_slice(&[0.0f32, 2.0], &[2, 1], &device);
    /// norm.forward(&x, &mut Context::train(0));
    /// assert_eq!(norm.running_mean.to_vec::<f32>()?, [0.1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(num_features: usize, device: &Device) -> BatchNorm<D> {
        let weight = init::ones(&[num_features], device);
        // Leaves from the start, so that the first training step has the kernels of all others.
        let leaf = |value: f32| match weight.check() {
            Ok(_) => Tensor::new(&vec![value; num_features], device),
            Err(_) => weight.clone(),
        };
        BatchNorm {
            bias: init::zeros(&[num_features], device),
            running_mean: leaf(0.0),
            running_var: leaf(1.0),
            weight,
            eps: 1e-5,
            momentum: 0.1,
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> BatchNorm<D> {
        BatchNorm { eps, ..self }
    }

    /// With another `momentum`.
    pub fn momentum(self, momentum: f64) -> BatchNorm<D> {
        BatchNorm { momentum, ..self }
    }

    /// The normalised `x`, of its shape. In training the running statistics become lazy tensors of the tree, computed
    /// with the optimiser's step; an invalid `x` leaves them as they were.
    #[track_caller]
    pub fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let ranks = if D == 1 { 2..=3 } else { D + 2..=D + 2 };
        let channels = self.weight.numel();
        if !ranks.contains(&x.rank()) || x.size(1) != channels {
            let message = format!(
                "an input of shape {:?} is not [batch, {channels}, {D} dimensions…]",
                x.shape()
            );
            return fail("batch_norm", ErrorKind::Shape, message, x);
        }
        if cx.training {
            self.train(x)
        } else {
            self.evaluate(x)
        }
    }

    #[track_caller]
    fn train(&mut self, x: &Tensor) -> Tensor {
        let over: Vec<isize> = (0..x.rank() as isize).filter(|&d| d != 1).collect();
        let count = x.numel() / x.size(1).max(1);
        if count < 2 {
            let message = "training needs more than one value for each channel".to_string();
            return fail("batch_norm", ErrorKind::Shape, message, x);
        }
        let mean_of = |t: &Tensor| t.sum_dims(&over, true) / count as f64;
        let wide = x.widened();
        let mean = mean_of(&wide);
        let centred = &wide - &mean;
        let var = mean_of(&centred.square());
        let y = self.scale(x, &(centred * (&var + self.eps).rsqrt()));
        if y.check().is_ok() {
            let unbiased = &var * (count as f64 / (count - 1) as f64);
            self.running_mean = self.moved(&self.running_mean, &mean);
            self.running_var = self.moved(&self.running_var, &unbiased);
        }
        y
    }

    #[track_caller]
    fn evaluate(&self, x: &Tensor) -> Tensor {
        let rank = x.rank();
        let mean = per_channel(&self.running_mean, rank);
        let deviation = (per_channel(&self.running_var, rank) + self.eps).rsqrt();
        self.scale(x, &((x.widened() - mean) * deviation))
    }

    /// What is normal, in f32, scaled and shifted, in the dtype of `x`.
    #[track_caller]
    fn scale(&self, x: &Tensor, normal: &Tensor) -> Tensor {
        let y = normal * per_channel(&self.weight, x.rank()) + per_channel(&self.bias, x.rank());
        match Once::of(&[x, &self.weight, &self.bias].map(|t| t.half())) {
            Some(once) => once.round(y),
            None => y,
        }
    }

    /// `(1 − momentum) · old + momentum · new`, through which no gradient flows.
    #[track_caller]
    fn moved(&self, old: &Tensor, new: &Tensor) -> Tensor {
        let new = new.stop_gradient().reshape(&[-1]);
        let moved = old.widened() * (1.0 - self.momentum) + new * self.momentum;
        moved.cast(old.dtype()).replacing(old)
    }
}

/// `[channels]` as `[1, channels, 1, …]`, in f32.
#[track_caller]
fn per_channel(t: &Tensor, rank: usize) -> Tensor {
    let mut shape = vec![1isize; rank];
    shape[1] = -1;
    t.widened().reshape(&shape)
}

impl<const D: usize> Layer for BatchNorm<D> {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        BatchNorm::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        format!("BatchNorm{D}d({})", self.weight.numel())
    }
}
