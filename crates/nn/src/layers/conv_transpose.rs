//! Transposed convolutions in one to three dimensions: the adjoints of convolutions, with weights `[in, out, kernel…]`.

use super::conv::{drawn, extent};
use super::{fail, layer};
use crate::Module;
use wgrad_graph::{ConvTransposeOptions, Device, ErrorKind, Generator, Tensor};

/// `output_padding` with which the result has the size `wanted`.
fn padding_for<const N: usize>(
    options: &ConvTransposeOptions<N>,
    (from, kernel): (&[usize], &[usize]),
    wanted: [usize; N],
) -> Option<[usize; N]> {
    let mut extra = [0; N];
    for d in 0..N {
        let spread = from
            .get(d)?
            .checked_sub(1)?
            .checked_mul(options.stride[d])?;
        let reach = kernel
            .get(d)?
            .checked_sub(1)?
            .checked_mul(options.dilation[d])?;
        let taken = options.padding[d].checked_mul(2)?;
        let least = spread
            .checked_add(reach)?
            .checked_add(1)?
            .checked_sub(taken)?;
        extra[d] = wanted[d].checked_sub(least)?;
        if extra[d] >= options.stride[d].max(options.dilation[d]) {
            return None;
        }
    }
    Some(extra)
}

macro_rules! transposed {
    ($($(#[$doc:meta])* $name:ident, $n:literal, $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Module)]
        #[module(crate = crate)]
        pub struct $name {
            /// `[in_channels, out_channels / groups, kernel…]`.
            pub weight: Tensor,
            /// `[out_channels]`.
            pub bias: Option<Tensor>,
            /// Stride, padding, output padding, dilation, groups.
            pub options: ConvTransposeOptions<$n>,
        }

        impl $name {
            /// With weight and bias drawn from `U(±1/√fan)`, `fan` the product of the weight's sizes but the first,
            /// PyTorch's default. Channels that the groups do not divide make both invalid.
            #[track_caller]
            pub fn new(
                in_channels: usize,
                out_channels: usize,
                kernel_size: [usize; $n],
                options: ConvTransposeOptions<$n>,
                rng: &mut Generator,
                device: &Device,
            ) -> $name {
                let mut shape = vec![in_channels, out_channels / options.groups.max(1)];
                shape.extend(kernel_size);
                let channels = [in_channels, out_channels];
                let of = (shape.as_slice(), out_channels);
                let (weight, bias) = drawn(stringify!($method), channels, options.groups, of, rng, device);
                $name { weight, bias: Some(bias), options }
            }

            /// Without the bias.
            pub fn without_bias(self) -> $name {
                $name { bias: None, ..self }
            }

            /// `x [batch, in_channels, …]` (or without batch) to `[batch, out_channels, …]`.
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                x.$method(&self.weight, self.bias.as_ref(), &self.options)
            }

            /// As `forward`, with the output padding that gives these spatial sizes; invalid if none does.
            #[track_caller]
            pub fn forward_sized(&self, x: &Tensor, output_size: [usize; $n]) -> Tensor {
                let from = &x.shape()[x.rank().saturating_sub($n)..];
                let kernel = self.weight.shape().get(2..).unwrap_or_default();
                match padding_for(&self.options, (from, kernel), output_size) {
                    Some(extra) => {
                        let options = self.options.output_padding(extra);
                        x.$method(&self.weight, self.bias.as_ref(), &options)
                    }
                    None => {
                        let message = format!("no output padding gives the size {output_size:?}");
                        fail(stringify!($method), ErrorKind::Shape, message, x)
                    }
                }
            }
        }

        layer!($name, |c| {
            let kernel = extent(c.weight.shape().get(2..).unwrap_or_default());
            let outputs = c.weight.size(1).saturating_mul(c.options.groups);
            format!("{}({}, {outputs}, {kernel})", stringify!($name), c.weight.size(0))
        });
    )*};
}

transposed! {
    /// The adjoint of a [`Conv1d`](crate::Conv1d).
    ///
    /// ```
    /// use wgrad_graph::{ConvTransposeOptions, DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let twice = ConvTransposeOptions::default().stride([2]);
    /// let up = wgrad_nn::ConvTranspose1d::new(3, 8, [2], twice, &mut Generator::new(0), &device);
    /// assert_eq!(up.forward(&Tensor::ones(&[2, 3, 5], DType::F32, &device)).shape(), [2, 8, 10]);
    /// ```
    ConvTranspose1d, 1, conv_transpose1d;
    /// The adjoint of a [`Conv2d`](crate::Conv2d).
    ///
    /// ```
    /// use wgrad_graph::{ConvTransposeOptions, DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let twice = ConvTransposeOptions::default().stride([2, 2]).padding([1, 1]);
    /// let up = wgrad_nn::ConvTranspose2d::new(3, 8, [3, 3], twice, &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[2, 3, 4, 5], DType::F32, &device);
    /// assert_eq!(up.forward(&x).shape(), [2, 8, 7, 9]);
    /// assert_eq!(up.forward_sized(&x, [8, 10]).shape(), [2, 8, 8, 10]);
    /// ```
    ConvTranspose2d, 2, conv_transpose2d;
    /// The adjoint of a [`Conv3d`](crate::Conv3d).
    ///
    /// ```
    /// use wgrad_graph::{ConvTransposeOptions, DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let twice = ConvTransposeOptions::default().stride([2, 2, 2]);
    /// let up = wgrad_nn::ConvTranspose3d::new(2, 3, [2, 2, 2], twice, &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[1, 2, 2, 3, 4], DType::F32, &device);
    /// assert_eq!(up.forward(&x).shape(), [1, 3, 4, 6, 8]);
    /// ```
    ConvTranspose3d, 3, conv_transpose3d;
}
