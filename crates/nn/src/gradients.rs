//! The derivative of a loss by every parameter of a module, recorded and not yet run. Clipping and norms are more
//! recorded operations on it. Updates nothing.

mod accumulated;
mod clip;
mod combine;

pub use accumulated::Accumulated;

use crate::module::{Module, identity};
use std::collections::{HashMap, HashSet};
use std::ops::Index;
use wgrad_graph::{Error, ErrorKind, GradOptions, Result, Tensor, eval, grad_with};

/// A loss with its gradients by the parameters of a module, in visiting order; nothing has been run yet.
///
/// Every method records and gives new gradients; those of a parameter that stands in two places are one.
#[derive(Clone)]
pub struct Gradients {
    loss: Tensor,
    of: Vec<Tensor>,
    names: Vec<String>,
    /// For each gradient the first that belongs to the same parameter.
    first: Vec<usize>,
    /// Parameters of the module, if they come from one.
    parameters: Option<usize>,
    also: Vec<Tensor>,
    /// Whether an optimiser is to take no step with them; bool, rank 0.
    skip: Option<Tensor>,
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
    let options = GradOptions {
        allow_unused,
        ..GradOptions::default()
    };
    gradients_of(loss, model, &options, &|_, _| true)
}

/// As [`gradients`], by the parameters alone for which `trains(name, tensor)` is true. The others are frozen: an
/// optimiser leaves them and their moments as they are. A parameter that stands in two places trains if it does under
/// both names.
///
/// # Errors
/// As [`gradients`].
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Linear, Optimizer, Sgd, gradients_where};
/// let device = Device::cpu();
/// let mut model = Linear::new(2, 1, &mut Generator::new(0), &device);
/// let x = Tensor::from_slice(&[3.0f32, 4.0], &[1, 2], &device);
/// let g = gradients_where(&model.forward(&x).sum(), &model, |name, _| name != "weight")?;
/// assert_eq!(g.names(), ["bias"]);
/// let before = model.weight.clone();
/// Sgd::new(0.1).step(&mut model, &g)?;
/// assert!(model.weight.same(&before));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn gradients_where(
    loss: &Tensor,
    model: &dyn Module,
    trains: impl Fn(&str, &Tensor) -> bool,
) -> Result<Gradients> {
    gradients_of(loss, model, &GradOptions::default(), &trains)
}

#[track_caller]
fn gradients_of(
    loss: &Tensor,
    model: &dyn Module,
    options: &GradOptions,
    trains: &dyn Fn(&str, &Tensor) -> bool,
) -> Result<Gradients> {
    let mut named = model.named_parameters();
    let total = named.len();
    let frozen = |(name, t): &&(String, Tensor)| !trains(name, t);
    let frozen: HashSet<usize> = named
        .iter()
        .filter(frozen)
        .map(|(_, t)| identity(t))
        .collect();
    named.retain(|(_, t)| !frozen.contains(&identity(t)));
    let all: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    eval(&all)?;
    match grad_with(loss, &all, options) {
        Ok(of) => {
            let mut places = HashMap::new();
            let place = |(at, t): (usize, &&Tensor)| *places.entry(identity(t)).or_insert(at);
            let first = all.iter().enumerate().map(place).collect();
            Ok(Gradients {
                loss: loss.clone(),
                of,
                names: named.into_iter().map(|(name, _)| name).collect(),
                first,
                parameters: Some(total),
                also: Vec::new(),
                skip: None,
            })
        }
        Err(e) => Err(name_unused(loss, &named, options, e)),
    }
}

/// The error with the names of the parameters that have no gradient, if it is they that caused it.
fn name_unused(
    loss: &Tensor,
    named: &[(String, Tensor)],
    options: &GradOptions,
    error: Error,
) -> Error {
    if error.kind() != ErrorKind::Gradient {
        return error;
    }
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

    /// The parameters' names, in the order of [`Gradients::of`].
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many gradients there are.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Every gradient with its parameter's name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.of)
    }

    /// The gradient by the parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let at = self.names.iter().position(|n| n == name)?;
        Some(&self.of[at])
    }

    /// Computes the loss, all gradients and the extras in one run, so that reading them costs nothing more.
    ///
    /// # Errors
    /// As [`wgrad_graph::eval`].
    pub fn eval(&self) -> Result<()> {
        let rest = [&self.loss].into_iter().chain(&self.also);
        eval(&self.of.iter().chain(rest).collect::<Vec<_>>())
    }

    /// Parameters of the module that they belong to, those without a gradient too, if that is known.
    pub(crate) fn parameters(&self) -> Option<usize> {
        self.parameters
    }

    /// Whether an optimiser is to take no step with them, if that is not known.
    pub(crate) fn skip(&self) -> Option<&Tensor> {
        self.skip.as_ref()
    }

    /// Those with which an optimiser takes no step where `skip` is true.
    pub(crate) fn skipped_where(self, skip: Tensor) -> Gradients {
        let skip = Some(skip);
        Gradients { skip, ..self }
    }

    /// Those of another loss.
    pub(crate) fn with_loss(self, loss: &Tensor) -> Gradients {
        let loss = loss.clone();
        Gradients { loss, ..self }
    }

    /// Each parameter's gradient once.
    fn each(&self) -> impl Iterator<Item = &Tensor> {
        let places = self.first.iter().enumerate();
        places
            .filter(|(at, first)| at == *first)
            .map(|(at, _)| &self.of[at])
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
