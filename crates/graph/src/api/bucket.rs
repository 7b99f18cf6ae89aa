//! Places in sorted rows, and counts by value where their number is known beforehand.

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::tensor::Tensor;

impl Tensor {
    /// Positions (i32) in `self`, sorted along its last dimension, where `values` would keep the order: before equal
    /// elements, after them if `right`. `self [n]` and any `values`, or equal leading dimensions. NaN comes last.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let at = Tensor::new(&[1, 3, 5], &d).searchsorted(&Tensor::new(&[3, 6, 0], &d), false);
    /// assert_eq!(at.to_vec::<i32>()?, [1, 3, 0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn searchsorted(&self, values: &Tensor, right: bool) -> Tensor {
        let op = "searchsorted";
        let Some(dtype) = self.dtype().promote(values.dtype()) else {
            let m = format!("{} and {} do not mix", self.dtype(), values.dtype());
            return self.fail_kind(ErrorKind::DType, op, m);
        };
        if self.check().is_err() || values.check().is_err() {
            return self.fail_with(values, op, "");
        }
        let rows = self.rank().saturating_sub(1);
        let fits = self.rank() > 0
            && (rows == 0
                || (values.rank() == self.rank()
                    && values.shape()[..rows] == self.shape()[..rows]));
        if !fits {
            let m = format!("values {:?} for rows {:?}", values.shape(), self.shape());
            return self.fail(op, m);
        }
        let as_number = |t: &Tensor| match dtype {
            DType::Bool | DType::U8 => t.cast(DType::I32),
            _ => t.cast(dtype).stop_gradient(),
        };
        let (row, v) = (as_number(self), as_number(values));
        let v = if rows == 0 { v.along(None).0 } else { v };
        let n = self.size(-1);
        let mut low = v.full_like_dtype(0.0, DType::I32);
        if n == 0 {
            return low.reshape_to(values.shape());
        }
        let mut high = v.full_like_dtype(n as f64, DType::I32);
        let one = low.ones_like();
        // Each step halves what is left of n + 1 places.
        for _ in 0..=n.ilog2() {
            let middle = (&low + &high).bitwise_right_shift(&one);
            let open = low.lt(&high);
            let probe = middle.clamp_max((n - 1) as f64);
            let there = row.gather(-1, &probe);
            let stays = if right { there.gt(&v) } else { there.ge(&v) };
            let up = open.logical_and(&stays.logical_not());
            let down = open.logical_and(&stays);
            low = Tensor::where_(&up, &(&middle + 1), &low);
            high = Tensor::where_(&down, &middle, &high);
        }
        low.reshape_to(values.shape())
    }

    /// Positions (i32) of the elements among sorted `boundaries [n]`; see [`searchsorted`](Tensor::searchsorted).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let y = Tensor::new(&[0.5f32, 2.0], &d).bucketize(&Tensor::new(&[0.0f32, 1.0, 2.0], &d), true);
    /// assert_eq!(y.to_vec::<i32>()?, [1, 3]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn bucketize(&self, boundaries: &Tensor, right: bool) -> Tensor {
        if boundaries.rank() != 1 {
            let m = format!("boundaries of shape {:?} are no row", boundaries.shape());
            return boundaries.fail("bucketize", m);
        }
        boundaries.searchsorted(self, right)
    }

    /// How many elements (in their float dtype) lie in each of `bins` equal parts of `min … max`, the last part closed;
    /// others and NaN are not counted. If `min` is `max`, from the least to the greatest element.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let y = Tensor::new(&[1.0f32, 2.0, 1.0, 4.0], &Device::cpu()).histc(4, 0.0, 4.0);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 2.0, 1.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn histc(&self, bins: usize, min: f64, max: f64) -> Tensor {
        let op = "histc";
        if bins == 0 || !(min <= max && (max - min).is_finite()) {
            let m = format!("{bins} bins from {min} to {max}");
            return self.fail_kind(ErrorKind::Value, op, m);
        }
        if !self.dtype().is_float() {
            let m = format!("takes floats, not {}", self.dtype());
            return self.fail_kind(ErrorKind::DType, op, m);
        }
        let x = self.along(None).0.cast(DType::F32).stop_gradient();
        let (low, high) = match min == max {
            true if x.numel() > 0 => (x.amin(), x.amax()),
            _ => (
                Tensor::scalar(min, DType::F32, self.device()),
                Tensor::scalar(max, DType::F32, self.device()),
            ),
        };
        // Of equal elements the middle of a range of 2, as in PyTorch.
        let flat = low.eq(&high);
        let (low, high) = (
            Tensor::where_(&flat, &(&low - 1.0), &low),
            Tensor::where_(&flat, &(&high + 1.0), &high),
        );
        let place = ((&x - &low) / (&high - &low) * bins as f64).trunc();
        let inside = x.ge(&low).logical_and(&x.le(&high));
        let place = place.minimum(&place.full_like((bins - 1) as f64));
        // What does not count goes to a part of its own.
        let place = Tensor::where_(&inside, &place, &place.full_like(bins as f64));
        let counts = x
            .ones_like()
            .scatter_add_to(0, &place.cast(DType::I32), bins + 1);
        counts.narrow(0, 0, bins).cast(self.dtype())
    }

    /// The counts of [`histc`](Tensor::histc), weighted, as a density if asked for (its integral is 1), and the `bins +
    /// 1` edges. `range` is that of the elements if it is not given.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1.0f32, 2.0, 1.0], &Device::cpu());
    /// let (counts, edges) = x.histogram(4, Some((0.0, 3.0)), None, false);
    /// assert_eq!(counts.to_vec::<f32>()?, [0.0, 2.0, 1.0, 0.0]);
    /// assert_eq!(edges.to_vec::<f32>()?, [0.0, 0.75, 1.5, 2.25, 3.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(
        &self,
        bins: usize,
        range: Option<(f64, f64)>,
        weight: Option<&Tensor>,
        density: bool,
    ) -> (Tensor, Tensor) {
        let wrong = |m: String| {
            let t = self.fail_kind(ErrorKind::Value, "histogram", m);
            (t.clone(), t)
        };
        let sensible = range.is_none_or(|(a, b)| a <= b && (b - a).is_finite());
        if bins == 0 || !sensible || !self.dtype().is_float() {
            return wrong(format!("{bins} bins over {range:?} of {}", self.dtype()));
        }
        if weight.is_some_and(|w| w.shape() != self.shape()) {
            return wrong("the weights have another shape".into());
        }
        let x = self.along(None).0.cast(DType::F32).stop_gradient();
        let (low, high) = match range {
            None if x.numel() > 0 => (x.amin(), x.amax()),
            _ => {
                let (a, b) = range.unwrap_or((0.0, 0.0));
                (
                    Tensor::scalar(a, DType::F32, self.device()),
                    Tensor::scalar(b, DType::F32, self.device()),
                )
            }
        };
        let flat = low.eq(&high);
        let (low, high) = (
            Tensor::where_(&flat, &(&low - 0.5), &low),
            Tensor::where_(&flat, &(&high + 0.5), &high),
        );
        let part = Tensor::linspace(0.0, 1.0, bins + 1, self.device());
        let edges = low.lerp(&high, &part);
        // Between edges as they are rounded.
        let place = edges.searchsorted(&x, true) - 1;
        let last = x.eq(&high);
        let place = Tensor::where_(&last, &place.full_like((bins - 1) as f64), &place);
        let inside = x.ge(&low).logical_and(&x.le(&high));
        let place = Tensor::where_(&inside, &place, &place.full_like(bins as f64));
        let weight = match weight {
            Some(w) => w.cast(DType::F32).reshape_to(&[x.numel()]),
            None => x.ones_like(),
        };
        let counts = weight
            .scatter_add_to(0, &place, bins + 1)
            .narrow(0, 0, bins);
        let counts = if density {
            let width = edges.narrow(0, 1, bins) - edges.narrow(0, 0, bins);
            &counts / counts.sum() / width
        } else {
            counts
        };
        (counts.cast(self.dtype()), edges.cast(self.dtype()))
    }
}
