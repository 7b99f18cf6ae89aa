//! Padding with constants or with the tensor's own elements.

use crate::shape::dim;
use crate::tensor::Tensor;

/// What [`Tensor::pad`] puts beyond the edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// A number, as [`DType::convert`](crate::DType::convert) makes it an element.
    Constant(f64),
    /// The elements mirrored at the edge one, which is not repeated.
    Reflect,
    /// The edge element.
    Replicate,
    /// The elements of the other end.
    Circular,
}

impl Tensor {
    /// Elements added before and after dimensions, PyTorch's order: `[before, after]` of the last dimension, then of
    /// the one before it. A negative count takes elements away.
    ///
    /// ```
    /// # use wgrad_graph::{Device, PadMode, Tensor};
    /// let x = Tensor::new(&[1, 2, 3], &Device::cpu());
    /// assert_eq!(x.pad(&[2, 1], PadMode::Reflect).to_vec::<i32>()?, [3, 2, 1, 2, 3, 2]);
    /// assert_eq!(x.pad(&[-1, 1], PadMode::Constant(0.0)).to_vec::<i32>()?, [2, 3, 0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn pad(&self, pad: &[isize], mode: PadMode) -> Tensor {
        if pad.len() % 2 == 1 || pad.len() / 2 > self.rank() {
            let m = format!("{} counts for a tensor of rank {}", pad.len(), self.rank());
            return self.fail("pad", m);
        }
        let sides = |i: usize| (pad[2 * i], pad[2 * i + 1]);
        let mut x = self.clone();
        for i in 0..pad.len() / 2 {
            let (before, after) = sides(i);
            let d = self.rank() - 1 - i;
            let added = (before.max(0) as usize, after.max(0) as usize);
            let taken = (before.min(0).unsigned_abs(), after.min(0).unsigned_abs());
            // What was taken away does not come back at the other end.
            x = if mode == PadMode::Circular {
                x.crop_dim(d, taken).pad_dim(d, added, mode)
            } else {
                x.pad_dim(d, added, mode).crop_dim(d, taken)
            };
        }
        x
    }

    #[track_caller]
    fn crop_dim(&self, d: usize, (before, after): (usize, usize)) -> Tensor {
        if before == 0 && after == 0 || self.check().is_err() {
            return self.clone();
        }
        match self.shape()[d].checked_sub(before.saturating_add(after)) {
            Some(left) => self.narrow(d as isize, before, left),
            None => self.fail(
                "pad",
                format!("{before} + {after} elements taken from {}", self.shape()[d]),
            ),
        }
    }

    #[track_caller]
    fn pad_dim(&self, d: usize, (before, after): (usize, usize), mode: PadMode) -> Tensor {
        if before == 0 && after == 0 || self.check().is_err() {
            return self.clone();
        }
        let (n, along) = (self.shape()[d], d as isize);
        let most = before.max(after);
        let room = match mode {
            PadMode::Constant(value) => return self.pad_constant(d, before, after, value),
            PadMode::Reflect => most < n,
            PadMode::Replicate => n > 0,
            PadMode::Circular => most <= n,
        };
        if !room {
            let m =
                format!("({before}, {after}) around dimension {d} of size {n} in mode {mode:?}");
            return self.fail("pad", m);
        }
        let repeated = |at: usize, count: usize| {
            let mut sizes = self.shape().to_vec();
            sizes[d] = count;
            self.narrow(along, at, 1).expand_to(&sizes)
        };
        let (left, right) = match mode {
            PadMode::Reflect => (
                self.narrow(along, 1, before).flip_to(&[d]),
                self.narrow(along, n - 1 - after, after).flip_to(&[d]),
            ),
            PadMode::Circular => (
                self.narrow(along, n - before, before),
                self.narrow(along, 0, after),
            ),
            _ => (repeated(0, before), repeated(n - 1, after)),
        };
        Tensor::cat(&[&left, self, &right], along)
    }

    #[track_caller]
    fn pad_constant(&self, d: usize, before: usize, after: usize, value: f64) -> Tensor {
        let side = |n: usize| {
            let mut list = vec![0; self.rank()];
            list[d] = n;
            list
        };
        let none = side(0);
        if let Err(m) = self.dtype().convert(value) {
            return self.fail_kind(crate::error::ErrorKind::Value, "pad", m);
        }
        let padded = self.pad_to(&side(before), &side(after), &none);
        if value == 0.0 || padded.check().is_err() {
            return padded;
        }
        let at = Tensor::iota_along(padded.shape(), d, self.device());
        let end = before + self.shape()[d];
        let inside = at
            .ge_scalar(before as f64)
            .logical_and(&at.lt_scalar(end as f64));
        padded.masked_fill(&inside.logical_not(), value)
    }

    /// Elements moved by `shifts[i]` places along `dims[i]`, those pushed out coming back at the other end; of no
    /// dimensions and one shift: along all elements in row-major order.
    #[track_caller]
    pub fn roll(&self, shifts: &[isize], dims: &[isize]) -> Tensor {
        if dims.is_empty() && shifts.len() == 1 {
            let flat = self.reshape_to(&[self.numel()]);
            return flat.roll(shifts, &[0]).reshape_to(self.shape());
        }
        if shifts.len() != dims.len() {
            let m = format!("{} shifts for {} dimensions", shifts.len(), dims.len());
            return self.fail("roll", m);
        }
        let mut x = self.clone();
        for (&shift, &along) in shifts.iter().zip(dims) {
            let n = match dim(along, self.rank()) {
                Ok(_) => self.size(along),
                Err(m) => return self.fail("roll", m),
            };
            if n > 1 {
                let cut = n - shift.rem_euclid(n as isize) as usize;
                if cut < n {
                    x = Tensor::cat(
                        &[&x.narrow(along, cut, n - cut), &x.narrow(along, 0, cut)],
                        along,
                    );
                }
            }
        }
        x
    }
}
