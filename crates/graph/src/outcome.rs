//! What has become of a run. A host knows it at once. A GPU writes it into a status word of that run, which comes back with
//! whatever is read next; until then the run's results hold its [`Outcome`], and so does everything computed from them.
//! Nobody else ever hears of it. Must not run anything but the reading of status words.

use crate::error::Result;
#[cfg(feature = "gpu")]
pub(crate) use pending::{Outcomes, Parents, Reading, Sites};

/// Whether a run has succeeded: an index out of range on a GPU is known only when the GPU has done the run. A cheap clone.
///
/// ```
/// use wgrad_graph::replay::Outcome;
/// // What a host has done is known.
/// assert!(Outcome::default().known().is_some_and(|outcome| outcome.is_ok()));
/// ```
#[derive(Clone, Default)]
pub struct Outcome {
    #[cfg(feature = "gpu")]
    pending: Option<std::sync::Arc<pending::Pending>>,
}

impl Outcome {
    /// The outcome, if it is known without waiting: it is once anything that was computed later has been read. The error
    /// is the same each time.
    pub fn known(&self) -> Option<Result<()>> {
        #[cfg(feature = "gpu")]
        if let Some(pending) = &self.pending {
            return pending.known();
        }
        Some(Ok(()))
    }

    /// Waits for the outcome; nothing but status words is read.
    ///
    /// # Errors
    /// That of the run, or the device is lost.
    pub async fn wait_async(&self) -> Result<()> {
        #[cfg(feature = "gpu")]
        if let Some(pending) = &self.pending {
            return pending.wait().await;
        }
        Ok(())
    }

    /// [`Outcome::wait_async`], waiting for it. Not in a browser.
    ///
    /// # Errors
    /// As [`Outcome::wait_async`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(&self) -> Result<()> {
        pollster::block_on(self.wait_async())
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.known() {
            None => f.write_str("Outcome(not known yet)"),
            Some(Ok(())) => f.write_str("Outcome(success)"),
            Some(Err(e)) => write!(f, "Outcome({e})"),
        }
    }
}

#[cfg(feature = "gpu")]
mod pending {
    use super::Outcome;
    use crate::device::from_device;
    use crate::error::{Error, ErrorKind, Result};
    use std::panic::Location;
    use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
    use wgrad_device::{Commands, Download};
    use wgrad_gpu::{INHERITED, Word, Words};

    /// Names and places of the nodes of a run that may fail, by what they write to the status word.
    pub(crate) struct Sites(pub(crate) Vec<(u32, &'static str, &'static Location<'static>)>);

    impl Sites {
        /// The error that a status word stands for.
        pub(crate) fn error(&self, code: u32) -> Error {
            let site = self.0.iter().find(|(check, ..)| *check == code);
            match site {
                Some((_, name, location)) => Error::index(name, location),
                None => {
                    let message = format!("unknown status code {code}");
                    Error::new(ErrorKind::Internal, "status", message)
                }
            }
        }
    }

    /// A run whose outcome was not known when it was submitted.
    pub(crate) struct Pending {
        known: OnceLock<Option<Error>>,
        outcomes: Arc<Outcomes>,
        /// Where the run writes how it ends; none where it ends as its parents do.
        word: Option<Word>,
        sites: Option<Arc<Sites>>,
        /// Runs whose results it uses, until its outcome is known.
        parents: Mutex<Vec<Arc<Pending>>>,
    }

    /// The runs of a device whose outcomes are not known.
    pub(crate) struct Outcomes {
        words: Arc<Words>,
        /// Those that were submitted, in order.
        submitted: Mutex<Vec<Weak<Pending>>>,
    }

    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Pending {
        pub(super) fn known(&self) -> Option<Result<()>> {
            if self.known.get().is_none() && self.word.is_none() {
                self.follow_parents();
            }
            let known = self.known.get()?;
            Some(known.clone().map_or(Ok(()), Err))
        }

        /// Takes the parents' outcomes where it has none of its own.
        fn follow_parents(&self) {
            let outcomes: Option<Vec<_>> = lock(&self.parents).iter().map(|p| p.known()).collect();
            if let Some(outcomes) = outcomes {
                self.settle(outcomes.into_iter().find_map(Result::err));
            }
        }

        fn settle(&self, error: Option<Error>) {
            if self.known.set(error).is_ok() {
                lock(&self.parents).clear();
            }
        }

        /// Reads off what the run wrote.
        fn read(&self, code: u32) {
            let error = match (code, &self.sites) {
                (0, _) => None,
                (INHERITED, _) => {
                    let parents = lock(&self.parents);
                    parents.iter().find_map(|p| p.known()?.err())
                }
                (_, Some(sites)) => Some(sites.error(code)),
                (_, None) => Some(Sites(Vec::new()).error(code)),
            };
            self.settle(error);
        }

        pub(super) async fn wait(&self) -> Result<()> {
            if self.known().is_none() {
                let gpu = self.outcomes.words.gpu();
                let mut commands = gpu.commands();
                let reading = self.outcomes.reading(&mut commands, None);
                let reading = reading.map_err(|e| from_device(&e))?;
                commands.submit().map_err(|e| from_device(&e))?;
                reading.finish().await?;
            }
            self.known().unwrap_or_else(|| {
                let message = "the outcome of a run was not read";
                Err(Error::new(ErrorKind::Internal, "status", message))
            })
        }
    }

    /// Long chains are taken apart in a loop: dropping them recursively would overflow the stack.
    impl Drop for Pending {
        fn drop(&mut self) {
            let mut stack = std::mem::take(&mut *lock(&self.parents));
            while let Some(parent) = stack.pop() {
                if let Some(parent) = Arc::into_inner(parent) {
                    stack.append(&mut lock(&parent.parents));
                }
            }
        }
    }

    /// Status words on their way from the GPU.
    pub(crate) struct Reading {
        blocks: Vec<Download>,
        runs: Vec<Arc<Pending>>,
    }

    impl Outcomes {
        pub(crate) fn new(words: Arc<Words>) -> Arc<Outcomes> {
            Arc::new(Outcomes {
                words,
                submitted: Mutex::default(),
            })
        }

        /// The outcome of a run that has been submitted, with the word it writes, and of its parents.
        pub(crate) fn submitted(
            self: &Arc<Self>,
            word: Option<Word>,
            sites: Option<Arc<Sites>>,
            parents: Parents,
        ) -> Outcome {
            if word.is_none() && parents.0.len() <= 1 {
                let pending = parents.0.into_iter().next();
                return Outcome { pending };
            }
            let registered = word.is_some();
            let pending = Arc::new(Pending {
                known: OnceLock::new(),
                outcomes: self.clone(),
                word,
                sites,
                parents: Mutex::new(parents.0),
            });
            if registered {
                let mut submitted = lock(&self.submitted);
                if submitted.len() == submitted.capacity() {
                    submitted
                        .retain(|run| run.upgrade().is_some_and(|run| run.known.get().is_none()));
                }
                submitted.push(Arc::downgrade(&pending));
            }
            Outcome {
                pending: Some(pending),
            }
        }

        /// Records the reading of all status words that were written by runs submitted before, and that of `last`, which
        /// these commands write.
        pub(crate) fn reading(
            &self,
            commands: &mut Commands,
            last: Option<&Word>,
        ) -> Result<Reading, wgrad_device::Error> {
            let mut runs: Vec<Arc<Pending>> = Vec::new();
            lock(&self.submitted).retain(|run| {
                let run = run.upgrade().filter(|run| run.known.get().is_none());
                runs.extend(run.iter().cloned());
                run.is_some()
            });
            let blocks = match runs.is_empty() && last.is_none() {
                true => Vec::new(),
                false => self.words.download(commands)?,
            };
            Ok(Reading { blocks, runs })
        }
    }

    impl Reading {
        /// As [`Reading::finish`], with the run that the commands themselves were.
        pub(crate) async fn finish_with(mut self, last: &Outcome) -> Result<()> {
            self.runs.extend(last.pending.clone());
            self.finish().await
        }

        /// Waits for the words; then the outcomes of all these runs are known.
        pub(crate) async fn finish(self) -> Result<()> {
            let mut blocks = Vec::with_capacity(self.blocks.len());
            for block in self.blocks {
                blocks.push(block.bytes().await.map_err(|e| from_device(&e))?);
            }
            for run in self.runs {
                if let Some(word) = run.word.as_ref().filter(|_| run.known.get().is_none()) {
                    run.read(word.of(&blocks));
                }
            }
            Ok(())
        }
    }

    /// The runs that another one depends on, each once, whose outcomes are not known.
    #[derive(Default)]
    pub(crate) struct Parents(Vec<Arc<Pending>>);

    impl Parents {
        /// Adds a run.
        ///
        /// # Errors
        /// It has failed.
        pub(crate) fn add(&mut self, outcome: &Outcome) -> Result<()> {
            let Some(pending) = &outcome.pending else {
                return Ok(());
            };
            match pending.known() {
                Some(known) => return known,
                None if pending.word.is_some() => self.push(pending),
                None => lock(&pending.parents).iter().for_each(|p| self.push(p)),
            }
            Ok(())
        }

        fn push(&mut self, pending: &Arc<Pending>) {
            if !self.0.iter().any(|p| Arc::ptr_eq(p, pending)) {
                self.0.push(pending.clone());
            }
        }

        /// Whether there are none.
        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        /// The words that they write.
        pub(crate) fn words(&self) -> Vec<&Word> {
            self.0.iter().filter_map(|p| p.word.as_ref()).collect()
        }
    }
}
