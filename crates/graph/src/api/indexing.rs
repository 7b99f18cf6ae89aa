//! Python's subscripts: positions and ranges that count from the end, with steps, for reading and for writing.
//! A tensor is immutable, so writing gives a new one.

use crate::error::ErrorKind;
use crate::shape;
use crate::tensor::Tensor;
use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

/// One subscript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscript {
    /// One position; the dimension is dropped.
    At(isize),
    /// Python's `start:end:step`: absent bounds are the ends, negative ones count from the end, and what lies beyond
    /// is cut off.
    Range {
        /// The first position.
        start: Option<isize>,
        /// The position after the last.
        end: Option<isize>,
        /// Distance of neighbours, not 0; negative runs backwards.
        step: isize,
    },
}

impl Subscript {
    /// Of a range, every `step`th position.
    pub fn step_by(self, step: isize) -> Subscript {
        match self {
            Subscript::Range { start, end, .. } => Subscript::Range { start, end, step },
            at @ Subscript::At(_) => at,
        }
    }

    /// First position, step and count in a dimension of size `n`.
    fn resolve(self, n: usize) -> Result<(isize, isize, usize), String> {
        let size = n as isize;
        match self {
            Subscript::At(i) => {
                let at = if i < 0 { i.saturating_add(size) } else { i };
                if (0..size).contains(&at) {
                    Ok((at, 1, 1))
                } else {
                    Err(format!("index {i} lies outside size {n}"))
                }
            }
            Subscript::Range { step: 0, .. } => Err("a step of 0".into()),
            Subscript::Range { start, end, step } => {
                let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
                let bound =
                    |i: isize| if i < 0 { i.saturating_add(size) } else { i }.clamp(low, high);
                let first = start.map_or(if step > 0 { low } else { high }, bound);
                let stop = end.map_or(if step > 0 { high } else { low }, bound);
                let way = if step > 0 { stop - first } else { first - stop };
                let count = if way > 0 {
                    (way as usize).div_ceil(step.unsigned_abs())
                } else {
                    0
                };
                Ok((first, step, count))
            }
        }
    }
}

impl From<RangeFull> for Subscript {
    fn from(_: RangeFull) -> Subscript {
        Subscript::Range {
            start: None,
            end: None,
            step: 1,
        }
    }
}

macro_rules! subscripts {
    ($($t:ty),*) => {$(
        impl From<$t> for Subscript {
            fn from(i: $t) -> Subscript {
                Subscript::At(i as isize)
            }
        }

        impl From<Range<$t>> for Subscript {
            fn from(r: Range<$t>) -> Subscript {
                Subscript::Range { start: Some(r.start as isize), end: Some(r.end as isize), step: 1 }
            }
        }

        impl From<RangeFrom<$t>> for Subscript {
            fn from(r: RangeFrom<$t>) -> Subscript {
                Subscript::Range { start: Some(r.start as isize), end: None, step: 1 }
            }
        }

        impl From<RangeTo<$t>> for Subscript {
            fn from(r: RangeTo<$t>) -> Subscript {
                Subscript::Range { start: None, end: Some(r.end as isize), step: 1 }
            }
        }
    )*};
}

subscripts!(i32, isize);

/// Subscripts of the leading dimensions: one, a tuple of up to four, or a slice of any number.
pub trait Subscripts {
    /// As a list.
    fn list(self) -> Vec<Subscript>;
}

impl<S: Into<Subscript>> Subscripts for S {
    fn list(self) -> Vec<Subscript> {
        vec![self.into()]
    }
}

impl Subscripts for &[Subscript] {
    fn list(self) -> Vec<Subscript> {
        self.to_vec()
    }
}

macro_rules! tuples {
    ($(($($t:ident $i:tt),*))*) => {$(
        impl<$($t: Into<Subscript>),*> Subscripts for ($($t,)*) {
            fn list(self) -> Vec<Subscript> {
                vec![$(self.$i.into()),*]
            }
        }
    )*};
}

tuples! { (A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) }

/// Where subscripts lie in a tensor, as a slice with positive steps and dimensions to be reversed.
struct Region {
    start: Vec<usize>,
    step: Vec<usize>,
    size: Vec<usize>,
    reversed: Vec<usize>,
    /// Dimensions that an index drops.
    dropped: Vec<usize>,
}

impl Region {
    fn of(shape: &[usize], list: &[Subscript]) -> Result<Region, String> {
        if list.len() > shape.len() {
            return Err(format!(
                "{} subscripts for {} dimensions",
                list.len(),
                shape.len()
            ));
        }
        let rank = shape.len();
        let mut region = Region {
            start: vec![0; rank],
            step: vec![1; rank],
            size: shape.to_vec(),
            reversed: Vec::new(),
            dropped: Vec::new(),
        };
        for (d, s) in list.iter().enumerate() {
            let (first, step, count) = s
                .resolve(shape[d])
                .map_err(|m| format!("{m} (dimension {d})"))?;
            let last = first + step.saturating_mul(count.saturating_sub(1) as isize);
            region.start[d] = if count == 0 {
                0
            } else {
                first.min(last) as usize
            };
            region.step[d] = if count > 1 { step.unsigned_abs() } else { 1 };
            region.size[d] = count;
            if step < 0 {
                region.reversed.push(d);
            }
            if matches!(s, Subscript::At(_)) {
                region.dropped.push(d);
            }
        }
        Ok(region)
    }

    /// The sizes without the dropped dimensions.
    fn kept(&self) -> Vec<usize> {
        (0..self.size.len())
            .filter(|d| !self.dropped.contains(d))
            .map(|d| self.size[d])
            .collect()
    }
}

impl Tensor {
    /// Python's `x[subscripts]`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(12, &Device::cpu()).reshape(&[3, 4]);
    /// assert_eq!(x.get(-1).to_vec::<i32>()?, [8, 9, 10, 11]);
    /// assert_eq!(x.get((1.., 2)).to_vec::<i32>()?, [6, 10]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn get(&self, subscripts: impl Subscripts) -> Tensor {
        match Region::of(self.shape(), &subscripts.list()) {
            Ok(region) => self.region(&region).reshape_to(&region.kept()),
            Err(m) => self.fail_kind(ErrorKind::Index, "get", m),
        }
    }

    #[track_caller]
    fn region(&self, region: &Region) -> Tensor {
        let part = if region.size == self.shape() && region.step.iter().all(|&s| s == 1) {
            self.clone()
        } else {
            self.slice_to(&region.start, &region.step, &region.size)
        };
        if region.reversed.is_empty() {
            part
        } else {
            part.flip_to(&region.reversed)
        }
    }

    /// Python's `x[start:end:step]` along one dimension.
    #[track_caller]
    pub fn slice(
        &self,
        dim: isize,
        start: impl Into<Option<isize>>,
        end: impl Into<Option<isize>>,
        step: isize,
    ) -> Tensor {
        match self.subscript_of(
            dim,
            Subscript::Range {
                start: start.into(),
                end: end.into(),
                step,
            },
        ) {
            Ok(list) => self.get(&list[..]),
            Err(m) => self.fail("slice", m),
        }
    }

    /// A subscript of one dimension, with everything of those before it.
    fn subscript_of(&self, dim: isize, subscript: Subscript) -> Result<Vec<Subscript>, String> {
        let d = shape::dim(dim, self.rank())?;
        let mut list = vec![Subscript::from(..); d];
        list.push(subscript);
        Ok(list)
    }

    /// A copy in which `x[subscripts]` is `value`, which broadcasts. Gradients flow to `value`, and to `self` where
    /// it stays.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::new(&[0, 1, 2, 3], &d).set(1..3, &Tensor::new(&[8, 9], &d));
    /// assert_eq!(x.to_vec::<i32>()?, [0, 8, 9, 3]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn set(&self, subscripts: impl Subscripts, value: &Tensor) -> Tensor {
        let region = match Region::of(self.shape(), &subscripts.list()) {
            Ok(region) => region,
            Err(m) => return self.fail_kind(ErrorKind::Index, "set", m),
        };
        if shape::numel(&region.size) == 0 || value.check().is_err() || self.check().is_err() {
            return if value.check().is_err() {
                value.clone()
            } else {
                self.clone()
            };
        }
        let value = value
            .cast(self.dtype())
            .broadcast_to(&region.kept())
            .reshape_to(&region.size);
        let value = if region.reversed.is_empty() {
            value
        } else {
            value.flip_to(&region.reversed)
        };
        let placed = self.placed(&value, &region);
        let mask = self.placed(
            &Tensor::ones(&region.size, crate::DType::I32, self.device()),
            &region,
        );
        Tensor::where_(&mask.ne_scalar(0.0), &placed, self)
    }

    /// A copy in which `x[subscripts]` is one number everywhere, as [`DType::convert`](crate::DType::convert) makes it
    /// an element.
    #[track_caller]
    pub fn set_scalar(&self, subscripts: impl Subscripts, value: f64) -> Tensor {
        self.set(subscripts, &self.element("set_scalar", value))
    }

    /// `part` at its region among zeros of this tensor's shape.
    #[track_caller]
    fn placed(&self, part: &Tensor, region: &Region) -> Tensor {
        if part.check().is_err() {
            return part.clone();
        }
        let inside = |d: usize| region.start[d] + (region.size[d] - 1) * region.step[d] + 1;
        let hi: Vec<usize> = (0..self.rank())
            .map(|d| self.shape()[d] - inside(d))
            .collect();
        let gaps: Vec<usize> = region.step.iter().map(|s| s - 1).collect();
        part.pad_to(&region.start, &hi, &gaps)
    }

    /// PyTorch's `slice_scatter`: a copy in which `x[start:end:step]` along `dim` is `src`.
    #[track_caller]
    pub fn slice_scatter(
        &self,
        src: &Tensor,
        dim: isize,
        start: impl Into<Option<isize>>,
        end: impl Into<Option<isize>>,
        step: isize,
    ) -> Tensor {
        match self.subscript_of(
            dim,
            Subscript::Range {
                start: start.into(),
                end: end.into(),
                step,
            },
        ) {
            Ok(list) => self.set(&list[..], src),
            Err(m) => self.fail("slice_scatter", m),
        }
    }

    /// PyTorch's `select_scatter`: a copy in which position `index` of `dim` is `src`.
    #[track_caller]
    pub fn select_scatter(&self, src: &Tensor, dim: isize, index: isize) -> Tensor {
        match self.subscript_of(dim, Subscript::At(index)) {
            Ok(list) => self.set(&list[..], src),
            Err(m) => self.fail("select_scatter", m),
        }
    }
}
