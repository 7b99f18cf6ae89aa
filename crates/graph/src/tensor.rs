//! The tensor: an immutable node of a lazy graph. Recording applies the shape and dtype rules and keeps the
//! caller's place; an operation on bad operands yields an invalid tensor that carries the error.
//! Nothing here runs anything: see `eval`.

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::Value;
use crate::history::{self, History};
use crate::ops::{Op, Operand};
use crate::place;
use crate::shape;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

/// A multi-dimensional array on a device: immutable, lazy, a cheap clone.
///
/// Operations record; reading a value ([`to_vec`](Tensor::to_vec), [`item`](Tensor::item), `Display`) or
/// [`eval`](crate::eval) plans and runs. Operators exist for every pair of `Tensor`, `&Tensor` and Rust scalar.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let x = Tensor::new(&[1.0f32, 2.0, 3.0], &Device::cpu());
/// let y = (&x * 2.0 + 1.0).sum();
/// assert_eq!(y.item::<f32>()?, 15.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Node>);

/// What a tensor is made of.
pub(crate) struct Node {
    /// Grows with every recorded node, so operands have smaller ids than their users.
    pub(crate) id: u64,
    pub(crate) op: Op,
    /// What it was recorded from. Emptied where `history` lets it go, so that only [`Tensor::inputs`] reads it.
    inputs: RwLock<Vec<Tensor>>,
    pub(crate) history: History,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) device: Device,
    pub(crate) location: &'static Location<'static>,
    pub(crate) value: OnceLock<Value>,
    pub(crate) error: Option<Error>,
    /// Length of the longest chain of nodes below that had no value when this one was recorded.
    pub(crate) depth: u32,
    /// Whether a stand-in lies at or below this: it can't have a value.
    pub(crate) symbolic: bool,
    /// Whether this is a host step, or one lay below without a value when this was recorded.
    pub(crate) awaits_host: bool,
    /// Who wrote it last.
    pub(crate) mark: crate::mark::Bearer,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// An id that no node recorded so far has reached, and every later node of this thread does.
pub(crate) fn next_id() -> u64 {
    NEXT_ID.load(Ordering::Relaxed)
}

/// What is said of a shape with more elements than are counted.
fn too_many(shape: &[usize], size: usize) -> String {
    let bytes = shape
        .iter()
        .fold(size as u128, |n, &d| n.saturating_mul(d as u128));
    format!("a tensor of shape {shape:?} has more than 2^31 - 1 elements: it takes {bytes} bytes")
}

impl Tensor {
    /// Whether it has no value and none can be computed, because a stand-in lies below it.
    pub(crate) fn is_symbolic(&self) -> bool {
        self.0.symbolic && self.0.value.get().is_none()
    }

    /// Records `op` on `inputs`, which all live on one device; the general entry that every method uses.
    #[track_caller]
    pub(crate) fn record(op: impl Into<Op>, inputs: &[&Tensor]) -> Tensor {
        let op = op.into();
        let device = inputs[0].device().clone();
        Tensor::record_on(op, inputs, device, Location::caller())
    }

    /// Records `op` with an explicit device and place.
    pub(crate) fn record_on(
        op: Op,
        inputs: &[&Tensor],
        device: Device,
        location: &'static Location<'static>,
    ) -> Tensor {
        let location = place::of(location);
        let operands: Vec<Operand> = inputs.iter().map(|t| t.operand()).collect();
        let shape = op.shape(&operands);
        let dtype = op.dtype(&operands);
        let fail = |kind, message: String| {
            Error::new(kind, op.name(), message)
                .with_operands(
                    operands
                        .iter()
                        .map(|o| (o.shape.to_vec(), o.dtype))
                        .collect(),
                )
                .at(location)
        };
        let error = if let Some(e) = inputs.iter().find_map(|t| t.0.error.clone()) {
            Some(e)
        } else if inputs.iter().any(|t| *t.device() != device) {
            let names: Vec<String> = inputs.iter().map(|t| t.device().to_string()).collect();
            Some(fail(
                ErrorKind::Device,
                format!("operands live on different devices: {}", names.join(", ")),
            ))
        } else if let Err(m) = &dtype {
            Some(fail(ErrorKind::DType, m.clone()))
        } else {
            match &shape {
                Err(m) => Some(fail(ErrorKind::Shape, m.clone())),
                Ok(s) if shape::checked_numel(s).is_none() => Some(fail(
                    ErrorKind::OutOfMemory,
                    too_many(s, dtype.as_ref().map_or(4, |d| d.size())),
                )),
                Ok(_) => None,
            }
        };
        let shape = shape.unwrap_or_default();
        let dtype = dtype.unwrap_or(DType::F32);
        let symbolic = inputs.iter().any(|t| t.0.symbolic);
        let depth = match error {
            Some(_) => 0,
            None => crate::depth::above(inputs),
        };
        let awaits_host = matches!(op, Op::Host(_)) || inputs.iter().any(|t| t.awaits_host());
        let kept = match error {
            Some(_) => Vec::new(),
            None => inputs.iter().map(|&t| history::used(t)).collect(),
        };
        let node = Node {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            op,
            inputs: RwLock::new(kept),
            history: History::new(),
            shape,
            dtype,
            device,
            location,
            value: OnceLock::new(),
            error,
            depth,
            symbolic,
            awaits_host,
            mark: crate::mark::Bearer::default(),
        };
        Tensor(Arc::new(node))
    }

    /// Applies a primitive to operands of exactly the shapes and dtypes it takes: no promotion, no broadcasting.
    /// For tests and for operations of one's own; with no operands give the device.
    #[track_caller]
    pub fn apply(op: impl Into<Op>, inputs: &[&Tensor], device: &Device) -> Tensor {
        Tensor::record_on(op.into(), inputs, device.clone(), Location::caller())
    }

    /// A leaf that holds `value`.
    #[track_caller]
    pub(crate) fn from_value(
        value: Value,
        shape: Vec<usize>,
        dtype: DType,
        device: Device,
    ) -> Tensor {
        let cell = OnceLock::new();
        let _ = cell.set(value);
        Tensor(Arc::new(Node {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            op: Op::Input(crate::ops::input::Input),
            inputs: RwLock::default(),
            history: History::default(),
            shape,
            dtype,
            device,
            location: place::of(Location::caller()),
            value: cell,
            error: None,
            depth: 0,
            symbolic: false,
            awaits_host: false,
            mark: crate::mark::Bearer::default(),
        }))
    }

    /// A leaf that has no value yet.
    #[track_caller]
    pub(crate) fn leaf(op: Op, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        Tensor(Arc::new(Node {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            symbolic: matches!(op, Op::Input(_)),
            op,
            inputs: RwLock::default(),
            history: History::default(),
            shape: shape.to_vec(),
            dtype,
            device: device.clone(),
            location: place::of(Location::caller()),
            value: OnceLock::new(),
            error: None,
            depth: 0,
            awaits_host: false,
            mark: crate::mark::Bearer::default(),
        }))
    }

    /// An invalid tensor: every operation on it, and reading it, gives `error`.
    /// `shape` is the one the operation would have had, `[]` if that is not known.
    #[track_caller]
    pub fn invalid(error: Error, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        let location = place::of(Location::caller());
        let error = if error.location().is_none() {
            error.at(location)
        } else {
            error
        };
        Tensor(Arc::new(Node {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            op: Op::Input(crate::ops::input::Input),
            inputs: RwLock::default(),
            history: History::default(),
            shape: shape.to_vec(),
            dtype,
            device: device.clone(),
            location,
            value: OnceLock::new(),
            error: Some(error),
            depth: 0,
            symbolic: false,
            awaits_host: false,
            mark: crate::mark::Bearer::default(),
        }))
    }

    /// An invalid tensor on this tensor's device, for a method `op` whose arguments are wrong.
    #[track_caller]
    pub(crate) fn fail(&self, op: &str, message: impl Into<String>) -> Tensor {
        self.fail_kind(ErrorKind::Shape, op, message)
    }

    /// As [`Tensor::fail`], of a given kind. An invalid operand's own error goes first.
    #[track_caller]
    pub(crate) fn fail_kind(
        &self,
        kind: ErrorKind,
        op: &str,
        message: impl Into<String>,
    ) -> Tensor {
        let error = match &self.0.error {
            Some(e) => e.clone(),
            None => Error::new(kind, op, message)
                .with_operands(vec![(self.shape().to_vec(), self.dtype())]),
        };
        Tensor::invalid(error, &[], self.dtype(), self.device())
    }

    /// This tensor; where it is invalid though its operands were not, the error is `op`'s own.
    #[track_caller]
    pub(crate) fn under(self, op: &str, operands: &[&Tensor]) -> Tensor {
        match &self.0.error {
            Some(e) if operands.iter().all(|t| t.check().is_ok()) => {
                Tensor::invalid(e.clone().of(op), self.shape(), self.dtype(), self.device())
            }
            _ => self,
        }
    }

    /// The id that the next node will have, or a later one where other threads record too.
    pub(crate) fn next_id() -> u64 {
        NEXT_ID.load(Ordering::Relaxed)
    }

    /// Whether a host step has to run before this can be planned; may be true once none has.
    pub(crate) fn awaits_host(&self) -> bool {
        self.0.awaits_host && self.0.value.get().is_none()
    }

    pub(crate) fn operand(&self) -> Operand<'_> {
        Operand {
            shape: &self.0.shape,
            dtype: self.0.dtype,
        }
    }

    /// Sizes of all dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Size of one dimension, which may count from the end; 0 where there is no such dimension.
    pub fn size(&self, dim: isize) -> usize {
        shape::dim(dim, self.rank())
            .ok()
            .and_then(|d| self.0.shape.get(d).copied())
            .unwrap_or(0)
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.shape.len()
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        shape::numel(&self.0.shape)
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The device the tensor lives on.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The name of the primitive that made the tensor.
    pub fn op_name(&self) -> &'static str {
        self.0.op.name()
    }

    /// What it was recorded from, in order; none for a leaf, nor where nobody can ask for a gradient any more. For looking at a graph: see also
    /// [`graph_dot`](crate::graph_dot).
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1.0f32], &Device::cpu());
    /// let y = x.exp();
    /// assert!(y.op_name() == "exp" && y.operands()[0].same(&x) && x.operands().is_empty());
    /// ```
    pub fn operands(&self) -> Vec<Tensor> {
        self.inputs().clone()
    }

    /// As [`Tensor::operands`], without a copy: for as long as the guard is there, they stay.
    pub(crate) fn inputs(&self) -> RwLockReadGuard<'_, Vec<Tensor>> {
        self.0.inputs.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what it was recorded from, unless somebody reads that at the moment.
    pub(crate) fn forget_inputs(&self) -> bool {
        let taken = match self.0.inputs.try_write() {
            Ok(mut inputs) => std::mem::take(&mut *inputs),
            Err(_) => return false,
        };
        unused(taken);
        true
    }

    /// Where in the user's program the tensor was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// The tensor, or the first error on the way to it. Runs nothing.
    pub fn check(&self) -> Result<&Tensor> {
        match &self.0.error {
            Some(e) => Err(e.clone()),
            None => Ok(self),
        }
    }

    /// Whether two handles are the same node.
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Long chains are taken apart in a loop: dropping them recursively would overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        unused(taken(self));
    }
}

fn taken(node: &mut Node) -> Vec<Tensor> {
    let inputs = node.inputs.get_mut();
    std::mem::take(inputs.unwrap_or_else(PoisonError::into_inner))
}

/// Drops operands of a node, and what only they hold.
fn unused(mut stack: Vec<Tensor>) {
    while let Some(tensor) = stack.pop() {
        history::unused(&tensor);
        if let Some(mut node) = Arc::into_inner(tensor.0) {
            stack.append(&mut taken(&mut node));
        }
    }
}
