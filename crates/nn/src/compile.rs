//! Compiled functions of a module's state and some inputs: a training step traced once and replayed as one plan, with
//! parameters and moments kept in buffers of their own. Must not know layers or update rules.

use crate::module::{Host, Module, identity};
use crate::optim::Hooks;
use std::marker::PhantomData;
use wgrad_graph::replay::{Replay, StreamState, Tracing};
use wgrad_graph::{Error, ErrorKind, Number, Result, Tensor, eval};

/// Plans kept by one compiled function; the one that was used longest ago goes when there are more.
const MAX_TRACES: usize = 32;

/// What a compiled function returns: tensors alone.
pub trait Outputs: Sized {
    /// The tensors in order.
    fn into_tensors(self) -> Vec<Tensor>;

    /// The same from as many tensors; `None` if there are not so many.
    fn from_tensors(tensors: Vec<Tensor>) -> Option<Self>;
}

impl Outputs for Vec<Tensor> {
    fn into_tensors(self) -> Vec<Tensor> {
        self
    }

    fn from_tensors(tensors: Vec<Tensor>) -> Option<Self> {
        Some(tensors)
    }
}

impl Outputs for Tensor {
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self]
    }

    fn from_tensors(mut tensors: Vec<Tensor>) -> Option<Self> {
        tensors.pop()
    }
}

impl<const N: usize> Outputs for [Tensor; N] {
    fn into_tensors(self) -> Vec<Tensor> {
        self.into()
    }

    fn from_tensors(tensors: Vec<Tensor>) -> Option<Self> {
        tensors.try_into().ok()
    }
}

macro_rules! tuples {
    ($($n:literal: $($t:ident $x:ident),*;)*) => {$(
        impl Outputs for ($($t,)*) {
            fn into_tensors(self) -> Vec<Tensor> {
                let ($($x,)*) = self;
                vec![$($x),*]
            }

            fn from_tensors(tensors: Vec<Tensor>) -> Option<Self> {
                let [$($x),*] = <[Tensor; $n]>::try_from(tensors).ok()?;
                Some(($($x,)*))
            }
        }
    )*};
}

tuples! {
    2: Tensor a, Tensor b;
    3: Tensor a, Tensor b, Tensor c;
    4: Tensor a, Tensor b, Tensor c, Tensor d;
}

/// Compiles a function of some state and inputs. It is called once for each combination of shapes, and what it records
/// becomes a plan; later calls only run the plan: they record, plan and compile nothing, and parameters, moments and
/// buffers are updated where they lie. Where somebody else holds one, as a clone of an earlier parameter does, that one
/// keeps its value and the update goes to a copy; what cannot be updated in place takes turns between two buffers.
///
/// The state is any [`Module`]: a network, an optimiser, a [`Context`](crate::Context) or
/// [`Generator`](wgrad_graph::Generator), or a tuple or struct of them. Its tensors, learning rates, step counts and
/// random streams are kept up to date as if the function ran every time; numbers in it that are built into the plan
/// (a dropout rate, `training`) are watched, and a change of one traces anew. Any other tensor that the function uses
/// is bound as it is. Inputs that have no value yet are computed first.
///
/// Host steps, the reference device and `WGRAD_ANOMALY=1` make each call run the function itself, and so does the first
/// call, in which an optimiser makes its moments.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Adam, Linear, Optimizer, compile, gradients};
/// let device = Device::cpu();
/// let mut rng = Generator::new(0);
/// let mut state = (Linear::new(1, 1, &mut rng, &device), Adam::new(0.1));
/// let mut step = compile(|(net, adam): &mut (Linear, Adam), x: &[Tensor]| {
///     let loss = (net.forward(&x[0]) - &x[1]).square().mean();
///     let gradients = gradients(&loss, net)?;
///     adam.step(net, &gradients)?;
///     Ok(loss)
/// });
/// let x = Tensor::from_slice(&[0.0f32, 1.0, 2.0], &[3, 1], &device);
/// let y = &x * 3.0 - 1.0;
/// let mut last = f32::INFINITY;
/// for _ in 0..300 {
///     last = step.call(&mut state, &[&x, &y])?.item()?;
/// }
/// assert!(last < 1e-3 && state.1.steps() == 300);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
pub fn compile<S, O, F>(function: F) -> Compiled<S, O, F>
where
    S: Module,
    O: Outputs,
    F: FnMut(&mut S, &[Tensor]) -> Result<O>,
{
    Compiled {
        function,
        traces: Vec::new(),
        slots: Slots::default(),
        key: Vec::new(),
        types: PhantomData,
    }
}

/// A compiled function: see [`compile`].
pub struct Compiled<S, O, F> {
    function: F,
    /// The one used last at the end.
    traces: Vec<Trace>,
    slots: Slots,
    key: Vec<u64>,
    types: PhantomData<fn(&mut S) -> O>,
}

/// The tensors of a state, each once.
#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    /// The slot of each place that the state shows.
    places: Vec<usize>,
    /// Shapes, dtypes and places, as numbers.
    signature: Vec<u64>,
}

struct Slot {
    current: Tensor,
    /// The tensor of the step before last, whose memory the next one may take, if the slot is not updated in place.
    spare: Option<Tensor>,
}

/// A function traced for one combination of shapes and numbers.
struct Trace {
    key: Vec<u64>,
    signature: Vec<u64>,
    kind: Kind,
}

enum Kind {
    /// The function itself has to run.
    Eager,
    Plan(Box<Plan>),
}

struct Plan {
    replay: Replay,
    n_outputs: usize,
    /// What becomes of the results after the outputs.
    updated: Vec<Updated>,
    /// For each optimiser, the cells of the steps it takes.
    cells: Vec<Vec<Vec<Number>>>,
    /// For each random stream, steps and draws that a call makes.
    advances: Vec<Advance>,
}

/// A result that is a slot's new tensor.
struct Updated {
    slot: usize,
    /// It takes the memory of the tensor before.
    in_place: bool,
}

/// How far a call takes a random stream.
#[derive(Clone, Copy)]
struct Advance {
    steps: u64,
    /// Draws in the last step.
    draws: u64,
}

impl Advance {
    fn between(before: StreamState, after: StreamState) -> Advance {
        let steps = after[1].wrapping_sub(before[1]);
        let draws = if steps == 0 {
            after[2] - before[2]
        } else {
            after[2]
        };
        Advance { steps, draws }
    }

    fn apply(self, state: StreamState) -> StreamState {
        let before = if self.steps == 0 { state[2] } else { 0 };
        [
            state[0],
            state[1].wrapping_add(self.steps),
            before + self.draws,
        ]
    }
}

impl<S, O, F> Compiled<S, O, F>
where
    S: Module,
    O: Outputs,
    F: FnMut(&mut S, &[Tensor]) -> Result<O>,
{
    /// Calls the function. The outputs are leaves; on a GPU this returns before the work is done.
    ///
    /// # Errors
    /// The function's own error, an invalid output or state, an input that cannot be computed, a hyperparameter out of
    /// its range, or running fails; the state is as it was then. A bad index on the device is met here on the cpu, and
    /// elsewhere by the next read.
    #[track_caller]
    pub fn call(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<O> {
        eval(inputs)?;
        self.slots.follow(state)?;
        self.fill_key(state, inputs);
        let known = |t: &Trace| t.key == self.key && t.signature == self.slots.signature;
        match self.traces.iter().position(known) {
            Some(at) if at + 1 == self.traces.len() => {}
            Some(at) => self.traces[at..].rotate_left(1),
            None => self.trace(state, inputs)?,
        }
        let outputs = match self.traces.last_mut().map(|t| &mut t.kind) {
            Some(Kind::Plan(plan)) => plan.run(&mut self.slots, state, inputs)?,
            _ => self.run_eagerly(state, inputs)?,
        };
        let count = outputs.len();
        O::from_tensors(outputs).ok_or_else(|| {
            let message = format!("{count} outputs are not as many as its type says");
            Error::new(ErrorKind::Internal, "compile", message)
        })
    }

    /// How many plans it has traced and kept.
    pub fn traces(&self) -> usize {
        self.traces.len()
    }

    /// What a plan depends on besides the state's tensors.
    fn fill_key(&mut self, state: &mut S, inputs: &[&Tensor]) {
        let key = &mut self.key;
        key.clear();
        inputs.iter().for_each(|t| push_type(key, t));
        state.visit_host(&mut |host| match host {
            Host::Number(n) => key.push(n),
            Host::Generator(_) => {}
            Host::Optimizer(o) => {
                key.push(u64::from(o.is_ready()));
                key.extend(o.hyperparameters().iter().map(|v| v.to_bits()));
            }
        });
    }

    /// Runs the function itself and computes all that it left open.
    fn run_eagerly(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let inputs: Vec<Tensor> = inputs.iter().map(|&t| t.clone()).collect();
        let before = Snapshot::of(state);
        let run = |function: &mut F, state: &mut S| -> Result<Vec<Tensor>> {
            let outputs = function(state, &inputs)?.into_tensors();
            let tensors = tensors_of(state);
            eval(&outputs.iter().chain(&tensors).collect::<Vec<_>>())?;
            let leaves = tensors.iter().map(Tensor::detach);
            put(state, &leaves.collect::<Result<Vec<_>>>()?);
            outputs.iter().map(Tensor::detach).collect()
        };
        run(&mut self.function, state).inspect_err(|_| before.restore(state))
    }

    /// Records the function on stand-ins and plans what it did. The state is as before.
    fn trace(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<()> {
        let kind = if can_trace(state, inputs) {
            match self.traced(state, inputs) {
                Ok(plan) => Kind::Plan(Box::new(plan)),
                Err(e) if e.kind() == ErrorKind::Unsupported => Kind::Eager,
                Err(e) => return Err(e),
            }
        } else {
            Kind::Eager
        };
        if self.traces.len() == MAX_TRACES {
            self.traces.remove(0);
        }
        self.traces.push(Trace {
            key: self.key.clone(),
            signature: self.slots.signature.clone(),
            kind,
        });
        Ok(())
    }

    fn traced(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<Plan> {
        let before = Snapshot::of(state);
        let tracing = Tracing::start()?;
        let slots = &self.slots;
        let own: Vec<Tensor> = slots
            .slots
            .iter()
            .map(|s| tracing.symbol(&s.current))
            .collect();
        let stand_ins: Vec<Tensor> = inputs.iter().map(|t| tracing.symbol(t)).collect();
        let placed: Vec<Tensor> = slots.places.iter().map(|&s| own[s].clone()).collect();
        put(state, &placed);
        let outputs = (self.function)(state, &stand_ins).map(O::into_tensors);
        let after = Snapshot::of(state);
        let cells = take_traced(state);
        before.restore(state);
        let outputs = outputs?;
        let updated = self.slots.updates(&own, &after.tensors)?;
        let results: Vec<&Tensor> = outputs
            .iter()
            .chain(updated.iter().map(|(_, t)| t))
            .collect();
        let given: Vec<Tensor> = own.iter().chain(&stand_ins).cloned().collect();
        let slots = updated.iter().map(|(slot, _)| Some(*slot));
        let replaced: Vec<Option<usize>> =
            vec![None; outputs.len()].into_iter().chain(slots).collect();
        let replay = tracing.finish(&given, &results, &replaced, &before.streams)?;
        let streams = before.streams.iter().zip(&after.streams);
        let in_place = replay.in_place()[outputs.len()..].iter();
        let updated = updated.iter().zip(in_place);
        let updated = updated.map(|(&(slot, _), &in_place)| Updated { slot, in_place });
        Ok(Plan {
            updated: updated.collect(),
            replay,
            n_outputs: outputs.len(),
            cells,
            advances: streams.map(|(&a, &b)| Advance::between(a, b)).collect(),
        })
    }
}

/// Whether a plan can stand for the function at all.
fn can_trace<S: Module>(state: &mut S, inputs: &[&Tensor]) -> bool {
    let mut ready = true;
    state.visit_host(&mut |host| {
        if let Host::Optimizer(o) = host {
            ready &= o.is_ready();
        }
    });
    let reference = inputs.iter().any(|t| t.device().to_string() == "reference");
    ready && !reference && !wgrad_graph::replay::is_watched()
}

fn take_traced<S: Module>(state: &mut S) -> Vec<Vec<Vec<Number>>> {
    let mut cells = Vec::new();
    state.visit_host(&mut |host| {
        if let Host::Optimizer(o) = host {
            cells.push(o.take_traced());
        }
    });
    cells
}

fn push_type(key: &mut Vec<u64>, t: &Tensor) {
    key.push(t.dtype() as u64 | (t.rank() as u64) << 8);
    key.extend(t.shape().iter().map(|&n| n as u64));
}

/// All tensors of a state, in visiting order.
fn tensors_of<S: Module>(state: &S) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    state.visit("", &mut |_, _, t| tensors.push(t.clone()));
    tensors
}

/// Puts tensors into a state, in visiting order.
fn put<S: Module>(state: &mut S, tensors: &[Tensor]) {
    let mut rest = tensors.iter();
    state.visit_mut("", &mut |_, _, t| {
        if let Some(new) = rest.next() {
            *t = new.clone();
        }
    });
}

/// A state's tensors, streams and counters.
struct Snapshot {
    tensors: Vec<Tensor>,
    streams: Vec<StreamState>,
    steps: Vec<u64>,
}

impl Snapshot {
    fn of<S: Module>(state: &mut S) -> Snapshot {
        let (mut streams, mut steps) = (Vec::new(), Vec::new());
        state.visit_host(&mut |host| match host {
            Host::Generator(g) => streams.push(g.state()),
            Host::Optimizer(o) => steps.push(o.steps()),
            Host::Number(_) => {}
        });
        Snapshot {
            tensors: tensors_of(state),
            streams,
            steps,
        }
    }

    fn restore<S: Module>(&self, state: &mut S) {
        put(state, &self.tensors);
        let (mut streams, mut steps) = (self.streams.iter(), self.steps.iter());
        state.visit_host(&mut |host| match host {
            Host::Generator(g) => {
                if let Some(&state) = streams.next() {
                    *g = wgrad_graph::Generator::from_state(state);
                }
            }
            Host::Optimizer(o) => {
                if let Some(&n) = steps.next() {
                    o.set_steps(n);
                }
            }
            Host::Number(_) => {}
        });
    }
}

impl Slots {
    /// Notices tensors that somebody else has put into the state.
    fn follow<S: Module>(&mut self, state: &S) -> Result<()> {
        let (mut at, mut same) = (0, true);
        state.visit("", &mut |_, _, t| {
            let slot = self.places.get(at).map(|&s| &self.slots[s]);
            same &= slot.is_some_and(|s| s.current.same(t));
            at += 1;
        });
        if same && at == self.places.len() {
            return Ok(());
        }
        let tensors = tensors_of(state);
        eval(&tensors.iter().collect::<Vec<_>>())?;
        *self = Slots::of(tensors);
        Ok(())
    }

    /// Makes a state hold the slots' tensors.
    fn show<S: Module>(&self, state: &mut S) {
        let mut places = self.places.iter();
        state.visit_mut("", &mut |_, _, t| {
            let current = places.next().map(|&s| &self.slots[s].current);
            if let Some(current) = current.filter(|c| !c.same(t)) {
                *t = current.clone();
            }
        });
    }

    fn of(tensors: Vec<Tensor>) -> Slots {
        let mut slots = Slots::default();
        let mut known = std::collections::HashMap::new();
        for tensor in tensors {
            let next = slots.slots.len();
            let slot = *known.entry(identity(&tensor)).or_insert(next);
            if slot == next {
                push_type(&mut slots.signature, &tensor);
                slots.slots.push(Slot {
                    current: tensor,
                    spare: None,
                });
            }
            slots.places.push(slot);
        }
        slots
            .signature
            .extend(slots.places.iter().map(|&s| s as u64));
        slots
    }

    /// The slots whose tensors a traced function has replaced, with the new ones. `own` stood for the slots, `after` is
    /// what the state shows now.
    fn updates(&self, own: &[Tensor], after: &[Tensor]) -> Result<Vec<(usize, Tensor)>> {
        let fail = |kind, message: String| Err(Error::new(kind, "compile", message));
        if after.len() != self.places.len() {
            let message = "a compiled function must not add or remove tensors of its state".into();
            return fail(ErrorKind::Value, message);
        }
        let mut new: Vec<Option<&Tensor>> = vec![None; own.len()];
        for (&slot, tensor) in self.places.iter().zip(after) {
            let first = *new[slot].get_or_insert(tensor);
            let old = &own[slot];
            if !first.same(tensor) {
                let message = "places that held one tensor hold two after a compiled function";
                return fail(ErrorKind::Value, message.into());
            }
            if (tensor.shape(), tensor.dtype()) != (old.shape(), old.dtype()) {
                tensor.check()?;
                let message = format!(
                    "a tensor of the state changes from {}{:?} to {}{:?}",
                    old.dtype(),
                    old.shape(),
                    tensor.dtype(),
                    tensor.shape()
                );
                return fail(ErrorKind::Shape, message);
            }
        }
        let changed = new.into_iter().flatten().enumerate();
        Ok(changed
            .filter(|(slot, t)| !t.same(&own[*slot]))
            .map(|(slot, t)| (slot, t.clone()))
            .collect())
    }
}

impl Plan {
    /// One run, and the state brought up to date.
    fn run<S: Module>(
        &mut self,
        slots: &mut Slots,
        state: &mut S,
        inputs: &[&Tensor],
    ) -> Result<Vec<Tensor>> {
        let streams = self.prepare(state)?;
        let updated = (&self.updated[..], self.n_outputs);
        let mut lent = Lent::new(slots, state, updated, self.replay.hollow());
        let own = lent.slots.slots.iter().map(|s| &s.current);
        let given: Vec<&Tensor> = own.chain(inputs.iter().copied()).collect();
        let (mut results, _) = self.replay.run(&given, &streams, &mut lent.spares)?;
        lent.take(results.drain(self.n_outputs..));
        drop(lent);
        self.finish(state, &streams);
        Ok(results)
    }

    /// Puts the numbers of the next step into the cells; the states of the streams.
    fn prepare<S: Module>(&self, state: &mut S) -> Result<Vec<StreamState>> {
        let mut streams = Vec::with_capacity(self.advances.len());
        let mut cells = self.cells.iter();
        let mut outcome = Ok(());
        state.visit_host(&mut |host| match host {
            Host::Generator(g) => streams.push(g.state()),
            Host::Optimizer(o) => {
                let renewed = cells.next().map_or(Ok(()), |cells| renew(o, cells));
                if outcome.is_ok() {
                    outcome = renewed;
                }
            }
            Host::Number(_) => {}
        });
        outcome.map(|()| streams)
    }

    fn finish<S: Module>(&self, state: &mut S, streams: &[StreamState]) {
        let mut streams = streams.iter().zip(&self.advances);
        let mut cells = self.cells.iter();
        state.visit_host(&mut |host| match host {
            Host::Generator(g) => {
                if let Some((&before, advance)) = streams.next() {
                    *g = wgrad_graph::Generator::from_state(advance.apply(before));
                }
            }
            Host::Optimizer(o) => {
                let taken = cells.next().map_or(0, |cells| cells.len() as u64);
                let before = o.steps();
                o.set_steps(before + taken);
            }
            Host::Number(_) => {}
        });
    }
}

/// A state while a run may take its tensors' memory: neither the slots nor the state hold those tensors then. When this is
/// dropped, whatever has become of the run, they do again.
struct Lent<'s, S: Module> {
    slots: &'s mut Slots,
    state: &'s mut S,
    updated: &'s [Updated],
    n_outputs: usize,
    /// For each result the tensor whose memory it may take.
    spares: Vec<Option<Tensor>>,
}

impl<'s, S: Module> Lent<'s, S> {
    fn new(
        slots: &'s mut Slots,
        state: &'s mut S,
        (updated, n_outputs): (&'s [Updated], usize),
        hollow: &Tensor,
    ) -> Self {
        let mut spares: Vec<Option<Tensor>> = vec![None; n_outputs];
        spares.extend(updated.iter().map(|u| {
            let slot = &mut slots.slots[u.slot];
            match u.in_place {
                true => Some(std::mem::replace(&mut slot.current, hollow.clone())),
                false => slot.spare.take(),
            }
        }));
        slots.show(state);
        Lent {
            slots,
            state,
            updated,
            n_outputs,
            spares,
        }
    }

    /// Takes the new tensors of the slots that are updated.
    fn take(&mut self, results: impl Iterator<Item = Tensor>) {
        for (updated, tensor) in self.updated.iter().zip(results) {
            let slot = &mut self.slots.slots[updated.slot];
            let before = std::mem::replace(&mut slot.current, tensor);
            slot.spare = (!updated.in_place).then_some(before);
        }
    }
}

impl<S: Module> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        // What a run has left is what it did not update.
        let left = self.spares.drain(..).skip(self.n_outputs);
        for (updated, spare) in self.updated.iter().zip(left) {
            if let (true, Some(tensor)) = (updated.in_place, spare) {
                self.slots.slots[updated.slot].current = tensor;
            }
        }
        self.slots.show(self.state);
    }
}

fn renew(optimizer: &dyn Hooks, cells: &[Vec<Number>]) -> Result<()> {
    for (step, cells) in (optimizer.steps() + 1..).zip(cells) {
        let numbers = optimizer.numbers(step)?;
        cells.iter().zip(numbers).for_each(|(c, n)| c.set(n));
    }
    Ok(())
}
