//! Hidden units beyond the element-wise ones: maxout, and radial basis functions.

use crate::in_f32;
use crate::tensor::Tensor;

impl Tensor {
    /// The greatest of each `pieces` neighbours along `dim`: `[…, units · pieces, …]` to `[…, units, …]`
    /// (Goodfellow et al. 2013, "Maxout networks").
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1.0f32, 5.0, 7.0, 2.0], &Device::cpu());
    /// assert_eq!(x.maxout(2, 0).to_vec::<f32>()?, [5.0, 7.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn maxout(&self, pieces: usize, dim: isize) -> Tensor {
        let d = match crate::shape::dim(dim, self.rank()) {
            Ok(d) if d < self.rank() => d,
            Ok(_) => return self.fail("maxout", "a tensor of rank 0 has no units"),
            Err(m) => return self.fail("maxout", m),
        };
        let n = self.shape()[d];
        if pieces == 0 || !n.is_multiple_of(pieces) {
            let m = format!("{n} elements do not make units of {pieces} pieces");
            return self.fail("maxout", m);
        }
        let mut split = self.shape().to_vec();
        split[d] = n / pieces;
        split.insert(d + 1, pieces);
        self.reshape_to(&split).amax_dims(&[d as isize + 1], false)
    }

    /// Squares of the distances between vectors `[…, n, features]` and `other [m, features]`: `[…, n, m]`. Summed
    /// from the differences, so small distances are exact; no `[…, n, m, features]` is stored.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let a = Tensor::from_slice(&[0.0f32, 0.0, 3.0, 4.0], &[2, 2], &d);
    /// let b = Tensor::from_slice(&[0.0f32, 1.0], &[1, 2], &d);
    /// assert_eq!(a.squared_distances(&b).to_vec::<f32>()?, [1.0, 18.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn squared_distances(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.squared_distances(other));
        if self.rank() == 0 || other.rank() != 2 || self.size(-1) != other.size(1) {
            let m = "takes vectors [..., n, features] and [m, features]";
            return self.fail_with(other, "squared_distances", m);
        }
        let difference = self.to_float().unsqueeze(-2) - other.to_float();
        difference.square().sum_dims(&[-1], false)
    }

    /// Radial basis functions: `exp(−‖x − center‖² / width²)` for vectors `[…, features]`,
    /// `centers [units, features]` and `widths [units]` (or one for all): `[…, units]` (Goodfellow, Bengio and
    /// Courville 2016, "Deep Learning", section 6.3.3).
    #[track_caller]
    pub fn rbf(&self, centers: &Tensor, widths: &Tensor) -> Tensor {
        in_f32!([self, centers, widths] => |x, centers, widths| x.rbf(centers, widths));
        let units = centers.size(0);
        if widths.rank() > 1 || (widths.numel() != 1 && widths.numel() != units) {
            let m = format!("takes one width or {units}, not {:?}", widths.shape());
            return self.fail_with(widths, "rbf", m);
        }
        let distances = self.squared_distances(centers);
        (-(distances / widths.to_float().square())).exp()
    }
}
