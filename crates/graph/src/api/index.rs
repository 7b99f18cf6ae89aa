//! Picking and placing by index, and sorting.

use super::order::Dim;
use crate::dtype::DType;
use crate::in_f32;
use crate::ops::argsort::ArgSort;
use crate::ops::gather::Gather;
use crate::ops::scatter_add::ScatterAdd;
use crate::shape;
use crate::tensor::Tensor;

impl Tensor {
    #[track_caller]
    pub(crate) fn gather_at(&self, dim: usize, index: &Tensor) -> Tensor {
        Tensor::record(Gather { dim }, &[self, index])
    }

    #[track_caller]
    pub(crate) fn scatter_add_to(&self, dim: usize, index: &Tensor, size: usize) -> Tensor {
        Tensor::record(ScatterAdd { dim, size }, &[self, index])
    }

    /// A tensor of rank 0 as a vector of one element, as PyTorch takes it where a dimension is named.
    #[track_caller]
    pub(crate) fn lifted(&self) -> Tensor {
        if self.rank() == 0 {
            self.reshape_to(&[1])
        } else {
            self.clone()
        }
    }

    /// A vector of one element as a tensor of rank 0.
    #[track_caller]
    pub(crate) fn dropped(&self) -> Tensor {
        if self.shape() == [1] {
            self.reshape_to(&[])
        } else {
            self.clone()
        }
    }

    /// `out[i] = self[i with dimension dim replaced by index[i]]`; `index` is i32 and at most of this tensor's size in
    /// the other dimensions. An index out of range makes the next read an error.
    #[track_caller]
    pub fn gather(&self, dim: isize, index: &Tensor) -> Tensor {
        if self.rank() == 0 || (self.rank() == 1 && index.rank() == 0) {
            let picked = self.lifted().gather(dim, &index.lifted());
            return if index.rank() == 0 {
                picked.dropped()
            } else {
                picked
            };
        }
        match shape::dim(dim, self.rank()) {
            Ok(d) => self.cut_to(d, index).gather_at(d, index),
            Err(m) => self.fail("gather", m),
        }
    }

    /// The leading part that an index of smaller sizes reaches; the tensor itself where the index does not fit.
    #[track_caller]
    fn cut_to(&self, dim: usize, index: &Tensor) -> Tensor {
        let fits = self.rank() == index.rank()
            && (0..self.rank()).all(|d| d == dim || index.shape()[d] <= self.shape()[d]);
        if !fits {
            return self.clone();
        }
        let mut size = index.shape().to_vec();
        if dim < size.len() {
            size[dim] = self.shape()[dim];
        }
        if size == self.shape() {
            return self.clone();
        }
        self.slice_to(&vec![0; size.len()], &vec![1; size.len()], &size)
    }

    /// Rows (along `dim`) in the order of a rank-1 index (i32).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &d);
    /// let y = x.index_select(0, &Tensor::new(&[1, 1, 0], &d));
    /// assert_eq!(y.to_vec::<f32>()?, [3.0, 4.0, 3.0, 4.0, 1.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn index_select(&self, dim: isize, index: &Tensor) -> Tensor {
        if self.rank() == 0 && index.numel() == 1 {
            return self.lifted().index_select(dim, index).dropped();
        }
        match shape::dim(dim, self.rank()) {
            Ok(d) if index.rank() <= 1 && d < self.rank() => {
                let mut thin = vec![1; self.rank()];
                thin[d] = index.numel();
                let mut wide = self.shape().to_vec();
                wide[d] = index.numel();
                self.gather_at(d, &index.reshape_to(&thin).expand_to(&wide))
            }
            Ok(_) => self.fail(
                "index_select",
                format!("the index must have rank 1, not {:?}", index.shape()),
            ),
            Err(m) => self.fail("index_select", m),
        }
    }

    /// A copy of `self` with elements of `src` added at the position along `dim` that `index` names. `index` may be
    /// smaller than both, and then reaches only their leading parts.
    #[track_caller]
    pub fn scatter_add(&self, dim: isize, index: &Tensor, src: &Tensor) -> Tensor {
        in_f32!([self, src] => |x, src| x.scatter_add(dim, index, src));
        if self.rank() == 0 {
            let [x, index, src] = [self, index, src].map(|t| t.lifted());
            return x.scatter_add(dim, &index, &src).dropped();
        }
        let (n, i) = (self.shape(), index.shape());
        match shape::dim(dim, self.rank()) {
            Ok(d) if d < self.rank() => {
                let fits = i.len() == n.len()
                    && src.rank() == n.len()
                    && (0..n.len()).all(|k| i[k] <= src.shape()[k] && (k == d || i[k] <= n[k]));
                if !fits {
                    let m = format!("index {i:?} and source {:?} do not fit {n:?}", src.shape());
                    return self.fail("scatter_add", m);
                }
                let from = vec![0; n.len()];
                let part = if src.shape() == i {
                    src.clone()
                } else {
                    src.slice_to(&from, &vec![1; n.len()], i)
                };
                let sum = part.scatter_add_to(d, index, n[d]);
                if sum.check().is_err() || sum.shape() == n {
                    return self.add(&sum);
                }
                let rest: Vec<usize> = (0..n.len()).map(|k| n[k] - sum.shape()[k]).collect();
                self.add(&sum.pad_to(&from, &rest, &from))
            }
            Ok(_) => self.fail("scatter_add", "a tensor of rank 0 has no dimension"),
            Err(m) => self.fail("scatter_add", m),
        }
    }

    /// Positions (i32) that sort along `dim`, the last one if none is named; stable; NaN is greatest.
    #[track_caller]
    pub fn argsort(&self, along: impl Dim, descending: bool) -> Tensor {
        let dim = along.dim().unwrap_or(-1);
        if matches!(self.dtype(), DType::Bool | DType::U8) {
            return self.cast(DType::I32).argsort(dim, descending);
        }
        let last = self.rank() as isize - 1;
        match shape::dim(dim, self.rank()) {
            Ok(_) if self.rank() == 0 => self.full_like_dtype(0.0, DType::I32),
            Ok(d) if d as isize == last => Tensor::record(ArgSort { descending }, &[self]),
            Ok(_) => {
                let moved = Tensor::record(ArgSort { descending }, &[&self.transpose(dim, -1)]);
                moved.transpose(dim, -1)
            }
            Err(m) => self.fail("argsort", m),
        }
    }

    /// Elements in order along `dim`, the last one if none is named, and the positions they came from.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let (v, i) = Tensor::new(&[3.0f32, 1.0, 2.0], &Device::cpu()).sort(0, false);
    /// assert_eq!((v.to_vec::<f32>()?, i.to_vec::<i32>()?), (vec![1.0, 2.0, 3.0], vec![1, 2, 0]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn sort(&self, along: impl Dim, descending: bool) -> (Tensor, Tensor) {
        let dim = along.dim().unwrap_or(-1);
        let order = self.argsort(dim, descending);
        let values = if self.rank() == 0 {
            self.clone()
        } else {
            self.gather(dim, &order)
        };
        (values, order)
    }
}
