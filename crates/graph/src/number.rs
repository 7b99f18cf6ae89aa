//! Numbers that are read when a graph runs and not when it is recorded: what changes from step to step of a compiled
//! function. Knows no plan.

use crate::device::Device;
use crate::dtype::DType;
use crate::ops::Op;
use crate::ops::constant::Constant;
use crate::tensor::Tensor;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A cell with a number, shared by its clones. A tensor made of it ([`Number::like`], [`Number::tensor`]) has the value
/// that the cell holds when the tensor is computed, so one compiled graph serves all learning rates.
///
/// ```
/// use wgrad_graph::{DType, Device, Number};
/// let rate = Number::new(0.5);
/// let t = rate.tensor(DType::F32, &Device::cpu());
/// rate.set(0.25);
/// assert_eq!(t.item::<f32>()?, 0.25);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Number(Arc<AtomicU64>);

impl Number {
    /// A cell of its own.
    pub fn new(value: f64) -> Number {
        Number(Arc::new(AtomicU64::new(value.to_bits())))
    }

    /// Whether two handles are the same cell.
    pub fn same(&self, other: &Number) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What it holds. A compiled function that asks for it cannot be replayed, and runs itself in each call; a tensor of
    /// the number ([`Number::like`]) can.
    #[track_caller]
    pub fn get(&self) -> f64 {
        crate::trace::observe("a number's value is read on the host");
        self.peek()
    }

    /// As [`Number::get`], without being noticed by a trace.
    pub(crate) fn peek(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Puts another value in it. Tensors that were computed before keep theirs. A compiled function that does so runs
    /// itself in each call.
    #[track_caller]
    pub fn set(&self, value: f64) {
        crate::trace::observe("a number is set");
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// A rank-0 tensor of the number.
    #[track_caller]
    pub fn tensor(&self, dtype: DType, device: &Device) -> Tensor {
        let op = Op::from(Constant::cell(self.clone(), dtype));
        Tensor::record_on(op, &[], device.clone(), Location::caller())
    }

    /// A rank-0 tensor of the number, with the dtype and device of `tensor`.
    #[track_caller]
    pub fn like(&self, tensor: &Tensor) -> Tensor {
        self.tensor(tensor.dtype(), tensor.device())
    }
}
