//! Fractional max pooling (Graham 2014): windows at places that are drawn, so that sizes shrink by any ratio. The draws are
//! the caller's.

use crate::dtype::DType;
use crate::shape::checked_numel;
use crate::tensor::Tensor;

impl Tensor {
    /// The greatest element of each of `output_size` windows of `kernel_size`, in `self [batch, channels, height, width]`.
    /// `samples [batch, channels, 2]`, uniform in [0, 1), say where the windows begin, of the width first: with
    /// `α = (n − k) / (out − 1)` window `i` begins at `⌊(i + u) α⌋ − ⌊u α⌋`, the last at `n − k`.
    ///
    /// ```
    /// # use wgrad_graph::{DType, Device, Generator, Tensor};
    /// let d = Device::cpu();
    /// let samples = Generator::new(0).uniform(&[1, 1, 2], &d);
    /// let y = Tensor::ones(&[1, 1, 7, 9], DType::F32, &d).fractional_max_pool2d([2, 2], [5, 6], &samples);
    /// assert_eq!(y.shape(), [1, 1, 5, 6]);
    /// ```
    #[track_caller]
    pub fn fractional_max_pool2d(
        &self,
        kernel_size: [usize; 2],
        output_size: [usize; 2],
        samples: &Tensor,
    ) -> Tensor {
        let op = "fractional_max_pool2d";
        let &[batch, channels, height, width] = self.shape() else {
            return self.fail(op, "takes [batch, channels, height, width]");
        };
        if samples.shape() != [batch, channels, 2] {
            let m = format!(
                "takes samples [{batch}, {channels}, 2], not {:?}",
                samples.shape()
            );
            return self.fail_with(samples, op, m);
        }
        let ([kh, kw], [oh, ow]) = (kernel_size, output_size);
        let fits = |k: usize, out: usize, n: usize| {
            k > 0 && out > 0 && k.checked_add(out).is_some_and(|sum| sum - 1 <= n)
        };
        if !fits(kh, oh, height) || !fits(kw, ow, width) {
            let m = format!("{output_size:?} windows of {kernel_size:?} do not fit");
            return self.fail(op, m);
        }
        let wide = [batch, channels, oh, ow, kh * kw];
        if checked_numel(&wide).is_none() {
            return self.fail(op, format!("windows of {kernel_size:?} are too large"));
        }
        let rows = places(&samples.select(2, 1), height, kh, oh);
        let columns = places(&samples.select(2, 0), width, kw, ow);
        // [batch, channels, oh, 1, kh, 1] and [batch, channels, 1, ow, 1, kw]
        let rows = rows.reshape_to(&[batch, channels, oh, 1, kh, 1]);
        let columns = columns.reshape_to(&[batch, channels, 1, ow, 1, kw]);
        let at = (rows * width as f64 + columns).reshape_to(&[batch, channels, oh * ow * kh * kw]);
        let taken = self.flatten(2, 3).gather(-1, &at).reshape_to(&wide);
        taken.max_dim(-1, false).0
    }
}

/// Positions (i32) `[batch, channels, out, k]` of the windows' elements along a dimension of `n`.
#[track_caller]
fn places(u: &Tensor, n: usize, k: usize, out: usize) -> Tensor {
    let alpha = (n - k) as f64 / (out.max(2) - 1) as f64;
    let step = Tensor::arange(out, u.device());
    let u = u.unsqueeze(-1);
    let start = ((&u + step.cast(DType::F32)) * alpha).floor() - (&u * alpha).floor();
    let last = step.eq_scalar((out - 1) as f64);
    let start = start.masked_fill(&last, (n - k) as f64).cast(DType::I32);
    start.unsqueeze(-1) + Tensor::arange(k, u.device())
}
