//! Threads that stand by while a plan runs. Handing them work takes a fraction of a microsecond, where waking a thread
//! takes many, so that small steps are worth sharing; a thread that does not come in time is not waited for, because
//! the tasks of a job are claimed one by one. Knows no kernel.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How often a thread without work looks for some before it lets others have the processor, each time from then on.
const PATIENCE: u32 = 4_000;

/// A value on a cache line of its own.
#[repr(align(64))]
struct Apart<T>(T);

/// A job at hand: what to do for each of the tasks `0..count`.
#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    count: usize,
}

/// One thread that leads and others that serve.
pub(super) struct Team {
    threads: usize,
    /// Odd while a job is open.
    phase: Apart<AtomicUsize>,
    /// Written by the leader while no job is open and nobody inside.
    job: UnsafeCell<Option<Job>>,
    /// The first task that nobody has claimed.
    next: Apart<AtomicUsize>,
    /// How many serving threads may be looking at the job.
    inside: Apart<AtomicUsize>,
    /// Whether somebody leads: a job started from within another runs on its own thread.
    led: AtomicBool,
    dismissed: AtomicBool,
}

// SAFETY: `job` is written only by the thread that has set `led`, while `phase` is even and `inside` zero, and read
// only by threads that are counted in `inside` and have seen an odd `phase` after that. The task is `Sync`.
unsafe impl Sync for Team {}

/// Ends the team's work when dropped.
pub(super) struct Dismissal<'t>(&'t Team);

impl Drop for Dismissal<'_> {
    fn drop(&mut self) {
        self.0.dismissed.store(true, Ordering::Release);
    }
}

impl Team {
    /// A team of `threads`, one of which is the caller's.
    pub(super) fn new(threads: usize) -> Team {
        Team {
            threads,
            phase: Apart(AtomicUsize::new(0)),
            job: UnsafeCell::new(None),
            next: Apart(AtomicUsize::new(0)),
            inside: Apart(AtomicUsize::new(0)),
            led: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
        }
    }

    /// How many threads it has.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// What lets the serving threads go.
    pub(super) fn dismissal(&self) -> Dismissal<'_> {
        Dismissal(self)
    }

    /// Calls `task` with each number below `count` once, on any of the threads, and returns when all are done.
    pub(super) fn share(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        if count <= 1 || self.led.swap(true, Ordering::Acquire) {
            return (0..count).for_each(task);
        }
        // SAFETY: only the lifetime changes; `closing` ends the job before `task` does, even when a task panics.
        let forever: *const (dyn Fn(usize) + Sync + 'static) =
            unsafe { std::mem::transmute(std::ptr::from_ref(task)) };
        // SAFETY: this thread has set `led`, and the job before was closed with nobody inside.
        unsafe {
            *self.job.get() = Some(Job {
                task: forever,
                count,
            });
        }
        self.next.0.store(0, Ordering::Relaxed);
        self.phase.0.fetch_add(1, Ordering::SeqCst);
        let closing = Closing { team: self, count };
        self.work(count, task);
        drop(closing);
    }

    fn work(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        loop {
            let i = self.next.0.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return;
            }
            task(i);
        }
    }

    /// Takes part in jobs until the team is dismissed.
    pub(super) fn serve(&self) {
        let (mut served, mut idle) = (0, 0);
        while !self.dismissed.load(Ordering::Acquire) {
            let phase = self.phase.0.load(Ordering::Acquire);
            if phase % 2 == 1 && phase != served {
                self.help();
                (served, idle) = (phase, 0);
            } else if idle < PATIENCE {
                idle += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Works on the open job, if it still is.
    fn help(&self) {
        self.inside.0.fetch_add(1, Ordering::SeqCst);
        let _leaving = Leaving(self);
        // Either this thread sees the job closed, or the leader sees it inside and waits.
        if self.phase.0.load(Ordering::SeqCst) % 2 == 1 {
            // SAFETY: the leader writes the job and ends the task only when nobody is inside.
            let job = unsafe { *self.job.get() };
            if let Some(Job { task, count }) = job {
                // SAFETY: as above.
                self.work(count, unsafe { &*task });
            }
        }
    }
}

/// A serving thread that is inside.
struct Leaving<'t>(&'t Team);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.inside.0.fetch_sub(1, Ordering::Release);
    }
}

/// An open job.
struct Closing<'t> {
    team: &'t Team,
    count: usize,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        // What is left when a task has panicked is left undone.
        self.team.next.0.store(self.count, Ordering::Relaxed);
        self.team.phase.0.fetch_add(1, Ordering::SeqCst);
        let mut waited = 0;
        while self.team.inside.0.load(Ordering::SeqCst) > 0 {
            if waited < PATIENCE {
                waited += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        self.team.led.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn with_team(threads: usize, f: impl FnOnce(&Team)) {
        let team = Team::new(threads);
        std::thread::scope(|s| {
            (1..threads).for_each(|_| drop(s.spawn(|| team.serve())));
            let _dismissal = team.dismissal();
            f(&team);
        });
    }

    #[test]
    fn every_task_of_many_jobs_runs_once() {
        with_team(4, |team| {
            for job in 0..3_000 {
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
