//! Biases to start from where zeros are not best. Zeros are PyTorch's own advice for most layers; a small positive number
//! (`init::constant(shape, 0.1, …)`) keeps rectifiers from starting dead, and 1 for the forget gates keeps an LSTM's memory.

use wgrad_graph::{Device, Error, ErrorKind, Tensor};

/// The bias of an output unit whose sigmoid is `p` at first: the share of positives in the data, so that training does
/// not begin with learning it.
///
/// ```
/// assert_eq!(wgrad_nn::init::log_odds(0.5), 0.0);
/// assert!((wgrad_nn::init::log_odds(0.01) + 4.595).abs() < 1e-3);
/// ```
pub fn log_odds(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

/// Biases of output units whose softmax gives the shares of the classes, from how often each comes. A class that never
/// comes counts as half a time.
///
/// ```
/// use wgrad_graph::Device;
/// let bias = wgrad_nn::init::log_frequencies(&[30, 10], &Device::cpu());
/// let p = bias.softmax(0).to_vec::<f32>()?;
/// assert!((p[0] - 0.75).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn log_frequencies(counts: &[u64], device: &Device) -> Tensor {
    if counts.iter().all(|&c| c == 0) {
        let message = "no class has an example".to_string();
        let error = Error::new(ErrorKind::Value, "log_frequencies", message);
        return Tensor::invalid(error, &[counts.len()], wgrad_graph::DType::F32, device);
    }
    let counts: Vec<f64> = counts.iter().map(|&c| (c as f64).max(0.5)).collect();
    let total: f64 = counts.iter().sum();
    let logs: Vec<f32> = counts.iter().map(|c| (c / total).ln() as f32).collect();
    Tensor::new(&logs, device)
}
