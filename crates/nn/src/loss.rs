//! Losses averaged over the batch; other reductions are methods of `Tensor`.

use wgrad_graph::{Reduction, Tensor};

/// Mean cross-entropy of logits `[batch, classes]` with class numbers `[batch]` (integers).
/// A class out of range makes the next read, or step on the cpu, an error.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let d = Device::cpu();
/// let logits = Tensor::from_slice(&[0.0f32; 4], &[2, 2], &d);
/// let loss = wgrad_nn::loss::cross_entropy(&logits, &Tensor::new(&[0, 1], &d));
/// assert!((loss.item::<f32>()? - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Tensor {
    logits.cross_entropy(target, Reduction::Mean)
}

/// Mean squared difference; both of one shape, or broadcast.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let d = Device::cpu();
/// let loss = wgrad_nn::loss::mse(&Tensor::new(&[1.0f32, 2.0], &d), &Tensor::new(&[1.0f32, 4.0], &d));
/// assert_eq!(loss.item::<f32>()?, 2.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn mse(prediction: &Tensor, target: &Tensor) -> Tensor {
    prediction.mse_loss(target, Reduction::Mean)
}
