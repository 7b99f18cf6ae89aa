//! Padding of the last one to three dimensions; no parameters. Counts are in PyTorch's order: before and after the last
//! dimension, then the one before it.

use super::layer;
use crate::Module;
use wgrad_graph::{PadMode, Tensor};

macro_rules! pads {
    ($($(#[$doc:meta])* $name:ident, $n:literal, $mode:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            /// Elements before and after the last dimension, then the one before it; a negative count takes away.
            pub padding: [isize; $n],
        }

        impl $name {
            /// As much before as after each dimension.
            pub fn new(padding: isize) -> $name {
                $name { padding: [padding; $n] }
            }

            /// `x` with padding.
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                x.pad(&self.padding, $mode)
            }
        }

        layer!($name, |p| format!("{}({:?})", stringify!($name), p.padding));
    )*};
}

pads! {
    /// Zeros around the last dimension.
    ZeroPad1d, 2, PadMode::Constant(0.0);
    /// Zeros around the last two dimensions.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// let x = Tensor::ones(&[1, 1, 2, 3], DType::F32, &Device::cpu());
    /// let y = wgrad_nn::ZeroPad2d { padding: [1, 0, 2, 0] }.forward(&x);
    /// assert_eq!(y.shape(), [1, 1, 4, 4]);
    /// ```
    ZeroPad2d, 4, PadMode::Constant(0.0);
    /// Zeros around the last three dimensions.
    ZeroPad3d, 6, PadMode::Constant(0.0);
    /// The elements mirrored at the edge one, along the last dimension.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], &[1, 1, 3], &Device::cpu());
    /// assert_eq!(wgrad_nn::ReflectionPad1d::new(1).forward(&x).to_vec::<f32>()?, [2.0, 1.0, 2.0, 3.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ReflectionPad1d, 2, PadMode::Reflect;
    /// The elements mirrored at the edge ones, along the last two dimensions.
    ReflectionPad2d, 4, PadMode::Reflect;
    /// The elements mirrored at the edge ones, along the last three dimensions.
    ReflectionPad3d, 6, PadMode::Reflect;
    /// The edge element, along the last dimension.
    ReplicationPad1d, 2, PadMode::Replicate;
    /// The edge elements, along the last two dimensions.
    ReplicationPad2d, 4, PadMode::Replicate;
    /// The edge elements, along the last three dimensions.
    ReplicationPad3d, 6, PadMode::Replicate;
    /// The elements of the other end, along the last dimension.
    CircularPad1d, 2, PadMode::Circular;
    /// The elements of the other end, along the last two dimensions.
    CircularPad2d, 4, PadMode::Circular;
    /// The elements of the other end, along the last three dimensions.
    CircularPad3d, 6, PadMode::Circular;
}

macro_rules! constant_pads {
    ($($(#[$doc:meta])* $name:ident, $n:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            /// Elements before and after the last dimension, then the one before it; a negative count takes away.
            pub padding: [isize; $n],
            /// The number.
            pub value: f64,
        }

        impl $name {
            /// As much before as after each dimension.
            pub fn new(padding: isize, value: f64) -> $name {
                $name { padding: [padding; $n], value }
            }

            /// `x` with padding.
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                x.pad(&self.padding, PadMode::Constant(self.value))
            }
        }

        layer!($name, |p| format!("{}({:?}, {})", stringify!($name), p.padding, p.value));
    )*};
}

constant_pads! {
    /// A number around the last dimension.
    ConstantPad1d, 2;
    /// A number around the last two dimensions.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32], &[1, 1, 1], &Device::cpu());
    /// let y = wgrad_nn::ConstantPad2d { padding: [1, 0, 0, 0], value: 7.0 }.forward(&x);
    /// assert_eq!(y.to_vec::<f32>()?, [7.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ConstantPad2d, 4;
    /// A number around the last three dimensions.
    ConstantPad3d, 6;
}
