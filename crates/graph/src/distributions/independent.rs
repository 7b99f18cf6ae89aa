//! Batches of independent numbers as one event.

use super::{Distribution, Entropy, Normal, Reparameterized};
use crate::rng::Generator;
use crate::tensor::Tensor;

/// A distribution whose last batch dimensions are parts of one event: their log-probabilities add up.
#[derive(Clone)]
pub struct Independent<D> {
    /// The distribution of the parts.
    pub base: D,
    /// How many batch dimensions became part of the event.
    pub dims: usize,
}

impl<D: Distribution> Independent<D> {
    /// With the last `dims` batch dimensions of `base` as part of the event, all if there are fewer.
    pub fn new(base: D, dims: usize) -> Independent<D> {
        let dims = dims.min(base.batch_shape().len());
        Independent { base, dims }
    }

    /// The sum over the dimensions that became part of the event.
    #[track_caller]
    pub(super) fn total(&self, per_part: &Tensor) -> Tensor {
        let over: Vec<isize> = (1..=self.dims as isize).map(|d| -d).collect();
        if over.is_empty() {
            return per_part.clone();
        }
        per_part.sum_dims(&over, false)
    }
}

/// A normal vector with independent components (PyTorch's `MultivariateNormal` with a diagonal covariance): `loc` and
/// `scale` broadcast, their last dimension is the vector's.
///
/// ```
/// # use wgrad_graph::{DType, Device, Tensor, distributions::{Distribution, diagonal_normal}};
/// let zero = Tensor::zeros(&[5, 3], DType::F32, &Device::cpu());
/// let p = diagonal_normal(&zero, &zero.ones_like());
/// assert_eq!((p.batch_shape(), p.event_shape()), (vec![5], vec![3]));
/// assert_eq!(p.log_prob(&zero).shape(), [5]);
/// ```
#[track_caller]
pub fn diagonal_normal(loc: &Tensor, scale: &Tensor) -> Independent<Normal> {
    Independent::new(Normal::new(loc, scale), 1)
}

impl<D: Distribution> Distribution for Independent<D> {
    fn batch_shape(&self) -> Vec<usize> {
        let mut shape = self.base.batch_shape();
        shape.truncate(shape.len() - self.dims);
        shape
    }

    fn event_shape(&self) -> Vec<usize> {
        let shape = self.base.batch_shape();
        [&shape[shape.len() - self.dims..], &self.base.event_shape()].concat()
    }

    #[track_caller]
    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.base.sample(shape, rng)
    }

    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor {
        self.total(&self.base.log_prob(value))
    }

    #[track_caller]
    fn mean(&self) -> Tensor {
        self.base.mean()
    }

    #[track_caller]
    fn variance(&self) -> Tensor {
        self.base.variance()
    }
}

impl<D: Entropy> Entropy for Independent<D> {
    #[track_caller]
    fn entropy(&self) -> Tensor {
        self.total(&self.base.entropy())
    }
}

impl<D: Reparameterized> Reparameterized for Independent<D> {
    #[track_caller]
    fn rsample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.base.rsample(shape, rng)
    }
}
