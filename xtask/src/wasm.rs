//! Builds the browser page: the wasm module, the JavaScript that loads it, the losses that the native cpu has and the
//! tab is to have, and the static files beside them.
//! It must install nothing; it says what is missing instead.

use std::path::{Path, PathBuf};

use crate::run::Invocation;

const TARGET: &str = "wasm32-unknown-unknown";

/// Vectors of 128 bits, which every browser with WebGPU has: the cpu executor's loops become vector instructions.
const SIMD: &str = "-Ctarget-feature=+simd128";
const FLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";

/// Where Debian puts the compiler that its browsers are built with, and where its standard library's source lies.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// Builds the page and returns the folder that holds it, ready to be served.
pub(crate) fn build(root: &Path) -> Result<PathBuf, String> {
    let target = target_folder(root).join("web");
    let page = target.join("page");
    let workspace = root.join("crates").join("web");
    compile(root, &target)?.run(&workspace)?;
    recreate(&page)?;
    let module = target.join(TARGET).join("release").join("wgrad_web.wasm");
    let (module, page_text) = (module.to_string_lossy(), page.to_string_lossy());
    bindgen(&target, &module, &page_text).run(&workspace)?;
    let expected = page.join("expected.json");
    expected_losses(&target, &expected.to_string_lossy()).run(&workspace)?;
    copy_files(&workspace.join("page"), &page)?;
    Ok(page)
}

fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// The command that compiles the module: the current toolchain where it has the target, else Debian's compiler
/// with a standard library built from source.
fn compile(root: &Path, target: &Path) -> Result<Invocation, String> {
    let target_text = target.to_string_lossy();
    let arguments = [
        "build",
        "--release",
        "--package",
        "wgrad-web",
        "--target",
        TARGET,
        "--target-dir",
        &target_text,
    ];
    if has_target(root) {
        return Ok(Invocation::new("cargo", &arguments).variable(FLAGS, SIMD));
    }
    if !has_debian_rust() {
        return Err(format!(
            "the page needs the target {TARGET}: `rustup target add {TARGET}`, or on Debian \
             `apt-get install rustc-web cargo-web rust-web-src lld`"
        ));
    }
    let arguments = [&arguments[..], &["-Zbuild-std=std,panic_abort"]].concat();
    let linker = linker(root).unwrap_or_else(|| "wasm-ld".to_owned());
    Ok(Invocation::new(DEBIAN_CARGO, &arguments)
        .variable("RUSTC", DEBIAN_RUSTC)
        // build-std is not stable.
        .variable("RUSTC_BOOTSTRAP", "1")
        .variable(FLAGS, SIMD)
        .variable("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &linker))
}

pub(crate) fn has_target(root: &Path) -> bool {
    Invocation::new("rustc", &["--print", "target-libdir", "--target", TARGET])
        .output(root)
        .is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Whether Debian's compiler is here with the source of its standard library.
pub(crate) fn has_debian_rust() -> bool {
    let sources = std::fs::read_dir("/usr/src")
        .into_iter()
        .flatten()
        .flatten();
    let mut libraries = sources.map(|folder| folder.path().join("library"));
    [DEBIAN_RUSTC, DEBIAN_CARGO]
        .iter()
        .all(|program| Path::new(program).exists())
        && libraries.any(|library| library.is_dir())
}

/// The linker that comes with rustup's toolchain. Distributions' own may be older than the compiler's output.
fn linker(root: &Path) -> Option<String> {
    let host = Invocation::new("rustc", &["--version", "--verbose"])
        .output(root)
        .ok()?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "))?;
    let sysroot = Invocation::new("rustc", &["--print", "sysroot"])
        .output(root)
        .ok()?;
    let path = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    path.exists().then(|| path.to_string_lossy().into_owned())
}

fn bindgen(target: &Path, module: &str, page: &str) -> Invocation {
    tool(target, &["wgrad-web-bindgen", "--", module, page])
}

/// The command that trains on the native cpu and writes the losses to `path`.
fn expected_losses(target: &Path, path: &str) -> Invocation {
    let words = ["wgrad-web-training", "--features", "cpu", "--", path];
    tool(target, &words)
}

/// The command that builds and runs a package of the page's workspace on this machine; `words` begin with its name.
fn tool(target: &Path, words: &[&str]) -> Invocation {
    let target = target.to_string_lossy();
    let cargo = [
        "run",
        "--quiet",
        "--profile",
        "tool",
        "--target-dir",
        &target,
        "--package",
    ];
    Invocation::new("cargo", &[&cargo[..], words].concat())
}

/// An empty folder at `path`, whatever was there before.
pub(crate) fn recreate(path: &Path) -> Result<(), String> {
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.exists() {
        std::fs::remove_dir_all(path).map_err(at)?;
    }
    std::fs::create_dir_all(path).map_err(at)
}

fn copy_files(from: &Path, to: &Path) -> Result<(), String> {
    let at = |error: std::io::Error| format!("{}: {error}", from.display());
    for entry in std::fs::read_dir(from).map_err(at)? {
        let entry = entry.map_err(at)?;
        std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_anew_and_filled() {
        let folder = std::env::temp_dir().join(format!("wgrad-xtask-wasm-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        recreate(&from).unwrap();
        recreate(&to).unwrap();
        std::fs::write(to.join("stale.js"), "old").unwrap();
        std::fs::write(from.join("page.js"), "new").unwrap();
        recreate(&to).unwrap();
        copy_files(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("page.js")).unwrap(), "new");
        assert!(!to.join("stale.js").exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
