//! Writing by index and by mask: copies in which elements are replaced or reduced with others. Gradients flow to what
//! is written, and to the tensor where it stays. Of several writes to one place the last one stays.

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::in_f32;
use crate::shape::{self, broadcast, dim};
use crate::tensor::Tensor;

/// How elements that go to one place are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// Added.
    Sum,
    /// Multiplied.
    Prod,
    /// Their mean; of integers rounded down.
    Mean,
    /// The greatest; its gradient is shared by equal ones.
    Amax,
    /// The least; its gradient is shared by equal ones.
    Amin,
}

impl Tensor {
    /// Flat positions (rank 1) among the leading dimensions that `indices` name, and the shape they broadcast to.
    #[track_caller]
    fn flat_index(&self, op: &str, indices: &[&Tensor]) -> Result<(Tensor, Vec<usize>), Tensor> {
        if indices.is_empty() || indices.len() > self.rank() {
            let m = format!("{} indices for {:?}", indices.len(), self.shape());
            return Err(self.fail(op, m));
        }
        let mut common = Vec::new();
        for t in indices {
            common = broadcast(&common, t.shape()).map_err(|m| self.fail_with(t, op, m))?;
        }
        let sizes = &self.shape()[..indices.len()];
        let mut flat = Tensor::zeros(&common, DType::I32, self.device());
        let mut outside = flat.full_like_dtype(0.0, DType::Bool);
        for (t, &n) in indices.iter().zip(sizes) {
            let i = t.as_index(op).broadcast_to(&common);
            let i = Tensor::where_(&i.lt_scalar(0.0), &(&i + n as f64), &i);
            outside = outside
                .logical_or(&i.lt_scalar(0.0))
                .logical_or(&i.ge_scalar(n as f64));
            flat = flat * n as f64 + i;
        }
        // One position beyond all is refused when it is used.
        let beyond = flat.full_like(shape::numel(sizes) as f64);
        let flat = Tensor::where_(&outside, &beyond, &flat);
        if flat.check().is_err() {
            return Err(flat);
        }
        Ok((flat.along(None).0, common))
    }

    /// Of a row of positions, where each is named for the last time.
    #[track_caller]
    fn last_of_each(&self) -> Tensor {
        let n = self.numel();
        if n < 2 {
            return self.full_like_dtype(1.0, DType::Bool);
        }
        let (sorted, order) = self.sort(0, false);
        let changes = sorted.narrow(0, 0, n - 1).ne(&sorted.narrow(0, 1, n - 1));
        let last = Tensor::ones(&[1], DType::I32, self.device());
        let last = Tensor::cat(&[&changes.cast(DType::I32), &last], 0);
        last.scatter_add_to(0, &order, n).ne_scalar(0.0)
    }

    /// `self [n, rest…]` with rows of `values [m, rest…]` at positions `at [m]`, added or in their place.
    #[track_caller]
    fn rows_put(&self, at: &Tensor, values: &Tensor, accumulate: bool) -> Tensor {
        let n = self.shape()[0];
        let spread = |row: &Tensor| {
            let mut thin = vec![1; values.rank()];
            thin[0] = row.numel();
            row.reshape_to(&thin).expand_to(values.shape())
        };
        if accumulate {
            return self.add(&values.scatter_add_to(0, &spread(at), n));
        }
        let last = at.last_of_each();
        // What is written over goes to a row of its own; a position beyond the end stays beyond.
        let to = at.masked_fill(&at.ge_scalar(n as f64), n as f64 + 1.0);
        let to = Tensor::where_(&last, &to, &to.full_like(n as f64));
        let placed = values
            .scatter_add_to(0, &spread(&to), n + 1)
            .narrow(0, 0, n);
        let hits = last.cast(DType::I32).scatter_add_to(0, &to, n + 1);
        let mut thin = vec![1; self.rank()];
        thin[0] = n;
        let hit = hits.narrow(0, 0, n).reshape_to(&thin).ne_scalar(0.0);
        Tensor::where_(&hit, &placed, self)
    }

    /// A copy in which `x[indices]` is `values`, or has them added if `accumulate`. The indices broadcast with each other,
    /// count from the end where they are negative, and name leading dimensions; `values` broadcasts.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::zeros(&[2, 2], wgrad_graph::DType::F32, &d);
    /// let (i, j) = (Tensor::new(&[0, -1], &d), Tensor::new(&[1, 0], &d));
    /// let y = x.index_put(&[&i, &j], &Tensor::new(&[5.0f32, 6.0], &d), false);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 5.0, 6.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn index_put(&self, indices: &[&Tensor], values: &Tensor, accumulate: bool) -> Tensor {
        in_f32!([self, values] => |x, values| x.index_put(indices, values, accumulate));
        let (at, common) = match self.flat_index("index_put", indices) {
            Ok(found) => found,
            Err(wrong) => return wrong,
        };
        let rest = &self.shape()[indices.len()..];
        let whole = [&common[..], rest].concat();
        let values = values.cast(self.dtype()).broadcast_to(&whole);
        if values.check().is_err() || at.numel() == 0 {
            return if values.check().is_err() {
                values
            } else {
                self.clone()
            };
        }
        let lead = shape::numel(&self.shape()[..indices.len()]);
        let rows = self.reshape_to(&[&[lead], rest].concat());
        let values = values.reshape_to(&[&[at.numel()], rest].concat());
        let out = rows.rows_put(&at, &values, accumulate);
        if out.check().is_err() {
            return out;
        }
        out.reshape_to(self.shape())
    }

    /// `x[indices]`: elements, or slices, at indices that broadcast with each other, count from the end where they are
    /// negative, and name leading dimensions.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::arange(6, &d).reshape(&[2, 3]);
    /// let y = x.index(&[&Tensor::new(&[1, 0], &d), &Tensor::new(&[-1, 0], &d)]);
    /// assert_eq!(y.to_vec::<i32>()?, [5, 0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn index(&self, indices: &[&Tensor]) -> Tensor {
        let (at, common) = match self.flat_index("index", indices) {
            Ok(found) => found,
            Err(wrong) => return wrong,
        };
        let rest = &self.shape()[indices.len()..];
        let lead = shape::numel(&self.shape()[..indices.len()]);
        let rows = self.reshape_to(&[&[lead], rest].concat());
        let picked = rows.index_select(0, &at);
        if picked.check().is_err() {
            return picked;
        }
        picked.reshape_to(&[&common[..], rest].concat())
    }

    /// A copy in which row `index[i]` (along `dim`) is row `i` of `source`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::new(&[1, 2, 3], &d);
    /// let y = x.index_copy(0, &Tensor::new(&[2, 0], &d), &Tensor::new(&[8, 9], &d));
    /// assert_eq!(y.to_vec::<i32>()?, [9, 2, 8]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn index_copy(&self, along: isize, index: &Tensor, source: &Tensor) -> Tensor {
        if self.rank() == 0 && source.rank() <= 1 {
            let [x, source] = [self, source].map(|t| t.lifted());
            return x.index_copy(along, index, &source).dropped();
        }
        let d = match dim(along, self.rank()) {
            Ok(d) if index.rank() <= 1 && source.rank() == self.rank() => d as isize,
            Ok(_) => {
                let m = format!("index {:?} and source {:?}", index.shape(), source.shape());
                return self.fail("index_copy", m);
            }
            Err(m) => return self.fail("index_copy", m),
        };
        let fits = (0..self.rank()).all(|k| {
            let want = if k as isize == d {
                index.numel()
            } else {
                self.shape()[k]
            };
            source.shape()[k] == want
        });
        if !fits {
            let m = format!("a source {:?} for {} rows", source.shape(), index.numel());
            return self.fail("index_copy", m);
        }
        let (x, source) = (self.movedim(d, 0), source.movedim(d, 0));
        let index = index.reshape_to(&[index.numel()]);
        x.index_put(&[&index], &source, false).movedim(0, d)
    }

    /// The elements at flat positions, which count from the end where they are negative; of the shape of `index`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::arange(6, &d).reshape(&[2, 3]);
    /// assert_eq!(x.take(&Tensor::new(&[4, -1], &d)).to_vec::<i32>()?, [4, 5]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn take(&self, index: &Tensor) -> Tensor {
        self.along(None).0.index(&[index])
    }

    /// A copy in which the elements at flat positions are those of `source`, or have them added.
    #[track_caller]
    pub fn put(&self, index: &Tensor, source: &Tensor, accumulate: bool) -> Tensor {
        if index.numel() != source.numel() {
            let m = format!("{} positions for {} values", index.numel(), source.numel());
            return self.fail("put", m);
        }
        let (flat, at) = (self.along(None).0, index.along(None).0);
        let out = flat.index_put(&[&at], &source.along(None).0, accumulate);
        if out.check().is_err() {
            return out;
        }
        out.reshape_to(self.shape())
    }

    /// A copy in which the elements where `mask` holds are those of `source`, in order.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::new(&[1, 2, 3], &d);
    /// let mask = Tensor::new(&[true, false, true], &d);
    /// assert_eq!(x.masked_scatter(&mask, &Tensor::new(&[7, 8], &d)).to_vec::<i32>()?, [7, 2, 8]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn masked_scatter(&self, mask: &Tensor, source: &Tensor) -> Tensor {
        let shape = match broadcast(self.shape(), mask.shape()) {
            Ok(shape) => shape,
            Err(m) => return self.fail_with(mask, "masked_scatter", m),
        };
        let (x, mask) = (
            self.broadcast_to(&shape),
            mask.cast(DType::Bool).broadcast_to(&shape),
        );
        if source.numel() == 0 || x.numel() == 0 {
            return x;
        }
        let flat = mask.along(None).0;
        let place = flat.cumsum(0) - 1;
        let place = place.masked_fill(&flat.logical_not(), 0.0);
        let picked = source.cast(x.dtype()).along(None).0.index_select(0, &place);
        if picked.check().is_err() {
            return picked;
        }
        Tensor::where_(&mask, &picked.reshape_to(&shape), &x)
    }

    /// A copy in which diagonal `offset` of the matrices in two dimensions is `source`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::arange(4, &d).reshape(&[2, 2]);
    /// let y = x.diagonal_scatter(&Tensor::new(&[8, 9], &d), 0, 0, 1);
    /// assert_eq!(y.to_vec::<i32>()?, [8, 1, 2, 9]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn diagonal_scatter(
        &self,
        source: &Tensor,
        offset: isize,
        dim1: isize,
        dim2: isize,
    ) -> Tensor {
        let places = Tensor::arange(self.numel(), self.device());
        if self.check().is_err() {
            return self.clone();
        }
        let at = places.reshape_to(self.shape()).diagonal(offset, dim1, dim2);
        if at.check().is_err() {
            return at;
        }
        if at.shape() != source.shape() {
            let m = format!("a source {:?} for {:?}", source.shape(), at.shape());
            return self.fail_with(source, "diagonal_scatter", m);
        }
        self.put(&at, source, false)
    }

    /// A copy in which the elements of a strided view are those of `source`; see [`as_strided`](Tensor::as_strided).
    #[track_caller]
    pub fn as_strided_scatter(
        &self,
        source: &Tensor,
        size: &[usize],
        stride: &[usize],
        offset: usize,
    ) -> Tensor {
        if source.shape() != size {
            let m = format!("a source {:?} for {size:?}", source.shape());
            return self.fail_with(source, "as_strided_scatter", m);
        }
        match self.strided_positions("as_strided_scatter", size, stride, offset) {
            Ok(at) => self.put(&at, source, false),
            Err(wrong) => wrong,
        }
    }

    /// A copy in which the elements of `src` are joined with those at the positions along `dim` that `index` names;
    /// places that are named forget their own element first unless `include_self`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Reduce, Tensor};
    /// let d = Device::cpu();
    /// let (x, at) = (Tensor::new(&[1.0f32, 5.0], &d), Tensor::new(&[0, 0, 1], &d));
    /// let src = Tensor::new(&[2.0f32, 3.0, 4.0], &d);
    /// let most = x.scatter_reduce(0, &at, &src, Reduce::Amax, true);
    /// assert_eq!(most.to_vec::<f32>()?, [3.0, 5.0]);
    /// let product = x.scatter_reduce(0, &at, &src, Reduce::Prod, false);
    /// assert_eq!(product.to_vec::<f32>()?, [6.0, 4.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn scatter_reduce(
        &self,
        along: isize,
        index: &Tensor,
        src: &Tensor,
        reduce: Reduce,
        include_self: bool,
    ) -> Tensor {
        let op = "scatter_reduce";
        in_f32!([self, src] => |x, src| x.scatter_reduce(along, index, src, reduce, include_self));
        if self.rank() == 0 {
            let [x, index, src] = [self, index, src].map(|t| t.lifted());
            return x
                .scatter_reduce(along, &index, &src, reduce, include_self)
                .dropped();
        }
        if self.dtype() != src.dtype() {
            let m = format!("a source of {} for {}", src.dtype(), self.dtype());
            return self.fail_kind(ErrorKind::DType, op, m);
        }
        let (n, i) = (self.shape(), index.shape());
        let d = match dim(along, self.rank()) {
            Ok(d) => d,
            Err(m) => return self.fail(op, m),
        };
        let fits = i.len() == n.len()
            && src.rank() == n.len()
            && (0..n.len()).all(|k| i[k] <= src.shape()[k] && (k == d || i[k] <= n[k]));
        if !fits {
            let m = format!("index {i:?} and source {:?} do not fit {n:?}", src.shape());
            return self.fail(op, m);
        }
        let from = vec![0; n.len()];
        let ones = vec![1; n.len()];
        let mut part = i.to_vec();
        part[d] = n[d];
        let src = src.slice_to(&from, &ones, i);
        if shape::numel(i) == 0 {
            return self.clone();
        }
        let reached = self.slice_to(&from, &ones, &part);
        let new = reached.reduce_rows(d as isize, &index.as_index(op), &src, reduce, include_self);
        if part == n || new.check().is_err() {
            return new;
        }
        let whole: Vec<crate::Subscript> = part
            .iter()
            .map(|&size| crate::Subscript::from(0..size as isize))
            .collect();
        self.set(&whole[..], &new)
    }

    /// [`scatter_reduce`](Tensor::scatter_reduce) of whole rows along `dim`, named by a row of indices.
    #[track_caller]
    pub fn index_reduce(
        &self,
        along: isize,
        index: &Tensor,
        source: &Tensor,
        reduce: Reduce,
        include_self: bool,
    ) -> Tensor {
        let d = match dim(along, self.rank()) {
            Ok(d) if d < self.rank() && index.rank() == 1 && source.rank() == self.rank() => d,
            Ok(_) => {
                let m = format!("index {:?} and source {:?}", index.shape(), source.shape());
                return self.fail("index_reduce", m);
            }
            Err(m) => return self.fail("index_reduce", m),
        };
        let mut thin = vec![1; self.rank()];
        thin[d] = index.numel();
        let wide = index.reshape_to(&thin).expand_to(source.shape());
        self.scatter_reduce(along, &wide, source, reduce, include_self)
    }

    /// [`scatter_reduce`](Tensor::scatter_reduce) where index and source have this tensor's sizes but along `dim`.
    #[track_caller]
    fn reduce_rows(
        &self,
        d: isize,
        index: &Tensor,
        src: &Tensor,
        reduce: Reduce,
        include_self: bool,
    ) -> Tensor {
        let n = self.size(d);
        let own = Tensor::iota_along(
            self.shape(),
            shape::dim(d, self.rank()).unwrap_or(0),
            self.device(),
        );
        let into = |values: &Tensor, at: &Tensor| {
            values.scatter_add_to(shape::dim(d, self.rank()).unwrap_or(0), at, n)
        };
        let named = into(&index.ones_like(), index);
        // Places that are not named, or that count themselves, take part with their own element.
        let counts_itself = if include_self {
            named.full_like_dtype(1.0, DType::Bool)
        } else {
            named.eq_scalar(0.0)
        };
        let neutral = match reduce {
            Reduce::Sum | Reduce::Mean => self.full_like(0.0),
            Reduce::Prod => self.full_like(1.0),
            Reduce::Amax => self.lowest(),
            Reduce::Amin => self.lowest().mirrored().cast(self.dtype()),
        };
        let kept = Tensor::where_(&counts_itself, self, &neutral);
        match reduce {
            Reduce::Sum => kept + into(src, index),
            Reduce::Mean => {
                let count = named + counts_itself.cast(DType::I32);
                let sum = kept + into(src, index);
                if sum.dtype().is_float() {
                    sum / count
                } else {
                    sum.floor_divide(&count)
                }
            }
            _ => {
                let values = Tensor::cat(&[&kept, src], d);
                let places = Tensor::cat(&[&own, index], d);
                if reduce == Reduce::Prod {
                    return values.in_segments(d, &places, n, Tensor::mul);
                }
                let join = if reduce == Reduce::Amax {
                    Tensor::maximum
                } else {
                    Tensor::minimum
                };
                let most = values.stop_gradient().in_segments(d, &places, n, join);
                if !self.dtype().is_float() {
                    return most;
                }
                // Equal ones share the gradient.
                let there = most.gather(d, &places);
                let shares = values.eq(&there).cast(DType::F32);
                let count = into(&shares, &places).clamp_min(1.0);
                let path = Tensor::where_(&values.eq(&there), &values, &values.zeros_like());
                let path = path.masked_fill(&values.isfinite().logical_not(), 0.0);
                let mean = into(&path, &places) / count;
                most + (&mean - mean.stop_gradient())
            }
        }
    }

    /// The least value of the dtype everywhere.
    #[track_caller]
    fn lowest(&self) -> Tensor {
        if self.dtype().is_float() {
            self.full_like(f64::NEG_INFINITY)
        } else {
            self.full_like(self.dtype().range().0)
        }
    }

    /// Values joined by the places along `dim` that they belong to; each of `n` places has one at least.
    #[track_caller]
    fn in_segments(
        &self,
        d: isize,
        places: &Tensor,
        n: usize,
        join: fn(&Tensor, &Tensor) -> Tensor,
    ) -> Tensor {
        let (sorted, order) = places.sort(d, false);
        let mut run = self.gather(d, &order);
        let count = run.size(d);
        // Runs of 1, 2, 4 … elements that end at each, as far as they belong to one place.
        let mut width = 1;
        while width < count {
            let same =
                sorted
                    .narrow(d, width, count - width)
                    .eq(&sorted.narrow(d, 0, count - width));
            let (head, tail) = (run.narrow(d, 0, width), run.narrow(d, width, count - width));
            let joined = join(&run.narrow(d, 0, count - width), &tail);
            run = Tensor::cat(&[&head, &Tensor::where_(&same, &joined, &tail)], d);
            width *= 2;
        }
        // The last of each run stands for it.
        let all = Tensor::arange(n, self.device());
        let mut rows = sorted.movedim(d, -1);
        let mut lead = rows.shape().to_vec();
        lead.pop();
        lead.push(n);
        let wanted = all.broadcast_to(&lead);
        if lead.len() == 1 {
            rows = rows.reshape_to(&[count]);
        }
        let last = rows.searchsorted(&wanted, true) - 1;
        run.movedim(d, -1).gather(-1, &last).movedim(-1, d)
    }
}
