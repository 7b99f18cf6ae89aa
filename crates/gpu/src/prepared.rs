//! A plan made ready: pipelines, parameter blocks, grids, and what it needs of the arena when it runs. Must not submit anything.

use super::call::{Arg, Call, Grid, Lowered, Words, Work};
use super::choices::Choices;
use super::lower::lower;
use super::rounds::{self, Rounds};
use super::target::Target;
use crate::plan::{Kernel as PlanKernel, Loop, Origin, Place, Plan, Step};
use std::borrow::Cow;
use std::sync::Mutex;
use wgrad_device::{Buffer, Error, Gpu, Kernel, KernelSource, Needs, Recent, Turns, fold_groups};

/// Blocks of parameters begin at multiples of this many words: WebGPU's 256 bytes for uniform ranges.
const BLOCK_WORDS: usize = 64;

/// A buffer that a dispatch binds, found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Leaf(usize),
    Output(usize),
    Temp(usize),
    Scratch(usize),
    Params,
    Status,
}

/// One thing to record.
pub(super) enum Action {
    /// Sets the first bytes of a buffer to zero.
    Clear { target: At, bytes: u64 },
    /// Dispatches.
    Dispatch {
        kernel: Kernel,
        /// Buffer and bytes to bind, in the order of binding numbers.
        args: Vec<(At, u64)>,
        /// First byte and length of the parameters.
        params: (u64, u64),
        grid: [u32; 3],
    },
    /// Other actions, many times.
    Loop(Box<Rounds>),
}

impl Action {
    /// This one and those of loops, each once.
    fn all(&self) -> Vec<&Action> {
        match self {
            Action::Loop(rounds) => rounds.actions.iter().flat_map(Action::all).collect(),
            one => vec![one],
        }
    }
}

/// What a run of a plan that checks indices works on.
pub(super) struct Status {
    /// Its first word is zero until a step meets an index out of range; then that step's `check`.
    pub(super) buffer: Buffer,
    /// The number of runs whose failure is inherited, and where their words are.
    pub(super) which: Buffer,
}

/// Runs whose failure a plan's run can inherit at once.
pub(super) const MAX_INHERITED: usize = 63;

impl Status {
    pub(super) fn new(gpu: &Gpu) -> Result<Status, Error> {
        Ok(Status {
            buffer: gpu.alloc_zeroed(16)?,
            which: gpu.alloc_zeroed(4 * (1 + MAX_INHERITED as u64))?,
        })
    }
}

/// What a run writes, held for its length.
pub(super) struct State {
    /// For each action, the bind groups of its last runs.
    pub(super) recent: Vec<Recent>,
    /// The same for what a run does about its status.
    pub(super) inherit: Recent,
    pub(super) keeps: Vec<Recent>,
    /// All parameter blocks, as last written.
    pub(super) words: Vec<u32>,
    /// Whether `words` have been written at all.
    pub(super) written: bool,
}

/// A plan with its pipelines and numbers. Runs of one plan take turns.
pub struct Prepared {
    pub(super) actions: Vec<Action>,
    /// WGSL of each dispatch and the step that it belongs to.
    sources: Vec<(usize, Cow<'static, str>)>,
    /// What a run needs of the arena: the plan's temporaries, those of its loops, scratch.
    pub(super) needs: Needs,
    /// Which of these the plan's temporaries are.
    pub(super) temps: Vec<usize>,
    /// The first that is scratch.
    pub(super) first_scratch: usize,
    /// For each of the needs, and for each output, the first step that needs it.
    pub(super) needed_by: Vec<usize>,
    pub(super) written_by: Vec<usize>,
    pub(super) params: Buffer,
    /// Where indices are checked.
    pub(super) status: Option<Status>,
    /// (word of the parameters, scalar)
    pub(super) scalars: Vec<(usize, usize)>,
    pub(super) state: Mutex<State>,
    /// The output buffers of each run.
    pub(super) outputs: Turns,
    /// Where each result lies, and its bytes.
    pub(super) results: Vec<(Place, u64)>,
    /// Of each output whether it takes the place of a leaf.
    pub(super) replaces: Vec<bool>,
    pub(super) n_leaves: usize,
    pub(super) n_scalars: usize,
    /// Of each step.
    #[cfg_attr(
        target_arch = "wasm32",
        allow(dead_code, reason = "nothing is profiled there")
    )]
    origins: Vec<Origin>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({} actions)", self.actions.len())
    }
}

impl Prepared {
    /// The WGSL of the dispatches of a step, in order.
    pub fn wgsl(&self, step: usize) -> Vec<&str> {
        let first = self.sources.partition_point(|(s, _)| *s < step);
        let of_step = self.sources[first..].iter();
        let of_step = of_step.take_while(|(s, _)| *s == step);
        of_step.map(|(_, text)| text.as_ref()).collect()
    }

    /// Bytes that a run takes of the arena.
    pub fn bytes(&self) -> u64 {
        self.needs.bytes()
    }

    /// Whether a result lies where something else does.
    pub(super) fn is_shared(&self, result: usize) -> bool {
        let place = self.results[result].0;
        let same = self.results.iter().filter(|(p, _)| *p == place);
        matches!(place, Place::Leaf(_)) || same.count() > 1
    }

    /// The leaves that outputs take the place of, as they are given.
    pub(super) fn replaced(&self, own: &[Option<Buffer>]) -> Vec<Option<Buffer>> {
        let replaces = own.iter().zip(&self.replaces);
        replaces
            .map(|(leaf, &r)| leaf.clone().filter(|_| r))
            .collect()
    }

    /// What each dispatch of a run belongs to, in order.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn dispatched(&self) -> impl Iterator<Item = &Origin> {
        let mut sources = self.sources.iter().map(|(step, _)| *step);
        let mut steps = Vec::new();
        for action in &self.actions {
            dispatched(action, &mut sources, &mut steps);
        }
        steps.into_iter().map(|step| &self.origins[step])
    }

    /// Number of dispatches of one run.
    #[cfg(test)]
    pub fn n_dispatches(&self) -> usize {
        self.sources.len()
    }
}

/// The steps of the dispatches that an action records, in order; `sources` has one for each that is prepared.
#[cfg(not(target_arch = "wasm32"))]
fn dispatched(action: &Action, sources: &mut dyn Iterator<Item = usize>, steps: &mut Vec<usize>) {
    match action {
        Action::Clear { .. } => {}
        Action::Dispatch { grid, .. } => {
            let step = sources.next();
            // An empty grid is not recorded.
            steps.extend(step.filter(|_| !grid.contains(&0)));
        }
        Action::Loop(rounds) => {
            let mut round = Vec::new();
            for action in &rounds.actions {
                dispatched(action, sources, &mut round);
            }
            for _ in 0..rounds.length {
                steps.extend(&round);
            }
        }
    }
}

/// Bytes of a slot.
pub(super) fn slot_bytes(plan: &Plan, slot: usize) -> u64 {
    plan.slots[slot].len as u64 * plan.slots[slot].dtype.size() as u64
}

/// Bytes bound for a buffer of `bytes`: WebGPU binds no empty ranges.
pub(super) fn bound(bytes: u64) -> u64 {
    if bytes == 0 { 4 } else { bytes }
}

/// A kernel's text with a return at its beginning for runs that have failed, which it reads from a uniform binding: those
/// do not count as storage buffers, and a step that checks is never guarded, so that no dispatch binds the status twice.
fn guard(wgsl: &str, binding: usize) -> String {
    let declared =
        format!("@group(0) @binding({binding}) var<uniform> run_status: vec4<u32>;\n{wgsl}");
    let main = declared.rfind("fn main(").unwrap_or(0);
    let body = declared[main..].find('{').map_or(0, |at| main + at + 1);
    let (before, after) = declared.split_at(body);
    format!("{before}\nif (run_status.x != 0u) {{ return; }}\n{after}")
}

/// A dispatch in the place of a clearing.
fn zeros(bytes: u64) -> Call {
    Call {
        label: "zero",
        wgsl: wgrad_shaders::kernels::ZERO.into(),
        constants: Vec::new(),
        args: vec![Arg::Output],
        params: Words::default(),
        grid: Grid::Threads(bytes.div_ceil(4)),
        iterations: 0,
    }
}

/// Collects what a [`Prepared`] holds.
struct Builder<'a> {
    gpu: &'a Gpu,
    target: Target,
    choices: &'a Choices,
    /// The plan, or the body of the loop that is prepared.
    plan: &'a Plan,
    /// The scalar that is the body's first.
    first_scalar: usize,
    /// Whether it is a body.
    in_loop: bool,
    actions: Vec<Action>,
    sources: Vec<(usize, Cow<'static, str>)>,
    words: Vec<u32>,
    scalars: Vec<(usize, usize)>,
    scratch_bytes: Vec<(u64, usize)>,
    /// Bytes of the arena's buffers: the plan's temporaries, then those of loops, where one loop comes after another in the
    /// same ones, and a loop in a loop after its own; with the step that needs so many.
    arena: Vec<(u64, usize)>,
    /// The first buffer of the arena that nothing around uses.
    frame: usize,
    /// Some step checks indices.
    checks: bool,
}

/// Compiles `plan`.
pub(super) fn prepare(
    gpu: &Gpu,
    plan: &Plan,
    target: Target,
    choices: &Choices,
) -> Result<Prepared, Error> {
    let mut builder = Builder {
        gpu,
        target,
        choices,
        plan,
        first_scalar: 0,
        in_loop: false,
        actions: Vec::new(),
        sources: Vec::new(),
        words: Vec::new(),
        scalars: Vec::new(),
        scratch_bytes: Vec::new(),
        arena: plan.temps.iter().map(|&n| (bound(n as u64), 0)).collect(),
        frame: plan.temps.len(),
        checks: plan.steps.iter().any(|step| step.check != 0),
    };
    for (ix, step) in plan.steps.iter().enumerate() {
        builder.step(ix, step)?;
    }
    builder.finish()
}

impl<'a> Builder<'a> {
    fn step(&mut self, ix: usize, step: &'a Step) -> Result<(), Error> {
        if let PlanKernel::Loop(l) = &step.kernel {
            return self.rounds(ix, step, l);
        }
        let lowered: Lowered = lower(self.plan, step, self.target, self.choices)?;
        for (i, &bytes) in lowered.scratch.iter().enumerate() {
            if self.scratch_bytes.len() <= i {
                self.scratch_bytes.push((0, ix));
            }
            if bytes > self.scratch_bytes[i].0 {
                self.scratch_bytes[i] = (bytes, ix);
            }
        }
        let replaces = step.outputs().any(|slot| self.plan.is_in_place(slot));
        let guarded = self.checks && !self.in_loop && replaces;
        for work in lowered.work {
            match work {
                Work::Clear if guarded => {
                    let bytes = slot_bytes(self.plan, step.output);
                    self.call(ix, step, &[], zeros(bytes), true)?;
                }
                Work::Clear => {
                    let target = self.place(step, Arg::Output);
                    let bytes = slot_bytes(self.plan, step.output);
                    self.actions.push(Action::Clear { target, bytes });
                }
                Work::Call(call) => self.call(ix, step, &lowered.scratch, *call, guarded)?,
            }
        }
        Ok(())
    }

    /// A loop: the steps of its body, once.
    fn rounds(&mut self, ix: usize, step: &'a Step, l: &'a Loop) -> Result<(), Error> {
        let at = |slot: &usize| self.slot(*slot);
        let inputs = step.inputs.iter().map(at).collect();
        let outputs = step.outputs().map(|slot| {
            let bytes = slot_bytes(self.plan, slot);
            (self.slot(slot), bytes)
        });
        let outputs = outputs.collect();
        let arena = self.reserve(ix, &rounds::needs(l));
        let outer = (self.plan, self.first_scalar, self.in_loop, self.frame);
        self.frame += arena.len();
        let before = std::mem::take(&mut self.actions);
        self.plan = &l.body;
        self.first_scalar += l.scalar;
        self.in_loop = true;
        for inner in &l.body.steps {
            self.step(ix, inner)?;
        }
        (self.plan, self.first_scalar, self.in_loop, self.frame) = outer;
        let actions = std::mem::replace(&mut self.actions, before);
        let rounds = Rounds::new(l, actions, inputs, outputs, &arena);
        self.actions.push(Action::Loop(Box::new(rounds)));
        Ok(())
    }

    /// Buffers of the arena from the frame on; larger ones come first, so that loops one after the other fit each other.
    fn reserve(&mut self, step: usize, bytes: &[u64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..bytes.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(bytes[i]));
        let mut places = vec![0; bytes.len()];
        let least = self.frame + bytes.len();
        self.arena.resize(self.arena.len().max(least), (0, step));
        for (place, i) in (self.frame..).zip(order) {
            places[i] = place;
            if bytes[i] > self.arena[place].0 {
                self.arena[place] = (bytes[i], step);
            }
        }
        places
    }

    /// A dispatch; one that is `guarded` does nothing where the run has failed.
    fn call(
        &mut self,
        ix: usize,
        step: &Step,
        scratch: &[u64],
        mut call: Call,
        guarded: bool,
    ) -> Result<(), Error> {
        if guarded {
            call.wgsl = guard(&call.wgsl, call.args.len()).into();
            call.args.push(Arg::Status);
        }
        let mut source = KernelSource::new(call.label, &call.wgsl).constants(&call.constants);
        // A user's own text is never trusted to stay in bounds.
        source.checked = matches!(step.kernel, crate::plan::Kernel::Custom(_));
        let kernel = self.gpu.kernel(source)?;
        let grid = self.grid(&kernel, call.grid);
        let args = call.args.iter().map(|&arg| {
            let bytes = match arg {
                Arg::Input(i) => slot_bytes(self.plan, step.inputs[i]),
                Arg::Output => slot_bytes(self.plan, step.output),
                Arg::More(i) => slot_bytes(self.plan, step.more_outputs[i]),
                Arg::Scratch(i) => scratch[i],
                Arg::Params => 4,
                Arg::Status if guarded => 16,
                Arg::Status => 4,
            };
            (self.place(step, arg), bound(bytes))
        });
        let args = args.collect();
        let params = self.block(&call);
        self.sources.push((ix, call.wgsl));
        self.actions.push(Action::Dispatch {
            kernel,
            args,
            params,
            grid,
        });
        Ok(())
    }

    /// Appends the numbers of a dispatch as a block; where it lies, in bytes.
    fn block(&mut self, call: &Call) -> (u64, u64) {
        let first = self.words.len();
        self.words.extend(&call.params.words);
        self.words
            .resize(self.words.len().next_multiple_of(BLOCK_WORDS), 0);
        self.scalars.extend(
            call.params
                .scalars
                .iter()
                .map(|&(at, scalar)| (first + at, self.first_scalar + scalar)),
        );
        let n_words = call.params.words.len().next_multiple_of(4).max(4);
        (4 * first as u64, 4 * n_words as u64)
    }

    fn grid(&self, kernel: &Kernel, grid: Grid) -> [u32; 3] {
        let groups = match grid {
            Grid::Groups(n) => n,
            Grid::Threads(n) => {
                let size: u64 = kernel
                    .workgroup_size()
                    .iter()
                    .map(|&n| u64::from(n))
                    .product();
                n.div_ceil(size)
            }
        };
        fold_groups(groups, self.gpu.limits().max_groups)
    }

    fn slot(&self, slot: usize) -> At {
        match self.plan.slots[slot].place {
            Place::Leaf(i) => At::Leaf(i),
            Place::Output(i) => At::Output(i),
            Place::Temp(i) => At::Temp(i),
        }
    }

    fn place(&self, step: &Step, arg: Arg) -> At {
        match arg {
            Arg::Input(i) => self.slot(step.inputs[i]),
            Arg::Output => self.slot(step.output),
            Arg::More(i) => self.slot(step.more_outputs[i]),
            Arg::Scratch(i) => At::Scratch(i),
            Arg::Params => At::Params,
            Arg::Status => At::Status,
        }
    }

    fn finish(self) -> Result<Prepared, Error> {
        let Builder { gpu, plan, .. } = self;
        let mut output_bytes = Vec::new();
        for (ix, slot) in plan.slots.iter().enumerate() {
            if let Place::Output(i) = slot.place {
                output_bytes.resize(output_bytes.len().max(i + 1), 0);
                output_bytes[i] = slot_bytes(plan, ix).max(output_bytes[i]);
            }
        }
        let results = plan
            .outputs
            .iter()
            .map(|&slot| (plan.slots[slot].place, slot_bytes(plan, slot)));
        let recent = self.actions.iter().map(|_| Recent::default()).collect();
        let keeps = (0..plan.outputs.len()).map(|_| Recent::default()).collect();
        let bound_status = |a: &Action| match a {
            Action::Dispatch { args, .. } => args.iter().any(|(at, _)| *at == At::Status),
            _ => false,
        };
        let mut all = self.actions.iter().flat_map(Action::all);
        let status = self.checks || all.any(bound_status);
        let mut arena = self.arena;
        let first_scratch = arena.len();
        arena.extend(self.scratch_bytes.iter().map(|&(n, step)| (bound(n), step)));
        let (bytes, mut needed_by): (Vec<u64>, Vec<usize>) = arena.into_iter().unzip();
        let mut written_by = vec![0; output_bytes.len()];
        for (ix, step) in plan.steps.iter().enumerate().rev() {
            for slot in step.outputs() {
                match plan.slots[slot].place {
                    Place::Leaf(_) => {}
                    Place::Output(i) => written_by[i] = ix,
                    Place::Temp(i) => needed_by[i] = ix,
                }
            }
        }
        Ok(Prepared {
            actions: self.actions,
            sources: self.sources,
            needs: gpu.needs(&bytes)?,
            temps: (0..plan.temps.len()).collect(),
            first_scratch,
            needed_by,
            written_by,
            params: gpu.alloc(4 * self.words.len().max(BLOCK_WORDS) as u64)?,
            status: status.then(|| Status::new(gpu)).transpose()?,
            scalars: self.scalars,
            state: Mutex::new(State {
                recent,
                inherit: Recent::default(),
                keeps,
                words: self.words,
                written: false,
            }),
            outputs: Turns::new(output_bytes.iter().map(|&bytes| bound(bytes)).collect()),
            results: results.collect(),
            replaces: plan.replaces(),
            n_leaves: plan.n_leaves,
            n_scalars: plan.n_scalars,
            origins: plan.steps.iter().map(|step| step.origin.clone()).collect(),
        })
    }
}
