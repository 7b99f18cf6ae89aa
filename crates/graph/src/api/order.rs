//! Order statistics: quantiles, medians, extremes with and without a dimension. NaN counts as greatest, as in sorting.

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::in_f32;
use crate::shape::dim;
use crate::tensor::Tensor;

/// A dimension, or none: then all elements count, in row-major order.
///
/// ```
/// # use wgrad_graph::{Device, Tensor};
/// let x = Tensor::arange(6, &Device::cpu()).reshape(&[2, 3]);
/// assert_eq!(x.argmax(1, false).to_vec::<i32>()?, [2, 2]);
/// assert_eq!(x.argmax(None, false).item::<i32>()?, 5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
pub trait Dim {
    /// The dimension, which may count from the end.
    fn dim(self) -> Option<isize>;
}

impl Dim for isize {
    fn dim(self) -> Option<isize> {
        Some(self)
    }
}

impl Dim for i32 {
    fn dim(self) -> Option<isize> {
        Some(self as isize)
    }
}

impl Dim for Option<isize> {
    fn dim(self) -> Option<isize> {
        self
    }
}

/// What a quantile is that lies between two elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuantileInterpolation {
    /// On the line between them.
    #[default]
    Linear,
    /// The lesser one.
    Lower,
    /// The greater one.
    Higher,
    /// Their mean.
    Midpoint,
    /// The nearer one; of two equally near the one with the even rank.
    Nearest,
}

impl Tensor {
    /// Of a dimension, the tensor and it; of none, all elements in a row.
    #[track_caller]
    pub(crate) fn along(&self, along: Option<isize>) -> (Tensor, isize) {
        match along {
            Some(d) => (self.clone(), d),
            None => (self.reshape_to(&[self.numel()]), 0),
        }
    }

    /// A result of all elements with as many sizes of 1 as `x` has dimensions, if they are kept.
    #[track_caller]
    pub(crate) fn like_rank(&self, x: &Tensor, kept: bool) -> Tensor {
        if kept && self.check().is_ok() {
            self.reshape_to(&vec![1; x.rank()])
        } else {
            self.clone()
        }
    }

    /// The value below which the part `q` (0 to 1) of the elements lies, along `dim` or of all; NaN where one is.
    ///
    /// ```
    /// # use wgrad_graph::{Device, QuantileInterpolation, Tensor};
    /// let x = Tensor::new(&[4.0f32, 1.0, 2.0, 3.0], &Device::cpu());
    /// let y = x.quantile(0.5, None, false, QuantileInterpolation::Linear);
    /// assert_eq!(y.item::<f32>()?, 2.5);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn quantile(
        &self,
        q: f64,
        along: impl Dim,
        keepdim: bool,
        interpolation: QuantileInterpolation,
    ) -> Tensor {
        self.quantile_of("quantile", q, along.dim(), keepdim, interpolation)
    }

    /// [`quantile`](Tensor::quantile) of the elements that are no NaN; NaN where none is left.
    #[track_caller]
    pub fn nanquantile(
        &self,
        q: f64,
        along: impl Dim,
        keepdim: bool,
        interpolation: QuantileInterpolation,
    ) -> Tensor {
        self.quantile_of("nanquantile", q, along.dim(), keepdim, interpolation)
    }

    /// Several quantiles at once, in a new first dimension.
    ///
    /// ```
    /// # use wgrad_graph::{Device, QuantileInterpolation, Tensor};
    /// let x = Tensor::new(&[4.0f32, 1.0, 2.0, 3.0, 5.0], &Device::cpu());
    /// let y = x.quantiles(&[0.25, 0.75], None, false, QuantileInterpolation::Linear);
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 4.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn quantiles(
        &self,
        q: &[f64],
        along: impl Dim,
        keepdim: bool,
        interpolation: QuantileInterpolation,
    ) -> Tensor {
        if q.is_empty() {
            return self.fail_kind(ErrorKind::Value, "quantile", "of no parts");
        }
        let along = along.dim();
        let mut all = Vec::with_capacity(q.len());
        for &part in q {
            all.push(self.quantile_of("quantile", part, along, keepdim, interpolation));
        }
        Tensor::stack(&all.iter().collect::<Vec<_>>(), 0)
    }

    #[track_caller]
    fn quantile_of(
        &self,
        op: &'static str,
        q: f64,
        along: Option<isize>,
        keepdim: bool,
        interpolation: QuantileInterpolation,
    ) -> Tensor {
        in_f32!([self] => |x| x.quantile_of(op, q, along, keepdim, interpolation));
        if !(0.0..=1.0).contains(&q) {
            let m = format!("the part {q} does not lie between 0 and 1");
            return self.fail_kind(ErrorKind::Value, op, m);
        }
        if !self.dtype().is_float() {
            let m = format!("takes floats, not {}", self.dtype());
            return self.fail_kind(ErrorKind::DType, op, m);
        }
        let (x, d) = self.along(along);
        let x = x.lifted();
        match dim(d, x.rank()) {
            Ok(at) if x.shape().get(at).is_some_and(|&n| n > 0) => {}
            Ok(_) if x.check().is_err() => return x,
            Ok(_) => return self.fail(op, "the dimension is empty"),
            Err(m) => return self.fail(op, m),
        }
        let (sorted, _) = x.sort(d, false);
        let unknown = x.isnan().sum_dims(&[d], true);
        let last = (unknown.rsub_scalar(x.size(d) as f64)) - 1.0;
        let rank = if op == "nanquantile" {
            last.cast(DType::F32).clamp_min(0.0) * q
        } else {
            // NaN comes last.
            let end = (x.size(d) - 1) as f64;
            let place = last.full_like_dtype(f64::from(q as f32 * end as f32), DType::F32);
            Tensor::where_(&unknown.gt_scalar(0.0), &place.full_like(end), &place)
        };
        let out = sorted.at_rank(&rank, d, interpolation);
        let out = if keepdim { out } else { out.squeeze(d) };
        match along {
            None => out.like_rank(self, keepdim),
            Some(_) if self.rank() == 0 => out.reshape_to(&[]),
            Some(_) => out,
        }
    }

    /// The sorted elements at ranks that may lie between two.
    #[track_caller]
    fn at_rank(&self, rank: &Tensor, d: isize, interpolation: QuantileInterpolation) -> Tensor {
        let pick = |t: &Tensor| self.gather(d, &t.cast(DType::I32));
        match interpolation {
            QuantileInterpolation::Lower => pick(&rank.floor()),
            QuantileInterpolation::Higher => pick(&rank.ceil()),
            QuantileInterpolation::Nearest => pick(&rank.round()),
            QuantileInterpolation::Linear => {
                let low = rank.floor();
                pick(&low).lerp(&pick(&rank.ceil()), &(rank - &low))
            }
            QuantileInterpolation::Midpoint => {
                pick(&rank.floor()).lerp(&pick(&rank.ceil()), &rank.full_like(0.5))
            }
        }
    }

    /// The lesser of the middle elements that are no NaN along `dim`, and its position (i32); NaN where none is left.
    /// Without a dimension the position counts all elements.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[f32::NAN, 3.0, 1.0, 2.0], &Device::cpu());
    /// let (value, at) = x.nanmedian(None, false);
    /// assert_eq!((value.item::<f32>()?, at.item::<i32>()?), (2.0, 3));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn nanmedian(&self, along: impl Dim, keepdim: bool) -> (Tensor, Tensor) {
        let along = along.dim();
        let (x, d) = self.along(along);
        if !x.dtype().is_float() || x.rank() == 0 || x.size(d) == 0 {
            return self.median(along, keepdim);
        }
        let (_, order) = x.sort(d, false);
        let known = x.isnan().logical_not().sum_dims(&[d], true);
        // Half of the last rank, rounded down.
        let middle = (known.clamp_min(1.0) - 1.0).cast(DType::F32) * 0.5;
        let at = order.gather(d, &middle.floor().cast(DType::I32));
        let (value, at) = x.extreme_at(d, &at, keepdim);
        match along {
            None => (value.like_rank(self, keepdim), at.like_rank(self, keepdim)),
            Some(_) => (value, at),
        }
    }

    /// The least and the greatest element, along `dim` or of all; NaN wins.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let (low, high) = Tensor::new(&[2.0f32, -1.0, 3.0], &Device::cpu()).aminmax(None, false);
    /// assert_eq!((low.item::<f32>()?, high.item::<f32>()?), (-1.0, 3.0));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn aminmax(&self, along: impl Dim, keepdim: bool) -> (Tensor, Tensor) {
        let over = along.dim().map_or_else(|| self.every_dim(), |d| vec![d]);
        (
            self.amin_dims(&over, keepdim),
            self.amax_dims(&over, keepdim),
        )
    }

    /// The most frequent value along `dim`, the least of several, and the position (i32) of its last occurrence.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let (value, at) = Tensor::new(&[3, 1, 3, 1, 2], &Device::cpu()).mode(-1, false);
    /// assert_eq!((value.item::<i32>()?, at.item::<i32>()?), (1, 3));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn mode(&self, along: isize, keepdim: bool) -> (Tensor, Tensor) {
        if self.rank() == 0 || self.size(along) == 0 {
            return self.kthvalue(1, along, keepdim);
        }
        let (sorted, order) = self.sort(along, false);
        let n = self.size(along);
        let rank = sorted.rank();
        let d = match dim(along, rank) {
            Ok(d) => d,
            Err(m) => {
                let wrong = self.fail("mode", m);
                return (wrong.clone(), wrong);
            }
        };
        // How far each element of the sorted row is from the first of its run.
        let place = Tensor::iota_along(sorted.shape(), d, self.device());
        let fresh = if n > 1 {
            let changed = sorted
                .narrow(along, 1, n - 1)
                .ne(&sorted.narrow(along, 0, n - 1));
            let first = place.narrow(along, 0, 1).eq_scalar(0.0);
            Tensor::cat(&[&first, &changed], along)
        } else {
            place.eq_scalar(0.0)
        };
        let start = place.masked_fill(&fresh.logical_not(), 0.0).cummax(along);
        let longest = (place - start).argmax(along, true);
        let at = order.gather(along, &longest);
        self.extreme_at(along, &at, keepdim)
    }
}
