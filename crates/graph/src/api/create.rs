//! Making tensors.

use crate::device::Device;
use crate::dtype::DType;
use crate::element::Element;
use crate::error::{Error, ErrorKind};
use crate::eval::Value;
use crate::ops::Op;
use crate::ops::constant::Constant;
use crate::ops::iota::Iota;
use crate::shape::checked_numel;
use crate::tensor::Tensor;
use std::panic::Location;

impl Tensor {
    /// A rank-1 tensor of these elements.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let t = Tensor::new(&[1, 2, 3], &Device::cpu());
    /// assert_eq!(t.shape(), [3]);
    /// ```
    #[track_caller]
    pub fn new<T: Element>(data: &[T], device: &Device) -> Tensor {
        Tensor::from_slice(data, &[data.len()], device)
    }

    /// A tensor of these elements in row-major order. Invalid if their number is not that of the shape.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let t = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &Device::cpu());
    /// assert_eq!(t.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn from_slice<T: Element>(data: &[T], shape: &[usize], device: &Device) -> Tensor {
        if checked_numel(shape) != Some(data.len()) {
            let message = format!("{} elements do not fill shape {shape:?}", data.len());
            return Tensor::invalid(
                Error::new(ErrorKind::Shape, "from_slice", message),
                shape,
                T::DTYPE,
                device,
            );
        }
        if let Err(bytes) = crate::storage::room(
            data.len()
                .saturating_mul(T::DTYPE.size().max(size_of::<T>())),
        ) {
            let error = crate::eval::no_room(bytes);
            return Tensor::invalid(error, shape, T::DTYPE, device);
        }
        Tensor::from_bytes(&T::to_bytes(data), shape, T::DTYPE, device)
    }

    /// A tensor from raw bytes: little-endian, row-major, truth values as 32-bit words.
    /// Invalid if their number is not that of shape and dtype, or the device has no room.
    #[track_caller]
    pub fn from_bytes(bytes: &[u8], shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        let want = checked_numel(shape).map(|n| n * dtype.size());
        if want != Some(bytes.len()) {
            let message = format!("{} bytes do not fill {dtype}{shape:?}", bytes.len());
            return Tensor::invalid(
                Error::new(ErrorKind::Shape, "from_bytes", message),
                shape,
                dtype,
                device,
            );
        }
        match Value::upload(device, bytes) {
            Ok(value) => Tensor::from_value(value, shape.to_vec(), dtype, device.clone()),
            Err(e) => {
                let e = Error::new(e.kind(), "from_slice", e.message())
                    .with_operands(vec![(shape.to_vec(), dtype)]);
                Tensor::invalid(e, shape, dtype, device)
            }
        }
    }

    /// One number, rank 0, as [`DType::convert`] makes it an element; invalid where the dtype cannot hold it. Its value
    /// is an input of the plans it enters, not part of them.
    #[track_caller]
    pub fn scalar(value: f64, dtype: DType, device: &Device) -> Tensor {
        let value = match dtype.convert(value) {
            Ok(value) => value,
            // What is computed with f32 is rounded as f32 rounds, to infinity too; only fills ask before.
            Err(_) if dtype == DType::F32 => value,
            Err(m) => {
                let e = Error::new(ErrorKind::Value, "scalar", m);
                return Tensor::invalid(e, &[], dtype, device);
            }
        };
        let op = Op::from(Constant::new(value, dtype));
        Tensor::record_on(op, &[], device.clone(), Location::caller())
    }

    /// One number everywhere, as [`DType::convert`] makes it an element; invalid where the dtype cannot hold it.
    ///
    /// ```
    /// # use wgrad_graph::{DType, Device, Tensor};
    /// let t = Tensor::full(&[2], 0.5, DType::F32, &Device::cpu());
    /// assert_eq!(t.to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn full(shape: &[usize], value: f64, dtype: DType, device: &Device) -> Tensor {
        match dtype.convert(value) {
            Ok(value) => Tensor::scalar(value, dtype, device).broadcast_to(shape),
            Err(m) => {
                let e = Error::new(ErrorKind::Value, "full", m);
                Tensor::invalid(e, shape, dtype, device)
            }
        }
    }

    /// Zeros.
    #[track_caller]
    pub fn zeros(shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        Tensor::full(shape, 0.0, dtype, device)
    }

    /// Ones.
    #[track_caller]
    pub fn ones(shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        Tensor::full(shape, 1.0, dtype, device)
    }

    /// Zeros of this tensor's shape, dtype and device.
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Ones of this tensor's shape, dtype and device.
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    /// One number in this tensor's shape, dtype and device.
    #[track_caller]
    pub fn full_like(&self, value: f64) -> Tensor {
        self.full_like_dtype(value, self.dtype())
    }

    #[track_caller]
    pub(crate) fn full_like_dtype(&self, value: f64, dtype: DType) -> Tensor {
        match self.check() {
            Ok(_) => Tensor::full(self.shape(), value, dtype, self.device()),
            Err(_) => self.clone(),
        }
    }

    /// `0, 1, …, n − 1` as i32.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// assert_eq!(Tensor::arange(3, &Device::cpu()).to_vec::<i32>()?, [0, 1, 2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn arange(n: usize, device: &Device) -> Tensor {
        Tensor::record_on(
            Op::from(Iota { shape: vec![n] }),
            &[],
            device.clone(),
            Location::caller(),
        )
    }

    /// A tensor (i32) of `shape` whose elements are their own positions along `dim`.
    #[track_caller]
    pub(crate) fn iota_along(shape: &[usize], dim: usize, device: &Device) -> Tensor {
        let mut ones = vec![1; shape.len()];
        ones[dim] = shape[dim];
        Tensor::arange(shape[dim], device)
            .reshape_to(&ones)
            .expand_to(shape)
    }

    /// 1 on the diagonal of an `n` by `n` matrix, 0 elsewhere.
    #[track_caller]
    pub fn eye(n: usize, dtype: DType, device: &Device) -> Tensor {
        Tensor::iota_along(&[n, n], 0, device)
            .eq(&Tensor::iota_along(&[n, n], 1, device))
            .cast(dtype)
    }
}
