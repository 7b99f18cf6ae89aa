//! A graph traced once and run many times. [`Tracing`] makes stand-ins for what a function is given and keeps everything
//! computed from them unevaluated; [`Replay`] is the plan of what came out, with the places of leaves and numbers found
//! beforehand, so that a run records, hashes and plans nothing. Knows no modules: see `wgrad_nn::compile`.

use crate::cost::PlanCost;
use crate::device::{CachedPlan, Device, Kind};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::{self, Value};
use crate::mark::Mark;
use crate::number::Number;
use crate::ops::{Lowered, Op};
pub use crate::outcome::Outcome;
use crate::passes::{self, Collected, GraphNode, Leaf};
use crate::rng::Generator;
use crate::run::{Given, Memory};
use crate::tensor::Tensor;
use crate::trace;
pub use crate::trace::{Observed, is_tracing, observe};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a number holds, without that being noticed by a trace.
pub fn peek(number: &Number) -> f64 {
    number.peek()
}

/// A number that tells devices apart as long as they are held.
pub fn device_key(device: &Device) -> u64 {
    Arc::as_ptr(&device.0).addr() as u64
}

/// Gives a stand-in the value of the tensor that it stood for: what was recorded from it can be computed then.
///
/// # Errors
/// That tensor has no value.
pub fn bind(stand_in: &Tensor, to: &Tensor) -> Result<()> {
    let value = eval::value_of(to)?.clone();
    // One that was bound before has this value.
    let _ = stand_in.0.value.set(value);
    Ok(())
}

/// Waits until it is known that the runs which these tensors come from have succeeded.
///
/// # Errors
/// That of the first that has not.
#[cfg(not(target_arch = "wasm32"))]
#[cfg_attr(
    not(feature = "gpu"),
    allow(unused_variables, reason = "a host knows at once")
)]
pub fn wait(tensors: &[&Tensor]) -> Result<()> {
    #[cfg(feature = "gpu")]
    for t in tensors {
        if let Some((_, outcome)) = t.0.value.get().and_then(Value::gpu) {
            outcome.wait()?;
        }
    }
    Ok(())
}

/// A stand-in of this tensor's shape, dtype, device and mark, for what a traced function makes that is part of its state
/// from then on.
#[track_caller]
pub fn stand_in(like: &Tensor) -> Tensor {
    let symbol = Tensor::symbol(like.shape(), like.dtype(), like.device());
    Mark::pass_on(like, &symbol);
    symbol
}

/// Whether `WGRAD_ANOMALY=1` has every run watched, which takes operations one by one.
pub fn is_watched() -> bool {
    #[cfg(not(target_arch = "wasm32"))]
    return eval::anomaly_mode();
    #[cfg(target_arch = "wasm32")]
    false
}

/// The time between making stand-ins and having what is computed from them. Ends when dropped.
pub struct Tracing {
    first_id: u64,
    /// Names and first states of the random streams.
    streams: Vec<(u64, StreamState)>,
    /// Belongs to its thread.
    _local: PhantomData<*const ()>,
}

/// Numbers of a random stream: seed, step and draws, as [`Generator::state`](crate::Generator::state) gives them.
pub type StreamState = [u64; 3];

impl Tracing {
    /// Begins to trace on this thread.
    ///
    /// # Errors
    /// It is tracing already: a compiled function called within another one.
    pub fn start() -> Result<Tracing> {
        if !trace::begin() {
            let message = "a compiled function cannot be traced within another one";
            return Err(Error::new(ErrorKind::Unsupported, "compile", message));
        }
        Ok(Tracing {
            first_id: Tensor::next_id(),
            streams: Vec::new(),
            _local: PhantomData,
        })
    }

    /// A stand-in of this tensor's shape, dtype and device.
    #[track_caller]
    pub fn symbol(&self, like: &Tensor) -> Tensor {
        stand_in(like)
    }

    /// Takes a random stream of the state into the trace: what is drawn from it is drawn anew in every run.
    pub fn adopt(&mut self, generator: &mut Generator) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = NEXT.fetch_add(1, Ordering::Relaxed);
        self.streams.push((name, generator.peek()));
        generator.set_stream(name);
    }

    /// Makes a generator one of no trace again.
    pub fn release(generator: &mut Generator) {
        generator.set_stream(0);
    }

    /// The number of the adopted stream that a generator goes on from, with the state it has now; `None` if it is none
    /// of them.
    pub fn stream_of(&self, generator: &Generator) -> Option<(usize, StreamState)> {
        let at = self
            .streams
            .iter()
            .position(|s| s.0 == generator.stream())?;
        Some((at, generator.peek()))
    }

    /// What the function did since the trace began that a replay could not repeat.
    pub fn observed(&self) -> Option<Observed> {
        trace::observed()
    }

    /// Gives tensors that were made before the trace began, and that `results` use, their values.
    ///
    /// # Errors
    /// A result is invalid, or a host step has to run for it; such a tensor cannot be computed.
    pub fn ready(&self, results: &[&Tensor]) -> Result<()> {
        for t in results {
            t.check()?;
        }
        let fail = |t: &Tensor, message: &str| {
            Err(Error::new(ErrorKind::Unsupported, "compile", message).at(t.location()))
        };
        let on_reference = |t: &&&Tensor| matches!(t.device().0.kind, Kind::Reference);
        if let Some(t) = results.iter().find(on_reference) {
            return fail(t, "the reference runs no plans");
        }
        self.bind_captured(results)?;
        match results.iter().find(|t| t.awaits_host()) {
            Some(t) => fail(t, "a host step cannot be part of a compiled function"),
            None => Ok(()),
        }
    }

    /// Plans `results`, which depend on the stand-ins `given`. Other tensors that were made before the trace began are
    /// computed now and bound by reference. Result `r` may take the place of given tensor `replaced[r]`: see
    /// [`Replay::in_place`]. A draw that belongs to no adopted stream would repeat itself in every run.
    ///
    /// # Errors
    /// A result is invalid or a host step has to run for it, tensors live on several devices or on the reference, a
    /// draw belongs to no stream, or planning fails.
    pub fn finish(
        self,
        given: &[Tensor],
        results: &[&Tensor],
        replaced: &[Option<usize>],
    ) -> Result<Replay> {
        self.ready(results)?;
        let device = one_device(given, results)?;
        for (new, old) in results.iter().zip(replaced) {
            let old = old.and_then(|old| given.get(old));
            old.map_or(Ok(()), |old| eval::fits(new, old, "compile"))?;
        }
        let collected = passes::collect_traced(results);
        let changing = changing(&collected, &self.streams)?;
        let sources = collected.leaves.iter().map(|leaf| Source::of(leaf, given));
        let mut sources = sources.collect::<Result<Vec<_>>>()?;
        let leaf_of = |given: usize| {
            let mut all = sources.iter();
            all.position(|s| matches!(s, Source::Given { number, .. } if *number == given))
        };
        let leaves = replaced.iter().map(|given| given.and_then(leaf_of));
        let plan = eval::make_plan(&device, collected.graph(), &leaves.collect::<Vec<_>>())?;
        for pair in &plan.plan.in_place {
            sources[pair.leaf] = Source::Replaced;
        }
        Ok(Replay {
            hollow: Tensor::from_value(
                Value::upload(&device, &[0; 4])?,
                vec![1],
                DType::F32,
                device.clone(),
            ),
            in_place: plan.plan.replaces(),
            replaced: (0..results.len())
                .map(|r| replaced.get(r).copied().flatten())
                .collect(),
            memory: Memory::new(&plan),
            words: collected.scalars,
            device,
            plan,
            sources,
            changing,
        })
    }

    /// Gives a value to every tensor below `results` that is older than the trace and does not depend on it.
    fn bind_captured(&self, results: &[&Tensor]) -> Result<()> {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut stack: Vec<Tensor> = results.iter().map(|&t| t.clone()).collect();
        let mut captured = Vec::new();
        while let Some(t) = stack.pop() {
            if t.0.value.get().is_some() || !seen.insert(t.0.id) {
                continue;
            }
            let old = t.0.id < self.first_id && !t.inputs().is_empty();
            if old || (t.0.awaits_host && !t.is_symbolic()) {
                captured.push(t);
            } else {
                stack.extend(t.inputs().iter().cloned());
            }
        }
        eval::eval(&captured.iter().collect::<Vec<_>>())
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        trace::end();
    }
}

fn one_device(given: &[Tensor], results: &[&Tensor]) -> Result<Device> {
    let mut all = given.iter().chain(results.iter().copied());
    let fail = |kind, message: String| Err(Error::new(kind, "compile", message));
    let Some(device) = all.next().map(|t| t.device().clone()) else {
        return fail(ErrorKind::Value, "there is nothing to compute".into());
    };
    if let Some(other) = all.find(|t| *t.device() != device) {
        let message = format!("tensors live on {device} and on {}", other.device());
        return fail(ErrorKind::Device, message);
    }
    match device.0.kind {
        Kind::Reference => fail(ErrorKind::Unsupported, "the reference runs no plans".into()),
        _ => Ok(device),
    }
}

/// Where a leaf of the plan comes from.
enum Source {
    /// The given tensor of this number, for this node of the plan's graph.
    Given { number: usize, node: usize },
    /// What a tensor from outside holds.
    Captured(Value),
    /// The tensor whose place a result takes, which is given as that result's spare.
    Replaced,
}

impl Source {
    fn of(leaf: &Leaf, given: &[Tensor]) -> Result<Source> {
        if let Some(number) = given.iter().position(|g| g.same(&leaf.tensor)) {
            let node = leaf.node;
            return Ok(Source::Given { number, node });
        }
        match &leaf.value {
            Some(value) => Ok(Source::Captured(value.clone())),
            None => Err(eval::valueless(&leaf.tensor)),
        }
    }
}

/// A run-time number of the plan that is found anew for each run.
enum Changing {
    /// What the cell of this constant holds.
    Cell(Tensor),
    /// The five numbers of a draw.
    Draw(Draw),
}

/// A draw in terms of the state that a stream has at the beginning of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draw {
    stream: usize,
    steps: u64,
    ordinal: u32,
}

impl Draw {
    /// The scalars of [`Inst::Random`](crate::plan::Inst::Random).
    fn words(self, streams: &[StreamState]) -> [u32; 5] {
        let [seed, step, draws] = streams[self.stream];
        let before = if self.steps == 0 { draws as u32 } else { 0 };
        let step = step.wrapping_add(self.steps);
        let ordinal = before.wrapping_add(self.ordinal);
        [
            seed as u32,
            (seed >> 32) as u32,
            step as u32,
            (step >> 32) as u32,
            ordinal,
        ]
    }
}

/// A draw recorded during the trace in terms of the stream that it was made from.
fn draw_of(node: &Tensor, streams: &[(u64, StreamState)]) -> Result<Draw> {
    let Op::Random(random) = &node.0.op else {
        return Err(Error::new(ErrorKind::Internal, "compile", "is no draw"));
    };
    let named = |s: &(u64, StreamState)| s.0 == random.stream;
    let Some(stream) = streams.iter().position(named) else {
        let message = "a draw from a generator that is no part of the compiled function's state would repeat itself \
                       in every call";
        return Err(Error::new(ErrorKind::Value, "compile", message).at(node.location()));
    };
    let [_, step, draws] = streams[stream].1;
    let steps = random.step.wrapping_sub(step);
    let before = if steps == 0 { draws as u32 } else { 0 };
    Ok(Draw {
        stream,
        steps,
        ordinal: random.ordinal.wrapping_sub(before),
    })
}

/// The numbers that change, with the place of their first word.
fn changing(
    collected: &Collected,
    streams: &[(u64, StreamState)],
) -> Result<Vec<(usize, Changing)>> {
    let mut changing = Vec::new();
    for (at, node) in collected.scalar_nodes() {
        if let Op::Random(_) = node.0.op {
            changing.push((at, Changing::Draw(draw_of(node, streams)?)));
        } else if matches!(&node.0.op, Op::Constant(c) if c.is_cell()) {
            changing.push((at, Changing::Cell(node.clone())));
        }
    }
    Ok(changing)
}

/// A planned graph whose leaves and numbers are given anew for each run.
pub struct Replay {
    device: Device,
    plan: CachedPlan,
    sources: Vec<Source>,
    changing: Vec<(usize, Changing)>,
    /// All run-time numbers, as of the last run.
    words: Vec<u32>,
    memory: Memory,
    /// Results that take the place of a given tensor.
    in_place: Vec<bool>,
    /// The given tensor that each result replaces, wherever it lies.
    replaced: Vec<Option<usize>>,
    hollow: Tensor,
}

impl Replay {
    /// Which results take the place of the given tensor that they replace. That tensor has to be the result's spare; in
    /// its own place anything may be given, as [`Replay::hollow`].
    pub fn in_place(&self) -> &[bool] {
        &self.in_place
    }

    /// What a first run takes.
    pub fn cost(&self) -> PlanCost {
        crate::cost::of(&self.device, &self.plan, &self.in_place)
    }

    /// A tensor that stands where another is lent to a run.
    pub fn hollow(&self) -> &Tensor {
        &self.hollow
    }

    /// Runs the plan on tensors in the place of the stand-ins, of their shapes, dtypes and device, and with streams in
    /// these states. `spares[i]` is a tensor whose memory result `i` may take: it is overwritten if nobody else holds
    /// it. A result without a spare gets memory of its own. Does not wait for a GPU.
    ///
    /// On the cpu the run has succeeded when this returns. A GPU may meet an index out of range later: the [`Outcome`] tells,
    /// and so does whoever reads a result, or anything computed from it. Results that replace a given tensor then hold
    /// what that tensor held, bit for bit, and give no error.
    ///
    /// # Errors
    /// A given tensor has no value, another shape, dtype or device than its stand-in, or comes from a run that has failed;
    /// running fails. Spares that are to be replaced are as they were then, also after a panic; other spares are gone, and
    /// nothing else has changed.
    pub fn run(
        &mut self,
        given: &[&Tensor],
        streams: &[StreamState],
        spares: &mut [Option<Tensor>],
    ) -> Result<(Vec<Tensor>, Outcome)> {
        self.renew_numbers(streams);
        let leaves = self.sources.iter().map(|source| match source {
            Source::Given { number, node } => {
                value_for(given[*number], &self.plan.graph.nodes[*node], &self.device)
            }
            Source::Captured(value) => Ok(value),
            Source::Replaced => eval::value_of(&self.hollow),
        });
        let leaves = leaves.collect::<Result<Vec<&Value>>>()?;
        if let Some(i) = (0..spares.len()).find(|&i| self.in_place[i] && spares[i].is_none()) {
            let message = format!("result {i} has nothing to replace");
            return Err(Error::new(ErrorKind::Internal, "compile", message));
        }
        let spared = spares
            .iter()
            .zip(&self.in_place)
            .zip(&self.plan.graph.outputs);
        for ((spare, _), &node) in spared.filter(|((_, in_place), _)| **in_place) {
            let node = &self.plan.graph.nodes[node];
            spare
                .as_ref()
                .map(|t| value_for(t, node, &self.device))
                .transpose()?;
        }
        let kept = self.kept(given)?;
        let in_place = &self.in_place;
        let both = spares.iter_mut().zip(in_place);
        let buffers = both.map(|(spare, &in_place)| buffer_of(spare, in_place));
        let mut buffers: Vec<Option<Value>> = buffers.collect();
        let (device, plan) = (&self.device, &self.plan);
        let site = |node: usize| plan.site(node);
        let given = Given {
            leaves,
            scalars: &self.words,
            site: &site,
            kept,
        };
        let memory = &mut self.memory;
        let run = || memory.run(device, plan, &given, &mut buffers);
        let ran = catch_unwind(AssertUnwindSafe(run));
        let (values, outcome) = match ran {
            Ok(Ok(ran)) => ran,
            Ok(Err(error)) => {
                put_back(spares, in_place, buffers);
                return Err(error);
            }
            Err(panic) => {
                put_back(spares, in_place, buffers);
                resume_unwind(panic)
            }
        };
        let graph = &plan.graph;
        let results = values.into_iter().zip(&graph.outputs).zip(spares);
        let results = results.map(|((value, &output), spare)| match spare.take() {
            // What was recorded is no leaf: a new one takes its place, so that nothing below is kept.
            Some(tensor) if tensor.0.value.get().is_none() && tensor.inputs().is_empty() => {
                filled(tensor, value)
            }
            _ => {
                let node = &graph.nodes[output];
                Tensor::from_value(value, node.shape.clone(), node.dtype, device.clone())
            }
        });
        Ok((results.collect(), outcome))
    }

    /// What results replace that get memory of their own: on a GPU it is known too late to do without it.
    fn kept<'a>(&self, given: &[&'a Tensor]) -> Result<Vec<Option<&'a Value>>> {
        if !self.device.is_gpu() {
            return Ok(Vec::new());
        }
        let replaced = self.replaced.iter().zip(&self.in_place);
        let kept = replaced.map(|(&replaced, &in_place)| match replaced {
            Some(i) if !in_place => eval::value_of(given[i]).map(Some),
            _ => Ok(None),
        });
        kept.collect()
    }

    fn renew_numbers(&mut self, streams: &[StreamState]) {
        for (at, changing) in &self.changing {
            match changing {
                Changing::Cell(node) => {
                    if let Lowered::Constant { bits, .. } = node.0.op.lower() {
                        self.words[*at] = bits;
                    }
                }
                Changing::Draw(draw) => {
                    self.words[*at..at + 5].copy_from_slice(&draw.words(streams));
                }
            }
        }
    }
}

/// What a tensor holds that is given in the place of a node of a plan of this device.
fn value_for<'a>(given: &'a Tensor, node: &GraphNode, device: &Device) -> Result<&'a Value> {
    let fail = |kind, message| {
        let error = Error::new(kind, "compile", message);
        Err(error.at(given.location()))
    };
    if given.device() != device {
        let message = format!("an operand lives on {}, not on {device}", given.device());
        return fail(ErrorKind::Device, message);
    }
    if (given.shape(), given.dtype()) != (&node.shape[..], node.dtype) {
        let (shape, dtype) = (&node.shape, node.dtype);
        let (got, of) = (given.shape(), given.dtype());
        let message = format!("{of}{got:?} is given for what was traced as {dtype}{shape:?}");
        return fail(ErrorKind::Shape, message);
    }
    eval::value_of(given)
}

/// The memory that a result may take: that of a spare which nobody else holds, which is left without its value. What a
/// result is to replace keeps its value where somebody else holds it; the run makes a copy then.
fn buffer_of(spare: &mut Option<Tensor>, in_place: bool) -> Option<Value> {
    let tensor = spare.as_mut()?;
    let own = Arc::get_mut(&mut tensor.0).and_then(|node| node.value.take());
    match own {
        None if in_place => tensor.0.value.get().cloned(),
        None => {
            *spare = None;
            None
        }
        own => own,
    }
}

/// Gives tensors that were to be replaced their values again.
fn put_back(
    spares: &[Option<Tensor>],
    in_place: &[bool],
    values: impl IntoIterator<Item = Option<Value>>,
) {
    for ((spare, &in_place), value) in spares.iter().zip(in_place).zip(values) {
        if let (Some(tensor), true, Some(value)) = (spare, in_place, value) {
            // One that somebody else holds has kept its own.
            let _ = tensor.0.value.set(value);
        }
    }
}

/// Puts a value into a tensor that [`buffer_of`] emptied.
fn filled(tensor: Tensor, value: Value) -> Tensor {
    let _ = tensor.0.value.set(value);
    tensor
}
