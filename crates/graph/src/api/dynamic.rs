//! Functions whose result's shape depends on values: the values are read back, so they run what was recorded so far and
//! cannot stand in a compiled function. What they pick is gathered, so gradients flow to it.

use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::reference::to_f64;
use crate::shape::{broadcast, dim};
use crate::tensor::Tensor;

/// The distinct values of a tensor, by [`Tensor::unique`] and its like.
#[derive(Clone, Debug)]
pub struct Unique {
    /// Each value once.
    pub values: Tensor,
    /// The position (i32) among the values of each element.
    pub inverse: Tensor,
    /// How often (i32) each value occurs.
    pub counts: Tensor,
}

/// What has been read.
struct Read {
    data: Vec<f64>,
}

impl Tensor {
    /// The elements on the host, or the invalid result of `op`.
    #[track_caller]
    fn read(&self, op: &str) -> Result<Read, Tensor> {
        let failed = |e: Error| {
            let e = match e.location() {
                Some(_) => e,
                None => e.at(std::panic::Location::caller()),
            };
            Tensor::invalid(e, &[], self.dtype(), self.device())
        };
        if let Err(e) = self.check() {
            return Err(failed(e));
        }
        if self.0.symbolic {
            let m = "the result's shape depends on values, which a compiled or transformed function does not have; \
                     compute it outside, or use a function of fixed shape as nonzero_static or where_";
            return Err(self.fail_kind(ErrorKind::Unsupported, op, m));
        }
        #[cfg(not(target_arch = "wasm32"))]
        let bytes = pollster::block_on(self.to_bytes_async());
        #[cfg(target_arch = "wasm32")]
        let bytes = crate::host::at_once(self.to_bytes_async()).unwrap_or_else(|| {
            let m = "reads its operand back, which cannot be waited for here";
            Err(Error::new(ErrorKind::Unsupported, op, m))
        });
        match bytes {
            Ok(bytes) => {
                let mut data = to_f64(&bytes, self.dtype());
                data.truncate(self.numel());
                Ok(Read { data })
            }
            Err(e) => Err(failed(e)),
        }
    }

    /// Rows of indices as a tensor.
    #[track_caller]
    fn index_of(&self, list: &[usize]) -> Tensor {
        let list: Vec<i32> = list.iter().map(|&i| i as i32).collect();
        Tensor::new(&list, self.device())
    }

    /// Positions (i32, `[count, rank]`) of the elements that are not 0, in row-major order. Runs what is recorded so far;
    /// see [`nonzero_static`](Tensor::nonzero_static) for compiled functions.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[0, 5, 6, 0], &[2, 2], &Device::cpu());
    /// assert_eq!(x.nonzero().to_vec::<i32>()?, [0, 1, 1, 0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn nonzero(&self) -> Tensor {
        let read = match self.read("nonzero") {
            Ok(read) => read,
            Err(wrong) => return wrong,
        };
        let rank = self.rank();
        let mut list: Vec<i32> = Vec::new();
        let mut count = 0;
        for (flat, _) in read.data.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            count += 1;
            let (mut rest, from) = (flat, list.len());
            list.resize(from + rank, 0);
            for d in (0..rank).rev() {
                list[from + d] = (rest % self.shape()[d]) as i32;
                rest /= self.shape()[d];
            }
        }
        Tensor::from_slice(&list, &[count, rank], self.device())
    }

    /// [`nonzero`](Tensor::nonzero), one tensor for each dimension.
    #[track_caller]
    pub fn nonzero_as_tuple(&self) -> Vec<Tensor> {
        let all = self.lifted().nonzero();
        match all.check() {
            Ok(_) => all.unbind(1),
            Err(_) => vec![all],
        }
    }

    /// The first `size` positions (i32, `[size, rank]`) of elements that are not 0, in row-major order, filled up by
    /// `fill`: of a fixed shape, so that it can be compiled.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[0, 5, 6, 0], &Device::cpu());
    /// assert_eq!(x.nonzero_static(3, -1).to_vec::<i32>()?, [1, 2, -1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn nonzero_static(&self, size: usize, fill: i32) -> Tensor {
        let flat = self.along(None).0;
        let absent = flat.cast(DType::Bool).logical_not().cast(DType::I32);
        let n = flat.numel();
        let taken = size.min(n);
        let order = absent.argsort(0, false).narrow(0, 0, taken);
        let known = Tensor::arange(taken, self.device()).lt(&(absent.sum().rsub_scalar(n as f64)));
        let missing = Tensor::full(&[size - taken], -1.0, DType::I32, self.device());
        let order = Tensor::where_(&known, &order, &order.full_like(-1.0));
        let order = Tensor::cat(&[&order, &missing], 0);
        if order.check().is_err() {
            return order;
        }
        let places = order.unravel_index(self.shape());
        let Some(first) = places.first() else {
            return Tensor::zeros(&[size, 0], DType::I32, self.device());
        };
        let known = order
            .ge_scalar(0.0)
            .unsqueeze(1)
            .broadcast_to(&[size, places.len()]);
        let all = Tensor::stack(&places.iter().collect::<Vec<_>>(), 1);
        let fill = first.full_like(f64::from(fill)).unsqueeze(1);
        Tensor::where_(&known, &all, &fill)
    }

    /// The elements where `mask` holds, in row-major order; the two broadcast. Runs what is recorded so far of the mask.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor, grad};
    /// let d = Device::cpu();
    /// let x = Tensor::new(&[1.0f32, 2.0, 3.0], &d);
    /// let y = x.masked_select(&x.gt_scalar(1.5));
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 3.0]);
    /// assert_eq!(grad(&y.sum(), &[&x])?[0].to_vec::<f32>()?, [0.0, 1.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn masked_select(&self, mask: &Tensor) -> Tensor {
        let op = "masked_select";
        let shape = match broadcast(self.shape(), mask.shape()) {
            Ok(shape) => shape,
            Err(m) => return self.fail_with(mask, op, m),
        };
        let read = match mask.cast(DType::Bool).broadcast_to(&shape).read(op) {
            Ok(read) => read,
            Err(wrong) => return wrong,
        };
        let there = read.data.iter().enumerate().filter(|(_, v)| **v != 0.0);
        let list: Vec<usize> = there.map(|(i, _)| i).collect();
        let x = self.broadcast_to(&shape).along(None).0;
        x.index_select(0, &self.index_of(&list))
    }

    /// How often each whole number from 0 on occurs (i32), or the sums of `weights` (f32) by number; at least `minlength`
    /// of them. The elements are not negative. Runs what is recorded so far, for the greatest.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let y = Tensor::new(&[1, 3, 1], &Device::cpu()).bincount(None, 5);
    /// assert_eq!(y.to_vec::<i32>()?, [0, 2, 0, 1, 0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn bincount(&self, weights: Option<&Tensor>, minlength: usize) -> Tensor {
        let op = "bincount";
        if self.rank() != 1 || self.dtype().is_float() {
            let m = format!(
                "takes one row of integers, not {}{:?}",
                self.dtype(),
                self.shape()
            );
            return self.fail(op, m);
        }
        if let Some(w) = weights.filter(|w| w.shape() != self.shape()) {
            return w.fail(op, format!("weights for {} elements", self.numel()));
        }
        let x = self.as_index(op);
        let read = match x.read(op) {
            Ok(read) => read,
            Err(wrong) => return wrong,
        };
        let most = read.data.iter().fold(-1.0, |a: f64, &b| a.max(b));
        if let Some(v) = read.data.iter().find(|v| **v < 0.0) {
            return self.fail_kind(ErrorKind::Value, op, format!("an element is {v}"));
        }
        let n = minlength.max((most + 1.0) as usize);
        let values = match weights {
            Some(w) => w.cast(DType::F32),
            None => x.ones_like(),
        };
        values.scatter_add_to(0, &x, n)
    }

    /// The distinct values in rising order, each NaN one of its own; where each element went, and how often each value
    /// occurs. Runs what is recorded so far.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let u = Tensor::new(&[3, 1, 3], &Device::cpu()).unique();
    /// assert_eq!(u.values.to_vec::<i32>()?, [1, 3]);
    /// assert_eq!(u.inverse.to_vec::<i32>()?, [1, 0, 1]);
    /// assert_eq!(u.counts.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn unique(&self) -> Unique {
        self.distinct("unique", None, true)
    }

    /// [`unique`](Tensor::unique) slices along `dim`, in lexicographic order.
    #[track_caller]
    pub fn unique_dim(&self, along: isize) -> Unique {
        self.distinct("unique", Some(along), true)
    }

    /// The elements, or slices along `dim`, without those that equal the one before them.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let u = Tensor::new(&[1, 1, 2, 1], &Device::cpu()).unique_consecutive(None);
    /// assert_eq!(u.values.to_vec::<i32>()?, [1, 2, 1]);
    /// assert_eq!(u.counts.to_vec::<i32>()?, [2, 1, 1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn unique_consecutive(&self, along: impl super::order::Dim) -> Unique {
        self.distinct("unique_consecutive", along.dim(), false)
    }

    #[track_caller]
    fn distinct(&self, op: &str, along: Option<isize>, sorted: bool) -> Unique {
        let wrong = |t: Tensor| Unique {
            values: t.clone(),
            inverse: t.clone(),
            counts: t,
        };
        let (x, d) = self.along(along);
        let d = match dim(d, x.rank()) {
            Ok(d) if d < x.rank() => d,
            Ok(_) => return wrong(self.fail(op, "a tensor of rank 0 has no dimension")),
            Err(m) => return wrong(self.fail(op, m)),
        };
        let count = x.shape()[d];
        let rows = x.movedim(d as isize, 0);
        let read = match rows.read(op) {
            Ok(read) => read,
            Err(t) => return wrong(t),
        };
        let width = read.data.len().checked_div(count).unwrap_or(0);
        let row = |i: usize| &read.data[i * width..(i + 1) * width];
        let mut order: Vec<usize> = (0..count).collect();
        if sorted {
            order.sort_by(|&a, &b| compared(row(a), row(b)));
        }
        let (mut first, mut inverse, mut counts) = (Vec::new(), vec![0i32; count], Vec::new());
        for (at, &i) in order.iter().enumerate() {
            if at == 0 || row(order[at - 1]) != row(i) {
                first.push(i);
                counts.push(0i32);
            }
            let last = counts.len() - 1;
            counts[last] += 1;
            inverse[i] = last as i32;
        }
        let shape = match along {
            None => self.shape().to_vec(),
            Some(_) => vec![count],
        };
        Unique {
            values: x.index_select(d as isize, &self.index_of(&first)),
            inverse: Tensor::from_slice(&inverse, &shape, self.device()),
            counts: Tensor::new(&counts, self.device()),
        }
    }
}

/// Rows in lexicographic order, NaN last.
fn compared(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    let one = |(x, y): (&f64, &f64)| match x.partial_cmp(y) {
        Some(order) => order,
        None => x.is_nan().cmp(&y.is_nan()),
    };
    a.iter()
        .zip(b)
        .map(one)
        .find(|o| o.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}
