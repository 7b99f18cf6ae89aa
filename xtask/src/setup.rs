//! What the checks need besides cargo: finds what is missing, installs it where that is possible (Debian, as root or by
//! sudo), and otherwise says what to install. Packages, environment and the rule for adapters stand here and nowhere else.
//! It must not run a check.

use std::path::{Path, PathBuf};

use crate::run::Invocation;

/// Something the checks need.
struct Need {
    what: &'static str,
    is_there: fn(&Path) -> bool,
    /// Debian's packages that bring it.
    packages: &'static [&'static str],
    /// How to get it elsewhere.
    elsewhere: &'static str,
    /// Only the page needs it.
    page: bool,
}

const NEEDS: &[Need] = &[
    Need {
        what: "a linker",
        is_there: |_| in_path("cc"),
        packages: &["gcc", "libc6-dev"],
        elsewhere: "a C compiler (`cc`)",
        page: false,
    },
    Need {
        what: "rustfmt",
        is_there: |root| answers(root, "cargo", &["fmt", "--version"]),
        packages: &["rustfmt-web"],
        elsewhere: "`rustup component add rustfmt`",
        page: false,
    },
    Need {
        what: "clippy",
        is_there: |root| answers(root, "cargo", &["clippy", "--version"]),
        packages: &["rust-web-clippy"],
        elsewhere: "`rustup component add clippy`",
        page: false,
    },
    Need {
        what: "a Vulkan adapter (a GPU's driver, or Mesa's llvmpipe on the processor)",
        is_there: |_| has_adapter(),
        packages: &["mesa-vulkan-drivers"],
        elsewhere: "the GPU's driver",
        page: false,
    },
    Need {
        what: "Vulkan's loader",
        is_there: |_| !cfg!(target_os = "linux") || has_loader(),
        packages: &["libvulkan1"],
        elsewhere: "libvulkan.so.1",
        page: false,
    },
    Need {
        what: "Khronos's validator of SPIR-V, for the kernels",
        is_there: |_| !cfg!(target_os = "linux") || in_path("spirv-val"),
        packages: &["spirv-tools"],
        elsewhere: "`spirv-val` of the Vulkan SDK",
        page: false,
    },
    Need {
        what: "Chromium, for the page",
        is_there: |_| crate::browser::find_browser().is_ok(),
        packages: &["chromium"],
        elsewhere: "Chromium or Chrome, or WGRAD_CHROMIUM with its path; --no-browser does without",
        page: true,
    },
    Need {
        what: "a standard library for wasm32, for the page",
        is_there: |root| crate::wasm::has_target(root) || crate::wasm::has_debian_rust(),
        packages: &["rustc-web", "cargo-web", "rust-web-src", "lld"],
        elsewhere: "`rustup target add wasm32-unknown-unknown`; --no-browser does without",
        page: true,
    },
];

/// Sees to it that everything is there.
///
/// # Errors
/// What is missing and how to get it, where it cannot be installed from here.
pub(crate) fn provide(root: &Path, page: bool) -> Result<(), String> {
    let missing = missing(page, |need| (need.is_there)(root));
    if missing.is_empty() {
        return Ok(());
    }
    let Some(prefix) = installer(root) else {
        return Err(lacking(&missing));
    };
    for command in install(&missing, prefix) {
        println!("{}", command.line());
        command
            .run(root)
            .map_err(|failure| format!("{}\n{}", failure.why, lacking(&missing)))?;
    }
    let still = self::missing(page, |need| (need.is_there)(root));
    match still.is_empty() {
        true => Ok(()),
        false => Err(lacking(&still)),
    }
}

/// The variables that tests run with, where the environment does not set them: Vulkan wants a run-time directory, any that
/// exists will do; and where there is an adapter, a test that does not get it fails instead of being skipped.
pub(crate) fn variables() -> Vec<(&'static str, &'static str)> {
    let unset = |name: &str| std::env::var_os(name).is_none();
    let mut all = Vec::new();
    if cfg!(target_os = "linux") && unset("XDG_RUNTIME_DIR") {
        all.push(("XDG_RUNTIME_DIR", "/tmp"));
    }
    if unset("WGRAD_REQUIRE_GPU") && has_adapter() {
        all.push(("WGRAD_REQUIRE_GPU", "1"));
    }
    all
}

fn missing(page: bool, is_there: impl Fn(&Need) -> bool) -> Vec<&'static Need> {
    let wanted = NEEDS.iter().filter(|need| page || !need.page);
    wanted.filter(|need| !is_there(need)).collect()
}

fn lacking(missing: &[&Need]) -> String {
    let lines = missing.iter().map(|need| {
        let packages = need.packages.join(" ");
        format!("  {}: {}; on Debian {packages}", need.what, need.elsewhere)
    });
    let all: Vec<&str> = missing.iter().flat_map(|n| n.packages).copied().collect();
    format!(
        "the checks need what is not here:\n{}\non Debian all at once, as root:\n    apt-get install --no-install-recommends {}",
        lines.collect::<Vec<_>>().join("\n"),
        all.join(" ")
    )
}

/// The words that packages are installed with: none for root, sudo for others. Nothing where there is no apt-get.
fn installer(root: &Path) -> Option<&'static [&'static str]> {
    if !in_path("apt-get") {
        return None;
    }
    let user = Invocation::new("id", &["-u"]).output(root).ok()?;
    match user.trim() {
        "0" => Some(&[]),
        _ => answers(root, "sudo", &["-n", "true"]).then_some(&["sudo", "-n"]),
    }
}

fn install(missing: &[&Need], prefix: &[&str]) -> Vec<Invocation> {
    let packages = missing.iter().flat_map(|need| need.packages).copied();
    let get = ["install", "--yes", "--no-install-recommends"].into_iter();
    let commands = [vec!["update"], get.chain(packages).collect()];
    let command = |words: Vec<&str>| {
        let all: Vec<&str> = prefix
            .iter()
            .copied()
            .chain(["apt-get"])
            .chain(words)
            .collect();
        Invocation::new(all[0], &all[1..]).variable("DEBIAN_FRONTEND", "noninteractive")
    };
    commands.into_iter().map(command).collect()
}

fn answers(root: &Path, program: &str, arguments: &[&str]) -> bool {
    Invocation::new(program, arguments).output(root).is_ok()
}

fn in_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Whether something says that it drives an adapter. Only Linux has to be asked: elsewhere the system brings one.
fn has_adapter() -> bool {
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let named = std::env::var_os("VK_ICD_FILENAMES").is_some();
    !cfg!(target_os = "linux") || named || folders.iter().any(|folder| !entries(folder).is_empty())
}

fn has_loader() -> bool {
    let folders = entries("/usr/lib")
        .into_iter()
        .chain(["/usr/lib", "/usr/lib64"].map(PathBuf::from));
    folders
        .into_iter()
        .any(|folder| folder.join("libvulkan.so.1").exists())
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_installed_at_once_or_named() {
        let gone = missing(true, |need| need.what.starts_with("a linker"));
        assert_eq!(gone.len(), NEEDS.len() - 1);
        let lines: Vec<String> = install(&gone, &["sudo", "-n"])
            .iter()
            .map(Invocation::line)
            .collect();
        assert_eq!(
            lines[0],
            "DEBIAN_FRONTEND=noninteractive sudo -n apt-get update"
        );
        assert!(
            lines[1].ends_with("rustc-web cargo-web rust-web-src lld"),
            "{}",
            lines[1]
        );
        assert!(
            install(&gone, &[])[1]
                .line()
                .contains(" apt-get install --yes ")
        );
        let said = lacking(&gone);
        assert!(
            said.contains("rustup component add clippy") && said.contains("libvulkan1"),
            "{said}"
        );
    }

    #[test]
    fn the_page_is_not_asked_for_where_it_is_left_out() {
        let gone = missing(false, |_| false);
        assert!(gone.iter().all(|need| !need.packages.contains(&"chromium")));
        assert!(missing(true, |_| true).is_empty());
    }
}
