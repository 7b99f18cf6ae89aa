//! Joins and splits dimensions.

use super::layer;
use crate::Module;
use wgrad_graph::Tensor;

/// Makes `[batch, …]` into `[batch, features]`, or joins any other range of dimensions.
///
/// ```
/// use wgrad_graph::{DType, Device, Tensor};
/// let x = Tensor::zeros(&[2, 3, 4], DType::F32, &Device::cpu());
/// assert_eq!(wgrad_nn::Flatten::default().forward(&x).shape(), [2, 12]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub struct Flatten {
    /// First dimension that is joined; 1.
    pub start_dim: isize,
    /// Last dimension that is joined; −1.
    pub end_dim: isize,
}

impl Default for Flatten {
    fn default() -> Flatten {
        Flatten {
            start_dim: 1,
            end_dim: -1,
        }
    }
}

impl Flatten {
    /// `x` with the dimensions joined.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.flatten(self.start_dim, self.end_dim)
    }
}

layer!(Flatten, |_f| "Flatten".to_string());

/// Splits a dimension into several.
///
/// ```
/// use wgrad_graph::{DType, Device, Tensor};
/// let x = Tensor::zeros(&[2, 12], DType::F32, &Device::cpu());
/// assert_eq!(wgrad_nn::Unflatten::new(1, &[3, -1]).forward(&x).shape(), [2, 3, 4]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Module)]
#[module(crate = crate)]
pub struct Unflatten {
    /// The dimension that is split.
    pub dim: isize,
    /// Sizes it becomes; one may be −1.
    pub sizes: Vec<isize>,
}

impl Unflatten {
    /// Dimension `dim` as these sizes, of which one may be −1.
    pub fn new(dim: isize, sizes: &[isize]) -> Unflatten {
        Unflatten {
            dim,
            sizes: sizes.to_vec(),
        }
    }

    /// `x` with the dimension split.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.unflatten(self.dim, &self.sizes)
    }
}

layer!(Unflatten, |u| format!(
    "Unflatten({}, {:?})",
    u.dim, u.sizes
));
