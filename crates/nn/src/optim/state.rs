//! What all optimisers share: moments by parameter name, one evaluation for a step, and replacing tensors only after
//! it has succeeded.

use super::half;
use super::parameters::{Trained, check_moments, check_update, roll_back, unique};
use crate::gradients::Gradients;
use crate::module::{Kind, Module, by_name, join, mismatch, replace};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use wgrad_graph::replay::{Outcome, is_tracing, stand_in};
use wgrad_graph::{DType, Error, ErrorKind, Mark, Number, Result, Tensor, eval, eval_update};

/// Moments of every parameter, and the number of steps taken.
#[derive(Clone, Default)]
pub(crate) struct State {
    /// With those of pending runs.
    steps: u64,
    /// Runs whose outcome was not known when their steps were counted, with that number.
    pending: Vec<(Outcome, u64)>,
    slots: Slots,
    /// Steps that were left out for gradients that are not finite, which `steps` counts too; i32, rank 0.
    pub(crate) skipped: Option<Tensor>,
    traced: TracedSteps,
    pub(crate) binding: Binding,
    /// The learning rate that stands for another one while a function is traced, and that one.
    nudge: Option<[f64; 2]>,
}

/// Runs that an optimiser waits for; with more it asks for their outcome.
const MAX_PENDING: usize = 256;

/// The moments of each parameter, with what they are called.
type Slots = BTreeMap<String, Vec<(&'static str, Tensor)>>;

/// The moments of a parameter that a traced step made: what they are called, and first values, each with the stand-in that
/// was used for it.
pub(crate) type Made = (String, Vec<&'static str>, Vec<(Tensor, Tensor)>);

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

/// What is done with some of the parameters in a step.
pub(crate) struct Setting<'a> {
    pub(crate) moments: Vec<Moment>,
    /// The numbers that change from step to step.
    pub(crate) numbers: Vec<f64>,
    pub(crate) rule: &'a Rule<'a>,
}

/// What is done with each parameter in a step.
pub(crate) struct Rules<'a> {
    pub(crate) settings: Vec<Setting<'a>>,
    /// The number of a parameter's setting.
    pub(crate) of: &'a dyn Fn(&str, &Tensor) -> usize,
}

/// The evaluated outcome of a step, all leaves.
pub(crate) struct Next {
    numbers: Vec<Number>,
    made: Vec<Made>,
    outcome: Outcome,
    slots: Slots,
    skipped: Option<Tensor>,
    tensors: HashMap<String, Tensor>,
}

impl State {
    /// Records and evaluates a step. Changes nothing. Sets `ran` before it evaluates.
    #[track_caller]
    pub(crate) fn next(
        &self,
        model: &dyn Module,
        gradients: &Gradients,
        rules: &Rules,
        ran: &Cell<bool>,
    ) -> Result<Next> {
        let cell = |s: &Setting| s.numbers.iter().map(|&v| Number::new(v)).collect();
        let numbers: Vec<Vec<Number>> = rules.settings.iter().map(cell).collect();
        let (parameters, frozen) = unique(model, gradients, rules.of)?;
        self.recognise(&parameters)?;
        let (before, mut made) = self.moments(&parameters, rules)?;
        let mut updated = Vec::with_capacity(parameters.len());
        for (t, old) in parameters.iter().zip(&before) {
            let update = Update {
                numbers: &numbers[t.setting],
                parameter: &t.parameter,
                gradient: &t.gradient,
                moments: old,
            };
            let new = half::updated(rules.settings[t.setting].rule, &update);
            check_update(&t.name, &t.parameter, &new.0)?;
            updated.push(match gradients.skip() {
                Some(skip) => kept_where(skip, &update, new),
                None => new,
            });
        }
        let buffers = model.buffers();
        let mut pairs: Vec<(&Tensor, &Tensor)> = Vec::new();
        for ((t, old), (new, new_moments)) in parameters.iter().zip(&before).zip(&updated) {
            pairs.push((&t.parameter, new));
            pairs.extend(old.iter().zip(new_moments));
        }
        let mut rest = vec![gradients.loss()];
        rest.extend(gradients.extra());
        // What a forward pass has put into the tree replaces what was there only if the step does not fail.
        let replaced: Vec<Option<Tensor>> = buffers.iter().map(|(_, t)| t.replaced()).collect();
        for ((name, new), old) in buffers.iter().zip(&replaced) {
            match old
                .as_ref()
                .filter(|old| mismatch(name, old, new).is_none())
            {
                Some(old) => pairs.push((old, new)),
                None => rest.push(new),
            }
        }
        let skips = gradients.skip().map(|skip| self.skips(skip, &mut made));
        let skips = skips.transpose()?;
        pairs.extend(skips.iter().map(|(old, new)| (old, new)));
        ran.set(true);
        let outcome = eval_update(&pairs, &rest)?;
        let mut next = Next {
            numbers: numbers.into_iter().flatten().collect(),
            made,
            outcome,
            slots: BTreeMap::new(),
            skipped: match skips {
                Some((_, new)) => Some(new.detach()?),
                None => self.skipped.clone(),
            },
            tensors: HashMap::new(),
        };
        let kept = self.slots.iter().filter(|(name, _)| frozen.contains(*name));
        next.slots
            .extend(kept.map(|(name, slot)| (name.clone(), slot.clone())));
        for (t, (new, moments)) in parameters.iter().zip(&updated) {
            next.tensors.insert(t.name.clone(), new.detach()?);
            let kinds = rules.settings[t.setting].moments.iter();
            let slot = kinds
                .zip(moments)
                .map(|((kind, _), m)| Ok((*kind, m.detach()?)));
            next.slots
                .insert(t.name.clone(), slot.collect::<Result<_>>()?);
        }
        for (name, buffer) in buffers {
            next.tensors.insert(name, buffer.detach()?);
        }
        Ok(next)
    }

    /// The steps that were left out so far, and with one more where `skip` is true. A count that begins while a function
    /// is traced is made as moments are.
    #[track_caller]
    fn skips(&self, skip: &Tensor, made: &mut Vec<Made>) -> Result<(Tensor, Tensor)> {
        let mut old = vec![match &self.skipped {
            Some(skipped) => skipped.clone(),
            None => Tensor::from_slice(&[0i32], &[], skip.device()),
        }];
        if self.skipped.is_none() && is_tracing() {
            made.push((String::new(), Vec::new(), traced_moments(&mut old)?));
        }
        let old = old.swap_remove(0);
        let new = &old + skip.cast(DType::I32);
        Ok((old, new))
    }

    /// Ends a step. Where its run has failed, buffers that were recorded with the loss are what they were to replace.
    pub(crate) fn finish(
        &mut self,
        model: &mut dyn Module,
        next: Result<Next>,
        ran: bool,
    ) -> Result<()> {
        match next {
            Ok(next) => self.commit(model, next),
            Err(e) => {
                if ran {
                    roll_back(model);
                }
                return Err(e);
            }
        }
        Ok(())
    }

    /// Puts an evaluated step into the tree.
    fn commit(&mut self, model: &mut dyn Module, mut next: Next) {
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
        self.skipped = next.skipped;
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
    fn recognise(&self, parameters: &[Trained]) -> Result<()> {
        let Some(mark) = &self.binding.0 else {
            return Ok(());
        };
        let known = |f: &dyn Fn(&Tensor) -> bool| parameters.iter().any(|t| f(&t.parameter));
        if known(&|p| mark.is_on(p)) || !mark.is_borne() || known(&|p| mark.is_below(p)) {
            return Ok(());
        }
        let names: Vec<&str> = parameters.iter().map(|t| t.name.as_str()).collect();
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

    /// Steps taken, without those that were left out either. While a function is traced, and in a browser, these cannot be
    /// told apart.
    pub(crate) fn taken(&self) -> u64 {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(skipped) = self.skipped.as_ref().filter(|_| !is_tracing()) {
            let skipped = skipped.item::<i32>().map_or(0, i32::unsigned_abs);
            return self.steps().saturating_sub(u64::from(skipped));
        }
        self.steps()
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

    /// Takes first values of moments, and of the count of steps that were left out, which is of no kind.
    pub(crate) fn admit(&mut self, made: &[Made]) {
        for (name, kinds, moments) in made {
            if kinds.is_empty() && !moments.is_empty() {
                self.skipped = moments.first().map(|(first, _)| first.clone());
                continue;
            }
            let first = moments.iter().map(|(first, _)| first.clone());
            let slot = kinds.iter().copied().zip(first).collect();
            self.slots.insert(name.clone(), slot);
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
    pub(crate) fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Kind, &Tensor)) {
        for (name, slot) in &self.slots {
            let name = join(path, name);
            for (kind, tensor) in slot {
                visitor(&join(&name, kind), Kind::Buffer, tensor);
            }
        }
    }

    /// As [`State::visit`], for replacing moments.
    pub(crate) fn visit_mut(
        &mut self,
        path: &str,
        visitor: &mut dyn FnMut(&str, Kind, &mut Tensor),
    ) {
        for (name, slot) in &mut self.slots {
            let name = join(path, name);
            for (kind, tensor) in slot {
                visitor(&join(&name, kind), Kind::Buffer, tensor);
            }
        }
    }

    /// The moments of each parameter: those of the last step, or first values, which are computed here all at once so
    /// that the first step has the kernels of all others. While a function is traced, stand-ins are used for first values,
    /// which are given too.
    fn moments(
        &self,
        parameters: &[Trained],
        rules: &Rules,
    ) -> Result<(Vec<Vec<Tensor>>, Vec<Made>)> {
        let mut all: Vec<Vec<Tensor>> = Vec::with_capacity(parameters.len());
        for t in parameters {
            let wanted = &rules.settings[t.setting].moments;
            all.push(match self.slots.get(&t.name) {
                Some(slot) => {
                    check_moments(t, slot, wanted)?;
                    slot.iter().map(|(_, m)| m.clone()).collect()
                }
                // Each of a number of its own: equal ones would be computed once and lie in one buffer, which every moment
                // that is then updated in its place would have to leave by a copy.
                None => wanted
                    .iter()
                    .map(|(_, v)| {
                        let first = Number::new(*v).like(&t.parameter);
                        first.broadcast_to(t.parameter.shape())
                    })
                    .collect(),
            });
        }
        eval(&all.iter().flatten().collect::<Vec<_>>())?;
        let mut made = Vec::new();
        if is_tracing() {
            for (t, moments) in parameters.iter().zip(&mut all) {
                if !self.slots.contains_key(&t.name) {
                    let kinds = rules.settings[t.setting].moments.iter();
                    let kinds = kinds.map(|(kind, _)| *kind).collect();
                    made.push((t.name.clone(), kinds, traced_moments(moments)?));
                }
            }
        }
        Ok((all, made))
    }

    /// From moments by name: parameter, dot, kind, as [`State::visit`] shows them. `kinds` has the lists of kinds that a
    /// parameter can have.
    pub(crate) fn load(
        state: &[(String, Tensor)],
        kinds: &[Vec<&'static str>],
        steps: u64,
    ) -> Result<State> {
        let given = by_name("load_state", state)?;
        let mut problems = Vec::new();
        let mut parameters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (&name, tensor) in &given {
            match name.rsplit_once('.') {
                Some((parameter, kind)) if kinds.iter().flatten().any(|k| *k == kind) => {
                    parameters.entry(parameter).or_default().push(kind);
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
        let mut slots = Slots::new();
        for (parameter, own) in parameters {
            let has_all = |list: &&Vec<&'static str>| own.iter().all(|k| list.contains(k));
            let mut fitting = kinds.iter().filter(has_all);
            let exact = fitting.clone().find(|list| list.len() == own.len());
            let Some(list) = exact.or_else(|| fitting.next()) else {
                let own = own.join(", ");
                problems.push(format!(
                    "{parameter} has {own}, which are of several groups"
                ));
                continue;
            };
            let mut slot = Vec::with_capacity(list.len());
            for kind in list {
                match given.get(format!("{parameter}.{kind}").as_str()) {
                    Some(&t) => slot.push((*kind, t.clone())),
                    None => problems.push(format!("missing {parameter}.{kind}")),
                }
            }
            slots.insert(parameter.to_string(), slot);
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
            slots,
            ..State::default()
        })
    }
}

/// A new parameter and new moments, but the old ones where `skip` is true.
#[track_caller]
fn kept_where(skip: &Tensor, old: &Update, new: (Tensor, Vec<Tensor>)) -> (Tensor, Vec<Tensor>) {
    let kept = |old: &Tensor, new: &Tensor| Tensor::where_(skip, old, new);
    let moments = old.moments.iter().zip(&new.1);
    let moments = moments.map(|(old, new)| kept(old, new)).collect();
    (kept(old.parameter, &new.0), moments)
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

/// An error unless `ok`.
pub(crate) fn require(ok: bool, message: impl Fn() -> String) -> Result<()> {
    if ok {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Value, "step", message()))
    }
}
