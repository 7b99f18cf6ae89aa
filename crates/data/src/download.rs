//! Fetches dataset files from public mirrors into the user's cache folder. Native targets only.
//!
//! A file appears in the folder complete and with the published MD5, or not at all: it is written
//! under a temporary name beside its place, checked, flushed and renamed. The MD5 guards against
//! accidents, not against an attacker; transport security is HTTPS's. Nothing is fetched unless one
//! of these functions is called.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use md5::{Digest, Md5};

use crate::{Error, Result};

/// The mirrors of MNIST, in the order tried; a file's name is appended to each.
pub const MNIST_MIRRORS: [&str; 2] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
];

/// The four files of MNIST with the sums of their original gzip files, as torchvision publishes
/// them.
pub const MNIST_FILES: [RemoteFile<'static>; 4] = [
    RemoteFile {
        name: "train-images-idx3-ubyte.gz",
        md5: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    },
    RemoteFile {
        name: "train-labels-idx1-ubyte.gz",
        md5: "d53e105ee54ea40749a09fcbcd1e9432",
    },
    RemoteFile {
        name: "t10k-images-idx3-ubyte.gz",
        md5: "9fb629c4189551a2d022fa330f9573f3",
    },
    RemoteFile {
        name: "t10k-labels-idx1-ubyte.gz",
        md5: "ec29112dd5afa0611ce80d1b7f02629c",
    },
];

/// The mirror of Fashion-MNIST.
pub const FASHION_MNIST_MIRRORS: [&str; 1] =
    ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"];

/// The four files of Fashion-MNIST, with the sums that torchvision 0.29 publishes (`datasets/mnist.py`).
pub const FASHION_MNIST_FILES: [RemoteFile<'static>; 4] = [
    RemoteFile {
        name: "train-images-idx3-ubyte.gz",
        md5: "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    },
    RemoteFile {
        name: "train-labels-idx1-ubyte.gz",
        md5: "25c81989df183df01b3e8a0aad5dffbe",
    },
    RemoteFile {
        name: "t10k-images-idx3-ubyte.gz",
        md5: "bef4ecab320f06d8554ea6380940ec79",
    },
    RemoteFile {
        name: "t10k-labels-idx1-ubyte.gz",
        md5: "bb300cfdad3c16e7a12a480ee83cd310",
    },
];

/// The mirror of CIFAR-10 and CIFAR-100, their author's page.
pub const CIFAR_MIRRORS: [&str; 1] = ["https://www.cs.toronto.edu/~kriz/"];

/// CIFAR-10's binary archive, with the sum that its author publishes at <https://www.cs.toronto.edu/~kriz/cifar.html>;
/// torchvision knows the archive of Python pickles only.
pub const CIFAR10_FILE: RemoteFile<'static> = RemoteFile {
    name: "cifar-10-binary.tar.gz",
    md5: "c32a1d4ab5d03f1284b67883e8d87530",
};

/// CIFAR-100's binary archive, with the sum of the same page.
pub const CIFAR100_FILE: RemoteFile<'static> = RemoteFile {
    name: "cifar-100-binary.tar.gz",
    md5: "03b5dce01913d631647c71ecec9e9cb8",
};

/// The longest body accepted, so that a broken mirror cannot fill the disk.
pub const MAX_FILE_BYTES: u64 = 1 << 28;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const FILE_TIMEOUT: Duration = Duration::from_secs(600);

/// A file to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFile<'a> {
    /// Its name, on the mirror and in the folder.
    pub name: &'a str,
    /// The MD5 of its bytes, in hexadecimal.
    pub md5: &'a str,
}

/// How far the file under way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's name.
    pub file: &'a str,
    /// The bytes received.
    pub bytes: u64,
    /// The file's size, where the mirror tells it.
    pub total: Option<u64>,
}

/// MNIST's four files in the user's cache folder, fetched where they are missing or damaged.
///
/// Returns the folder, to be given to [`Mnist::load`](crate::Mnist::load). Blocks.
///
/// # Errors
/// [`Error::NoCacheDir`], [`Error::Io`], or [`Error::Download`] with every mirror's failure.
pub fn mnist(mut progress: impl FnMut(Progress<'_>)) -> Result<PathBuf> {
    let dir = cache_dir()?.join("mnist");
    Downloader::new(MNIST_MIRRORS).fetch(&dir, &MNIST_FILES, &mut progress)?;
    Ok(dir)
}

/// Fashion-MNIST's four files in the user's cache folder, to be given to [`FashionMnist::load`](crate::FashionMnist::load):
/// see [`mnist`].
///
/// # Errors
/// As [`mnist`].
pub fn fashion_mnist(mut progress: impl FnMut(Progress<'_>)) -> Result<PathBuf> {
    let dir = cache_dir()?.join("fashion-mnist");
    Downloader::new(FASHION_MNIST_MIRRORS).fetch(&dir, &FASHION_MNIST_FILES, &mut progress)?;
    Ok(dir)
}

/// CIFAR-10's archive in the user's cache folder, 162 MB, to be given to [`Cifar10::load`](crate::Cifar10::load): see
/// [`mnist`].
///
/// # Errors
/// As [`mnist`].
pub fn cifar10(mut progress: impl FnMut(Progress<'_>)) -> Result<PathBuf> {
    let dir = cache_dir()?.join("cifar-10");
    Downloader::new(CIFAR_MIRRORS).fetch(&dir, &[CIFAR10_FILE], &mut progress)?;
    Ok(dir)
}

/// CIFAR-100's archive in the user's cache folder, 161 MB, to be given to [`Cifar100::load`](crate::Cifar100::load): see
/// [`mnist`].
///
/// # Errors
/// As [`mnist`].
pub fn cifar100(mut progress: impl FnMut(Progress<'_>)) -> Result<PathBuf> {
    let dir = cache_dir()?.join("cifar-100");
    Downloader::new(CIFAR_MIRRORS).fetch(&dir, &[CIFAR100_FILE], &mut progress)?;
    Ok(dir)
}

/// wgrad's folder in the user's cache: in `$XDG_CACHE_HOME` or `~/.cache`, on macOS in
/// `~/Library/Caches`, on Windows in `%LOCALAPPDATA%`. It need not exist.
///
/// # Errors
/// [`Error::NoCacheDir`] if the variables that would tell are not set to absolute paths.
pub fn cache_dir() -> Result<PathBuf> {
    cache_root(|name| std::env::var_os(name).map(PathBuf::from)).map(|root| root.join("wgrad"))
}

fn cache_root(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let (home, below, looked_for) = if cfg!(windows) {
        ("LOCALAPPDATA", "", "XDG_CACHE_HOME, LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        ("HOME", "Library/Caches", "XDG_CACHE_HOME, HOME")
    } else {
        ("HOME", ".cache", "XDG_CACHE_HOME, HOME")
    };
    let root = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute(home)?.join(below)));
    root.ok_or(Error::NoCacheDir { looked_for })
}

/// Fetches files from the first mirror that has them intact.
#[derive(Clone, Debug)]
pub struct Downloader {
    mirrors: Vec<String>,
    agent: ureq::Agent,
}

impl Downloader {
    /// A downloader that tries `mirrors` in turn; each is what a file's name is appended to.
    ///
    /// A proxy is taken from the usual environment variables (`HTTPS_PROXY`, `NO_PROXY`, …).
    pub fn new(mirrors: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(FILE_TIMEOUT))
            .build();
        Self {
            mirrors: mirrors.into_iter().map(Into::into).collect(),
            agent: config.into(),
        }
    }

    /// Sees to it that every one of `files` lies in `dir` with its published MD5; the folder is
    /// made if need be. What already lies there intact is not fetched again.
    ///
    /// # Errors
    /// [`Error::Io`] from the folder, [`Error::Download`] with each mirror's failure. What failed
    /// leaves no file behind.
    pub fn fetch(
        &self,
        dir: &Path,
        files: &[RemoteFile<'_>],
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<()> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        for file in files {
            let path = dir.join(file.name);
            if !is_intact(&path, file.md5)? {
                self.fetch_file(&path, file, progress)?;
            }
        }
        Ok(())
    }

    fn fetch_file(
        &self,
        path: &Path,
        file: &RemoteFile<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<()> {
        let mut attempts = Vec::new();
        for mirror in &self.mirrors {
            let url = format!("{mirror}{}", file.name);
            match self.fetch_url(&url, path, file, progress) {
                Ok(()) => return Ok(()),
                // A disk that is full for one mirror is full for all.
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => attempts.push(error),
            }
        }
        Err(Error::Download {
            file: file.name.to_owned(),
            attempts,
        })
    }

    fn fetch_url(
        &self,
        url: &str,
        path: &Path,
        file: &RemoteFile<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<()> {
        let response = self.agent.get(url).call();
        let mut response = response.map_err(|error| http_error(url, &error))?;
        let total = response.body().content_length();
        let mut part = PartFile::create(path)?;
        let report = &mut |bytes| {
            progress(Progress {
                file: file.name,
                bytes,
                total,
            })
        };
        let actual = receive(response.body_mut().as_reader(), &mut part, url, report)?;
        if !actual.eq_ignore_ascii_case(file.md5) {
            let expected = file.md5.to_ascii_lowercase();
            return Err(Error::Checksum {
                url: url.to_owned(),
                expected,
                actual,
            });
        }
        part.publish(path)
    }
}

/// Copies a body into `part`; returns the MD5 of its bytes.
fn receive(
    mut body: impl Read,
    part: &mut PartFile,
    url: &str,
    report: &mut dyn FnMut(u64),
) -> Result<String> {
    let mut buffer = vec![0; 1 << 16];
    let mut sum = Md5::new();
    let mut bytes = 0_u64;
    loop {
        let n = match body.read(&mut buffer) {
            Ok(0) => return Ok(hex(&sum.finalize())),
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(http_error(url, &format!("after {bytes} bytes: {error}"))),
        };
        bytes += n as u64;
        if bytes > MAX_FILE_BYTES {
            return Err(http_error(
                url,
                &format!("longer than {MAX_FILE_BYTES} bytes"),
            ));
        }
        sum.update(&buffer[..n]);
        part.write(&buffer[..n])?;
        report(bytes);
    }
}

/// A file under a temporary name, removed when dropped unless it was published.
struct PartFile {
    path: PathBuf,
    /// `None` once published.
    file: Option<File>,
}

impl PartFile {
    /// A new file beside `target`, named so that no other process or thread has the same.
    fn create(target: &Path) -> Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{count}.part", std::process::id()));
        let path = target.with_file_name(name);
        // Not `create_new`: what a killed process with the same id left behind is overwritten.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let file = file.map_err(io_error("create", &path))?;
        Ok(Self {
            path,
            file: Some(file),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(bytes).map_err(io_error("write", &self.path))
    }

    /// Flushes to the disk and moves to `target`, replacing what is there in one step.
    fn publish(mut self, target: &Path) -> Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let flushed = file.sync_all();
        // Windows renames no open file.
        drop(file);
        let moved = flushed.and_then(|()| fs::rename(&self.path, target));
        moved.map_err(|source| {
            let _ = fs::remove_file(&self.path);
            Error::Io {
                action: "write",
                path: target.to_owned(),
                source,
            }
        })
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing better can be done with a file that cannot be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` exists and has the MD5 `expected`.
fn is_intact(path: &Path, expected: &str) -> Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(io_error("open", path)(source)),
    };
    let mut buffer = vec![0; 1 << 16];
    let mut sum = Md5::new();
    loop {
        let n = file.read(&mut buffer).map_err(io_error("read", path))?;
        if n == 0 {
            return Ok(hex(&sum.finalize()).eq_ignore_ascii_case(expected));
        }
        sum.update(&buffer[..n]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> Error + use<'a> {
    move |source| Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn http_error(url: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Http {
        url: url.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_of(variables: &[(&str, &str)]) -> Result<PathBuf> {
        cache_root(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn cache_follows_the_environment() {
        let both = [("XDG_CACHE_HOME", "/c"), ("HOME", "/h")];
        assert_eq!(root_of(&both).unwrap(), Path::new("/c"));
        assert_eq!(root_of(&both[1..]).unwrap(), Path::new("/h/.cache"));
        let relative = [("XDG_CACHE_HOME", "c"), ("HOME", "/h")];
        assert_eq!(root_of(&relative).unwrap(), Path::new("/h/.cache"));
    }

    #[test]
    fn no_variables_is_an_error() {
        assert!(matches!(root_of(&[]), Err(Error::NoCacheDir { .. })));
    }

    #[test]
    fn sums_are_in_hexadecimal() {
        assert_eq!(hex(&Md5::digest(b"")), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
