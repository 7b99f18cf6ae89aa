//! Products beyond the matrix product: with sums, over chosen dimensions, of Kronecker and Vandermonde, cross products,
//! distances of all pairs, covariances.

use crate::error::ErrorKind;
use crate::in_f32;
use crate::shape::{broadcast, dim, dims};
use crate::tensor::Tensor;

/// `beta · x + alpha · product`; with `beta` 0 what `x` holds does not matter, as in PyTorch.
#[track_caller]
fn blended(x: &Tensor, product: &Tensor, beta: f64, alpha: f64) -> Tensor {
    let product = product.times(alpha);
    if beta == 0.0 {
        match broadcast(x.shape(), product.shape()) {
            Ok(shape) if x.check().is_ok() => product.broadcast_to(&shape),
            _ => x + &product,
        }
    } else {
        x.times(beta) + product
    }
}

impl Tensor {
    /// `beta · self + alpha · a · b` of matrices `a [n, k]` and `b [k, m]`; `self` broadcasts.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let (x, m) = (Tensor::new(&[1.0f32], &d), Tensor::new(&[2.0f32], &d).reshape(&[1, 1]));
    /// assert_eq!(x.addmm(&m, &m, 1.0, 0.5).to_vec::<f32>()?, [3.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn addmm(&self, a: &Tensor, b: &Tensor, beta: f64, alpha: f64) -> Tensor {
        in_f32!([self, a, b] => |x, a, b| x.addmm(a, b, beta, alpha));
        blended(self, &a.mm(b), beta, alpha)
    }

    /// `beta · self + alpha · a · v` of a matrix and a vector.
    #[track_caller]
    pub fn addmv(&self, a: &Tensor, v: &Tensor, beta: f64, alpha: f64) -> Tensor {
        in_f32!([self, a, v] => |x, a, v| x.addmv(a, v, beta, alpha));
        blended(self, &a.mv(v), beta, alpha)
    }

    /// `beta · self + alpha · u ⊗ v` of two vectors.
    #[track_caller]
    pub fn addr(&self, u: &Tensor, v: &Tensor, beta: f64, alpha: f64) -> Tensor {
        in_f32!([self, u, v] => |x, u, v| x.addr(u, v, beta, alpha));
        blended(self, &u.outer(v), beta, alpha)
    }

    /// `beta · self + alpha · a[i] · b[i]` for each matrix `i` of two batches.
    #[track_caller]
    pub fn baddbmm(&self, a: &Tensor, b: &Tensor, beta: f64, alpha: f64) -> Tensor {
        in_f32!([self, a, b] => |x, a, b| x.baddbmm(a, b, beta, alpha));
        blended(self, &a.bmm(b), beta, alpha)
    }

    /// `beta · self + alpha · Σ a[i] · b[i]` over the matrices of two batches.
    #[track_caller]
    pub fn addbmm(&self, a: &Tensor, b: &Tensor, beta: f64, alpha: f64) -> Tensor {
        in_f32!([self, a, b] => |x, a, b| x.addbmm(a, b, beta, alpha));
        blended(self, &a.bmm(b).sum_dims(&[0], false), beta, alpha)
    }

    /// The product of matrices in a row, in the order that multiplies least. The first and the last may be vectors.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let m = Tensor::new(&[1.0f32, 1.0, 0.0, 1.0], &Device::cpu()).reshape(&[2, 2]);
    /// assert_eq!(Tensor::multi_dot(&[&m, &m, &m]).to_vec::<f32>()?, [1.0, 3.0, 0.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn multi_dot(matrices: &[&Tensor]) -> Tensor {
        let [first, .., last] = matrices else {
            return match matrices {
                [one] => (*one).clone(),
                _ => Tensor::cat(&[], 0),
            };
        };
        let mut all: Vec<Tensor> = matrices.iter().map(|&t| t.clone()).collect();
        let end = all.len() - 1;
        if first.rank() == 1 {
            all[0] = first.unsqueeze(0);
        }
        if last.rank() == 1 {
            all[end] = last.unsqueeze(1);
        }
        if let Some(t) = all.iter().find(|t| t.rank() != 2) {
            return t.fail("multi_dot", "takes matrices");
        }
        let sizes: Vec<usize> = std::iter::once(all[0].shape()[0])
            .chain(all.iter().map(|t| t.shape()[1]))
            .collect();
        let out = chained(&all, &splits(&sizes), 0, end);
        let out = if first.rank() == 1 {
            out.squeeze(0)
        } else {
            out
        };
        if last.rank() == 1 {
            out.squeeze(-1)
        } else {
            out
        }
    }

    /// The product summed over the dimensions `over` of `self` and `others` of `other`, in pairs. PyTorch's `dims = n` is
    /// the last `n` of `self` with the first `n` of `other`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(6, &Device::cpu()).reshape(&[2, 3]).cast(wgrad_graph::DType::F32);
    /// assert_eq!(x.tensordot(&x, &[0, 1], &[0, 1]).item::<f32>()?, 55.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tensordot(&self, other: &Tensor, over: &[isize], others: &[isize]) -> Tensor {
        in_f32!([self, other] => |x, other| x.tensordot(other, over, others));
        let op = "tensordot";
        if self.check().is_err() || other.check().is_err() {
            return self.fail_with(other, op, "");
        }
        let absolute = |t: &Tensor, list: &[isize]| -> Result<Vec<usize>, String> {
            dims(list, t.rank())?;
            list.iter().map(|&d| dim(d, t.rank())).collect()
        };
        let (a, b) = match (absolute(self, over), absolute(other, others)) {
            (Ok(a), Ok(b)) if a.len() == b.len() => (a, b),
            (Err(m), _) | (_, Err(m)) => return self.fail(op, m),
            _ => return self.fail(op, format!("{over:?} and {others:?} are no pairs")),
        };
        // A size of 1 is stretched.
        let (mut x, mut y) = (self.clone(), other.clone());
        for (&i, &j) in a.iter().zip(&b) {
            match (x.shape()[i], y.shape()[j]) {
                (m, n) if m == n => {}
                (_, 1) => x = x.sum_dims(&[i as isize], true),
                (1, _) => y = y.sum_dims(&[j as isize], true),
                (m, n) => {
                    let m = format!("dimension {i} of size {m} against {j} of size {n}");
                    return self.fail(op, m);
                }
            }
        }
        let rest = |t: &Tensor, list: &[usize]| -> Vec<usize> {
            (0..t.rank()).filter(|d| !list.contains(d)).collect()
        };
        let (free_x, free_y) = (rest(&x, &a), rest(&y, &b));
        let sizes = |t: &Tensor, list: &[usize]| -> Vec<usize> {
            list.iter().map(|&d| t.shape()[d]).collect()
        };
        let (rows, columns, inner) = (sizes(&x, &free_x), sizes(&y, &free_y), sizes(&x, &a));
        let count = |list: &[usize]| crate::shape::numel(list);
        let left = x
            .permute_to(&[&free_x[..], &a[..]].concat())
            .reshape_to(&[count(&rows), count(&inner)]);
        let right = y
            .permute_to(&[&b[..], &free_y[..]].concat())
            .reshape_to(&[count(&inner), count(&columns)]);
        let product = left.matmul(&right);
        if product.check().is_err() {
            return product;
        }
        product.reshape_to(&[rows, columns].concat())
    }

    /// Products over the last dimension of both: `[…, n]` and `[…, n]` to all pairs of leading positions.
    #[track_caller]
    pub fn inner(&self, other: &Tensor) -> Tensor {
        if self.rank() == 0 || other.rank() == 0 {
            return self * other;
        }
        if self.size(-1) != other.size(-1) {
            let m = format!("last sizes {} and {}", self.size(-1), other.size(-1));
            return self.fail_with(other, "inner", m);
        }
        self.tensordot(other, &[-1], &[-1])
    }

    /// The Kronecker product: each element of `self` times the whole of `other`, as blocks.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let y = Tensor::new(&[1, 10], &d).kron(&Tensor::new(&[1, 2], &d));
    /// assert_eq!(y.to_vec::<i32>()?, [1, 2, 10, 20]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn kron(&self, other: &Tensor) -> Tensor {
        let rank = self.rank().max(other.rank());
        let full = |t: &Tensor| [&vec![1; rank - t.rank()][..], t.shape()].concat();
        let (a, b) = (full(self), full(other));
        let mix = |x: &[usize], ones_first: bool| -> Vec<usize> {
            let pair = |&n: &usize| if ones_first { [1, n] } else { [n, 1] };
            x.iter().flat_map(pair).collect()
        };
        let product = self.reshape_to(&mix(&a, false)) * other.reshape_to(&mix(&b, true));
        if product.check().is_err() {
            return product;
        }
        let sizes: Vec<usize> = a.iter().zip(&b).map(|(m, n)| m * n).collect();
        product.reshape_to(&sizes)
    }

    /// The cross product of vectors of 3 along `dim`; operands broadcast.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let (x, y) = (Tensor::new(&[1, 0, 0], &d), Tensor::new(&[0, 1, 0], &d));
    /// assert_eq!(x.cross(&y, -1).to_vec::<i32>()?, [0, 0, 1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cross(&self, other: &Tensor, along: isize) -> Tensor {
        in_f32!([self, other] => |x, other| x.cross(other, along));
        let shape = match broadcast(self.shape(), other.shape()) {
            Ok(shape) => shape,
            Err(m) => return self.fail_with(other, "cross", m),
        };
        let (a, b) = (self.broadcast_to(&shape), other.broadcast_to(&shape));
        if a.size(along) != 3 || a.rank() == 0 {
            let m = format!("dimension {along} of {shape:?} has not size 3");
            return self.fail_with(other, "cross", m);
        }
        let turned = |t: &Tensor, by: isize| t.roll(&[by], &[along]);
        turned(&a, -1) * turned(&b, -2) - turned(&a, -2) * turned(&b, -1)
    }

    /// Powers of a row: `[n]` to `[n, columns]`, falling unless `increasing`.
    #[track_caller]
    pub fn vander(&self, columns: Option<usize>, increasing: bool) -> Tensor {
        if self.rank() != 1 {
            return self.fail("vander", "takes a row");
        }
        let n = columns.unwrap_or(self.numel());
        let mut powers = vec![self.ones_like()];
        while powers.len() < n {
            let next = &powers[powers.len() - 1] * self;
            powers.push(next);
        }
        powers.truncate(n);
        if !increasing {
            powers.reverse();
        }
        if powers.is_empty() {
            return Tensor::zeros(&[self.numel(), 0], self.dtype(), self.device());
        }
        Tensor::stack(&powers.iter().collect::<Vec<_>>(), 1)
    }

    /// The p-norm of `self − other`, which broadcast, over all elements.
    #[track_caller]
    pub fn dist(&self, other: &Tensor, p: f64) -> Tensor {
        in_f32!([self, other] => |x, other| x.dist(other, p));
        let d = self - other;
        let all = d.every_dim();
        d.vector_norm(p, &all, false)
    }

    /// The p-norm distances of all pairs of rows: `[…, n, k]` and `[…, m, k]` to `[…, n, m]`; leading dimensions broadcast.
    /// The derivative is 0 where a distance is.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[0.0f32, 0.0, 3.0, 4.0], &Device::cpu()).reshape(&[2, 2]);
    /// assert_eq!(x.cdist(&x, 2.0).to_vec::<f32>()?, [0.0, 5.0, 5.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cdist(&self, other: &Tensor, p: f64) -> Tensor {
        in_f32!([self, other] => |x, other| x.cdist(other, p));
        if self.rank() < 2 || other.rank() < 2 || self.size(-1) != other.size(-1) {
            let m = format!("rows of {:?} and {:?}", self.shape(), other.shape());
            return self.fail_with(other, "cdist", m);
        }
        if p.is_nan() || p < 0.0 {
            let m = format!("the order {p} is negative");
            return self.fail_kind(ErrorKind::Value, "cdist", m);
        }
        let apart = self.unsqueeze(-2) - other.unsqueeze(-3);
        apart.vector_norm(p, &[-1], false)
    }

    /// The distances of [`cdist`](Tensor::cdist) of each pair of rows of a matrix once: `[n, k]` to `[n (n − 1) / 2]`.
    #[track_caller]
    pub fn pdist(&self, p: f64) -> Tensor {
        in_f32!([self] => |x| x.pdist(p));
        if self.rank() != 2 {
            return self.fail("pdist", "takes a matrix");
        }
        let n = self.shape()[0];
        let at = Tensor::triu_indices(n, n, 1, self.device());
        if at.check().is_err() {
            return at;
        }
        let row = |i: isize| self.index_select(0, &at.select(0, i));
        (row(0) - row(1)).vector_norm(p, &[-1], false)
    }

    /// The covariances of rows (variables) over columns (observations): `[n, m]` to `[n, n]`, a row to a number. The
    /// divisor is the sum of weights less `correction` (1 for the unbiased estimate). `fweights` repeat observations,
    /// `aweights` weigh them.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[0.0f32, 1.0, 2.0, 2.0, 1.0, 0.0], &Device::cpu()).reshape(&[2, 3]);
    /// assert_eq!(x.cov(1, None, None).to_vec::<f32>()?, [1.0, -1.0, -1.0, 1.0]);
    /// assert_eq!(x.corrcoef().to_vec::<f32>()?, [1.0, -1.0, -1.0, 1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cov(
        &self,
        correction: i32,
        fweights: Option<&Tensor>,
        aweights: Option<&Tensor>,
    ) -> Tensor {
        in_f32!([self, aweights] => |x, aweights| x.cov(correction, fweights, aweights.as_ref()));
        if self.rank() > 2 {
            return self.fail("cov", "takes at most two dimensions");
        }
        let x = self.to_float().atleast_2d();
        let m = x.shape().get(1).copied().unwrap_or(0);
        for w in fweights.iter().chain(&aweights) {
            if w.shape() != [m] {
                return w.fail("cov", format!("weights for {m} observations"));
            }
        }
        let weights = match (fweights, aweights) {
            (None, None) => None,
            (Some(f), None) => Some(f.to_float()),
            (None, Some(a)) => Some(a.to_float()),
            (Some(f), Some(a)) => Some(f.to_float() * a.to_float()),
        };
        let (mean, divisor) = match &weights {
            None => {
                let divisor = (m as f64 - f64::from(correction)).max(0.0);
                let one = Tensor::scalar(divisor, x.dtype(), x.device());
                (x.mean_dims(&[1], true), one)
            }
            Some(w) => {
                let sum = w.sum();
                let mean = (&x * w).sum_dims(&[1], true) / &sum;
                let less = match aweights {
                    Some(a) if correction != 0 => {
                        (w * a.to_float()).sum() / &sum * f64::from(correction)
                    }
                    _ => sum.full_like(f64::from(correction)),
                };
                (mean, (sum - less).clamp_min(0.0))
            }
        };
        let centred = &x - mean;
        let weighed = match &weights {
            Some(w) => &centred * w,
            None => centred.clone(),
        };
        let out = centred.matmul(&weighed.mt()) / divisor;
        if self.rank() < 2 {
            out.reshape(&[])
        } else {
            out
        }
    }

    /// The correlations of rows over columns, held between −1 and 1: `[n, m]` to `[n, n]`.
    #[track_caller]
    pub fn corrcoef(&self) -> Tensor {
        in_f32!([self] => |x| x.corrcoef());
        let c = self.cov(1, None, None);
        if c.rank() == 0 {
            let same = c.clone();
            return c / same;
        }
        let scale = c.diagonal(0, 0, 1).sqrt();
        (c / scale.unsqueeze(1) / scale.unsqueeze(0)).clamp(-1.0, 1.0)
    }

    /// Slices along `dim` whose p-norm exceeds `maxnorm` scaled down to it.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[3.0f32, 4.0, 0.3, 0.4], &Device::cpu()).reshape(&[2, 2]);
    /// let y = x.renorm(2.0, 0, 1.0).to_vec::<f32>()?;
    /// assert!((y[0] - 0.6).abs() < 1e-5 && y[2] == 0.3);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn renorm(&self, p: f64, along: isize, maxnorm: f64) -> Tensor {
        in_f32!([self] => |x| x.renorm(p, along, maxnorm));
        let d = match dim(along, self.rank()) {
            Ok(d) if self.rank() > 1 => d,
            Ok(_) => return self.fail("renorm", "needs at least two dimensions"),
            Err(m) => return self.fail("renorm", m),
        };
        let others: Vec<isize> = (0..self.rank())
            .filter(|&k| k != d)
            .map(|k| k as isize)
            .collect();
        let norm = self.vector_norm(p, &others, true);
        let over = norm.gt_scalar(maxnorm);
        // PyTorch's guard against 0.
        let factor = (norm + 1e-7).recip() * maxnorm;
        self * Tensor::where_(&over, &factor, &factor.ones_like())
    }
}

/// Where to split each product of matrices `i..=j` so that least is multiplied.
fn splits(sizes: &[usize]) -> Vec<Vec<usize>> {
    let n = sizes.len() - 1;
    let (mut cost, mut at) = (vec![vec![0u128; n]; n], vec![vec![0; n]; n]);
    for length in 2..=n {
        for i in 0..=n - length {
            let j = i + length - 1;
            let price = |k: usize| {
                let own = sizes[i] as u128 * sizes[k + 1] as u128 * sizes[j + 1] as u128;
                cost[i][k] + cost[k + 1][j] + own
            };
            let best = (i..j).min_by_key(|&k| price(k)).unwrap_or(i);
            let least = price(best);
            (cost[i][j], at[i][j]) = (least, best);
        }
    }
    at
}

#[track_caller]
fn chained(all: &[Tensor], at: &[Vec<usize>], i: usize, j: usize) -> Tensor {
    if i == j {
        return all[i].clone();
    }
    let k = at[i][j];
    chained(all, at, i, k).mm(&chained(all, at, k + 1, j))
}
