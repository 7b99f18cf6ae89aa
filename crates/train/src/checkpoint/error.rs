//! What can go wrong with a checkpoint. Every message names the file, and the array if one is to blame.

use std::io;

use super::{FORMAT_KEY, FORMAT_VERSION, MAX_HEADER_BYTES};
#[cfg(not(target_arch = "wasm32"))]
use crate::files::FileError;

/// Why a checkpoint could not be written or read. `origin` is the file's path, or the name given
/// to [`Checkpoint::from_bytes`](super::Checkpoint::from_bytes).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Writing or opening a file failed; an old file is whole.
    #[cfg(not(target_arch = "wasm32"))]
    #[error("checkpoint {0}")]
    File(#[from] FileError),
    /// Reading or writing bytes failed.
    #[error("checkpoint {origin}: {source}")]
    Io {
        /// Where the bytes are.
        origin: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error(
        "checkpoint {origin}: the header of {bytes} bytes is over the limit of {MAX_HEADER_BYTES}"
    )]
    HeaderTooLarge {
        /// Where the bytes are.
        origin: String,
        /// The header's length, as the file states it.
        bytes: u64,
    },
    /// The file's length is not what its header says: cut short, or something follows it.
    #[error("checkpoint {origin}: {found} bytes long, but its header calls for {expected}")]
    Length {
        /// Where the bytes are.
        origin: String,
        /// The length that follows from the header.
        expected: u64,
        /// The actual length.
        found: u64,
    },
    /// The header is not a safetensors header.
    #[error("checkpoint {origin}: bad header: {message}")]
    Header {
        /// Where the bytes are.
        origin: String,
        /// What is wrong.
        message: String,
    },
    /// One array is wrong: its type, shape, length, place in the file or elements.
    #[error("checkpoint {origin}: array `{name}`: {message}")]
    Array {
        /// Where the bytes are.
        origin: String,
        /// The array's name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A format version other than [`FORMAT_VERSION`], or none (some other program's file).
    #[error(
        "checkpoint {origin}: format version {} ({FORMAT_KEY}), but this program reads only {FORMAT_VERSION}",
        found.as_deref().unwrap_or("not given")
    )]
    Version {
        /// Where the bytes are.
        origin: String,
        /// The version found, if any.
        found: Option<String>,
    },
    /// A name that the format keeps for itself.
    #[error("checkpoint {origin}: the name `{name}` is reserved")]
    Reserved {
        /// Where the bytes were to go.
        origin: String,
        /// The name.
        name: String,
    },
}

impl CheckpointError {
    pub(super) fn array(origin: &str, name: &str, message: String) -> Self {
        Self::Array {
            origin: origin.to_owned(),
            name: name.to_owned(),
            message,
        }
    }

    pub(super) fn header(origin: &str, message: impl ToString) -> Self {
        Self::Header {
            origin: origin.to_owned(),
            message: message.to_string(),
        }
    }

    pub(super) fn io(origin: &str) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io {
            origin: origin.to_owned(),
            source,
        }
    }
}
