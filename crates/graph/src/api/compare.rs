//! Comparisons within a tolerance, of whole tensors, and with sets of values.

use crate::dtype::DType;
#[cfg(not(target_arch = "wasm32"))]
use crate::error::Result;
use crate::shape::broadcast;
use crate::tensor::Tensor;

impl Tensor {
    /// Where `|self − other| ≤ atol + rtol · |other|` (PyTorch's defaults: `rtol` 1e-5, `atol` 1e-8), or both are equal;
    /// two NaN if `equal_nan`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let (a, b) = (Tensor::new(&[1.0f32, 1.0], &d), Tensor::new(&[1.000_001f32, 1.1], &d));
    /// assert_eq!(a.isclose(&b, 1e-5, 1e-8, false).to_vec::<bool>()?, [true, false]);
    /// assert!(!a.allclose(&b, 1e-5, 1e-8, false)?);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn isclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Tensor {
        let (a, b) = (self.cast(DType::F32), other.cast(DType::F32));
        let same = self.eq(other);
        let apart = (&a - &b).abs();
        let near = apart.le(&(b.abs() * rtol + atol));
        let close = same.logical_or(&near.logical_and(&apart.isfinite()));
        if equal_nan {
            close.logical_or(&a.isnan().logical_and(&b.isnan()))
        } else {
            close
        }
    }

    /// Whether all elements are close, see [`isclose`](Tensor::isclose). Reads the answer.
    ///
    /// # Errors
    /// The operands do not broadcast, or an error on the way to them.
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn allclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<bool> {
        self.isclose(other, rtol, atol, equal_nan)
            .all()
            .item::<bool>()
    }

    /// Whether both have the same shape and equal elements; NaN equals nothing. Reads the answer.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(3, &Device::cpu());
    /// assert!(x.equal(&x)? && !x.equal(&x.narrow(0, 0, 2))?);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// # Errors
    /// The dtypes do not mix, or an error on the way to the operands.
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn equal(&self, other: &Tensor) -> Result<bool> {
        let (a, b) = (self.check()?, other.check()?);
        if a.shape() != b.shape() {
            return Ok(false);
        }
        a.eq(b).all().item::<bool>()
    }

    /// Where the element is one of `values`.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let d = Device::cpu();
    /// let y = Tensor::new(&[1, 2, 3], &d).isin(&Tensor::new(&[3, 1], &d));
    /// assert_eq!(y.to_vec::<bool>()?, [true, false, true]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn isin(&self, values: &Tensor) -> Tensor {
        let Some(dtype) = self.dtype().promote(values.dtype()) else {
            return self.eq(values);
        };
        if values.numel() == 0 {
            return self.full_like_dtype(0.0, DType::Bool);
        }
        let (sorted, _) = values.cast(dtype).along(None).0.sort(0, false);
        let x = self.cast(dtype);
        let at = sorted
            .searchsorted(&x, false)
            .clamp_max((sorted.numel() - 1) as f64);
        let found = sorted.index_select(0, &at.reshape_to(&[at.numel()]));
        if found.check().is_err() {
            return found;
        }
        found.reshape_to(x.shape()).eq(&x)
    }

    /// Tensors stretched to their common shape.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::arange(3, &Device::cpu());
    /// let all = Tensor::broadcast_tensors(&[&x, &x.unsqueeze(1)]);
    /// assert_eq!((all[0].shape(), all[1].shape()), (&[3, 3][..], &[3, 3][..]));
    /// ```
    #[track_caller]
    pub fn broadcast_tensors(tensors: &[&Tensor]) -> Vec<Tensor> {
        let mut shape = Vec::new();
        let mut wrong = None;
        for t in tensors {
            match broadcast(&shape, t.shape()) {
                Ok(s) => shape = s,
                Err(m) => wrong = Some(m),
            }
        }
        let mut all = Vec::with_capacity(tensors.len());
        for t in tensors {
            all.push(match &wrong {
                Some(m) => t.fail("broadcast_tensors", m.clone()),
                None => t.broadcast_to(&shape),
            });
        }
        all
    }
}
