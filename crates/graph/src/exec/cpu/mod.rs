//! The fast executor on all cores: runs a [`Plan`] with blocked, vectorised loops. Reads plans as plain data; knows
//! no graph, no tensors and no other executor.

mod combine;
mod conv;
mod load;
mod map;
mod matmul;
mod par;
mod philox;
mod program;
mod reduce;
mod scan;
mod scatter;
pub(crate) mod simd;
mod sort;
#[cfg(test)]
mod tests;
mod unfold;
mod walk;
mod window;
mod worker;

use crate::dtype::DType;
use crate::plan::{Kernel, Place, Plan, Slot, SlotId, Step};
use crate::storage::{HostBuffer, HostBufferMut};
use par::Par;
use std::sync::atomic::AtomicU32;

/// An input of a kernel: its element type and contents, aligned to 4 bytes at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    /// Element type.
    pub(crate) dtype: DType,
    /// Elements, as they lie in a buffer.
    pub(crate) bytes: &'a [u8],
}

/// What a kernel runs with.
#[derive(Clone, Copy)]
struct Context<'a> {
    inputs: &'a [Operand<'a>],
    scalars: &'a [u32],
    check: u32,
    status: &'a AtomicU32,
    par: Par,
}

impl<'a> Context<'a> {
    /// Input `i` as 32-bit words.
    fn words(&self, i: usize) -> &'a [u32] {
        bytemuck::cast_slice(self.inputs[i].bytes)
    }
}

/// Called with the number of each step and the buffer it wrote.
pub(crate) type Observer<'o> = dyn FnMut(usize, &HostBufferMut) + 'o;

/// Runs plans on the host.
#[derive(Debug)]
pub(crate) struct Executor {
    threads: usize,
    /// A pool of its own, where not the global one is used.
    #[cfg(not(target_arch = "wasm32"))]
    pool: Option<rayon::ThreadPool>,
}

impl Default for Executor {
    fn default() -> Self {
        Self::new()
    }
}

impl Executor {
    /// An executor on all cores.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn new() -> Self {
        Self::with_threads(rayon::current_num_threads())
    }

    /// An executor on the one thread there is.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn new() -> Self {
        Executor { threads: 1 }
    }

    /// An executor on `threads` threads, or on one where they cannot be had. Results do not depend on it.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn with_threads(threads: usize) -> Self {
        if threads <= 1 || threads == rayon::current_num_threads() {
            return Executor {
                threads: threads.max(1),
                pool: None,
            };
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .ok();
        Executor {
            threads: if pool.is_some() { threads } else { 1 },
            pool,
        }
    }

    /// How many threads it uses.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `plan` on the given leaves and scalars and returns one buffer for each of [`Plan::outputs`]. An index
    /// out of range writes the step's `check` to `status` if that is 0. `observer` sees the output of each step.
    pub(crate) fn run(
        &self,
        plan: &Plan,
        leaves: &[&HostBuffer],
        scalars: &[u32],
        status: &AtomicU32,
        observer: Option<&mut Observer<'_>>,
    ) -> Vec<HostBuffer> {
        let mut buffers = Buffers::new(plan, leaves);
        match observer {
            Some(observer) => {
                for (i, step) in plan.steps.iter().enumerate() {
                    let threads = self.threads();
                    self.inside(true, || buffers.step(plan, step, scalars, status, threads));
                    if let Some(Some(buffer)) = buffers.written(plan.slots[step.output].place) {
                        observer(i, buffer);
                    }
                }
            }
            None => self.run_steps(&mut buffers, plan, scalars, status),
        }
        buffers.finish(plan)
    }

    /// As [`Executor::run`], in memory that is kept from run to run.
    pub(crate) fn run_in(
        &self,
        memory: &mut Memory,
        plan: &Plan,
        leaves: &[&HostBuffer],
        scalars: &[u32],
        status: &AtomicU32,
    ) -> Vec<HostBuffer> {
        let mut buffers = Buffers {
            leaves,
            outputs: memory.take_outputs(),
            temps: std::mem::take(&mut memory.temps),
        };
        self.run_steps(&mut buffers, plan, scalars, status);
        memory.temps = std::mem::take(&mut buffers.temps);
        buffers.finish(plan)
    }

    /// A plan of small steps stays on this thread; entering the pool costs more than it brings.
    fn run_steps(
        &self,
        buffers: &mut Buffers<'_>,
        plan: &Plan,
        scalars: &[u32],
        status: &AtomicU32,
    ) {
        let large = plan.steps.iter().any(|step| is_large(plan, step));
        let threads = if large { self.threads() } else { 1 };
        self.inside(large, || {
            plan.steps
                .iter()
                .for_each(|step| buffers.step(plan, step, scalars, status, threads));
        });
    }

    /// Calls `f` where parallel work starts quickly.
    #[cfg(not(target_arch = "wasm32"))]
    fn inside(&self, large: bool, f: impl FnOnce() + Send) {
        match &self.pool {
            _ if !large || self.threads == 1 => f(),
            Some(pool) => pool.install(f),
            None => rayon::scope(|_| f()),
        }
    }

    #[cfg(target_arch = "wasm32")]
    fn inside(&self, _: bool, f: impl FnOnce()) {
        f();
    }
}

/// Whether a step may be worth more than one thread; cheap to ask.
fn is_large(plan: &Plan, step: &Step) -> bool {
    const LANES: usize = 1 << 14;
    const MULTIPLICATIONS: usize = 1 << 20;
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    match &step.kernel {
        Kernel::Matmul(m) => m.batch * m.m * m.n * m.k >= MULTIPLICATIONS,
        Kernel::Conv(c) => {
            let sums = c.batch * c.groups * c.in_channels * c.out_channels;
            sums * product(&c.output) * product(&c.kernel) >= MULTIPLICATIONS
        }
        Kernel::Reduce(r) => product(&r.outer) * product(&r.inner) >= LANES,
        _ => step
            .inputs
            .iter()
            .chain([&step.output])
            .any(|&s| plan.slots[s].len >= LANES),
    }
}

/// What a plan that is run again keeps: its temporary buffers, and buffers that results may be written to.
pub(crate) struct Memory {
    /// Bytes of each output buffer.
    sizes: Vec<usize>,
    offered: Vec<Option<HostBufferMut>>,
    temps: Vec<Option<HostBufferMut>>,
}

impl Memory {
    /// Memory for a plan.
    pub(crate) fn new(plan: &Plan) -> Memory {
        Memory {
            sizes: output_sizes(plan),
            offered: Vec::new(),
            temps: temps(plan),
        }
    }

    /// Gives buffers for the next run's results, by number; those of another size are not used.
    pub(crate) fn offer(&mut self, buffers: impl Iterator<Item = Option<HostBufferMut>>) {
        self.offered = buffers.collect();
    }

    fn take_outputs(&mut self) -> Vec<Option<HostBufferMut>> {
        let mut offered = std::mem::take(&mut self.offered).into_iter();
        let sizes = self.sizes.iter();
        let outputs = sizes.map(|&bytes| {
            let fits = |b: &HostBufferMut| b.len() == bytes;
            let kept = offered.next().flatten().filter(fits);
            Some(kept.unwrap_or_else(|| HostBufferMut::scratch(bytes)))
        });
        outputs.collect()
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

fn temps(plan: &Plan) -> Vec<Option<HostBufferMut>> {
    let scratch = |&bytes: &usize| Some(HostBufferMut::scratch(bytes));
    plan.temps.iter().map(scratch).collect()
}

/// The memory of one run.
struct Buffers<'r> {
    leaves: &'r [&'r HostBuffer],
    /// None while a step writes it, likewise below.
    outputs: Vec<Option<HostBufferMut>>,
    temps: Vec<Option<HostBufferMut>>,
}

impl<'r> Buffers<'r> {
    fn new(plan: &Plan, leaves: &'r [&'r HostBuffer]) -> Self {
        let scratch = |bytes| Some(HostBufferMut::scratch(bytes));
        Buffers {
            leaves,
            outputs: output_sizes(plan).into_iter().map(scratch).collect(),
            temps: temps(plan),
        }
    }

    fn step(
        &mut self,
        plan: &Plan,
        step: &Step,
        scalars: &[u32],
        status: &AtomicU32,
        threads: usize,
    ) {
        let slot = &plan.slots[step.output];
        let Some(mut out) = self.written(slot.place).and_then(Option::take) else {
            return;
        };
        let inputs: Vec<Operand<'_>> = step
            .inputs
            .iter()
            .map(|&id| self.operand(plan, id))
            .collect();
        let out_bytes = &mut out.bytes_mut()[..slot.len * slot.dtype.size()];
        let check = (step.check, status);
        run_kernel(
            &step.kernel,
            &inputs,
            (out_bytes, slot.dtype),
            scalars,
            check,
            threads,
        );
        if let Some(place) = self.written(slot.place) {
            *place = Some(out);
        }
    }

    /// The buffer that steps with this output place write; none for leaves, which no valid plan writes.
    fn written(&mut self, place: Place) -> Option<&mut Option<HostBufferMut>> {
        match place {
            Place::Leaf(_) => None,
            Place::Output(i) => Some(&mut self.outputs[i]),
            Place::Temp(i) => Some(&mut self.temps[i]),
        }
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

    fn finish(self, plan: &Plan) -> Vec<HostBuffer> {
        let outputs = self.outputs.into_iter().flatten();
        let frozen: Vec<HostBuffer> = outputs.map(HostBufferMut::freeze).collect();
        let result = |&id: &SlotId| {
            let slot = &plan.slots[id];
            match slot.place {
                Place::Leaf(i) => self.leaves[i].clone(),
                Place::Output(i) => frozen[i].clone(),
                Place::Temp(i) => HostBufferMut::copy_of(
                    &contents(&self.temps[i])[..slot.len * slot.dtype.size()],
                )
                .freeze(),
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

/// Runs one kernel on up to `threads` threads of the current pool. `out` holds elements of `dtype`, aligned to 4
/// bytes. An index out of range writes `check` to `status` if that is 0.
pub(crate) fn run_kernel(
    kernel: &Kernel,
    inputs: &[Operand<'_>],
    (out, dtype): (&mut [u8], DType),
    scalars: &[u32],
    (check, status): (u32, &AtomicU32),
    threads: usize,
) {
    let context = Context {
        inputs,
        scalars,
        check,
        status,
        par: Par::new(threads),
    };
    match kernel {
        Kernel::Map(map) => map::run(map, context, out, dtype),
        Kernel::Reduce(reduce) => reduce::run(reduce, context, out, dtype),
        Kernel::Matmul(matmul) => matmul::run(matmul, context, out),
        Kernel::Conv(conv) => conv::run(conv, context, out),
        Kernel::Window(window) => window::run(window, context, out),
        Kernel::ScatterAdd(scatter) => scatter::run(scatter, context, out, dtype),
        Kernel::Scan(scan) => scan::run(scan, context, out, dtype),
        Kernel::ArgSort(sort) => sort::run(sort, context, out, context.inputs[0].dtype),
        Kernel::Custom(custom) => run_custom(custom, &context, out),
    }
}
