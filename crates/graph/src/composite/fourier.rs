//! Discrete Fourier transforms. Complex numbers are tensors whose last dimension has size 2, real and imaginary part
//! (PyTorch's `view_as_real`). A length is taken apart into its factors, each a small matrix product; one with a large
//! prime factor becomes a convolution of a power of 2 (Bluestein). So derivatives follow, of any order.

use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::in_f32;
use crate::shape::dim;
use crate::tensor::Tensor;
use std::f64::consts::PI;

/// Where a transform is divided by its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FftNorm {
    /// The inverse is.
    #[default]
    Backward,
    /// Both are, by the root.
    Ortho,
    /// The forward transform is.
    Forward,
}

impl FftNorm {
    fn factor(self, n: usize, inverse: bool) -> f64 {
        match (self, inverse) {
            (FftNorm::Ortho, _) => (n as f64).sqrt().recip(),
            (FftNorm::Backward, true) | (FftNorm::Forward, false) => (n as f64).recip(),
            _ => 1.0,
        }
    }
}

/// Factors up to this one are computed as one matrix product.
const RADIX: usize = 64;

/// Real and imaginary part, of one shape; the transformed dimension is the last.
#[derive(Clone)]
struct Complex {
    re: Tensor,
    im: Tensor,
}

impl Complex {
    #[track_caller]
    fn times(&self, other: &Complex) -> Complex {
        Complex {
            re: &self.re * &other.re - &self.im * &other.im,
            im: &self.re * &other.im + &self.im * &other.re,
        }
    }

    #[track_caller]
    fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Complex {
        Complex {
            re: f(&self.re),
            im: f(&self.im),
        }
    }

    /// `exp(i · angle(k))` for each element of a shape, rounded once.
    #[track_caller]
    fn turns(shape: &[usize], like: &Tensor, angle: impl Fn(usize) -> f64) -> Complex {
        let n = crate::shape::numel(shape);
        let of = |f: fn(f64) -> f64| {
            let list: Vec<f32> = (0..n).map(|k| tidied(f(angle(k))) as f32).collect();
            Tensor::from_slice(&list, shape, like.device())
        };
        Complex {
            re: of(f64::cos),
            im: of(f64::sin),
        }
    }

    /// The product with a matrix of complex numbers from the right.
    #[track_caller]
    fn matmul(&self, m: &Complex) -> Complex {
        Complex {
            re: self.re.matmul(&m.re) - self.im.matmul(&m.im),
            im: self.re.matmul(&m.im) + self.im.matmul(&m.re),
        }
    }

    /// The transform along the last dimension, of size `n`, not scaled. `sign` −1 is forward.
    #[track_caller]
    fn transform(&self, n: usize, sign: f64) -> Complex {
        if n <= RADIX {
            let m = Complex::turns(&[n, n], &self.re, |k| {
                // Turns beyond the first are left out, for accuracy.
                sign * 2.0 * PI * ((k / n * (k % n)) % n) as f64 / n as f64
            });
            return self.matmul(&m);
        }
        let Some(a) = (2..=RADIX).rev().find(|a| n.is_multiple_of(*a)) else {
            return self.bluestein(n, sign);
        };
        let b = n / a;
        let lead = self.re.shape()[..self.re.rank() - 1].to_vec();
        // Element j = j₁ b + j₂; over j₁ first: the result's position is k = k₁ + a k₂.
        let split = self.map(|t| t.reshape_to(&[&lead[..], &[a, b]].concat()).swap_last());
        let first = split.transform(a, sign);
        let twiddle = Complex::turns(&[b, a], &self.re, |k| {
            sign * 2.0 * PI * ((k / a * (k % a)) % n) as f64 / n as f64
        });
        let turned = first.times(&twiddle).map(Tensor::swap_last);
        let second = turned.transform(b, sign);
        second.map(|t| t.swap_last().reshape_to(&[&lead[..], &[n]].concat()))
    }

    /// A transform of any length as a convolution, computed by transforms of a power of 2.
    #[track_caller]
    fn bluestein(&self, n: usize, sign: f64) -> Complex {
        let size = (2 * n - 1).next_power_of_two();
        // k² modulo 2n, exactly.
        let chirp = |k: usize| PI * ((k as u128 * k as u128) % (2 * n as u128)) as f64 / n as f64;
        let forward = Complex::turns(&[n], &self.re, |k| sign * chirp(k));
        let wide = |t: &Tensor| {
            let mut rest = vec![0; t.rank()];
            let none = rest.clone();
            rest[t.rank() - 1] = size - n;
            t.pad_to(&none, &rest, &none)
        };
        let x = self.times(&forward).map(wide).transform(size, -1.0);
        let kernel = Complex::turns(&[size], &self.re, |k| {
            let k = if k < n { k } else { size - k };
            if k < n { -sign * chirp(k) } else { 0.0 }
        });
        let gap = size - (2 * n - 1);
        let kernel = if gap == 0 {
            kernel
        } else {
            let zeros = |t: &Tensor| {
                let (a, b) = (t.narrow(-1, 0, n), t.narrow(-1, size - n + 1, n - 1));
                let middle = Tensor::zeros(&[gap], t.dtype(), t.device());
                Tensor::cat(&[&a, &middle, &b], -1)
            };
            kernel.map(zeros)
        };
        let product = x.times(&kernel.transform(size, -1.0));
        let back = product.transform(size, 1.0);
        let part = back.map(|t| t.narrow(-1, 0, n) / size as f64);
        part.times(&forward)
    }

    #[track_caller]
    fn joined(&self) -> Tensor {
        Tensor::stack(&[&self.re, &self.im], -1)
    }
}

impl Tensor {
    /// An absolute dimension of `rank`, and the length asked for there.
    fn fft_place(
        &self,
        rank: usize,
        along: isize,
        n: Option<usize>,
    ) -> Result<(usize, usize), String> {
        let d = match dim(along, rank) {
            Ok(d) if d < rank => d,
            Ok(_) => return Err("needs at least one dimension".into()),
            Err(m) => return Err(m),
        };
        match n.unwrap_or(self.shape().get(d).copied().unwrap_or(0)) {
            0 => Err(format!("a transform of length 0 along dimension {d}")),
            n => Ok((d, n)),
        }
    }

    /// Cut or filled with zeros to size `n` of an absolute dimension, which then is the last.
    #[track_caller]
    fn fft_ready(&self, d: usize, n: usize) -> Tensor {
        let have = self.shape()[d];
        let x = if have > n {
            self.narrow(d as isize, 0, n)
        } else if have < n {
            let mut rest = vec![0; self.rank()];
            let none = rest.clone();
            rest[d] = n - have;
            self.pad_to(&none, &rest, &none)
        } else {
            self.clone()
        };
        x.movedim(d as isize, -1)
    }

    /// The parts of complex numbers, or why this does not hold any.
    #[track_caller]
    fn parts(&self, op: &str) -> Result<Complex, Tensor> {
        if self.check().is_err() {
            return Err(self.clone());
        }
        if self.rank() < 2 || self.size(-1) != 2 || !self.dtype().is_float() {
            let m = "takes complex numbers: floats whose last dimension has size 2";
            return Err(self.fail(op, m));
        }
        Ok(Complex {
            re: self.select(-1, 0),
            im: self.select(-1, 1),
        })
    }

    #[track_caller]
    fn complex_fft(
        &self,
        op: &str,
        n: Option<usize>,
        along: isize,
        norm: FftNorm,
        inverse: bool,
    ) -> Tensor {
        let x = match self.parts(op) {
            Ok(x) => x,
            Err(wrong) => return wrong,
        };
        let (d, n) = match self.fft_place(self.rank() - 1, along, n) {
            Ok(place) => place,
            Err(m) => return self.fail(op, m),
        };
        let sign = if inverse { 1.0 } else { -1.0 };
        let y = x.map(|t| t.fft_ready(d, n)).transform(n, sign);
        let factor = norm.factor(n, inverse);
        y.map(|t| t.times(factor).movedim(-1, d as isize)).joined()
    }

    /// The Fourier transform along `dim` of complex numbers `[…, 2]`; `dim` counts the dimensions but that of the parts.
    /// Cut or filled with zeros to length `n`, if it is given.
    ///
    /// ```
    /// # use wgrad_graph::{Device, FftNorm, Tensor};
    /// let x = Tensor::new(&[1.0f32, 0.0, 0.0, 1.0], &Device::cpu()).reshape(&[2, 2]); // 1, i
    /// let y = x.fft(None, -1, FftNorm::Backward);
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 1.0, 1.0, -1.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn fft(&self, n: Option<usize>, along: isize, norm: FftNorm) -> Tensor {
        in_f32!([self] => |x| x.fft(n, along, norm));
        self.complex_fft("fft", n, along, norm, false)
    }

    /// The inverse of [`fft`](Tensor::fft).
    #[track_caller]
    pub fn ifft(&self, n: Option<usize>, along: isize, norm: FftNorm) -> Tensor {
        in_f32!([self] => |x| x.ifft(n, along, norm));
        self.complex_fft("ifft", n, along, norm, true)
    }

    /// The Fourier transform along `dim` of real numbers: the first half, `n / 2 + 1` complex numbers (`[…, 2]`), of
    /// which the others are the mirror image.
    ///
    /// ```
    /// # use wgrad_graph::{Device, FftNorm, Tensor};
    /// let x = Tensor::new(&[1.0f32, 2.0, 3.0, 4.0], &Device::cpu());
    /// let y = x.rfft(None, -1, FftNorm::Backward);
    /// assert_eq!(y.shape(), [3, 2]);
    /// let back = y.irfft(Some(4), -1, FftNorm::Backward);
    /// assert!(back.allclose(&x, 1e-5, 1e-6, false)?);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn rfft(&self, n: Option<usize>, along: isize, norm: FftNorm) -> Tensor {
        in_f32!([self] => |x| x.rfft(n, along, norm));
        let (d, n) = match self.fft_place(self.rank(), along, n) {
            Ok(place) => place,
            Err(m) => return self.fail("rfft", m),
        };
        if self.check().is_err() {
            return self.clone();
        }
        let re = self.to_float().fft_ready(d, n);
        let im = re.zeros_like();
        let y = Complex { re, im }.transform(n, -1.0);
        let factor = norm.factor(n, false);
        let half = |t: &Tensor| {
            let t = t.narrow(-1, 0, n / 2 + 1).times(factor);
            t.movedim(-1, d as isize)
        };
        y.map(half).joined()
    }

    /// The inverse of [`rfft`](Tensor::rfft): `n` real numbers, `2 (m − 1)` from `m` if it is not given. Imaginary parts that
    /// real numbers would not have do not count.
    #[track_caller]
    pub fn irfft(&self, n: Option<usize>, along: isize, norm: FftNorm) -> Tensor {
        in_f32!([self] => |x| x.irfft(n, along, norm));
        let x = match self.parts("irfft") {
            Ok(x) => x,
            Err(wrong) => return wrong,
        };
        let have = x.re.size(along);
        let n = n.unwrap_or(have.saturating_sub(1) * 2);
        let (d, n) = match self.fft_place(self.rank() - 1, along, Some(n)) {
            Ok(place) => place,
            Err(m) => return self.fail("irfft", m),
        };
        let half = x.map(|t| t.fft_ready(d, n / 2 + 1));
        // The mirror image of what lies strictly between the first and the middle.
        let rest = n - (n / 2 + 1);
        let mirror = |t: &Tensor| t.narrow(-1, 1, rest).flip(&[-1]);
        let edges = |t: &Tensor| {
            let at = Tensor::arange(n / 2 + 1, t.device());
            let real = at.eq_scalar(0.0).logical_or(&at.eq_scalar(n as f64 / 2.0));
            t.masked_fill(&real, 0.0)
        };
        let im = edges(&half.im);
        let (re, im) = match rest {
            0 => (half.re, im),
            _ => (
                Tensor::cat(&[&half.re, &mirror(&half.re)], -1),
                Tensor::cat(&[&im, &-mirror(&im)], -1),
            ),
        };
        let y = Complex { re, im }.transform(n, 1.0).re;
        y.times(norm.factor(n, true)).movedim(-1, d as isize)
    }

    /// [`fft`](Tensor::fft) along several dimensions, each of its own length.
    ///
    /// ```
    /// # use wgrad_graph::{Device, FftNorm, Tensor};
    /// let x = Tensor::new(&[1.0f32, 0.0, 2.0, 0.0], &Device::cpu()).reshape(&[2, 1, 2]);
    /// let y = x.fftn(&[-2, -1], FftNorm::Backward);
    /// assert_eq!(y.to_vec::<f32>()?, [3.0, 0.0, -1.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn fftn(&self, dims: &[isize], norm: FftNorm) -> Tensor {
        let mut x = self.clone();
        for &d in dims {
            x = x.fft(None, d, norm);
        }
        x
    }

    /// The inverse of [`fftn`](Tensor::fftn).
    #[track_caller]
    pub fn ifftn(&self, dims: &[isize], norm: FftNorm) -> Tensor {
        let mut x = self.clone();
        for &d in dims {
            x = x.ifft(None, d, norm);
        }
        x
    }

    /// [`rfft`](Tensor::rfft) along the last of several dimensions, then [`fft`](Tensor::fft) along the others.
    #[track_caller]
    pub fn rfftn(&self, dims: &[isize], norm: FftNorm) -> Tensor {
        let Some((&last, others)) = dims.split_last() else {
            return self.fail("rfftn", "needs at least one dimension");
        };
        self.rfft(None, last, norm).fftn(others, norm)
    }

    /// The inverse of [`rfftn`](Tensor::rfftn); `n` is the length of the last dimension.
    #[track_caller]
    pub fn irfftn(&self, n: Option<usize>, dims: &[isize], norm: FftNorm) -> Tensor {
        let Some((&last, others)) = dims.split_last() else {
            return self.fail("irfftn", "needs at least one dimension");
        };
        self.ifftn(others, norm).irfft(n, last, norm)
    }

    /// Fourier transforms of windows of `n_fft` samples, `hop` apart: `[…, samples]` to `[…, frequencies, frames, 2]`, with
    /// `n_fft / 2 + 1` frequencies. `window [≤ n_fft]` is centred; with `center` the signal is reflected by half a window
    /// at both ends.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::arange(16, &d).cast(wgrad_graph::DType::F32);
    /// let window = Tensor::hann_window(8, true, &d);
    /// let y = x.stft(8, 4, Some(&window), true, false);
    /// assert_eq!(y.shape(), [5, 5, 2]);
    /// let back = y.istft(8, 4, Some(&window), true, false, Some(16));
    /// assert!(back.allclose(&x, 1e-4, 1e-4, false)?);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn stft(
        &self,
        n_fft: usize,
        hop: usize,
        window: Option<&Tensor>,
        center: bool,
        normalized: bool,
    ) -> Tensor {
        let op = "stft";
        in_f32!([self, window] => |x, window| x.stft(n_fft, hop, window.as_ref(), center, normalized));
        if !(1..=2).contains(&self.rank()) || n_fft == 0 || hop == 0 {
            let m = format!("windows of {n_fft}, {hop} apart, of {:?}", self.shape());
            return self.fail(op, m);
        }
        let half = (n_fft / 2) as isize;
        let x = self.to_float();
        let x = if center {
            let two = x.reshape(&[-1, 1, x.size(-1) as isize]);
            let padded = two.pad(&[half, half], crate::PadMode::Reflect);
            if padded.check().is_err() {
                return padded;
            }
            let lead: Vec<usize> = x.shape()[..x.rank() - 1].to_vec();
            padded.reshape_to(&[&lead[..], &[padded.size(-1)]].concat())
        } else {
            x
        };
        let window = match x.full_window(op, n_fft, window) {
            Ok(w) => w,
            Err(wrong) => return wrong,
        };
        let norm = if normalized {
            FftNorm::Ortho
        } else {
            FftNorm::Backward
        };
        let frames = x.unfold(-1, n_fft, hop) * window;
        frames.rfft(None, -1, norm).transpose(-2, -3)
    }

    /// The signal of [`stft`](Tensor::stft): windows are added where they overlap and divided by the sum of their
    /// squares. `length` cuts or fills the result.
    #[track_caller]
    pub fn istft(
        &self,
        n_fft: usize,
        hop: usize,
        window: Option<&Tensor>,
        center: bool,
        normalized: bool,
        length: Option<usize>,
    ) -> Tensor {
        let op = "istft";
        in_f32!([self, window] => |x, window| {
            x.istft(n_fft, hop, window.as_ref(), center, normalized, length)
        });
        let fits = (3..=4).contains(&self.rank())
            && self.size(-1) == 2
            && n_fft > 0
            && (1..=n_fft).contains(&hop)
            && self.size(-3) == n_fft / 2 + 1
            && self.size(-2) > 0;
        if !fits {
            let m = format!(
                "spectra {:?} of windows of {n_fft}, {hop} apart",
                self.shape()
            );
            return self.fail(op, m);
        }
        let window = match self.full_window(op, n_fft, window) {
            Ok(w) => w,
            Err(wrong) => return wrong,
        };
        let frames = self.size(-2);
        let norm = if normalized {
            FftNorm::Ortho
        } else {
            FftNorm::Backward
        };
        let pieces = self.transpose(-2, -3).irfft(Some(n_fft), -1, norm) * &window;
        let total = n_fft + hop * (frames - 1);
        let start = Tensor::arange(frames, self.device()).unsqueeze(1) * hop as f64;
        let at = (start + Tensor::arange(n_fft, self.device())).along(None).0;
        let flat = pieces.flatten(-2, -1);
        let place = at.broadcast_to(flat.shape());
        let rank = flat.rank();
        let sum = flat.scatter_add_to(rank - 1, &place, total);
        let squares = window.square().broadcast_to(&[frames, n_fft]).along(None).0;
        let weight = squares.scatter_add_to(0, &at, total);
        let from = if center { n_fft / 2 } else { 0 };
        let end = match length {
            Some(n) => total.min(from + n),
            None if center => total.saturating_sub(n_fft / 2),
            None => total,
        };
        if end <= from {
            return self.fail(op, "the signal is empty");
        }
        let cut = |t: &Tensor| t.narrow(-1, from, end - from);
        let out = cut(&sum) / cut(&weight);
        match length {
            Some(n) if n > end - from => {
                let rest = (n - (end - from)) as isize;
                out.pad(&[0, rest], crate::PadMode::Constant(0.0))
            }
            _ => out,
        }
    }

    /// A window of `n` samples: ones, or one that is filled with zeros on both sides.
    #[track_caller]
    fn full_window(&self, op: &str, n: usize, window: Option<&Tensor>) -> Result<Tensor, Tensor> {
        let Some(w) = window else {
            return Ok(Tensor::ones(&[n], DType::F32, self.device()));
        };
        if w.rank() != 1 || w.numel() > n || w.numel() == 0 {
            let m = format!("a window {:?} for {n} samples", w.shape());
            return Err(w.fail(op, m));
        }
        let left = (n - w.numel()) / 2;
        let right = n - w.numel() - left;
        Ok(w.to_float().pad_to(&[left], &[right], &[0]))
    }

    /// The frequencies (f32) of a transform of length `n` with samples `d` apart, in its order.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// assert_eq!(Tensor::fftfreq(4, 1.0, &Device::cpu()).to_vec::<f32>()?, [0.0, 0.25, -0.5, -0.25]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn fftfreq(n: usize, d: f64, device: &crate::Device) -> Tensor {
        frequencies("fftfreq", n, n, d, device)
    }

    /// The frequencies of [`rfft`](Tensor::rfft).
    #[track_caller]
    pub fn rfftfreq(n: usize, d: f64, device: &crate::Device) -> Tensor {
        frequencies("rfftfreq", n, n / 2 + 1, d, device)
    }

    /// The first half of each dimension moved behind the second: frequency 0 comes to the middle.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[0, 1, 2, -2, -1], &Device::cpu());
    /// assert_eq!(x.fftshift(&[0]).to_vec::<i32>()?, [-2, -1, 0, 1, 2]);
    /// assert_eq!(x.fftshift(&[0]).ifftshift(&[0]).to_vec::<i32>()?, [0, 1, 2, -2, -1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn fftshift(&self, dims: &[isize]) -> Tensor {
        let shifts: Vec<isize> = dims.iter().map(|&d| (self.size(d) / 2) as isize).collect();
        self.roll(&shifts, dims)
    }

    /// The inverse of [`fftshift`](Tensor::fftshift).
    #[track_caller]
    pub fn ifftshift(&self, dims: &[isize]) -> Tensor {
        let shifts: Vec<isize> = dims
            .iter()
            .map(|&d| -((self.size(d) / 2) as isize))
            .collect();
        self.roll(&shifts, dims)
    }
}

/// Sine and cosine of a right angle are 0, which π as rounded does not give.
fn tidied(v: f64) -> f64 {
    if v.abs() < 1e-15 { 0.0 } else { v }
}

/// The first `count` frequencies of a transform of length `n`.
#[track_caller]
fn frequencies(op: &str, n: usize, count: usize, d: f64, device: &crate::Device) -> Tensor {
    if n == 0 || d == 0.0 || !d.is_finite() {
        let e = crate::Error::new(ErrorKind::Value, op, format!("{n} samples {d} apart"));
        return Tensor::invalid(e, &[], DType::F32, device);
    }
    let of = |k: usize| match k {
        k if count == n && k >= n.div_ceil(2) => k as f64 - n as f64,
        k => k as f64,
    };
    let list: Vec<f32> = (0..count)
        .map(|k| (of(k) / (n as f64 * d)) as f32)
        .collect();
    Tensor::new(&list, device)
}
