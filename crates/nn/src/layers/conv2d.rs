//! Two-dimensional convolution (cross-correlation), NCHW and OIHW.

use super::layer;
use crate::Module;
use crate::init::symmetric;
use wgrad_graph::{ConvOptions, Device, Generator, Tensor};

/// A convolution of `[batch, in_channels, height, width]`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Conv2d {
    /// `[out_channels, in_channels / groups, kernel height, kernel width]`.
    pub weight: Tensor,
    /// `[out_channels]`.
    pub bias: Option<Tensor>,
    /// Stride, padding, dilation, groups.
    pub options: ConvOptions<2>,
}

impl Conv2d {
    /// With weight and bias drawn from `U(±1/√fan_in)`, PyTorch's default.
    ///
    /// ```
    /// use wgrad_graph::{ConvOptions, DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let same = ConvOptions::default().padding([1, 1]);
    /// let conv = wgrad_nn::Conv2d::new(3, 8, [3, 3], same, &mut Generator::new(0), &device);
    /// let y = conv.forward(&Tensor::ones(&[2, 3, 5, 5], DType::F32, &device));
    /// assert_eq!(y.shape(), [2, 8, 5, 5]);
    /// ```
    #[track_caller]
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: [usize; 2],
        options: ConvOptions<2>,
        rng: &mut Generator,
        device: &Device,
    ) -> Conv2d {
        let inputs = in_channels / options.groups.max(1);
        let [height, width] = kernel_size;
        let fan_in = inputs as f64 * height as f64 * width as f64;
        let bound = 1.0 / fan_in.max(1.0).sqrt();
        let weight = symmetric(&[out_channels, inputs, height, width], bound, rng, device);
        let bias = symmetric(&[out_channels], bound, rng, device);
        Conv2d {
            weight,
            bias: Some(bias),
            options,
        }
    }

    /// Without the bias, as before a batch normalisation.
    pub fn without_bias(self) -> Conv2d {
        Conv2d { bias: None, ..self }
    }

    /// `x [batch, in_channels, height, width]` to `[batch, out_channels, height', width']`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.conv2d(&self.weight, self.bias.as_ref(), &self.options)
    }
}

layer!(Conv2d, |c| {
    let [kh, kw] = [c.weight.size(2), c.weight.size(3)];
    format!(
        "Conv2d({}, {}, {kh}x{kw})",
        c.weight.size(1).saturating_mul(c.options.groups),
        c.weight.size(0)
    )
});
