//! Layers that change the size of images: resampling, pixel shuffles, and blocks as columns.

use super::{fail, layer};
use crate::Module;
use wgrad_graph::{ErrorKind, InterpolateOptions, Interpolation, Tensor, UnfoldOptions};

/// Resampling of `[batch, channels, spatial…]` to a size or by factors: PyTorch's `interpolate`.
///
/// ```
/// use wgrad_graph::{Device, InterpolateOptions, Interpolation, Tensor};
/// use wgrad_nn::Upsample;
/// let x = Tensor::from_slice(&[1.0f32, 3.0], &[1, 1, 2], &Device::cpu());
/// let y = Upsample::with(&InterpolateOptions::scale_factor(&[2.0])).forward(&x);
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 1.0, 3.0, 3.0]);
/// let ends = InterpolateOptions::size(&[3]).mode(Interpolation::Linear).align_corners(true);
/// assert_eq!(Upsample::with(&ends).forward(&x).to_vec::<f32>()?, [1.0, 2.0, 3.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct Upsample {
    /// Spatial sizes of the result; one stands for all.
    pub size: Option<Vec<usize>>,
    /// Factors of the spatial sizes; one stands for all.
    pub scale_factor: Option<Vec<f64>>,
    /// How values between elements are found.
    #[module(watch)]
    pub mode: Interpolation,
    /// Whether the corners' centres coincide.
    pub align_corners: bool,
    /// Whether positions follow from the rounded sizes.
    pub recompute_scale_factor: bool,
    /// Whether shrinking widens the kernel.
    pub antialias: bool,
}

impl Upsample {
    /// With these options, of which size or factors must be given.
    pub fn with(options: &InterpolateOptions) -> Upsample {
        let options = options.clone();
        Upsample {
            size: options.size,
            scale_factor: options.scale_factor,
            mode: options.mode,
            align_corners: options.align_corners,
            recompute_scale_factor: options.recompute_scale_factor,
            antialias: options.antialias,
        }
    }

    /// `x [batch, channels, spatial…]` to `[batch, channels, spatial'…]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.interpolate(&InterpolateOptions {
            size: self.size.clone(),
            scale_factor: self.scale_factor.clone(),
            mode: self.mode,
            align_corners: self.align_corners,
            recompute_scale_factor: self.recompute_scale_factor,
            antialias: self.antialias,
        })
    }
}

layer!(Upsample, |l| match (&l.size, &l.scale_factor) {
    (Some(size), _) => format!("Upsample(to {size:?}, {:?})", l.mode),
    (None, by) => format!(
        "Upsample(by {:?}, {:?})",
        by.as_deref().unwrap_or_default(),
        l.mode
    ),
});

macro_rules! by_factor {
    ($($(#[$doc:meta])* $name:ident, $(#[$field_doc:meta])* $field:ident, |$n:ident, $x:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            $(#[$field_doc])*
            pub $field: usize,
        }

        impl $name {
            /// With this number.
            pub fn new($field: usize) -> $name {
                $name { $field }
            }

            /// `x` rearranged.
            #[track_caller]
            pub fn forward(&self, $x: &Tensor) -> Tensor {
                let $n = self.$field;
                $value
            }
        }

        layer!($name, |l| format!("{}({})", stringify!($name), l.$field));
    )*};
}

by_factor! {
    /// `[…, channels · r², height, width]` to `[…, channels, height · r, width · r]`.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// let x = Tensor::ones(&[1, 8, 3, 5], DType::F32, &Device::cpu());
    /// let y = wgrad_nn::PixelShuffle::new(2).forward(&x);
    /// assert_eq!(y.shape(), [1, 2, 6, 10]);
    /// assert_eq!(wgrad_nn::PixelUnshuffle::new(2).forward(&y).shape(), x.shape());
    /// ```
    PixelShuffle,
    /// r.
    upscale_factor, |r, x| x.pixel_shuffle(r);
    /// `[…, channels, height · r, width · r]` to `[…, channels · r², height, width]`.
    PixelUnshuffle,
    /// r.
    downscale_factor, |r, x| x.pixel_unshuffle(r);
    /// `[batch, channels, …]` with the channels of each group dealt out over all groups (ShuffleNet).
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0], &[1, 4, 1], &Device::cpu());
    /// let y = wgrad_nn::ChannelShuffle::new(2).forward(&x);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 2.0, 1.0, 3.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ChannelShuffle,
    /// How many groups; they divide the channels.
    groups, |groups, x| {
        let channels = x.size(1);
        if groups == 0 || x.rank() < 3 || !channels.is_multiple_of(groups) {
            let message = format!("takes [batch, channels, …] with channels in {groups} groups");
            return fail("channel_shuffle", ErrorKind::Shape, message, x);
        }
        let sizes = [groups as isize, (channels / groups) as isize];
        x.unflatten(1, &sizes).transpose(1, 2).flatten(1, 2)
    };
}

/// Blocks of images `[batch, channels, height, width]` as columns `[batch, channels · kh · kw, blocks]`.
///
/// ```
/// use wgrad_graph::{DType, Device, Tensor, UnfoldOptions};
/// let options = UnfoldOptions::new([2, 2]);
/// let x = Tensor::ones(&[1, 3, 4, 5], DType::F32, &Device::cpu());
/// let y = wgrad_nn::Unfold { options }.forward(&x);
/// assert_eq!(y.shape(), [1, 12, 12]);
/// let sums = wgrad_nn::Fold { output_size: [4, 5], options }.forward(&y);
/// assert_eq!(sums.shape(), x.shape());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub struct Unfold {
    /// Block, stride, padding, dilation.
    #[module(watch)]
    pub options: UnfoldOptions,
}

impl Unfold {
    /// The blocks of `x`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.unfold2d(&self.options)
    }
}

/// Columns `[batch, channels · kh · kw, blocks]` added into images `[batch, channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub struct Fold {
    /// Height and width of the images.
    pub output_size: [usize; 2],
    /// Block, stride, padding, dilation.
    #[module(watch)]
    pub options: UnfoldOptions,
}

impl Fold {
    /// The images that the columns of `x` add up to.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.fold2d(self.output_size, &self.options)
    }
}

layer!(Unfold, |l| format!("Unfold({:?})", l.options.kernel_size));
layer!(Fold, |l| format!("Fold({:?})", l.output_size));
