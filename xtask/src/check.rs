//! `cargo xtask check`: every check in order, quick ones first, ending at the first failure with the command
//! that repeats it. It must not hold rules of its own; those are in `tidy`.

use std::path::Path;
use std::time::Instant;

use crate::run::{Failure, Invocation, Tally};
use crate::{browser, tidy};

/// The cargo profile of the tests.
const TEST_PROFILE: &str = "dev";

/// What `check` was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    fast: bool,
    all: bool,
    no_browser: bool,
}

impl Options {
    pub(crate) fn parse(flags: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        for flag in flags {
            match flag.as_str() {
                "--fast" => options.fast = true,
                "--all" => options.all = true,
                "--no-browser" => options.no_browser = true,
                other => return Err(format!("no such option of check: {other}")),
            }
        }
        if options.fast && options.all {
            return Err("--fast and --all exclude each other".to_owned());
        }
        Ok(options)
    }
}

type Step<'a> = (&'a str, Box<dyn Fn() -> Result<Tally, Failure> + 'a>);

pub(crate) fn check(root: &Path, options: &Options) -> Result<(), String> {
    let begin = Instant::now();
    let mut total = Tally::default();
    for (name, step) in steps(root, options) {
        println!("\n── {name} ──");
        let begin = Instant::now();
        let outcome = step();
        let seconds = begin.elapsed().as_secs_f64();
        match outcome {
            Ok(tally) => total.add(tally),
            Err(Failure { why, tally }) => {
                total.add(tally);
                let summary = total.summary();
                return Err(format!(
                    "── {name}: FAILED after {seconds:.1} s\n{why}\n\n{summary}"
                ));
            }
        }
        println!("── {name}: ok in {seconds:.1} s");
    }
    println!(
        "\n── all checks passed in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    println!("{}", total.summary());
    Ok(())
}

fn steps<'a>(root: &'a Path, options: &Options) -> Vec<Step<'a>> {
    let command =
        |invocation: Invocation| Box::new(move || invocation.run(root)) as Box<dyn Fn() -> _>;
    let quiet = |rule: fn(&Path) -> Result<(), String>| {
        Box::new(move || Ok(rule(root).map(|()| Tally::default())?))
    };
    let mut steps: Vec<Step<'a>> = vec![
        (
            "format",
            command(Invocation::new("cargo", &["fmt", "--all", "--check"])),
        ),
        (
            "format of the page",
            command(Invocation::new("cargo", FORMAT_OF_THE_PAGE)),
        ),
        ("tidy", quiet(|root| tidy::tidy(root, false))),
        ("clippy", command(Invocation::new("cargo", CLIPPY))),
    ];
    if options.fast {
        steps.push(("unit tests", command(tests(options, &["--lib", "--bins"]))));
        return steps;
    }
    steps.push(("tests", command(tests(options, &[]))));
    steps.push(("conformance", command(conformance(options))));
    steps.push(("doc tests", command(doc_tests(options))));
    if !options.no_browser {
        steps.push(("browser", Box::new(move || browser::browser(root))));
    }
    steps
}

const FORMAT_OF_THE_PAGE: &[&str] = &[
    "fmt",
    "--manifest-path",
    "crates/web/Cargo.toml",
    "-p",
    "wgrad-web",
    "-p",
    "wgrad-web-bindgen",
    "-p",
    "wgrad-web-training",
    "--check",
];

const CLIPPY: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

/// The tests but for doc tests: by nextest where it is installed, else by `cargo test`.
fn tests(options: &Options, targets: &[&str]) -> Invocation {
    let has_nextest = Invocation::new("cargo", &["nextest", "--version"])
        .output(Path::new("."))
        .is_ok();
    let (runner, profile, every): (&[&str], _, &[&str]) = if has_nextest {
        (&["nextest", "run"], "--cargo-profile", &[])
    } else {
        // Any choice of targets leaves the doc tests out; they are a step of their own.
        (
            &["test"],
            "--profile",
            &["--lib", "--bins", "--tests", "--examples"],
        )
    };
    let targets = if targets.is_empty() { every } else { targets };
    let arguments = [
        runner,
        &["--workspace", "--no-fail-fast", profile, TEST_PROFILE],
        targets,
    ]
    .concat();
    with_test_variables(Invocation::new("cargo", &arguments), options)
}

/// The cases computed by PyTorch: a test with a `main` of its own, which nextest does not list.
fn conformance(options: &Options) -> Invocation {
    let arguments = ["test", "--profile", TEST_PROFILE, "--test", "conformance"];
    with_test_variables(Invocation::new("cargo", &arguments), options)
}

fn doc_tests(options: &Options) -> Invocation {
    let arguments = [
        "test",
        "--workspace",
        "--doc",
        "--no-fail-fast",
        "--profile",
        TEST_PROFILE,
    ];
    with_test_variables(Invocation::new("cargo", &arguments), options)
}

fn with_test_variables(mut invocation: Invocation, options: &Options) -> Invocation {
    if std::env::var("CI").is_ok_and(|value| value == "true") {
        invocation = invocation.variable("WGRAD_REQUIRE_GPU", "1");
    }
    if options.all {
        invocation = invocation.variable("WGRAD_TEST_ALL", "1");
    }
    invocation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &Options) -> Vec<String> {
        steps(Path::new("."), options)
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect()
    }

    fn parse(flags: &[&str]) -> Result<Options, String> {
        Options::parse(
            &flags
                .iter()
                .map(|&flag| flag.to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn quick_steps_come_first_and_the_browser_last() {
        let all = names(&Options::default());
        assert_eq!(all.first().map(String::as_str), Some("format"));
        assert_eq!(all.last().map(String::as_str), Some("browser"));
        assert_eq!(
            names(&parse(&["--no-browser"]).unwrap()),
            all[..all.len() - 1]
        );
    }

    #[test]
    fn fast_leaves_the_slow_steps_out() {
        let fast = names(&parse(&["--fast"]).unwrap());
        assert!(fast.contains(&"unit tests".to_owned()));
        assert!(
            !fast
                .iter()
                .any(|name| name == "browser" || name == "doc tests")
        );
    }

    #[test]
    fn all_reaches_the_tests() {
        let line = doc_tests(&parse(&["--all"]).unwrap()).line();
        assert!(line.contains("WGRAD_TEST_ALL=1"), "{line}");
    }

    #[test]
    fn unknown_and_contradicting_flags_are_refused() {
        assert!(parse(&["--slow"]).unwrap_err().contains("--slow"));
        assert!(parse(&["--fast", "--all"]).is_err());
    }
}
