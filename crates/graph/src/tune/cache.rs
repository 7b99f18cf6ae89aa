//! Where choices of kernels are kept between runs: a JSON file for each adapter, driver, backend and version of wgrad, in
//! the user's cache directory or the one that `WGRAD_TUNE_CACHE` names (`off`: nowhere). The file may come from
//! anywhere: whatever is not exactly what this version wrote for this device is left aside with a warning.

use serde_json::{Value, json};
use std::env::var_os;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use wgrad_device::AdapterInfo;

/// A file is never longer.
const MOST_BYTES: u64 = 1 << 20;

/// The form of the file.
const FORMAT: u64 = 1;

/// What a file must agree with, key by key.
fn identity(info: &AdapterInfo) -> [(&'static str, Value); 5] {
    [
        ("format", json!(FORMAT)),
        ("wgrad", json!(env!("CARGO_PKG_VERSION"))),
        ("adapter", json!(info.name)),
        ("driver", json!(info.driver)),
        ("backend", json!(info.backend)),
    ]
}

/// The directory; `None` where there is none, or none is wanted.
pub(crate) fn directory() -> Option<PathBuf> {
    match var_os("WGRAD_TUNE_CACHE").filter(|v| !v.is_empty()) {
        Some(off) if off == "off" => None,
        Some(directory) => Some(PathBuf::from(directory)),
        None => Some(user_cache()?.join("wgrad")),
    }
}

fn user_cache() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(var_os(name)?);
        path.is_absolute().then_some(path)
    };
    if cfg!(windows) {
        return absolute("LOCALAPPDATA");
    }
    if cfg!(target_os = "macos") {
        return Some(absolute("HOME")?.join("Library/Caches"));
    }
    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
}

/// The file for an adapter: its name for people, and a number for all that it must agree with.
pub(crate) fn file(directory: &Path, info: &AdapterInfo) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = info.name.chars().take(40).map(plain).collect();
    let text = format!("{:?}", identity(info));
    // FNV-1a, which stays what it is.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    directory.join(format!("tune-{name}-{hash:016x}.json"))
}

/// The list of choices that was written for this adapter. `None` where there is no file, and, with a warning, where it
/// is damaged or another's.
pub(crate) fn read(directory: &Path, info: &AdapterInfo) -> Option<Value> {
    let path = file(directory, info);
    match read_file(&path, info) {
        Ok(list) => Some(list),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => {
            refuse(&path, &e.to_string());
            None
        }
    }
}

/// Says that a file is left aside.
pub(crate) fn refuse(path: &Path, reason: &str) {
    tracing::warn!("{} is ignored: {reason}", path.display());
}

fn read_file(path: &Path, info: &AdapterInfo) -> io::Result<Value> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(wrong("it is too long"));
    }
    let mut value: Value = serde_json::from_slice(&bytes)?;
    let same = |(key, want): (&str, Value)| value.get(key) == Some(&want);
    if !identity(info).into_iter().all(same) {
        return Err(wrong(
            "it is for another device, driver or version of wgrad",
        ));
    }
    match value.get_mut("choices") {
        Some(list) => Ok(list.take()),
        None => Err(wrong("it holds no choices")),
    }
}

/// Writes the list of choices, all of it or nothing.
///
/// # Errors
/// Those of the file system.
#[cfg_attr(
    not(feature = "cpu"),
    expect(dead_code, reason = "tuning needs the cpu to check results")
)]
pub(crate) fn write(directory: &Path, info: &AdapterInfo, choices: Value) -> io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    let path = file(directory, info);
    let mut all: serde_json::Map<String, Value> = identity(info)
        .into_iter()
        .map(|(key, value)| (key.to_string(), value))
        .collect();
    all.insert("choices".to_string(), choices);
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut out = File::create(&part)?;
    let written = serde_json::to_writer_pretty(&mut out, &all)
        .map_err(io::Error::from)
        .and_then(|()| out.flush())
        .and_then(|()| std::fs::rename(&part, &path));
    if written.is_err() {
        // What is left of it is of no use to anybody; that it cannot be removed changes nothing.
        let _ = std::fs::remove_file(&part);
    }
    written.map(|()| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(driver: &str) -> Option<AdapterInfo> {
        let mut info = wgrad_device::adapters_blocking().into_iter().next()?;
        info.driver = driver.to_string();
        Some(info)
    }

    #[test]
    fn only_the_same_device_reads_what_was_written() {
        let Some(mine) = info("driver 1") else {
            println!("skipped: no adapter");
            return;
        };
        let other = info("driver 2").expect("an adapter");
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        assert_eq!(read(at, &mine), None, "no file");
        let list = json!([1, 2]);
        let path = write(at, &mine, list.clone()).expect("writes");
        assert_eq!(read(at, &mine), Some(list));
        assert_eq!(read(at, &other), None, "another driver has another file");
        std::fs::copy(&path, file(at, &other)).expect("copies");
        assert_eq!(read(at, &other), None, "a file of another driver");
        assert_eq!(std::fs::read_dir(at).expect("lists").count(), 2);
    }

    #[test]
    fn damaged_files_are_ignored() {
        let Some(mine) = info("driver") else {
            println!("skipped: no adapter");
            return;
        };
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        let path = write(at, &mine, json!([])).expect("writes");
        let sound = std::fs::read(&path).expect("reads");
        let deep = "[".repeat(100_000).into_bytes();
        let long = vec![b' '; MOST_BYTES as usize + 2];
        let cut = sound[..sound.len() / 2].to_vec();
        for bytes in [Vec::new(), cut, deep, long, b"{}".to_vec(), vec![0xff; 9]] {
            std::fs::write(&path, &bytes).expect("writes");
            assert_eq!(read(at, &mine), None, "{} bytes", bytes.len());
        }
        std::fs::write(&path, &sound).expect("writes");
        assert_eq!(read(at, &mine), Some(json!([])));
    }
}
