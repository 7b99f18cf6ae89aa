//! Replacing a file so that a reader sees the old one or the new. Must not be used for files that grow.

use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::ReportError;

/// Writes beside the file, then renames over it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::with_prefix_in(".wgrad-", folder)
        .map_err(ReportError::at(path, "create a file beside it"))?;
    file.write_all(bytes)
        .map_err(ReportError::at(path, "write it"))?;
    readable(file.as_file()).map_err(ReportError::at(path, "make it readable"))?;
    let renamed = file.persist(path).map_err(|error| error.error);
    renamed.map_err(ReportError::at(path, "rename the new one over it"))?;
    Ok(())
}

/// As other programs' files are; temporary ones are their owner's alone.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
