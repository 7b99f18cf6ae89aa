//! Writing a figure so that a reader sees the old one or the new, never a half. Must not know what is written.

use std::fs;
use std::path::Path;

use crate::error::PlotError;

/// Replaces the file: written beside it first, then renamed over it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), PlotError> {
    let failed = |source| PlotError::File {
        path: path.to_owned(),
        source,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // It may not exist, and the first error is the one that matters.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}
