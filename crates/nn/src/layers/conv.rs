//! Convolutions (cross-correlations) in one to three dimensions, `[batch, channels, …]` and `[out, in, kernel…]`. The
//! arithmetic is `Tensor::conv1d` and its like; this holds weights and options.

use super::layer;
use crate::Module;
use crate::init::symmetric;
use wgrad_graph::{
    ConvOptions, DType, Device, Error, ErrorKind, Generator, PadMode, Padding, Tensor,
};

/// What a convolution meets beyond the edges of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The elements mirrored at the edge one, which is not repeated.
    Reflect,
    /// The edge element.
    Replicate,
    /// The elements of the other end.
    Circular,
}

/// A weight and a bias drawn from `U(±1/√fan_in)`, invalid if the channels do not fall into the groups.
#[track_caller]
pub(super) fn drawn(
    op: &str,
    channels: [usize; 2],
    groups: usize,
    (weight, bias): (&[usize], usize),
    rng: &mut Generator,
    device: &Device,
) -> (Tensor, Tensor) {
    if groups == 0 || channels.iter().any(|c| !c.is_multiple_of(groups)) {
        let [from, to] = channels;
        let message = format!("{from} to {to} channels do not divide into {groups} groups");
        let error = Error::new(ErrorKind::Value, op, message);
        let bad = Tensor::invalid(error, weight, DType::F32, device);
        return (bad.clone(), bad);
    }
    let fan_in = weight[1..].iter().map(|&n| n as f64).product::<f64>();
    let bound = 1.0 / fan_in.max(1.0).sqrt();
    let weight = symmetric(weight, bound, rng, device);
    let bias = symmetric(&[bias], bound, rng, device);
    (weight, bias)
}

/// `3x3`.
pub(super) fn extent(sizes: &[usize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    sizes.join("x")
}

/// `x` padded by other elements than zeros, and what is left of the options.
#[track_caller]
fn padded<const N: usize>(
    x: &Tensor,
    kernel: &[usize],
    options: &ConvOptions<N>,
    mode: PaddingMode,
) -> (Tensor, ConvOptions<N>) {
    let mode = match mode {
        PaddingMode::Zeros => return (x.clone(), *options),
        PaddingMode::Reflect => PadMode::Reflect,
        PaddingMode::Replicate => PadMode::Replicate,
        PaddingMode::Circular => PadMode::Circular,
    };
    let sides: [(usize, usize); N] = match options.padding {
        Padding::Both(p) => p.map(|p| (p, p)),
        Padding::Each(p) => p,
        // With other strides the convolution itself says what is wrong.
        Padding::Same if options.stride != [1; N] => return (x.clone(), *options),
        Padding::Same => std::array::from_fn(|d| {
            let size = kernel.get(d).copied().unwrap_or(1);
            let total = size.saturating_sub(1).saturating_mul(options.dilation[d]);
            (total / 2, total - total / 2)
        }),
    };
    let counts: Vec<isize> = sides
        .iter()
        .rev()
        .flat_map(|&(a, b)| [a as isize, b as isize])
        .collect();
    (x.pad(&counts, mode), options.padding([0; N]))
}

macro_rules! convolutions {
    ($($(#[$doc:meta])* $name:ident, $n:literal, $method:ident, $shapes:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Module)]
        #[module(crate = crate)]
        pub struct $name {
            /// `[out_channels, in_channels / groups, kernel…]`.
            pub weight: Tensor,
            /// `[out_channels]`.
            pub bias: Option<Tensor>,
            /// Stride, padding, dilation, groups.
            pub options: ConvOptions<$n>,
            /// What lies beyond the edges; zeros.
            #[module(watch)]
            pub padding_mode: PaddingMode,
        }

        impl $name {
            /// With weight and bias drawn from `U(±1/√fan_in)`, PyTorch's default. Channels that the groups do not
            /// divide make both invalid.
            #[track_caller]
            pub fn new(
                in_channels: usize,
                out_channels: usize,
                kernel_size: [usize; $n],
                options: ConvOptions<$n>,
                rng: &mut Generator,
                device: &Device,
            ) -> $name {
                let mut shape = vec![out_channels, in_channels / options.groups.max(1)];
                shape.extend(kernel_size);
                let channels = [in_channels, out_channels];
                let of = (shape.as_slice(), out_channels);
                let (weight, bias) = drawn(stringify!($method), channels, options.groups, of, rng, device);
                $name { weight, bias: Some(bias), options, padding_mode: PaddingMode::Zeros }
            }

            /// Each channel convolved on its own, to `multiplier` channels each: as many groups as channels.
            #[track_caller]
            pub fn depthwise(
                channels: usize,
                multiplier: usize,
                kernel_size: [usize; $n],
                options: ConvOptions<$n>,
                rng: &mut Generator,
                device: &Device,
            ) -> $name {
                let options = options.groups(channels);
                let out = channels.saturating_mul(multiplier);
                $name::new(channels, out, kernel_size, options, rng, device)
            }

            /// Without the bias, as before a batch normalisation.
            pub fn without_bias(self) -> $name {
                $name { bias: None, ..self }
            }

            /// With other elements than zeros beyond the edges.
            pub fn padding_mode(self, padding_mode: PaddingMode) -> $name {
                $name { padding_mode, ..self }
            }

            #[doc = $shapes]
            #[track_caller]
            pub fn forward(&self, x: &Tensor) -> Tensor {
                let kernel = self.weight.shape().get(2..).unwrap_or_default();
                let (x, options) = padded(x, kernel, &self.options, self.padding_mode);
                x.$method(&self.weight, self.bias.as_ref(), &options)
            }
        }

        layer!($name, |c| {
            let kernel = extent(c.weight.shape().get(2..).unwrap_or_default());
            let inputs = c.weight.size(1).saturating_mul(c.options.groups);
            format!("{}({inputs}, {}, {kernel})", stringify!($name), c.weight.size(0))
        });
    )*};
}

convolutions! {
    /// A convolution of `[batch, in_channels, length]`.
    ///
    /// ```
    /// use wgrad_graph::{ConvOptions, DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let wide = ConvOptions::default().dilation([2]).same();
    /// let conv = wgrad_nn::Conv1d::new(3, 8, [5], wide, &mut Generator::new(0), &device);
    /// let y = conv.forward(&Tensor::ones(&[2, 3, 20], DType::F32, &device));
    /// assert_eq!(y.shape(), [2, 8, 20]);
    /// ```
    Conv1d, 1, conv1d,
    "`x [batch, in_channels, length]` (or without batch) to `[batch, out_channels, length']`.";
    /// A convolution of `[batch, in_channels, height, width]`.
    ///
    /// ```
    /// use wgrad_graph::{ConvOptions, DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Conv2d, PaddingMode};
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let same = ConvOptions::default().padding([1, 1]);
    /// let x = Tensor::ones(&[2, 3, 5, 5], DType::F32, &device);
    /// let conv = Conv2d::new(3, 8, [3, 3], same, rng, &device).padding_mode(PaddingMode::Reflect);
    /// assert_eq!(conv.forward(&x).shape(), [2, 8, 5, 5]);
    /// assert_eq!(Conv2d::depthwise(3, 2, [3, 3], same, rng, &device).forward(&x).shape(), [2, 6, 5, 5]);
    /// ```
    Conv2d, 2, conv2d,
    "`x [batch, in_channels, height, width]` (or without batch) to `[batch, out_channels, height', width']`.";
    /// A convolution of `[batch, in_channels, depth, height, width]`.
    ///
    /// ```
    /// use wgrad_graph::{ConvOptions, DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let halves = ConvOptions::default().stride([2, 2, 2]);
    /// let conv = wgrad_nn::Conv3d::new(1, 4, [2, 2, 2], halves, &mut Generator::new(0), &device);
    /// let y = conv.forward(&Tensor::ones(&[2, 1, 4, 6, 8], DType::F32, &device));
    /// assert_eq!(y.shape(), [2, 4, 2, 3, 4]);
    /// ```
    Conv3d, 3, conv3d,
    "`x [batch, in_channels, depth, height, width]` (or without batch) to `[batch, out_channels, …]`.";
}

/// A depthwise convolution and one of 1 by 1 that mixes the channels (Chollet 2017): fewer weights than a full one.
///
/// ```
/// use wgrad_graph::{ConvOptions, Device, Generator};
/// use wgrad_nn::{Module, SeparableConv2d};
/// let (device, same) = (Device::cpu(), ConvOptions::default().padding([1, 1]));
/// let conv = SeparableConv2d::new(16, 32, [3, 3], same, &mut Generator::new(0), &device);
/// assert_eq!(conv.num_parameters(), 16 * 9 + 16 + 16 * 32 + 32);
/// ```
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct SeparableConv2d {
    /// Each channel on its own.
    pub depthwise: Conv2d,
    /// All channels of a position.
    pub pointwise: Conv2d,
}

impl SeparableConv2d {
    /// Both parts drawn as [`Conv2d`]; the options are the depthwise part's.
    #[track_caller]
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: [usize; 2],
        options: ConvOptions<2>,
        rng: &mut Generator,
        device: &Device,
    ) -> SeparableConv2d {
        let one = ConvOptions::default();
        SeparableConv2d {
            depthwise: Conv2d::depthwise(in_channels, 1, kernel_size, options, rng, device),
            pointwise: Conv2d::new(in_channels, out_channels, [1, 1], one, rng, device),
        }
    }

    /// Without biases.
    pub fn without_bias(self) -> SeparableConv2d {
        SeparableConv2d {
            depthwise: self.depthwise.without_bias(),
            pointwise: self.pointwise.without_bias(),
        }
    }

    /// `x [batch, in_channels, height, width]` to `[batch, out_channels, height', width']`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.pointwise.forward(&self.depthwise.forward(x))
    }
}

layer!(SeparableConv2d, |c| {
    let kernel = extent(c.depthwise.weight.shape().get(2..).unwrap_or_default());
    let (from, to) = (c.pointwise.weight.size(1), c.pointwise.weight.size(0));
    format!("SeparableConv2d({from}, {to}, {kernel})")
});
