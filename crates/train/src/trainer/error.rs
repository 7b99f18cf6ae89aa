//! What can go wrong with a training run. What the run was doing stands in the message; the cause below it says where.

use crate::checkpoint::CheckpointError;
use crate::files::FileError;
use crate::log::LogError;
use crate::weights::WeightsError;
use std::path::PathBuf;

/// `Result` with [`TrainError`].
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

/// Why a training run has ended. The trainer's state is as it was after the last good step.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A tensor is invalid, or running failed.
    #[error("{what}: {source}")]
    Step {
        /// What was being done.
        what: String,
        /// The tensor's error.
        source: wgrad_graph::Error,
    },
    /// The device is gone, and all tensors on it. What a checkpoint holds can go on on another device.
    #[error("step {step}: {source}; {}", kept(checkpoint.as_ref()))]
    DeviceLost {
        /// The step under way, from 1.
        step: u64,
        /// The last checkpoint, if one was written.
        checkpoint: Option<PathBuf>,
        /// The device's error.
        source: wgrad_graph::Error,
    },
    /// A loss is no finite number, and the parameters are none either. The state is that of before the step.
    #[error("step {step}: {scalar} is {value}{}", named(cause.as_ref(), *kept))]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// Which scalar.
        scalar: String,
        /// Its value.
        value: f64,
        /// The operation that made the first NaN or infinity, if the step made it again.
        cause: Option<wgrad_graph::Error>,
        /// Whether the state is that of before the step, as it is unless [`keep_good`](crate::Trainer::keep_good) is off.
        kept: bool,
    },
    /// Ctrl-C. The state is that of after the step; `checkpoint` has it, if there is a folder.
    #[error("interrupted after step {step}; {}", kept(checkpoint.as_ref()))]
    Interrupted {
        /// The last step, from 1.
        step: u64,
        /// Where the run is kept.
        checkpoint: Option<PathBuf>,
    },
    /// A batch could not be read or made.
    #[error("batch {batch} of epoch {epoch}: {source}")]
    Data {
        /// The epoch, from 1.
        epoch: u64,
        /// The batch, from 1.
        batch: u64,
        /// The loader's error.
        source: wgrad_data::Error,
    },
    /// The loader gave no batch in a whole epoch.
    #[error(
        "{0} gives no batch: the dataset is empty, or smaller than a batch that may not be short"
    )]
    Empty(&'static str),
    /// A checkpoint cannot be written, read, or belongs to another run.
    #[error(transparent)]
    Checkpoint(#[from] WeightsError),
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The log of metrics.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The trainer is not set up for what it is asked.
    #[error("{0}")]
    Setup(String),
    /// A callback's own error.
    #[error(transparent)]
    Callback(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// As it is displayed: what a `main` that returns it prints.
impl std::fmt::Debug for TrainError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

fn kept(checkpoint: Option<&PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("{} goes on with it", path.display()),
        None => "no checkpoint was written".to_string(),
    }
}

fn named(cause: Option<&wgrad_graph::Error>, kept: bool) -> String {
    match (cause, kept) {
        (Some(cause), _) => format!(": {cause}; the weights are those of before this step"),
        (None, true) => "; it did not come again when the steps were repeated, and the weights are those of before".to_string(),
        (None, false) => "; no copy of the state was kept, from which to repeat the step and find the operation".to_string(),
    }
}

impl TrainError {
    /// For `map_err`: what was being done when a tensor's error came.
    pub(super) fn doing(what: impl Into<String>) -> impl FnOnce(wgrad_graph::Error) -> TrainError {
        let what = what.into();
        move |source| TrainError::Step { what, source }
    }
}

impl From<wgrad_graph::Error> for TrainError {
    fn from(source: wgrad_graph::Error) -> TrainError {
        TrainError::Step {
            what: "a tensor".to_string(),
            source,
        }
    }
}

impl From<wgrad_data::Error> for TrainError {
    fn from(source: wgrad_data::Error) -> TrainError {
        TrainError::Callback(Box::new(source))
    }
}

impl From<CheckpointError> for TrainError {
    fn from(source: CheckpointError) -> TrainError {
        TrainError::Checkpoint(WeightsError::Checkpoint(source))
    }
}

impl From<std::io::Error> for TrainError {
    fn from(source: std::io::Error) -> TrainError {
        TrainError::Callback(Box::new(source))
    }
}
