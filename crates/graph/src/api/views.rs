//! Rearrangements beyond reshape, permute and slice: diagonals, triangles, repetition, parts. Composed of movement
//! primitives, so nothing is computed but masks.

use crate::dtype::DType;
use crate::shape::{self, dim};
use crate::tensor::Tensor;

impl Tensor {
    /// Stretched to `sizes`: sizes of 1 repeat, −1 keeps a size, new dimensions come first.
    #[track_caller]
    pub fn expand(&self, sizes: &[isize]) -> Tensor {
        let Some(new) = sizes.len().checked_sub(self.rank()) else {
            return self.fail(
                "expand",
                format!("{sizes:?} has fewer dimensions than {:?}", self.shape()),
            );
        };
        let size = |i: usize| match sizes[i] {
            -1 if i >= new => Some(self.shape()[i - new]),
            n => usize::try_from(n).ok(),
        };
        match (0..sizes.len()).map(size).collect::<Option<Vec<_>>>() {
            Some(to) => self.broadcast_to(&to),
            None => self.fail("expand", format!("{sizes:?} leaves a size open")),
        }
    }

    /// Without the dimensions of `over` whose size is 1.
    #[track_caller]
    pub fn squeeze_dims(&self, over: &[isize]) -> Tensor {
        match shape::dims(over, self.rank()) {
            Ok(list) => {
                let thin = |d: &usize| list.contains(d) && self.shape()[*d] == 1;
                let kept = (0..self.rank())
                    .filter(|d| !thin(d))
                    .map(|d| self.shape()[d]);
                self.reshape_to(&kept.collect::<Vec<_>>())
            }
            Err(m) => self.fail("squeeze", m),
        }
    }

    /// Without all dimensions of size 1.
    #[track_caller]
    pub fn squeeze_all(&self) -> Tensor {
        self.squeeze_dims(&self.every_dim())
    }

    /// Dimension `dim` as several; one size may be −1.
    #[track_caller]
    pub fn unflatten(&self, along: isize, sizes: &[isize]) -> Tensor {
        match dim(along, self.rank()) {
            Ok(d) if d < self.rank() => {
                let of = |list: &[usize]| list.iter().map(|&n| n as isize).collect::<Vec<_>>();
                let (n, mut known) = (self.shape()[d], sizes.iter().filter(|&&s| s != -1));
                let known = known.try_fold(1usize, |p, &s| p.checked_mul(usize::try_from(s).ok()?));
                let open = sizes.iter().filter(|&&s| s == -1).count();
                let rest = match (known, open) {
                    (Some(p), 0) if p == n => 0,
                    (Some(p), 1) if p > 0 && n.is_multiple_of(p) => n / p,
                    _ => {
                        return self.fail(
                            "unflatten",
                            format!("size {n} is not the product of {sizes:?}"),
                        );
                    }
                };
                let middle = sizes
                    .iter()
                    .map(|&s| if s == -1 { rest as isize } else { s });
                let to = of(&self.shape()[..d])
                    .into_iter()
                    .chain(middle)
                    .chain(of(&self.shape()[d + 1..]));
                self.reshape(&to.collect::<Vec<_>>())
            }
            Ok(_) => self.fail("unflatten", "a tensor of rank 0 has no dimension"),
            Err(m) => self.fail("unflatten", m),
        }
    }

    /// Dimension `from` moved to place `to`, the others in their order.
    #[track_caller]
    pub fn movedim(&self, from: isize, to: isize) -> Tensor {
        let r = self.rank();
        match (dim(from, r), dim(to, r)) {
            _ if r == 0 => self.clone(),
            (Ok(a), Ok(b)) => {
                let mut perm: Vec<usize> = (0..r).filter(|&d| d != a).collect();
                perm.insert(b, a);
                self.permute_to(&perm)
            }
            (Err(m), _) | (_, Err(m)) => self.fail("movedim", m),
        }
    }

    /// Parts of the given sizes along `dim`; they add up to its size.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let parts = Tensor::arange(5, &Device::cpu()).split(&[2, 3], 0);
    /// assert_eq!(parts[1].to_vec::<i32>()?, [2, 3, 4]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn split(&self, sizes: &[usize], along: isize) -> Vec<Tensor> {
        let total = sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s));
        if self.rank() == 0 || dim(along, self.rank()).is_err() || total != Some(self.size(along)) {
            let m = format!("parts {sizes:?} of dimension {along} of {:?}", self.shape());
            return sizes
                .iter()
                .map(|_| self.fail("split", m.clone()))
                .collect();
        }
        let mut start = 0;
        let mut next = |&n: &usize| {
            start += n;
            (start - n, n)
        };
        let parts: Vec<_> = sizes.iter().map(&mut next).collect();
        parts
            .into_iter()
            .map(|(at, n)| self.narrow(along, at, n))
            .collect()
    }

    /// Parts of `size` along `dim`, the last one maybe smaller; one part if the dimension is empty.
    #[track_caller]
    pub fn split_size(&self, size: usize, along: isize) -> Vec<Tensor> {
        let n = self.size(along);
        if size == 0 && n > 0 {
            return vec![self.fail("split", "parts of size 0")];
        }
        let parts = n.div_ceil(size.max(1)).max(1);
        let sizes: Vec<usize> = (0..parts)
            .map(|i| size.min(n - (i * size).min(n)))
            .collect();
        self.split(&sizes, along)
    }

    /// At most `chunks` parts of equal size along `dim`, the last one maybe smaller.
    #[track_caller]
    pub fn chunk(&self, chunks: usize, along: isize) -> Vec<Tensor> {
        if chunks == 0 {
            return vec![self.fail("chunk", "0 parts")];
        }
        self.split_size(self.size(along).div_ceil(chunks).max(1), along)
    }

    /// The positions of dimension `dim`, each a tensor without it.
    #[track_caller]
    pub fn unbind(&self, along: isize) -> Vec<Tensor> {
        // No list would hide an error.
        if self.check().is_err() || self.rank() == 0 {
            return vec![self.fail("unbind", "needs a dimension")];
        }
        if let Err(m) = crate::shape::dim(along, self.rank()) {
            return vec![self.fail("unbind", m)];
        }
        let mut parts = Vec::with_capacity(self.size(along));
        for i in 0..self.size(along) {
            parts.push(self.select(along, i as isize));
        }
        parts
    }

    /// The tensor laid out `repeats[d]` times along each dimension; more repeats than dimensions add new ones in
    /// front.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1, 2], &Device::cpu()).repeat(&[2, 2]);
    /// assert_eq!((x.shape(), x.to_vec::<i32>()?), (&[2, 4][..], vec![1, 2, 1, 2, 1, 2, 1, 2]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn repeat(&self, repeats: &[usize]) -> Tensor {
        let Some(new) = repeats.len().checked_sub(self.rank()) else {
            let m = format!(
                "{} repeats for a tensor of rank {}",
                repeats.len(),
                self.rank()
            );
            return self.fail("repeat", m);
        };
        let size = |i: usize| if i < new { 1 } else { self.shape()[i - new] };
        let sizes = (0..repeats.len()).map(size);
        let thin: Vec<usize> = sizes.clone().flat_map(|n| [1, n]).collect();
        let wide: Vec<usize> = sizes
            .clone()
            .zip(repeats)
            .flat_map(|(n, &r)| [r, n])
            .collect();
        self.blocks(
            &thin,
            &wide,
            sizes.zip(repeats).map(|(n, &r)| n.checked_mul(r)),
            "repeat",
        )
    }

    /// Each element `repeats` times in a row along `dim`.
    #[track_caller]
    pub fn repeat_interleave(&self, repeats: usize, along: isize) -> Tensor {
        match dim(along, self.rank()) {
            Ok(_) if self.rank() == 0 => self.reshape_to(&[1]).repeat_interleave(repeats, 0),
            Ok(d) => {
                let mut thin = self.shape().to_vec();
                thin.insert(d + 1, 1);
                let mut wide = thin.clone();
                wide[d + 1] = repeats;
                let size = |i: usize| self.shape()[i].checked_mul(if i == d { repeats } else { 1 });
                self.blocks(
                    &thin,
                    &wide,
                    (0..self.rank()).map(size),
                    "repeat_interleave",
                )
            }
            Err(m) => self.fail("repeat_interleave", m),
        }
    }

    /// Element `i` along `dim`, `repeats[i]` times in a row.
    #[track_caller]
    pub fn repeat_interleave_each(&self, repeats: &[usize], along: isize) -> Tensor {
        if repeats.len() != self.size(along) || self.rank() == 0 {
            let m = format!(
                "{} repeats for dimension {along} of {:?}",
                repeats.len(),
                self.shape()
            );
            return self.fail("repeat_interleave", m);
        }
        let total = repeats.iter().fold(0usize, |n, &r| n.saturating_add(r));
        let mut sizes = self.shape().to_vec();
        sizes[dim(along, self.rank()).unwrap_or(0)] = total;
        if shape::checked_numel(&sizes).is_none() {
            return self.fail("repeat_interleave", "the result is too large");
        }
        let runs = repeats.iter().enumerate();
        let index: Vec<i32> = runs
            .flat_map(|(i, &n)| std::iter::repeat_n(i as i32, n))
            .collect();
        self.index_select(along, &Tensor::new(&index, self.device()))
    }

    /// Reshaped to `thin`, stretched to `wide`, and its dimensions merged to `sizes`.
    #[track_caller]
    fn blocks(
        &self,
        thin: &[usize],
        wide: &[usize],
        sizes: impl Iterator<Item = Option<usize>>,
        op: &str,
    ) -> Tensor {
        match sizes.collect::<Option<Vec<_>>>() {
            Some(sizes) if shape::checked_numel(&sizes).is_some() => {
                self.reshape_to(thin).expand_to(wide).reshape_to(&sizes)
            }
            _ => self.fail(op, "the result is too large"),
        }
    }

    /// The elements on and below a diagonal of the last two dimensions, 0 above; `diagonal` 1 is the one above the
    /// main.
    #[track_caller]
    pub fn tril(&self, diagonal: isize) -> Tensor {
        self.triangle("tril", diagonal, true)
    }

    /// The elements on and above a diagonal of the last two dimensions, 0 below.
    #[track_caller]
    pub fn triu(&self, diagonal: isize) -> Tensor {
        self.triangle("triu", diagonal, false)
    }

    #[track_caller]
    fn triangle(&self, op: &str, diagonal: isize, lower: bool) -> Tensor {
        if self.rank() < 2 {
            return self.fail(op, format!("a tensor of rank {} is no matrix", self.rank()));
        }
        let n = [self.size(-2), self.size(-1)];
        let limit = (n[0] + n[1]) as isize;
        let offset = diagonal.clamp(-limit, limit) as f64;
        let below =
            Tensor::iota_along(&n, 1, self.device()) - Tensor::iota_along(&n, 0, self.device());
        let kept = if lower {
            below.le_scalar(offset)
        } else {
            below.ge_scalar(offset)
        };
        Tensor::where_(&kept, self, &self.zeros_like())
    }

    /// The diagonal `offset` of the matrices in dimensions `dim1`, `dim2`, as a last dimension in their place;
    /// PyTorch's defaults are 0, 0, 1.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(6, &Device::cpu()).reshape(&[2, 3]);
    /// assert_eq!(x.diagonal(1, 0, 1).to_vec::<i32>()?, [1, 5]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn diagonal(&self, offset: isize, dim1: isize, dim2: isize) -> Tensor {
        let list = match shape::dims(&[dim1, dim2], self.rank()) {
            Ok(list) if list.len() == 2 && self.check().is_ok() => list,
            Ok(_) => return self.fail("diagonal", "a tensor of rank 0 is no matrix"),
            Err(m) => return self.fail("diagonal", m),
        };
        let (Ok(rows), Ok(columns)) = (dim(dim1, self.rank()), dim(dim2, self.rank())) else {
            return self.fail("diagonal", "no such dimensions");
        };
        let mut perm: Vec<usize> = (0..self.rank()).filter(|d| !list.contains(d)).collect();
        perm.extend([rows, columns]);
        let x = self.permute_to(&perm);
        let (below, above) = (offset.min(0).unsigned_abs(), offset.max(0).unsigned_abs());
        let n = x
            .size(-2)
            .saturating_sub(below)
            .min(x.size(-1).saturating_sub(above));
        let mut sizes = x.shape()[..x.rank() - 2].to_vec();
        if n == 0 {
            sizes.push(0);
            return x.narrow(-2, 0, 0).narrow(-1, 0, 0).reshape_to(&sizes);
        }
        let flat = x.narrow(-2, below, n).narrow(-1, above, n).flatten(-2, -1);
        let mut step = vec![1; flat.rank()];
        step[flat.rank() - 1] = n + 1;
        sizes.push(n);
        flat.slice_to(&vec![0; flat.rank()], &step, &sizes)
    }

    /// The last dimension as diagonal `offset` of matrices in the new dimensions `dim1`, `dim2`, 0 elsewhere;
    /// PyTorch's defaults are 0, −2, −1.
    #[track_caller]
    pub fn diag_embed(&self, offset: isize, dim1: isize, dim2: isize) -> Tensor {
        let r = self.rank() + 1;
        let (rows, columns) = match (dim(dim1, r), dim(dim2, r)) {
            (Ok(a), Ok(b)) if a != b && self.rank() > 0 => (a, b),
            (Ok(_), Ok(_)) => {
                return self.fail("diag_embed", "needs a dimension and two different new ones");
            }
            (Err(m), _) | (_, Err(m)) => return self.fail("diag_embed", m),
        };
        let (n, k) = (self.size(-1), offset.unsigned_abs());
        let square = n
            .checked_add(k)
            .and_then(|side| Some((side, side.checked_mul(side)?)));
        let Some((side, area)) = square.filter(|&(_, area)| area <= i32::MAX as usize) else {
            return self.fail("diag_embed", "the result is too large");
        };
        let mut sizes = self.shape().to_vec();
        sizes.pop();
        sizes.extend([side, side]);
        let matrix = if n == 0 {
            Tensor::zeros(&sizes, self.dtype(), self.device())
        } else {
            let first = if offset >= 0 { k } else { k * side };
            let last = |v: usize| {
                let mut list = vec![0; self.rank()];
                list[self.rank() - 1] = v;
                list
            };
            let rest = area - (first + (n - 1) * (side + 1) + 1);
            self.pad_to(&last(first), &last(rest), &last(side))
                .reshape_to(&sizes)
        };
        let mut perm: Vec<usize> = (0..r - 2).collect();
        let (low, high) = (rows.min(columns), rows.max(columns));
        let (at_low, at_high) = if rows < columns {
            (r - 2, r - 1)
        } else {
            (r - 1, r - 2)
        };
        perm.insert(low, at_low);
        perm.insert(high, at_high);
        matrix.permute_to(&perm)
    }

    /// The sum of the main diagonal of a matrix.
    #[track_caller]
    pub fn trace(&self) -> Tensor {
        if self.rank() != 2 {
            return self.fail(
                "trace",
                format!("a tensor of rank {} is no matrix", self.rank()),
            );
        }
        self.diagonal(0, 0, 1).sum()
    }

    /// `start, start + step, …` below `end` (above it, if `step` is negative), as f32.
    #[track_caller]
    pub fn arange_step(start: f64, end: f64, step: f64, device: &crate::Device) -> Tensor {
        let count = ((end - start) / step).ceil();
        let fits = step != 0.0 && count.is_finite() && count < f64::from(i32::MAX);
        if !fits {
            let m = format!("from {start} to {end} by {step}");
            let e = crate::Error::new(crate::ErrorKind::Value, "arange", m);
            return Tensor::invalid(e, &[], DType::F32, device);
        }
        Tensor::arange(count.max(0.0) as usize, device).cast(DType::F32) * step + start
    }

    /// `steps` numbers (f32) from `start` to `end`, both included, a constant distance apart.
    #[track_caller]
    pub fn linspace(start: f64, end: f64, steps: usize, device: &crate::Device) -> Tensor {
        let at = Tensor::arange(steps, device).cast(DType::F32);
        let step = if steps > 1 {
            (end - start) / (steps - 1) as f64
        } else {
            0.0
        };
        // Counted from the nearer end, so that both ends are exact.
        let from_end = (&at - steps.saturating_sub(1) as f64) * step + end;
        Tensor::where_(
            &at.lt_scalar(steps as f64 / 2.0),
            &(&at * step + start),
            &from_end,
        )
    }
}
