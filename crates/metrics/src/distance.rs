//! How far two sets of samples are from each other as distributions: maximum mean discrepancy, and the Fréchet distance of
//! Gaussians fitted to features.

use crate::classify::no_samples;
use crate::inputs::misfit;
use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor};

fn rows(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    let fits = a.check()?.rank() == 2 && b.check()?.rank() == 2 && a.size(1) == b.size(1);
    if !fits || a.size(1) == 0 {
        let message = "takes two tensors [samples, features] with as many features";
        return Err(misfit(op, ErrorKind::Shape, message.into(), &[a, b]));
    }
    if a.size(0) == 0 || b.size(0) == 0 {
        return Err(no_samples(op));
    }
    Ok(())
}

/// The squared maximum mean discrepancy of two samples `[m, features]` and `[n, features]`, f32 `[]`, with the kernel
/// `exp(−|x − y|² / (2 bandwidth²))`. Unbiased, it leaves the pairs of a sample with itself out and may be below 0; it takes two
/// samples of each then. Memory grows with the product of the samples. It has a gradient.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let x = Tensor::from_slice(&[0.0f32, 1.0], &[2, 1], &Device::cpu());
/// let far = wgrad_metrics::mmd_rbf(&x, &(&x + 100.0), 1.0, false)?.item::<f32>()?;
/// let inside = (2.0 + 2.0 * (-0.5f32).exp()) / 4.0;
/// assert!((far - 2.0 * inside).abs() < 1e-6);
/// assert_eq!(wgrad_metrics::mmd_rbf(&x, &x, 1.0, false)?.item::<f32>()?, 0.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Other shapes, too few samples, a bandwidth that is not above 0.
pub fn mmd_rbf(x: &Tensor, y: &Tensor, bandwidth: f64, unbiased: bool) -> Result<Tensor> {
    let op = "mmd_rbf";
    rows(op, x, y)?;
    if !(bandwidth > 0.0 && bandwidth.is_finite()) {
        let message = format!("the bandwidth is {bandwidth}: it must be above 0");
        return Err(Error::new(ErrorKind::Value, op, message));
    }
    let (m, n) = (x.size(0), y.size(0));
    if unbiased && m.min(n) < 2 {
        let message = "without bias it takes two samples of each";
        return Err(misfit(op, ErrorKind::Shape, message.into(), &[x, y]));
    }
    let (x, y) = (x.cast(DType::F32), y.cast(DType::F32));
    // Around one point, so that distances lose no digits to a common mean.
    let middle = x.mean_dims(&[0], true);
    let (x, y) = (x - &middle, y - &middle);
    let kernel = |a: &Tensor, b: &Tensor| {
        let squared = a.squared_distances(b).clamp_min(0.0);
        (squared * (-0.5 / (bandwidth * bandwidth))).exp().sum()
    };
    let within = |sum: Tensor, n: usize| {
        let n = n as f64;
        if unbiased {
            (sum - n) / (n * (n - 1.0))
        } else {
            sum / (n * n)
        }
    };
    let (m, n) = (m as f64, n as f64);
    let inside = within(kernel(&x, &x), x.size(0)) + within(kernel(&y, &y), y.size(0));
    Ok(inside - kernel(&x, &y) * (2.0 / (m * n)))
}
