//! What all optimisers share: moments by parameter name, one evaluation for a step, and replacing tensors only after
//! it has succeeded.

use super::half;
use crate::gradients::Gradients;
use crate::module::{Kind, Module, by_name, identity, join, mismatch, replace};
use std::collections::{BTreeMap, HashMap};
use wgrad_graph::replay::{Outcome, is_tracing, stand_in};
use wgrad_graph::{Error, ErrorKind, Mark, Number, Result, Tensor, eval, eval_update};

/// Moments of every parameter, and the number of steps taken.
#[derive(Clone, Default)]
pub(crate) struct State {
    /// With those of pending runs.
    steps: u64,
    /// Runs whose outcome was not known when their steps were counted, with that number.
    pending: Vec<(Outcome, u64)>,
    slots: BTreeMap<String, Vec<Tensor>>,
    traced: TracedSteps,
    pub(crate) binding: Binding,
    /// The learning rate that stands for another one while a function is traced, and that one.
    nudge: Option<[f64; 2]>,
}

/// Runs that an optimiser waits for; with more it asks for their outcome.
const MAX_PENDING: usize = 256;

/// The moments of a parameter that a traced step made: first values, each with the stand-in that was used for it.
pub(crate) type Made = (String, Vec<(Tensor, Tensor)>);

/// What an optimiser did while a compiled function was traced.
#[derive(Clone, Default)]
pub struct TracedSteps {
    /// The cells of each step's numbers.
    pub(crate) cells: Vec<Vec<Number>>,
    /// Moments that were made.
    pub(crate) made: Vec<Made>,
}

/// The mark that the parameters bear which were written last. A clone of an optimiser has written none.
#[derive(Default)]
pub(crate) struct Binding(pub(crate) Option<Mark>);

impl Clone for Binding {
    fn clone(&self) -> Binding {
        Binding(None)
    }
}

/// A moment: what it is called, and the value that it starts with.
pub(crate) type Moment = (&'static str, f64);

/// What an update rule is given for one parameter.
pub(crate) struct Update<'a> {
    /// The numbers that change from step to step.
    pub(crate) numbers: &'a [Number],
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

    /// The parameter times number `at` if there is decoupled weight decay.
    #[track_caller]
    pub(crate) fn shrunk(&self, at: usize, weight_decay: f64) -> Tensor {
        if weight_decay == 0.0 {
            self.parameter.clone()
        } else {
            self.parameter * self.number(at)
        }
    }

    /// Number `at` of those that change from step to step, of the parameter's dtype.
    #[track_caller]
    pub(crate) fn number(&self, at: usize) -> Tensor {
        self.numbers[at].like(self.parameter)
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
    numbers: Vec<Number>,
    made: Vec<Made>,
    outcome: Outcome,
    slots: BTreeMap<String, Vec<Tensor>>,
    tensors: HashMap<String, Tensor>,
}

impl State {
    /// Records and evaluates a step, with these numbers that change from step to step. Changes nothing.
    #[track_caller]
    pub(crate) fn next(
        &self,
        model: &dyn Module,
        gradients: &Gradients,
        moments: &[Moment],
        numbers: &[f64],
        rule: &Rule,
    ) -> Result<Next> {
        let numbers: Vec<Number> = numbers.iter().map(|&v| Number::new(v)).collect();
        let parameters = unique(model, gradients)?;
        self.recognise(&parameters)?;
        let (before, made) = self.moments(&parameters, moments)?;
        let mut updated = Vec::with_capacity(parameters.len());
        for ((name, parameter, gradient), old) in parameters.iter().zip(&before) {
            let update = Update {
                numbers: &numbers,
                parameter,
                gradient,
                moments: old,
            };
            let (new, new_moments) = half::updated(rule, &update);
            check_update(name, parameter, &new)?;
            updated.push((name, new, new_moments));
        }
        let buffers = model.buffers();
        let mut pairs: Vec<(&Tensor, &Tensor)> = Vec::new();
        for (((_, parameter, _), old), (_, new, new_moments)) in
            parameters.iter().zip(&before).zip(&updated)
        {
            pairs.push((parameter, new));
            pairs.extend(old.iter().zip(new_moments));
        }
        let mut rest = vec![gradients.loss()];
        rest.extend(gradients.extra());
        rest.extend(buffers.iter().map(|(_, t)| t));
        let outcome = eval_update(&pairs, &rest)?;
        let mut next = Next {
            numbers,
            made,
            outcome,
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
        let mark = Mark::new();
        let written: Vec<Tensor> = next
            .slots
            .keys()
            .filter_map(|name| next.tensors.get(name).cloned())
            .collect();
        replace(model, &mut |name, _| next.tensors.remove(name));
        written.iter().for_each(|t| mark.put_on(t));
        self.binding = Binding(Some(mark));
        self.slots = next.slots;
        self.count(1, &next.outcome);
        if is_tracing() {
            self.traced.cells.push(next.numbers);
            self.traced.made.extend(next.made);
        }
    }

    /// An error if these are the parameters of another module than the one that was stepped last. Known again is a module
    /// one of whose parameters was written by the last step, or loaded or moved into the place of one that was, or
    /// computed from one. Where none is, all have been replaced; then the last step's parameters are gone, unless there
    /// are two modules.
    fn recognise(&self, parameters: &[(String, Tensor, Tensor)]) -> Result<()> {
        let Some(mark) = &self.binding.0 else {
            return Ok(());
        };
        let known = |f: &dyn Fn(&Tensor) -> bool| parameters.iter().any(|(_, p, _)| f(p));
        if known(&|p| mark.is_on(p)) || !mark.is_borne() || known(&|p| mark.is_below(p)) {
            return Ok(());
        }
        let names: Vec<&str> = parameters.iter().map(|(name, ..)| name.as_str()).collect();
        let message = format!(
            "this optimiser holds the moments of other parameters, which still exist, and not of {}: give each module an \
             optimiser of its own, or call load_moments if these have taken their place",
            names.join(", ")
        );
        Err(Error::new(ErrorKind::Value, "step", message))
    }

    /// What was done since the last call while a function was traced.
    pub(crate) fn take_traced(&mut self) -> TracedSteps {
        std::mem::take(&mut self.traced)
    }

    /// Steps taken, without those of runs that are known to have failed.
    pub(crate) fn steps(&self) -> u64 {
        let failed = |o: &Outcome| matches!(o.known(), Some(Err(_)));
        let pending = self.pending.iter();
        let lost: u64 = pending.filter(|(o, _)| failed(o)).map(|(_, n)| n).sum();
        self.steps - lost
    }

    /// Counts the steps of a run.
    pub(crate) fn count(&mut self, steps: u64, outcome: &Outcome) {
        #[cfg(not(target_arch = "wasm32"))]
        if let (true, Some((first, _))) = (self.pending.len() >= MAX_PENDING, self.pending.first())
        {
            // A failure counts as one below.
            let _ = first.wait();
        }
        self.steps = self.steps() + steps;
        self.pending.retain(|(o, _)| o.known().is_none());
        if self.pending.len() >= MAX_PENDING {
            self.pending.remove(0);
        }
        if outcome.known().is_none() {
            self.pending.push((outcome.clone(), steps));
        }
    }

    /// Puts a learning rate in the place of `lr` by which it shows if it is set, even to what it is.
    pub(crate) fn nudge(&mut self, lr: &mut f64) {
        self.nudge = Some([lr.next_up(), *lr]);
        *lr = lr.next_up();
    }

    /// The learning rate that `lr` stands for.
    pub(crate) fn calm(&self, lr: f64) -> f64 {
        match self.nudge {
            Some([nudged, own]) if nudged.to_bits() == lr.to_bits() => own,
            _ => lr,
        }
    }

    /// Goes on from what was loaded; a learning rate that stands for another one still does.
    pub(crate) fn become_loaded(&mut self, loaded: State) {
        let nudge = self.nudge;
        *self = State { nudge, ..loaded };
    }

    /// Takes first values of moments.
    pub(crate) fn admit(&mut self, made: &[Made]) {
        for (name, moments) in made {
            let first = moments.iter().map(|(first, _)| first.clone());
            self.slots.insert(name.clone(), first.collect());
        }
    }

    /// A copy that also knows which module was stepped.
    pub(crate) fn saved(&self) -> State {
        State {
            binding: Binding(self.binding.0.clone()),
            ..self.clone()
        }
    }

    /// Shows every moment under its name.
    pub(crate) fn visit(
        &self,
        path: &str,
        moments: &[Moment],
        visitor: &mut dyn FnMut(&str, Kind, &Tensor),
    ) {
        for (name, tensors) in &self.slots {
            let name = join(path, name);
            for ((kind, _), tensor) in moments.iter().zip(tensors) {
                visitor(&join(&name, kind), Kind::Buffer, tensor);
            }
        }
    }

    /// As [`State::visit`], for replacing moments.
    pub(crate) fn visit_mut(
        &mut self,
        path: &str,
        moments: &[Moment],
        visitor: &mut dyn FnMut(&str, Kind, &mut Tensor),
    ) {
        for (name, tensors) in &mut self.slots {
            let name = join(path, name);
            for ((kind, _), tensor) in moments.iter().zip(tensors) {
                visitor(&join(&name, kind), Kind::Buffer, tensor);
            }
        }
    }

    /// The moments of each parameter: those of the last step, or first values, which are computed here all at once so
    /// that the first step has the kernels of all others. While a function is traced, stand-ins are used for first values,
    /// which are given too.
    fn moments(
        &self,
        parameters: &[(String, Tensor, Tensor)],
        names: &[Moment],
    ) -> Result<(Vec<Vec<Tensor>>, Vec<Made>)> {
        let fresh = |p: &Tensor| -> Vec<Tensor> {
            names.iter().map(|(_, value)| p.full_like(*value)).collect()
        };
        let mut all: Vec<Vec<Tensor>> = parameters
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
                .find_map(|(m, (kind, _))| mismatch(&format!("{name}.{kind}"), parameter, m));
            let count = (moments.len() != names.len())
                .then(|| format!("{name} has {} moments, not {}", moments.len(), names.len()));
            if let Some(message) = problem.or(count) {
                return Err(Error::new(ErrorKind::Shape, "step", message));
            }
        }
        eval(&all.iter().flatten().collect::<Vec<_>>())?;
        let mut made = Vec::new();
        if is_tracing() {
            for ((name, ..), moments) in parameters.iter().zip(&mut all) {
                if !self.slots.contains_key(name) {
                    made.push((name.clone(), traced_moments(moments)?));
                }
            }
        }
        Ok((all, made))
    }

    /// From moments by name: parameter, dot, kind, as [`State::visit`] shows them.
    pub(crate) fn load(
        state: &[(String, Tensor)],
        moments: &[Moment],
        steps: u64,
    ) -> Result<State> {
        let given = by_name("load_state", state)?;
        let mut problems = Vec::new();
        let mut parameters = BTreeMap::new();
        for (&name, tensor) in &given {
            match name.rsplit_once('.') {
                Some((parameter, kind)) if moments.iter().any(|(m, _)| *m == kind) => {
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
            for (kind, _) in moments {
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
            ..State::default()
        })
    }
}

/// First values as leaves, each with the stand-in that takes its place.
fn traced_moments(moments: &mut [Tensor]) -> Result<Vec<(Tensor, Tensor)>> {
    let pairs = moments.iter_mut().map(|moment| {
        let first = moment.detach()?;
        *moment = stand_in(&first);
        Ok((first, moment.clone()))
    });
    pairs.collect()
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

/// An error unless `ok`.
pub(crate) fn require(ok: bool, message: impl Fn() -> String) -> Result<()> {
    if ok {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Value, "step", message()))
    }
}
