//! Shapes: reshape, permute, broadcast, slice, pad, concatenate.

use crate::ops::concat::Concat;
use crate::ops::expand::Expand;
use crate::ops::flip::Flip;
use crate::ops::pad::Pad;
use crate::ops::permute::Permute;
use crate::ops::reshape::Reshape;
use crate::ops::slice::Slice;
use crate::shape::{self, numel};
use crate::tensor::Tensor;

impl Tensor {
    /// The same elements in row-major order with new sizes; one size may be −1 and is inferred.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(6, &Device::cpu());
    /// assert_eq!(x.reshape(&[2, -1]).shape(), [2, 3]);
    /// ```
    #[track_caller]
    pub fn reshape(&self, sizes: &[isize]) -> Tensor {
        match infer(self.shape(), sizes) {
            Ok(shape) => self.reshape_to(&shape),
            Err(m) => self.fail("reshape", m),
        }
    }

    #[track_caller]
    pub(crate) fn reshape_to(&self, shape: &[usize]) -> Tensor {
        if shape == self.shape() {
            self.clone()
        } else {
            Tensor::record(
                Reshape {
                    shape: shape.to_vec(),
                },
                &[self],
            )
        }
    }

    /// Dimensions `start..=end` as one; both may count from the end.
    #[track_caller]
    pub fn flatten(&self, start: isize, end: isize) -> Tensor {
        let r = self.rank();
        match (shape::dim(start, r), shape::dim(end, r)) {
            _ if r == 0 => self.reshape_to(&[1]),
            (Ok(s), Ok(e)) if s <= e => {
                let mut to = self.shape()[..s].to_vec();
                to.push(numel(&self.shape()[s..=e]));
                to.extend(&self.shape()[e + 1..]);
                self.reshape_to(&to)
            }
            (Ok(_), Ok(_)) => self.fail("flatten", format!("dimension {start} comes after {end}")),
            (Err(m), _) | (_, Err(m)) => self.fail("flatten", m),
        }
    }

    /// Dimensions in another order; entries may count from the end.
    #[track_caller]
    pub fn permute(&self, dims: &[isize]) -> Tensor {
        match dims
            .iter()
            .map(|&d| shape::dim(d, self.rank()))
            .collect::<Result<Vec<_>, _>>()
        {
            Ok(perm) => self.permute_to(&perm),
            Err(m) => self.fail("permute", m),
        }
    }

    #[track_caller]
    pub(crate) fn permute_to(&self, perm: &[usize]) -> Tensor {
        Tensor::record(
            Permute {
                perm: perm.to_vec(),
            },
            &[self],
        )
    }

    /// Two dimensions exchanged.
    #[track_caller]
    pub fn transpose(&self, dim0: isize, dim1: isize) -> Tensor {
        let r = self.rank();
        match (shape::dim(dim0, r), shape::dim(dim1, r)) {
            _ if r == 0 => self.clone(),
            (Ok(a), Ok(b)) => {
                let mut perm: Vec<usize> = (0..r).collect();
                perm.swap(a, b);
                self.permute_to(&perm)
            }
            (Err(m), _) | (_, Err(m)) => self.fail("transpose", m),
        }
    }

    /// The last two dimensions exchanged.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        self.transpose(-2, -1)
    }

    #[track_caller]
    pub(crate) fn swap_last(&self) -> Tensor {
        self.transpose(-2, -1)
    }

    #[track_caller]
    pub(crate) fn expand_to(&self, shape: &[usize]) -> Tensor {
        if shape == self.shape() {
            self.clone()
        } else {
            Tensor::record(
                Expand {
                    shape: shape.to_vec(),
                },
                &[self],
            )
        }
    }

    /// Stretched to `shape` by NumPy's rule: aligned from the right, sizes of 1 repeat.
    #[track_caller]
    pub fn broadcast_to(&self, shape: &[usize]) -> Tensor {
        if shape == self.shape() {
            return self.clone();
        }
        if self.rank() > shape.len() {
            return self.fail(
                "broadcast_to",
                format!("rank {} does not broadcast to {shape:?}", self.rank()),
            );
        }
        let mut padded = vec![1; shape.len() - self.rank()];
        padded.extend(self.shape());
        self.reshape_to(&padded).expand_to(shape)
    }

    /// A new dimension of size 1 before `dim`.
    #[track_caller]
    pub fn unsqueeze(&self, dim: isize) -> Tensor {
        match shape::dim(dim, self.rank() + 1) {
            Ok(d) => {
                let mut to = self.shape().to_vec();
                to.insert(d, 1);
                self.reshape_to(&to)
            }
            Err(m) => self.fail("unsqueeze", m),
        }
    }

    /// Without dimension `dim` if its size is 1.
    #[track_caller]
    pub fn squeeze(&self, dim: isize) -> Tensor {
        match shape::dim(dim, self.rank()) {
            Ok(d) if self.shape().get(d) == Some(&1) => {
                let mut to = self.shape().to_vec();
                to.remove(d);
                self.reshape_to(&to)
            }
            Ok(_) => self.clone(),
            Err(m) => self.fail("squeeze", m),
        }
    }

    #[track_caller]
    pub(crate) fn slice_to(&self, start: &[usize], step: &[usize], size: &[usize]) -> Tensor {
        // The step of a single element does not matter, and may be absurd.
        let steps = step.iter().zip(size);
        let op = Slice {
            start: start.to_vec(),
            step: steps.map(|(&s, &n)| if n <= 1 { 1 } else { s }).collect(),
            size: size.to_vec(),
        };
        Tensor::record(op, &[self])
    }

    /// `length` elements of dimension `dim` from `start` on.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(5, &Device::cpu());
    /// assert_eq!(x.narrow(0, 1, 3).to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn narrow(&self, dim: isize, start: usize, length: usize) -> Tensor {
        match shape::dim(dim, self.rank()) {
            Ok(d) if d < self.rank() => {
                let mut first = vec![0; self.rank()];
                let mut size = self.shape().to_vec();
                if start.saturating_add(length) > size[d] {
                    return self.fail(
                        "narrow",
                        format!(
                            "{start} + {length} exceeds dimension {d} of size {}",
                            size[d]
                        ),
                    );
                }
                (first[d], size[d]) = (start, length);
                self.slice_to(&first, &vec![1; self.rank()], &size)
            }
            Ok(_) => self.fail("narrow", "a tensor of rank 0 has no dimension"),
            Err(m) => self.fail("narrow", m),
        }
    }

    /// Position `index` of dimension `dim`, which is dropped; the index may count from the end.
    #[track_caller]
    pub fn select(&self, dim: isize, index: isize) -> Tensor {
        let n = self.size(dim) as isize;
        let at = if index < 0 { index + n } else { index };
        if at < 0 || at >= n {
            return self.fail_kind(
                crate::error::ErrorKind::Index,
                "select",
                format!("index {index} lies outside dimension {dim} of size {n}"),
            );
        }
        self.narrow(dim, at as usize, 1).squeeze(dim)
    }

    /// Some dimensions in reverse order.
    #[track_caller]
    pub fn flip(&self, dims: &[isize]) -> Tensor {
        match shape::dims(dims, self.rank()) {
            Ok(dims) => self.flip_to(&dims),
            Err(m) => self.fail("flip", m),
        }
    }

    #[track_caller]
    pub(crate) fn flip_to(&self, dims: &[usize]) -> Tensor {
        Tensor::record(
            Flip {
                dims: dims.to_vec(),
                shape: self.shape().to_vec(),
            },
            &[self],
        )
    }

    #[track_caller]
    pub(crate) fn pad_to(&self, lo: &[usize], hi: &[usize], interior: &[usize]) -> Tensor {
        Tensor::record(
            Pad {
                lo: lo.to_vec(),
                hi: hi.to_vec(),
                interior: interior.to_vec(),
            },
            &[self],
        )
    }

    /// Tensors one after another along `dim`; they agree in all other sizes. Dtypes promote.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(2, &Device::cpu());
    /// assert_eq!(Tensor::cat(&[&x, &x], 0).to_vec::<i32>()?, [0, 1, 0, 1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// # Panics
    /// Never; of no tensors at all there is no device to return an error on, so at least one must be given by type:
    /// an empty slice yields an invalid tensor on the reference device.
    #[track_caller]
    pub fn cat(tensors: &[&Tensor], dim: isize) -> Tensor {
        // Vectors without elements join anything, as in PyTorch.
        let filled: Vec<&Tensor> = tensors
            .iter()
            .filter(|t| t.shape() != [0])
            .copied()
            .collect();
        let Some(first) = filled.first().or(tensors.first()) else {
            let e = crate::error::Error::new(
                crate::error::ErrorKind::Value,
                "cat",
                "needs at least one tensor",
            );
            return Tensor::invalid(e, &[], crate::DType::F32, &crate::Device::reference());
        };
        let dtype = tensors
            .iter()
            .try_fold(first.dtype(), |d, t| d.promote(t.dtype()));
        match (shape::dim(dim, first.rank()), dtype) {
            (Err(m), _) => first.fail("cat", m),
            (_, None) => first.fail_kind(
                crate::error::ErrorKind::DType,
                "cat",
                "the dtypes do not mix",
            ),
            (Ok(d), Some(dtype)) => {
                let joined = if first.shape() == [0] {
                    tensors
                } else {
                    &filled
                };
                let same: Vec<Tensor> = joined.iter().map(|t| t.cast(dtype)).collect();
                Tensor::concat_of(&same.iter().collect::<Vec<_>>(), d)
            }
        }
    }

    #[track_caller]
    pub(crate) fn concat_of(tensors: &[&Tensor], dim: usize) -> Tensor {
        let shapes = tensors.iter().map(|t| t.shape().to_vec()).collect();
        Tensor::record(Concat { dim, shapes }, tensors)
    }

    /// Tensors of one shape along a new dimension before `dim`.
    #[track_caller]
    pub fn stack(tensors: &[&Tensor], dim: isize) -> Tensor {
        let wide: Vec<Tensor> = tensors.iter().map(|t| t.unsqueeze(dim)).collect();
        Tensor::cat(&wide.iter().collect::<Vec<_>>(), dim)
    }
}

/// Resolves a −1 among the sizes.
fn infer(from: &[usize], sizes: &[isize]) -> Result<Vec<usize>, String> {
    let have = numel(from);
    let known = sizes
        .iter()
        .filter(|&&s| s != -1)
        .try_fold(1usize, |n, &s| n.checked_mul(usize::try_from(s).ok()?));
    let open = sizes.iter().filter(|&&s| s == -1).count();
    let fits = |n: usize| format!("{have} elements do not fill {sizes:?} (known sizes make {n})");
    let rest = match (known, open) {
        (None, _) => return Err(format!("sizes {sizes:?} are negative or overflow")),
        (Some(n), 0) if n == have => 0,
        (Some(n), 1) if n > 0 && have.is_multiple_of(n) => have / n,
        (Some(n), 0 | 1) => return Err(fits(n)),
        _ => return Err(format!("sizes {sizes:?} leave more than one open")),
    };
    Ok(sizes
        .iter()
        .map(|&s| if s == -1 { rest } else { s as usize })
        .collect())
}
