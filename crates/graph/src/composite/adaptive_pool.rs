//! Adaptive pooling: windows `⌊i · n / out⌋ .. ⌈(i + 1) · n / out⌉` of the last dimensions, whatever their sizes.
//! Where they are all equal it is ordinary pooling; else the windows are gathered to one length and masked.

use crate::dtype::DType;
use crate::in_f32;
use crate::shape::numel;
use crate::tensor::Tensor;
use crate::{ErrorKind, PoolOptions};

/// Positions `[out · length]` (i32) of the windows' elements, and which of them count, `[out, length]`.
struct Windows {
    at: Tensor,
    inside: Tensor,
    counts: Vec<usize>,
    length: usize,
}

impl Windows {
    #[track_caller]
    fn new(n: usize, out: usize, like: &Tensor) -> Windows {
        let start = |i: usize| i * n / out;
        let counts: Vec<usize> = (0..out)
            .map(|i| ((i + 1) * n).div_ceil(out) - start(i))
            .collect();
        let length = counts.iter().copied().max().unwrap_or(0);
        let mut at = Vec::with_capacity(out * length);
        let mut inside = Vec::with_capacity(out * length);
        for (i, &count) in counts.iter().enumerate() {
            for j in 0..length {
                at.push((start(i) + j.min(count - 1)) as i32);
                inside.push(j < count);
            }
        }
        Windows {
            at: Tensor::new(&at, like.device()),
            inside: Tensor::from_slice(&inside, &[out, length], like.device()),
            counts,
            length,
        }
    }
}

macro_rules! by_dimension {
    ($($(#[$doc:meta])* $avg:ident, $max:ident, $n:literal;)*) => {
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $avg(&self, output_size: [Option<usize>; $n]) -> Tensor {
                self.adaptive_avg(stringify!($avg), output_size)
            }

            /// The greatest elements of adaptive windows, NaN first, and their positions (i32) within the
            /// plane of the pooled dimensions; `None` keeps a size.
            #[track_caller]
            pub fn $max(&self, output_size: [Option<usize>; $n]) -> (Tensor, Tensor) {
                self.adaptive_max(stringify!($max), output_size)
            }
            )*
        }
    };
}

by_dimension! {
    /// Means over adaptive windows of the last dimension, to `output_size`; `None` keeps the size.
    adaptive_avg_pool1d, adaptive_max_pool1d, 1;
    /// Means over adaptive windows of the last two dimensions, to `output_size`; `None` keeps a size.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[1, 1, 2, 2], &Device::cpu());
    /// let y = x.adaptive_avg_pool2d([Some(1), None]);
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 3.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    adaptive_avg_pool2d, adaptive_max_pool2d, 2;
    /// Means over adaptive windows of the last three dimensions, to `output_size`; `None` keeps a size.
    adaptive_avg_pool3d, adaptive_max_pool3d, 3;
}

impl Tensor {
    /// Sizes of the result's last dimensions.
    fn adaptive_sizes<const N: usize>(
        &self,
        output_size: [Option<usize>; N],
    ) -> Result<[usize; N], String> {
        if self.rank() < N {
            return Err(format!(
                "needs at least {N} dimensions, has {}",
                self.rank()
            ));
        }
        let from = &self.shape()[self.rank() - N..];
        if from.contains(&0) {
            return Err("pooled dimensions must not be empty".into());
        }
        let to: [usize; N] = std::array::from_fn(|d| output_size[d].unwrap_or(from[d]));
        let mut all = self.shape()[..self.rank() - N].to_vec();
        // Windows overlap by at most one element on either side.
        all.extend(
            to.iter()
                .zip(from)
                .map(|(&o, &n)| o.saturating_mul(n.div_ceil(o.max(1)) + 1)),
        );
        match crate::shape::checked_numel(&all) {
            Some(_) => Ok(to),
            None => Err(format!("an output of sizes {to:?} is too large")),
        }
    }

    /// Windows that tile the input evenly, if they do.
    fn adaptive_tiles<const N: usize>(&self, to: [usize; N]) -> Option<PoolOptions<N>> {
        let from = &self.shape()[self.rank() - N..];
        let even = (0..N).all(|d| to[d] > 0 && from[d].is_multiple_of(to[d]));
        even.then(|| PoolOptions::windows(std::array::from_fn(|d| from[d] / to[d])))
    }

    #[track_caller]
    fn adaptive_avg<const N: usize>(&self, op: &str, output_size: [Option<usize>; N]) -> Tensor {
        in_f32!([self] => |x| x.adaptive_avg(op, output_size));
        let to = match self.adaptive_sizes(output_size) {
            Ok(to) => to,
            Err(m) => return self.fail(op, m),
        };
        let x = self.to_float();
        if let Some(options) = self.adaptive_tiles(to) {
            let over: Vec<isize> = (1..=N as isize).map(|d| -d).collect();
            if to == [1; N] {
                return x.mean_dims(&over, true);
            }
            return x.avg_pool(op, &options);
        }
        (0..N).fold(x, |y, d| y.adaptive_mean(self.rank() - N + d, to[d]))
    }

    /// Means over adaptive windows of dimension `d`.
    #[track_caller]
    fn adaptive_mean(&self, d: usize, out: usize) -> Tensor {
        let n = self.shape()[d];
        let w = Windows::new(n, out, self);
        let rest = self.rank() - d - 1;
        let mut wide = self.shape().to_vec();
        wide.splice(d..=d, [out, w.length]);
        let thin =
            |t: &Tensor, sizes: &[usize]| t.reshape_to(&[sizes, vec![1; rest].as_slice()].concat());
        let taken = self.index_select(d as isize, &w.at).reshape_to(&wide);
        let inside = thin(&w.inside, &[out, w.length]);
        let sum =
            Tensor::where_(&inside, &taken, &taken.zeros_like()).sum_dims(&[d as isize + 1], false);
        let counts: Vec<f32> = w.counts.iter().map(|&c| c as f32).collect();
        sum / thin(&Tensor::new(&counts, self.device()), &[out]).cast(self.dtype())
    }

    #[track_caller]
    fn adaptive_max<const N: usize>(
        &self,
        op: &str,
        output_size: [Option<usize>; N],
    ) -> (Tensor, Tensor) {
        let bad = |t: Tensor| (t.clone(), t);
        let to = match self.adaptive_sizes(output_size) {
            Ok(to) => to,
            Err(m) => return bad(self.fail(op, m)),
        };
        if !self.dtype().is_float() {
            let m = format!("takes floats, not {}", self.dtype());
            return bad(self.fail_kind(ErrorKind::DType, op, m));
        }
        if let Some(options) = self.adaptive_tiles(to) {
            return self.max_pool(op, &options);
        }
        let lead = self.rank() - N;
        let from = &self.shape()[lead..];
        let windows: Vec<Windows> = (0..N).map(|d| Windows::new(from[d], to[d], self)).collect();
        // Positions in the plane and what counts, as [out…, length…].
        let mut at = Tensor::scalar(0.0, DType::I32, self.device());
        let mut inside = Tensor::scalar(1.0, DType::Bool, self.device());
        for (d, w) in windows.iter().enumerate() {
            let mut sizes = vec![1; 2 * N];
            (sizes[d], sizes[N + d]) = (to[d], w.length);
            let stride: usize = from[d + 1..].iter().product();
            at = at + w.at.reshape_to(&sizes) * stride as f64;
            inside = inside.logical_and(&w.inside.reshape_to(&sizes));
        }
        let cells = [numel(&to), windows.iter().map(|w| w.length).product()];
        let (at, inside) = (at.reshape_to(&cells), inside.reshape_to(&cells));
        let flat = self.flatten(-(N as isize), -1);
        let wide = [&self.shape()[..lead], &cells[..]].concat();
        let taken = flat.index_select(-1, &at.flatten(0, -1)).reshape_to(&wide);
        let least = taken.full_like(f64::NEG_INFINITY);
        let best = Tensor::where_(&inside, &taken, &least).argmax(-1, true);
        let index = at.broadcast_to(&wide).gather(-1, &best).squeeze(-1);
        let shape = [&self.shape()[..lead], &to[..]].concat();
        (
            flat.gather(-1, &index).reshape_to(&shape),
            index.reshape_to(&shape),
        )
    }
}
