//! Datasets made by formulas, the same for the same seed: points in the plane, a regression, MNIST-1D, tasks of sequences.
//! They go through the platform's sine and logarithm, so that two machines may differ in a number's last bit. Must not touch
//! files.
//!
//! ```
//! use wgrad_data::{Dataset, generate};
//! use wgrad_graph::Device;
//! let moons = generate::moons(200, 0.1, 7);
//! assert_eq!((moons.len(), moons.features(), moons.classes()), (200, 2, 2));
//! let (x, y) = moons.dataset(&Device::cpu())?.get(&[0, 1, 2])?;
//! assert_eq!((x.shape(), y.shape()), (&[3, 2][..], &[3][..]));
//! # Ok::<(), wgrad_data::Error>(())
//! ```

mod mnist1d;
mod points;
mod sequences;

pub use mnist1d::{Mnist1d, mnist1d, mnist1d_templates};
pub use points::{Regression, blobs, circles, eight_gaussians, moons, regression, rings, spirals};
pub use sequences::{Sequences, adding, copying, parity};

use wgrad_graph::{Device, Tensor};

use crate::rng::Rng;
use crate::{Result, TensorDataset};

/// Points with classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    x: Vec<f32>,
    y: Vec<i32>,
    features: usize,
    classes: usize,
}

impl Points {
    /// The number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.y.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    /// Numbers of a point.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The coordinates, `[len, features]`.
    #[must_use]
    pub fn x(&self) -> &[f32] {
        &self.x
    }

    /// The classes, `[len]`.
    #[must_use]
    pub fn y(&self) -> &[i32] {
        &self.y
    }

    /// Points f32 `[len, features]` and classes i32 `[len]` on a device.
    #[track_caller]
    #[must_use]
    pub fn tensors(&self, device: &Device) -> (Tensor, Tensor) {
        let x = Tensor::from_slice(&self.x, &[self.len(), self.features], device);
        (x, Tensor::new(&self.y, device))
    }

    /// The points as a dataset on a device.
    ///
    /// # Errors
    /// The device has no room.
    pub fn dataset(&self, device: &Device) -> Result<TensorDataset<(Tensor, Tensor)>> {
        TensorDataset::new(self.tensors(device))
    }

    /// In a random order.
    fn shuffled(self, rng: &mut Rng) -> Self {
        let mut order: Vec<usize> = (0..self.len()).collect();
        crate::sampling::shuffle(&mut order, rng);
        let row = |&i: &usize| self.x[i * self.features..(i + 1) * self.features].iter();
        Self {
            x: order.iter().flat_map(row).copied().collect(),
            y: order.iter().map(|&i| self.y[i]).collect(),
            ..self
        }
    }
}

/// A number in [0, 1), a multiple of 2^-53.
fn unit(rng: &mut Rng) -> f64 {
    (rng.word() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// A standard normal number (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(rng)).cos()
}
