//! Batches made ahead on threads, given out in their order. What fails or panics on a thread is the error of its batch, and
//! nobody waits for a thread that is gone. Must not know a dataset: it is given a function. Not on wasm32.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::{BatchSampler, Error, Result};

/// One batch to be made: its number, its indices.
type Job = (u64, Vec<u32>);
/// A batch made, or why not.
type Made<B> = (u64, Result<B>);

/// Threads and what they have in hand.
pub(crate) struct Prefetch<B> {
    /// `None` once the threads are to end.
    jobs: Option<Sender<Job>>,
    made: Receiver<Made<B>>,
    /// Batches of lower numbers are wanted no more.
    oldest: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    ahead: usize,
    /// Goes before the loader's own sampler by what is under way.
    sampler: BatchSampler,
    /// Numbers of the batches under way, in the order in which they are asked for.
    expected: VecDeque<u64>,
    /// Batches that came before those asked for.
    early: BTreeMap<u64, Result<B>>,
    next_number: u64,
}

impl<B> std::fmt::Debug for Prefetch<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefetch")
            .field("threads", &self.threads.len())
            .field("ahead", &self.ahead)
            .finish_non_exhaustive()
    }
}

impl<B: Send + 'static> Prefetch<B> {
    /// `workers` threads that call `make`, up to `ahead` batches before `sampler`.
    pub(crate) fn new<F>(
        make: F,
        workers: usize,
        ahead: usize,
        sampler: &BatchSampler,
    ) -> Result<Self>
    where
        F: Fn(&[u32]) -> Result<B> + Send + Sync + 'static,
    {
        if workers == 0 || ahead == 0 {
            return Err(Error::Argument {
                function: "Loader::prefetch",
                problem: format!("workers {workers} and ahead {ahead} must be at least 1"),
            });
        }
        let (jobs, todo) = channel();
        let (done, made) = channel();
        let (todo, make) = (Arc::new(Mutex::new(todo)), Arc::new(make));
        let oldest = Arc::new(AtomicU64::new(0));
        let mut prefetch = Self {
            jobs: Some(jobs),
            made,
            oldest: Arc::clone(&oldest),
            threads: Vec::with_capacity(workers),
            ahead,
            sampler: sampler.clone(),
            expected: VecDeque::new(),
            early: BTreeMap::new(),
            next_number: 0,
        };
        for number in 0..workers {
            let (todo, done, make) = (Arc::clone(&todo), done.clone(), Arc::clone(&make));
            let oldest = Arc::clone(&oldest);
            let thread = std::thread::Builder::new()
                .name(format!("wgrad-loader-{number}"))
                .spawn(move || work(&todo, &done, &oldest, &*make));
            match thread {
                Ok(thread) => prefetch.threads.push(thread),
                // Fewer threads do; none does not.
                Err(_) if number > 0 => break,
                Err(error) => {
                    let problem = format!("cannot be started: {error}");
                    return Err(Error::Worker { problem });
                }
            }
        }
        Ok(prefetch)
    }
}

impl<B> Prefetch<B> {
    /// The batch that the loader's sampler has just gone over.
    pub(crate) fn next(&mut self) -> Result<B> {
        self.fill();
        let number = self.expected.pop_front().ok_or_else(gone)?;
        loop {
            if let Some(batch) = self.early.remove(&number) {
                self.fill();
                return batch;
            }
            let (made, batch) = self.made.recv().map_err(|_| gone())?;
            // What belongs to an order that was left is forgotten.
            if made == number || self.expected.contains(&made) {
                self.early.insert(made, batch);
            }
        }
    }

    /// Goes on from where `sampler` stands; what is under way is forgotten.
    pub(crate) fn restart(&mut self, sampler: &BatchSampler) {
        self.sampler = sampler.clone();
        self.oldest.store(self.next_number, Ordering::Relaxed);
        self.expected.clear();
        self.early.clear();
    }

    /// As many batches under way as are wanted.
    fn fill(&mut self) {
        let Some(jobs) = &self.jobs else {
            return;
        };
        let mut ends = 0;
        while self.expected.len() < self.ahead && ends < 2 {
            let Some(indices) = self.sampler.next_batch() else {
                ends += 1;
                continue;
            };
            ends = 0;
            if jobs.send((self.next_number, indices.to_vec())).is_err() {
                return;
            }
            self.expected.push_back(self.next_number);
            self.next_number += 1;
        }
    }
}

fn gone() -> Error {
    Error::Worker {
        problem: "is gone".to_owned(),
    }
}

/// What a thread does until nobody has work or wants results.
fn work<B>(
    todo: &Mutex<Receiver<Job>>,
    done: &Sender<Made<B>>,
    oldest: &AtomicU64,
    make: &(dyn Fn(&[u32]) -> Result<B> + Send + Sync),
) {
    loop {
        // The lock is given back before the batch is made.
        let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, indices)) = job else {
            return;
        };
        if number < oldest.load(Ordering::Relaxed) {
            continue;
        }
        let batch = catch_unwind(AssertUnwindSafe(|| make(&indices))).unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "a value that is no text".to_owned());
            Err(Error::Worker {
                problem: format!("panicked: {text}"),
            })
        });
        if done.send((number, batch)).is_err() {
            return;
        }
    }
}

impl<B> Drop for Prefetch<B> {
    fn drop(&mut self) {
        // Threads end after the batch that they are at: what waits is wanted no more.
        self.oldest.store(u64::MAX, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread catches every panic of what it calls; there is nothing else to report.
            let _ = thread.join();
        }
    }
}
