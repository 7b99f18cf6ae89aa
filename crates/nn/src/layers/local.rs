//! Relatives of the convolution: kernels that are not shared between positions, or only every few of them.

use super::layer;
use crate::Module;
use crate::init::symmetric;
use wgrad_graph::{ConvOptions, Device, Generator, Tensor};

/// A locally connected layer (unshared convolution): each position of the output has a kernel of its own.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct LocallyConnected2d {
    /// `[out_height, out_width, out_channels, in_channels, kernel height, kernel width]`.
    pub weight: Tensor,
    /// `[out_channels, out_height, out_width]`.
    pub bias: Option<Tensor>,
    /// Stride, padding, dilation; one group.
    pub options: ConvOptions<2>,
}

impl LocallyConnected2d {
    /// For outputs of `output_size`, with weight and bias drawn from `U(±1/√fan_in)`.
    ///
    /// ```
    /// use wgrad_graph::{ConvOptions, DType, Device, Generator, Tensor};
    /// use wgrad_nn::LocallyConnected2d;
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let options = ConvOptions::default();
    /// let layer = LocallyConnected2d::new(3, 8, [4, 4], [3, 3], options, rng, &device);
    /// let y = layer.forward(&Tensor::ones(&[2, 3, 6, 6], DType::F32, &device));
    /// assert_eq!(y.shape(), [2, 8, 4, 4]);
    /// ```
    #[track_caller]
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        output_size: [usize; 2],
        kernel_size: [usize; 2],
        options: ConvOptions<2>,
        rng: &mut Generator,
        device: &Device,
    ) -> LocallyConnected2d {
        let ([oh, ow], [kh, kw]) = (output_size, kernel_size);
        let bound = 1.0 / ((in_channels * kh * kw).max(1) as f64).sqrt();
        let shape = [oh, ow, out_channels, in_channels, kh, kw];
        LocallyConnected2d {
            weight: symmetric(&shape, bound, rng, device),
            bias: Some(symmetric(&[out_channels, oh, ow], bound, rng, device)),
            options,
        }
    }

    /// Without the bias.
    pub fn without_bias(self) -> LocallyConnected2d {
        LocallyConnected2d { bias: None, ..self }
    }

    /// `x [batch, in_channels, height, width]` to `[batch, out_channels, out_height, out_width]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.local_conv2d(&self.weight, self.bias.as_ref(), &self.options)
    }
}

layer!(LocallyConnected2d, |c| {
    let s = |d| c.weight.size(d);
    format!(
        "LocallyConnected2d({}, {}, {}x{} at {}x{})",
        s(3),
        s(2),
        s(4),
        s(5),
        s(0),
        s(1)
    )
});

/// A tiled convolution: kernels that take turns over the positions.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct TiledConv2d {
    /// `[tile_height, tile_width, out_channels, in_channels, kernel height, kernel width]`.
    pub weight: Tensor,
    /// `[out_channels, tile_height, tile_width]`.
    pub bias: Option<Tensor>,
    /// Stride, padding, dilation; one group.
    pub options: ConvOptions<2>,
}

impl TiledConv2d {
    /// With `tile` kernels in each direction, weight and bias drawn from `U(±1/√fan_in)`.
    ///
    /// ```
    /// use wgrad_graph::{ConvOptions, DType, Device, Generator, Tensor};
    /// use wgrad_nn::TiledConv2d;
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let layer = TiledConv2d::new(3, 8, [2, 2], [3, 3], ConvOptions::default(), rng, &device);
    /// let y = layer.forward(&Tensor::ones(&[2, 3, 7, 7], DType::F32, &device));
    /// assert_eq!(y.shape(), [2, 8, 5, 5]);
    /// ```
    #[track_caller]
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        tile: [usize; 2],
        kernel_size: [usize; 2],
        options: ConvOptions<2>,
        rng: &mut Generator,
        device: &Device,
    ) -> TiledConv2d {
        let ([th, tw], [kh, kw]) = (tile, kernel_size);
        let bound = 1.0 / ((in_channels * kh * kw).max(1) as f64).sqrt();
        let shape = [th, tw, out_channels, in_channels, kh, kw];
        TiledConv2d {
            weight: symmetric(&shape, bound, rng, device),
            bias: Some(symmetric(&[out_channels, th, tw], bound, rng, device)),
            options,
        }
    }

    /// Without the bias.
    pub fn without_bias(self) -> TiledConv2d {
        TiledConv2d { bias: None, ..self }
    }

    /// `x [batch, in_channels, height, width]` to `[batch, out_channels, height', width']`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.tiled_conv2d(&self.weight, self.bias.as_ref(), &self.options)
    }
}

layer!(TiledConv2d, |c| {
    let s = |d| c.weight.size(d);
    format!(
        "TiledConv2d({}, {}, {}x{}, tile {}x{})",
        s(3),
        s(2),
        s(4),
        s(5),
        s(0),
        s(1)
    )
});
