//! Pooling of the last one to three dimensions; no parameters. The arithmetic is `Tensor::max_pool2d` and its like.

use super::conv::extent;
use super::layer;
use crate::Module;
use wgrad_graph::{PoolOptions, Tensor};

macro_rules! windows {
    ($($(#[$doc:meta])* $name:ident, $n:literal, $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            /// Window, stride, padding.
            pub options: PoolOptions<$n>,
        }

        impl $name {
            /// Windows with equal sides, side by side.
            pub fn new(kernel_size: usize) -> $name {
                $name::with(PoolOptions::new(kernel_size))
            }

            /// Windows of any form.
            pub fn with(options: PoolOptions<$n>) -> $name {
                $name { options }
            }

            /// Pools the last dimensions of `x`.
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                x.$method(&self.options)
            }
        }

        layer!($name, |p| format!("{}({})", stringify!($name), extent(&p.options.kernel_size)));
    )*};
}

windows! {
    /// The greatest element of each window of the last dimension; see [`MaxPool2d`].
    MaxPool1d, 1, max_pool1d;
    /// The greatest element of each window of the last two dimensions.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[1, 1, 2, 2], &Device::cpu());
    /// assert_eq!(wgrad_nn::MaxPool2d::new(2).forward(&x).item::<f32>()?, 4.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    MaxPool2d, 2, max_pool2d;
    /// The greatest element of each window of the last three dimensions; see [`MaxPool2d`].
    MaxPool3d, 3, max_pool3d;
    /// The mean of each window of the last dimension; padding counts as zeros unless told otherwise.
    AvgPool1d, 1, avg_pool1d;
    /// The mean of each window of the last two dimensions; padding counts as zeros unless told otherwise.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, PoolOptions, Tensor};
    /// use wgrad_nn::AvgPool2d;
    /// let x = Tensor::ones(&[1, 1, 4, 4], DType::F32, &Device::cpu());
    /// let options = PoolOptions::new(3).stride([1, 1]).padding([1, 1]).count_include_pad(false);
    /// assert_eq!(AvgPool2d::with(options).forward(&x).to_vec::<f32>()?, [1.0; 16]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    AvgPool2d, 2, avg_pool2d;
    /// The mean of each window of the last three dimensions; padding counts as zeros unless told otherwise.
    AvgPool3d, 3, avg_pool3d;
}

macro_rules! with_indices {
    ($($name:ident, $method:ident;)*) => {$(
        impl $name {
            /// The greatest elements, and their positions (i32) within the plane of the pooled dimensions, which undo
            /// the pooling: see `Tensor::max_unpool2d`.
            #[track_caller]
            pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
                x.$method(&self.options)
            }
        }
    )*};
}

with_indices! {
    MaxPool1d, max_pool1d_with_indices;
    MaxPool2d, max_pool2d_with_indices;
    MaxPool3d, max_pool3d_with_indices;
}

macro_rules! power_means {
    ($($(#[$doc:meta])* $name:ident, $n:literal, $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            /// The power p.
            pub norm_type: f64,
            /// Window and stride; padding and dilation do not apply.
            pub options: PoolOptions<$n>,
        }

        impl $name {
            /// Windows with equal sides, side by side.
            pub fn new(norm_type: f64, kernel_size: usize) -> $name {
                $name::with(norm_type, PoolOptions::new(kernel_size))
            }

            /// Windows of any form.
            pub fn with(norm_type: f64, options: PoolOptions<$n>) -> $name {
                $name { norm_type, options }
            }

            /// Pools the last dimensions of `x`.
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                x.$method(self.norm_type, &self.options)
            }
        }

        layer!($name, |p| {
            format!("{}({}, {})", stringify!($name), p.norm_type, extent(&p.options.kernel_size))
        });
    )*};
}

power_means! {
    /// `(Σ xᵖ)^(1/p)` over each window of the last dimension.
    LpPool1d, 1, lp_pool1d;
    /// `(Σ xᵖ)^(1/p)` over each window of the last two dimensions.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[3.0f32, 4.0, 0.0, 0.0], &[1, 1, 2, 2], &Device::cpu());
    /// assert!((wgrad_nn::LpPool2d::new(2.0, 2).forward(&x).item::<f32>()? - 5.0).abs() < 1e-5);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    LpPool2d, 2, lp_pool2d;
    /// `(Σ xᵖ)^(1/p)` over each window of the last three dimensions.
    LpPool3d, 3, lp_pool3d;
}

macro_rules! adaptive {
    ($($(#[$doc:meta])* $name:ident, $n:literal, |$x:ident, $size:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            /// Sizes of the output's last dimensions; `None` keeps the input's.
            pub output_size: [Option<usize>; $n],
        }

        impl $name {
            /// To these sizes: numbers, or `None` where the input's is kept.
            pub fn new(output_size: [impl Into<Option<usize>>; $n]) -> $name {
                $name { output_size: output_size.map(Into::into) }
            }

            /// Pools the last dimensions of `x`.
            #[track_caller]
            pub fn forward(&self, $x: &Tensor) -> Tensor {
                let $size = self.output_size;
                $value
            }
        }

        layer!($name, |p| {
            let sizes = p.output_size.map(|s| s.map_or("None".to_string(), |s| s.to_string()));
            format!("{}({})", stringify!($name), sizes.join("x"))
        });
    )*};
}

adaptive! {
    /// Means over windows that divide the last dimension into a given number of parts.
    AdaptiveAvgPool1d, 1, |x, size| x.adaptive_avg_pool1d(size);
    /// Means over windows that divide the last two dimensions into a given number of parts.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// use wgrad_nn::AdaptiveAvgPool2d;
    /// let x = Tensor::ones(&[2, 3, 10, 7], DType::F32, &Device::cpu());
    /// assert_eq!(AdaptiveAvgPool2d::new([4, 2]).forward(&x).shape(), [2, 3, 4, 2]);
    /// assert_eq!(AdaptiveAvgPool2d::new([Some(4), None]).forward(&x).shape(), [2, 3, 4, 7]);
    /// ```
    AdaptiveAvgPool2d, 2, |x, size| x.adaptive_avg_pool2d(size);
    /// Means over windows that divide the last three dimensions into a given number of parts.
    AdaptiveAvgPool3d, 3, |x, size| x.adaptive_avg_pool3d(size);
    /// The greatest elements of windows that divide the last dimension into a given number of parts.
    AdaptiveMaxPool1d, 1, |x, size| x.adaptive_max_pool1d(size).0;
    /// The greatest elements of windows that divide the last two dimensions into a given number of parts.
    AdaptiveMaxPool2d, 2, |x, size| x.adaptive_max_pool2d(size).0;
    /// The greatest elements of windows that divide the last three dimensions into a given number of parts.
    AdaptiveMaxPool3d, 3, |x, size| x.adaptive_max_pool3d(size).0;
}

macro_rules! global {
    ($($(#[$doc:meta])* $name:ident, $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Module)]
        #[module(crate = crate)]
        pub struct $name;

        impl $name {
            /// `x [batch, channels, …]` to `[batch, channels]`.
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                if x.rank() < 3 {
                    let message = "takes [batch, channels, spatial…]".to_string();
                    return super::fail(stringify!($name), wgrad_graph::ErrorKind::Shape, message, x);
                }
                let over: Vec<isize> = (2..x.rank() as isize).collect();
                x.$method(&over, false)
            }
        }

        layer!($name, |_p| stringify!($name).to_string());
    )*};
}

global! {
    /// The mean over all spatial dimensions.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// let x = Tensor::ones(&[2, 3, 5, 7], DType::F32, &Device::cpu());
    /// assert_eq!(wgrad_nn::GlobalAvgPool.forward(&x).shape(), [2, 3]);
    /// ```
    GlobalAvgPool, mean_dims;
    /// The greatest element over all spatial dimensions. Equal ones share the gradient.
    GlobalMaxPool, amax_dims;
}
