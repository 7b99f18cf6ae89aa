//! Batch normalisation (Ioffe and Szegedy 2015): `y = (x − μ) / √(σ² + ε) · weight + bias` for each channel.
//! In training μ and σ² are the batch's (σ² biased), and the running statistics move towards them (σ² unbiased) by
//! `momentum`; in evaluation they are the running statistics.

use super::fail;
use crate::{Context, Layer, Module, init};
use wgrad_graph::once::{Once, Wide};
use wgrad_graph::{DType, Device, ErrorKind, Tensor};

/// Batch normalisation over the batch and `D` spatial dimensions: `[batch, channels, …]`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct BatchNorm<const D: usize> {
    /// How many channels.
    pub num_features: usize,
    /// Scale `[channels]`; none if not affine.
    pub weight: Option<Tensor>,
    /// Shift `[channels]`; none if not affine.
    pub bias: Option<Tensor>,
    /// Running mean `[channels]`; without it evaluation uses the batch's statistics too.
    #[module(buffer)]
    pub running_mean: Option<Tensor>,
    /// Running variance `[channels]`.
    #[module(buffer)]
    pub running_var: Option<Tensor>,
    /// Batches that a cumulative average has seen (i32); kept only where `momentum` is `None`.
    #[module(buffer)]
    pub num_batches_tracked: Option<Tensor>,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the new batch in the running statistics; `None` for the average of all batches.
    pub momentum: Option<f64>,
}

/// For `[batch, channels]` and `[batch, channels, length]`.
pub type BatchNorm1d = BatchNorm<1>;
/// For `[batch, channels, height, width]`.
pub type BatchNorm2d = BatchNorm<2>;
/// For `[batch, channels, depth, height, width]`.
pub type BatchNorm3d = BatchNorm<3>;

/// Running statistics before any batch: leaves from the start, so that the first training step has the kernels of all
/// others.
pub(super) struct Running {
    pub(super) mean: Tensor,
    pub(super) var: Tensor,
}

impl Running {
    #[track_caller]
    pub(super) fn new(channels: usize, device: &Device) -> Running {
        // A size that is too large is said before memory is asked for.
        let probe = init::ones(&[channels], device);
        let leaf = |value: f32| match probe.check() {
            Ok(_) => Tensor::new(&vec![value; channels], device),
            Err(_) => probe.clone(),
        };
        Running {
            mean: leaf(0.0),
            var: leaf(1.0),
        }
    }
}

/// `(1 − momentum) · old + momentum · new`, through which no gradient flows.
#[track_caller]
pub(super) fn moved(old: &Tensor, new: &Tensor, momentum: f64) -> Tensor {
    let new = new.stop_gradient().reshape(&[-1]);
    let moved = old.widened() * (1.0 - momentum) + new * momentum;
    moved.cast(old.dtype()).replacing(old)
}

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
    /// assert_eq!(norm.running_mean.unwrap().to_vec::<f32>()?, [0.1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(num_features: usize, device: &Device) -> BatchNorm<D> {
        let running = Running::new(num_features, device);
        BatchNorm {
            num_features,
            weight: Some(init::ones(&[num_features], device)),
            bias: Some(init::zeros(&[num_features], device)),
            running_mean: Some(running.mean),
            running_var: Some(running.var),
            num_batches_tracked: None,
            eps: 1e-5,
            momentum: Some(0.1),
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> BatchNorm<D> {
        BatchNorm { eps, ..self }
    }

    /// With another `momentum`; `None` makes the running statistics the averages of all batches so far.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{BatchNorm1d, Context};
    /// let (device, cx) = (Device::cpu(), &mut Context::train(0));
    /// let mut norm = BatchNorm1d::new(1, &device).momentum(None);
    /// for v in [1.0f32, 2.0, 6.0] {
    ///     norm.forward(&Tensor::from_slice(&[v, v], &[2, 1], &device), cx);
    /// }
    /// assert_eq!(norm.running_mean.unwrap().to_vec::<f32>()?, [3.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn momentum(self, momentum: impl Into<Option<f64>>) -> BatchNorm<D> {
        let momentum = momentum.into();
        let num_batches_tracked = match (momentum, &self.running_mean) {
            (None, Some(mean)) => Some(Tensor::from_slice(&[0i32], &[], mean.device())),
            _ => None,
        };
        BatchNorm {
            momentum,
            num_batches_tracked,
            ..self
        }
    }

    /// Without scale and shift.
    pub fn without_affine(self) -> BatchNorm<D> {
        BatchNorm {
            weight: None,
            bias: None,
            ..self
        }
    }

    /// Without running statistics: evaluation uses the batch's, as training does.
    pub fn without_running_stats(self) -> BatchNorm<D> {
        BatchNorm {
            running_mean: None,
            running_var: None,
            num_batches_tracked: None,
            ..self
        }
    }

    /// The normalised `x`, of its shape. In training the running statistics become lazy tensors of the tree, computed
    /// with the optimiser's step; an invalid `x` leaves them as they were.
    #[track_caller]
    pub fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let ranks = if D == 1 { 2..=3 } else { D + 2..=D + 2 };
        let channels = self.num_features;
        if !ranks.contains(&x.rank()) || x.size(1) != channels {
            let message = format!(
                "an input of shape {:?} is not [batch, {channels}, {D} dimensions…]",
                x.shape()
            );
            return fail("batch_norm", ErrorKind::Shape, message, x);
        }
        match (&self.running_mean, &self.running_var) {
            (Some(mean), Some(var)) if !cx.training => self.evaluate(x, mean, var),
            _ => self.train(x, cx.training),
        }
    }

    #[track_caller]
    fn train(&mut self, x: &Tensor, track: bool) -> Tensor {
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
        if track && y.check().is_ok() {
            let unbiased = &var * (count as f64 / (count - 1) as f64);
            self.track(&mean, &unbiased);
        }
        y
    }

    /// Moves the running statistics, where there are some.
    #[track_caller]
    fn track(&mut self, new_mean: &Tensor, new_var: &Tensor) {
        let (Some(mean), Some(var)) = (&self.running_mean, &self.running_var) else {
            return;
        };
        let (mean, var) = match (self.momentum, &self.num_batches_tracked) {
            (Some(momentum), _) => (
                moved(mean, new_mean, momentum),
                moved(var, new_var, momentum),
            ),
            (None, Some(count)) => {
                let count = (count + 1).replacing(count);
                let seen = count.cast(DType::F32);
                self.num_batches_tracked = Some(count);
                let averaged = |old: &Tensor, new: &Tensor| {
                    let new = new.stop_gradient().reshape(&[-1]);
                    let old_wide = old.widened();
                    let moved = &old_wide + (new - &old_wide) / &seen;
                    moved.cast(old.dtype()).replacing(old)
                };
                (averaged(mean, new_mean), averaged(var, new_var))
            }
            // Without a count there is nothing that an average could start from.
            (None, None) => return,
        };
        (self.running_mean, self.running_var) = (Some(mean), Some(var));
    }

    #[track_caller]
    fn evaluate(&self, x: &Tensor, mean: &Tensor, var: &Tensor) -> Tensor {
        let rank = x.rank();
        let mean = per_channel(mean, rank);
        let deviation = (per_channel(var, rank) + self.eps).rsqrt();
        self.scale(x, &((x.widened() - mean) * deviation))
    }

    /// What is normal, in f32, scaled and shifted, in the dtype of `x`.
    #[track_caller]
    fn scale(&self, x: &Tensor, normal: &Tensor) -> Tensor {
        let affine = [&self.weight, &self.bias].map(Option::as_ref);
        let wide = affine.map(|t| t.map(|t| per_channel(t, x.rank())));
        let y = match wide {
            [Some(weight), Some(bias)] => normal * weight + bias,
            [Some(weight), None] => normal * weight,
            [None, Some(bias)] => normal + bias,
            [None, None] => normal.clone(),
        };
        match Once::of(&[x.half(), affine[0].half(), affine[1].half()]) {
            Some(once) => once.round(y),
            None => y,
        }
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
        format!("BatchNorm{D}d({})", self.num_features)
    }
}
