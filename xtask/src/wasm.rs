//! Builds the browser page: the wasm module for each set of vector instructions, the JavaScript that loads it, the losses that
//! the native cpu has and the tab is to have, and the static files beside them.
//! It must install nothing; it says what is missing instead.

use std::path::{Path, PathBuf};

use crate::run::Invocation;

const TARGET: &str = "wasm32-unknown-unknown";

/// A build of the module. A browser refuses a module with an instruction that it lacks, so each set is a module of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// No vectors; only to compare with.
    Scalar,
    /// Vectors of 128 bits, which every browser with WebGPU has.
    Simd128,
    /// Multiply-adds in one instruction as well.
    Relaxed,
}

impl Build {
    /// All of them, the best last.
    pub(crate) const ALL: [Build; 3] = [Build::Scalar, Build::Simd128, Build::Relaxed];
    /// Those that the page offers to browsers; each is built and checked.
    pub(crate) const OFFERED: [Build; 1] = [Build::Simd128];

    /// Its folder in the page, by which the page knows what it needs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Build::Scalar => "scalar",
            Build::Simd128 => "simd128",
            Build::Relaxed => "relaxed-simd",
        }
    }

    fn flags(self) -> &'static str {
        match self {
            Build::Scalar => "",
            Build::Simd128 => "-Ctarget-feature=+simd128",
            Build::Relaxed => "-Ctarget-feature=+simd128,+relaxed-simd",
        }
    }
}

const FLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";

/// Where Debian puts the compiler that its browsers are built with, and where its standard library's source lies.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// The module with all that the page shows.
const PAGE: &str = "wgrad-web";
/// The one that times operations.
const SHAPES: &str = "wgrad-web-shapes";

/// Builds the page with the modules that it offers, and the losses to expect, and returns the folder that holds it, ready to be
/// served.
pub(crate) fn build(root: &Path) -> Result<PathBuf, String> {
    let page = build_with(root, PAGE, &Build::OFFERED)?;
    let expected = page.join("expected.json");
    let workspace = root.join("crates").join("web");
    expected_losses(&target_folder(root), &expected.to_string_lossy()).run(&workspace)?;
    Ok(page)
}

/// The page with these modules that time operations.
pub(crate) fn build_for_shapes(root: &Path, builds: &[Build]) -> Result<PathBuf, String> {
    build_with(root, SHAPES, builds)
}

fn build_with(root: &Path, package: &str, builds: &[Build]) -> Result<PathBuf, String> {
    let target = target_folder(root);
    let page = target.join("page");
    let workspace = root.join("crates").join("web");
    recreate(&page)?;
    for &build in builds {
        // Of its own: cargo would else compile everything anew, the standard library too, whenever the flags change.
        let compiled = target.join(build.name());
        println!("the module {package}: {}", build.name());
        compile(root, &compiled, package, build)?.run(&workspace)?;
        let file = format!("{}.wasm", package.replace('-', "_"));
        let module = compiled.join(TARGET).join("release").join(file);
        let folder = page.join(build.name());
        let (module, folder) = (module.to_string_lossy(), folder.to_string_lossy());
        bindgen(&target, &module, &folder).run(&workspace)?;
    }
    let names: Vec<&str> = builds.iter().map(|build| build.name()).collect();
    write(
        &page.join("builds.json"),
        &serde_json::json!(names).to_string(),
    )?;
    copy_files(&workspace.join("page"), &page)?;
    Ok(page)
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder))
        .join("web")
}

/// The command that compiles the module: the current toolchain where it has the target, else Debian's compiler
/// with a standard library built from source.
fn compile(root: &Path, target: &Path, package: &str, build: Build) -> Result<Invocation, String> {
    let target_text = target.to_string_lossy();
    let arguments = [
        "build",
        "--release",
        "--package",
        package,
        "--target",
        TARGET,
        "--target-dir",
        &target_text,
    ];
    if has_target(root) {
        return Ok(Invocation::new("cargo", &arguments).variable(FLAGS, build.flags()));
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
        .variable(FLAGS, build.flags())
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
