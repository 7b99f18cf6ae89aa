//! Runs that are profiled: recorded with timestamps, waited for, and put into the trace. Must cost nothing otherwise.

use super::prepared::Prepared;
use super::run::Executor;
use crate::profile;
use wgrad_device::{Commands, Error, Submission};

impl Executor {
    /// Where a run is recorded: with timestamps if it is profiled and the device has them.
    pub(super) fn recorder(&self) -> Result<Commands, Error> {
        let commands = self.gpu().commands();
        if profile::begin().is_some() && self.gpu().features().timestamps {
            return commands.with_timestamps();
        }
        Ok(commands)
    }

    /// Puts a run into the profile, if there is one.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn trace(&self, submission: Submission, prepared: &Prepared) -> Result<(), Error> {
        if profile::begin().is_some() {
            let timings = submission.timings_blocking()?;
            // What a run does about its status belongs to no step.
            let own = |t: &&wgrad_device::Timing| !matches!(&*t.label, "inherit" | "keep");
            let steps = timings.iter().filter(own).zip(prepared.dispatched());
            profile::gpu_steps(steps.map(|(t, origin)| (&*t.label, origin, [t.start_ns, t.ns])));
        }
        Ok(())
    }

    /// There is no profile.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn trace(&self, _: Submission, _: &Prepared) -> Result<(), Error> {
        Ok(())
    }
}
