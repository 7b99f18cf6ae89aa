//! Picking and placing by index beyond gather and scatter-add: one-hot vectors, the largest elements.

use super::order::Dim;
use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::in_f32;
use crate::shape::{broadcast, dim};
use crate::tensor::Tensor;

impl Tensor {
    /// An index in the type of every index.
    #[track_caller]
    pub(crate) fn as_index(&self, op: &str) -> Tensor {
        if self.dtype().is_float() {
            self.fail_kind(
                ErrorKind::DType,
                op,
                format!("an index must be an integer, not {}", self.dtype()),
            )
        } else {
            self.cast(DType::I32)
        }
    }

    /// [`gather`](Tensor::gather) where `index` and `self` broadcast in all dimensions but `dim`. A negative index
    /// counts from the end.
    #[track_caller]
    pub fn take_along_dim(&self, index: &Tensor, along: isize) -> Tensor {
        let d = match dim(along, self.rank()) {
            Ok(d) if index.rank() == self.rank() && d < self.rank() => d,
            Ok(_) => {
                let m = format!(
                    "index {:?} and tensor {:?} differ in rank",
                    index.shape(),
                    self.shape()
                );
                return self.fail("take_along_dim", m);
            }
            Err(m) => return self.fail("take_along_dim", m),
        };
        let thin = |shape: &[usize]| {
            let mut sizes = shape.to_vec();
            sizes[d] = 1;
            sizes
        };
        match broadcast(&thin(self.shape()), &thin(index.shape())) {
            Ok(mut sizes) => {
                let positions = index.as_index("take_along_dim");
                let from_end = &positions + self.shape()[d] as f64;
                let positions = Tensor::where_(&positions.lt_scalar(0.0), &from_end, &positions);
                sizes[d] = self.shape()[d];
                let x = self.broadcast_to(&sizes);
                sizes[d] = index.shape()[d];
                x.gather_at(d, &positions.broadcast_to(&sizes))
            }
            Err(m) => self.fail("take_along_dim", m),
        }
    }

    /// A copy of `self` with `alpha` times row `i` of `src` (along `dim`) added to row `index[i]`.
    #[track_caller]
    pub fn index_add(&self, along: isize, index: &Tensor, src: &Tensor, alpha: f64) -> Tensor {
        in_f32!([self, src] => |x, src| x.index_add(along, index, src, alpha));
        if self.rank() == 0 && src.rank() == 0 {
            let [x, src] = [self, src].map(|t| t.lifted());
            return x.index_add(along, index, &src, alpha).dropped();
        }
        let index = index.as_index("index_add");
        let d = match dim(along, self.rank()) {
            Ok(d) if d < self.rank() && index.rank() <= 1 && src.rank() == self.rank() => d,
            Ok(_) => {
                let m = format!(
                    "index {:?} and source {:?} for {:?}",
                    index.shape(),
                    src.shape(),
                    self.shape()
                );
                return self.fail("index_add", m);
            }
            Err(m) => return self.fail("index_add", m),
        };
        if index.numel() != src.shape()[d] {
            let m = format!(
                "{} indices for a source of {:?}",
                index.numel(),
                src.shape()
            );
            return self.fail("index_add", m);
        }
        let src = if alpha == 1.0 {
            src.clone()
        } else {
            src * alpha
        };
        self.scatter_add(along, &index.spread_along(d, src.shape()), &src)
    }

    /// A rank-1 index repeated over the other dimensions of `sizes`.
    #[track_caller]
    fn spread_along(&self, d: usize, sizes: &[usize]) -> Tensor {
        let mut thin = vec![1; sizes.len()];
        thin[d] = self.numel();
        self.reshape_to(&thin).expand_to(sizes)
    }

    /// A copy of `self` whose rows (along `dim`) named by `index` are `value`.
    #[track_caller]
    pub fn index_fill(&self, along: isize, index: &Tensor, value: f64) -> Tensor {
        if self.rank() == 0 {
            return self.lifted().index_fill(along, index, value).dropped();
        }
        let d = match dim(along, self.rank()) {
            Ok(d) if d < self.rank() && index.rank() <= 1 => d,
            Ok(_) => {
                return self.fail(
                    "index_fill",
                    format!("an index of shape {:?}", index.shape()),
                );
            }
            Err(m) => return self.fail("index_fill", m),
        };
        let index = index.as_index("index_fill").reshape_to(&[index.numel()]);
        let hits = index.ones_like().scatter_add_to(0, &index, self.shape()[d]);
        let mut thin = vec![1; self.rank()];
        thin[d] = self.shape()[d];
        self.masked_fill(&hits.reshape_to(&thin).ne_scalar(0.0), value)
    }

    /// A copy of `self` with the elements of `src` put where `index` names along `dim`. A place that is named more
    /// than once gets the sum of what is put there (PyTorch leaves that open).
    #[track_caller]
    pub fn scatter(&self, along: isize, index: &Tensor, src: &Tensor) -> Tensor {
        let zero = self.zeros_like();
        let placed = zero.scatter_add(along, index, &src.cast(self.dtype()));
        Tensor::where_(&self.named(along, index), &placed, self)
    }

    /// [`scatter`](Tensor::scatter) of one number.
    #[track_caller]
    pub fn scatter_scalar(&self, along: isize, index: &Tensor, value: f64) -> Tensor {
        self.masked_fill(&self.named(along, index), value)
    }

    /// Where `index` names an element along `dim`.
    #[track_caller]
    fn named(&self, along: isize, index: &Tensor) -> Tensor {
        let ones = index.full_like_dtype(1.0, DType::I32);
        self.full_like_dtype(0.0, DType::I32)
            .scatter_add(along, index, &ones)
            .ne_scalar(0.0)
    }

    /// Vectors (i32) of `num_classes` elements along a new last dimension: 1 at the class, else 0.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// assert_eq!(Tensor::new(&[1, 0], &Device::cpu()).one_hot(2).to_vec::<i32>()?, [0, 1, 1, 0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn one_hot(&self, num_classes: usize) -> Tensor {
        let classes = Tensor::arange(num_classes, self.device());
        self.as_index("one_hot")
            .unsqueeze(-1)
            .eq(&classes)
            .cast(DType::I32)
    }

    /// The `k` greatest (or least) elements along `dim`, the last one if none is named, in order, and their positions
    /// (i32).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let (v, i) = Tensor::new(&[3.0f32, 9.0, 5.0], &Device::cpu()).topk(2, 0, true);
    /// assert_eq!((v.to_vec::<f32>()?, i.to_vec::<i32>()?), (vec![9.0, 5.0], vec![1, 2]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn topk(&self, k: usize, along: impl Dim, largest: bool) -> (Tensor, Tensor) {
        let along = along.dim().unwrap_or(-1);
        let (values, order) = self.sort(along, largest);
        if self.rank() == 0 && k == 1 {
            return (values, order);
        }
        (values.narrow(along, 0, k), order.narrow(along, 0, k))
    }

    /// The `k`th least element along `dim`, counted from 1, and its position (i32).
    #[track_caller]
    pub fn kthvalue(&self, k: usize, along: isize, keepdim: bool) -> (Tensor, Tensor) {
        let (values, order) = self.sort(along, false);
        if self.rank() == 0 && k == 1 {
            return (values, order);
        }
        let Some(at) = k.checked_sub(1) else {
            let wrong = self.fail("kthvalue", "k counts from 1");
            return (wrong.clone(), wrong);
        };
        let pick = |t: &Tensor| {
            let t = t.narrow(along, at, 1);
            if keepdim { t } else { t.squeeze(along) }
        };
        (pick(&values), pick(&order))
    }

    /// The greatest elements along `dim`, and the positions (i32) of the first of them; the gradient goes there.
    #[track_caller]
    pub fn max_dim(&self, along: isize, keepdim: bool) -> (Tensor, Tensor) {
        let at = self.argmax(along, true);
        self.extreme_at(along, &at, keepdim)
    }

    /// The least elements along `dim`, and the positions (i32) of the first of them; the gradient goes there.
    #[track_caller]
    pub fn min_dim(&self, along: isize, keepdim: bool) -> (Tensor, Tensor) {
        let at = self.argmin(along, true);
        self.extreme_at(along, &at, keepdim)
    }

    #[track_caller]
    pub(crate) fn extreme_at(&self, along: isize, at: &Tensor, keepdim: bool) -> (Tensor, Tensor) {
        if self.rank() == 0 {
            return (self.clone(), at.clone());
        }
        let values = self.gather(along, at);
        if keepdim {
            (values, at.clone())
        } else {
            (values.squeeze(along), at.squeeze(along))
        }
    }
}
