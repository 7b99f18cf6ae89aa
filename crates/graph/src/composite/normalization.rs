//! Normalisation as functions of tensors: statistics over a batch, a layer, groups of channels or a neighbourhood.
//! Running statistics belong to the caller.

use crate::in_f32;
use crate::ops::window_sum::{Frame, WindowSum};
use crate::tensor::Tensor;

/// Arguments of [`Tensor::local_response_norm`]: PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNormOptions {
    /// Factor of the mean square; 1e-4.
    pub alpha: f64,
    /// Exponent of the divisor; 0.75.
    pub beta: f64,
    /// Constant of the divisor; 1.
    pub k: f64,
}

impl Default for LocalResponseNormOptions {
    fn default() -> Self {
        LocalResponseNormOptions {
            alpha: 1e-4,
            beta: 0.75,
            k: 1.0,
        }
    }
}

impl Tensor {
    /// `(x − mean) / √(var + eps)` with biased statistics over some dimensions.
    #[track_caller]
    fn standardised(&self, over: &[isize], eps: f64) -> Tensor {
        let x = self.to_float();
        let centred = &x - x.average(over, true);
        let var = centred.square().average(over, true);
        centred * (var + eps).rsqrt()
    }

    /// `[channels]` as `[channels, 1, …]`, to meet dimension 1 of `rank`; invalid if it has another size.
    #[track_caller]
    fn per_channel(&self, op: &str, channels: usize, rank: usize) -> Tensor {
        if self.shape() != [channels] {
            return self.fail(
                op,
                format!("needs {channels} elements, one for each channel"),
            );
        }
        let mut shape = vec![1; rank.saturating_sub(1)];
        if let Some(first) = shape.first_mut() {
            *first = channels;
        }
        self.reshape_to(&shape)
    }

    /// Scaled and shifted by channel (dimension 1).
    #[track_caller]
    fn affine(
        &self,
        op: &str,
        channels: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
    ) -> Tensor {
        if self.check().is_err() {
            return self.clone();
        }
        let rank = self.rank();
        let y = match weight {
            Some(w) => self * w.per_channel(op, channels, rank),
            None => self.clone(),
        };
        match bias {
            Some(b) => y + b.per_channel(op, channels, rank),
            None => y,
        }
    }

    /// Batch normalisation with given statistics, as in evaluation: `self [batch, channels, …]`, all others
    /// `[channels]`; `(x − mean) / √(var + eps) · weight + bias`.
    #[track_caller]
    pub fn batch_norm(
        &self,
        mean: &Tensor,
        var: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        in_f32!([self, mean, var, weight, bias] => |x, mean, var, weight, bias| x.batch_norm(mean, var, weight.as_ref(), bias.as_ref(), eps));
        let op = "batch_norm";
        if self.rank() < 2 {
            return self.fail(op, "takes [batch, channels, ...]");
        }
        let (channels, rank) = (self.shape()[1], self.rank());
        let mean = mean.per_channel(op, channels, rank);
        let deviation = (var.per_channel(op, channels, rank) + eps).rsqrt();
        ((self.to_float() - mean) * deviation).affine(op, channels, weight, bias)
    }

    /// Batch normalisation with the batch's own statistics, as in training: the output, and the mean and the
    /// unbiased variance `[channels]` that running statistics move towards.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 3.0], &[2, 1], &Device::cpu());
    /// let (y, mean, var) = x.batch_norm_train(None, None, 0.0);
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0]);
    /// assert_eq!((mean.item::<f32>()?, var.item::<f32>()?), (2.0, 2.0));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn batch_norm_train(
        &self,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> (Tensor, Tensor, Tensor) {
        in_f32!([self, weight, bias] => |x, weight, bias| x.batch_norm_train(weight.as_ref(), bias.as_ref(), eps));
        let op = "batch_norm_train";
        let channels = self.size(1);
        if self.rank() < 2 || self.numel() <= channels {
            let m = "takes [batch, channels, ...] with more than one value for each channel";
            let bad = self.fail(op, m);
            return (bad.clone(), bad.clone(), bad);
        }
        let over: Vec<isize> = (0..self.rank() as isize).filter(|&d| d != 1).collect();
        let x = self.to_float();
        let mean = x.average(&over, true);
        let centred = &x - &mean;
        let var = centred.square().average(&over, true);
        let y = (centred * (&var + eps).rsqrt()).affine(op, channels, weight, bias);
        let count = (self.numel() / channels.max(1)) as f64;
        let unbiased = var * (count / (count - 1.0));
        (y, mean.reshape(&[-1]), unbiased.reshape(&[-1]))
    }

    /// The last dimensions, counted from the end, if their sizes are `normalized_shape`.
    fn trailing(&self, normalized_shape: &[usize]) -> Result<Vec<isize>, String> {
        if normalized_shape.is_empty() || !self.shape().ends_with(normalized_shape) {
            return Err(format!("the input does not end in {normalized_shape:?}"));
        }
        Ok((1..=normalized_shape.len() as isize).map(|d| -d).collect())
    }

    /// Invalid unless of this shape.
    #[track_caller]
    fn shaped(&self, op: &str, shape: &[usize]) -> Tensor {
        if self.shape() == shape {
            self.clone()
        } else {
            self.fail(op, format!("needs shape {shape:?}"))
        }
    }

    /// Normalised over the last dimensions, whose sizes are `normalized_shape`, as are weight's and bias's.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1.0f32, 3.0], &Device::cpu());
    /// assert_eq!(x.layer_norm(&[2], None, None, 0.0).to_vec::<f32>()?, [-1.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn layer_norm(
        &self,
        normalized_shape: &[usize],
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        in_f32!([self, weight, bias] => |x, weight, bias| x.layer_norm(normalized_shape, weight.as_ref(), bias.as_ref(), eps));
        let over = match self.trailing(normalized_shape) {
            Ok(over) => over,
            Err(m) => return self.fail("layer_norm", m),
        };
        let y = self.standardised(&over, eps);
        let y = weight.map_or(y.clone(), |w| &y * w.shaped("layer_norm", normalized_shape));
        bias.map_or(y.clone(), |b| &y + b.shaped("layer_norm", normalized_shape))
    }

    /// `x / √(mean(x²) + eps) · weight` over the last dimensions, whose sizes are `normalized_shape`.
    #[track_caller]
    pub fn rms_norm(
        &self,
        normalized_shape: &[usize],
        weight: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        in_f32!([self, weight] => |x, weight| x.rms_norm(normalized_shape, weight.as_ref(), eps));
        let over = match self.trailing(normalized_shape) {
            Ok(over) => over,
            Err(m) => return self.fail("rms_norm", m),
        };
        let x = self.to_float();
        let y = &x * (x.square().average(&over, true) + eps).rsqrt();
        weight.map_or(y.clone(), |w| &y * w.shaped("rms_norm", normalized_shape))
    }

    /// Normalised over groups of channels and all that follows, `self [batch, channels, …]`; weight and bias
    /// `[channels]`.
    #[track_caller]
    pub fn group_norm(
        &self,
        num_groups: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        in_f32!([self, weight, bias] => |x, weight, bias| x.group_norm(num_groups, weight.as_ref(), bias.as_ref(), eps));
        let channels = self.size(1);
        if self.rank() < 2 || num_groups == 0 || !channels.is_multiple_of(num_groups) {
            let m = format!("takes [batch, channels, ...] with channels in {num_groups} groups");
            return self.fail("group_norm", m);
        }
        let batch = self.shape()[0];
        let rest = self.numel() / batch.saturating_mul(num_groups).max(1);
        let y = self
            .reshape_to(&[batch, num_groups, rest])
            .standardised(&[2], eps);
        y.reshape_to(self.shape())
            .affine("group_norm", channels, weight, bias)
    }

    /// Normalised over the spatial dimensions of each channel, `self [batch, channels, spatial…]`; weight and
    /// bias `[channels]`. With running statistics it is [`Tensor::batch_norm`].
    #[track_caller]
    pub fn instance_norm(
        &self,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        in_f32!([self, weight, bias] => |x, weight, bias| x.instance_norm(weight.as_ref(), bias.as_ref(), eps));
        let spatial: usize = self.shape().iter().skip(2).product();
        if self.rank() < 3 || spatial < 2 {
            let m = "takes [batch, channels, spatial...] with more than one spatial element";
            return self.fail("instance_norm", m);
        }
        let over: Vec<isize> = (2..self.rank() as isize).collect();
        self.standardised(&over, eps)
            .affine("instance_norm", self.shape()[1], weight, bias)
    }

    /// `x / (k + alpha · m)^beta`, `m` the mean of `x²` over `size` neighbouring channels (dimension 1), those
    /// outside counted as zeros (Krizhevsky et al. 2012, with PyTorch's mean).
    #[track_caller]
    pub fn local_response_norm(&self, size: usize, options: &LocalResponseNormOptions) -> Tensor {
        in_f32!([self] => |x| x.local_response_norm(size, options));
        let op = "local_response_norm";
        if self.rank() < 2 || size == 0 {
            return self.fail(
                op,
                format!("takes [batch, channels, ...] and a size, not {size}"),
            );
        }
        let x = self.to_float();
        if x.numel() == 0 {
            return x;
        }
        let (batch, channels) = (x.shape()[0], x.shape()[1]);
        let frame = Frame {
            kernel: vec![size, 1],
            stride: vec![1; 2],
            padding: vec![(size / 2, (size - 1) / 2), (0, 0)],
            dilation: vec![1; 2],
        };
        let rows = x
            .square()
            .reshape_to(&[batch, channels, x.numel() / (batch * channels)]);
        let mean = Tensor::record(WindowSum { frame }, &[&rows]) / size as f64;
        let divisor = (mean * options.alpha + options.k).powf(options.beta);
        x.clone() / divisor.reshape_to(x.shape())
    }
}
