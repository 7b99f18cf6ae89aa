//! How alike images are: PSNR and SSIM, as functions of tensors and as means over images. Recorded like any other
//! computation, so both have gradients.

use crate::classify::Mean;
use crate::inputs::misfit;
use crate::metric::{Metric, alike, other_options};
use std::any::Any;
use wgrad_graph::{ConvOptions, DType, Device, Error, ErrorKind, Result, Tensor};
use wgrad_nn::Module;

/// Averages of an image's surroundings, for [`ssim`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SsimWindow {
    /// Gaussian weights of this standard deviation, in pixels, out to 3.5 of them.
    Gaussian(f64),
    /// Equal weights in a square with this odd side.
    Uniform(usize),
}

/// Options of [`ssim`]. The default is that of Wang and others (2004): a Gaussian of 1.5 pixels, and for a data range of 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SsimOptions {
    /// The difference of the greatest and the least possible value: 1, or 255 for bytes.
    pub data_range: f64,
    /// The window.
    pub window: SsimWindow,
    /// Whether variances divide by one less than the window's pixels, as scikit-image does for uniform windows.
    pub sample_covariance: bool,
    /// 0.01
    pub k1: f64,
    /// 0.03
    pub k2: f64,
}

impl Default for SsimOptions {
    fn default() -> Self {
        SsimOptions {
            data_range: 1.0,
            window: SsimWindow::Gaussian(1.5),
            sample_covariance: false,
            k1: 0.01,
            k2: 0.03,
        }
    }
}

impl SsimOptions {
    /// One-dimensional weights that sum to 1.
    fn weights(&self) -> Result<Vec<f32>, String> {
        let raw: Vec<f64> = match self.window {
            SsimWindow::Uniform(side) if side % 2 == 1 && side > 1 => vec![1.0; side],
            SsimWindow::Uniform(side) => {
                return Err(format!(
                    "the window's side is {side}: it must be odd, 3 or more"
                ));
            }
            SsimWindow::Gaussian(sigma) if sigma > 0.0 && sigma < 1e4 => {
                let radius = (3.5 * sigma + 0.5) as i64;
                (-radius..=radius)
                    .map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp())
                    .collect()
            }
            SsimWindow::Gaussian(sigma) => {
                return Err(format!("the window's standard deviation is {sigma} pixels"));
            }
        };
        let whole: f64 = raw.iter().sum();
        Ok(raw.iter().map(|w| (w / whole) as f32).collect())
    }
}

fn images(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.check()?.shape() != b.check()?.shape() || a.rank() != 4 || a.numel() == 0 {
        let message = "takes two batches of images [samples, channels, height, width] of one shape";
        return Err(misfit(op, ErrorKind::Shape, message.into(), &[a, b]));
    }
    Ok(())
}

fn range(op: &str, data_range: f64) -> Result<()> {
    if data_range > 0.0 && data_range.is_finite() {
        Ok(())
    } else {
        let message = format!("the data range is {data_range}: it must be above 0");
        Err(Error::new(ErrorKind::Value, op, message))
    }
}

/// The structural similarity of each pair of images `[samples, channels, height, width]`, f32 `[samples]`: the mean over
/// channels and all places where the window fits, as scikit-image's `structural_similarity`.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{SsimOptions, ssim};
/// let x = Tensor::arange(16 * 16, &Device::cpu()).reshape(&[1, 1, 16, 16]) / 256.0;
/// let same = ssim(&x, &x, &SsimOptions::default())?.item::<f32>()?;
/// let darker = ssim(&x, &(&x * 0.5), &SsimOptions::default())?.item::<f32>()?;
/// assert!((same - 1.0).abs() < 1e-5 && darker < 0.9);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Other shapes; an image that is smaller than the window; a bad window or data range.
pub fn ssim(a: &Tensor, b: &Tensor, options: &SsimOptions) -> Result<Tensor> {
    let op = "ssim";
    images(op, a, b)?;
    range(op, options.data_range)?;
    let weights = options
        .weights()
        .map_err(|m| Error::new(ErrorKind::Value, op, m))?;
    let side = weights.len();
    let &[n, c, h, w] = a.shape() else {
        return Err(misfit(op, ErrorKind::Shape, "takes images".into(), &[a, b]));
    };
    if h < side || w < side {
        let message = format!("the images are smaller than the window of {side} by {side} pixels");
        return Err(misfit(op, ErrorKind::Shape, message, &[a, b]));
    }
    let flat = [(n * c) as isize, 1, h as isize, w as isize];
    let a = a.cast(DType::F32).reshape(&flat);
    let b = b.cast(DType::F32).reshape(&flat);
    let device = a.device().clone();
    let down = Tensor::from_slice(&weights, &[1, 1, side, 1], &device);
    let along = Tensor::from_slice(&weights, &[1, 1, 1, side], &device);
    let plain = ConvOptions::<2>::default();
    let mean = |x: &Tensor| x.conv2d(&down, None, &plain).conv2d(&along, None, &plain);
    let pixels = (side * side) as f64;
    let scale = if options.sample_covariance {
        pixels / (pixels - 1.0)
    } else {
        1.0
    };
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let var_a = (mean(&a.square()) - mean_a.square()) * scale;
    let var_b = (mean(&b.square()) - mean_b.square()) * scale;
    let both = (mean(&(&a * &b)) - &mean_a * &mean_b) * scale;
    let c1 = (options.k1 * options.data_range).powi(2);
    let c2 = (options.k2 * options.data_range).powi(2);
    let above = (&mean_a * &mean_b * 2.0 + c1) * (both * 2.0 + c2);
    let below = (mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2);
    let map = (above / below).reshape(&[n as isize, -1]);
    Ok(map.mean_dims(&[1], false))
}

/// The peak signal-to-noise ratio of each pair of images `[samples, …]`, f32 `[samples]`, in decibels: 10 log₁₀ of
/// data range² / mean squared error. Infinite for equal images.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let x = Tensor::zeros(&[1, 1, 4, 4], wgrad_graph::DType::F32, &Device::cpu());
/// let noise = wgrad_metrics::psnr(&(&x + 0.1), &x, 1.0)?.item::<f32>()?;
/// assert!((noise - 20.0).abs() < 1e-4);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Different shapes, no elements, a data range that is not above 0.
pub fn psnr(a: &Tensor, b: &Tensor, data_range: f64) -> Result<Tensor> {
    let op = "psnr";
    range(op, data_range)?;
    if a.check()?.shape() != b.check()?.shape() || a.rank() == 0 || a.numel() == 0 {
        let message = "takes two batches of images of one shape";
        return Err(misfit(op, ErrorKind::Shape, message.into(), &[a, b]));
    }
    let flat = [a.shape()[0] as isize, -1];
    let difference = a.cast(DType::F32) - b.cast(DType::F32);
    let mse = difference.square().reshape(&flat).mean_dims(&[1], false);
    Ok(mse.log10() * -10.0 + 20.0 * data_range.log10())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Psnr(f64),
    Ssim(SsimOptions),
}

/// The mean of [`psnr`] or [`ssim`] over images: results `psnr`, `ssim`. A weight is one number for each image.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_metrics::{ImageScore, Metric};
/// let device = Device::cpu();
/// let mut psnr = ImageScore::psnr(1.0, &device);
/// let x = Tensor::zeros(&[2, 1, 4, 4], wgrad_graph::DType::F32, &device);
/// psnr.update(&(&x + 0.1), &x, None)?;
/// assert!((psnr.value()?[0].1 - 20.0).abs() < 1e-4);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Module)]
#[module(crate = wgrad_nn)]
pub struct ImageScore {
    #[module(buffer)]
    mean: Mean,
    #[module(constant)]
    kind: Kind,
}

impl ImageScore {
    /// The peak signal-to-noise ratio, in decibels.
    pub fn psnr(data_range: f64, device: &Device) -> Self {
        ImageScore {
            mean: Mean::new("psnr", device),
            kind: Kind::Psnr(data_range),
        }
    }

    /// The structural similarity.
    pub fn ssim(options: SsimOptions, device: &Device) -> Self {
        ImageScore {
            mean: Mean::new("ssim", device),
            kind: Kind::Ssim(options),
        }
    }
}

impl Metric for ImageScore {
    fn name(&self) -> &str {
        self.mean.name()
    }

    fn update(
        &mut self,
        prediction: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<()> {
        let each = match &self.kind {
            Kind::Psnr(range) => psnr(prediction, target, *range)?,
            Kind::Ssim(options) => ssim(prediction, target, options)?,
        };
        self.mean.add(&each, weight)
    }

    fn merge(&mut self, other: &dyn Metric) -> Result<()> {
        let other = alike(self, other)?;
        if self.kind != other.kind {
            return Err(other_options(self.name()));
        }
        self.mean.merge(&other.mean)
    }

    fn reset(&mut self) {
        self.mean.reset();
    }

    fn results(&self, state: &[Vec<f64>]) -> Result<Vec<(String, f64)>> {
        self.mean.results(state)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
