//! Likeness and distance of two inputs, as layers. The arithmetic is `Tensor::cosine_similarity` and
//! `Tensor::pairwise_distance`.

use crate::Module;
use wgrad_graph::Tensor;

/// The cosine of the angle between vectors that lie along a dimension.
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct CosineSimilarity {
    /// The dimension along which vectors lie; 1.
    pub dim: isize,
    /// The least product of norms; 1e-8.
    pub eps: f64,
}

impl Default for CosineSimilarity {
    fn default() -> CosineSimilarity {
        CosineSimilarity { dim: 1, eps: 1e-8 }
    }
}

impl CosineSimilarity {
    /// Of `x1` and `x2`, whose other dimensions broadcast.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let device = Device::cpu();
    /// let [a, b] = [[3.0f32, 4.0], [4.0, 3.0]].map(|v| Tensor::from_slice(&v, &[1, 2], &device));
    /// let y = wgrad_nn::CosineSimilarity::default().forward(&a, &b);
    /// assert!((y.item::<f32>()? - 0.96).abs() < 1e-6);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Tensor {
        x1.cosine_similarity(x2, self.dim, self.eps)
    }
}

/// The `p`-norm of the difference of vectors that lie along the last dimension.
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct PairwiseDistance {
    /// The norm; 2.
    pub p: f64,
    /// Added to each difference; 1e-6.
    pub eps: f64,
    /// Keeps the last dimension, as 1; false.
    pub keepdim: bool,
}

impl Default for PairwiseDistance {
    fn default() -> PairwiseDistance {
        PairwiseDistance {
            p: 2.0,
            eps: 1e-6,
            keepdim: false,
        }
    }
}

impl PairwiseDistance {
    /// Of `x1` and `x2`, whose other dimensions broadcast.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let device = Device::cpu();
    /// let [a, b] = [[3.0f32, 4.0], [0.0, 0.0]].map(|v| Tensor::from_slice(&v, &[1, 2], &device));
    /// let y = wgrad_nn::PairwiseDistance { eps: 0.0, ..Default::default() }.forward(&a, &b);
    /// assert_eq!(y.to_vec::<f32>()?, [5.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Tensor {
        x1.pairwise_distance(x2, self.p, self.eps, self.keepdim)
    }
}
