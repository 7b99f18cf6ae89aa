//! The derivative of a loss by every parameter of a module, recorded and not yet run. Clipping and norms are more
//! recorded operations on it. Updates nothing.

use crate::module::Module;
use std::ops::Index;
use wgrad_graph::{DType, Error, ErrorKind, GradOptions, Result, Tensor, eval, grad_with};

/// A loss with its gradients by the parameters of a module, in visiting order; nothing has been run yet.
#[derive(Clone)]
pub struct Gradients {
    loss: Tensor,
    of: Vec<Tensor>,
    also: Vec<Tensor>,
}

/// The gradients of `loss` (one element) by every parameter of `model`.
///
/// Parameters that have no value yet (fresh from an initialiser) are computed first, all at once.
///
/// # Errors
/// The loss is invalid, or an operation on the way has no derivative. Parameters that the loss does not depend on, or
/// that are not floats: the error names them all.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Linear, gradients};
/// let device = Device::cpu();
/// let model = Linear::new(2, 1, &mut Generator::new(0), &device);
/// let x = Tensor::from_slice(&[3.0f32, 4.0], &[1, 2], &device);
/// let g = gradients(&model.forward(&x).sum(), &model)?;
/// assert_eq!(g[0].to_vec::<f32>()?, [3.0, 4.0]);
/// assert_eq!(g.global_norm().item::<f32>()?, 26.0f32.sqrt());
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn gradients(loss: &Tensor, model: &dyn Module) -> Result<Gradients> {
    gradients_with(loss, model, false)
}

/// As [`gradients`]; with `allow_unused`, parameters that the loss does not depend on get zeros (which an optimiser
/// applies like any other gradient: decay and momentum go on).
///
/// # Errors
/// As [`gradients`].
#[track_caller]
pub fn gradients_with(loss: &Tensor, model: &dyn Module, allow_unused: bool) -> Result<Gradients> {
    let parameters = model.parameters();
    let all: Vec<&Tensor> = parameters.iter().collect();
    eval(&all)?;
    let options = GradOptions {
        allow_unused,
        ..GradOptions::default()
    };
    match grad_with(loss, &all, &options) {
        Ok(of) => Ok(Gradients {
            loss: loss.clone(),
            of,
            also: Vec::new(),
        }),
        Err(e) => Err(name_unused(loss, model, &options, e)),
    }
}

/// The error with the names of the parameters that have no gradient, if it is they that caused it.
fn name_unused(loss: &Tensor, model: &dyn Module, options: &GradOptions, error: Error) -> Error {
    if error.kind() != ErrorKind::Gradient {
        return error;
    }
    let named = model.named_parameters();
    let fails = |t: &Tensor| grad_with(loss, &[t], options).is_err();
    let names: Vec<&str> = named
        .iter()
        .filter(|(_, t)| fails(t))
        .map(|(name, _)| name.as_str())
        .collect();
    // A loss of several elements is at fault itself.
    if names.is_empty() || loss.numel() != 1 {
        return error;
    }
    let message = format!("no gradient for {}: {}", names.join(", "), error.message());
    let named = Error::new(error.kind(), "gradients", message);
    match error.location() {
        Some(place) => named.at(place),
        None => named,
    }
}

impl Gradients {
    /// The loss they belong to; after an optimiser's step reading it costs no run.
    pub fn loss(&self) -> &Tensor {
        &self.loss
    }

    /// The gradients, in the visiting order of the module's parameters.
    pub fn of(&self) -> &[Tensor] {
        &self.of
    }

    /// Tensors to be computed in the same run.
    pub fn extra(&self) -> &[Tensor] {
        &self.also
    }

    /// Has `tensor` (predictions, a metric, the norm) computed in the same run as the optimiser's step.
    pub fn also(mut self, tensor: &Tensor) -> Gradients {
        self.also.push(tensor.clone());
        self
    }

    /// `√Σ g²` over all elements of all gradients; f32, rank 0.
    #[track_caller]
    pub fn global_norm(&self) -> Tensor {
        let squares = self.of.iter().map(|g| g.cast(DType::F32).square().sum());
        match squares.reduce(|a, b| a + b) {
            Some(sum) => sum.sqrt(),
            None => Tensor::scalar(0.0, DType::F32, self.loss.device()),
        }
    }

    /// All gradients times `min(1, max / (norm + 1e-6))`, as PyTorch's `clip_grad_norm_`.
    #[track_caller]
    pub fn clip_norm(mut self, max: f64) -> Gradients {
        let norm = self.global_norm();
        let factor = (max / (norm + 1e-6)).clamp(0.0, 1.0);
        for g in &mut self.of {
            *g = (&*g * &factor).cast(g.dtype());
        }
        self
    }
}

impl Index<usize> for Gradients {
    type Output = Tensor;

    /// The gradient by the parameter of this number.
    ///
    /// # Panics
    /// As a slice does, if there are not so many parameters.
    fn index(&self, index: usize) -> &Tensor {
        &self.of[index]
    }
}
