//! Rows of numbers by a rule: logarithmic ranges, indices of triangles, windows.

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind};
use crate::tensor::Tensor;
use std::f64::consts::PI;

/// A row of numbers computed on the host in f64 and rounded once.
#[track_caller]
fn row(values: &[f64], device: &Device) -> Tensor {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    Tensor::new(&values, device)
}

#[track_caller]
fn wrong(op: &str, message: String, device: &Device) -> Tensor {
    let e = Error::new(ErrorKind::Value, op, message);
    Tensor::invalid(e, &[], DType::F32, device)
}

impl Tensor {
    /// `steps` numbers (f32) from `base^start` to `base^end`, both included, whose exponents are a constant distance
    /// apart.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::logspace(0.0, 2.0, 3, 10.0, &Device::cpu());
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 10.0, 100.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn logspace(start: f64, end: f64, steps: usize, base: f64, device: &Device) -> Tensor {
        let exponents = spread(start, end, steps);
        let values: Vec<f64> = exponents.into_iter().map(|e| base.powf(e)).collect();
        row(&values, device)
    }

    /// `steps` numbers (f32) from `start` to `end`, both included, a constant factor apart (NumPy's `geomspace`). Both
    /// are of one sign and not 0.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::geomspace(1.0, 256.0, 9, &Device::cpu());
    /// assert_eq!(x.to_vec::<f32>()?[..3], [1.0, 2.0, 4.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn geomspace(start: f64, end: f64, steps: usize, device: &Device) -> Tensor {
        let ratio = end / start;
        if !(ratio.is_finite() && ratio > 0.0) {
            return wrong("geomspace", format!("from {start} to {end}"), device);
        }
        let (sign, low, high) = (start.signum(), start.abs().log2(), end.abs().log2());
        let mut values: Vec<f64> = spread(low, high, steps)
            .into_iter()
            .map(|e| sign * e.exp2())
            .collect();
        if let Some(last) = values.last_mut().filter(|_| steps > 1) {
            *last = end;
        }
        if let Some(first) = values.first_mut() {
            *first = start;
        }
        row(&values, device)
    }

    /// Row and column (i32, `[2, count]`) of the elements on and below a diagonal of a `rows` by `columns` matrix.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let at = Tensor::tril_indices(2, 2, 0, &Device::cpu());
    /// assert_eq!(at.to_vec::<i32>()?, [0, 1, 1, 0, 0, 1]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tril_indices(rows: usize, columns: usize, offset: isize, device: &Device) -> Tensor {
        triangle("tril_indices", [rows, columns], device, |i, j| {
            j - i <= offset
        })
    }

    /// Row and column (i32, `[2, count]`) of the elements on and above a diagonal of a `rows` by `columns` matrix.
    #[track_caller]
    pub fn triu_indices(rows: usize, columns: usize, offset: isize, device: &Device) -> Tensor {
        triangle("triu_indices", [rows, columns], device, |i, j| {
            j - i >= offset
        })
    }

    /// Hann's window of `n` numbers (f32): `sin²(π i / n)` if it is to be repeated, with `n − 1` if not.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let w = Tensor::hann_window(4, true, &Device::cpu()).to_vec::<f32>()?;
    /// assert!(w.iter().zip([0.0, 0.5, 1.0, 0.5]).all(|(a, b)| (a - b).abs() < 1e-6));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn hann_window(n: usize, periodic: bool, device: &Device) -> Tensor {
        Tensor::hamming_window(n, periodic, 0.5, 0.5, device)
    }

    /// Hamming's window: `alpha − beta · cos(2π i / n)` (PyTorch's defaults: 0.54 and 0.46).
    #[track_caller]
    pub fn hamming_window(
        n: usize,
        periodic: bool,
        alpha: f64,
        beta: f64,
        device: &Device,
    ) -> Tensor {
        window(n, periodic, device, |t| alpha - beta * (2.0 * PI * t).cos())
    }

    /// Blackman's window: `0.42 − 0.5 cos(2π i / n) + 0.08 cos(4π i / n)`.
    #[track_caller]
    pub fn blackman_window(n: usize, periodic: bool, device: &Device) -> Tensor {
        window(n, periodic, device, |t| {
            0.42 - 0.5 * (2.0 * PI * t).cos() + 0.08 * (4.0 * PI * t).cos()
        })
    }

    /// Bartlett's window, a triangle.
    #[track_caller]
    pub fn bartlett_window(n: usize, periodic: bool, device: &Device) -> Tensor {
        window(n, periodic, device, |t| 1.0 - (2.0 * t - 1.0).abs())
    }

    /// Kaiser's window with shape parameter `beta` (PyTorch's default: 12).
    #[track_caller]
    pub fn kaiser_window(n: usize, periodic: bool, beta: f64, device: &Device) -> Tensor {
        window(n, periodic, device, |t| {
            let r = 2.0 * t - 1.0;
            bessel(beta * (1.0 - r * r).max(0.0).sqrt()) / bessel(beta)
        })
    }

    /// The coordinates (i32) of flat positions in a tensor of `shape`, one tensor for each dimension.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let at = Tensor::new(&[5], &Device::cpu()).unravel_index(&[2, 3]);
    /// assert_eq!((at[0].to_vec::<i32>()?, at[1].to_vec::<i32>()?), (vec![1], vec![2]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn unravel_index(&self, shape: &[usize]) -> Vec<Tensor> {
        let mut rest = self.as_index("unravel_index");
        let mut all = Vec::with_capacity(shape.len());
        for &n in shape.iter().rev() {
            let size = rest.full_like(n.max(1) as f64);
            all.push(rest.remainder(&size));
            rest = rest.floor_divide(&size);
        }
        all.reverse();
        all
    }
}

/// `steps` numbers from `start` to `end`.
fn spread(start: f64, end: f64, steps: usize) -> Vec<f64> {
    let last = steps.saturating_sub(1).max(1) as f64;
    let at = |i: usize| {
        let part = i as f64 / last;
        if part < 0.5 {
            start + part * (end - start)
        } else {
            end - (1.0 - part) * (end - start)
        }
    };
    (0..steps).map(at).collect()
}

#[track_caller]
fn triangle(
    op: &str,
    [rows, columns]: [usize; 2],
    device: &Device,
    holds: impl Fn(isize, isize) -> bool,
) -> Tensor {
    if rows.saturating_mul(columns) > i32::MAX as usize {
        return wrong(op, format!("of a {rows} by {columns} matrix"), device);
    }
    let cells = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j)));
    let inside: Vec<(usize, usize)> = cells
        .filter(|&(i, j)| holds(i as isize, j as isize))
        .collect();
    let list: Vec<i32> = inside
        .iter()
        .map(|c| c.0 as i32)
        .chain(inside.iter().map(|c| c.1 as i32))
        .collect();
    Tensor::from_slice(&list, &[2, inside.len()], device)
}

/// A window from its shape over 0 … 1.
#[track_caller]
fn window(n: usize, periodic: bool, device: &Device, f: impl Fn(f64) -> f64) -> Tensor {
    if n == 1 {
        return row(&[1.0], device);
    }
    let length = if periodic { n } else { n.saturating_sub(1) } as f64;
    let values: Vec<f64> = (0..n).map(|i| f(i as f64 / length)).collect();
    row(&values, device)
}

/// The modified Bessel function of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..500 {
        let half = x / 2.0 / f64::from(k);
        term *= half * half;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}
