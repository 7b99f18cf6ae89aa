//! Normalisation of each sample by itself, over groups of channels (Wu and He 2018) or single channels (Ulyanov et al.
//! 2016), and over neighbouring channels (Krizhevsky et al. 2012). Statistics over the batch are in `batch_norm`.

use super::batch_norm::{Running, moved};
use super::{fail, layer};
use crate::{Context, Layer, Module, init};
use wgrad_graph::once::Wide;
use wgrad_graph::{Device, ErrorKind, LocalResponseNormOptions, Tensor};

/// Normalises `[batch, channels, …]` over groups of channels and all that follows.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct GroupNorm {
    /// How many groups; they divide the channels.
    pub num_groups: usize,
    /// How many channels.
    pub num_channels: usize,
    /// Scale `[channels]`; none if not affine.
    pub weight: Option<Tensor>,
    /// Shift `[channels]`; none if not affine.
    pub bias: Option<Tensor>,
    /// Added to the variance.
    pub eps: f64,
}

impl GroupNorm {
    /// With scale 1, shift 0 and `eps` 1e-5.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let device = Device::cpu();
    /// let x = Tensor::from_slice(&[1.0f32, 3.0, 10.0, 30.0], &[1, 4], &device);
    /// let y = wgrad_nn::GroupNorm::new(2, 4, &device).eps(0.0).forward(&x);
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(num_groups: usize, num_channels: usize, device: &Device) -> GroupNorm {
        GroupNorm {
            num_groups,
            num_channels,
            weight: Some(init::ones(&[num_channels], device)),
            bias: Some(init::zeros(&[num_channels], device)),
            eps: 1e-5,
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> GroupNorm {
        GroupNorm { eps, ..self }
    }

    /// Without scale and shift.
    pub fn without_affine(self) -> GroupNorm {
        GroupNorm {
            weight: None,
            bias: None,
            ..self
        }
    }

    /// The normalised `x`, of its shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if x.rank() < 2 || x.size(1) != self.num_channels {
            let message = format!("takes [batch, {}, …]", self.num_channels);
            return fail("group_norm", ErrorKind::Shape, message, x);
        }
        x.group_norm(
            self.num_groups,
            self.weight.as_ref(),
            self.bias.as_ref(),
            self.eps,
        )
    }
}

layer!(GroupNorm, |l| format!(
    "GroupNorm({}, {})",
    l.num_groups, l.num_channels
));

/// `x / (k + α m)^β` with `m` the mean of `x²` over `size` neighbouring channels.
///
/// ```
/// use wgrad_graph::{DType, Device, Tensor};
/// let x = Tensor::ones(&[1, 4, 2, 2], DType::F32, &Device::cpu());
/// let y = wgrad_nn::LocalResponseNorm::new(3).forward(&x);
/// assert!(y.to_vec::<f32>()?.iter().all(|v| (0.999..1.0).contains(v)));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct LocalResponseNorm {
    /// Neighbouring channels.
    pub size: usize,
    /// Factor of the mean square; 1e-4.
    pub alpha: f64,
    /// Exponent of the divisor; 0.75.
    pub beta: f64,
    /// Constant of the divisor; 1.
    pub k: f64,
}

impl LocalResponseNorm {
    /// Over `size` channels, with PyTorch's other numbers.
    pub fn new(size: usize) -> LocalResponseNorm {
        let LocalResponseNormOptions { alpha, beta, k } = LocalResponseNormOptions::default();
        LocalResponseNorm {
            size,
            alpha,
            beta,
            k,
        }
    }

    /// The normalised `x [batch, channels, …]`, of its shape.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (alpha, beta, k) = (self.alpha, self.beta, self.k);
        x.local_response_norm(self.size, &LocalResponseNormOptions { alpha, beta, k })
    }
}

layer!(LocalResponseNorm, |l| format!(
    "LocalResponseNorm({})",
    l.size
));

/// Normalises each channel of each sample over its `D` spatial dimensions, `[batch, channels, …]` or without batch.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct InstanceNorm<const D: usize> {
    /// How many channels.
    pub num_features: usize,
    /// Scale `[channels]`, if affine.
    pub weight: Option<Tensor>,
    /// Shift `[channels]`, if affine.
    pub bias: Option<Tensor>,
    /// Running mean `[channels]`, if statistics are tracked; evaluation then uses them.
    #[module(buffer)]
    pub running_mean: Option<Tensor>,
    /// Running variance `[channels]`.
    #[module(buffer)]
    pub running_var: Option<Tensor>,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the new batch in the running statistics.
    pub momentum: f64,
}

/// For `[batch, channels, length]`.
pub type InstanceNorm1d = InstanceNorm<1>;
/// For `[batch, channels, height, width]`.
pub type InstanceNorm2d = InstanceNorm<2>;
/// For `[batch, channels, depth, height, width]`.
pub type InstanceNorm3d = InstanceNorm<3>;

impl<const D: usize> InstanceNorm<D> {
    /// Without scale, shift and running statistics; `eps` 1e-5.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// use wgrad_nn::{Context, InstanceNorm1d};
    /// let device = Device::cpu();
    /// let x = Tensor::from_slice(&[1.0f32, 3.0, 10.0, 30.0], &[1, 2, 2], &device);
    /// let y = InstanceNorm1d::new(2).eps(0.0).forward(&x, &mut Context::eval());
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
    /// let trained = InstanceNorm1d::new(2).affine(&device).track_running_stats(&device);
    /// assert!(trained.weight.is_some() && trained.running_mean.is_some());
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn new(num_features: usize) -> InstanceNorm<D> {
        InstanceNorm {
            num_features,
            weight: None,
            bias: None,
            running_mean: None,
            running_var: None,
            eps: 1e-5,
            momentum: 0.1,
        }
    }

    /// With another `eps`.
    pub fn eps(self, eps: f64) -> InstanceNorm<D> {
        InstanceNorm { eps, ..self }
    }

    /// With another `momentum`.
    pub fn momentum(self, momentum: f64) -> InstanceNorm<D> {
        InstanceNorm { momentum, ..self }
    }

    /// With scale 1 and shift 0 that are trained.
    #[track_caller]
    pub fn affine(self, device: &Device) -> InstanceNorm<D> {
        InstanceNorm {
            weight: Some(init::ones(&[self.num_features], device)),
            bias: Some(init::zeros(&[self.num_features], device)),
            ..self
        }
    }

    /// With running statistics, from mean 0 and variance 1.
    #[track_caller]
    pub fn track_running_stats(self, device: &Device) -> InstanceNorm<D> {
        let running = Running::new(self.num_features, device);
        InstanceNorm {
            running_mean: Some(running.mean),
            running_var: Some(running.var),
            ..self
        }
    }

    /// The normalised `x`, of its shape. In training running statistics move towards the samples' mean statistics.
    #[track_caller]
    pub fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        if x.rank() == D + 1 {
            return self.forward(&x.unsqueeze(0), cx).squeeze(0);
        }
        if x.rank() != D + 2 || x.size(1) != self.num_features {
            let message = format!("takes [batch, {}, {D} dimensions…]", self.num_features);
            return fail("instance_norm", ErrorKind::Shape, message, x);
        }
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        let (Some(mean), Some(var)) = (&self.running_mean, &self.running_var) else {
            return x.instance_norm(weight, bias, self.eps);
        };
        if !cx.training {
            return x.batch_norm(mean, var, weight, bias, self.eps);
        }
        let y = x.instance_norm(weight, bias, self.eps);
        if y.check().is_ok() {
            let over: Vec<isize> = (2..x.rank() as isize).collect();
            let (new_var, new_mean) = x.widened().var_mean(&over, 1.0);
            let [new_mean, new_var] = [new_mean, new_var].map(|t| t.mean_dims(&[0], false));
            let (mean, var) = (
                moved(mean, &new_mean, self.momentum),
                moved(var, &new_var, self.momentum),
            );
            (self.running_mean, self.running_var) = (Some(mean), Some(var));
        }
        y
    }
}

impl<const D: usize> Layer for InstanceNorm<D> {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        InstanceNorm::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        format!("InstanceNorm{D}d({})", self.num_features)
    }
}
