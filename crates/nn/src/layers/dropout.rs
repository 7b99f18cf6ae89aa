//! Noise that only training sees: what is dropped (elements, channels, whole residual branches) and what is added. In
//! evaluation each of these layers is the identity.

use super::fail;
use crate::{Context, Layer, Module};
use wgrad_graph::{ErrorKind, Tensor};

/// Inverted dropout (Srivastava et al. 2014): in training each element is 0 with probability `p`, the others are scaled
/// by `1 / (1 − p)`.
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct Dropout {
    /// Probability that an element is dropped, in [0, 1].
    pub p: f64,
}

impl Dropout {
    /// Dropping with probability `p`; one outside [0, 1] makes the output invalid.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// use wgrad_nn::{Context, Dropout};
    /// let x = Tensor::ones(&[1000], DType::F32, &Device::cpu());
    /// let y = Dropout::new(0.5).forward(&x, &mut Context::train(0)).to_vec::<f32>()?;
    /// assert!(y.iter().all(|&v| v == 0.0 || v == 2.0));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn new(p: f64) -> Dropout {
        Dropout { p }
    }

    /// `x` with dropped elements; in evaluation, or where `p` is 0, `x` itself.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        drop("dropout", x, self.p, x.shape(), cx)
    }
}

/// `x / (1 − p)` where a mask of shape `mask` keeps it, else 0.
#[track_caller]
fn drop(op: &str, x: &Tensor, p: f64, mask: &[usize], cx: &mut Context) -> Tensor {
    if let Some(y) = idle(op, x, p, cx) {
        return y;
    }
    let kept = cx.rng.bernoulli(1.0 - p, mask, x.device());
    let scale = if p == 1.0 { 0.0 } else { 1.0 / (1.0 - p) };
    let scaled = x * scale;
    Tensor::where_(&kept, &scaled, &scaled.zeros_like())
}

/// The output where nothing is drawn: for a wrong `p`, in evaluation, for a `p` of 0.
#[track_caller]
fn idle(op: &str, x: &Tensor, p: f64, cx: &Context) -> Option<Tensor> {
    if !(0.0..=1.0).contains(&p) {
        let message = format!("p is {p}, not within [0, 1]");
        return Some(fail(op, ErrorKind::Value, message, x));
    }
    (!cx.training || p == 0.0 || x.check().is_err()).then(|| x.clone())
}

/// Sizes of a mask that is one for each channel: those of `x` up to the channels, then 1. `None` if `x` has not
/// `spatial` dimensions after batch and channels, or after the channels alone.
fn channels(x: &Tensor, spatial: usize) -> Option<Vec<usize>> {
    // PyTorch takes three dimensions of a Dropout2d as [batch, channels, length].
    let lead = match x.rank() {
        r if r == spatial + 2 || (spatial == 2 && r == 3) => 2,
        r if r == spatial + 1 => 1,
        _ => return None,
    };
    let mut mask = vec![1; x.rank()];
    mask[..lead].copy_from_slice(&x.shape()[..lead]);
    Some(mask)
}

/// Implements [`Layer`] for noise that a number describes.
macro_rules! noise {
    ($($(#[$doc:meta])* $name:ident, $(#[$field_doc:meta])* $field:ident, |$this:ident, $x:ident, $cx:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Module)]
        #[module(crate = crate)]
        pub struct $name {
            $(#[$field_doc])*
            pub $field: f64,
        }

        impl $name {
            /// With this number; one out of range makes the output invalid.
            pub fn new($field: f64) -> $name {
                $name { $field }
            }

            /// `x` with noise, of its shape; in evaluation `x` itself.
            #[track_caller]
            pub fn forward(&self, $x: &Tensor, $cx: &mut Context) -> Tensor {
                let $this = self;
                $value
            }
        }

        impl Layer for $name {
            #[track_caller]
            fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
                $name::forward(self, x, cx)
            }

            fn kind(&self) -> String {
                format!("{}({})", stringify!($name), self.$field)
            }
        }
    )*};
}

impl Layer for Dropout {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        Dropout::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        format!("Dropout({})", self.p)
    }
}

/// Whole channels, of `spatial` dimensions each.
#[track_caller]
fn drop_channels(op: &str, x: &Tensor, p: f64, spatial: usize, cx: &mut Context) -> Tensor {
    match channels(x, spatial) {
        Some(mask) => drop(op, x, p, &mask, cx),
        None => fail(op, ErrorKind::Shape, misfit(spatial), x),
    }
}

fn misfit(spatial: usize) -> String {
    format!("takes [batch, channels, {spatial} dimensions…]")
}

/// What dropped units of a SELU network become: −λα.
const SATURATED: f64 = -1.758_099_340_847_376_6;

/// Dropout that keeps mean 0 and variance 1 (Klambauer et al. 2017).
#[track_caller]
fn alpha(op: &str, x: &Tensor, p: f64, mask: &[usize], cx: &mut Context) -> Tensor {
    if let Some(y) = idle(op, x, p, cx) {
        return y;
    }
    if p == 1.0 {
        return x * 0.0;
    }
    let a = 1.0 / ((1.0 - p) * (1.0 + p * SATURATED * SATURATED)).sqrt();
    let kept = cx.rng.bernoulli(1.0 - p, mask, x.device());
    let dropped = x.full_like(SATURATED);
    Tensor::where_(&kept, x, &dropped) * a - a * SATURATED * p
}

noise! {
    /// Drops whole channels of `[batch, channels, length]` or `[channels, length]`.
    Dropout1d,
    /// Probability that a channel is dropped, in [0, 1].
    p, |l, x, cx| drop_channels("dropout1d", x, l.p, 1, cx);
    /// Drops whole channels of `[batch, channels, height, width]`: spatial dropout (Tompson et al. 2015). Three
    /// dimensions are `[batch, channels, length]`, as in PyTorch.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// use wgrad_nn::{Context, Dropout2d};
    /// let x = Tensor::ones(&[4, 8, 2, 2], DType::F32, &Device::cpu());
    /// let y = Dropout2d::new(0.5).forward(&x, &mut Context::train(0)).to_vec::<f32>()?;
    /// assert!(y.chunks(4).all(|channel| channel == [0.0; 4] || channel == [2.0; 4]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    Dropout2d,
    /// Probability that a channel is dropped, in [0, 1].
    p, |l, x, cx| drop_channels("dropout2d", x, l.p, 2, cx);
    /// Drops whole channels of `[batch, channels, depth, height, width]`, or without batch.
    Dropout3d,
    /// Probability that a channel is dropped, in [0, 1].
    p, |l, x, cx| drop_channels("dropout3d", x, l.p, 3, cx);
    /// Dropout for SELU networks (Klambauer et al. 2017): what is dropped becomes −λα, and mean and variance stay.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator};
    /// use wgrad_nn::{AlphaDropout, Context};
    /// let x = Generator::new(1).normal(&[10_000], &Device::cpu());
    /// let y = AlphaDropout::new(0.2).forward(&x, &mut Context::train(0));
    /// assert!((y.std(1.0).item::<f32>()? - 1.0).abs() < 0.05);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    AlphaDropout,
    /// Probability that an element is dropped, in [0, 1].
    p, |l, x, cx| alpha("alpha_dropout", x, l.p, x.shape(), cx);
    /// [`AlphaDropout`] of whole channels, `[batch, channels, …]`.
    FeatureAlphaDropout,
    /// Probability that a channel is dropped, in [0, 1].
    p, |l, x, cx| {
        if x.rank() < 2 {
            return fail("feature_alpha_dropout", ErrorKind::Shape, misfit(0), x);
        }
        let mut mask = vec![1; x.rank()];
        mask[..2].copy_from_slice(&x.shape()[..2]);
        alpha("feature_alpha_dropout", x, l.p, &mask, cx)
    };
    /// Adds normal noise of a standard deviation, in training: to inputs, hidden units, or targets
    /// (`GaussianNoise::new(0.1).forward(&y, &mut cx)` before the loss).
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Tensor};
    /// use wgrad_nn::{Context, GaussianNoise};
    /// let x = Tensor::zeros(&[10_000], DType::F32, &Device::cpu());
    /// let y = GaussianNoise::new(0.5).forward(&x, &mut Context::train(0));
    /// assert!((y.std(1.0).item::<f32>()? - 0.5).abs() < 0.02);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    GaussianNoise,
    /// Standard deviation, at least 0.
    std, |l, x, cx| {
        if l.std.is_nan() || l.std < 0.0 {
            let message = format!("std is {}, not at least 0", l.std);
            return fail("gaussian_noise", ErrorKind::Value, message, x);
        }
        if !cx.training || l.std == 0.0 || x.check().is_err() {
            return x.clone();
        }
        x + (cx.rng.normal(x.shape(), x.device()) * l.std).cast(x.dtype())
    };
    /// Multiplies by normal noise of mean 1 and variance `p / (1 − p)`, in training (Srivastava et al. 2014, section 10).
    GaussianDropout,
    /// The dropout probability whose variance the noise has, in [0, 1).
    p, |l, x, cx| {
        if l.p == 1.0 {
            let message = "p is 1, where the variance is infinite".to_string();
            return fail("gaussian_dropout", ErrorKind::Value, message, x);
        }
        if let Some(y) = idle("gaussian_dropout", x, l.p, cx) {
            return y;
        }
        let std = (l.p / (1.0 - l.p)).sqrt();
        x * (cx.rng.normal(x.shape(), x.device()) * std + 1.0).cast(x.dtype())
    };
}

/// Stochastic depth (Huang et al. 2016): drops a residual branch for whole samples, in training; what is kept is scaled
/// by `1 / (1 − p)`. Put it at the end of the branch.
///
/// ```
/// use wgrad_graph::{DType, Device, Tensor};
/// use wgrad_nn::{Context, DropPath};
/// let branch = Tensor::ones(&[8, 3], DType::F32, &Device::cpu());
/// let y = DropPath::new(0.5).forward(&branch, &mut Context::train(0)).to_vec::<f32>()?;
/// assert!(y.chunks(3).all(|row| row == [0.0; 3] || row == [2.0; 3]));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct DropPath {
    /// Probability that a branch is dropped, in [0, 1].
    pub p: f64,
    /// Whether all samples of a batch share one draw; no.
    pub batch_wise: bool,
}

impl DropPath {
    /// Dropping with probability `p`, each sample on its own; one outside [0, 1] makes the output invalid.
    pub fn new(p: f64) -> DropPath {
        DropPath {
            p,
            batch_wise: false,
        }
    }

    /// With one draw for the whole batch.
    pub fn batch_wise(self) -> DropPath {
        DropPath {
            batch_wise: true,
            ..self
        }
    }

    /// `x [batch, …]` with dropped samples; in evaluation `x` itself.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let mut mask = vec![1; x.rank()];
        match (mask.first_mut(), self.batch_wise) {
            (Some(first), false) => *first = x.size(0),
            (None, false) => {
                let message = "takes [batch, …]".to_string();
                return fail("drop_path", ErrorKind::Shape, message, x);
            }
            _ => {}
        }
        drop("drop_path", x, self.p, &mask, cx)
    }
}

impl Layer for DropPath {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        DropPath::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        format!("DropPath({})", self.p)
    }
}
