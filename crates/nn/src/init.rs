//! Initial values of parameters: lazy f32 tensors drawn from a stream. Fans are PyTorch's: of `[out, in, kernel…]`,
//! fan-in is `in · kernel`, fan-out `out · kernel`.
//!
//! ```
//! use wgrad_graph::{Device, Generator};
//! use wgrad_nn::init;
//! let w = init::xavier_uniform(&[3, 5], 1.0, &mut Generator::new(0), &Device::cpu());
//! let bound = (6.0f32 / 8.0).sqrt();
//! assert!(w.to_vec::<f32>()?.iter().all(|v| v.abs() <= bound));
//! # Ok::<(), wgrad_graph::Error>(())
//! ```

mod bias;
mod structured;

pub use bias::{log_frequencies, log_odds};
pub use structured::{dirac, eye, orthogonal, sparse};

use wgrad_graph::{DType, Device, Error, ErrorKind, Generator, Tensor};

/// A non-linearity, for the gain that keeps the variance through it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gain {
    /// None: 1.
    Linear,
    /// 1, PyTorch's.
    Sigmoid,
    /// 5/3.
    Tanh,
    /// √2.
    Relu,
    /// `√(2 / (1 + slope²))`, for this slope below 0.
    LeakyRelu(f64),
    /// 3/4.
    Selu,
}

impl Gain {
    /// The factor of the standard deviation: PyTorch's `calculate_gain`.
    ///
    /// ```
    /// use wgrad_nn::init::Gain;
    /// assert_eq!(Gain::Relu.value(), 2f64.sqrt());
    /// assert_eq!(Gain::LeakyRelu(1.0).value(), 1.0);
    /// ```
    pub fn value(self) -> f64 {
        match self {
            Gain::Linear | Gain::Sigmoid => 1.0,
            Gain::Tanh => 5.0 / 3.0,
            Gain::Relu => 2f64.sqrt(),
            Gain::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Gain::Selu => 0.75,
        }
    }
}

/// Which fan scales a Kaiming initialisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fan {
    /// Keeps the variance in the forward pass.
    #[default]
    In,
    /// Keeps the variance in the backward pass.
    Out,
}

/// Fan-in and fan-out of a weight `[out, in, kernel…]`; `None` below two dimensions.
///
/// ```
/// assert_eq!(wgrad_nn::init::fans(&[8, 3, 5, 5]), Some((75, 200)));
/// ```
pub fn fans(shape: &[usize]) -> Option<(usize, usize)> {
    let [out, input, kernel @ ..] = shape else {
        return None;
    };
    let field = kernel.iter().fold(1usize, |n, &k| n.saturating_mul(k));
    Some((input.saturating_mul(field), out.saturating_mul(field)))
}

/// Zeros.
#[track_caller]
pub fn zeros(shape: &[usize], device: &Device) -> Tensor {
    Tensor::zeros(shape, DType::F32, device)
}

/// Ones.
#[track_caller]
pub fn ones(shape: &[usize], device: &Device) -> Tensor {
    Tensor::ones(shape, DType::F32, device)
}

/// Uniform in `[low, high)`.
#[track_caller]
pub fn uniform(
    shape: &[usize],
    low: f64,
    high: f64,
    rng: &mut Generator,
    device: &Device,
) -> Tensor {
    rng.uniform(shape, device) * (high - low) + low
}

/// Normal with this mean and standard deviation.
#[track_caller]
pub fn normal(
    shape: &[usize],
    mean: f64,
    std: f64,
    rng: &mut Generator,
    device: &Device,
) -> Tensor {
    rng.normal(shape, device) * std + mean
}

/// `U(−b, b)` with `b = √(6 / ((1 + a²) fan))`: He et al. 2015, for a leaky ReLU of slope `a`.
/// Invalid for a shape of fewer than two dimensions.
#[track_caller]
pub fn kaiming_uniform(
    shape: &[usize],
    a: f64,
    fan: Fan,
    rng: &mut Generator,
    device: &Device,
) -> Tensor {
    match kaiming_std("kaiming_uniform", shape, a, fan) {
        Ok(std) => symmetric(shape, 3f64.sqrt() * std, rng, device),
        Err(e) => Tensor::invalid(e, shape, DType::F32, device),
    }
}

/// Normal with standard deviation `√(2 / ((1 + a²) fan))`.
/// Invalid for a shape of fewer than two dimensions.
#[track_caller]
pub fn kaiming_normal(
    shape: &[usize],
    a: f64,
    fan: Fan,
    rng: &mut Generator,
    device: &Device,
) -> Tensor {
    match kaiming_std("kaiming_normal", shape, a, fan) {
        Ok(std) => normal(shape, 0.0, std, rng, device),
        Err(e) => Tensor::invalid(e, shape, DType::F32, device),
    }
}

/// `U(−b, b)` with `b = gain · √(6 / (fan_in + fan_out))`: Glorot and Bengio 2010.
/// Invalid for a shape of fewer than two dimensions.
#[track_caller]
pub fn xavier_uniform(shape: &[usize], gain: f64, rng: &mut Generator, device: &Device) -> Tensor {
    match xavier_std("xavier_uniform", shape, gain) {
        Ok(std) => symmetric(shape, 3f64.sqrt() * std, rng, device),
        Err(e) => Tensor::invalid(e, shape, DType::F32, device),
    }
}

/// Normal with standard deviation `gain · √(2 / (fan_in + fan_out))`.
/// Invalid for a shape of fewer than two dimensions.
#[track_caller]
pub fn xavier_normal(shape: &[usize], gain: f64, rng: &mut Generator, device: &Device) -> Tensor {
    match xavier_std("xavier_normal", shape, gain) {
        Ok(std) => normal(shape, 0.0, std, rng, device),
        Err(e) => Tensor::invalid(e, shape, DType::F32, device),
    }
}

/// One number everywhere.
#[track_caller]
pub fn constant(shape: &[usize], value: f64, device: &Device) -> Tensor {
    Tensor::full(shape, value, DType::F32, device)
}

/// Normal with this mean and standard deviation, but between `low` and `high`: PyTorch's `trunc_normal_`.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::init;
/// let w = init::trunc_normal(&[100], 0.0, 0.02, -0.04, 0.04, &mut Generator::new(0), &Device::cpu());
/// assert!(w.to_vec::<f32>()?.iter().all(|v| v.abs() <= 0.04));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn trunc_normal(
    shape: &[usize],
    mean: f64,
    std: f64,
    low: f64,
    high: f64,
    rng: &mut Generator,
    device: &Device,
) -> Tensor {
    if !(std > 0.0 && low < high && mean.is_finite()) {
        let message = format!("takes std above 0 and low below high, not {std}, {low}, {high}");
        let error = Error::new(ErrorKind::Value, "trunc_normal", message);
        return Tensor::invalid(error, shape, DType::F32, device);
    }
    rng.truncated_normal(mean, std, low, high, shape, device)
}

/// `U(−bound, bound)`.
#[track_caller]
pub(crate) fn symmetric(
    shape: &[usize],
    bound: f64,
    rng: &mut Generator,
    device: &Device,
) -> Tensor {
    uniform(shape, -bound, bound, rng, device)
}

fn needed_fans(op: &str, shape: &[usize]) -> Result<(usize, usize), Error> {
    let message = || {
        format!(
            "a weight needs at least 2 dimensions, shape {shape:?} has {}",
            shape.len()
        )
    };
    fans(shape).ok_or_else(|| Error::new(ErrorKind::Shape, op, message()))
}

fn kaiming_std(op: &str, shape: &[usize], a: f64, fan: Fan) -> Result<f64, Error> {
    let (fan_in, fan_out) = needed_fans(op, shape)?;
    let n = if fan == Fan::In { fan_in } else { fan_out };
    Ok((2.0 / ((1.0 + a * a) * n.max(1) as f64)).sqrt())
}

fn xavier_std(op: &str, shape: &[usize], gain: f64) -> Result<f64, Error> {
    let (fan_in, fan_out) = needed_fans(op, shape)?;
    Ok(gain * (2.0 / fan_in.saturating_add(fan_out).max(1) as f64).sqrt())
}
