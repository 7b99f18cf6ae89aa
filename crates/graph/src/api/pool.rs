//! Pooling over the last one to three dimensions.

use crate::in_f32;
use crate::ops::window_argmax::WindowArgMax;
use crate::ops::window_sum::{Frame, WindowSum};
use crate::tensor::Tensor;

/// Arguments of pooling in `N` dimensions.
///
/// ```
/// use wgrad_graph::PoolOptions;
/// let halves = PoolOptions::<2>::new(2);
/// assert_eq!(halves.stride, [2, 2]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolOptions<const N: usize = 2> {
    /// Sizes of a window.
    pub kernel_size: [usize; N],
    /// Elements between neighbouring windows; the window's size.
    pub stride: [usize; N],
    /// Padding before and after, at most half a window; 0.
    pub padding: [usize; N],
    /// Elements between neighbouring taps, of maxima only; 1.
    pub dilation: [usize; N],
    /// Whether a last window that starts inside may reach beyond the padded end; no.
    pub ceil_mode: bool,
    /// Whether padding counts in the divisor of means; yes.
    pub count_include_pad: bool,
    /// The divisor of means, if not the number of elements; not 0.
    pub divisor_override: Option<isize>,
}

impl<const N: usize> PoolOptions<N> {
    /// Windows with equal sides, side by side.
    pub fn new(kernel_size: usize) -> Self {
        Self::windows([kernel_size; N])
    }

    /// Windows side by side.
    pub fn windows(kernel_size: [usize; N]) -> Self {
        PoolOptions {
            kernel_size,
            stride: kernel_size,
            padding: [0; N],
            dilation: [1; N],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }

    /// With another stride.
    pub fn stride(self, stride: [usize; N]) -> Self {
        PoolOptions { stride, ..self }
    }

    /// With padding.
    pub fn padding(self, padding: [usize; N]) -> Self {
        PoolOptions { padding, ..self }
    }

    /// With another dilation.
    pub fn dilation(self, dilation: [usize; N]) -> Self {
        PoolOptions { dilation, ..self }
    }

    /// With a last window that may reach beyond the end.
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        PoolOptions { ceil_mode, ..self }
    }

    /// With padding counted in the divisor of means or not.
    pub fn count_include_pad(self, count_include_pad: bool) -> Self {
        PoolOptions {
            count_include_pad,
            ..self
        }
    }

    /// With a divisor of means.
    pub fn divisor_override(self, divisor: isize) -> Self {
        PoolOptions {
            divisor_override: Some(divisor),
            ..self
        }
    }

    /// The windows over `x`, with as much padding at the end as the last one needs.
    pub(crate) fn frame(&self, x: &[usize]) -> Result<Frame, String> {
        if x.len() < N {
            return Err(format!("needs at least {N} dimensions, has {}", x.len()));
        }
        let mut padding = Vec::with_capacity(N);
        for d in 0..N {
            let (k, s, p) = (self.kernel_size[d], self.stride[d], self.padding[d]);
            if k == 0 || s == 0 || self.dilation[d] == 0 {
                return Err("kernel size, stride and dilation must be at least 1".into());
            }
            let span = (k - 1)
                .checked_mul(self.dilation[d])
                .and_then(|n| n.checked_add(1));
            let span = span
                .filter(|&n| n <= i32::MAX as usize)
                .ok_or("the window's size overflows")?;
            if p > span / 2 {
                return Err(format!("padding {p} exceeds half the window {span}"));
            }
            let n = x[x.len() - N + d];
            let padded = n.checked_add(2 * p).ok_or("the padded size overflows")?;
            let hi = if self.ceil_mode {
                // `⌈(padded − span) / stride⌉` windows after the first; the last must start inside the
                // input or the padding before it.
                let mut last = match padded.checked_sub(span) {
                    Some(room) => room
                        .div_ceil(s)
                        .checked_mul(s)
                        .ok_or("the size overflows")?,
                    None if span - padded < s => 0,
                    None => return Err(format!("a window covers {span} of {padded} elements")),
                };
                if last >= n + p {
                    last = last.saturating_sub(s);
                }
                last.saturating_add(span).saturating_sub(n + p)
            } else {
                p
            };
            padding.push((p, hi));
        }
        Ok(Frame {
            kernel: self.kernel_size.to_vec(),
            stride: self.stride.to_vec(),
            padding,
            dilation: self.dilation.to_vec(),
        })
    }

    /// How many elements the windows of one dimension count (i32), `out` of them over `n` elements:
    /// those inside, and the padding if asked for, never what `ceil_mode` adds.
    #[track_caller]
    fn counts(&self, like: &Tensor, d: usize, n: usize, out: usize) -> Tensor {
        let p = self.padding[d] as f64;
        let start = Tensor::arange(out, like.device()) * self.stride[d] as f64 - p;
        let end = &start + self.kernel_size[d] as f64;
        let (least, most) = if self.count_include_pad {
            (-p, n as f64 + p)
        } else {
            (0.0, n as f64)
        };
        end.minimum(&end.weak(most)) - start.maximum(&start.weak(least))
    }
}

/// Public methods, one for each number of dimensions.
macro_rules! by_dimension {
    ($($(#[$doc:meta])* $max:ident, $with:ident, $avg:ident, $lp:ident, $n:literal;)*) => {
        impl Tensor {
            $($(#[$doc])*
            #[track_caller]
            pub fn $max(&self, options: &PoolOptions<$n>) -> Tensor {
                self.max_pool(stringify!($max), options).0
            }

            /// The greatest elements, and their positions (i32) within the plane of the pooled dimensions.
            #[track_caller]
            pub fn $with(&self, options: &PoolOptions<$n>) -> (Tensor, Tensor) {
                self.max_pool(stringify!($with), options)
            }

            /// The mean of each window of the last dimensions; padding counts as zeros unless
            /// `count_include_pad` is off.
            #[track_caller]
            pub fn $avg(&self, options: &PoolOptions<$n>) -> Tensor {
                self.avg_pool(stringify!($avg), options)
            }

            /// `(Σ xᵖ)^(1/p)` over each window: the sum at `norm_type` 1. Padding and dilation do not apply.
            /// The derivative where the sum is 0 is 0.
            #[track_caller]
            pub fn $lp(&self, norm_type: f64, options: &PoolOptions<$n>) -> Tensor {
                self.lp_pool(stringify!($lp), norm_type, options)
            })*
        }
    };
}

by_dimension! {
    /// The greatest element of each window of the last dimension; NaN wins.
    max_pool1d, max_pool1d_with_indices, avg_pool1d, lp_pool1d, 1;
    /// The greatest element of each window of the last two dimensions; NaN wins.
    ///
    /// ```
    /// # use wgrad_graph::{Device, PoolOptions, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[1, 1, 2, 2], &Device::cpu());
    /// assert_eq!(x.max_pool2d(&PoolOptions::new(2)).item::<f32>()?, 4.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    max_pool2d, max_pool2d_with_indices, avg_pool2d, lp_pool2d, 2;
    /// The greatest element of each window of the last three dimensions; NaN wins.
    max_pool3d, max_pool3d_with_indices, avg_pool3d, lp_pool3d, 3;
}

impl Tensor {
    #[track_caller]
    pub(crate) fn max_pool<const N: usize>(
        &self,
        op: &str,
        options: &PoolOptions<N>,
    ) -> (Tensor, Tensor) {
        let frame = match options.frame(self.shape()) {
            Ok(frame) => frame,
            Err(m) => {
                let bad = self.fail(op, m);
                return (bad.clone(), bad);
            }
        };
        let at = Tensor::record(WindowArgMax { frame }, &[self]).under(op, &[self]);
        if at.check().is_err() {
            return (at.clone(), at);
        }
        let first = -(N as isize);
        let flat = self.flatten(first, -1);
        let values = flat.gather_at(self.rank() - N, &at.flatten(first, -1));
        (values.reshape_to(at.shape()), at)
    }

    #[track_caller]
    pub(crate) fn avg_pool<const N: usize>(&self, op: &str, options: &PoolOptions<N>) -> Tensor {
        in_f32!([self] => |x| x.avg_pool(op, options));
        if options.divisor_override == Some(0) {
            return self.fail(op, "the divisor must not be 0");
        }
        if options.dilation != [1; N] {
            return self.fail(op, "means take no dilation");
        }
        let frame = match options.frame(self.shape()) {
            Ok(frame) => frame,
            Err(m) => return self.fail(op, m),
        };
        let reaches = frame
            .padding
            .iter()
            .zip(&options.padding)
            .any(|(f, &p)| f.1 > p);
        let sum = Tensor::record(WindowSum { frame }, &[&self.to_float()]).under(op, &[self]);
        if sum.check().is_err() {
            return sum;
        }
        let padded = options.padding != [0; N];
        let even = !reaches && (options.count_include_pad || !padded);
        match options.divisor_override {
            Some(divisor) => sum / divisor as f64,
            None if even => {
                sum / options
                    .kernel_size
                    .iter()
                    .map(|&k| k as f64)
                    .product::<f64>()
            }
            None => {
                let lead = sum.rank() - N;
                (0..N).fold(sum.clone(), |y, d| {
                    let out = sum.shape()[lead + d];
                    let mut shape = vec![1; N];
                    shape[d] = out;
                    let counts = options.counts(&sum, d, self.shape()[lead + d], out);
                    y / counts.reshape_to(&shape).cast(sum.dtype())
                })
            }
        }
    }

    #[track_caller]
    fn lp_pool<const N: usize>(&self, op: &str, p: f64, options: &PoolOptions<N>) -> Tensor {
        in_f32!([self] => |x| x.lp_pool(op, p, options));
        let plain = PoolOptions {
            padding: [0; N],
            dilation: [1; N],
            count_include_pad: true,
            divisor_override: None,
            ..*options
        };
        if p == 0.0 || p.is_nan() {
            return self.fail(op, "norm_type must not be 0");
        }
        let n: f64 = options.kernel_size.iter().map(|&k| k as f64).product();
        let x = self.to_float();
        let sum = x.powf(p).avg_pool(op, &plain) * n;
        // The operand of the root is replaced at 0, so that no infinite slope meets the mask.
        let zero = sum.eq_scalar(0.0);
        let root = Tensor::where_(&zero, &sum.ones_like(), &sum).powf(1.0 / p);
        Tensor::where_(&zero, &sum.zeros_like(), &root)
    }
}
