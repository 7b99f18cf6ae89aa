//! The fast executor on all cores: runs a [`Plan`] with blocked, vectorised loops. Reads plans as plain data; knows
//! no graph, no tensors and no other executor.

mod combine;
mod conv;
mod few_weight;
mod gemm;
mod implicit;
mod implicit_weight;
mod load;
mod map;
mod matmul;
mod order;
mod pairs;
mod par;
mod philox;
mod prepared;
mod program;
mod reduce;
mod rows;
mod scan;
mod scatter;
mod scratch;
mod segment;
mod softmax;
mod sort;
mod team;
#[cfg(test)]
mod tests;
mod unfold;
mod updates;
mod walk;
mod weight;
mod window;
mod winograd;
mod worker;

use dtype::DType;
use par::Par;
use plan::{Kernel, Origin, Place, Plan, Rows, Slot, SlotId, Step};
pub use prepared::Prepared;
use prepared::Ready;
use segment::Segment;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use storage::{HostBuffer, HostBufferMut, NoRoom};
use team::Team;
#[cfg(test)]
use wgrad_plan::guard;
use wgrad_plan::{dtype, math, plan, profile, simd, storage};

/// An input of a kernel: its element type and contents, aligned to 4 bytes at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    /// Element type.
    pub dtype: DType,
    /// Elements, as they lie in a buffer.
    pub bytes: &'a [u8],
}

impl Operand<'_> {
    const NONE: Operand<'static> = Operand {
        dtype: DType::F32,
        bytes: &[],
    };
}

/// Operands of a step that need no list of their own on the heap.
const FEW: usize = 8;

/// What a kernel runs with.
#[derive(Clone, Copy)]
struct Context<'a> {
    inputs: &'a [Operand<'a>],
    scalars: &'a [u32],
    check: u32,
    status: &'a AtomicU32,
    par: Par<'a>,
    /// The right operand of a product, packed, or the filters of a convolution made ready.
    packed: Option<&'a [f32]>,
}

impl<'a> Context<'a> {
    /// Input `i` as 32-bit words.
    fn words(&self, i: usize) -> &'a [u32] {
        bytemuck::cast_slice(self.inputs[i].bytes)
    }
}

/// Called with the number of each step and the buffer it wrote.
pub type Observer<'o> = dyn FnMut(usize, &HostBufferMut) + 'o;

/// Runs plans on the host.
#[derive(Debug)]
pub struct Executor {
    team: Team,
}

impl Default for Executor {
    fn default() -> Self {
        Self::new()
    }
}

impl Executor {
    /// An executor on all cores, or on as many threads as `WGRAD_THREADS` says.
    pub fn new() -> Self {
        let chosen = std::env::var("WGRAD_THREADS").ok();
        let chosen = chosen.and_then(|n| n.parse().ok()).filter(|&n| n > 0);
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads(chosen.unwrap_or_else(cores))
    }

    /// An executor on `threads` threads, or on one where there are no others. Results do not depend on it.
    pub fn with_threads(threads: usize) -> Self {
        let threads = if cfg!(target_arch = "wasm32") {
            1
        } else {
            threads
        };
        Executor {
            team: Team::new(threads),
        }
    }

    /// Runs `plan` on the given leaves and scalars and returns one buffer for each of [`Plan::outputs`]. An index
    /// out of range writes the step's `check` to `status` if that is 0. `observer` sees the output of each step.
    pub fn run(
        &self,
        (plan, prepared): (&Plan, &Prepared),
        leaves: &[&HostBuffer],
        scalars: &[u32],
        status: &AtomicU32,
        observer: Option<&mut Observer<'_>>,
    ) -> Result<Vec<HostBuffer>, Lack> {
        let mut buffers = Buffers::new(plan, prepared, leaves)?;
        let steps = plan.steps.iter().zip(&prepared.steps);
        let run = Run { scalars, status };
        match observer {
            Some(observer) => {
                for (i, (step, ready)) in steps.enumerate() {
                    self.with_team(true, |par| buffers.step(plan, step, ready, run, par));
                    if let Some(Some(buffer)) = buffers.written(plan.slots[step.output].place) {
                        observer(i, buffer);
                    }
                }
            }
            None => {
                let at = Cell::new(0);
                let steps = || self.run_steps(&mut buffers, (plan, prepared), run, &at);
                let ran = catch_unwind(AssertUnwindSafe(steps));
                ran.or_else(|panic| no_room(panic, plan, at.get()))?;
            }
        }
        buffers.finish(plan)
    }

    /// As [`Executor::run`], in memory that is kept from run to run. Outputs that take the place of a leaf are as they
    /// were if the status is not 0, memory is lacking or a step panics; after the last two what was offered can be taken
    /// back.
    pub fn run_in(
        &self,
        memory: &mut Memory,
        (plan, prepared): (&Plan, &Prepared),
        leaves: &[&HostBuffer],
        scalars: &[u32],
        status: &AtomicU32,
    ) -> Result<Vec<HostBuffer>, Lack> {
        memory.fill(plan, prepared)?;
        let mut buffers = Buffers {
            leaves,
            outputs: memory.take_outputs(plan)?,
            temps: std::mem::take(&mut memory.temps),
            packs: std::mem::take(&mut memory.packs),
        };
        let at = Cell::new(0);
        let run = Run { scalars, status };
        let run = || self.run_steps(&mut buffers, (plan, prepared), run, &at);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            // What was to be replaced is still there; what was lent to the step that stopped is not.
            memory.offered = buffers.outputs;
            return no_room(panic, plan, at.get()).map(|()| Vec::new());
        }
        memory.temps = std::mem::take(&mut buffers.temps);
        memory.packs = std::mem::take(&mut buffers.packs);
        buffers.finish(plan)
    }

    /// A plan of small steps stays on this thread; entering the pool costs more than it brings. `current` is the step that
    /// runs.
    fn run_steps(
        &self,
        buffers: &mut Buffers<'_>,
        (plan, prepared): (&Plan, &Prepared),
        run: Run<'_>,
        current: &Cell<usize>,
    ) {
        self.with_team(prepared.large, |par| {
            // Where there are parts enough for all threads.
            let enough = |s: &&Segment| s.parts >= 2 * par.threads() || par.threads() == 1;
            let mut segments = prepared.segments.iter().filter(enough).peekable();
            let mut at = 0;
            while at < plan.steps.len() {
                if at == prepared.first_in_place && run.status.load(Ordering::Relaxed) != 0 {
                    return;
                }
                current.set(at);
                if let Some(segment) = segments.next_if(|s| s.steps.start == at) {
                    let began = profile::begin();
                    segment.run(plan, buffers, run, par);
                    profile::cpu_step(began, &segment.all);
                    at = segment.steps.end;
                } else {
                    buffers.step(plan, &plan.steps[at], &prepared.steps[at], run, par);
                    at += 1;
                }
            }
        });
    }

    /// Calls `f` while the threads stand by, if the work is `large`.
    fn with_team(&self, large: bool, f: impl FnOnce(Par<'_>)) {
        if !large {
            return f(Par::SERIAL);
        }
        let _called = self.team.call();
        f(Par::of(&self.team));
    }
}

/// What all steps of a run share.
#[derive(Clone, Copy)]
struct Run<'r> {
    scalars: &'r [u32],
    status: &'r AtomicU32,
}

/// What a plan that is run again keeps: its temporary buffers, and buffers that results may be written to.
pub struct Memory {
    /// Bytes of each output buffer.
    sizes: Vec<usize>,
    offered: Vec<Option<HostBufferMut>>,
    temps: Vec<Option<HostBufferMut>>,
    packs: Vec<Option<HostBufferMut>>,
}

impl Memory {
    /// Memory for a plan.
    pub fn new(plan: &Plan) -> Memory {
        Memory {
            sizes: output_sizes(plan),
            offered: Vec::new(),
            temps: Vec::new(),
            packs: Vec::new(),
        }
    }

    /// Gives buffers for the next run's results, by number; those too small are not used. An output that takes
    /// the place of a leaf needs one with the leaf's contents.
    pub fn offer(&mut self, buffers: Vec<Option<HostBufferMut>>) {
        self.offered = buffers;
    }

    /// What was offered to a run that did not end.
    pub fn take_back(&mut self) -> Vec<Option<HostBufferMut>> {
        std::mem::take(&mut self.offered)
    }

    /// Gets what the first run needs, and one after a run that did not end.
    fn fill(&mut self, plan: &Plan, prepared: &Prepared) -> Result<(), Lack> {
        if self.temps.is_empty() {
            self.temps = temps(plan)?;
        }
        if self.packs.is_empty() {
            self.packs = packs(prepared)?;
        }
        Ok(())
    }

    fn take_outputs(&mut self, plan: &Plan) -> Result<Vec<Option<HostBufferMut>>, Lack> {
        let fits =
            |kept: &Option<HostBufferMut>, bytes| kept.as_ref().is_some_and(|k| k.len() == bytes);
        self.offered.resize_with(self.sizes.len(), || None);
        for (at, (place, &bytes)) in self.offered.iter_mut().zip(&self.sizes).enumerate() {
            if !fits(place, bytes) {
                let new = match place {
                    Some(kept) if kept.len() > bytes => {
                        HostBufferMut::copy_of(&kept.bytes()[..bytes])
                    }
                    _ => HostBufferMut::scratch(bytes),
                };
                *place = Some(new.map_err(|bytes| Lack::of(plan, Place::Output(at), bytes))?);
            }
        }
        Ok(std::mem::take(&mut self.offered))
    }
}

/// Memory that the host does not have.
#[derive(Debug)]
pub struct Lack {
    /// How many bytes.
    pub bytes: usize,
    /// The first step that needs them, where it is known.
    pub origin: Option<Origin>,
}

impl Lack {
    /// What a step that writes a place lacks.
    pub fn of(plan: &Plan, place: Place, bytes: usize) -> Lack {
        let writes = |step: &&Step| step.outputs().any(|slot| plan.slots[slot].place == place);
        let step = plan.steps.iter().find(writes);
        Lack {
            bytes,
            origin: step.map(|step| step.origin.clone()),
        }
    }
}

/// What step `at` unwound with, if it found no room, as an error; goes on with any other panic.
fn no_room(panic: Box<dyn std::any::Any + Send>, plan: &Plan, at: usize) -> Result<(), Lack> {
    match panic.downcast::<NoRoom>() {
        Ok(lack) => Err(Lack {
            bytes: lack.bytes,
            origin: plan.steps.get(at).map(|step| step.origin.clone()),
        }),
        Err(panic) => resume_unwind(panic),
    }
}

/// Bytes of each output buffer of a plan.
fn output_sizes(plan: &Plan) -> Vec<usize> {
    let mut sizes: Vec<usize> = Vec::new();
    for slot in &plan.slots {
        if let Place::Output(i) = slot.place {
            sizes.resize(sizes.len().max(i + 1), 0);
            sizes[i] = sizes[i].max(slot.len * slot.dtype.size());
        }
    }
    sizes
}

fn temps(plan: &Plan) -> Result<Vec<Option<HostBufferMut>>, Lack> {
    let scratch = |(at, &bytes): (usize, &usize)| {
        let lack = |bytes| Lack::of(plan, Place::Temp(at), bytes);
        HostBufferMut::scratch(bytes).map(Some).map_err(lack)
    };
    plan.temps.iter().enumerate().map(scratch).collect()
}

fn packs(prepared: &Prepared) -> Result<Vec<Option<HostBufferMut>>, Lack> {
    let scratch = |&floats: &usize| {
        let lack = |bytes| Lack {
            bytes,
            origin: None,
        };
        HostBufferMut::scratch(floats * 4).map(Some).map_err(lack)
    };
    prepared.packs.iter().map(scratch).collect()
}

/// The memory of one run.
struct Buffers<'r> {
    leaves: &'r [&'r HostBuffer],
    /// None while a step writes it, likewise below.
    outputs: Vec<Option<HostBufferMut>>,
    temps: Vec<Option<HostBufferMut>>,
    /// Operands that are packed for several products.
    packs: Vec<Option<HostBufferMut>>,
}

impl<'r> Buffers<'r> {
    fn new(plan: &Plan, prepared: &Prepared, leaves: &'r [&'r HostBuffer]) -> Result<Self, Lack> {
        let scratch = |(at, bytes)| {
            let lack = |bytes| Lack::of(plan, Place::Output(at), bytes);
            HostBufferMut::scratch(bytes).map(Some).map_err(lack)
        };
        let sizes = output_sizes(plan).into_iter().enumerate();
        Ok(Buffers {
            leaves,
            outputs: sizes.map(scratch).collect::<Result<_, _>>()?,
            temps: temps(plan)?,
            packs: packs(prepared)?,
        })
    }

    fn step(&mut self, plan: &Plan, step: &Step, ready: &Ready, run: Run<'_>, par: Par<'_>) {
        let began = profile::begin();
        let mut outs: [Option<HostBufferMut>; Rows::MAX_OUTPUTS] = Default::default();
        for (out, slot) in outs.iter_mut().zip(step.outputs()) {
            *out = self.written(plan.slots[slot].place).and_then(Option::take);
        }
        let mut pack = match ready {
            Ready::Matmul(p) => self.packs[p.pack].take().map(|buffer| (p.first, buffer)),
            _ => None,
        };
        let mut few = [Operand::NONE; FEW];
        let many: Vec<Operand<'_>>;
        let n = step.inputs.len();
        let inputs = if n <= FEW {
            for (operand, &id) in few.iter_mut().zip(&step.inputs) {
                *operand = self.input(plan, step, id);
            }
            &few[..n]
        } else {
            many = step
                .inputs
                .iter()
                .map(|&id| self.input(plan, step, id))
                .collect();
            &many[..]
        };
        let context = Context {
            inputs,
            scalars: run.scalars,
            check: step.check,
            status: run.status,
            par,
            packed: None,
        };
        if let (Some((true, buffer)), Kernel::Matmul(matmul)) = (&mut pack, &step.kernel) {
            matmul::pack(
                matmul,
                context,
                bytemuck::cast_slice_mut(buffer.bytes_mut()),
            );
        }
        let packed = pack.as_ref();
        let context = Context {
            packed: packed.map(|(_, buffer)| bytemuck::cast_slice(buffer.bytes())),
            ..context
        };
        let mut slices = [(); Rows::MAX_OUTPUTS].map(|()| &mut [][..]);
        for ((slice, out), slot) in slices.iter_mut().zip(&mut outs).zip(step.outputs()) {
            let slot = &plan.slots[slot];
            if let Some(out) = out {
                *slice = &mut out.bytes_mut()[..slot.len * slot.dtype.size()];
            }
        }
        run_ready(
            &step.kernel,
            ready,
            context,
            slices,
            plan.slots[step.output].dtype,
        );
        for (out, slot) in outs.into_iter().zip(step.outputs()) {
            if let Some(place) = self.written(plan.slots[slot].place) {
                *place = out;
            }
        }
        if let (Ready::Matmul(p), Some((_, buffer))) = (ready, pack) {
            self.packs[p.pack] = Some(buffer);
        }
        profile::cpu_step(began, step);
    }

    /// The buffer that steps with this output place write; none for leaves, which no valid plan writes.
    fn written(&mut self, place: Place) -> Option<&mut Option<HostBufferMut>> {
        match place {
            Place::Leaf(_) => None,
            Place::Output(i) => Some(&mut self.outputs[i]),
            Place::Temp(i) => Some(&mut self.temps[i]),
        }
    }

    /// An input of a step; none if it is what an output holds before, which the step itself has then.
    fn input(&self, plan: &Plan, step: &Step, id: SlotId) -> Operand<'_> {
        let place = plan.slots[id].place;
        if step.outputs().any(|o| plan.slots[o].place == place) {
            return Operand::NONE;
        }
        self.operand(plan, id)
    }

    fn operand(&self, plan: &Plan, id: SlotId) -> Operand<'_> {
        let Slot { dtype, len, place } = plan.slots[id];
        let bytes = match place {
            Place::Leaf(i) => self.leaves[i].bytes(),
            Place::Output(i) => contents(&self.outputs[i]),
            Place::Temp(i) => contents(&self.temps[i]),
        };
        Operand {
            dtype,
            bytes: &bytes[..len * dtype.size()],
        }
    }

    fn finish(self, plan: &Plan) -> Result<Vec<HostBuffer>, Lack> {
        let outputs = self.outputs.into_iter().flatten();
        let frozen: Vec<HostBuffer> = outputs.map(HostBufferMut::freeze).collect();
        let result = |&id: &SlotId| {
            let slot = &plan.slots[id];
            match slot.place {
                Place::Leaf(i) => Ok(self.leaves[i].clone()),
                Place::Output(i) => Ok(frozen[i].clone()),
                Place::Temp(i) => {
                    let bytes = &contents(&self.temps[i])[..slot.len * slot.dtype.size()];
                    let copy = HostBufferMut::copy_of(bytes).map(HostBufferMut::freeze);
                    copy.map_err(|bytes| Lack::of(plan, slot.place, bytes))
                }
            }
        };
        plan.outputs.iter().map(result).collect()
    }
}

fn contents(buffer: &Option<HostBufferMut>) -> &[u8] {
    buffer.as_ref().map_or(&[], HostBufferMut::bytes)
}

/// Calls the user's function.
fn run_custom(custom: &crate::plan::Custom, context: &Context<'_>, out: &mut [u8]) {
    let inputs: Vec<(&[f32], &[usize])> = context
        .inputs
        .iter()
        .zip(&custom.inputs)
        .map(|(operand, shape)| (bytemuck::cast_slice(operand.bytes), shape.as_slice()))
        .collect();
    (custom.kernel.cpu)(&inputs, bytemuck::cast_slice_mut(out), &custom.output);
}

/// Elements of 4 bytes; an empty slice may lie anywhere.
fn words(bytes: &mut [u8]) -> &mut [u32] {
    match bytes.len() {
        0 => &mut [],
        _ => bytemuck::cast_slice_mut(bytes),
    }
}

/// Runs one kernel. The first of `outs` holds elements of `dtype`; all are aligned to 4 bytes.
fn run_ready(
    kernel: &Kernel,
    ready: &Ready,
    context: Context<'_>,
    mut outs: [&mut [u8]; Rows::MAX_OUTPUTS],
    dtype: DType,
) {
    if let Ready::Rows(ready) = ready {
        return rows::run(ready, context, outs.map(words));
    }
    let out = std::mem::take(&mut outs[0]);
    match (kernel, ready) {
        (Kernel::Map(_), Ready::Map(Some(program))) => map::run(program, context, out, dtype),
        (Kernel::Reduce(_), Ready::Reduce(ready)) => reduce::run(ready, context, out, dtype),
        // Prepared as having nothing to do.
        (Kernel::Map(_) | Kernel::Reduce(_) | Kernel::Rows(_), _) => {}
        (Kernel::Matmul(matmul), _) => matmul::run(matmul, context, out),
        (Kernel::Conv(conv), _) => conv::run(conv, context, out),
        (Kernel::Window(window), _) => window::run(window, context, out),
        (Kernel::ScatterAdd(scatter), _) => scatter::run(scatter, context, out, dtype),
        (Kernel::Scan(scan), _) => scan::run(scan, context, out, dtype),
        (Kernel::ArgSort(sort), _) => sort::run(sort, context, out, context.inputs[0].dtype),
        (Kernel::Custom(custom), _) => run_custom(custom, &context, out),
    }
}

/// Prepares and runs one kernel on `threads` threads. `out` holds elements of `dtype`,
/// aligned to 4 bytes. An index out of range writes `check` to `status` if that is 0.
#[cfg(test)]
pub(crate) fn run_kernel(
    kernel: &Kernel,
    inputs: &[Operand<'_>],
    (out, dtype): (&mut [u8], DType),
    scalars: &[u32],
    (check, status): (u32, &AtomicU32),
    threads: usize,
) {
    let mut outs = [(); Rows::MAX_OUTPUTS].map(|()| &mut [][..]);
    outs[0] = out;
    par::with_threads(threads, |par| {
        let context = Context {
            inputs,
            scalars,
            check,
            status,
            par,
            packed: None,
        };
        run_ready(
            kernel,
            &Ready::new(kernel, dtype, &[]),
            context,
            outs,
            dtype,
        );
    });
}
