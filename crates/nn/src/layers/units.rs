//! Hidden layers beyond an affine map with an element-wise function: maxout and radial basis functions.

use super::{Linear, layer};
use crate::Module;
use crate::init;
use wgrad_graph::{DType, Device, Generator, Tensor};

/// Maxout units (Goodfellow et al. 2013): each the greatest of several affine maps.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Maxout {
    /// To `[…, out_features · pieces]`.
    pub linear: Linear,
    /// Affine maps of a unit.
    pub pieces: usize,
}

impl Maxout {
    /// With `pieces` affine maps for each of `out_features` units, drawn as in [`Linear`].
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let layer = wgrad_nn::Maxout::new(3, 2, 5, &mut Generator::new(0), &device);
    /// let y = layer.forward(&Tensor::ones(&[4, 3], DType::F32, &device));
    /// assert_eq!(y.shape(), [4, 2]);
    /// ```
    #[track_caller]
    pub fn new(
        in_features: usize,
        out_features: usize,
        pieces: usize,
        rng: &mut Generator,
        device: &Device,
    ) -> Maxout {
        Maxout {
            linear: Linear::new(in_features, out_features * pieces, rng, device),
            pieces,
        }
    }

    /// `x […, in_features]` to `[…, out_features]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.linear.forward(x).maxout(self.pieces, -1)
    }
}

layer!(Maxout, |m| format!(
    "Maxout({}, {}, {} pieces)",
    m.linear.weight.size(1),
    m.linear.weight.size(0) / m.pieces.max(1),
    m.pieces
));

/// Radial basis functions: `exp(−‖x − center‖² / width²)` for each unit.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Rbf {
    /// `[units, in_features]`.
    pub centers: Tensor,
    /// `[units]`.
    pub widths: Tensor,
}

impl Rbf {
    /// With standard normal centres, and widths of `√in_features`, at which typical distances give neither 0 nor 1.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// let device = Device::cpu();
    /// let layer = wgrad_nn::Rbf::new(3, 7, &mut Generator::new(0), &device);
    /// let y = layer.forward(&layer.centers);
    /// assert_eq!((y.shape(), y.select(0, 2).select(0, 2).item::<f32>()?), (&[7, 7][..], 1.0));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn new(in_features: usize, units: usize, rng: &mut Generator, device: &Device) -> Rbf {
        let width = (in_features.max(1) as f64).sqrt();
        Rbf {
            centers: init::normal(&[units, in_features], 0.0, 1.0, rng, device),
            widths: Tensor::full(&[units], width, DType::F32, device),
        }
    }

    /// With given centres `[units, in_features]`, such as those of k-means, and one width.
    #[track_caller]
    pub fn with_centers(centers: &Tensor, width: f64) -> Rbf {
        Rbf {
            centers: centers.clone(),
            widths: Tensor::full(&[centers.size(0)], width, DType::F32, centers.device()),
        }
    }

    /// `x […, in_features]` to `[…, units]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.rbf(&self.centers, &self.widths)
    }
}

layer!(Rbf, |r| format!(
    "Rbf({}, {})",
    r.centers.size(1),
    r.centers.size(0)
));
