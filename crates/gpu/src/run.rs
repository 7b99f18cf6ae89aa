//! [`Executor`]: prepares plans on a device and runs them, one encoder and one submission each. Temporaries lie in the device's
//! arena, which a run has from the recording to the submission: threads that run plans of one device take turns, as the device
//! does with what they submit.

use super::choices::Choices;
#[cfg(not(target_arch = "wasm32"))]
use super::choices::{Choice, ShapeClass};
use super::exact::Exact;
use super::prepared::{Action, At, MAX_INHERITED, Prepared, State, Status, prepare};
use super::status::{Word, Words};
use super::target::Target;
#[cfg(not(target_arch = "wasm32"))]
use super::{conv, matmul};
use crate::DeviceClass;
#[cfg(not(target_arch = "wasm32"))]
use crate::plan::Kernel;
use crate::plan::{Place, Plan};
use std::cell::Cell;
use std::sync::{Arc, PoisonError};
use wgrad_device::{
    Arena, Binding, Buffer, Commands, Error, Gpu, KernelSource, Lease, Recent, fold_groups,
};
use wgrad_shaders::kernels;

/// Runs plans on one device.
#[derive(Debug)]
pub struct Executor {
    gpu: Gpu,
    pub(super) target: Target,
    pub(super) exact: Exact,
    /// What was measured on this device before, if anything.
    choices: Choices,
    words: Arc<Words>,
    /// Temporaries of whatever runs.
    arena: Arena,
    /// Bound for empty buffers.
    empty: Buffer,
}

impl Executor {
    /// An executor on `gpu` that chooses kernels as for this class of device.
    ///
    /// # Errors
    /// Those of [`Gpu::alloc_zeroed`].
    pub fn new(gpu: Gpu, class: DeviceClass) -> Result<Executor, Error> {
        let words = Words::new(gpu.clone());
        let empty = gpu.alloc_zeroed(256)?;
        let target = Target::of(&gpu, class);
        Ok(Executor {
            arena: gpu.arena(),
            gpu,
            target,
            exact: Exact::default(),
            choices: Choices::NONE,
            words,
            empty,
        })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The status words of this device's runs.
    pub fn words(&self) -> &Arc<Words> {
        &self.words
    }

    /// By how many bytes a run of this plan would make the device's arena grow.
    pub fn growth(&self, prepared: &Prepared) -> u64 {
        self.arena.growth(&prepared.needs)
    }

    /// Generates and compiles the kernels of `plan`.
    ///
    /// # Errors
    /// [`Error::Shader`] and [`Error::Pipeline`] for a kernel that the device refuses, [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared, Error> {
        prepare(&self.gpu, plan, self.target_of(plan), &self.choices)
    }

    /// As [`Executor::prepare`], with these choices.
    ///
    /// # Errors
    /// As [`Executor::prepare`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare_with(&self, plan: &Plan, choices: &Choices) -> Result<Prepared, Error> {
        prepare(&self.gpu, plan, self.target_of(plan), choices)
    }

    /// What is known of the device, once it is known what this plan makes matter.
    fn target_of(&self, plan: &Plan) -> Target {
        Target {
            halves_exact: self.exact.of(&self.gpu, plan),
            ..self.target
        }
    }

    /// The choices for a product, that of the rules first; `None` for other kernels, empty sums, and products that have
    /// no choice.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn candidates(&self, kernel: &Kernel) -> Option<(ShapeClass, Vec<Choice>)> {
        let product = match kernel {
            Kernel::Matmul(matmul) => matmul::product(matmul),
            Kernel::Conv(conv) => conv::tiled(conv, self.target)?,
            _ => return None,
        };
        product.candidates(self.target)
    }

    /// Takes choices from now on, if `list` is one of choices that this device can run.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn choose(&mut self, list: &serde_json::Value) -> bool {
        let choices = Choices::from_json(list, self.target);
        let fits = choices.is_some();
        self.choices = choices.unwrap_or_default();
        fits
    }

    /// The choices that are taken.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Runs a plan on these leaves and scalars (32-bit words: floats as f32 bits), and returns its results. Does
    /// not wait for the device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where leaves or scalars are too few; those of [`Commands::dispatch`],
    /// [`Gpu::alloc`] and [`Commands::submit`].
    #[cfg(any(test, not(target_arch = "wasm32")))]
    pub fn run(
        &self,
        prepared: &Prepared,
        leaves: &[&Buffer],
        scalars: &[u32],
    ) -> Result<Vec<Buffer>, Error> {
        let job = Job {
            leaves,
            scalars,
            ..Job::default()
        };
        Ok(self.run_job(prepared, &job, &mut [])?.results)
    }

    /// As [`Executor::run`]; `own` are buffers that results are written to, by number, if they have their size. An output
    /// that takes the place of a leaf needs the leaf's; what else holds it keeps its contents.
    ///
    /// # Errors
    /// As [`Executor::run`]; the leaves' buffers are in `own` still.
    pub fn run_job(
        &self,
        prepared: &Prepared,
        job: &Job<'_>,
        own: &mut [Option<Buffer>],
    ) -> Result<Ran, Error> {
        if job.leaves.len() < prepared.n_leaves || job.scalars.len() < prepared.n_scalars {
            return Err(Error::Unsupported {
                what: "a plan without all its leaves and scalars",
            });
        }
        // Held until the submission, so that no other run writes other parameters before it.
        let mut state = prepared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.write_params(prepared, &mut state, job.scalars)?;
        let mut commands = self.recorder()?;
        let replacing = prepared.replaces.contains(&true) || job.kept.iter().any(Option::is_some);
        // A plan that checks nothing has no status of its own, but its run may inherit a failure.
        let inherits = prepared.status.is_none() && replacing && !job.parents.is_empty();
        let lent = inherits.then(|| Status::new(&self.gpu)).transpose()?;
        let status = prepared.status.as_ref().or(lent.as_ref());
        if let Some(status) = status {
            commands.clear(&status.buffer, 0..4)?;
            self.inherit(&mut commands, status, job.parents, &mut state.inherit)?;
        }
        let leaf_of: Vec<Option<Buffer>> = match inherits {
            true => prepared.replaced(own),
            false => Vec::new(),
        };
        let outputs = self.outputs(prepared, own, &mut commands, job)?;
        // After the outputs, whose allocation may take back what the arena has.
        let lease = self.arena.lease(&prepared.needs).map_err(|lacking| {
            job.lacks(prepared.needed_by.get(lacking.buffer));
            lacking.error
        })?;
        let leaves: Vec<Span<'_>> = job.leaves.iter().map(|b| Span::whole(b)).collect();
        let spans: Vec<Span<'_>> = outputs.iter().map(Span::whole).collect();
        let buffers = Buffers {
            executor: self,
            prepared,
            leaves: &leaves,
            outputs: &spans,
            temps: &prepared.temps,
            lease: &lease,
        };
        let mut bindings = Vec::new();
        for (action, recent) in prepared.actions.iter().zip(&mut state.recent) {
            buffers.record(&mut commands, action, &mut bindings, recent)?;
        }
        let results = prepared.results.iter();
        let of = (job.leaves, &outputs[..]);
        let results = results.map(|&(place, bytes)| result(of, place, bytes));
        let mut ran = Ran {
            results: results.collect::<Result<_, _>>()?,
            ..Ran::default()
        };
        if let Some(status) = status {
            let kept = [job.kept, &leaf_of];
            self.judge(&mut commands, status, prepared, kept, &mut state, &mut ran)?;
        }
        if let Some(read) = job.read {
            read(&mut commands, &ran)?;
        }
        let submission = commands.submit()?;
        drop(lease);
        self.trace(submission, prepared)?;
        drop(state);
        Ok(ran)
    }

    /// Records what becomes of the results where the run fails, and that its word tells whether it has; `kept` are lists of what
    /// results are to hold then.
    fn judge(
        &self,
        commands: &mut Commands,
        status: &Status,
        prepared: &Prepared,
        kept: [&[Option<Buffer>]; 2],
        state: &mut State,
        ran: &mut Ran,
    ) -> Result<(), Error> {
        let word = self.words.take()?;
        for (result, recent) in (0..ran.results.len()).zip(&mut state.keeps) {
            let of = |list: &[Option<Buffer>]| list.get(result).cloned().flatten();
            if let Some(old) = of(kept[0]).or_else(|| of(kept[1])) {
                let shared = prepared.is_shared(result);
                let new = &mut ran.results[result];
                self.keep(commands, status, &old, (new, shared), recent)?;
            }
        }
        let (block, at) = word.place();
        if let Some(block) = self.words.block(block) {
            commands.copy(&status.buffer, 0, &block, 4 * u64::from(at), 4)?;
        }
        ran.word = Some(word);
        Ok(())
    }

    /// Makes a run fail where one of its parents has.
    fn inherit(
        &self,
        commands: &mut Commands,
        status: &Status,
        parents: &[&Word],
        recent: &mut Recent,
    ) -> Result<(), Error> {
        if parents.is_empty() {
            return Ok(());
        }
        let kernel = self
            .gpu
            .kernel(KernelSource::new("inherit", kernels::INHERIT))?;
        let mut blocks: Vec<(usize, Vec<u32>)> = Vec::new();
        for (block, at) in parents.iter().map(|word| word.place()) {
            match blocks.iter_mut().find(|(b, _)| *b == block) {
                Some((_, places)) => places.push(at),
                None => blocks.push((block, vec![at])),
            }
        }
        let few = blocks.len() == 1 && parents.len() <= MAX_INHERITED;
        for (block, places) in blocks {
            let Some(words) = self.words.block(block) else {
                continue;
            };
            let list = std::iter::once(places.len() as u32).chain(places);
            let list: Vec<u32> = list.collect();
            let list = bytemuck::cast_slice(&list);
            if few {
                self.gpu.write(&status.which, 0, list)?;
                let bindings = [&words, &status.which, &status.buffer].map(Binding::whole);
                commands.dispatch_again(&kernel, &bindings, [1; 3], recent)?;
            } else {
                let which = self.gpu.upload(list)?;
                let bindings = [&words, &which, &status.buffer].map(Binding::whole);
                commands.dispatch(&kernel, &bindings, [1; 3])?;
            }
        }
        Ok(())
    }

    /// Gives a result the contents of what it replaces where the run has failed. One that something else reads too becomes
    /// a buffer of its own.
    fn keep(
        &self,
        commands: &mut Commands,
        status: &Status,
        old: &Buffer,
        (new, shared): (&mut Buffer, bool),
        recent: &mut Recent,
    ) -> Result<(), Error> {
        if new.is_empty() || old.is_empty() {
            return Ok(());
        }
        if shared || old.id() == new.id() {
            let copy = self.gpu.alloc(new.len())?;
            commands.copy(new, 0, &copy, 0, new.len())?;
            *new = copy;
        }
        let kernel = self.gpu.kernel(KernelSource::new("keep", kernels::KEEP))?;
        let bindings = [old, new, &status.buffer].map(Binding::whole);
        let groups = new.len().div_ceil(4 * 64);
        let grid = fold_groups(groups, self.gpu.limits().max_groups);
        if shared {
            return commands.dispatch(&kernel, &bindings, grid);
        }
        commands.dispatch_again(&kernel, &bindings, grid, recent)
    }

    /// A buffer for each output: the one given for it, if nothing else holds it, else one of the pool, with the contents
    /// of the one given if the output takes the place of a leaf.
    fn outputs(
        &self,
        prepared: &Prepared,
        own: &mut [Option<Buffer>],
        commands: &mut Commands,
        job: &Job<'_>,
    ) -> Result<Vec<Buffer>, Error> {
        let bytes = prepared.outputs.bytes().iter().enumerate();
        bytes
            .map(|(place, &bytes)| {
                let fits = |b: &Buffer| b.is_unique() && b.offset() == 0 && b.len() == bytes;
                let fresh = || {
                    let new = self.gpu.alloc_turn(&prepared.outputs, place);
                    new.inspect_err(|_| job.lacks(prepared.written_by.get(place)))
                };
                let given = own.get_mut(place);
                if prepared.replaces.get(place) != Some(&true) {
                    let given = given.and_then(Option::take).filter(fits);
                    return given.map_or_else(fresh, Ok);
                }
                match given.as_deref() {
                    // What holds it besides may be this very run, which keeps it for the case of a failure.
                    Some(Some(leaf)) if fits(leaf) => Ok(leaf.clone()),
                    Some(Some(leaf)) => {
                        let copy = fresh()?;
                        commands.copy(leaf, 0, &copy, 0, bytes)?;
                        Ok(copy)
                    }
                    _ => Err(Error::Unsupported {
                        what: "a plan without the leaf that an output replaces",
                    }),
                }
            })
            .collect()
    }

    /// Uploads what has changed of the parameter blocks since the last run, or all if they never were.
    fn write_params(
        &self,
        prepared: &Prepared,
        state: &mut State,
        scalars: &[u32],
    ) -> Result<(), Error> {
        // First changed word and the one after the last.
        let (mut first, mut end) = match state.written {
            true => (usize::MAX, 0),
            false => (0, state.words.len()),
        };
        for &(at, scalar) in &prepared.scalars {
            if state.words[at] != scalars[scalar] {
                state.words[at] = scalars[scalar];
                (first, end) = (first.min(at), end.max(at + 1));
            }
        }
        if first < end {
            let words = bytemuck::cast_slice(&state.words[first..end]);
            state.written = false;
            self.gpu.write(&prepared.params, 4 * first as u64, words)?;
            state.written = true;
        }
        Ok(())
    }
}

/// What a run is given.
#[derive(Default)]
pub struct Job<'a> {
    /// The buffers that it reads.
    pub leaves: &'a [&'a Buffer],
    /// 32-bit words: floats as f32 bits.
    pub scalars: &'a [u32],
    /// Status words of runs whose failure makes this one fail.
    pub parents: &'a [&'a Word],
    /// For each result what it is to hold if the run fails, if anything; not for those that take the place of a leaf.
    pub kept: &'a [Option<Buffer>],
    /// Records what is read back with the same submission.
    pub read: Option<&'a Read<'a>>,
    /// Where the run tells which step there was no memory for.
    pub lacking: Option<&'a Cell<Option<usize>>>,
}

impl Job<'_> {
    fn lacks(&self, step: Option<&usize>) {
        if let Some(lacking) = self.lacking {
            lacking.set(step.copied());
        }
    }
}

/// Records what is read back.
pub type Read<'a> = dyn Fn(&mut Commands, &Ran) -> Result<(), Error> + 'a;

/// What a run has given.
#[derive(Debug, Default)]
pub struct Ran {
    /// The plan's results.
    pub results: Vec<Buffer>,
    /// What the run writes its status to, if it may fail.
    pub word: Option<Word>,
}

/// A buffer from some byte on.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) offset: u64,
}

impl<'a> Span<'a> {
    pub(super) fn whole(buffer: &'a Buffer) -> Span<'a> {
        Span { buffer, offset: 0 }
    }

    /// Row `row` of rows of so many elements of four bytes.
    pub(super) fn row(self, row: usize, pitch: usize) -> Span<'a> {
        Span {
            offset: self.offset + 4 * (row * pitch) as u64,
            ..self
        }
    }

    /// This, or where nothing lies if it is to hold nothing.
    pub(super) fn or(self, around: &Buffers<'a>, bytes: u64) -> Span<'a> {
        if bytes == 0 { around.nothing() } else { self }
    }
}

/// All buffers of one run, or of a round of a loop.
pub(super) struct Buffers<'a> {
    executor: &'a Executor,
    prepared: &'a Prepared,
    leaves: &'a [Span<'a>],
    outputs: &'a [Span<'a>],
    /// Which buffers of the lease the temporaries are.
    temps: &'a [usize],
    lease: &'a Lease<'a>,
}

impl<'a> Buffers<'a> {
    /// A buffer of the arena.
    pub(super) fn of_arena(&self, i: usize) -> Span<'a> {
        Span::whole(self.lease.buffer(i))
    }

    pub(super) fn at(&self, at: At) -> Span<'a> {
        let span = match at {
            At::Leaf(i) => self.leaves[i],
            At::Output(i) => self.outputs[i],
            At::Temp(i) => self.of_arena(self.temps[i]),
            At::Scratch(i) => self.of_arena(self.prepared.first_scratch + i),
            At::Params => Span::whole(&self.prepared.params),
            At::Status => match &self.prepared.status {
                Some(status) => Span::whole(&status.buffer),
                None => self.nothing(),
            },
        };
        if span.buffer.is_empty() {
            self.nothing()
        } else {
            span
        }
    }

    /// Where nothing is read or written.
    pub(super) fn nothing(&self) -> Span<'a> {
        Span::whole(&self.executor.empty)
    }

    /// The buffers of a round of a loop.
    pub(super) fn within<'b>(
        &self,
        leaves: &'b [Span<'b>],
        outputs: &'b [Span<'b>],
        temps: &'b [usize],
    ) -> Buffers<'b>
    where
        'a: 'b,
    {
        Buffers {
            executor: self.executor,
            prepared: self.prepared,
            leaves,
            outputs,
            temps,
            lease: self.lease,
        }
    }

    /// What an argument binds.
    fn binding(&self, at: At, size: u64, params: (u64, u64)) -> Binding<'a> {
        let Span { buffer, offset } = self.at(at);
        let (offset, size) = match at {
            At::Params => params,
            _ => (offset, size),
        };
        Binding {
            buffer,
            offset,
            size,
        }
    }

    /// Records an action of the plan; `bindings` is scratch.
    fn record<'b>(
        &self,
        commands: &mut Commands,
        action: &Action,
        bindings: &mut Vec<Binding<'b>>,
        recent: &mut Recent,
    ) -> Result<(), Error>
    where
        'a: 'b,
    {
        match action {
            Action::Dispatch {
                kernel,
                args,
                params,
                grid,
            } => {
                bindings.clear();
                let args = args.iter();
                bindings.extend(args.map(|&(at, size)| self.binding(at, size, *params)));
                commands.dispatch_again(kernel, bindings, *grid, recent)
            }
            other => self.record_once(commands, other),
        }
    }

    /// Records an action of a round.
    pub(super) fn record_once(
        &self,
        commands: &mut Commands,
        action: &Action,
    ) -> Result<(), Error> {
        match action {
            Action::Clear { target, bytes } => {
                let Span { buffer, offset } = self.at(*target);
                // Elements may end within a word; what is left of it belongs to nobody.
                let end = (offset + bytes).next_multiple_of(4).min(buffer.len());
                commands.clear(buffer, offset..end)
            }
            Action::Dispatch {
                kernel,
                args,
                params,
                grid,
            } => {
                let args = args.iter();
                let bindings: Vec<Binding<'_>> = args
                    .map(|&(at, size)| self.binding(at, size, *params))
                    .collect();
                commands.dispatch(kernel, &bindings, *grid)
            }
            Action::Loop(rounds) => rounds.record(self, commands),
        }
    }
}

/// A result without its padding.
fn result(
    (leaves, outputs): (&[&Buffer], &[Buffer]),
    place: Place,
    bytes: u64,
) -> Result<Buffer, Error> {
    match place {
        Place::Leaf(i) => Ok(leaves[i].clone()),
        Place::Output(i) => outputs[i].slice(0..bytes),
        Place::Temp(_) => Err(Error::Unsupported {
            what: "a result in a temporary buffer",
        }),
    }
}
