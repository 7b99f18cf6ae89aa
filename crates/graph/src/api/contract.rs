//! Matrix products: `matmul` in all of PyTorch's forms, its strict forms, and the linear map.

use crate::error::{Error, ErrorKind};
use crate::in_f32;
use crate::ops::matmul::Matmul;
use crate::shape::broadcast;
use crate::tensor::Tensor;

impl Tensor {
    /// The matrix product, in all of PyTorch's forms: vectors, matrices, and batches of them that broadcast. Integers
    /// are multiplied and summed element by element.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &d);
    /// let x = Tensor::new(&[1.0f32, 1.0], &d);
    /// assert_eq!(a.matmul(&x).to_vec::<f32>()?, [3.0, 7.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.matmul(other));
        // A closure has no caller: the place is taken here.
        let place = crate::place::of(std::panic::Location::caller());
        let invalid = |kind, m: String| {
            let e = Error::new(kind, "matmul", m)
                .with_operands(vec![
                    (self.shape().to_vec(), self.dtype()),
                    (other.shape().to_vec(), other.dtype()),
                ])
                .at(place);
            let e = self
                .0
                .error
                .clone()
                .or_else(|| other.0.error.clone())
                .unwrap_or(e);
            Tensor::invalid(e, &[], self.dtype(), self.device())
        };
        if self.rank() == 0 || other.rank() == 0 {
            return invalid(
                ErrorKind::Shape,
                "operands need at least one dimension".into(),
            );
        }
        let a = if self.rank() == 1 {
            self.unsqueeze(0)
        } else {
            self.clone()
        };
        let b = if other.rank() == 1 {
            other.unsqueeze(1)
        } else {
            other.clone()
        };
        let (ra, rb) = (a.rank(), b.rank());
        let lead = match broadcast(&a.shape()[..ra - 2], &b.shape()[..rb - 2]) {
            Ok(lead) => lead,
            Err(m) => return invalid(ErrorKind::Shape, m),
        };
        let Some(dtype) = a.dtype().promote(b.dtype()) else {
            let m = format!("{} and {} do not mix", a.dtype(), b.dtype());
            return invalid(ErrorKind::DType, m);
        };
        if a.size(-1) != b.size(-2) {
            let m = format!("rows of {} by columns of {}", a.size(-1), b.size(-2));
            return invalid(ErrorKind::Shape, m);
        }
        let whole = |t: &Tensor| {
            let mut to = lead.clone();
            to.extend(&t.shape()[t.rank() - 2..]);
            t.cast(dtype).broadcast_to(&to)
        };
        let out = if !dtype.is_float() {
            let products = whole(&a).unsqueeze(-1) * whole(&b).unsqueeze(-3);
            products.sum_dims(&[-2], false)
        } else if rb == 2 && ra > 2 {
            // One large product instead of a batch.
            let rows = crate::shape::numel(&a.shape()[..ra - 1]);
            let flat = a.cast(dtype).reshape_to(&[rows, a.shape()[ra - 1]]);
            let mut to = a.shape().to_vec();
            to[ra - 1] = b.shape()[1];
            Tensor::record(Matmul, &[&flat, &b.cast(dtype)]).reshape_to(&to)
        } else {
            Tensor::record(Matmul, &[&whole(&a), &whole(&b)])
        };
        let out = if self.rank() == 1 {
            out.squeeze(-2)
        } else {
            out
        };
        if other.rank() == 1 {
            out.squeeze(-1)
        } else {
            out
        }
    }

    /// `x · weightᵀ + bias`: `x [..., in]`, `weight [out, in]`, `bias [out]`. A weight `[in]` without
    /// bias, or with one of rank 0, gives `[...]`.
    #[track_caller]
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        in_f32!([self, weight, bias] => |x, weight, bias| x.linear(weight, bias.as_ref()));
        let y = match weight.rank() {
            1 => self.matmul(weight).under("linear", &[self, weight]),
            2 => self.matmul(&weight.t()).under("linear", &[self, weight]),
            _ => self.matmul(&weight.fail("linear", "the weight is not [out, in]")),
        };
        match bias {
            Some(b)
                if b.rank() > 1
                    || (b.rank() == 1 && weight.rank() == 2 && b.size(0) != weight.size(0)) =>
            {
                y.add(&b.fail(
                    "linear",
                    format!("the bias does not fit the weight {:?}", weight.shape()),
                ))
            }
            Some(b) => y.add(b),
            None => y,
        }
    }

    /// `self` if it has `rank` dimensions, else invalid.
    #[track_caller]
    fn of_rank(&self, rank: usize, op: &str) -> Tensor {
        if self.rank() == rank {
            self.clone()
        } else {
            self.fail(
                op,
                format!("an operand has rank {} instead of {rank}", self.rank()),
            )
        }
    }

    /// `a[i] · b[j]` of two vectors: `[n]` and `[m]` to `[n, m]`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1.0f32, 2.0], &Device::cpu());
    /// assert_eq!(x.outer(&x).to_vec::<f32>()?, [1.0, 2.0, 2.0, 4.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn outer(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.of_rank(1, "outer"), other.of_rank(1, "outer"));
        if a.check().is_err() || b.check().is_err() {
            return a.mul(&b);
        }
        a.unsqueeze(1).mul(&b.unsqueeze(0))
    }

    /// The scalar product of two vectors of one length.
    #[track_caller]
    pub fn dot(&self, other: &Tensor) -> Tensor {
        in_f32!([self, other] => |x, other| x.dot(other));
        let (a, b) = (self.of_rank(1, "dot"), other.of_rank(1, "dot"));
        if a.check().is_ok() && b.check().is_ok() && a.shape() != b.shape() {
            return a.fail(
                "dot",
                format!("the other vector has {} elements", b.numel()),
            );
        }
        a.mul(&b).sum()
    }

    /// Matrix `[n, m]` by vector `[m]`.
    #[track_caller]
    pub fn mv(&self, vector: &Tensor) -> Tensor {
        self.of_rank(2, "mv").matmul(&vector.of_rank(1, "mv"))
    }

    /// Matrix `[n, k]` by matrix `[k, m]`, without broadcasting.
    #[track_caller]
    pub fn mm(&self, other: &Tensor) -> Tensor {
        self.of_rank(2, "mm").matmul(&other.of_rank(2, "mm"))
    }

    /// A batch of products: `[batch, n, k]` by `[batch, k, m]`, without broadcasting.
    #[track_caller]
    pub fn bmm(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.of_rank(3, "bmm"), other.of_rank(3, "bmm"));
        if a.check().is_ok() && b.check().is_ok() && a.size(0) != b.size(0) {
            return a.fail("bmm", format!("the other batch has {} matrices", b.size(0)));
        }
        a.matmul(&b)
    }
}
