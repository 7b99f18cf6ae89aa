//! Running a plan on its device. A run owns its outcome: a host returns its error at once, a GPU's results hold it until it
//! is known. Plans nothing and knows no tensors.

use crate::device::{CachedPlan, Device, Kind};
use crate::error::{Error, ErrorKind, Result};
use crate::eval::Value;
use crate::outcome::Outcome;
#[cfg(feature = "gpu")]
use crate::outcome::{Parents, Reading, Sites};
#[cfg(any(feature = "cpu", feature = "gpu"))]
use crate::plan::Origin;
#[cfg(feature = "cpu")]
use crate::storage::{HostBuffer, HostBufferMut};
#[cfg(feature = "gpu")]
use std::cell::Cell;
use std::panic::Location;
#[cfg(feature = "gpu")]
use std::sync::Arc;
#[cfg(feature = "gpu")]
use wgrad_gpu::{Job, Ran, Read};

/// Name and place of a node.
pub(crate) type Site = (&'static str, &'static Location<'static>);

/// What a run is given besides its plan.
pub(crate) struct Given<'a> {
    pub(crate) leaves: Vec<&'a Value>,
    pub(crate) scalars: &'a [u32],
    /// The nodes by their numbers, for errors.
    pub(crate) site: &'a dyn Fn(usize) -> Option<Site>,
    /// For each result what it is to hold if the run fails and that cannot be known at once; not for those that take the
    /// place of a leaf.
    #[cfg_attr(
        not(feature = "gpu"),
        allow(dead_code, reason = "a host knows at once")
    )]
    pub(crate) kept: Vec<Option<&'a Value>>,
}

/// As [`run_unseen`], into the profile.
pub(crate) fn run(
    device: &Device,
    cached: &CachedPlan,
    given: &Given<'_>,
) -> Result<(Vec<Value>, Outcome)> {
    profiled(device, cached, || run_unseen(device, cached, given))
}

/// Runs a plan by `run`, and puts it into the profile if one is written.
fn profiled<T>(device: &Device, cached: &CachedPlan, run: impl FnOnce() -> T) -> T {
    let began = crate::profile::begin();
    let result = run();
    if began.is_some() {
        let memory = device.memory();
        let counts = [("live", memory.live_bytes), ("pooled", memory.pooled_bytes)];
        crate::profile::plan(began, cached.plan.steps.len(), &counts);
    }
    result
}

fn run_unseen(
    device: &Device,
    cached: &CachedPlan,
    given: &Given<'_>,
) -> Result<(Vec<Value>, Outcome)> {
    match &device.0.kind {
        #[cfg(feature = "cpu")]
        Kind::Cpu(cpu) => {
            let leaves = host_leaves(given)?;
            let prepared = cached.on_cpu.as_ref().ok_or_else(unprepared)?;
            let status = 0.into();
            let plan = (&cached.plan, prepared);
            let out = cpu
                .executor
                .run(plan, &leaves, given.scalars, &status, None);
            let out = out.map_err(|e| no_memory(&e, cached, given))?;
            no_bad_index(status.into_inner(), given)?;
            let values = out.into_iter().map(Value::Host).collect();
            Ok((values, Outcome::default()))
        }
        #[cfg(feature = "gpu")]
        Kind::Gpu(_) => {
            let sites = || sites(cached, given.site);
            on_gpu(device, cached, given, &sites, &mut Vec::new(), None)
        }
        Kind::Reference => {
            let message = "the reference runs no plans";
            Err(Error::new(ErrorKind::Internal, "eval", message))
        }
    }
}

#[cfg(feature = "cpu")]
fn host_leaves<'a>(given: &Given<'a>) -> Result<Vec<&'a HostBuffer>> {
    let leaves = given.leaves.iter().map(|v| v.host().ok_or_else(elsewhere));
    leaves.collect()
}

/// The error of a leaf whose value does not lie where the plan runs.
pub(crate) fn elsewhere() -> Error {
    Error::new(
        ErrorKind::Device,
        "eval",
        "an operand lies on another device",
    )
}

#[cfg(any(feature = "cpu", feature = "gpu"))]
fn unprepared() -> Error {
    let message = "a plan was not prepared for its device";
    Error::new(ErrorKind::Internal, "eval", message)
}

/// The error that a status word of a host's run stands for.
#[cfg(feature = "cpu")]
fn no_bad_index(code: u32, given: &Given<'_>) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    Err(match (given.site)(code as usize - 1) {
        Some((name, location)) => Error::index(name, location),
        None => Error::new(ErrorKind::Internal, "eval", "a node is not known"),
    })
}

/// The error of a buffer that the host has no room for, at the line of the run that needs it.
#[cfg(feature = "cpu")]
fn no_memory(lack: &wgrad_cpu::Lack, cached: &CachedPlan, given: &Given<'_>) -> Error {
    let message = format!("there is no room for {} bytes", lack.bytes);
    lacking(message, lack.origin.as_ref(), cached, given)
}

/// The error of memory that is lacking for what a step computes.
#[cfg(any(feature = "cpu", feature = "gpu"))]
fn lacking(
    message: String,
    origin: Option<&Origin>,
    cached: &CachedPlan,
    given: &Given<'_>,
) -> Error {
    let Some(origin) = origin else {
        return Error::new(ErrorKind::OutOfMemory, "eval", message);
    };
    let location = (given.site)(origin.node).map_or(origin.location, |site| site.1);
    let message = match cached.graph.nodes.get(origin.node) {
        Some(node) => format!("{message}, computing {}{:?}", node.dtype, node.shape),
        None => message,
    };
    Error::new(ErrorKind::OutOfMemory, origin.name.as_str(), message).at(location)
}

/// The error of a GPU's run; of memory that is lacking, at the step that needs it.
#[cfg(feature = "gpu")]
fn failed(
    e: &wgrad_device::Error,
    step: Option<usize>,
    cached: &CachedPlan,
    given: &Given<'_>,
) -> Error {
    let error = crate::device::from_device(e);
    let step = step.and_then(|at| cached.plan.steps.get(at));
    match (error.kind(), step) {
        (ErrorKind::OutOfMemory, Some(step)) => {
            lacking(error.message().into(), Some(&step.origin), cached, given)
        }
        _ => error,
    }
}

/// What may fail in a plan, by what it writes to the status word; none for plans that cannot.
#[cfg(feature = "gpu")]
fn sites(cached: &CachedPlan, site: &dyn Fn(usize) -> Option<Site>) -> Option<Arc<Sites>> {
    let of = |&check: &u32| {
        let (name, location) = site(check as usize - 1)?;
        Some((check, name, location))
    };
    let all = || cached.checks.iter().filter_map(of).collect();
    (!cached.checks.is_empty()).then(|| Arc::new(Sites(all())))
}

#[cfg(feature = "gpu")]
fn on_gpu(
    device: &Device,
    cached: &CachedPlan,
    given: &Given<'_>,
    sites: &dyn Fn() -> Option<Arc<Sites>>,
    own: &mut Vec<Option<Value>>,
    read: Option<&Read<'_>>,
) -> Result<(Vec<Value>, Outcome)> {
    let Kind::Gpu(gpu) = &device.0.kind else {
        return Err(elsewhere());
    };
    let prepared = cached.prepared.as_ref().ok_or_else(unprepared)?;
    let mut parents = Parents::default();
    let replaced = own.iter().zip(cached.plan.replaces());
    let replaced = replaced.filter_map(|(v, replaces)| v.as_ref().filter(|_| replaces));
    let kept = given.kept.iter().copied().flatten();
    for value in given.leaves.iter().copied().chain(kept).chain(replaced) {
        parents.add(value.gpu().ok_or_else(elsewhere)?.1)?;
    }
    let leaves = given.leaves.iter().filter_map(|v| Some(v.gpu()?.0));
    let leaves: Vec<&wgrad_device::Buffer> = leaves.collect();
    // A run that cannot fail keeps nothing.
    let may_fail = !cached.checks.is_empty() || !parents.is_empty();
    let kept = given
        .kept
        .iter()
        .map(|v| Some(v.as_ref()?.gpu()?.0.clone()));
    let kept: Vec<_> = kept.filter(|_| may_fail).collect();
    let mut outcomes = Vec::with_capacity(own.len());
    let mut buffers = Vec::with_capacity(own.len());
    for value in own.drain(..) {
        let (buffer, outcome) = match value {
            Some(Value::Gpu(buffer, outcome)) => (Some(buffer), outcome),
            _ => (None, Outcome::default()),
        };
        buffers.push(buffer);
        outcomes.push(outcome);
    }
    let words = parents.words();
    let lacking = Cell::new(None);
    let job = Job {
        leaves: &leaves,
        scalars: given.scalars,
        parents: &words,
        kept: &kept,
        read,
        lacking: Some(&lacking),
    };
    let ran = gpu.executor.run_job(prepared, &job, &mut buffers);
    let Ran { results, word } = ran.map_err(|e| {
        let still = buffers.into_iter().zip(outcomes);
        own.extend(still.map(|(b, outcome)| Some(Value::Gpu(b?, outcome))));
        failed(&e, lacking.get(), cached, given)
    })?;
    let outcome = gpu.outcomes.submitted(word, sites(), parents);
    let replaces = cached.plan.replaces();
    let values = results.into_iter().enumerate().map(|(r, buffer)| {
        // What was kept holds something right however the run has ended.
        let kept = replaces[r] || given.kept.get(r).is_some_and(Option::is_some);
        let outcome = if kept {
            Outcome::default()
        } else {
            outcome.clone()
        };
        Value::Gpu(buffer, outcome)
    });
    Ok((values.collect(), outcome.clone()))
}

/// Contents of a tensor on their way from a GPU, with the outcome of the run that wrote them.
#[cfg(feature = "gpu")]
pub(crate) struct Contents {
    data: wgrad_device::Download,
    words: Reading,
    outcome: Outcome,
}

#[cfg(feature = "gpu")]
impl Contents {
    /// The bytes, once they are there.
    ///
    /// # Errors
    /// That of the run that wrote them; reading fails.
    pub(crate) async fn bytes(self) -> Result<Vec<u8>> {
        let bytes = self.data.bytes().await;
        let bytes = bytes.map_err(|e| crate::device::from_device(&e))?;
        self.words.finish_with(&self.outcome).await?;
        self.outcome.wait_async().await?;
        Ok(bytes)
    }

    /// Asks for what a value holds.
    pub(crate) fn of(device: &Device, value: &Value) -> Result<Contents> {
        let Kind::Gpu(gpu) = &device.0.kind else {
            return Err(elsewhere());
        };
        let (buffer, outcome) = value.gpu().ok_or_else(elsewhere)?;
        let read = || {
            let mut commands = gpu.executor.gpu().commands();
            let data = commands.download(buffer, 0, buffer.len())?;
            let words = gpu.outcomes.reading(&mut commands, None)?;
            commands.submit()?;
            let outcome = outcome.clone();
            Ok(Contents {
                data,
                words,
                outcome,
            })
        };
        read().map_err(|e| crate::device::from_device(&e))
    }
}

/// Runs a plan on a GPU and asks for the contents of its first result with the same submission.
#[cfg(feature = "gpu")]
pub(crate) fn run_and_read(
    device: &Device,
    cached: &CachedPlan,
    given: &Given<'_>,
) -> Result<(Vec<Value>, Contents)> {
    let Kind::Gpu(gpu) = &device.0.kind else {
        return Err(elsewhere());
    };
    let asked = std::cell::RefCell::new(None);
    let read = |commands: &mut wgrad_device::Commands, ran: &Ran| {
        let result = &ran.results[0];
        let data = commands.download(result, 0, result.len())?;
        let words = gpu.outcomes.reading(commands, ran.word.as_ref())?;
        *asked.borrow_mut() = Some((data, words));
        Ok(())
    };
    let sites = || sites(cached, given.site);
    let run = || on_gpu(device, cached, given, &sites, &mut Vec::new(), Some(&read));
    let (values, outcome) = profiled(device, cached, run)?;
    match asked.into_inner() {
        Some((data, words)) => Ok((
            values,
            Contents {
                data,
                words,
                outcome,
            },
        )),
        None => Err(Error::new(ErrorKind::Internal, "read", "nothing was read")),
    }
}

/// Bytes of a run's temporaries.
#[derive(Default)]
pub(crate) struct Temporaries {
    pub(crate) bytes: u64,
    /// How many of them the device does not hold yet.
    pub(crate) growth: u64,
    /// The most that a step takes besides.
    pub(crate) within_a_step: u64,
}

pub(crate) fn temporaries(device: &Device, cached: &CachedPlan) -> Temporaries {
    match &device.0.kind {
        #[cfg(feature = "cpu")]
        Kind::Cpu(cpu) => {
            let Some(prepared) = &cached.on_cpu else {
                return Temporaries::default();
            };
            let (bytes, within_a_step) = prepared.bytes(&cached.plan);
            Temporaries {
                bytes,
                growth: cpu.executor.growth(prepared),
                within_a_step,
            }
        }
        #[cfg(feature = "gpu")]
        Kind::Gpu(gpu) => {
            let Some(prepared) = &cached.prepared else {
                return Temporaries::default();
            };
            Temporaries {
                bytes: prepared.bytes(),
                growth: gpu.executor.growth(prepared),
                within_a_step: 0,
            }
        }
        _ => Temporaries::default(),
    }
}

/// The memory of one plan that is run again and again.
pub(crate) struct Memory {
    #[cfg(feature = "cpu")]
    cpu: wgrad_cpu::Memory,
    /// Of each output whether it takes the place of a leaf.
    #[cfg(feature = "cpu")]
    replaces: Vec<bool>,
    #[cfg(feature = "gpu")]
    sites: Option<Arc<Sites>>,
}

impl Memory {
    #[allow(
        unused_variables,
        reason = "without an executor there is nothing to keep"
    )]
    pub(crate) fn new(cached: &CachedPlan) -> Memory {
        Memory {
            #[cfg(feature = "cpu")]
            cpu: wgrad_cpu::Memory::new(&cached.plan),
            #[cfg(feature = "cpu")]
            replaces: cached.plan.replaces(),
            #[cfg(feature = "gpu")]
            sites: sites(cached, &|node| cached.site(node)),
        }
    }

    /// As [`run`]; `buffers` are those that results may be written to, by number. Where a result takes the place of a leaf
    /// it is the leaf's, and is there again, with its contents, if the run fails or panics.
    pub(crate) fn run(
        &mut self,
        device: &Device,
        cached: &CachedPlan,
        given: &Given<'_>,
        buffers: &mut Vec<Option<Value>>,
    ) -> Result<(Vec<Value>, Outcome)> {
        profiled(device, cached, || {
            self.run_unseen(device, cached, given, buffers)
        })
    }

    fn run_unseen(
        &mut self,
        device: &Device,
        cached: &CachedPlan,
        given: &Given<'_>,
        buffers: &mut Vec<Option<Value>>,
    ) -> Result<(Vec<Value>, Outcome)> {
        match &device.0.kind {
            #[cfg(feature = "cpu")]
            Kind::Cpu(cpu) => self.on_cpu(&cpu.executor, cached, given, buffers),
            #[cfg(feature = "gpu")]
            Kind::Gpu(_) => {
                let sites = || self.sites.clone();
                on_gpu(device, cached, given, &sites, buffers, None)
            }
            Kind::Reference => run_unseen(device, cached, given),
        }
    }

    #[cfg(feature = "cpu")]
    fn on_cpu(
        &mut self,
        executor: &wgrad_cpu::Executor,
        cached: &CachedPlan,
        given: &Given<'_>,
        buffers: &mut Vec<Option<Value>>,
    ) -> Result<(Vec<Value>, Outcome)> {
        let leaves = host_leaves(given)?;
        let plan = (&cached.plan, cached.on_cpu.as_ref().ok_or_else(unprepared)?);
        let lent = self.lend(buffers).map_err(|(output, bytes)| {
            let place = crate::plan::Place::Output(output);
            no_memory(
                &wgrad_cpu::Lack::of(&cached.plan, place, bytes),
                cached,
                given,
            )
        })?;
        self.cpu.offer(lent);
        let status = 0.into();
        let run = || executor.run_in(&mut self.cpu, plan, &leaves, given.scalars, &status);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        let mut still = |kept: Vec<Option<HostBufferMut>>| {
            let kept = kept.into_iter();
            buffers.extend(kept.map(|b| Some(Value::Host(b?.freeze()))));
        };
        let out = match ran {
            Ok(Ok(out)) => out.into_iter().map(Value::Host),
            Ok(Err(lack)) => {
                still(self.cpu.take_back());
                return Err(no_memory(&lack, cached, given));
            }
            Err(panic) => {
                still(self.cpu.take_back());
                std::panic::resume_unwind(panic)
            }
        };
        match no_bad_index(status.into_inner(), given) {
            Ok(()) => Ok((out.collect(), Outcome::default())),
            Err(error) => {
                buffers.extend(out.map(Some));
                Err(error)
            }
        }
    }

    /// The buffers as ones to write, those that are to be replaced with their contents. `buffers` is empty then.
    ///
    /// # Errors
    /// The output whose bytes there is no room for, and how many; `buffers` is as it was.
    #[cfg(feature = "cpu")]
    fn lend(
        &self,
        buffers: &mut Vec<Option<Value>>,
    ) -> std::result::Result<Vec<Option<HostBufferMut>>, (usize, usize)> {
        // Seldom are there any.
        let mut copies: Vec<(usize, HostBufferMut)> = Vec::new();
        for (output, (value, &replaces)) in buffers.iter().zip(&self.replaces).enumerate() {
            let host = value.as_ref().and_then(Value::host);
            if let Some(shared) = host.filter(|b| replaces && b.is_shared()) {
                copies.push((output, shared.copy().map_err(|bytes| (output, bytes))?));
            }
        }
        let mut copies = copies.into_iter().peekable();
        let own = buffers.drain(..).enumerate().map(|(output, value)| {
            let copy = copies.next_if(|(of, _)| *of == output);
            match (copy, value) {
                (Some((_, copy)), _) => Some(copy),
                (None, Some(Value::Host(buffer))) => buffer.into_mut(),
                _ => None,
            }
        });
        Ok(own.collect())
    }
}
