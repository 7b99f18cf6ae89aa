//! Why a run could not be read or shown. Every message names the file, and the line where there is one.

use std::io;
use std::path::PathBuf;

/// Why a run could not be read, or something of it written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The folder holds no run.
    #[error("{}: no run: neither run.json nor metrics.jsonl is there", .0.display())]
    NoRun(PathBuf),
    /// A line that is not what the file is made of.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file whose content is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be read or written; what is replaced stays whole.
    #[error("{}: cannot {action}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A figure that could not be drawn.
    #[cfg(feature = "html")]
    #[error(transparent)]
    Figure(#[from] wgrad_plot::PlotError),
    /// Something that the format cannot hold.
    #[error("{0}")]
    Input(String),
}

#[cfg(not(target_arch = "wasm32"))]
impl ReportError {
    /// An adapter for `map_err`.
    pub(crate) fn at<'a>(
        path: &'a std::path::Path,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> ReportError + 'a {
        move |source| ReportError::File {
            path: path.to_owned(),
            action,
            source,
        }
    }
}
