//! Writing a file so that a reader sees the old content or the new, never a mixture.
//!
//! Must not be used for files that grow (logs); it replaces whole files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// A failed file operation: which file, what was being done, and the system's reason.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {action}: {source}", path.display())]
pub struct FileError {
    /// The file asked for, not a temporary one.
    pub path: PathBuf,
    /// What was being done, as a verb phrase such as `write the temporary file`.
    pub action: &'static str,
    /// The system's reason.
    pub source: io::Error,
}

impl FileError {
    /// An adapter for `map_err`.
    pub(crate) fn at<'a>(
        path: &'a Path,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self {
            path: path.to_owned(),
            action,
            source,
        }
    }
}

/// Replaces `path` by what `write` produces, or leaves it as it was.
///
/// The content goes to a unique temporary file `.wgrad-*.tmp` in the same directory, is synced,
/// renamed over `path`, and the directory is synced. On an error the temporary file is removed.
/// A process that is killed may leave its temporary file behind; no reader ever opens it.
/// A symbolic link is followed, and an existing file's permissions are kept.
pub(crate) fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let target = follow_link(path).map_err(FileError::at(path, "follow the symbolic link"))?;
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temp = create_temp(directory, &target)
        .map_err(FileError::at(path, "create a temporary file beside it"))?;
    write_buffered(temp.as_file(), write)
        .map_err(FileError::at(path, "write the temporary file"))?;
    temp.as_file()
        .sync_all()
        .map_err(FileError::at(path, "sync the temporary file"))?;
    temp.persist(&target)
        .map_err(|error| error.error)
        .map_err(FileError::at(path, "rename the temporary file over it"))?;
    sync_directory(directory).map_err(FileError::at(path, "sync its directory"))
}

fn write_buffered(
    file: &File,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    write(&mut writer)?;
    writer.flush()
}

/// Renaming over a link would replace the link, so its destination is the target.
fn follow_link(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path),
        _ => Ok(path.to_owned()),
    }
}

#[cfg(unix)]
fn create_temp(directory: &Path, target: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;

    // The process's umask applies to a new file, as it would for `File::create`.
    let fresh = fs::Permissions::from_mode(0o666);
    let temp = Builder::new()
        .prefix(".wgrad-")
        .suffix(".tmp")
        .permissions(fresh)
        .tempfile_in(directory)?;
    if let Ok(metadata) = fs::metadata(target) {
        temp.as_file().set_permissions(metadata.permissions())?;
    }
    Ok(temp)
}

#[cfg(not(unix))]
fn create_temp(directory: &Path, _target: &Path) -> io::Result<NamedTempFile> {
    Builder::new()
        .prefix(".wgrad-")
        .suffix(".tmp")
        .tempfile_in(directory)
}

/// Without this the rename itself may be lost in a power failure.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_the_whole_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        for text in ["first, and long", "second"] {
            write_atomic(&path, |out| out.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[test]
    fn an_error_leaves_the_old_file_and_no_temporary() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "old").unwrap();
        let error = write_atomic(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("absent/a");
        let error = write_atomic(&path, |_| Ok(())).unwrap_err();
        assert_eq!(error.path, path);
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_and_no_temporary_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, |_| Ok(())).is_err());
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("real");
        let link = directory.path().join("link");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_atomic(&link, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }
}
