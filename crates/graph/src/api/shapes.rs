//! Joining, splitting, turning and viewing as PyTorch's short names do. Nothing is computed but masks.

use crate::dtype::DType;
use crate::error::{Error, ErrorKind};
use crate::shape::{self, dim};
use crate::tensor::Tensor;

impl Tensor {
    /// With at least `n` dimensions: new ones come first, but for three a matrix gets the third last, a row one on
    /// each side (PyTorch's `atleast_1d`, `atleast_2d`, `atleast_3d`).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(3, &Device::cpu());
    /// assert_eq!(x.atleast_2d().shape(), [1, 3]);
    /// assert_eq!(x.atleast_3d().shape(), [1, 3, 1]);
    /// ```
    #[track_caller]
    pub fn atleast_1d(&self) -> Tensor {
        self.lifted()
    }

    /// See [`atleast_1d`](Tensor::atleast_1d).
    #[track_caller]
    pub fn atleast_2d(&self) -> Tensor {
        match self.rank() {
            0 => self.reshape_to(&[1, 1]),
            1 => self.unsqueeze(0),
            _ => self.clone(),
        }
    }

    /// See [`atleast_1d`](Tensor::atleast_1d).
    #[track_caller]
    pub fn atleast_3d(&self) -> Tensor {
        match self.rank() {
            0..=1 => self.atleast_2d().unsqueeze(-1),
            2 => self.unsqueeze(-1),
            _ => self.clone(),
        }
    }

    /// Joined along the second dimension, rows along their only one.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(2, &Device::cpu());
    /// assert_eq!(Tensor::hstack(&[&x, &x]).shape(), [4]);
    /// assert_eq!(Tensor::vstack(&[&x, &x]).shape(), [2, 2]);
    /// assert_eq!(Tensor::dstack(&[&x, &x]).shape(), [1, 2, 2]);
    /// assert_eq!(Tensor::column_stack(&[&x, &x]).shape(), [2, 2]);
    /// ```
    #[track_caller]
    pub fn hstack(tensors: &[&Tensor]) -> Tensor {
        let all = each(tensors, |t| t.atleast_1d());
        let along = all.first().map_or(0, |t| isize::from(t.rank() > 1));
        Tensor::cat(&all.iter().collect::<Vec<_>>(), along)
    }

    /// Joined along the first dimension, rows as matrices of one row; PyTorch's `row_stack` too.
    #[track_caller]
    pub fn vstack(tensors: &[&Tensor]) -> Tensor {
        let all = each(tensors, |t| t.atleast_2d());
        Tensor::cat(&all.iter().collect::<Vec<_>>(), 0)
    }

    /// Joined along the third dimension.
    #[track_caller]
    pub fn dstack(tensors: &[&Tensor]) -> Tensor {
        let all = each(tensors, |t| t.atleast_3d());
        Tensor::cat(&all.iter().collect::<Vec<_>>(), 2)
    }

    /// Joined along the second dimension, rows as columns.
    #[track_caller]
    pub fn column_stack(tensors: &[&Tensor]) -> Tensor {
        let column = |t: &Tensor| match t.rank() {
            0..=1 => t.reshape_to(&[t.numel(), 1]),
            _ => t.clone(),
        };
        let all = each(tensors, column);
        Tensor::cat(&all.iter().collect::<Vec<_>>(), 1)
    }

    /// `sections` parts along `dim`, of which the first ones are one longer where it does not divide.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let parts = Tensor::arange(5, &Device::cpu()).tensor_split(2, 0);
    /// assert_eq!(parts[0].to_vec::<i32>()?, [0, 1, 2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tensor_split(&self, sections: usize, along: isize) -> Vec<Tensor> {
        if sections == 0 {
            return vec![self.fail_kind(ErrorKind::Value, "tensor_split", "0 parts")];
        }
        let n = self.size(along);
        let sizes: Vec<usize> = (0..sections)
            .map(|i| n / sections + usize::from(i < n % sections))
            .collect();
        self.split(&sizes, along)
    }

    /// Parts along `dim` that begin at 0 and at each of `indices`, which count from the end where they are negative;
    /// what lies beyond is cut off.
    #[track_caller]
    pub fn tensor_split_at(&self, indices: &[isize], along: isize) -> Vec<Tensor> {
        let mut parts = Vec::with_capacity(indices.len() + 1);
        let mut start = 0;
        for &end in indices {
            parts.push(self.slice(along, Some(start), Some(end), 1));
            start = end;
        }
        parts.push(self.slice(along, Some(start), None, 1));
        parts
    }

    /// [`repeat`](Tensor::repeat) in which missing repeats are 1.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(2, &Device::cpu()).unsqueeze(0).tile(&[2]);
    /// assert_eq!(x.to_vec::<i32>()?, [0, 1, 0, 1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tile(&self, repeats: &[usize]) -> Tensor {
        let mut all = vec![1; self.rank().saturating_sub(repeats.len())];
        all.extend(repeats);
        self.repeat(&all)
    }

    /// Turned by `k` quarters from the first towards the second of two dimensions.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(4, &Device::cpu()).reshape(&[2, 2]);
    /// assert_eq!(x.rot90(1, [0, 1]).to_vec::<i32>()?, [1, 3, 0, 2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn rot90(&self, k: isize, dims: [isize; 2]) -> Tensor {
        let [a, b] = dims;
        match shape::dims(&dims, self.rank()) {
            Ok(list) if list.len() == 2 => {}
            Ok(_) => return self.fail("rot90", "needs two dimensions"),
            Err(m) => return self.fail("rot90", m),
        }
        match k.rem_euclid(4) {
            0 => self.clone(),
            1 => self.flip(&[b]).transpose(a, b),
            2 => self.flip(&dims),
            _ => self.flip(&[a]).transpose(a, b),
        }
    }

    /// Columns in reverse order.
    #[track_caller]
    pub fn fliplr(&self) -> Tensor {
        match self.rank() {
            0 | 1 => self.fail("fliplr", "needs at least two dimensions"),
            _ => self.flip(&[1]),
        }
    }

    /// Rows in reverse order.
    #[track_caller]
    pub fn flipud(&self) -> Tensor {
        match self.rank() {
            0 => self.fail("flipud", "needs at least one dimension"),
            _ => self.flip(&[0]),
        }
    }

    /// The last two dimensions exchanged, PyTorch's `mT`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// assert_eq!(Tensor::arange(6, &Device::cpu()).reshape(&[1, 2, 3]).mt().shape(), [1, 3, 2]);
    /// ```
    #[track_caller]
    pub fn mt(&self) -> Tensor {
        match self.rank() {
            0 | 1 => self.fail("mT", "needs at least two dimensions"),
            _ => self.transpose(-2, -1),
        }
    }

    /// Of a row, the matrix with it as diagonal; of a matrix, its diagonal.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let m = Tensor::new(&[1, 2], &Device::cpu()).diag(0);
    /// assert_eq!(m.to_vec::<i32>()?, [1, 0, 0, 2]);
    /// assert_eq!(m.diag(0).to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn diag(&self, offset: isize) -> Tensor {
        match self.rank() {
            1 => self.diag_embed(offset, -2, -1),
            2 => self.diagonal(offset, 0, 1),
            r => self.fail("diag", format!("takes a row or a matrix, not rank {r}")),
        }
    }

    /// The matrix with all elements as diagonal `offset`.
    #[track_caller]
    pub fn diagflat(&self, offset: isize) -> Tensor {
        self.along(None).0.diag_embed(offset, -2, -1)
    }

    /// Matrices along the diagonal of a matrix, 0 elsewhere; rows and numbers are matrices of one row.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let m = Tensor::block_diag(&[&Tensor::new(&[1, 2], &d), &Tensor::new(&[3], &d)]);
    /// assert_eq!(m.to_vec::<i32>()?, [1, 2, 0, 0, 0, 3]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn block_diag(tensors: &[&Tensor]) -> Tensor {
        let all = each(tensors, |t| t.atleast_2d());
        if let Some(t) = all.iter().find(|t| t.rank() != 2) {
            return t.fail("block_diag", "takes at most two dimensions");
        }
        let columns: usize = all.iter().map(|t| t.shape()[1]).sum();
        let mut before = 0;
        let mut bands = Vec::with_capacity(all.len());
        for t in &all {
            let after = columns - before - t.shape()[1];
            bands.push(t.pad_to(&[0, before], &[0, after], &[0, 0]));
            before += t.shape()[1];
        }
        Tensor::cat(&bands.iter().collect::<Vec<_>>(), 0)
    }

    /// Grids of coordinates from rows of them: `n` tensors of `n` dimensions. Matrix indexing (`"ij"`); with `xy` the
    /// first two dimensions are exchanged.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(2, &Device::cpu());
    /// let grid = Tensor::meshgrid(&[&x, &Tensor::arange(3, &Device::cpu())], false);
    /// assert_eq!(grid[0].to_vec::<i32>()?, [0, 0, 0, 1, 1, 1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn meshgrid(tensors: &[&Tensor], xy: bool) -> Vec<Tensor> {
        if let Some(t) = tensors.iter().find(|t| t.rank() > 1) {
            return vec![t.fail("meshgrid", "takes rows of coordinates")];
        }
        let sizes: Vec<usize> = tensors.iter().map(|t| t.numel()).collect();
        let mut all = Vec::with_capacity(sizes.len());
        for (d, t) in tensors.iter().enumerate() {
            let mut thin = vec![1; sizes.len()];
            thin[d] = sizes[d];
            let grid = t.reshape_to(&thin).expand_to(&sizes);
            let turn = xy && sizes.len() > 1;
            all.push(if turn { grid.transpose(0, 1) } else { grid });
        }
        all
    }

    /// All choices of one element from each row: `[n₁ · n₂ …, rows]`, or the row itself of one.
    #[track_caller]
    pub fn cartesian_prod(tensors: &[&Tensor]) -> Tensor {
        if let [one] = tensors {
            return (*one).clone();
        }
        let grid = Tensor::meshgrid(tensors, false);
        let flat = each(&grid.iter().collect::<Vec<_>>(), |t| t.along(None).0);
        Tensor::stack(&flat.iter().collect::<Vec<_>>(), 1)
    }

    /// All choices of `r` elements of a row, in order, without or with replacement: `[count, r]`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[5, 6, 7], &Device::cpu()).combinations(2, false);
    /// assert_eq!(x.to_vec::<i32>()?, [5, 6, 5, 7, 6, 7]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn combinations(&self, r: usize, with_replacement: bool) -> Tensor {
        if self.rank() != 1 {
            return self.fail("combinations", "takes a row");
        }
        let Some(list) = choices(self.numel(), r, with_replacement) else {
            return self.fail("combinations", "the result is too large");
        };
        let count = list.len().checked_div(r).unwrap_or(0);
        let index = Tensor::new(&list, self.device());
        let picked = self.index_select(0, &index);
        if picked.check().is_err() {
            return picked;
        }
        picked.reshape_to(&[count, r])
    }

    /// A view by sizes, strides and an offset into the elements in row-major order, PyTorch's `as_strided`; as elements
    /// may be taken several times, gradients add up.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(5, &Device::cpu()).as_strided(&[2, 3], &[1, 1], 1);
    /// assert_eq!(x.to_vec::<i32>()?, [1, 2, 3, 2, 3, 4]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn as_strided(&self, size: &[usize], stride: &[usize], offset: usize) -> Tensor {
        match self.strided_positions("as_strided", size, stride, offset) {
            Ok(index) => {
                let picked = self.along(None).0.index_select(0, &index);
                if picked.check().is_err() {
                    return picked;
                }
                picked.reshape_to(size)
            }
            Err(wrong) => wrong,
        }
    }

    /// Flat positions of a strided view.
    #[track_caller]
    pub(crate) fn strided_positions(
        &self,
        op: &str,
        size: &[usize],
        stride: &[usize],
        offset: usize,
    ) -> Result<Tensor, Tensor> {
        if size.len() != stride.len() || shape::checked_numel(size).is_none() {
            return Err(self.fail(op, format!("sizes {size:?} with strides {stride:?}")));
        }
        let reach = size.iter().zip(stride).try_fold(offset, |at, (&n, &s)| {
            at.checked_add(n.saturating_sub(1).checked_mul(s)?)
        });
        if shape::numel(size) > 0 && reach.is_none_or(|last| last >= self.numel()) {
            let m = format!("sizes {size:?} with strides {stride:?} from {offset} reach too far");
            return Err(self.fail_kind(ErrorKind::Index, op, m));
        }
        let mut at = Tensor::full(size, offset as f64, DType::I32, self.device());
        for (d, &s) in stride.iter().enumerate() {
            if shape::numel(size) > 0 && size[d] > 1 {
                at = at + Tensor::iota_along(size, d, self.device()) * s as f64;
            }
        }
        Ok(at.along(None).0)
    }

    /// Windows of `size` elements along `dim`, `step` apart, as a new last dimension (PyTorch's `Tensor.unfold`).
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(5, &Device::cpu()).unfold(0, 3, 2);
    /// assert_eq!(x.to_vec::<i32>()?, [0, 1, 2, 2, 3, 4]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn unfold(&self, along: isize, size: usize, step: usize) -> Tensor {
        let x = self.lifted();
        let d = match dim(along, x.rank()) {
            Ok(d) => d,
            Err(m) => return self.fail("unfold", m),
        };
        let n = x.shape().get(d).copied().unwrap_or(0);
        if step == 0 || size > n {
            let m = format!("windows of {size}, {step} apart, of dimension {d} of size {n}");
            return self.fail("unfold", m);
        }
        let count = (n - size) / step + 1;
        let start = Tensor::arange(count, self.device()).unsqueeze(1) * step as f64;
        let index = (start + Tensor::arange(size, self.device())).along(None).0;
        let picked = x.index_select(d as isize, &index);
        picked
            .unflatten(d as isize, &[count as isize, size as isize])
            .movedim(d as isize + 1, -1)
    }

    /// The sum over the dimensions that broadcasting from `shape` has added or stretched.
    #[track_caller]
    pub fn sum_to_size(&self, shape: &[usize]) -> Tensor {
        let Some(new) = self.rank().checked_sub(shape.len()) else {
            let m = format!("{:?} has fewer dimensions than {shape:?}", self.shape());
            return self.fail("sum_to_size", m);
        };
        let fits = (0..shape.len()).all(|d| shape[d] == 1 || shape[d] == self.shape()[new + d]);
        if !fits {
            let m = format!("{shape:?} does not broadcast to {:?}", self.shape());
            return self.fail("sum_to_size", m);
        }
        let over: Vec<isize> = (0..self.rank())
            .filter(|&d| d < new || (shape[d - new] == 1 && self.shape()[d] != 1))
            .map(|d| d as isize)
            .collect();
        let sum = self.sum_dims(&over, true);
        if sum.check().is_err() {
            return sum;
        }
        sum.reshape_to(shape)
    }
}

/// `f` of each tensor.
#[track_caller]
fn each(tensors: &[&Tensor], f: impl Fn(&Tensor) -> Tensor) -> Vec<Tensor> {
    if tensors.is_empty() {
        let e = Error::new(ErrorKind::Value, "stack", "needs at least one tensor");
        let device = crate::Device::reference();
        return vec![Tensor::invalid(e, &[], DType::F32, &device)];
    }
    tensors.iter().map(|t| f(t)).collect()
}

/// The positions of all choices of `r` of `n`, one after another; `None` if they are too many.
fn choices(n: usize, r: usize, again: bool) -> Option<Vec<i32>> {
    let (mut all, mut now) = (Vec::new(), Vec::<usize>::new());
    if r == 0 {
        return Some(all);
    }
    let mut next = 0;
    loop {
        if next < n && now.len() < r {
            now.push(next);
            if now.len() == r {
                all.extend(now.iter().map(|&i| i as i32));
                if all.len() > 1 << 28 {
                    return None;
                }
            }
            next = if again { next } else { next + 1 };
            if now.len() < r {
                continue;
            }
        }
        match now.pop() {
            Some(last) => next = last + 1,
            None => return Some(all),
        }
    }
}
