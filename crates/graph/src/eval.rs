//! Running what was recorded and reading it back. Everything that leaves the graph goes through here and returns
//! `Result` with the first cause.

use crate::device::{CachedPlan, Device, Kind};
use crate::element::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::history;
use crate::links;
use crate::outcome::Outcome;
use crate::passes::{self, Collected};
use crate::reference;
#[cfg(feature = "gpu")]
use crate::run::Contents;
use crate::run::{self, Given};
use crate::storage::{self, HostBuffer, HostBufferMut};
use crate::tensor::Tensor;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The contents of a tensor.
#[derive(Clone)]
pub(crate) enum Value {
    /// In host memory.
    Host(HostBuffer),
    /// On a GPU, written by a run with this outcome.
    #[cfg(feature = "gpu")]
    Gpu(wgrad_device::Buffer, Outcome),
}

/// Computes several tensors at once, in one plan and one submission for each device. Reads nothing back: on a GPU
/// this returns before the work is done. What has a value already costs nothing.
///
/// # Errors
/// The first invalid tensor's error; out of memory; a lost device. No tensor has got a value then. A host step's own
/// error; in a browser, that a host step's operands lie on a GPU: see [`eval_async`].
pub fn eval(tensors: &[&Tensor]) -> Result<()> {
    eval_keeping(tensors, &FxHashMap::default()).map(|_| ())
}

/// As [`eval`]; `kept` has what tensors are to hold if the run fails and that is known too late, by id.
fn eval_keeping(tensors: &[&Tensor], kept: &FxHashMap<u64, &Tensor>) -> Result<Outcome> {
    for t in tensors {
        t.check()?;
    }
    let tracing = crate::trace::is_tracing();
    let mut rest: Vec<&Tensor> = tensors
        .iter()
        .copied()
        .filter(|t| t.0.value.get().is_none())
        .filter(|t| !tracing || !t.is_symbolic())
        .collect();
    #[cfg(not(target_arch = "wasm32"))]
    if !rest.is_empty() && anomaly_mode() {
        crate::debug::refuse_nonfinite(&rest)?;
    }
    if crate::host::needed(&rest) {
        crate::host::realise_blocking(&rest)?;
        rest.retain(|t| t.0.value.get().is_none());
    }
    eval_rest(&mut rest, kept)
}

/// [`eval`] of new tensors that take the place of old ones, as a training step's: `updates` are pairs (old, new). Where the
/// run fails the new ones hold what the old ones hold, bit for bit, and give no error: on a GPU a failure is known only when
/// they are in use already. The errors of `rest` tell it, and the outcome that is returned: that of the run on the first
/// tensor's device. On a host that is the error of this call, and no tensor has got a value.
///
/// # Errors
/// As [`eval`]; a new tensor has another shape, dtype or device than its old one.
///
/// ```
/// use wgrad_graph::{Device, Tensor, eval_update};
/// let old = Tensor::new(&[1.0f32, 2.0], &Device::cpu());
/// let loss = old.square().sum();
/// let new = &old * 0.5;
/// let outcome = eval_update(&[(&old, &new)], &[&loss])?;
/// assert!(outcome.known().is_some_and(|o| o.is_ok())); // the cpu knows at once
/// assert_eq!(new.to_vec::<f32>()?, [0.5, 1.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
pub fn eval_update(updates: &[(&Tensor, &Tensor)], rest: &[&Tensor]) -> Result<Outcome> {
    for (old, new) in updates {
        fits(new.check()?, old.check()?, "eval")?;
    }
    let old: Vec<&Tensor> = updates.iter().map(|(old, _)| *old).collect();
    eval(&old)?;
    let all = updates
        .iter()
        .map(|(_, new)| *new)
        .chain(rest.iter().copied());
    let all: Vec<&Tensor> = all.collect();
    let old_of = updates.iter().map(|(old, new)| (new.0.id, *old));
    let kept: FxHashMap<u64, &Tensor> = old_of.collect();
    eval_keeping(&all, &kept)
}

/// Whether a tensor can take the place of another.
pub(crate) fn fits(new: &Tensor, old: &Tensor, op: &str) -> Result<()> {
    let kind = if new.device() != old.device() {
        ErrorKind::Device
    } else if (new.shape(), new.dtype()) != (old.shape(), old.dtype()) {
        ErrorKind::Shape
    } else {
        return Ok(());
    };
    let show = |t: &Tensor| format!("{}{:?} on {}", t.dtype(), t.shape(), t.device());
    let message = format!("{} cannot take the place of {}", show(new), show(old));
    Err(Error::new(kind, op, message).at(new.location()))
}

/// [`eval`] that waits for host steps without blocking. The rest is as with [`eval`].
///
/// # Errors
/// As [`eval`].
pub async fn eval_async(tensors: &[&Tensor]) -> Result<()> {
    for t in tensors {
        t.check()?;
    }
    if crate::host::needed(tensors) {
        crate::host::realise(tensors).await?;
    }
    eval(tensors)
}

/// [`eval`] of valid tensors, without looking for anomalies.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn eval_plain(tensors: &[&Tensor]) -> Result<()> {
    if crate::host::needed(tensors) {
        crate::host::realise_blocking(tensors)?;
    }
    eval_planned(tensors)
}

/// [`eval`] of valid tensors that no host step has to run for.
pub(crate) fn eval_planned(tensors: &[&Tensor]) -> Result<()> {
    let without_value = |t: &&Tensor| t.0.value.get().is_none();
    let mut rest = tensors.iter().copied().filter(without_value).collect();
    eval_rest(&mut rest, &FxHashMap::default()).map(|_| ())
}

/// Whether `WGRAD_ANOMALY=1` or [`detect_anomaly`](crate::detect_anomaly) asks every run to stop at the first NaN or
/// infinity.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn anomaly_mode() -> bool {
    static MODE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    crate::debug::is_detecting()
        || *MODE.get_or_init(|| std::env::var("WGRAD_ANOMALY").is_ok_and(|v| v == "1"))
}

/// The outcome is that of the first device.
fn eval_rest(rest: &mut Vec<&Tensor>, kept: &FxHashMap<u64, &Tensor>) -> Result<Outcome> {
    let mut outcome = None;
    while let Some(first) = rest.first() {
        let device = first.device().clone();
        let (mine, others): (Vec<&Tensor>, Vec<&Tensor>) =
            rest.iter().partition(|t| *t.device() == device);
        let of_device = eval_on(&device, &mine, kept)?;
        outcome.get_or_insert(of_device);
        *rest = others;
    }
    Ok(outcome.unwrap_or_default())
}

fn eval_on(
    device: &Device,
    tensors: &[&Tensor],
    kept: &FxHashMap<u64, &Tensor>,
) -> Result<Outcome> {
    if let Kind::Reference = device.0.kind {
        reference::eval(tensors)?;
        history::evaluated(tensors);
        return Ok(Outcome::default());
    }
    let collected = passes::timed("collect", || passes::collect(tensors));
    let plan = plan_for(device, &collected)?;
    let site = |node: usize| collected.site(node);
    let mut given = given(&collected, &site);
    if device.is_gpu() && !kept.is_empty() {
        let old = |t: &&Tensor| kept.get(&t.0.id)?.0.value.get();
        given.kept = tensors.iter().map(old).collect();
    }
    let (values, outcome) = run::run(device, &plan, &given)?;
    for (t, value) in tensors.iter().zip(values) {
        // Another thread may have been first; its value is the same.
        let _ = t.0.value.set(value);
    }
    drop(collected);
    history::evaluated(tensors);
    Ok(outcome)
}

/// What a run of what was collected is given.
fn given<'a>(collected: &'a Collected, site: &'a dyn Fn(usize) -> Option<run::Site>) -> Given<'a> {
    let leaves = collected.leaves.iter();
    Given {
        leaves: leaves.filter_map(|leaf| leaf.value.as_ref()).collect(),
        scalars: &collected.scalars,
        site,
        kept: Vec::new(),
    }
}

/// The plan of what was collected, made if there is none.
fn plan_for(device: &Device, collected: &Collected) -> Result<Arc<CachedPlan>> {
    if let Some(t) = collected.valueless() {
        return Err(valueless(t));
    }
    device.cached_plan(
        collected.hash(),
        |g| collected.matches(g),
        || make_plan(device, collected.graph(), &[]),
    )
}

/// The error of a stand-in that is to be read.
pub(crate) fn valueless(t: &Tensor) -> Error {
    let message =
        "inside vmap, scan and compile a tensor stands for others and has no value of its own";
    Error::new(ErrorKind::Value, "eval", message).at(t.location())
}

/// Plans a graph and makes it ready; result `r` may take the place of leaf `replaced[r]`.
pub(crate) fn make_plan(
    device: &Device,
    graph: passes::Graph,
    replaced: &[Option<usize>],
) -> Result<CachedPlan> {
    dump("graph", || passes::graph_text(&graph));
    let limits = &device.0.limits;
    let plan = passes::plan_replacing(&graph, replaced, limits);
    dump("plan", || passes::plan_text(&plan));
    #[cfg(feature = "gpu")]
    let prepared = match &device.0.kind {
        Kind::Gpu(gpu) => {
            let prepared = passes::timed("prepare", || gpu.executor.prepare(&plan))
                .map_err(|e| crate::device::from_device(&e))?;
            dump("wgsl", || {
                (0..plan.steps.len())
                    .flat_map(|s| prepared.wgsl(s))
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            Some(prepared)
        }
        _ => None,
    };
    #[cfg(feature = "cpu")]
    let on_cpu = matches!(device.0.kind, Kind::Cpu(_))
        .then(|| passes::timed("prepare", || wgrad_cpu::Prepared::new(&plan)));
    Ok(CachedPlan {
        graph,
        #[cfg(feature = "gpu")]
        checks: plan.checks(),
        plan,
        #[cfg(feature = "gpu")]
        prepared,
        #[cfg(feature = "cpu")]
        on_cpu,
    })
}

/// The value of a tensor that has one.
pub(crate) fn value_of(t: &Tensor) -> Result<&Value> {
    t.0.value.get().ok_or_else(|| valueless(t))
}

/// What computing `tensors` would do, as text for each device: the collected graph, and the plan made of it.
/// Runs nothing and keeps nothing; tensors that have a value already need no plan. The form may change at any time.
///
/// # Errors
/// The first invalid tensor's error.
///
/// ```
/// use wgrad_graph::{Device, Tensor, explain};
/// let x = Tensor::new(&[1.0f32, 2.0], &Device::cpu());
/// let text = explain(&[&(x * 2.0 + 1.0).exp()])?;
/// assert_eq!(text.matches("map[2]").count(), 1, "one kernel does it all");
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
pub fn explain(tensors: &[&Tensor]) -> Result<String> {
    for t in tensors {
        t.check()?;
    }
    let mut out = String::new();
    for step in crate::host::unrealised(tensors) {
        explain_planned(&step.operands().iter().collect::<Vec<_>>(), &mut out);
        out.push_str(&format!("host step {}\n\n", step.op_name()));
    }
    explain_planned(tensors, &mut out);
    Ok(out)
}

/// As [`explain`], with host steps as leaves.
fn explain_planned(tensors: &[&Tensor], out: &mut String) {
    let mut rest: Vec<&Tensor> = tensors
        .iter()
        .copied()
        .filter(|t| t.0.value.get().is_none())
        .collect();
    while let Some(first) = rest.first() {
        let device = first.device().clone();
        let (mine, others): (Vec<&Tensor>, Vec<&Tensor>) =
            rest.iter().partition(|t| *t.device() == device);
        let graph = passes::collect(&mine).graph();
        out.push_str(&passes::graph_text(&graph));
        if !matches!(device.0.kind, Kind::Reference) {
            let plan = passes::plan(&graph, &device.0.limits);
            out.push('\n');
            out.push_str(&passes::plan_text(&plan));
        }
        rest = others;
    }
}

/// Prints a stage of the pipeline when `WGRAD_DUMP` lists it.
fn dump(stage: &str, text: impl FnOnce() -> String) {
    #[cfg(not(target_arch = "wasm32"))]
    {
        static WANTED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let wanted = WANTED.get_or_init(|| std::env::var("WGRAD_DUMP").unwrap_or_default());
        if wanted.split(['|', ',']).any(|s| s == stage) {
            eprintln!("--- {stage}\n{}", text());
        }
    }
    #[cfg(target_arch = "wasm32")]
    let _ = (stage, text);
}

impl Value {
    pub(crate) fn host(&self) -> Option<&HostBuffer> {
        match self {
            Value::Host(buffer) => Some(buffer),
            #[cfg(feature = "gpu")]
            Value::Gpu(..) => None,
        }
    }

    #[cfg(feature = "gpu")]
    pub(crate) fn gpu(&self) -> Option<(&wgrad_device::Buffer, &Outcome)> {
        match self {
            Value::Gpu(buffer, outcome) => Some((buffer, outcome)),
            Value::Host(_) => None,
        }
    }

    /// Puts bytes on a device.
    pub(crate) fn upload(device: &Device, bytes: &[u8]) -> Result<Value> {
        match &device.0.kind {
            #[cfg(feature = "gpu")]
            Kind::Gpu(gpu) => {
                let padded = bytes.len().next_multiple_of(4).max(4);
                let limit = gpu.executor.gpu().limits().max_binding_bytes;
                if padded as u64 > limit {
                    let message =
                        format!("{padded} bytes exceed the {limit} that this device binds");
                    return Err(Error::new(ErrorKind::OutOfMemory, "upload", message));
                }
                let buffer = if padded == bytes.len() {
                    gpu.executor.gpu().upload(bytes)
                } else {
                    let mut whole = bytes.to_vec();
                    whole.resize(padded, 0);
                    gpu.executor.gpu().upload(&whole)
                };
                buffer
                    .map(|buffer| Value::Gpu(buffer, Outcome::default()))
                    .map_err(|e| crate::device::from_device(&e))
            }
            _ => {
                let padded = bytes.len().next_multiple_of(4);
                let mut buffer = HostBufferMut::scratch(padded).map_err(no_room)?;
                let (body, padding) = buffer.bytes_mut().split_at_mut(bytes.len());
                body.copy_from_slice(bytes);
                padding.fill(0);
                Ok(Value::Host(buffer.freeze()))
            }
        }
    }
}

impl Tensor {
    /// The elements in row-major order.
    ///
    /// # Errors
    /// The tensor is invalid, `T` is not its dtype, or a run that it comes from has failed, as by an index out of range: then
    /// each reading gives that error.
    pub async fn to_vec_async<T: Element>(&self) -> Result<Vec<T>> {
        self.check()?;
        if !T::fits(self.dtype()) {
            let message = format!("elements are {}, not {}", self.dtype(), T::DTYPE);
            return Err(Error::new(ErrorKind::DType, "to_vec", message).at(self.location()));
        }
        let bytes = self.bytes_async().await?;
        let lacks = |bytes| no_room(bytes).at(self.location());
        storage::room(bytes.len()).map_err(lacks)?;
        Ok(T::from_bytes(&bytes, self.numel()))
    }

    /// The raw contents: little-endian, row-major; truth values take four bytes.
    ///
    /// # Errors
    /// As [`Tensor::to_vec_async`].
    pub async fn to_bytes_async(&self) -> Result<Vec<u8>> {
        self.check()?;
        self.bytes_async().await
    }

    pub(crate) async fn bytes_async(&self) -> Result<Vec<u8>> {
        let together = links::read_together(self);
        if !together.is_empty() {
            // If that fails this one may be fine all the same, and is run by itself.
            let _ = eval_async(&together.iter().collect::<Vec<_>>()).await;
        }
        #[cfg(feature = "gpu")]
        if let Some(contents) = self.run_and_read()? {
            let mut out = contents.bytes().await?;
            out.truncate(self.numel() * self.dtype().size());
            return Ok(out);
        }
        eval_async(&[self]).await?;
        self.read_value().await
    }

    /// The raw contents of a tensor that has a value.
    pub(crate) async fn read_value(&self) -> Result<Vec<u8>> {
        let bytes = self.numel() * self.dtype().size();
        match value_of(self)? {
            Value::Host(buffer) => copied(&buffer.bytes()[..bytes]),
            #[cfg(feature = "gpu")]
            Value::Gpu(_, outcome) if bytes == 0 => outcome.wait_async().await.map(|()| Vec::new()),
            #[cfg(feature = "gpu")]
            value => {
                let mut out = Contents::of(self.device(), value)?.bytes().await?;
                out.truncate(bytes);
                Ok(out)
            }
        }
    }

    /// Computes a tensor of a GPU and asks for its contents with the same submission. `None` where there is more to it: it
    /// has a value, host steps come first, or runs are watched.
    #[cfg(feature = "gpu")]
    fn run_and_read(&self) -> Result<Option<Contents>> {
        let device = self.device();
        #[cfg(not(target_arch = "wasm32"))]
        let watched = anomaly_mode();
        #[cfg(target_arch = "wasm32")]
        let watched = false;
        let plain = matches!(device.0.kind, Kind::Gpu(_)) && self.0.value.get().is_none();
        if !plain || watched || crate::host::needed(&[self]) {
            return Ok(None);
        }
        let collected = passes::collect(&[self]);
        let plan = plan_for(device, &collected)?;
        let site = |node: usize| collected.site(node);
        let (values, contents) = run::run_and_read(device, &plan, &given(&collected, &site))?;
        for value in values {
            // Another thread may have been first; its value is the same.
            let _ = self.0.value.set(value);
        }
        drop(collected);
        history::evaluated(&[self]);
        Ok(Some(contents))
    }

    /// The one element of a tensor that has one.
    ///
    /// # Errors
    /// As [`Tensor::to_vec_async`], or the tensor has another number of elements.
    pub async fn item_async<T: Element>(&self) -> Result<T> {
        self.check()?;
        let one = |v: Vec<T>| <[T; 1]>::try_from(v).ok().map(|[x]| x);
        let message = || {
            let message = format!("a tensor of {} elements is no single number", self.numel());
            Error::new(ErrorKind::Shape, "item", message)
                .with_operands(vec![(self.shape().to_vec(), self.dtype())])
                .at(self.location())
        };
        if self.numel() != 1 {
            return Err(message());
        }
        one(self.to_vec_async().await?).ok_or_else(message)
    }

    /// [`Tensor::to_vec_async`], waiting for it. Not in a browser.
    ///
    /// # Errors
    /// As [`Tensor::to_vec_async`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        pollster::block_on(self.to_vec_async())
    }

    /// [`Tensor::item_async`], waiting for it. Not in a browser.
    ///
    /// # Errors
    /// As [`Tensor::item_async`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn item<T: Element>(&self) -> Result<T> {
        pollster::block_on(self.item_async())
    }

    /// The same values on another device. A cheap clone where it is there already.
    ///
    /// # Errors
    /// As [`Tensor::to_vec_async`], or the other device has no room.
    #[track_caller]
    pub fn to_async(&self, device: &Device) -> impl Future<Output = Result<Tensor>> {
        let location = std::panic::Location::caller();
        async move {
            if self.device() == device {
                return self.check().cloned();
            }
            let bytes = self.bytes_async().await?;
            let value = Value::upload(device, &bytes).map_err(|e| e.at(location))?;
            Ok(Tensor::from_value(
                value,
                self.shape().to_vec(),
                self.dtype(),
                device.clone(),
            ))
        }
    }

    /// [`Tensor::to_async`], waiting for it. Not in a browser.
    ///
    /// # Errors
    /// As [`Tensor::to_async`].
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn to(&self, device: &Device) -> Result<Tensor> {
        pollster::block_on(self.to_async(device))
    }

    /// A leaf with this tensor's value, computed now: what was recorded below is forgotten, and so are its buffers.
    ///
    /// # Errors
    /// As [`eval`].
    #[track_caller]
    pub fn detach(&self) -> Result<Tensor> {
        eval(&[self])?;
        if self.0.value.get().is_none() && crate::trace::is_tracing() {
            return Ok(self.stop_gradient());
        }
        match self.0.value.get() {
            Some(v) => Ok(Tensor::from_value(
                v.clone(),
                self.shape().to_vec(),
                self.dtype(),
                self.device().clone(),
            )),
            None => Err(Error::new(
                ErrorKind::Internal,
                "detach",
                "the tensor has no value after its run",
            )),
        }
    }
}

/// The error of host memory that is not there.
pub(crate) fn no_room(bytes: usize) -> Error {
    let message = format!("there is no room for {bytes} bytes");
    Error::new(ErrorKind::OutOfMemory, "memory", message)
}

/// A copy that may fail.
fn copied(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(bytes.len())
        .map_err(|_| no_room(bytes.len()))?;
    out.extend_from_slice(bytes);
    Ok(out)
}

/// Waits for a future of this crate on native code: `block_on(tensor.to_vec_async::<f32>())`.
///
/// ```
/// # use wgrad_graph::{Device, Tensor, block_on};
/// let x = Tensor::new(&[1, 2], &Device::cpu());
/// assert_eq!(block_on(x.to_vec_async::<i32>())?, [1, 2]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}
