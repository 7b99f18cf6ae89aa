//! Losses, penalties and adversarial terms. PyTorch's losses are methods of `Tensor`, with all their options; here are the
//! two most used, and what PyTorch has not or has elsewhere.

mod adversarial;
mod classes;
mod contrast;
mod ctc;
mod penalty;

pub use adversarial::{
    Pgd, VirtualAdversarial, fgsm, gradient_penalty, gradient_penalty_at, pgd, virtual_adversarial,
};
pub use classes::{Smoothing, dice, distillation, focal, sigmoid_focal, smooth_labels};
pub use contrast::{contrastive, info_nce, info_nce_with_negatives, triplet_margin_with_distance};
pub use ctc::{CtcOptions, ctc};
pub use penalty::{contractive, elastic, kl_sparsity, l1, l2, max_norm, orthogonality, sparsity};

use crate::layers::fail;
use wgrad_graph::{Reduction, Tensor};

/// The losses of a batch, reduced.
#[track_caller]
fn reduced(losses: &Tensor, reduction: Reduction) -> Tensor {
    match reduction {
        Reduction::None => losses.clone(),
        Reduction::Mean => losses.mean(),
        Reduction::Sum => losses.sum(),
        Reduction::BatchMean => losses.sum() / losses.shape().first().copied().unwrap_or(1) as f64,
    }
}

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
