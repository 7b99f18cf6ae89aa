//! Reductions beyond sum and maximum: products, truth, spread, least positions, and those that skip NaN.

use super::order::Dim;
use crate::dtype::DType;
use crate::in_f32;
use crate::plan::ScanKind;
use crate::shape::dims;
use crate::tensor::Tensor;

impl Tensor {
    /// `self`, whose dimensions `over` have size 1, without them.
    #[track_caller]
    pub(crate) fn drop_dims(&self, over: &[isize]) -> Tensor {
        match dims(over, self.rank()) {
            Ok(list) if self.check().is_ok() => {
                let kept = (0..self.rank()).filter(|d| !list.contains(d));
                self.reshape_to(&kept.map(|d| self.shape()[d]).collect::<Vec<_>>())
            }
            Ok(_) => self.clone(),
            Err(m) => self.fail("squeeze", m),
        }
    }

    /// Truth values and bytes as i32.
    #[track_caller]
    fn counted(&self) -> Tensor {
        if matches!(self.dtype(), DType::Bool | DType::U8) {
            self.cast(DType::I32)
        } else {
            self.clone()
        }
    }

    /// The variance of all elements, divided by the count less `correction` (1 for the unbiased estimate).
    #[track_caller]
    pub fn var(&self, correction: impl Into<f64>) -> Tensor {
        self.var_dims(&self.every_dim(), correction, false)
    }

    /// The standard deviation of all elements; see [`std_dims`](Tensor::std_dims).
    #[track_caller]
    pub fn std(&self, correction: impl Into<f64>) -> Tensor {
        self.std_dims(&self.every_dim(), correction, false)
    }

    /// Standard deviations over some dimensions; the derivative is 0 where they are.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1.0f32, 3.0], &Device::cpu());
    /// assert_eq!(x.std_dims(&[0], 0, false).item::<f32>()?, 1.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn std_dims(&self, over: &[isize], correction: impl Into<f64>, keepdim: bool) -> Tensor {
        in_f32!([self] => |x| x.std_dims(over, correction, keepdim));
        let x = self.to_float();
        let n = match x.count(over) {
            Ok(n) => n,
            Err(m) => return self.fail("std", m),
        };
        if n == 0 || x.check().is_err() {
            return x.var_dims(over, correction, keepdim).root();
        }
        let divisor = (n as f64 - correction.into()).max(0.0);
        let centred = &x - x.mean_dims(over, true);
        // Where squares would leave the range of f32, deviations are measured by the greatest of them.
        let most = centred.abs().amax_dims(over, true).stop_gradient();
        let small = most.lt_scalar(1e-15).logical_and(&most.gt_scalar(0.0));
        let extreme = most
            .gt_scalar(1e15)
            .logical_or(&small)
            .logical_and(&most.isfinite());
        let unit = Tensor::where_(&extreme, &most, &most.ones_like());
        let var = (centred / &unit).square().sum_dims(over, true) / divisor;
        let out = var.root() * unit;
        if keepdim { out } else { out.drop_dims(over) }
    }

    /// The square root, with derivative 0 at 0: the operand is replaced there, so that no infinity arises.
    #[track_caller]
    pub(crate) fn root(&self) -> Tensor {
        in_f32!([self] => |x| x.root());
        let zero = self.eq_scalar(0.0);
        self.masked_fill(&zero, 1.0).sqrt().masked_fill(&zero, 0.0)
    }

    /// The product of all elements.
    #[track_caller]
    pub fn prod(&self) -> Tensor {
        self.prod_dims(&self.every_dim(), false)
    }

    /// Products over some dimensions; 1 of nothing. Halves are multiplied with each other until one is left, so
    /// that derivatives are right where elements are 0.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor, grad};
    /// let x = Tensor::new(&[0.0f32, 2.0, 3.0], &Device::cpu());
    /// assert_eq!(grad(&x.prod(), &[&x])?[0].to_vec::<f32>()?, [6.0, 0.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn prod_dims(&self, over: &[isize], keepdim: bool) -> Tensor {
        in_f32!([self] => |x| x.prod_dims(over, keepdim));
        let list = match dims(over, self.rank()) {
            Ok(list) => list,
            Err(m) => return self.fail("prod", m),
        };
        let x = self.counted();
        if list.is_empty() || x.check().is_err() {
            return x;
        }
        let kept: Vec<usize> = (0..x.rank()).filter(|d| !list.contains(d)).collect();
        let order: Vec<usize> = kept.iter().chain(&list).copied().collect();
        let mut sizes: Vec<usize> = kept.iter().map(|&d| x.shape()[d]).collect();
        sizes.push(
            list.iter()
                .fold(1, |n: usize, &d| n.saturating_mul(x.shape()[d])),
        );
        let product = x.permute_to(&order).reshape_to(&sizes).halved();
        let size = |d: usize| if list.contains(&d) { 1 } else { x.shape()[d] };
        let ones: Vec<usize> = (0..x.rank()).map(size).collect();
        sizes.pop();
        product.reshape_to(if keepdim { &ones } else { &sizes })
    }

    /// Products along the last dimension, which becomes 1.
    #[track_caller]
    fn halved(&self) -> Tensor {
        let mut x = self.clone();
        if x.size(-1) == 0 {
            let mut sizes = x.shape().to_vec();
            sizes.pop();
            sizes.push(1);
            return Tensor::ones(&sizes, x.dtype(), x.device());
        }
        while x.size(-1) > 1 {
            let (n, half) = (x.size(-1), x.size(-1) / 2);
            let product = x.narrow(-1, 0, half) * x.narrow(-1, half, half);
            x = if n % 2 == 1 {
                Tensor::cat(&[&product, &x.narrow(-1, n - 1, 1)], -1)
            } else {
                product
            };
        }
        x
    }

    /// Whether any element is not zero.
    #[track_caller]
    pub fn any(&self) -> Tensor {
        self.any_dims(&self.every_dim(), false)
    }

    /// Over some dimensions, whether any element is not zero; false of nothing.
    #[track_caller]
    pub fn any_dims(&self, over: &[isize], keepdim: bool) -> Tensor {
        self.count_nonzero(over, keepdim).ne_scalar(0.0)
    }

    /// Whether no element is zero.
    #[track_caller]
    pub fn all(&self) -> Tensor {
        self.all_dims(&self.every_dim(), false)
    }

    /// Over some dimensions, whether no element is zero; true of nothing.
    #[track_caller]
    pub fn all_dims(&self, over: &[isize], keepdim: bool) -> Tensor {
        self.cast(DType::Bool)
            .logical_not()
            .count_nonzero(over, keepdim)
            .eq_scalar(0.0)
    }

    /// How many elements (i32) are not zero, over some dimensions.
    #[track_caller]
    pub fn count_nonzero(&self, over: &[isize], keepdim: bool) -> Tensor {
        self.cast(DType::Bool).sum_dims(over, keepdim)
    }

    /// Position (i32) of the first least element along `dim`, or among all elements in row-major order; NaN counts as
    /// least.
    #[track_caller]
    pub fn argmin(&self, along: impl Dim, keepdim: bool) -> Tensor {
        self.mirrored().argmax(along.dim(), keepdim)
    }

    /// Running minima along `dim`; NaN wins.
    #[track_caller]
    pub fn cummin(&self, dim: isize) -> Tensor {
        self.mirrored().cummax(dim).mirrored()
    }

    /// The sum over some dimensions of the elements that are no NaN.
    #[track_caller]
    pub fn nansum(&self, over: &[isize], keepdim: bool) -> Tensor {
        self.masked_fill(&self.isnan(), 0.0).sum_dims(over, keepdim)
    }

    /// The mean over some dimensions of the elements that are no NaN.
    #[track_caller]
    pub fn nanmean(&self, over: &[isize], keepdim: bool) -> Tensor {
        in_f32!([self] => |x| x.nanmean(over, keepdim));
        let counted = self.isnan().logical_not().sum_dims(over, keepdim);
        let n = match self.count(over) {
            Ok(n) => n,
            Err(m) => return self.fail("nanmean", m),
        };
        // As in `mean_dims`: a sum that overflows does not matter.
        let scale = (n.max(1).next_power_of_two() as f64).recip();
        (self.to_float() * scale).nansum(over, keepdim) / (counted.to_float() * scale)
    }

    /// Means and variances over some dimensions, which stay with size 1.
    #[track_caller]
    pub fn var_mean(&self, over: &[isize], correction: impl Into<f64>) -> (Tensor, Tensor) {
        in_f32!([self] => |x| x.var_mean(over, correction));
        (
            self.var_dims(over, correction, true),
            self.mean_dims(over, true),
        )
    }

    /// Sums along `dim` from each element to the last.
    #[track_caller]
    pub fn cumsum_reverse(&self, dim: isize) -> Tensor {
        match crate::shape::dim(dim, self.rank()) {
            Ok(_) if self.rank() == 0 => self.counted(),
            Ok(d) => self.counted().scan(ScanKind::Sum, d, true),
            Err(m) => self.fail("cumsum", m),
        }
    }

    /// The lesser of the middle elements along `dim`, or of all, and its position (i32); the first NaN where there is
    /// one. Without a dimension the position counts all elements in row-major order.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[3.0f32, 1.0, 2.0, 1.0, f32::NAN, 0.0], &[2, 3], &Device::cpu());
    /// let (value, at) = x.median(-1, false);
    /// assert_eq!(value.to_vec::<f32>()?[0], 2.0);
    /// assert!(value.to_vec::<f32>()?[1].is_nan());
    /// assert_eq!(at.to_vec::<i32>()?, [2, 1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn median(&self, along: impl Dim, keepdim: bool) -> (Tensor, Tensor) {
        let Some(dim) = along.dim() else {
            let (value, at) = self.along(None).0.median(0, false);
            return (value.like_rank(self, keepdim), at.like_rank(self, keepdim));
        };
        let middle = self.size(dim).max(1).div_ceil(2);
        if !self.dtype().is_float() || self.rank() == 0 || self.size(dim) == 0 {
            return self.kthvalue(middle, dim, keepdim);
        }
        let (_, at) = self.kthvalue(middle, dim, true);
        // NaN counts as greatest.
        let greatest = self.argmax(dim, true);
        let unknown = self.gather(dim, &greatest).isnan();
        let at = Tensor::where_(&unknown, &greatest, &at);
        self.extreme_at(dim, &at, keepdim)
    }
}
