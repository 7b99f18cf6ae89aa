//! What surrounds a training loop: checkpoints, logs, progress and summaries.
//!
//! All but `session` works on plain data (numbers, bytes, strings), so that each part can be used and tested alone.
//! It must not know how tensors are computed, and nothing but the progress bar and the functions that take a path
//! may need a file system or a terminal: those are absent on `wasm32`.

pub mod checkpoint;
#[cfg(not(target_arch = "wasm32"))]
mod files;
pub mod log;
#[cfg(not(target_arch = "wasm32"))]
pub mod select;
pub mod session;
pub mod summary;
#[cfg(not(target_arch = "wasm32"))]
pub mod trainer;
pub mod weights;

pub use checkpoint::{Array, Checkpoint, CheckpointError, DType};
#[cfg(not(target_arch = "wasm32"))]
pub use files::FileError;
pub use log::{EndRecord, EpochRecord, LogError, MetricsWriter};
pub use session::{Counters, SessionError};
pub use summary::{Summary, SummaryRow};
#[cfg(not(target_arch = "wasm32"))]
pub use trainer::{
    At, Callback, EarlyStopping, EpochScores, Event, Every, Fitted, RateRange, RateSearch,
    RunFolder, Scalars, StepRecord, TrainError, Trainer, gradient_norms,
};
pub use weights::{LoadOptions, LoadReport, ModelInfo, Weights, WeightsError};
pub use wgrad_metrics::running::Accuracy;
use wgrad_metrics::table;
pub use wgrad_metrics::{self as metrics, ConfusionMatrix, MetricsError, RunningMean};
#[cfg(not(target_arch = "wasm32"))]
pub use wgrad_report::Progress;
