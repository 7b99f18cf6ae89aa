//! The oracle: evaluates the recorded graph one node at a time in f64, slowly and plainly. It sees neither plan nor
//! kernels. In one mode every node is rounded to its dtype, in the other nothing is.

use crate::dtype::DType;
use crate::element::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::Value;
use crate::loops::Body;
use crate::math;
use crate::ops::{Lowered, Op};
use crate::shape;
use crate::tensor::Tensor;
use rustc_hash::FxHashMap;
use std::panic::Location;
use std::sync::Arc;

/// An array in f64, row-major. Integers up to 32 bits are exact; truth values are 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes.
    pub shape: Vec<usize>,
    /// The dtype of the node it belongs to.
    pub dtype: DType,
    /// Elements.
    pub data: Vec<f64>,
}

impl Array {
    /// An array of one repeated value.
    pub fn full(shape: &[usize], dtype: DType, value: f64) -> Array {
        Array {
            shape: shape.to_vec(),
            dtype,
            data: vec![value; shape::numel(shape)],
        }
    }

    /// An array whose element at each index is `f(index)`.
    pub fn from_index(shape: &[usize], dtype: DType, mut f: impl FnMut(&[usize]) -> f64) -> Array {
        let mut data = Vec::with_capacity(shape::numel(shape));
        shape::for_each_index(shape, |i| data.push(f(i)));
        Array {
            shape: shape.to_vec(),
            dtype,
            data,
        }
    }

    /// An array computed element by element from arrays of its shape.
    pub fn map(x: &[&Array], shape: &[usize], dtype: DType, f: impl Fn(&[f64]) -> f64) -> Array {
        let mut args = vec![0.0; x.len()];
        let data = (0..shape::numel(shape))
            .map(|i| {
                for (arg, x) in args.iter_mut().zip(x) {
                    *arg = x.data[i];
                }
                f(&args)
            })
            .collect();
        Array {
            shape: shape.to_vec(),
            dtype,
            data,
        }
    }

    /// The element at an index.
    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[self.position(index)]
    }

    /// Where the element at an index stands in `data`.
    pub fn position(&self, index: &[usize]) -> usize {
        index
            .iter()
            .zip(&self.shape)
            .fold(0, |p, (&i, &n)| p * n + i)
    }

    /// Rounds every element to what `dtype` can hold: floats to nearest even, integers wrap.
    pub fn round_to(mut self, dtype: DType) -> Array {
        for v in &mut self.data {
            *v = dtype.rounded(*v);
        }
        self.dtype = dtype;
        self
    }
}

/// Evaluates a recorded graph.
pub struct Evaluator {
    /// Values that stand in for nodes, by node.
    overrides: FxHashMap<u64, Array>,
    /// Whether nodes are rounded to their dtype.
    round: bool,
    known: FxHashMap<u64, Arc<Array>>,
}

impl Evaluator {
    /// In f64 throughout: the mode for finite differences.
    pub fn exact() -> Evaluator {
        Evaluator {
            overrides: FxHashMap::default(),
            round: false,
            known: FxHashMap::default(),
        }
    }

    /// Every node rounded to its dtype.
    pub fn rounding() -> Evaluator {
        Evaluator {
            round: true,
            ..Evaluator::exact()
        }
    }

    /// Uses `value` where the graph has `tensor`.
    pub fn replace(&mut self, tensor: &Tensor, value: Array) {
        self.known.clear();
        self.overrides.insert(tensor.0.id, value);
    }

    /// The value of `tensor`, computed from its inputs whether or not it has been run elsewhere; where those were let go, the value
    /// that it has.
    ///
    /// # Errors
    /// The tensor is invalid, or a leaf cannot be read.
    pub async fn evaluate_async(&mut self, tensor: &Tensor) -> Result<Array> {
        tensor.check()?;
        let mut stack = vec![tensor.clone()];
        while let Some(t) = stack.last().cloned() {
            if self.known.contains_key(&t.0.id) {
                stack.pop();
                continue;
            }
            let substituted = self.overrides.contains_key(&t.0.id);
            let missing: Vec<Tensor> = t
                .inputs()
                .iter()
                .filter(|i| !self.known.contains_key(&i.0.id))
                .cloned()
                .collect();
            if !substituted && !missing.is_empty() {
                stack.extend(missing);
                continue;
            }
            let array = self.node(&t).await?;
            self.known.insert(t.0.id, Arc::new(array));
            stack.pop();
        }
        Ok(Array::clone(&self.known[&tensor.0.id]))
    }

    /// [`Evaluator::evaluate_async`], waiting for it.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate_async`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate(&mut self, tensor: &Tensor) -> Result<Array> {
        pollster::block_on(self.evaluate_async(tensor))
    }

    async fn node(&self, t: &Tensor) -> Result<Array> {
        if let Some(array) = self.overrides.get(&t.0.id) {
            return Ok(array.clone());
        }
        if t.inputs().is_empty() && t.0.value.get().is_some() {
            return read(t).await;
        }
        let inputs: Vec<Arc<Array>> = t
            .inputs()
            .iter()
            .map(|i| self.known[&i.0.id].clone())
            .collect();
        let inputs: Vec<&Array> = inputs.iter().map(Arc::as_ref).collect();
        apply(t, &inputs, self.round)
    }
}

/// The value of a node in f64, rounded to its dtype, or only if that is no float.
fn apply(t: &Tensor, inputs: &[&Array], round: bool) -> Result<Array> {
    // What a loop gives is rounded already, each part to its own dtype.
    if let Some(l) = t.0.op.as_loop() {
        return l.run(inputs, round);
    }
    let array = if let Op::Host(step) = &t.0.op {
        step.run(inputs, t.shape(), t.dtype())
            .map_err(|m| host_error(t, m))?
    } else {
        t.0.op.reference(inputs, t.shape(), t.dtype())
    };
    Ok(match round || !t.dtype().is_float() {
        true => array.round_to(t.dtype()),
        false => array,
    })
}

/// The values of all nodes of a loop's body for its operands.
///
/// # Errors
/// An index is out of range.
pub(crate) fn evaluate_body(
    body: &Body,
    operands: &[Arc<Array>],
    round: bool,
) -> Result<Vec<Arc<Array>>> {
    let mut known = operands.to_vec();
    for node in &body.nodes[body.n_inputs..] {
        let inputs: Vec<&Array> = node.inputs.iter().map(|&i| &*known[i]).collect();
        check_indices((&node.op, &node.shape, node.location), &inputs)?;
        let array = match node.op.as_loop() {
            Some(l) => l.run(&inputs, round)?,
            None => {
                let array = node.op.reference(&inputs, &node.shape, node.dtype);
                match round || !node.dtype.is_float() {
                    true => array.round_to(node.dtype),
                    false => array,
                }
            }
        };
        known.push(Arc::new(array));
    }
    Ok(known)
}

/// The error of a host step that has no value.
pub(crate) fn host_error(t: &Tensor, message: String) -> Error {
    let operands = t
        .inputs()
        .iter()
        .map(|i| (i.shape().to_vec(), i.dtype()))
        .collect();
    Error::new(ErrorKind::Value, t.op_name(), message)
        .with_operands(operands)
        .at(t.location())
}

/// The value of a leaf.
async fn read(t: &Tensor) -> Result<Array> {
    let bytes = t.bytes_async().await?;
    Ok(Array {
        shape: t.shape().to_vec(),
        dtype: t.dtype(),
        data: to_f64(&bytes, t.dtype()),
    })
}

pub(crate) fn to_f64(bytes: &[u8], dtype: DType) -> Vec<f64> {
    fn all<T: Element>(bytes: &[u8]) -> Vec<f64> {
        T::from_bytes(bytes, usize::MAX)
            .into_iter()
            .map(T::to_f64)
            .collect()
    }
    match dtype {
        DType::F32 => all::<f32>(bytes),
        DType::F16 => all::<half::f16>(bytes),
        DType::BF16 => all::<half::bf16>(bytes),
        DType::I32 => all::<i32>(bytes),
        DType::U32 => all::<u32>(bytes),
        DType::U8 => all::<u8>(bytes),
        DType::Bool => all::<bool>(bytes),
    }
}

/// An array as a device's bytes.
pub(crate) fn to_bytes(array: &Array) -> Vec<u8> {
    let d = &array.data;
    match array.dtype {
        DType::F32 => f32::to_bytes(&d.iter().map(|&v| v as f32).collect::<Vec<_>>()),
        DType::F16 => half::f16::to_bytes(
            &d.iter()
                .map(|&v| half::f16::from_f64(v))
                .collect::<Vec<_>>(),
        ),
        DType::BF16 => half::bf16::to_bytes(
            &d.iter()
                .map(|&v| half::bf16::from_bits(math::bf16_from_f64(v)))
                .collect::<Vec<_>>(),
        ),
        DType::I32 => i32::to_bytes(&d.iter().map(|&v| v as i64 as i32).collect::<Vec<_>>()),
        DType::U32 => u32::to_bytes(&d.iter().map(|&v| v as i64 as u32).collect::<Vec<_>>()),
        DType::U8 => d.iter().map(|&v| v as i64 as u8).collect(),
        DType::Bool => bool::to_bytes(&d.iter().map(|&v| v != 0.0).collect::<Vec<_>>()),
    }
}

/// Gives tensors of the reference device their values.
pub(crate) fn eval(tensors: &[&Tensor]) -> Result<()> {
    let mut known = FxHashMap::default();
    for t in tensors {
        eval_one(t, &mut known)?;
    }
    Ok(())
}

/// As [`Evaluator`], but nodes that have a value keep it. Leaves of this device are in host memory: nothing waits.
fn eval_one(tensor: &Tensor, known: &mut FxHashMap<u64, Arc<Array>>) -> Result<()> {
    let mut stack = vec![tensor.clone()];
    while let Some(t) = stack.last().cloned() {
        if known.contains_key(&t.0.id) {
            stack.pop();
            continue;
        }
        // Before it is asked for a value: one that another thread gives it may cost it its operands.
        let operands = t.operands();
        let is_loop = matches!(t.0.op, Op::Loop(_));
        if let Some(value) = t.0.value.get().and_then(Value::host).filter(|_| !is_loop) {
            check_room(&t, &[])?;
            let bytes = &value.bytes()[..t.numel() * t.dtype().size()];
            let array = Array {
                shape: t.shape().to_vec(),
                dtype: t.dtype(),
                data: to_f64(bytes, t.dtype()),
            };
            known.insert(t.0.id, Arc::new(array));
            continue;
        }
        let missing: Vec<Tensor> = operands
            .iter()
            .filter(|i| !known.contains_key(&i.0.id))
            .cloned()
            .collect();
        if !missing.is_empty() {
            stack.extend(missing);
            continue;
        }
        let inputs: Vec<Arc<Array>> = operands.iter().map(|i| known[&i.0.id].clone()).collect();
        let inputs: Vec<&Array> = inputs.iter().map(Arc::as_ref).collect();
        check_room(&t, &inputs)?;
        check_indices((&t.0.op, t.shape(), t.location()), &inputs)?;
        let array = apply(&t, &inputs, !t.device().0.exact)?;
        known.insert(t.0.id, Arc::new(array));
    }
    let value = Value::upload(tensor.device(), &to_bytes(&known[&tensor.0.id]))?;
    let _ = tensor.0.value.set(value);
    Ok(())
}

/// The rules of the primitives allocate as they go: f64 for the result and for what they round it from. Whether the host has
/// room for that is asked before.
fn check_room(t: &Tensor, inputs: &[&Array]) -> Result<()> {
    let largest = inputs.iter().map(|x| x.data.len()).max().unwrap_or(0);
    let bytes = size_of::<f64>().saturating_mul(largest + 3 * t.numel());
    crate::storage::room(bytes).map_err(|bytes| {
        let message = format!("there is no room for {bytes} bytes");
        Error::new(ErrorKind::OutOfMemory, t.op_name(), message).at(t.location())
    })
}

/// The reference looks at its indices before it uses them.
fn check_indices(
    (op, shape, location): (&Op, &[usize], &'static Location<'static>),
    inputs: &[&Array],
) -> Result<()> {
    let (dim, size) = match op.lower() {
        Lowered::Gather { dim } => (dim, inputs[0].shape[dim]),
        Lowered::ScatterAdd { dim } => (dim, shape[dim]),
        _ => return Ok(()),
    };
    match inputs[1]
        .data
        .iter()
        .find(|&&i| i < 0.0 || i >= size as f64)
    {
        Some(i) => {
            let message = format!("index {i} lies outside dimension {dim} of size {size}");
            Err(Error::new(ErrorKind::Index, op.name(), message).at(location))
        }
        None => Ok(()),
    }
}
