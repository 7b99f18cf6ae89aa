//! Reductions and scans.

use super::order::Dim;
use crate::dtype::DType;
use crate::in_f32;
use crate::ops::argmax::ArgMax;
use crate::ops::reduce_max::ReduceMax;
use crate::ops::reduce_sum::ReduceSum;
use crate::ops::scan::Scan;
use crate::plan::ScanKind;
use crate::shape::dims;
use crate::tensor::Tensor;

/// Elements over some dimensions of a shape, which may have more than can be counted.
fn points(shape: &[usize], dims: &[usize]) -> usize {
    dims.iter()
        .fold(1, |n: usize, &d| n.saturating_mul(shape[d]))
}

impl Tensor {
    pub(crate) fn every_dim(&self) -> Vec<isize> {
        (0..self.rank() as isize).collect()
    }

    /// `out`, which lacks `dims`, with sizes of 1 in their place.
    #[track_caller]
    fn kept(&self, out: Tensor, dims: &[usize]) -> Tensor {
        let ones: Vec<usize> = (0..self.rank())
            .map(|d| {
                if dims.contains(&d) {
                    1
                } else {
                    self.shape()[d]
                }
            })
            .collect();
        if out.check().is_ok() {
            out.reshape_to(&ones)
        } else {
            out
        }
    }

    /// The sum of all elements; truth values and bytes are counted in i32.
    #[track_caller]
    pub fn sum(&self) -> Tensor {
        self.sum_dims(&self.every_dim(), false)
    }

    /// Sums over some dimensions, which stay with size 1 if `keepdim`. Of no dimensions: the tensor itself.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &Device::cpu());
    /// assert_eq!(x.sum_dims(&[-1], false).to_vec::<f32>()?, [3.0, 7.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn sum_dims(&self, over: &[isize], keepdim: bool) -> Tensor {
        let x = if matches!(self.dtype(), DType::Bool | DType::U8) {
            self.cast(DType::I32)
        } else {
            self.clone()
        };
        let list = match dims(over, x.rank()) {
            Ok(list) => list,
            Err(m) => return self.fail("sum", m),
        };
        if list.is_empty() {
            return x;
        }
        let out = Tensor::record(ReduceSum { dims: list.clone() }, &[&x]);
        if keepdim { x.kept(out, &list) } else { out }
    }

    /// The mean of all elements, a float; NaN of nothing.
    #[track_caller]
    pub fn mean(&self) -> Tensor {
        self.mean_dims(&self.every_dim(), false)
    }

    /// Means over some dimensions. A sum that overflows does not matter.
    #[track_caller]
    pub fn mean_dims(&self, over: &[isize], keepdim: bool) -> Tensor {
        in_f32!([self] => |x| x.mean_dims(over, keepdim));
        let n = match self.count(over) {
            Ok(n) => n,
            Err(m) => return self.fail("mean", m),
        };
        if n < 2 || self.dtype() != DType::F32 {
            return self.average(over, keepdim);
        }
        // Scaling by a power of 2 changes no bit of what does not overflow, but below 2⁻¹²⁶ n.
        let scale = (n.checked_next_power_of_two().unwrap_or(n) as f64).recip();
        (self * scale).sum_dims(over, keepdim) / (n as f64 * scale)
    }

    /// How many elements are reduced over some dimensions.
    pub(crate) fn count(&self, over: &[isize]) -> Result<usize, String> {
        let list = dims(over, self.rank())?;
        Ok(points(self.shape(), &list))
    }

    /// Means as sums, divided: for what is of moderate size.
    #[track_caller]
    pub(crate) fn average(&self, over: &[isize], keepdim: bool) -> Tensor {
        let x = self.to_float();
        match x.count(over) {
            Ok(n) => x.sum_dims(over, keepdim) / n as f64,
            Err(m) => self.fail("mean", m),
        }
    }

    /// Variances over some dimensions, divided by the count less `correction` (1 for the unbiased estimate), at least
    /// 0.
    #[track_caller]
    pub fn var_dims(&self, over: &[isize], correction: impl Into<f64>, keepdim: bool) -> Tensor {
        in_f32!([self] => |x| x.var_dims(over, correction, keepdim));
        let x = self.to_float();
        let n: usize = match dims(over, x.rank()) {
            Ok(list) => points(x.shape(), &list),
            Err(m) => return self.fail("var", m),
        };
        let centred = &x - x.mean_dims(over, true);
        let divisor = (n as f64 - correction.into()).max(0.0);
        centred.square().sum_dims(over, keepdim) / divisor
    }

    /// The greatest element; NaN wins.
    #[track_caller]
    pub fn amax(&self) -> Tensor {
        self.amax_dims(&self.every_dim(), false)
    }

    /// Maxima over some dimensions; of no dimensions: the tensor itself.
    #[track_caller]
    pub fn amax_dims(&self, over: &[isize], keepdim: bool) -> Tensor {
        let list = match dims(over, self.rank()) {
            Ok(list) if list.is_empty() => return self.clone(),
            Ok(list) => list,
            Err(m) => return self.fail("amax", m),
        };
        let out = Tensor::record(ReduceMax { dims: list.clone() }, &[self]);
        if keepdim { self.kept(out, &list) } else { out }
    }

    /// The least element; NaN wins.
    #[track_caller]
    pub fn amin(&self) -> Tensor {
        self.mirrored().amax().mirrored().cast(self.dtype())
    }

    /// Minima over some dimensions.
    #[track_caller]
    pub fn amin_dims(&self, over: &[isize], keepdim: bool) -> Tensor {
        let least = self.mirrored().amax_dims(over, keepdim).mirrored();
        least.cast(self.dtype())
    }

    /// The values in reverse order, without overflow: `−x` of floats, `−1 − x` of integers.
    #[track_caller]
    pub(crate) fn mirrored(&self) -> Tensor {
        if self.dtype().is_float() {
            -self
        } else if self.dtype() == DType::U32 {
            self.full_like(f64::from(u32::MAX)).sub(self)
        } else {
            self.rsub_scalar(-1.0)
        }
    }

    /// Position (i32) of the first greatest element along `dim`, or among all elements in row-major order; NaN wins.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 9.0, 3.0, 4.0], &[2, 2], &Device::cpu());
    /// assert_eq!(x.argmax(1, false).to_vec::<i32>()?, [1, 1]);
    /// assert_eq!(x.argmax(None, false).item::<i32>()?, 1);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn argmax(&self, along: impl Dim, keepdim: bool) -> Tensor {
        let Some(d) = along.dim() else {
            let all = self.along(None).0;
            return all.argmax(0, false).like_rank(self, keepdim);
        };
        let list = match dims(&[d], self.rank()) {
            Ok(list) => list,
            Err(m) => return self.fail("argmax", m),
        };
        let out = Tensor::record(ArgMax { dims: list.clone() }, &[self]);
        if keepdim { self.kept(out, &list) } else { out }
    }

    /// Inclusive scan along an absolute dimension.
    #[track_caller]
    pub(crate) fn scan(&self, kind: ScanKind, dim: usize, reverse: bool) -> Tensor {
        Tensor::record(Scan { kind, dim, reverse }, &[self])
    }

    /// Running sums along `dim`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1.0f32, 2.0, 3.0], &Device::cpu());
    /// assert_eq!(x.cumsum(0).to_vec::<f32>()?, [1.0, 3.0, 6.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cumsum(&self, dim: isize) -> Tensor {
        self.scan_method("cumsum", ScanKind::Sum, dim)
    }

    /// Running products along `dim`.
    #[track_caller]
    pub fn cumprod(&self, dim: isize) -> Tensor {
        self.scan_method("cumprod", ScanKind::Prod, dim)
    }

    /// Running maxima along `dim`.
    #[track_caller]
    pub fn cummax(&self, dim: isize) -> Tensor {
        self.scan_method("cummax", ScanKind::Max, dim)
    }

    /// Running log-sum-exp along `dim`.
    #[track_caller]
    pub fn logcumsumexp(&self, dim: isize) -> Tensor {
        self.scan_method("logcumsumexp", ScanKind::LogSumExp, dim)
    }

    #[track_caller]
    fn scan_method(&self, name: &str, kind: ScanKind, dim: isize) -> Tensor {
        let x = if matches!(self.dtype(), DType::Bool | DType::U8) {
            self.cast(DType::I32)
        } else {
            self.clone()
        };
        match crate::shape::dim(dim, x.rank()) {
            Ok(_) if x.rank() == 0 => x,
            Ok(d) => x.scan(kind, d, false),
            Err(m) => self.fail(name, m),
        }
    }
}
