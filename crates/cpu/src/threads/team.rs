//! The executor's threads, which stand by while a plan runs: handing them work takes a fraction of a microsecond, where
//! waking a thread takes many, so that small steps are worth sharing. (A pool of tasks, such as rayon's, wakes and sends
//! to sleep as it goes.) Each thread takes the same share of every job, so that it finds in its caches what it has computed
//! before, and then what is left of the others': a thread that does not come in time is not waited for. Between plans the
//! threads sleep. Knows no kernel.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How often a thread without work looks for some before it lets others have the processor, each time from then on.
const PATIENCE: u32 = 4_000;

/// How often it looks for another plan before it sleeps.
const WAKEFULNESS: u32 = 6_000;

/// A value on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Apart<T>(T);

/// What a panic carries.
type Payload = Box<dyn Any + Send>;

/// A job at hand: what to do for each of the tasks `0..count`.
#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    count: usize,
}

/// One thread that leads, whoever runs a plan, and others that serve.
pub(crate) struct Team {
    shared: Arc<Shared>,
    serving: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Team({})", self.threads())
    }
}

/// Bits of a task's number beside that of its job.
const TASK_BITS: u32 = 24;

/// What the threads of a team share.
#[derive(Default)]
struct Shared {
    /// Odd while a job is open.
    phase: Apart<AtomicUsize>,
    /// Written by the leader while no job is open and nobody inside.
    job: UnsafeCell<Option<Job>>,
    /// For each thread the first task of its share that nobody has claimed, behind the number of the job it is of: of a
    /// new job none is.
    shares: Vec<Apart<AtomicU64>>,
    /// What is not claimed yet is left undone.
    given_up: AtomicBool,
    /// How many serving threads may be looking at the job.
    inside: Apart<AtomicUsize>,
    /// Whether somebody leads: a job that another thread, or a task, starts meanwhile runs on its own thread.
    led: AtomicBool,
    /// The first panic of a task of the job, until its leader takes it, and whether there is one.
    panic: Mutex<Option<Payload>>,
    failed: AtomicBool,
    /// How many plans are running.
    plans: AtomicUsize,
    /// How many threads sleep, and what wakes them.
    sleeping: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    ended: AtomicBool,
}

// SAFETY: `job` is written only by the thread that has set `led`, while `phase` is even and `inside` zero, and read
// only by threads that are counted in `inside` and have seen an odd `phase` after that. The task is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

/// A plan that runs.
pub(crate) struct Called<'t>(&'t Shared);

impl Drop for Called<'_> {
    fn drop(&mut self) {
        self.0.plans.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Team {
    /// A team of `threads`, one of which is the caller's; of fewer where the system gives no more.
    pub(crate) fn new(threads: usize) -> Team {
        let shared = Arc::new(Shared {
            shares: (0..threads).map(|_| Apart::default()).collect(),
            ..Shared::default()
        });
        let start = |n: usize| {
            let shared = Arc::clone(&shared);
            let name = format!("wgrad-cpu-{n}");
            let builder = std::thread::Builder::new().name(name);
            builder.spawn(move || shared.serve(n)).ok()
        };
        Team {
            serving: (1..threads).map_while(start).collect(),
            shared,
        }
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        self.serving.len() + 1
    }

    /// Makes the threads stand by until the value is dropped.
    pub(crate) fn call(&self) -> Called<'_> {
        self.shared.plans.fetch_add(1, Ordering::SeqCst);
        // Either a thread that goes to sleep sees the plan, or it is seen here.
        if self.shared.sleeping.load(Ordering::SeqCst) > 0 {
            self.shared.wake_all();
        }
        Called(&self.shared)
    }

    /// Calls `task` with each number below `count` once, on any of the threads, and returns when all are done. If one
    /// panics, no more are begun, and this panics with what the first that did so carried.
    pub(crate) fn share(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        if self.serving.is_empty() {
            return (0..count).for_each(task);
        }
        self.shared.share(count, task);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.wake_all();
        for thread in self.serving.drain(..) {
            // A thread that has panicked said so on its own.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Calls `task` with each number below `count` once, on any of the threads, and returns when all are done.
    fn share(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        if count >> TASK_BITS > 0 {
            let several =
                |i: usize| (i << TASK_BITS..count.min((i + 1) << TASK_BITS)).for_each(task);
            return self.share(count.div_ceil(1 << TASK_BITS), &several);
        }
        if count <= 1 || self.led.swap(true, Ordering::Acquire) {
            return (0..count).for_each(task);
        }
        // SAFETY: only the lifetime changes: no panic leaves this function before `close`, after which nobody has it.
        let forever: *const (dyn Fn(usize) + Sync + 'static) =
            unsafe { std::mem::transmute(std::ptr::from_ref(task)) };
        // SAFETY: this thread has set `led`, and the job before was closed with nobody inside.
        unsafe {
            *self.job.get() = Some(Job {
                task: forever,
                count,
            });
        }
        self.given_up.store(false, Ordering::Relaxed);
        let phase = self.phase.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.attempt((phase, count), 0, task);
        if let Some(panic) = self.close() {
            resume_unwind(panic);
        }
    }

    /// Ends the job once nobody is inside, and lets others lead; returns the first panic of its tasks.
    fn close(&self) -> Option<Payload> {
        self.phase.0.fetch_add(1, Ordering::SeqCst);
        let mut waited = 0;
        while self.inside.0.load(Ordering::SeqCst) > 0 {
            if waited < PATIENCE {
                waited += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        let failed = self.failed.load(Ordering::Relaxed);
        let panic = failed.then(|| {
            self.failed.store(false, Ordering::Relaxed);
            self.first_panic().take()
        });
        self.led.store(false, Ordering::Release);
        panic.flatten()
    }

    fn first_panic(&self) -> MutexGuard<'_, Option<Payload>> {
        self.panic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Shared::work`]; a panic of a task is kept for the leader and ends the job.
    fn attempt(&self, job: (usize, usize), me: usize, task: &(dyn Fn(usize) + Sync)) {
        let work = AssertUnwindSafe(|| self.work(job, me, task));
        let Err(panic) = catch_unwind(work) else {
            return;
        };
        self.given_up.store(true, Ordering::Relaxed);
        let mut first = self.first_panic();
        if first.is_none() {
            *first = Some(panic);
            self.failed.store(true, Ordering::Relaxed);
            return;
        }
        drop(first);
        discard(panic);
    }

    /// Does thread `me`'s share of the job that was opened with this phase, and what the others have left.
    fn work(&self, job: (usize, usize), me: usize, task: &(dyn Fn(usize) + Sync)) {
        let threads = self.shares.len();
        for owner in (me..threads).chain(0..me) {
            while let Some(i) = self.claim(job, owner) {
                task(i);
            }
        }
    }

    /// A task of a thread's share of the `count` tasks.
    fn claim(&self, (phase, count): (usize, usize), owner: usize) -> Option<usize> {
        let threads = self.shares.len();
        let (first, end) = (owner * count / threads, (owner + 1) * count / threads);
        if first == end || self.given_up.load(Ordering::Relaxed) {
            return None;
        }
        let job = (phase as u64) << TASK_BITS;
        let share = &self.shares[owner].0;
        let mut seen = share.load(Ordering::Relaxed);
        loop {
            let of_this_job = seen >> TASK_BITS == job >> TASK_BITS;
            let task = match of_this_job {
                true => (seen - job) as usize,
                false => first,
            };
            if task >= end {
                return None;
            }
            let after = job + task as u64 + 1;
            match share.compare_exchange_weak(seen, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(task),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes part in the jobs of all plans, as thread `me`.
    fn serve(&self, me: usize) {
        while !self.ended.load(Ordering::SeqCst) {
            self.stand_by(me);
            self.rest();
        }
    }

    /// Takes part in jobs as long as plans run.
    fn stand_by(&self, me: usize) {
        let (mut served, mut idle) = (0, 0);
        while self.plans.load(Ordering::SeqCst) > 0 && !self.ended.load(Ordering::Relaxed) {
            let phase = self.phase.0.load(Ordering::Acquire);
            if phase % 2 == 1 && phase != served {
                self.help(me);
                (served, idle) = (phase, 0);
            } else if idle < PATIENCE {
                idle += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Waits for the next plan, or the end.
    fn rest(&self) {
        let called = || self.plans.load(Ordering::SeqCst) > 0 || self.ended.load(Ordering::SeqCst);
        for _ in 0..WAKEFULNESS {
            if called() {
                return;
            }
            std::hint::spin_loop();
        }
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        while !called() {
            let woken = self.wake.wait(guard);
            guard = woken.unwrap_or_else(PoisonError::into_inner);
        }
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
    }

    fn wake_all(&self) {
        // Whoever has looked for a plan in vain and holds the lock is asleep once it can be taken.
        drop(self.sleep.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_all();
    }

    /// Works on the open job, if it still is.
    fn help(&self, me: usize) {
        self.inside.0.fetch_add(1, Ordering::SeqCst);
        let _leaving = Leaving(self);
        // Either this thread sees the job closed, or the leader sees it inside and waits.
        let phase = self.phase.0.load(Ordering::SeqCst);
        if phase % 2 == 1 {
            // SAFETY: the leader writes the job and ends the task only when nobody is inside.
            let job = unsafe { *self.job.get() };
            if let Some(Job { task, count }) = job {
                // SAFETY: as above.
                self.attempt((phase, count), me, unsafe { &*task });
            }
        }
    }
}

/// Drops what a panic carried. That may panic too, and so may the drop of what that carries.
fn discard(panic: Payload) {
    let mut left = panic;
    for _ in 0..4 {
        match catch_unwind(AssertUnwindSafe(|| drop(left))) {
            Ok(()) => return,
            Err(another) => left = another,
        }
    }
    // It could go on without end.
    std::mem::forget(left);
}

/// A serving thread that is inside.
struct Leaving<'t>(&'t Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // All that happens to the count is in one order, so that no leader can read a value from before this thread came.
        self.0.inside.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_team(threads: usize, f: impl FnOnce(&Team)) {
        let team = Team::new(threads);
        let _called = team.call();
        f(&team);
    }

    #[test]
    fn every_task_of_many_jobs_runs_once() {
        with_team(4, |team| {
            for job in 0..if cfg!(miri) { 20 } else { 3_000 } {
                let counts: Vec<AtomicUsize> = (0..job % 17).map(|_| AtomicUsize::new(0)).collect();
                team.share(counts.len(), &|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            }
        });
    }

    #[test]
    fn a_job_within_a_job_runs_on_its_own_thread() {
        with_team(3, |team| {
            let sum = AtomicUsize::new(0);
            team.share(8, &|i| {
                team.share(4, &|j| {
                    sum.fetch_add(i * 4 + j, Ordering::Relaxed);
                });
            });
            assert_eq!(sum.load(Ordering::Relaxed), 31 * 32 / 2);
        });
    }

    #[test]
    fn threads_wake_for_plans_that_come_late() {
        let team = Team::new(2);
        for pause in [0, 1, 20] {
            std::thread::sleep(std::time::Duration::from_millis(pause));
            let _called = team.call();
            let seen = Mutex::new(std::collections::HashSet::new());
            // Tasks that wait for each other need both threads.
            let met = AtomicUsize::new(0);
            team.share(2, &|_| {
                met.fetch_add(1, Ordering::SeqCst);
                while met.load(Ordering::SeqCst) < 2 {
                    std::thread::yield_now();
                }
                let mut seen = seen.lock().expect("no panic");
                seen.insert(std::thread::current().id());
            });
            assert_eq!(seen.lock().expect("no panic").len(), 2);
        }
    }

    #[test]
    fn a_panic_of_a_serving_thread_is_the_leaders() {
        let team = Team::new(2);
        let _called = team.call();
        let leader = std::thread::current().id();
        let met = AtomicUsize::new(0);
        let failed = catch_unwind(AssertUnwindSafe(|| {
            team.share(2, &|_| {
                met.fetch_add(1, Ordering::SeqCst);
                while met.load(Ordering::SeqCst) < 2 {
                    std::thread::yield_now();
                }
                assert_eq!(std::thread::current().id(), leader);
            });
        }));
        assert!(failed.is_err());
        let sum = AtomicUsize::new(0);
        team.share(5, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn a_panic_of_the_leader_leaves_the_team_usable() {
        with_team(1, |team| {
            let failed = catch_unwind(AssertUnwindSafe(|| team.share(3, &|i| assert!(i < 1))));
            assert!(failed.is_err());
            let sum = AtomicUsize::new(0);
            team.share(3, &|i| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.load(Ordering::Relaxed), 3);
        });
    }
}
