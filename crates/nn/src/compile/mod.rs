//! Compiled functions of a module's state and some inputs: a training step traced once and replayed as one plan, with
//! parameters and moments kept in buffers of their own. Must not know layers or update rules.

mod outputs;
mod plan;
mod slots;
mod snapshot;
mod trace;

pub use outputs::Outputs;
pub use snapshot::Snapshot;

use crate::host::Host;
use crate::module::{Module, NAMELESS};
use plan::Plan;
use slots::{Slots, push_type};
use snapshot::{Guard, Path, each_tensor, named_tensors};
use std::marker::PhantomData;
use std::panic::Location;
use trace::{Traced, trace};
use wgrad_graph::replay::{device_key, is_tracing, is_watched};
use wgrad_graph::{Device, Error, ErrorKind, Mark, PlanCost, Result, Tensor, eval};

/// Plans kept by one compiled function; the one that was used longest ago goes when there are more.
const MAX_TRACES: usize = 32;

/// After so many traces in a row that came to nothing a function runs itself without one, 2, 4, 8, … times.
const MAX_VAIN: u32 = 3;

/// Compiles a function of some state and inputs. It is called once for each combination of shapes, and what it records
/// becomes a plan; later calls only run the plan: they record, plan and compile nothing, and parameters, moments and
/// buffers are updated where they lie. Where somebody else holds one, as a clone of an earlier parameter does, that one
/// keeps its value and the update goes to a copy; what cannot be updated in place takes turns between two buffers.
///
/// The state is any [`Module`]: a network, an optimiser, a [`Context`](crate::Context) or
/// [`Generator`](wgrad_graph::Generator), or a tuple or struct of them. Its tensors, learning rates, step counts and
/// random streams are kept up to date as if the function ran every time; numbers in it that are built into the plan
/// (a dropout rate, `training`) are watched, and a change of one traces anew: a number that changes in each step should
/// be a [`Variable`](crate::Variable). After the third trace a warning says what has changed. Any other tensor that the
/// function uses is bound as it is. Inputs that have no value yet are computed first.
///
/// The first call traces, and runs the plan. A call that fails, or panics, leaves the state as it was, and the compiled
/// function can be called again.
///
/// Some functions cannot be replayed, and run themselves in each call, with a warning that says why: those with host
/// steps, on the reference device, and those that change a number of their state, read one on the host that changes from
/// call to call (an optimiser's steps, a [`Number`](wgrad_graph::Number)), set a learning rate, or add and remove tensors
/// or change their shapes. The last run themselves only where they do so: an empty `Option` of a state, say, is filled
/// by the first call, and the second is traced. `WGRAD_ANOMALY=1` makes all run themselves. Not seen is what a function
/// does to variables that it captures, and a learning rate that it reads from an optimiser's field.
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
#[track_caller]
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
        history: History {
            place: Location::caller(),
            traced: 0,
            vain: 0,
            rest: 0,
            last: Vec::new(),
        },
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
    history: History,
    types: PhantomData<fn(&mut S) -> O>,
}

/// A function traced for one combination of shapes and numbers.
struct Trace {
    key: Vec<u64>,
    signature: Vec<u64>,
    /// Held so that the numbers of the key that stand for devices keep their meaning.
    _devices: Vec<Device>,
    kind: Kind,
}

enum Kind {
    /// The function itself has to run.
    Eager,
    /// It has to with any state: the device runs no plans, or every run is watched.
    Never,
    Plan(Box<Plan>),
}

/// The traces so far, for saying what changes.
struct History {
    /// Where the function was compiled.
    place: &'static Location<'static>,
    traced: usize,
    /// Traces in a row that found that the function changes its state in a way that no plan does.
    vain: u32,
    /// Calls that are not traced even if nothing is known of them.
    rest: u32,
    /// What the last trace depended on, by name.
    last: Vec<(String, String)>,
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
    /// The function's own error, an invalid output or state, an input that cannot be computed or lives on another device
    /// than the state, a hyperparameter out of its range, or running fails; the state is as it was then. A bad index on
    /// the device is met here on the cpu, and elsewhere by the next read.
    #[track_caller]
    pub fn call(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<O> {
        let outputs = match self.known(state, inputs)? {
            Some(Kind::Plan(_)) => self.run_plan(state, inputs),
            Some(Kind::Eager | Kind::Never) => self.run_itself(state, inputs),
            None => self.run_first(state, inputs),
        }?;
        let count = outputs.len();
        O::from_tensors(outputs).ok_or_else(|| {
            let message = format!("{count} outputs are not as many as its type says");
            Error::new(ErrorKind::Internal, "compile", message)
        })
    }

    /// What a call takes, before anything of it runs: kernels, multiply-adds and the most memory that is held at once. The call
    /// is traced and planned if it was not yet, so the next one does not wait for that; an optimiser gets the first values
    /// of its moments. `None` where the function runs itself, and not as a plan: it has not been called then.
    ///
    /// # Errors
    /// As [`Compiled::call`]; the state is as it was then.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Adam, Linear, Optimizer, compile, gradients};
    /// let device = Device::cpu();
    /// let mut state = (Linear::new(64, 10, &mut Generator::new(0), &device), Adam::new(0.1));
    /// let mut step = compile(|(net, adam): &mut (Linear, Adam), x: &[Tensor]| {
    ///     let loss = net.forward(&x[0]).square().mean();
    ///     let gradients = gradients(&loss, net)?;
    ///     adam.step(net, &gradients)?;
    ///     Ok(loss)
    /// });
    /// let x = Tensor::ones(&[32, 64], DType::F32, &device);
    /// let cost = step.cost(&mut state, &[&x])?.expect("a plan");
    /// assert_eq!(cost.multiply_adds, 2 * 32 * 64 * 10); // the product, and the gradient of the weight
    /// assert!(cost.peak_bytes > 4 * (32 * 64 + 3 * 64 * 10)); // input, weight and its two moments
    /// assert_eq!(state.1.steps(), 0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn cost(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<Option<PlanCost>> {
        match self.known(state, inputs)? {
            Some(Kind::Plan(plan)) => return Ok(Some(plan.replay.cost())),
            Some(Kind::Eager | Kind::Never) => return Ok(None),
            None => {}
        }
        let before = Snapshot::of(state);
        let guard = Guard::new(state, &before);
        match self.trace(guard.state, inputs, &before) {
            // The function has been called, which a cost must not show.
            Ok(Some(_)) => guard.leave(Ok(()))?,
            traced => guard.end(traced.map(|_| ()))?,
        }
        Ok(match self.traces.last().map(|t| &t.kind) {
            Some(Kind::Plan(plan)) => Some(plan.replay.cost()),
            _ => None,
        })
    }

    /// How many plans it has traced and kept.
    pub fn traces(&self) -> usize {
        self.traces.len()
    }

    /// How to run a call, if that is known. Its trace is the last one then.
    fn known(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<Option<&Kind>> {
        // Within another trace this is a part of that.
        if is_tracing() {
            return Ok(Some(&Kind::Eager));
        }
        eval(inputs)?;
        self.follow(state, inputs)?;
        let signature = |t: &Trace| match t.kind {
            Kind::Never => true,
            _ => t.signature == self.slots.signature,
        };
        let known = |t: &Trace| t.key == self.key && signature(t);
        match self.traces.iter().position(known) {
            Some(at) if at + 1 == self.traces.len() => {}
            Some(at) => self.traces[at..].rotate_left(1),
            None if self.history.rests() => return Ok(Some(&Kind::Eager)),
            None => return Ok(None),
        }
        Ok(self.traces.last().map(|t| &t.kind))
    }

    /// Notices tensors that somebody else has put into the state, and fills the key: what a plan depends on besides the
    /// state's tensors.
    fn follow(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<()> {
        let (key, slots) = (&mut self.key, &mut self.slots);
        key.clear();
        inputs.iter().for_each(|t| push_type(key, t));
        let (mut at, mut same) = (0, true);
        let mut see = |t: &Tensor| {
            same &= slots.shows(at, t);
            at += 1;
        };
        state.visit(NAMELESS, &mut |_, _, t| see(t));
        state.visit_host(&mut |host| match host {
            Host::Number(n) => key.push(n),
            Host::Value(v) => key.push(v.bits()),
            Host::Tensor(t) => see(t),
            Host::Optimizer(o) => key.extend(o.hyperparameters().iter().map(|(_, v)| v.to_bits())),
            Host::Enter(_) | Host::Leave | Host::Generator(_) | Host::Variable(_) => {}
        });
        if !(same && at == slots.places.len()) {
            let (names, tensors) = named_tensors(state);
            eval(&tensors.iter().collect::<Vec<_>>())?;
            *slots = Slots::of(&names, tensors);
        }
        key.extend(slots.slots.first().map(|s| device_key(s.current.device())));
        Ok(())
    }

    fn run_plan(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        match self.traces.last_mut().map(|t| &mut t.kind) {
            Some(Kind::Plan(plan)) => plan.run(&mut self.slots, state, inputs),
            _ => self.run_itself(state, inputs),
        }
    }

    /// Runs the function itself and computes all that it left open.
    fn run_itself(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let inputs: Vec<Tensor> = inputs.iter().map(|&t| t.clone()).collect();
        let before = Snapshot::of(state);
        let guard = Guard::new(state, &before);
        let result = (self.function)(guard.state, &inputs).map(O::into_tensors);
        let result = result.and_then(|outputs| settled(outputs, guard.state, &before));
        guard.end(result)
    }

    /// Traces the function and runs the plan. If that fails the state has no moments that it had not before.
    fn run_first(&mut self, state: &mut S, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let before = Snapshot::of(state);
        let guard = Guard::new(state, &before);
        let traced = self.trace(guard.state, inputs, &before);
        let settled = |outputs: Vec<Tensor>| settled(outputs, guard.state, &before);
        let traced = traced.and_then(|done| done.map(settled).transpose());
        match guard.end(traced)? {
            Some(outputs) => Ok(outputs),
            None => {
                // A run that fails leaves tensors as they were by itself, and nothing must hold what it writes over.
                let Some(before) = before.without_tensors(state) else {
                    return self.run_plan(state, inputs);
                };
                let guard = Guard::new(state, &before);
                let result = self.run_plan(guard.state, inputs);
                guard.end(result)
            }
        }
    }

    /// Records the function on stand-ins and plans what it did. The state is as before, but for moments that were made.
    /// Where no plan can do that, gives the outputs: the function has been called then.
    fn trace(
        &mut self,
        state: &mut S,
        inputs: &[&Tensor],
        before: &Snapshot,
    ) -> Result<Option<Vec<Tensor>>> {
        self.history.note(state, inputs);
        let own = self.slots.slots.iter().map(|s| &s.current);
        let mut devices: Vec<Device> = Vec::new();
        for t in own.chain(inputs.iter().copied()) {
            if !devices.contains(t.device()) {
                devices.push(t.device().clone());
            }
        }
        one_device(&devices)?;
        let never = is_watched() || devices.iter().any(|d| d.to_string() == "reference");
        let (mut kind, mut outputs) = (Kind::Never, None);
        if !never {
            let function = &mut self.function;
            let mut function = |s: &mut S, x: &[Tensor]| function(s, x).map(O::into_tensors);
            match trace(&mut function, state, inputs, &self.slots, before)? {
                Traced::Plan(plan, slots) => {
                    self.history.fits();
                    self.slots = slots;
                    kind = Kind::Plan(plan);
                }
                Traced::Unfit(reason, done) => {
                    self.history.unfit(&reason);
                    kind = Kind::Eager;
                    outputs = Some(done);
                }
            }
        }
        self.keep(devices, kind);
        Ok(outputs)
    }

    fn keep(&mut self, devices: Vec<Device>, kind: Kind) {
        let (key, signature) = (self.key.clone(), self.slots.signature.clone());
        self.traces
            .retain(|t| t.key != key || t.signature != signature);
        if self.traces.len() == MAX_TRACES {
            self.traces.remove(0);
        }
        self.traces.push(Trace {
            key,
            signature,
            _devices: devices,
            kind,
        });
    }
}

fn one_device(devices: &[Device]) -> Result<()> {
    match devices {
        [first, other, ..] => {
            let message = format!("state and inputs live on {first} and on {other}");
            Err(Error::new(ErrorKind::Device, "compile", message))
        }
        _ => Ok(()),
    }
}

/// Computes what a function that ran itself left open: its outputs, and the state's tensors, as leaves.
fn settled<S: Module>(
    outputs: Vec<Tensor>,
    state: &mut S,
    before: &Snapshot,
) -> Result<Vec<Tensor>> {
    let (_, tensors) = named_tensors(state);
    if is_tracing() {
        let mut all = outputs.iter().chain(&tensors);
        all.try_for_each(|t| t.check().map(|_| ()))?;
        return outputs.iter().map(Tensor::detach).collect();
    }
    let all: Vec<&Tensor> = outputs.iter().chain(&tensors).collect();
    eval(&all)?;
    #[cfg(not(target_arch = "wasm32"))]
    wgrad_graph::replay::wait(&all)?;
    let mut known: Vec<(Tensor, Tensor)> = Vec::new();
    let mut leaves = Vec::with_capacity(tensors.len());
    for (at, t) in tensors.iter().enumerate() {
        let shared = known.iter().find(|(from, _)| from.same(t));
        leaves.push(match shared {
            Some((_, leaf)) => leaf.clone(),
            None if before.has(at, t) => {
                known.push((t.clone(), t.clone()));
                t.clone()
            }
            None => {
                let leaf = t.detach()?;
                Mark::pass_on(t, &leaf);
                known.push((t.clone(), leaf.clone()));
                leaf
            }
        });
    }
    let mut leaves = leaves.into_iter();
    each_tensor(state, &mut |t| {
        if let Some(leaf) = leaves.next() {
            *t = leaf;
        }
    });
    outputs.iter().map(Tensor::detach).collect()
}

impl History {
    /// Notes what a trace depends on. At the third it warns, and says what has changed since the one before.
    fn note<S: Module>(&mut self, state: &mut S, inputs: &[&Tensor]) {
        let now = dependencies(state, inputs);
        self.traced += 1;
        if self.traced == 3 {
            let changed = changes(&self.last, &now);
            tracing::warn!(
                "the function compiled at {} is traced for the third time: {changed}; each change of a shape or of a \
                 number that is built in makes a new plan (a wgrad_nn::Variable does not)",
                self.place
            );
        }
        self.last = now;
    }

    /// Whether this call is not to be traced, whatever it is.
    fn rests(&mut self) -> bool {
        let rests = self.rest > 0;
        self.rest = self.rest.saturating_sub(1);
        rests
    }

    fn fits(&mut self) {
        (self.vain, self.rest) = (0, 0);
    }

    fn unfit(&mut self, reason: &str) {
        self.vain += 1;
        if self.vain >= MAX_VAIN {
            self.rest = 1 << (self.vain - MAX_VAIN + 1).min(10);
        }
        if self.vain == 1 {
            tracing::warn!(
                "the function compiled at {} runs itself and not a plan: {reason}",
                self.place
            );
        }
    }
}

/// What a trace depends on, by name: inputs, tensors of the state, numbers of the state.
fn dependencies<S: Module>(state: &mut S, inputs: &[&Tensor]) -> Vec<(String, String)> {
    let form = |t: &Tensor| format!("{}{:?} on {}", t.dtype(), t.shape(), t.device());
    let inputs = inputs.iter().enumerate();
    let mut all: Vec<(String, String)> = inputs
        .map(|(i, t)| (format!("input {i}"), form(t)))
        .collect();
    let (names, tensors) = named_tensors(state);
    all.extend(names.into_iter().zip(tensors.iter().map(form)));
    let mut path = Path::default();
    state.visit_host(&mut |host| {
        path.follow(&host);
        match host {
            Host::Number(n) => all.push((path.to_string(), n.to_string())),
            Host::Value(v) => all.push((path.to_string(), v.show())),
            Host::Optimizer(o) => {
                let numbers = o.described().into_iter();
                all.extend(numbers.map(|(name, v)| (format!("{path}.{name}"), v.to_string())));
            }
            _ => {}
        }
    });
    all
}

/// In words, what is another now than before.
fn changes(before: &[(String, String)], now: &[(String, String)]) -> String {
    let mut words = Vec::new();
    for (name, value) in now {
        match before.iter().find(|(other, _)| other == name) {
            Some((_, old)) if old != value => {
                words.push(format!("{name} was {old} and is {value}"))
            }
            Some(_) => {}
            None => words.push(format!("{name} is new")),
        }
    }
    let gone = before
        .iter()
        .filter(|(name, _)| !now.iter().any(|(n, _)| n == name));
    words.extend(gone.map(|(name, _)| format!("{name} is gone")));
    words.truncate(8);
    match words.is_empty() {
        true => "its plan was no longer kept".to_string(),
        false => words.join(", "),
    }
}
