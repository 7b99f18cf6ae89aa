//! What surrounds a training loop: checkpoints, logs, progress, summaries and the report picture.
//!
//! All but `session` works on plain data (numbers, bytes, strings), so that each part can be used and tested alone.
//! It must not know how tensors are computed, and nothing but the progress bar, the report's
//! `render_png` and the functions that take a path may need a file system or a terminal:
//! those are absent on `wasm32`.

pub mod checkpoint;
#[cfg(not(target_arch = "wasm32"))]
mod files;
pub mod log;
#[cfg(not(target_arch = "wasm32"))]
pub mod progress;
#[cfg(feature = "report")]
pub mod report;
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
#[cfg(not(target_arch = "wasm32"))]
pub use progress::Progress;
#[cfg(feature = "report")]
pub use report::{Report, ReportError, Tile};
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
