//! Principal component analysis, by the singular values of the centred data.

use crate::tensor::Tensor;

/// The directions in which vectors vary most.
#[derive(Clone)]
pub struct Pca {
    /// The mean that was taken off, `[features]`.
    pub mean: Tensor,
    /// Unit vectors in the order of the variance along them, `[components, features]`; the entry of greatest
    /// magnitude is positive.
    pub components: Tensor,
    /// The variance along each (divided by `n − 1`), `[components]`.
    pub explained_variance: Tensor,
    /// Its share of the whole variance, `[components]`.
    pub explained_variance_ratio: Tensor,
}

impl Pca {
    /// The first `components` principal components of the vectors `x [n, features]` (Pearson 1901; Hotelling 1933).
    /// Recorded, as everything: bad arguments give invalid tensors.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Pca, Tensor};
    /// let x = Tensor::from_slice(&[0.0f32, 0.0, 1.0, 2.0, 2.0, 4.0], &[3, 2], &Device::cpu());
    /// let pca = Pca::fit(&x, 1);
    /// assert!((pca.explained_variance_ratio.item::<f32>()? - 1.0).abs() < 1e-6);
    /// let back = pca.inverse_transform(&pca.transform(&x));
    /// assert!((back - x).abs().amax().item::<f32>()? < 1e-5);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn fit(x: &Tensor, components: usize) -> Pca {
        let least = x.size(0).min(x.size(1));
        if x.rank() != 2 || components == 0 || components > least || x.size(0) < 2 {
            let m = format!("{components} components of at least 2 vectors [n, features]");
            let bad = x.fail("pca", m);
            return Pca {
                mean: bad.clone(),
                components: bad.clone(),
                explained_variance: bad.clone(),
                explained_variance_ratio: bad,
            };
        }
        let mean = x.mean_dims(&[0], false);
        let (_, values, directions) = (x - &mean).svd(false);
        let variances = values.square() / (x.size(0) as f64 - 1.0);
        let directions = directions.narrow(0, 0, components);
        let largest = directions.abs().argmax(-1, true);
        let signs = directions.gather(-1, &largest).sign();
        Pca {
            mean,
            components: directions * signs,
            explained_variance: variances.narrow(0, 0, components),
            explained_variance_ratio: variances.narrow(0, 0, components) / variances.sum(),
        }
    }

    /// Coordinates along the components: `[…, features]` to `[…, components]`.
    #[track_caller]
    pub fn transform(&self, x: &Tensor) -> Tensor {
        (x - &self.mean).matmul(&self.components.t())
    }

    /// Vectors of these coordinates: `[…, components]` to `[…, features]`.
    #[track_caller]
    pub fn inverse_transform(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.components) + &self.mean
    }
}
