//! Rows of a table by number.

use super::{fail, layer};
use crate::{Module, init};
use wgrad_graph::{DType, Device, ErrorKind, Generator, Tensor};

/// A table of vectors, looked up by number.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Embedding {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Tensor,
}

impl Embedding {
    /// With vectors drawn from the standard normal distribution.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let words = wgrad_nn::Embedding::new(10, 4, &mut Generator::new(0), &device);
    /// let index = Tensor::from_slice(&[1, 9, 0, 3, 3, 3], &[2, 3], &device);
    /// assert_eq!(words.forward(&index).shape(), [2, 3, 4]);
    /// ```
    #[track_caller]
    pub fn new(
        num_embeddings: usize,
        embedding_dim: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> Embedding {
        Embedding {
            weight: init::normal(&[num_embeddings, embedding_dim], 0.0, 1.0, rng, device),
        }
    }

    /// Numbers (integers, any shape) to `[…, embedding_dim]`. A number out of range makes the next read an error.
    #[track_caller]
    pub fn forward(&self, index: &Tensor) -> Tensor {
        if matches!(index.dtype(), DType::F32 | DType::F16 | DType::Bool) {
            let message = format!("indices must be integers, not {}", index.dtype());
            return fail("embedding", ErrorKind::DType, message, index);
        }
        let mut shape: Vec<isize> = index.shape().iter().map(|&n| n as isize).collect();
        shape.push(self.weight.size(1) as isize);
        self.weight
            .index_select(
                0,
                &index.cast(DType::I32).reshape(&[index.numel() as isize]),
            )
            .reshape(&shape)
    }
}

layer!(Embedding, |e| format!(
    "Embedding({}, {})",
    e.weight.size(0),
    e.weight.size(1)
));
