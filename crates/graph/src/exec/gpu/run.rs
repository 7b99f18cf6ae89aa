//! [`Executor`]: prepares plans on a device and runs them, one encoder and one submission each.

use super::choices::Choices;
#[cfg(all(feature = "cpu", not(target_arch = "wasm32")))]
use super::choices::{Choice, ShapeClass};
#[cfg(all(feature = "cpu", not(target_arch = "wasm32")))]
use super::gemm::candidates;
use super::lower::Target;
use super::prepared::{Action, At, Prepared, State, prepare};
use crate::device::DeviceClass;
#[cfg(all(feature = "cpu", not(target_arch = "wasm32")))]
use crate::plan::Kernel;
use crate::plan::{Place, Plan};
use std::sync::PoisonError;
use wgrad_device::{Binding, Buffer, Commands, Error, Gpu, Recent};

/// Runs plans on one device.
#[derive(Debug)]
pub(crate) struct Executor {
    gpu: Gpu,
    pub(super) target: Target,
    /// What was measured on this device before, if anything.
    choices: Choices,
    /// One u32, zero until a step meets an index out of range; then that step's `check`, until it is read.
    status: Buffer,
    /// Bound for empty buffers.
    empty: Buffer,
}

impl Executor {
    /// An executor on `gpu` that chooses kernels as for this class of device.
    ///
    /// # Errors
    /// Those of [`Gpu::alloc_zeroed`].
    pub(crate) fn new(gpu: Gpu, class: DeviceClass) -> Result<Executor, Error> {
        let status = gpu.alloc_zeroed(4)?;
        let empty = gpu.alloc_zeroed(256)?;
        let target = Target::of(&gpu, class);
        Ok(Executor {
            gpu,
            target,
            choices: Choices::NONE,
            status,
            empty,
        })
    }

    /// The device.
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The `check` of the first step since the last call that met an index out of range, or 0. Waits for all
    /// that was submitted.
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    pub(crate) async fn take_status(&self) -> Result<u32, Error> {
        let bytes = self.gpu.read(&self.status).await?;
        let word: [u8; 4] = bytes.as_slice().try_into().unwrap_or_default();
        let status = u32::from_le_bytes(word);
        if status != 0 {
            self.gpu.write(&self.status, 0, &[0; 4])?;
        }
        Ok(status)
    }

    /// Generates and compiles the kernels of `plan`, and allocates its temporary buffers.
    ///
    /// # Errors
    /// [`Error::Shader`] and [`Error::Pipeline`] for a kernel that the device refuses, [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub(crate) fn prepare(&self, plan: &Plan) -> Result<Prepared, Error> {
        prepare(&self.gpu, plan, self.target, &self.choices)
    }

    /// As [`Executor::prepare`], with these choices.
    ///
    /// # Errors
    /// As [`Executor::prepare`].
    #[cfg(all(feature = "cpu", not(target_arch = "wasm32")))]
    pub(crate) fn prepare_with(&self, plan: &Plan, choices: &Choices) -> Result<Prepared, Error> {
        prepare(&self.gpu, plan, self.target, choices)
    }

    /// The choices for a product, that of the rules first: see [`candidates`].
    #[cfg(all(feature = "cpu", not(target_arch = "wasm32")))]
    pub(crate) fn candidates(&self, kernel: &Kernel) -> Option<(ShapeClass, Vec<Choice>)> {
        candidates(kernel, self.target)
    }

    /// Takes choices from now on, if `list` is one of choices that this device can run.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn choose(&mut self, list: &serde_json::Value) -> bool {
        let choices = Choices::from_json(list, self.target);
        let fits = choices.is_some();
        self.choices = choices.unwrap_or_default();
        fits
    }

    /// The choices that are taken.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Runs a plan on these leaves and scalars (32-bit words: floats as f32 bits), and returns its results. Does
    /// not wait.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where leaves or scalars are too few; those of [`Commands::dispatch`],
    /// [`Gpu::alloc`] and [`Commands::submit`].
    pub(crate) fn run(
        &self,
        prepared: &Prepared,
        leaves: &[&Buffer],
        scalars: &[u32],
    ) -> Result<Vec<Buffer>, Error> {
        self.run_into(prepared, leaves, scalars, &mut [])
    }

    /// As [`Executor::run`]; `own` are buffers that results are written to, by number, if they have their size. An output
    /// that takes the place of a leaf needs the leaf's; what else holds it keeps its contents.
    ///
    /// # Errors
    /// As [`Executor::run`]; the leaves' buffers are in `own` still.
    pub(crate) fn run_into(
        &self,
        prepared: &Prepared,
        leaves: &[&Buffer],
        scalars: &[u32],
        own: &mut [Option<Buffer>],
    ) -> Result<Vec<Buffer>, Error> {
        if leaves.len() < prepared.n_leaves || scalars.len() < prepared.n_scalars {
            return Err(Error::Unsupported {
                what: "a plan without all its leaves and scalars",
            });
        }
        // Held until the submission, so that no other run writes other parameters before it.
        let mut state = prepared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.write_params(prepared, &mut state, scalars)?;
        let mut commands = self.recorder()?;
        let outputs = self.outputs(prepared, own, &mut commands)?;
        let buffers = Buffers {
            executor: self,
            prepared,
            leaves,
            outputs: &outputs,
        };
        let mut bindings = Vec::new();
        for (action, recent) in prepared.actions.iter().zip(&mut state.recent) {
            buffers.record(&mut commands, action, &mut bindings, recent)?;
        }
        let submission = commands.submit()?;
        self.trace(submission, prepared)?;
        drop(state);
        let results = prepared.results.iter();
        results
            .map(|&(place, bytes)| buffers.result(place, bytes))
            .collect()
    }

    /// A buffer for each output: the one given for it, if nothing else holds it, else one of the pool, with the contents
    /// of the one given if the output takes the place of a leaf.
    fn outputs(
        &self,
        prepared: &Prepared,
        own: &mut [Option<Buffer>],
        commands: &mut Commands,
    ) -> Result<Vec<Buffer>, Error> {
        let bytes = prepared.outputs.bytes().iter().enumerate();
        bytes
            .map(|(place, &bytes)| {
                let fits = |b: &Buffer| b.is_unique() && b.offset() == 0 && b.len() == bytes;
                let fresh = || self.gpu.alloc_turn(&prepared.outputs, place);
                let given = own.get_mut(place);
                if prepared.replaces.get(place) != Some(&true) {
                    let given = given.and_then(Option::take).filter(fits);
                    return given.map_or_else(fresh, Ok);
                }
                match given.as_deref() {
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

/// All buffers of one run.
struct Buffers<'a> {
    executor: &'a Executor,
    prepared: &'a Prepared,
    leaves: &'a [&'a Buffer],
    outputs: &'a [Buffer],
}

impl<'a> Buffers<'a> {
    fn at(&self, at: At) -> &'a Buffer {
        let buffer = match at {
            At::Leaf(i) => self.leaves[i],
            At::Output(i) => &self.outputs[i],
            At::Temp(i) => &self.prepared.temps[i],
            At::Scratch(i) => &self.prepared.scratch[i],
            At::Params => &self.prepared.params,
            At::Status => &self.executor.status,
        };
        if buffer.is_empty() {
            &self.executor.empty
        } else {
            buffer
        }
    }

    /// Records an action; `bindings` is scratch.
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
            Action::Clear { target, bytes } => commands.clear(self.at(*target), 0..*bytes),
            Action::Dispatch {
                kernel,
                args,
                params,
                grid,
            } => {
                bindings.clear();
                bindings.extend(args.iter().map(|&(at, size)| {
                    let (offset, size) = match at {
                        At::Params => *params,
                        _ => (0, size),
                    };
                    let buffer = self.at(at);
                    Binding {
                        buffer,
                        offset,
                        size,
                    }
                }));
                commands.dispatch_again(kernel, bindings, *grid, recent)
            }
        }
    }

    /// A result without its padding.
    fn result(&self, place: Place, bytes: u64) -> Result<Buffer, Error> {
        match place {
            Place::Leaf(i) => Ok(self.leaves[i].clone()),
            Place::Output(i) => self.outputs[i].slice(0..bytes),
            Place::Temp(_) => Err(Error::Unsupported {
                what: "a result in a temporary buffer",
            }),
        }
    }
}
