//! Running a plan: its steps in order, shared among threads, in memory that all plans share.
//!
//! ```text
//!  Executor::run ─► with_team ─► a segment ─► part by part, each on one thread
//!                           └──► a step ────► kernel::run_ready ─► its family, blocks over all threads
//! ```

mod kernel;
mod memory;
pub(crate) mod prepared;
mod ready;
mod rounds;
pub(crate) mod segments;
mod sequences;

use crate::plan::Plan;
use crate::storage::{Arena, HostBuffer, HostBufferMut, Taken};
use crate::threads::par::Par;
use crate::threads::team::Team;
#[cfg(test)]
pub(crate) use kernel::run_kernel;
#[cfg(test)]
pub(crate) use kernel::run_ready;
use memory::{Buffers, new_outputs, no_room};
pub use memory::{Lack, Memory};
pub use prepared::Prepared;
#[cfg(test)]
pub(crate) use ready::Ready;
use segments::Segment;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use wgrad_plan::profile;

/// Called with the number of each step and the buffer it wrote.
pub type Observer<'o> = dyn FnMut(usize, &HostBufferMut) + 'o;

/// Runs plans on the host.
#[derive(Debug)]
pub struct Executor {
    team: Team,
    /// Temporaries of whatever runs.
    arena: Arena,
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
            arena: Arena::new(),
        }
    }

    /// Runs `plan` on the given leaves and scalars and returns one buffer for each of [`Plan::outputs`]. An index
    /// out of range writes the step's `check` to `status` if that is 0. `observer` sees the output of each step.
    ///
    /// # Errors
    /// What the host has no room for, when all that nobody uses was given back.
    pub fn run(
        &self,
        plan: (&Plan, &Prepared),
        leaves: &[&HostBuffer],
        scalars: &[u32],
        status: &AtomicU32,
        observer: Option<&mut Observer<'_>>,
    ) -> Result<Vec<HostBuffer>, Lack> {
        let run = Run { scalars, status };
        if let Some(observer) = observer {
            return self.observed(plan, leaves, run, observer);
        }
        let mut outputs = new_outputs(plan.0)?;
        let mut ran = self.attempt(plan, leaves, &mut outputs, run);
        if let Err((_, true)) = ran {
            outputs.clear();
            self.arena.release();
            outputs = new_outputs(plan.0)?;
            ran = self.attempt(plan, leaves, &mut outputs, run);
        }
        ran.map_err(|(lack, _)| lack)
    }

    /// As [`Executor::run`], with results in memory that is offered. Outputs that take the place of a leaf are as they
    /// were if the status is not 0, memory is lacking or a step panics; after the last two what was offered can be taken
    /// back.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub fn run_in(
        &self,
        memory: &mut Memory,
        plan: (&Plan, &Prepared),
        leaves: &[&HostBuffer],
        scalars: &[u32],
        status: &AtomicU32,
    ) -> Result<Vec<HostBuffer>, Lack> {
        let run = Run { scalars, status };
        memory.complete(plan.0)?;
        let mut ran = self.attempt(plan, leaves, &mut memory.offered, run);
        if let Err((_, true)) = ran {
            self.arena.release();
            memory.complete(plan.0)?;
            ran = self.attempt(plan, leaves, &mut memory.offered, run);
        }
        ran.map_err(|(lack, _)| lack)
    }

    /// By how many bytes a run of this plan would make the arena grow.
    pub fn growth(&self, prepared: &Prepared) -> u64 {
        self.arena.growth(&prepared.needs)
    }

    fn observed(
        &self,
        (plan, prepared): (&Plan, &Prepared),
        leaves: &[&HostBuffer],
        run: Run<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<Vec<HostBuffer>, Lack> {
        let outputs = new_outputs(plan)?;
        let taken = self.take(plan, prepared)?;
        let mut buffers = Buffers::new(plan, leaves, outputs, taken.buffers);
        for (i, (step, ready)) in plan.steps.iter().zip(&prepared.steps).enumerate() {
            self.with_team(true, |par| buffers.step(plan, step, ready, run, par));
            if let Some(Some(buffer)) = buffers.written(plan.slots[step.output].place) {
                observer(i, buffer);
            }
        }
        buffers.finish(plan)
    }

    /// Temporaries of a run.
    fn take(&self, plan: &Plan, prepared: &Prepared) -> Result<Taken, Lack> {
        let taken = self.arena.take(&prepared.needs);
        taken.map_err(|(need, bytes)| prepared.lack(plan, need, bytes))
    }

    /// A run with these buffers for its outputs, which are there again where it fails, but for those lent to the step that
    /// stopped. An error says too whether another attempt may succeed once the arena has given back what it has: this one
    /// worked in buffers that are larger than it needs, and has replaced nothing yet.
    fn attempt(
        &self,
        (plan, prepared): (&Plan, &Prepared),
        leaves: &[&HostBuffer],
        outputs: &mut Vec<Option<HostBufferMut>>,
        run: Run<'_>,
    ) -> Result<Vec<HostBuffer>, (Lack, bool)> {
        let taken = self.take(plan, prepared).map_err(|lack| (lack, false))?;
        let mut buffers = Buffers::new(plan, leaves, std::mem::take(outputs), taken.buffers);
        let at = Cell::new(0);
        let steps = || self.run_steps(&mut buffers, (plan, prepared), run, &at);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(steps)) {
            *outputs = std::mem::take(&mut buffers.outputs);
            let again = taken.roomy && at.get() < prepared.first_in_place;
            return Err((no_room(panic, plan, at.get()), again));
        }
        let results = buffers.finish(plan);
        self.arena.give(&prepared.needs, buffers.take_temporary());
        results.map_err(|lack| (lack, false))
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
            run_plan(buffers, (plan, prepared), run, current, par);
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

/// The steps of a plan in order; `current` is the one that runs.
fn run_plan(
    buffers: &mut Buffers<'_>,
    (plan, prepared): (&Plan, &Prepared),
    run: Run<'_>,
    current: &Cell<usize>,
    par: Par<'_>,
) {
    // Where there are parts enough for all threads.
    let enough = |s: &&Segment| s.suits(par.threads());
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
}

/// What all steps of a run share.
#[derive(Clone, Copy)]
pub(crate) struct Run<'r> {
    pub(crate) scalars: &'r [u32],
    pub(crate) status: &'r AtomicU32,
}
