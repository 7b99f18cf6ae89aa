//! Element-wise non-linearities and softmax; no parameters.

use super::layer;
use crate::Module;
use std::f64::consts::FRAC_1_SQRT_2;
use wgrad_graph::{Tensor, in_f32};

/// Layers without fields, by a function of the input.
macro_rules! unit {
    ($($(#[$doc:meta])* $name:ident => |$x:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Module)]
        #[module(crate = crate)]
        pub struct $name;

        impl $name {
            /// The function of every element of `x`.
            #[track_caller]
            pub fn forward(&self, $x: &Tensor) -> Tensor {
                $value
            }
        }

        layer!($name, |_l| stringify!($name).to_string());
    )*};
}

unit! {
    /// `max(x, 0)`.
    Relu => |x| x.relu();
    /// `|x|`: absolute value rectification, for features that do not depend on the sign of contrast.
    Abs => |x| x.abs();
    /// `1 / (1 + exp(−x))`.
    Sigmoid => |x| x.sigmoid();
    /// `tanh(x)`.
    Tanh => |x| x.tanh();
    /// `x Φ(x) = x/2 · (1 + erf(x / √2))`, the exact form.
    Gelu => |x| gelu(x);
    /// `x`.
    Identity => |x| x.clone();
}

#[track_caller]
fn gelu(x: &Tensor) -> Tensor {
    in_f32!([x] => |x| gelu(x));
    x * 0.5 * ((x * FRAC_1_SQRT_2).erf() + 1.0)
}

/// `x` where positive, else `negative_slope · x`.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let y = wgrad_nn::LeakyRelu::default().forward(&Tensor::new(&[-1.0f32, 2.0], &Device::cpu()));
/// assert_eq!(y.to_vec::<f32>()?, [-0.01, 2.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct LeakyRelu {
    /// Slope below 0; 0.01.
    pub negative_slope: f64,
}

impl Default for LeakyRelu {
    fn default() -> LeakyRelu {
        LeakyRelu {
            negative_slope: 0.01,
        }
    }
}

impl LeakyRelu {
    /// The function of every element of `x`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.leaky_relu(self.negative_slope)
    }
}

layer!(LeakyRelu, |l| format!("LeakyRelu({})", l.negative_slope));

/// `exp(x) / Σ exp(x)` along `dim`. Not before [`crate::loss::cross_entropy`], which takes logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub struct Softmax {
    /// The dimension that sums to 1.
    pub dim: isize,
}

impl Softmax {
    /// Probabilities along `dim`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.softmax(self.dim)
    }
}

layer!(Softmax, |s| format!("Softmax({})", s.dim));
