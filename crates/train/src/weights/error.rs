//! What can go wrong with weights. Every message names the file, and the array if one is to blame.

#[cfg(not(target_arch = "wasm32"))]
use crate::files::FileError;
use crate::weights::LoadReport;

/// Why weights could not be read, written or put into a module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Writing or opening a file failed.
    #[cfg(not(target_arch = "wasm32"))]
    #[error("weights {0}")]
    File(#[from] FileError),
    /// The bytes are no file of weights, or damaged.
    #[error("weights {origin}: {message}")]
    Format {
        /// Where the bytes are.
        origin: String,
        /// What is wrong.
        message: String,
    },
    /// One array is wrong.
    #[error("weights {origin}: array `{name}`: {message}")]
    Array {
        /// Where the bytes are.
        origin: String,
        /// The array's name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The names or shapes are not the module's; nothing has been loaded.
    #[error("weights {origin} do not fit the model: {report}")]
    Mismatch {
        /// Where the weights came from.
        origin: String,
        /// What fits and what does not.
        report: Box<LoadReport>,
    },
    /// A saved state does not fit the one that it is loaded into; nothing has been loaded.
    #[error("state {origin}: {}", problems.join("; "))]
    State {
        /// The file.
        origin: String,
        /// Everything that does not fit.
        problems: Vec<String>,
    },
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] crate::CheckpointError),
    /// A tensor could not be computed, read or placed.
    #[error(transparent)]
    Tensor(#[from] wgrad_graph::Error),
}

impl WeightsError {
    pub(super) fn format(origin: &str, message: impl ToString) -> WeightsError {
        WeightsError::Format {
            origin: origin.to_owned(),
            message: message.to_string(),
        }
    }

    pub(super) fn array(origin: &str, name: &str, message: impl ToString) -> WeightsError {
        WeightsError::Array {
            origin: origin.to_owned(),
            name: name.to_owned(),
            message: message.to_string(),
        }
    }
}
