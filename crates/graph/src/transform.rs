//! Transformations of functions beyond the gradient: forward mode, Hessian-vector products and batching.

use crate::autodiff::{GradOptions, grad_with};
use crate::depth::Pause;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::Op;
use crate::ops::input::Input;
use crate::ops::random::Random;
use crate::tensor::{Tensor, next_id};
use rustc_hash::FxHashMap;
use std::panic::Location;

/// The derivative of `output` along a direction: `Σ ∂output/∂inputs[i] · directions[i]`, of the output's shape.
/// Forward mode: the gradient of the vector-Jacobian product with respect to its vector, so every operation that
/// has a gradient has this too.
///
/// # Errors
/// A direction has not its input's shape; otherwise as [`grad`](crate::grad). Inputs that the output does not depend
/// on count as zero.
///
/// ```
/// use wgrad_graph::{Device, Tensor, jvp};
/// let d = Device::cpu();
/// let x = Tensor::new(&[1.0f32, 2.0], &d);
/// let y = x.square();
/// let dy = jvp(&y, &[&x], &[&Tensor::new(&[1.0f32, 10.0], &d)])?;
/// assert_eq!(dy.to_vec::<f32>()?, [2.0, 40.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn jvp(output: &Tensor, inputs: &[&Tensor], directions: &[&Tensor]) -> Result<Tensor> {
    output.check()?;
    let _pause = Pause::new();
    // A stand-in whose value never matters: the product is linear in it.
    let upstream = output.zeros_like();
    let options = GradOptions {
        upstream: Some(upstream.clone()),
        allow_unused: true,
    };
    let pulled = grad_with(output, inputs, &options)?;
    let total = weighted(&pulled, directions, "jvp")?;
    let options = GradOptions {
        upstream: None,
        allow_unused: true,
    };
    let mut list = grad_with(&total, &[&upstream], &options)?;
    Ok(list.swap_remove(0))
}

/// The product of a scalar's Hessian with a vector, without the Hessian: the gradient of the gradient's projection.
///
/// # Errors
/// As [`jvp`].
///
/// ```
/// use wgrad_graph::{Device, Tensor, hvp};
/// let d = Device::cpu();
/// let x = Tensor::new(&[1.0f32, 2.0], &d);
/// let y = (&x * &x * &x).sum();
/// let h = hvp(&y, &[&x], &[&Tensor::new(&[1.0f32, 1.0], &d)])?;
/// assert_eq!(h[0].to_vec::<f32>()?, [6.0, 12.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn hvp(output: &Tensor, inputs: &[&Tensor], directions: &[&Tensor]) -> Result<Vec<Tensor>> {
    let _pause = Pause::new();
    let options = GradOptions {
        upstream: None,
        allow_unused: true,
    };
    let gradients = grad_with(output, inputs, &options)?;
    let total = weighted(&gradients, directions, "hvp")?;
    grad_with(&total, inputs, &options)
}

/// `Σ gradients[i] · directions[i]`.
#[track_caller]
fn weighted(gradients: &[Tensor], directions: &[&Tensor], op: &str) -> Result<Tensor> {
    let location = Location::caller();
    let fail = |m: String| Error::new(ErrorKind::Shape, op, m).at(location);
    if gradients.len() != directions.len() || gradients.is_empty() {
        return Err(fail(format!(
            "{} inputs and {} directions",
            gradients.len(),
            directions.len()
        )));
    }
    let mut total: Option<Tensor> = None;
    for (i, (g, v)) in gradients.iter().zip(directions).enumerate() {
        v.check()?;
        if g.shape() != v.shape() {
            return Err(fail(format!(
                "direction {i} has shape {:?}, its input {:?}",
                v.shape(),
                g.shape()
            )));
        }
        let part = (g * *v).sum();
        total = Some(match total {
            Some(t) => t + part,
            None => part,
        });
    }
    total.ok_or_else(|| fail("there are no inputs".into()))
}

/// What [`vmap_with`] makes of random numbers that its function draws, as PyTorch's `randomness`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Randomness {
    /// Drawing is an error.
    #[default]
    Error,
    /// All examples get the same numbers, those that the function draws for one.
    Same,
    /// Every example gets numbers of its own; the first gets those of [`Randomness::Same`].
    Different,
}

/// Applies a function of single examples to a batch at once: `inputs[i]` holds examples along its first dimension,
/// `f` sees one of each, and its results come back with a first dimension more. `f` may use any other tensor, which
/// all examples share, and may take gradients: so one call gives per-example gradients.
///
/// # Errors
/// The inputs have no first dimension, or not the same; `f` fails; a result depends on random numbers that `f` draws:
/// see [`vmap_with`]. Bad operations inside `f` give invalid tensors as everywhere.
///
/// ```
/// use wgrad_graph::{Device, Tensor, grad, vmap};
/// let d = Device::cpu();
/// let w = Tensor::new(&[2.0f32, 3.0], &d);
/// let x = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0], &[2, 2], &d);
/// // The gradient of (w·x)² for each row of x.
/// let g = vmap(|x| grad(&(&w * &x[0]).sum().square(), &[&w]), &[&x])?;
/// assert_eq!(g[0].to_vec::<f32>()?, [4.0, 0.0, 0.0, 6.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn vmap(
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    vmap_with(f, inputs, Randomness::Error)
}

/// As [`vmap`], where `randomness` says what becomes of random numbers that `f` draws. Numbers drawn before the call are
/// shared like any other tensor. With an empty batch nothing is drawn.
///
/// # Errors
/// As [`vmap`]; with [`Randomness::Error`], that a result depends on such numbers: the error says where they are drawn.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Randomness, Tensor, vmap_with};
/// let d = Device::cpu();
/// let x = Tensor::zeros(&[2, 3], DType::F32, &d);
/// let mut noisy = |how| {
///     let mut rng = Generator::new(1);
///     let y = vmap_with(|x| Ok(vec![&x[0] + rng.uniform(&[3], &d)]), &[&x], how)?;
///     y[0].to_vec::<f32>()
/// };
/// let (same, different) = (noisy(Randomness::Same)?, noisy(Randomness::Different)?);
/// assert_eq!(same[..3], same[3..]);
/// assert_ne!(different[..3], different[3..]);
/// assert!(noisy(Randomness::Error).is_err());
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn vmap_with(
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[&Tensor],
    randomness: Randomness,
) -> Result<Vec<Tensor>> {
    let location = Location::caller();
    let fail = |m: String| Error::new(ErrorKind::Shape, "vmap", m).at(location);
    let Some(size) = inputs.first().and_then(|t| t.shape().first().copied()) else {
        return Err(fail(
            "needs at least one input with a batch dimension".into(),
        ));
    };
    for t in inputs {
        t.check()?;
        if t.shape().first() != Some(&size) {
            return Err(fail(format!(
                "batch sizes differ: {size} and {:?}",
                t.shape()
            )));
        }
    }
    let first_id = next_id();
    let examples: Vec<Tensor> = inputs.iter().map(|t| placeholder(t)).collect();
    let results = f(&examples)?;
    let _pause = Pause::new();
    let mut batching = Batching {
        size,
        known: FxHashMap::default(),
        randomness,
        first_id,
    };
    for (example, whole) in examples.iter().zip(inputs) {
        batching.known.insert(example.0.id, Some((*whole).clone()));
    }
    results.iter().map(|r| batching.result(r)).collect()
}

/// A leaf without a value that stands for one example.
#[track_caller]
fn placeholder(batch: &Tensor) -> Tensor {
    Tensor::symbol(&batch.shape()[1..], batch.dtype(), batch.device())
}

/// Nodes and what they become: a batched tensor, or nothing where they do not depend on the examples.
struct Batching {
    size: usize,
    known: FxHashMap<u64, Option<Tensor>>,
    randomness: Randomness,
    /// Of the nodes that the function recorded.
    first_id: u64,
}

impl Batching {
    fn result(&mut self, t: &Tensor) -> Result<Tensor> {
        t.check()?;
        self.visit(t)?;
        let out = self.batched(t);
        out.check()?;
        Ok(out)
    }

    /// Transforms everything below `t`, operands first.
    fn visit(&mut self, t: &Tensor) -> Result<()> {
        let _unchanged = crate::history::hold();
        let mut stack = vec![t.clone()];
        while let Some(t) = stack.last().cloned() {
            if self.known.contains_key(&t.0.id) {
                stack.pop();
                continue;
            }
            let missing: Vec<Tensor> = t
                .inputs()
                .iter()
                .filter(|i| !self.known.contains_key(&i.0.id))
                .cloned()
                .collect();
            if !missing.is_empty() {
                stack.extend(missing);
                continue;
            }
            if let (Op::Random(draw), true) = (&t.0.op, t.0.id >= self.first_id) {
                let batched = self.drawn(&t, draw)?;
                self.known.insert(t.0.id, batched);
                stack.pop();
                continue;
            }
            let depends = t
                .inputs()
                .iter()
                .any(|i| matches!(self.known.get(&i.0.id), Some(Some(_))));
            let new = depends.then(|| {
                let operands: Vec<Tensor> = t.inputs().iter().map(|i| self.batched(i)).collect();
                t.0.op.batch(&operands)
            });
            self.known.insert(t.0.id, new);
            stack.pop();
        }
        Ok(())
    }

    /// What a draw of the function becomes.
    fn drawn(&self, t: &Tensor, draw: &Random) -> Result<Option<Tensor>> {
        match self.randomness {
            Randomness::Error => {
                let message = "the function draws random numbers: write vmap_with(…, Randomness::Same) for the same \
                               numbers in all examples, or Randomness::Different for others in each";
                Err(Error::new(ErrorKind::Value, "vmap", message).at(t.location()))
            }
            Randomness::Same => Ok(None),
            Randomness::Different => {
                let shape = [&[self.size], draw.shape.as_slice()].concat();
                let whole = Random {
                    shape,
                    ..draw.clone()
                };
                let device = t.device().clone();
                Ok(Some(Tensor::record_on(
                    whole.into(),
                    &[],
                    device,
                    t.location(),
                )))
            }
        }
    }

    /// The batched form; what does not depend on the examples is repeated, as a view.
    fn batched(&self, t: &Tensor) -> Tensor {
        match self.known.get(&t.0.id) {
            Some(Some(batched)) => batched.clone(),
            _ => {
                let mut shape = vec![self.size];
                shape.extend(t.shape());
                t.unsqueeze(0).expand_to(&shape)
            }
        }
    }
}

impl Tensor {
    /// A leaf without a value, for tracing. Reading it is an error.
    #[track_caller]
    pub(crate) fn symbol(shape: &[usize], dtype: crate::DType, device: &crate::Device) -> Tensor {
        Tensor::leaf(Op::Input(Input), shape, dtype, device)
    }
}
