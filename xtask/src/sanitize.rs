//! `cargo xtask sanitize`: the cpu executor's tests under tools that see what no compiler checks. AddressSanitizer sees
//! accesses beside memory, Miri any undefined behaviour and any race of threads, at a thousandth of the speed. Each needs a
//! part of a toolchain; one that is missing is named. It must not know what a test does.

use std::path::Path;

use crate::run::{Invocation, Tally};

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Address,
    Miri,
}

/// The tools by the names that they are asked for with.
const TOOLS: [(&str, Tool); 2] = [("asan", Tool::Address), ("miri", Tool::Miri)];

/// What `sanitize` was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    tools: Vec<Tool>,
    all: bool,
}

impl Options {
    /// Names of tools, none for all of them, and `--all` for the full counts of cases.
    pub(crate) fn parse(flags: &[String]) -> Result<Self, String> {
        let mut options = Options {
            tools: Vec::new(),
            all: false,
        };
        for flag in flags {
            match TOOLS.iter().find(|tool| tool.0 == flag) {
                Some(&(_, tool)) => options.tools.push(tool),
                None if flag == "--all" => options.all = true,
                None => return Err(format!("no such tool of sanitize: {flag}")),
            }
        }
        if options.tools.is_empty() {
            options.tools = TOOLS.map(|tool| tool.1).to_vec();
        }
        Ok(options)
    }
}

/// Runs every tool asked for. Fails if one finds something or cannot run, at the end.
pub(crate) fn sanitize(root: &Path, options: &Options) -> Result<(), String> {
    let (mut total, mut failures) = (Tally::default(), Vec::new());
    for &(name, tool) in TOOLS.iter().filter(|t| options.tools.contains(&t.1)) {
        println!("\n── {name} ──");
        let outcome = match lacking(tool, root) {
            Some(what) => Err(what),
            None => commands(tool, &host(root)?, options.all)
                .iter()
                .try_for_each(|command| {
                    println!("{}", command.line());
                    match command.run(root) {
                        Ok(tally) => total.add(tally),
                        Err(failure) => {
                            total.add(failure.tally);
                            return Err(failure.why);
                        }
                    }
                    Ok(())
                }),
        };
        if let Err(why) = outcome {
            println!("── {name}: FAILED");
            failures.push(format!("{name}: {why}"));
        }
    }
    println!("{}", total.summary());
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n")),
    }
}

/// The tests of the executor and of its memory, but for the processes that have pages of their own around buffers.
const TESTS: &[&str] = &["--skip", "guarded::every"];

/// Those that Miri takes: threads, pools, working memory, and the smallest case of each unchecked part.
const SMALL_TESTS: &[&str] = &[
    "team",
    "tests::panics",
    "tests::small",
    "scratch",
    "gemm::scratch",
    "lanes::tests",
    "optimizer_steps",
    "storage",
];

/// The packages of the executor and its memory; their tests' programs are recorded without a GPU.
const PACKAGES: &[&str] = &["-p", "wgrad-plan", "-p", "wgrad-cpu", "--lib", "--"];

fn commands(tool: Tool, host: &str, all: bool) -> Vec<Invocation> {
    let with = |start: &[&str], target: &str, tests: &[&str]| {
        let folder = format!("target/{target}");
        let own = ["--target", host, "--target-dir", &folder];
        Invocation::new("cargo", &[start, &own, PACKAGES, tests].concat())
    };
    let command = match tool {
        // The sanitizer itself ships with stable toolchains; only its flag has to be let through.
        Tool::Address => with(&["test"], "asan", TESTS)
            .variable("RUSTC_BOOTSTRAP", "1")
            .variable("RUSTFLAGS", "-Zsanitizer=address"),
        // Unoptimised: what is compiled away is not seen. Tests read clocks and the environment.
        Tool::Miri => with(&["+nightly", "miri", "test"], "miri", SMALL_TESTS)
            .variable("MIRIFLAGS", "-Zmiri-disable-isolation")
            .variable("CARGO_PROFILE_DEV_OPT_LEVEL", "0"),
    };
    vec![match all && tool != Tool::Miri {
        true => command.variable("WGRAD_TEST_ALL", "1"),
        false => command,
    }]
}

/// What is missing for a tool, and how to get it.
fn lacking(tool: Tool, root: &Path) -> Option<String> {
    let says = |program: &str, arguments: &[&str]| {
        let said = Invocation::new(program, arguments).output(root);
        said.ok().map(|text| text.trim().to_owned())
    };
    match tool {
        Tool::Address => {
            let folder = says("rustc", &["--print", "target-libdir"])?;
            let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut names = files.map(|f| f.file_name().to_string_lossy().into_owned());
            let found = names.any(|name| name.contains("_rt.asan."));
            (!found).then(|| {
                format!(
                    "this toolchain has no runtime of AddressSanitizer ({folder}/librustc-*_rt.asan.a); \
                     rustup's have it for Linux and macOS on x86-64 and AArch64"
                )
            })
        }
        Tool::Miri => says("cargo", &["+nightly", "miri", "--version"])
            .is_none()
            .then(|| {
                "`cargo +nightly miri` does not run: \
                 rustup toolchain install nightly --component miri,rust-src"
                    .to_owned()
            }),
    }
}

/// The target of this machine: what is built for it by name leaves build scripts and macros as they are.
fn host(root: &Path) -> Result<String, String> {
    let said = Invocation::new("rustc", &["-vV"]).output(root)?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .ok_or_else(|| "rustc does not name its host".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Options, String> {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        Options::parse(&flags)
    }

    #[test]
    fn tools_are_chosen_by_name() {
        assert_eq!(parse(&[]).unwrap().tools.len(), 2);
        let options = parse(&["miri", "--all"]).unwrap();
        assert_eq!((options.tools, options.all), (vec![Tool::Miri], true));
        assert!(parse(&["valgrind"]).unwrap_err().contains("valgrind"));
    }

    #[test]
    fn commands_can_be_typed_again() {
        let line = |tool| commands(tool, "x86_64-unknown-linux-gnu", false)[0].line();
        let asan = line(Tool::Address);
        let start = "RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --target x86_64";
        assert!(asan.starts_with(start), "{asan}");
        assert!(asan.ends_with("-- --skip guarded::every"), "{asan}");
        assert!(line(Tool::Miri).contains("cargo +nightly miri test"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (name, tool) in TOOLS {
            if let Some(what) = lacking(tool, Path::new(".")) {
                assert!(what.contains("rustup"), "{name}: {what}");
            }
        }
    }
}
