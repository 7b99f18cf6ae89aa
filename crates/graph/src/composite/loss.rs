//! Losses.

use crate::error::ErrorKind;
use crate::tensor::Tensor;

/// What becomes of the losses of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// One loss for each element.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    #[track_caller]
    pub(crate) fn apply(self, losses: &Tensor) -> Tensor {
        match self {
            Reduction::None => losses.clone(),
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
        }
    }
}

impl Tensor {
    /// Cross-entropy of logits `[batch, classes]` with class numbers `[batch]` (integers): the negative
    /// log-probability of the right class. A class out of range makes the next read an error.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Reduction, Tensor};
    /// let d = Device::cpu();
    /// let logits = Tensor::from_slice(&[0.0f32, 0.0], &[1, 2], &d);
    /// let loss = logits.cross_entropy(&Tensor::new(&[1], &d), Reduction::Mean);
    /// assert!((loss.item::<f32>()? - 0.6931472).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cross_entropy(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let fits = self.rank() == 2 && target.rank() == 1 && target.size(0) == self.size(0);
        if !fits {
            let m = format!(
                "logits {:?} and classes {:?} are not [batch, classes] and [batch]",
                self.shape(),
                target.shape()
            );
            return self.fail("cross_entropy", m);
        }
        if target.dtype().is_float() {
            return self.fail_kind(
                ErrorKind::DType,
                "cross_entropy",
                format!("classes must be integers, not {}", target.dtype()),
            );
        }
        let classes = target.cast(crate::DType::I32).unsqueeze(1);
        let right = self.log_softmax(1).gather(1, &classes).squeeze(1);
        reduction.apply(&-right)
    }

    /// Squared difference.
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        reduction.apply(&(self - target).square())
    }
}
