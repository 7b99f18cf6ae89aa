//! Finding the culprit: the first operation that makes a NaN, the first that departs from the reference, and the
//! recorded graph as a picture. Slow on purpose: nodes are run one at a time.

#[cfg(not(target_arch = "wasm32"))]
use crate::dtype::DType;
#[cfg(not(target_arch = "wasm32"))]
use crate::error::{Error, ErrorKind, Result};
#[cfg(not(target_arch = "wasm32"))]
use crate::eval::eval_plain;
#[cfg(not(target_arch = "wasm32"))]
use crate::reference::Evaluator;
use crate::tensor::Tensor;
use std::fmt;
use std::fmt::Write;

/// An operation whose result is not finite though its operands are.
#[derive(Clone, Debug)]
pub struct NonFinite {
    /// The operation.
    pub op: &'static str,
    /// Where it was called.
    pub location: &'static std::panic::Location<'static>,
    /// NaNs, infinities and elements of its result.
    pub counts: [usize; 3],
    /// Least and greatest value of each operand.
    pub ranges: Vec<(f64, f64)>,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [nan, infinite, all] = self.counts;
        write!(
            f,
            "{} at {} made {nan} NaN and {infinite} infinite of {all} elements from operands in ",
            self.op, self.location
        )?;
        let ranges: Vec<String> = self
            .ranges
            .iter()
            .map(|(lo, hi)| format!("[{lo}, {hi}]"))
            .collect();
        f.write_str(&ranges.join(", "))
    }
}

/// The first operation below these tensors that makes a NaN or an infinity out of finite operands, in the order of
/// recording; `None` if there is none. Every node is run by itself and read back.
///
/// # Errors
/// A tensor is invalid, or running fails.
///
/// ```
/// use wgrad_graph::{Device, Tensor, find_nonfinite};
/// let x = Tensor::new(&[1.0f32, -1.0], &Device::cpu());
/// let y = (x.log() * 2.0).sum();
/// let culprit = find_nonfinite(&[&y])?.unwrap();
/// assert_eq!((culprit.op, culprit.counts[0]), ("log", 1));
/// assert_eq!(culprit.ranges, [(-1.0, 1.0)]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn find_nonfinite(tensors: &[&Tensor]) -> Result<Option<NonFinite>> {
    released(tensors, "find_nonfinite")?;
    for t in recorded(tensors)? {
        if t.inputs().is_empty() || !t.dtype().is_float() {
            continue;
        }
        let values = numbers(&t)?;
        if values.iter().all(|v| v.is_finite()) {
            continue;
        }
        let operands = t
            .operands()
            .iter()
            .map(numbers)
            .collect::<Result<Vec<_>>>()?;
        if operands.iter().flatten().any(|v| !v.is_finite()) {
            continue;
        }
        let nan = values.iter().filter(|v| v.is_nan()).count();
        let infinite = values.iter().filter(|v| v.is_infinite()).count();
        return Ok(Some(NonFinite {
            op: t.op_name(),
            location: t.location(),
            counts: [nan, infinite, values.len()],
            ranges: operands.iter().map(|v| range(v)).collect(),
        }));
    }
    Ok(None)
}

/// An operation whose result, planned and run from the leaves, departs from the reference.
#[derive(Clone, Debug)]
pub struct Departure {
    /// The operation.
    pub op: &'static str,
    /// Where it was called.
    pub location: &'static std::panic::Location<'static>,
    /// Position of the worst element, what the device gives there, and what the reference gives.
    pub worst: (usize, f64, f64),
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, got, want) = self.worst;
        write!(
            f,
            "{} at {} gives {got} at element {at}, the reference {want}",
            self.op, self.location
        )
    }
}

/// The first operation below these tensors, in the order of recording, at which the device departs from the reference
/// by more than `tolerance · (1 + |reference|)`. Each is planned anew from the leaves, so a fault of fusing shows too.
///
/// # Errors
/// A tensor is invalid, or running fails.
///
/// ```
/// use wgrad_graph::{Device, Tensor, find_departure};
/// let x = Tensor::new(&[0.5f32, 2.0], &Device::cpu());
/// let y = (x.exp() + 1.0).log().sum();
/// assert!(find_departure(&[&y], 1e-5)?.is_none());
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn find_departure(tensors: &[&Tensor], tolerance: f64) -> Result<Option<Departure>> {
    released(tensors, "find_departure")?;
    let nodes = recorded(tensors)?;
    let mut reference = Evaluator::rounding();
    for t in nodes {
        if t.inputs().is_empty() {
            continue;
        }
        let got = numbers(&anew(&t))?;
        let want = reference.evaluate(&t)?.data;
        let off = |i: &usize| {
            let (g, w) = (got[*i], want[*i]);
            !(g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tolerance * (1.0 + w.abs()))
        };
        let distance = |i: usize| (got[i] - want[i]).abs();
        let worst = (0..got.len())
            .filter(off)
            .max_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        if let Some(at) = worst {
            let worst = (at, got[at], want[at]);
            return Ok(Some(Departure {
                op: t.op_name(),
                location: t.location(),
                worst,
            }));
        }
    }
    Ok(None)
}

/// The recorded graph in Graphviz's DOT language: an ellipse for each operation with shape and place, a box for each
/// leaf.
///
/// ```
/// use wgrad_graph::{Device, Tensor, graph_dot};
/// let x = Tensor::new(&[1.0f32], &Device::cpu());
/// assert!(graph_dot(&[&x.exp()]).starts_with("digraph"));
/// ```
pub fn graph_dot(tensors: &[&Tensor]) -> String {
    let mut out =
        String::from("digraph wgrad {\n  rankdir=TB;\n  node [fontname=\"monospace\"];\n");
    for t in below(tensors) {
        let shape = if t.inputs().is_empty() {
            "box"
        } else {
            "ellipse"
        };
        let place = t.location();
        let file = place.file().rsplit('/').next().unwrap_or_default();
        let label = format!(
            "{}\\n{}{:?}\\n{file}:{}",
            t.op_name(),
            t.dtype(),
            t.shape(),
            place.line()
        );
        let _ = writeln!(out, "  n{} [shape={shape}, label=\"{label}\"];", t.0.id);
        for i in t.inputs().iter() {
            let _ = writeln!(out, "  n{} -> n{};", i.0.id, t.0.id);
        }
    }
    out.push_str("}\n");
    out
}

/// An error where it is not known any more what one of the tensors was computed from.
#[cfg(not(target_arch = "wasm32"))]
fn released(tensors: &[&Tensor], op: &str) -> Result<()> {
    match tensors.iter().find(|t| crate::history::is_released(t)) {
        None => Ok(()),
        Some(t) => {
            let message = "what the tensor was computed from is not known any more: something else was computed since, \
                           and nobody holds a tensor below it";
            Err(Error::new(ErrorKind::Value, op, message).at(t.location()))
        }
    }
}

/// Valid tensors and everything recorded below them, operands first.
#[cfg(not(target_arch = "wasm32"))]
fn recorded(tensors: &[&Tensor]) -> Result<Vec<Tensor>> {
    for t in tensors {
        t.check()?;
    }
    Ok(below(tensors))
}

fn below(tensors: &[&Tensor]) -> Vec<Tensor> {
    let _unchanged = crate::history::hold();
    let mut seen = rustc_hash::FxHashSet::default();
    let mut stack: Vec<Tensor> = tensors.iter().map(|&t| t.clone()).collect();
    let mut nodes = Vec::new();
    while let Some(t) = stack.pop() {
        if seen.insert(t.0.id) {
            stack.extend(t.inputs().iter().cloned());
            nodes.push(t);
        }
    }
    nodes.sort_unstable_by_key(|t| t.0.id);
    nodes
}

#[cfg(not(target_arch = "wasm32"))]
fn numbers(t: &Tensor) -> Result<Vec<f64>> {
    eval_plain(&[t])?;
    Ok(match t.dtype() {
        DType::Bool => t
            .to_vec::<bool>()?
            .into_iter()
            .map(|b| f64::from(u8::from(b)))
            .collect(),
        DType::F32 => t.to_vec::<f32>()?.into_iter().map(f64::from).collect(),
        DType::F16 => t
            .to_vec::<half::f16>()?
            .into_iter()
            .map(half::f16::to_f64)
            .collect(),
        DType::BF16 => t
            .to_vec::<half::bf16>()?
            .into_iter()
            .map(half::bf16::to_f64)
            .collect(),
        DType::I32 => t.to_vec::<i32>()?.into_iter().map(f64::from).collect(),
        DType::U32 => t.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
        DType::U8 => t.to_vec::<u8>()?.into_iter().map(f64::from).collect(),
    })
}

#[cfg(not(target_arch = "wasm32"))]
fn range(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &v| {
            (lo.min(v), hi.max(v))
        })
}

/// The same graph recorded anew, leaves shared, so that nothing but leaves has a value.
#[cfg(not(target_arch = "wasm32"))]
fn anew(t: &Tensor) -> Tensor {
    let _pause = crate::depth::Pause::new();
    let mut copies: rustc_hash::FxHashMap<u64, Tensor> = rustc_hash::FxHashMap::default();
    for node in below(&[t]) {
        let copy = if node.inputs().is_empty() {
            node.clone()
        } else {
            let inputs = node.inputs();
            let inputs: Vec<&Tensor> = inputs.iter().map(|i| &copies[&i.0.id]).collect();
            Tensor::record_on(
                node.0.op.clone(),
                &inputs,
                node.device().clone(),
                node.location(),
            )
        };
        copies.insert(node.0.id, copy);
    }
    copies.remove(&t.0.id).unwrap_or_else(|| t.clone())
}

#[cfg(not(target_arch = "wasm32"))]
thread_local! {
    static DETECTING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether this thread is within [`detect_anomaly`].
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn is_detecting() -> bool {
    DETECTING.get()
}

/// Calls a function with every run of this thread watched: one that makes a NaN or an infinity out of finite operands is an
/// error that names the operation and its place. What `WGRAD_ANOMALY=1` does for a whole program; PyTorch's
/// `detect_anomaly`. Slow: operations run one by one.
///
/// ```
/// use wgrad_graph::{Device, Tensor, detect_anomaly};
/// let x = Tensor::new(&[1.0f32, -1.0], &Device::cpu());
/// let error = detect_anomaly(|| x.log().sum().item::<f32>()).unwrap_err();
/// assert!(error.to_string().contains("log"));
/// assert!(x.log().sum().item::<f32>()?.is_nan());
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn detect_anomaly<T>(f: impl FnOnce() -> T) -> T {
    struct Ends(bool);
    impl Drop for Ends {
        fn drop(&mut self) {
            DETECTING.set(self.0);
        }
    }
    let _ends = Ends(DETECTING.replace(true));
    f()
}

/// Runs tensors node by node and returns an error that names the first operation that makes a NaN or an infinity:
/// the mode that `WGRAD_ANOMALY=1` turns on for every run.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn refuse_nonfinite(tensors: &[&Tensor]) -> Result<()> {
    match find_nonfinite(tensors)? {
        Some(culprit) => {
            Err(Error::new(ErrorKind::Value, culprit.op, culprit.to_string()).at(culprit.location))
        }
        None => Ok(()),
    }
}
