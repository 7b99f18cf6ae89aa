//! What all optimisers share: moments by parameter name, one evaluation for a step, and replacing tensors only after
//! it has succeeded.

use crate::gradients::Gradients;
use crate::module::{Kind, Module, by_name, identity, mismatch, replace};
use std::collections::{BTreeMap, HashMap};
use std::task::{Context, Poll, Waker};
use wgrad_graph::{DType, Error, ErrorKind, Result, Tensor, eval, f16};

/// Moments of every parameter, and the number of steps taken.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) steps: u64,
    slots: BTreeMap<String, Vec<Tensor>>,
}

/// What an update rule is given for one parameter.
pub(crate) struct Update<'a> {
    /// Number of this step, from 1.
    pub(crate) step: u64,
    /// Whether the parameter has no moments from an earlier step (they are zeros).
    pub(crate) first: bool,
    pub(crate) parameter: &'a Tensor,
    pub(crate) gradient: &'a Tensor,
    pub(crate) moments: &'a [Tensor],
}

impl Update<'_> {
    /// The gradient, negated to ascend, with `weight_decay · p` added.
    #[track_caller]
    pub(crate) fn direction(&self, maximize: bool, weight_decay: f64) -> Tensor {
        let g = if maximize {
            self.gradient.neg()
        } else {
            self.gradient.clone()
        };
        if weight_decay == 0.0 {
            g
        } else {
            g + self.parameter * weight_decay
        }
    }

    /// The parameter, shrunk by `lr · weight_decay` of itself.
    #[track_caller]
    pub(crate) fn shrunk(&self, lr: f64, weight_decay: f64) -> Tensor {
        if weight_decay == 0.0 {
            self.parameter.clone()
        } else {
            self.parameter * (1.0 - lr * weight_decay)
        }
    }

    /// A moment, which starts as `value`.
    #[track_caller]
    pub(crate) fn moment(&self, at: usize, value: f64) -> Tensor {
        if self.first && value != 0.0 {
            self.parameter.full_like(value)
        } else {
            self.moments[at].clone()
        }
    }
}

/// Whether a number is finite and not negative.
pub(crate) fn fits(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// A new parameter and its new moments, from an [`Update`].
pub(crate) type Rule<'a> = dyn Fn(&Update) -> (Tensor, Vec<Tensor>) + 'a;

/// The evaluated outcome of a step, all leaves.
pub(crate) struct Next {
    slots: BTreeMap<String, Vec<Tensor>>,
    tensors: HashMap<String, Tensor>,
}

impl State {
    /// Records and evaluates a step. Changes nothing.
    #[track_caller]
    pub(crate) fn next(
        &self,
        model: &dyn Module,
        gradients: &Gradients,
        moments: &[&str],
        rule: &Rule,
    ) -> Result<Next> {
        let parameters = unique(model, gradients)?;
        let before = self.moments(&parameters, moments)?;
        let mut updated = Vec::with_capacity(parameters.len());
        for ((name, parameter, gradient), old) in parameters.iter().zip(&before) {
            let first = !self.slots.contains_key(name);
            let (new, new_moments) = rule(&Update {
                step: self.steps + 1,
                first,
                parameter,
                gradient,
                moments: old,
            });
            check_update(name, parameter, &new)?;
            updated.push((name, new, new_moments));
        }
        let buffers = model.buffers();
        let mut all: Vec<&Tensor> = vec![gradients.loss()];
        all.extend(gradients.extra());
        all.extend(
            updated
                .iter()
                .flat_map(|(_, new, moments)| std::iter::once(new).chain(moments)),
        );
        all.extend(buffers.iter().map(|(_, t)| t));
        eval(&all)?;
        met_bad_index(gradients.loss())?;
        let mut next = Next {
            slots: BTreeMap::new(),
            tensors: HashMap::new(),
        };
        for (name, new, moments) in &updated {
            next.tensors.insert((*name).clone(), new.detach()?);
            next.slots.insert(
                (*name).clone(),
                moments.iter().map(Tensor::detach).collect::<Result<_>>()?,
            );
        }
        for (name, buffer) in buffers {
            next.tensors.insert(name, buffer.detach()?);
        }
        Ok(next)
    }

    /// Puts an evaluated step into the tree.
    pub(crate) fn commit(&mut self, model: &mut dyn Module, mut next: Next) {
        replace(model, &mut |name, _| next.tensors.remove(name));
        self.slots = next.slots;
        self.steps += 1;
    }

    /// The moments of each parameter: those of the last step, or zeros, which are computed here all at once so that
    /// the first step has the kernels of all others.
    fn moments(
        &self,
        parameters: &[(String, Tensor, Tensor)],
        names: &[&str],
    ) -> Result<Vec<Vec<Tensor>>> {
        let fresh = |p: &Tensor| -> Vec<Tensor> { names.iter().map(|_| p.zeros_like()).collect() };
        let all: Vec<Vec<Tensor>> = parameters
            .iter()
            .map(|(name, parameter, _)| match self.slots.get(name) {
                Some(moments) => moments.clone(),
                None => fresh(parameter),
            })
            .collect();
        for ((name, parameter, _), moments) in parameters.iter().zip(&all) {
            let problem = moments
                .iter()
                .zip(names)
                .find_map(|(m, kind)| mismatch(&format!("{name}.{kind}"), parameter, m));
            let count = (moments.len() != names.len())
                .then(|| format!("{name} has {} moments, not {}", moments.len(), names.len()));
            if let Some(message) = problem.or(count) {
                return Err(Error::new(ErrorKind::Shape, "step", message));
            }
        }
        eval(&all.iter().flatten().collect::<Vec<_>>())?;
        Ok(all)
    }

    /// The moments by name: parameter, dot, kind.
    pub(crate) fn named(&self, moments: &[&str]) -> Vec<(String, Tensor)> {
        let of = |(name, tensors): (&String, &Vec<Tensor>)| -> Vec<(String, Tensor)> {
            moments
                .iter()
                .zip(tensors)
                .map(|(kind, t)| (format!("{name}.{kind}"), t.clone()))
                .collect()
        };
        self.slots.iter().flat_map(of).collect()
    }

    /// The reverse of [`State::named`].
    pub(crate) fn load(state: &[(String, Tensor)], moments: &[&str], steps: u64) -> Result<State> {
        let given = by_name("load_state", state)?;
        let mut problems = Vec::new();
        let mut parameters = BTreeMap::new();
        for (&name, tensor) in &given {
            match name.rsplit_once('.') {
                Some((parameter, kind)) if moments.contains(&kind) => {
                    parameters.insert(parameter, Vec::with_capacity(moments.len()));
                }
                _ => problems.push(format!("unexpected {name}")),
            }
            problems.extend(
                tensor
                    .check()
                    .err()
                    .map(|e| format!("{name} is invalid: {e}")),
            );
        }
        for (parameter, tensors) in &mut parameters {
            for kind in moments {
                match given.get(format!("{parameter}.{kind}").as_str()) {
                    Some(&t) => tensors.push(t.clone()),
                    None => problems.push(format!("missing {parameter}.{kind}")),
                }
            }
        }
        if !problems.is_empty() {
            return Err(Error::new(
                ErrorKind::Value,
                "load_state",
                problems.join("; "),
            ));
        }
        Ok(State {
            steps,
            slots: parameters
                .into_iter()
                .map(|(name, t)| (name.to_string(), t))
                .collect(),
        })
    }
}

/// Name, value and gradient of every parameter; one that stands in two places comes once, by its first name.
fn unique(model: &dyn Module, gradients: &Gradients) -> Result<Vec<(String, Tensor, Tensor)>> {
    let mut parameters = Vec::new();
    model.visit("", &mut |name, kind, tensor| {
        if kind == Kind::Parameter {
            parameters.push((name.to_string(), tensor.clone()));
        }
    });
    let of = gradients.of();
    if parameters.len() != of.len() {
        let message = format!("{} gradients for {} parameters", of.len(), parameters.len());
        return Err(Error::new(ErrorKind::Shape, "step", message));
    }
    let mut seen = HashMap::new();
    let mut out = Vec::with_capacity(of.len());
    for ((name, parameter), gradient) in parameters.into_iter().zip(of) {
        gradient.check()?;
        if let Some(problem) = mismatch(&format!("the gradient of {name}"), &parameter, gradient) {
            return Err(Error::new(ErrorKind::Shape, "step", problem));
        }
        if seen.insert(identity(&parameter), ()).is_none() {
            out.push((name, parameter, gradient.clone()));
        }
    }
    Ok(out)
}

fn check_update(name: &str, old: &Tensor, new: &Tensor) -> Result<()> {
    new.check()?;
    match mismatch(name, old, new) {
        Some(message) => Err(Error::new(ErrorKind::Internal, "step", message)),
        None => Ok(()),
    }
}

/// The error of a bad index met by the run. On the cpu it is known by now and reading costs nothing; other devices
/// tell it with the next read, for a training step must not wait for one.
fn met_bad_index(loss: &Tensor) -> Result<()> {
    if loss.device().to_string() != "cpu" {
        return Ok(());
    }
    match loss.dtype() {
        DType::F16 => now(loss.to_vec_async::<f16>()),
        _ => now(loss.to_vec_async::<f32>()),
    }
}

/// The outcome of a future that is ready at once.
fn now<T>(future: impl Future<Output = Result<T>>) -> Result<()> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map(|_| ()),
        Poll::Pending => Ok(()),
    }
}

/// An error unless `ok`.
pub(crate) fn require(ok: bool, message: impl Fn() -> String) -> Result<()> {
    if ok {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Value, "step", message()))
    }
}
