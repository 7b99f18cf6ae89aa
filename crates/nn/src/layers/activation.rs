//! Element-wise non-linearities and softmax; no parameters.

use super::{fail, layer};
use crate::{Context, Layer, Module, init};
use std::f64::consts::FRAC_1_SQRT_2;
use wgrad_graph::{Device, ErrorKind, GeluApproximation, Tensor, in_f32};

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
    /// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the approximation that GPT-2 uses.
    GeluTanh => |x| x.gelu_with(GeluApproximation::Tanh);
    /// `min(max(x, 0), 6)`.
    Relu6 => |x| x.relu6();
    /// `λ (max(x, 0) + min(α (exp(x) − 1), 0))` with the λ and α at which activations normalise themselves.
    Selu => |x| x.selu();
    /// `x · sigmoid(x)`, also called swish.
    Silu => |x| x.silu();
    /// `x · tanh(softplus(x))`.
    Mish => |x| x.mish();
    /// `clamp(x / 6 + 1/2, 0, 1)`.
    Hardsigmoid => |x| x.hardsigmoid();
    /// `x · hardsigmoid(x)`.
    Hardswish => |x| x.hardswish();
    /// `log(sigmoid(x))`.
    LogSigmoid => |x| x.logsigmoid();
    /// `x / (1 + |x|)`.
    Softsign => |x| x.softsign();
    /// `x − tanh(x)`.
    Tanhshrink => |x| x.tanhshrink();
    /// Softmax over the channels of `[batch, channels, height, width]`, or without batch.
    Softmax2d => |x| x.softmax(-3);
    /// `x`.
    Identity => |x| x.clone();
}

#[track_caller]
fn gelu(x: &Tensor) -> Tensor {
    in_f32!([x] => |x| gelu(x));
    x * 0.5 * ((x * FRAC_1_SQRT_2).erf() + 1.0)
}

/// Layers with numbers, by a function of them and the input.
macro_rules! shaped {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $default:expr),+ } => |$this:ident, $x:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: f64,)+
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default),+ }
            }
        }

        impl $name {
            /// The function of every element of `x`.
            #[track_caller]
            pub fn forward(&self, $x: &Tensor) -> Tensor {
                let $this = self;
                $value
            }
        }

        layer!($name, |l| {
            let numbers = [$(l.$field.to_string()),+];
            format!("{}({})", stringify!($name), numbers.join(", "))
        });
    )*};
}

shaped! {
    /// `x` where positive, else `negative_slope · x`.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let y = wgrad_nn::LeakyRelu::default().forward(&Tensor::new(&[-1.0f32, 2.0], &Device::cpu()));
    /// assert_eq!(y.to_vec::<f32>()?, [-0.01, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    LeakyRelu {
        /// Slope below 0; 0.01.
        negative_slope: 0.01
    } => |l, x| x.leaky_relu(l.negative_slope);
    /// `x` where positive, else `α (exp(x) − 1)`.
    Elu {
        /// The limit below is −α; 1.
        alpha: 1.0
    } => |l, x| x.elu(l.alpha);
    /// `max(x, 0) + min(α (exp(x / α) − 1), 0)`.
    Celu {
        /// The limit below is −α; 1.
        alpha: 1.0
    } => |l, x| x.celu(l.alpha);
    /// `log(1 + exp(β x)) / β`, and `x` where `β x` exceeds a threshold.
    Softplus {
        /// Sharpness; 1.
        beta: 1.0,
        /// Beyond this the function is `x`; 20.
        threshold: 20.0
    } => |l, x| x.softplus_with(l.beta, l.threshold);
    /// `x` within bounds, which it does not leave.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let y = wgrad_nn::Hardtanh::default().forward(&Tensor::new(&[-3.0f32, 0.5], &Device::cpu()));
    /// assert_eq!(y.to_vec::<f32>()?, [-1.0, 0.5]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    Hardtanh {
        /// Lower bound; −1.
        min_val: -1.0,
        /// Upper bound; 1.
        max_val: 1.0
    } => |l, x| x.hardtanh(l.min_val, l.max_val);
    /// `x` moved towards 0 by `lambd`, 0 where it is nearer.
    Softshrink {
        /// The distance; 0.5.
        lambd: 0.5
    } => |l, x| x.softshrink(l.lambd);
    /// `x`, but 0 where `|x|` is at most `lambd`.
    Hardshrink {
        /// The distance; 0.5.
        lambd: 0.5
    } => |l, x| x.hardshrink(l.lambd);
    /// `x` where it exceeds a threshold, else a value.
    Threshold {
        /// What `x` must exceed; 0.
        threshold: 0.0,
        /// What it is otherwise; 0.
        value: 0.0
    } => |l, x| x.threshold(l.threshold, l.value);
}

/// `x` where positive, else `weight · x` with a slope that is learned, one for all or one for each channel (dimension 1).
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let device = Device::cpu();
/// let y = wgrad_nn::PRelu::new(1, &device).forward(&Tensor::new(&[-4.0f32, 2.0], &device));
/// assert_eq!(y.to_vec::<f32>()?, [-1.0, 2.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct PRelu {
    /// The slopes, `[num_parameters]`.
    pub weight: Tensor,
}

impl PRelu {
    /// With slopes of 0.25: one, or one for each channel.
    #[track_caller]
    pub fn new(num_parameters: usize, device: &Device) -> PRelu {
        PRelu {
            weight: init::ones(&[num_parameters], device) * 0.25,
        }
    }

    /// The function of every element of `x [batch, channels, …]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.prelu(&self.weight)
    }
}

layer!(PRelu, |l| format!("PRelu({})", l.weight.numel()));

/// `x` where positive, else `a · x` with `a` drawn for each element in training, and the mean of its bounds in
/// evaluation (Xu et al. 2015).
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_nn::{Context, RRelu};
/// let y = RRelu::default().forward(&Tensor::new(&[-1.0f32], &Device::cpu()), &mut Context::train(0));
/// assert!((-1.0 / 3.0..=-1.0 / 8.0).contains(&y.item::<f32>()?));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct RRelu {
    /// Least slope; 1/8.
    pub lower: f64,
    /// Greatest slope; 1/3.
    pub upper: f64,
}

impl Default for RRelu {
    fn default() -> RRelu {
        RRelu {
            lower: 1.0 / 8.0,
            upper: 1.0 / 3.0,
        }
    }
}

impl RRelu {
    /// The function of every element of `x`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let (lower, upper) = (self.lower, self.upper);
        if lower.is_nan() || upper.is_nan() || lower > upper {
            let message = format!("the slopes {lower} to {upper} are no range");
            return fail("rrelu", ErrorKind::Value, message, x);
        }
        if !cx.training || x.check().is_err() {
            return x.leaky_relu((lower + upper) / 2.0);
        }
        let slope = init::uniform(x.shape(), lower, upper, &mut cx.rng, x.device());
        Tensor::where_(&x.le_scalar(0.0), &(x * slope.cast(x.dtype())), x)
    }
}

impl Layer for RRelu {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        RRelu::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        format!("RRelu({}, {})", self.lower, self.upper)
    }
}

/// Layers along a dimension, by a function of it and the input.
macro_rules! along {
    ($($(#[$doc:meta])* $name:ident => |$dim:ident, $x:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            /// The dimension, which may count from the end.
            pub dim: isize,
        }

        impl $name {
            /// The function of `x` along `dim`.
            #[track_caller]
            pub fn forward(&self, $x: &Tensor) -> Tensor {
                let $dim = self.dim;
                $value
            }
        }

        layer!($name, |l| format!("{}({})", stringify!($name), l.dim));
    )*};
}

along! {
    /// `exp(x) / Σ exp(x)` along `dim`. Not before [`crate::loss::cross_entropy`], which takes logits.
    Softmax => |dim, x| x.softmax(dim);
    /// `exp(−x) / Σ exp(−x)` along `dim`.
    Softmin => |dim, x| x.softmin(dim);
    /// `x − log Σ exp(x)` along `dim`.
    LogSoftmax => |dim, x| x.log_softmax(dim);
    /// Gated linear unit (Dauphin et al. 2017): `a · sigmoid(b)`, `a` and `b` the halves of `dim`.
    Glu => |dim, x| x.glu(dim);
    /// `a · silu(b)`, `a` and `b` the halves of `dim` (Shazeer 2020).
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let y = wgrad_nn::SwiGlu { dim: -1 }.forward(&Tensor::new(&[3.0f32, 0.0], &Device::cpu()));
    /// assert_eq!(y.to_vec::<f32>()?, [0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    SwiGlu => |dim, x| gated("swiglu", x, dim, Tensor::silu);
    /// `a · gelu(b)`, `a` and `b` the halves of `dim` (Shazeer 2020).
    GeGlu => |dim, x| gated("geglu", x, dim, Tensor::gelu);
    /// `a · relu(b)`, `a` and `b` the halves of `dim` (Shazeer 2020).
    ReGlu => |dim, x| gated("reglu", x, dim, Tensor::relu);
}

/// The first half of a dimension times a function of the second.
#[track_caller]
fn gated(op: &str, x: &Tensor, dim: isize, gate: fn(&Tensor) -> Tensor) -> Tensor {
    let size = x.size(dim);
    if size == 0 || size % 2 == 1 {
        let message = format!("dimension {dim} of size {size} has no halves");
        return fail(op, ErrorKind::Shape, message, x);
    }
    let half = size / 2;
    x.narrow(dim, 0, half) * gate(&x.narrow(dim, half, half))
}
