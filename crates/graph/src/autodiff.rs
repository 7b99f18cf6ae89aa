//! Reverse-mode differentiation: appends gradient nodes to the graph. They are ordinary nodes, so gradients of
//! gradients are gradients. Runs nothing.

use crate::depth::Pause;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::history;
use crate::links;
use crate::ops::{Derivative, Derive};
use crate::tensor::Tensor;
use rustc_hash::{FxHashMap, FxHashSet};
use std::panic::Location;

/// Optional arguments of [`grad_with`].
#[derive(Clone, Debug, Default)]
pub struct GradOptions {
    /// The gradient of the output; ones if absent, and then the output must have one element.
    pub upstream: Option<Tensor>,
    /// Inputs the output does not depend on get zeros instead of an error.
    pub allow_unused: bool,
}

/// The gradients of a scalar with respect to some tensors.
///
/// # Errors
/// The output is invalid, is no float, or has more than one element; an input has no path to it; an operation on the
/// way has no derivative (the error names it).
///
/// ```
/// use wgrad_graph::{Device, Tensor, grad};
/// let x = Tensor::new(&[3.0f32], &Device::cpu());
/// let y = (&x * &x).sum();
/// let dy = grad(&y, &[&x])?;
/// assert_eq!(dy[0].to_vec::<f32>()?, [6.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn grad(output: &Tensor, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    grad_with(output, inputs, &GradOptions::default())
}

/// As [`grad`], with options.
///
/// # Errors
/// As [`grad`]; the upstream gradient must have the output's shape.
#[track_caller]
pub fn grad_with(
    output: &Tensor,
    inputs: &[&Tensor],
    options: &GradOptions,
) -> Result<Vec<Tensor>> {
    output.check()?;
    for i in inputs {
        i.check()?;
    }
    let location = Location::caller();
    let fail = |message: String| Error::new(ErrorKind::Gradient, "grad", message).at(location);
    let seed = seed(output, options.upstream.as_ref()).map_err(fail)?;
    let _unchanged = history::hold();
    inputs.iter().for_each(|t| history::mark(t));
    let request = Request::new(&[output], inputs);
    if let Some(error) = &request.cut {
        return Err(error.clone().at(location));
    }
    // Those of another call are the same nodes, where nobody gave it an upstream gradient either.
    let known: FxHashMap<u64, Tensor> = match options.upstream {
        Some(_) => FxHashMap::default(),
        None => links::gradients(output).into_iter().collect(),
    };
    let gradients = pull_back(&[(output, &seed)], &request, &known, location)?;
    let all: Result<Vec<Tensor>> = inputs
        .iter()
        .map(|i| finish(&gradients, &request.path, i, options).map_err(fail))
        .collect();
    let all = all?;
    if options.upstream.is_none() {
        let new = gradients.iter().filter(|(id, _)| !known.contains_key(id));
        links::add_gradients(output, new.map(|(id, t)| (*id, t)));
    }
    links::join(&all, output);
    Ok(all)
}

/// The gradients of `inputs` alone, for a derivative rule that differentiates a graph of its own: `None` where the
/// gradient is zero, by rule or for want of a path.
#[track_caller]
pub(crate) fn pulled_back(
    output: &Tensor,
    inputs: &[&Tensor],
    upstream: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    pulled_back_all(&[(output, upstream)], inputs)
}

/// As [`pulled_back`], of several outputs, each with its upstream gradient.
#[track_caller]
pub(crate) fn pulled_back_all(
    outputs: &[(&Tensor, &Tensor)],
    inputs: &[&Tensor],
) -> Result<Vec<Option<Tensor>>> {
    let _unchanged = history::hold();
    let roots: Vec<&Tensor> = outputs.iter().map(|(output, _)| *output).collect();
    let request = Request::new(&roots, inputs);
    let location = Location::caller();
    if let Some(error) = request.cut {
        return Err(error.at(location));
    }
    let known = FxHashMap::default();
    let gradients = pull_back(outputs, &request, &known, location)?;
    Ok(inputs
        .iter()
        .map(|i| gradients.get(&i.0.id).cloned())
        .collect())
}

/// What a gradient is asked for.
pub(crate) struct Request {
    /// Ids of the inputs.
    wanted: FxHashSet<u64>,
    /// Ids of the nodes between output and inputs, both included, that carry floats.
    path: FxHashSet<u64>,
    /// The error of a node on the way whose operands were let go.
    cut: Option<Error>,
}

impl Request {
    fn new(outputs: &[&Tensor], inputs: &[&Tensor]) -> Request {
        let wanted = inputs.iter().map(|t| t.0.id).collect();
        let (path, cut) = on_path(outputs, &wanted);
        Request { wanted, path, cut }
    }

    /// Whether the gradient of this very tensor is asked for.
    pub(crate) fn names(&self, t: &Tensor) -> bool {
        self.wanted.contains(&t.0.id)
    }

    /// Whether a gradient has to reach this tensor.
    pub(crate) fn reaches(&self, t: &Tensor) -> bool {
        self.path.contains(&t.0.id)
    }
}

/// Gradients by id of every node of the path, walking down from the outputs, which are given with their own gradients.
/// `known` has some that are recorded already.
fn pull_back(
    outputs: &[(&Tensor, &Tensor)],
    request: &Request,
    known: &FxHashMap<u64, Tensor>,
    location: &'static Location<'static>,
) -> Result<FxHashMap<u64, Tensor>> {
    let _pause = Pause::new();
    let mut gradients: FxHashMap<u64, Tensor> = FxHashMap::default();
    let of_path = known.iter().filter(|(id, _)| request.path.contains(id));
    gradients.extend(of_path.map(|(id, t)| (*id, t.clone())));
    for (output, seed) in outputs {
        if request.reaches(output) && !known.contains_key(&output.0.id) {
            let sum = match gradients.remove(&output.0.id) {
                Some(before) => before + *seed,
                None => (*seed).clone(),
            };
            gradients.insert(output.0.id, sum);
        }
    }
    let open = |t: &Tensor| request.reaches(t) && !known.contains_key(&t.0.id);
    for node in descending(outputs, &request.path) {
        let Some(upstream) = gradients.get(&node.0.id).cloned() else {
            continue;
        };
        if !node.inputs().iter().any(open) {
            continue;
        }
        match derivative(&node, &upstream, request) {
            Derivative::Of(list) => add_up(&mut gradients, &node, list, &open)?,
            Derivative::NotDifferentiable => {
                let place = node.location();
                let message = format!("{} (recorded at {place}) has no derivative", node.op_name());
                return Err(Error::new(ErrorKind::Gradient, "grad", message).at(location));
            }
        }
    }
    Ok(gradients)
}

/// The derivative of a node by its rule. Rules are written for one dtype and compose several operations, so those of
/// f16 and bf16 nodes are applied to the node's operands and value in f32, and only what they give is rounded.
fn derivative(node: &Tensor, upstream: &Tensor, request: &Request) -> Derivative {
    let op = &node.0.op;
    let operands = node.operands();
    let cx = Derive {
        inputs: &operands,
        output: node,
        operands: &operands,
        request,
    };
    let halves = cx.inputs.iter().chain([node]).any(is_half);
    if !halves || !op.derives_in_f32() {
        return op.derivative(&cx, upstream);
    }
    let wide = |t: &Tensor| {
        if is_half(t) {
            t.cast(DType::F32)
        } else {
            t.clone()
        }
    };
    let inputs: Vec<Tensor> = cx.inputs.iter().map(wide).collect();
    let wide_operands: Vec<&Tensor> = inputs.iter().collect();
    let device = node.device().clone();
    let output = Tensor::record_on(op.clone(), &wide_operands, device, node.location());
    let cx = Derive {
        inputs: &inputs,
        output: &output,
        ..cx
    };
    let list = match op.derivative(&cx, &wide(upstream)) {
        Derivative::Of(list) => list,
        Derivative::NotDifferentiable => return Derivative::NotDifferentiable,
    };
    let narrow = |(given, operand): (Option<Tensor>, &Tensor)| {
        given.map(|g| {
            if is_half(operand) {
                g.cast(operand.dtype())
            } else {
                g
            }
        })
    };
    Derivative::Of(list.into_iter().zip(&operands).map(narrow).collect())
}

fn is_half(t: &Tensor) -> bool {
    t.dtype().is_half()
}

fn seed(output: &Tensor, upstream: Option<&Tensor>) -> Result<Tensor, String> {
    if !output.dtype().is_float() {
        return Err(format!(
            "only floats have gradients, the output is {}",
            output.dtype()
        ));
    }
    match upstream {
        Some(g) if g.shape() == output.shape() => Ok(g.cast(output.dtype())),
        Some(g) => Err(format!(
            "an upstream gradient of shape {:?} for an output of {:?}",
            g.shape(),
            output.shape()
        )),
        None if output.numel() == 1 => Ok(output.ones_like()),
        None => Err(format!(
            "an output of shape {:?} needs an upstream gradient",
            output.shape()
        )),
    }
}

/// Ids of the nodes between `outputs` and `inputs`, both included, that carry floats; and the error of a node on the way whose
/// operands were let go.
fn on_path(outputs: &[&Tensor], wanted: &FxHashSet<u64>) -> (FxHashSet<u64>, Option<Error>) {
    let lowest = wanted.iter().copied().min().unwrap_or(u64::MAX);
    let mut seen = FxHashSet::default();
    let mut stack: Vec<Tensor> = outputs.iter().map(|&t| t.clone()).collect();
    let (mut nodes, mut cut) = (Vec::new(), None);
    while let Some(t) = stack.pop() {
        // Operands have smaller ids, so nothing below the oldest input can lead to one.
        if t.0.id < lowest || !seen.insert(t.0.id) {
            continue;
        }
        if !wanted.contains(&t.0.id) {
            cut = cut.or_else(|| history::cut(&t));
        }
        stack.extend(t.inputs().iter().cloned());
        nodes.push(t);
    }
    nodes.sort_unstable_by_key(|t| t.0.id);
    let mut path = FxHashSet::default();
    for t in &nodes {
        let reaches = wanted.contains(&t.0.id) || t.inputs().iter().any(|i| path.contains(&i.0.id));
        if reaches && t.dtype().is_float() {
            path.insert(t.0.id);
        }
    }
    (path, cut)
}

/// Nodes of the path that `outputs` reach, users before operands.
fn descending(outputs: &[(&Tensor, &Tensor)], path: &FxHashSet<u64>) -> Vec<Tensor> {
    let mut seen = FxHashSet::default();
    let mut stack: Vec<Tensor> = outputs.iter().map(|(t, _)| (*t).clone()).collect();
    let mut nodes = Vec::new();
    while let Some(t) = stack.pop() {
        if !path.contains(&t.0.id) || !seen.insert(t.0.id) {
            continue;
        }
        stack.extend(t.inputs().iter().cloned());
        nodes.push(t);
    }
    nodes.sort_unstable_by_key(|t| std::cmp::Reverse(t.0.id));
    nodes
}

fn add_up(
    gradients: &mut FxHashMap<u64, Tensor>,
    node: &Tensor,
    list: Vec<Option<Tensor>>,
    open: &dyn Fn(&Tensor) -> bool,
) -> Result<()> {
    for (input, gradient) in node.operands().iter().zip(list) {
        let Some(gradient) = gradient.filter(|_| open(input)) else {
            continue;
        };
        gradient.check()?;
        if gradient.shape() != input.shape() || gradient.dtype() != input.dtype() {
            let message = format!(
                "the derivative of {} is {}{:?} for an operand {}{:?}",
                node.op_name(),
                gradient.dtype(),
                gradient.shape(),
                input.dtype(),
                input.shape()
            );
            return Err(Error::new(ErrorKind::Internal, "grad", message).at(node.location()));
        }
        let sum = match gradients.remove(&input.0.id) {
            Some(before) => before + gradient,
            None => gradient,
        };
        gradients.insert(input.0.id, sum);
    }
    Ok(())
}

fn finish(
    gradients: &FxHashMap<u64, Tensor>,
    path: &FxHashSet<u64>,
    input: &Tensor,
    options: &GradOptions,
) -> Result<Tensor, String> {
    if let Some(g) = gradients.get(&input.0.id) {
        return Ok(g.clone());
    }
    if !input.dtype().is_float() {
        return Err(format!(
            "only floats have gradients, an input is {}",
            input.dtype()
        ));
    }
    // On a path but without a gradient: the derivative is zero by rule (floor, an index).
    if path.contains(&input.0.id) || options.allow_unused {
        return Ok(input.zeros_like());
    }
    let place = input.location();
    Err(format!(
        "the output does not depend on the input {:?} made at {place}",
        input.shape()
    ))
}

/// A scalar with its gradients, from a function of tensors.
///
/// # Errors
/// As [`grad`].
///
/// ```
/// use wgrad_graph::{Device, Tensor, value_and_grad};
/// let x = Tensor::new(&[3.0f32], &Device::cpu());
/// let (y, dy) = value_and_grad(|x| x[0].square().sum(), &[&x])?;
/// assert_eq!((y.item::<f32>()?, dy[0].item::<f32>()?), (9.0, 6.0));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn value_and_grad(
    f: impl FnOnce(&[&Tensor]) -> Tensor,
    inputs: &[&Tensor],
) -> Result<(Tensor, Vec<Tensor>)> {
    let value = f(inputs);
    let gradients = grad(&value, inputs)?;
    Ok((value, gradients))
}
