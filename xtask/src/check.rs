//! `cargo xtask check`: every check in order, quick ones first, ending at the first failure with the command
//! that repeats it. It must not hold rules of its own; those are in `tidy`.

use std::path::Path;
use std::time::Instant;

use crate::run::{Failure, Invocation, Tally};
use crate::{browser, setup, tidy};

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
    let page = !options.fast && !options.no_browser;
    let mut steps: Vec<Step<'a>> = vec![
        (
            "what is needed",
            Box::new(move || Ok(setup::provide(root, page).map(|()| Tally::default())?)),
        ),
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
    steps.push(("doc tests", command(doc_tests(options))));
    steps.push(("as users have it", command(as_users_have_them(options))));
    steps.push(("course", command(course(options, COURSE))));
    steps.push(("course on a GPU", command(course(options, COURSE_ON_A_GPU))));
    steps.push(("kernels for cards", command(isa(&["--brief".to_owned()]))));
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
    "wgrad-web-shapes",
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

/// The tests but for doc tests, and the cases computed by PyTorch: all packages at once, so that nothing is compiled twice with
/// other features, and each binary as one process, so that its tests share opened adapters and compiled pipelines. Any choice
/// of targets leaves the doc tests out; they are a step of their own.
fn tests(options: &Options, targets: &[&str]) -> Invocation {
    let every: &[&str] = &["--lib", "--bins", "--tests", "--examples"];
    let targets = if targets.is_empty() { every } else { targets };
    let start = ["test", "--workspace", "--no-fail-fast"];
    with_test_variables(
        Invocation::new("cargo", &[&start, targets].concat()),
        options,
    )
}

/// The kernels that cards are given, compiled for some, against the table of before. Says so where no such compiler is.
pub(crate) fn isa(arguments: &[String]) -> Invocation {
    let start = ["run", "--quiet", "--package", "wgrad-isa", "--"];
    let arguments = arguments.iter().map(String::as_str);
    let all: Vec<&str> = start.into_iter().chain(arguments).collect();
    Invocation::new("cargo", &all)
}

/// The suites that every kernel and pass goes through once more as users have them: optimised, without assertions, on a GPU
/// trusted, without bounds checks.
fn as_users_have_them(options: &Options) -> Invocation {
    let arguments = ["test", "--release", "--workspace", "--test", "suite", "--"];
    with_test_variables(
        Invocation::new("cargo", &[&arguments[..], CORE].concat()),
        options,
    )
}

/// The parts of the suite that are run as users have them.
const CORE: &[&str] = &[
    "ops::",
    "programs::",
    "gradients::",
    "outcomes::",
    "replay::",
    "examples::",
];

/// Every lesson of the course in its quick form: the same command as a user's, built with what the step before has built.
/// Tests run in the folder of their package.
const COURSE: &[&str] = &[
    "--all",
    "--quick",
    "--device",
    "cpu",
    "--out",
    "../../target/course",
];

/// One lesson of each kind, with the figures that came on the cpu.
const COURSE_ON_A_GPU: &[&str] = &[
    "linear_regression/concise",
    "classification/mnist",
    "convolution/feature_maps",
    "recurrent/lstm",
    "text/lstm",
    "attention/reversal",
    "generative/vae",
    "generative/gan_gaussians",
    "autoencoders/contractive",
    "graphs/gcn",
    "--quick",
    "--device",
    "gpu",
    "--out",
    "../../target/course-gpu",
    "--beside",
    "../../target/course",
];

fn course(options: &Options, arguments: &[&str]) -> Invocation {
    let start = ["test", "--release", "--workspace", "--test", "course", "--"];
    with_test_variables(
        Invocation::new("cargo", &[&start, arguments].concat()),
        options,
    )
}

fn doc_tests(options: &Options) -> Invocation {
    let arguments = ["test", "--workspace", "--doc", "--no-fail-fast"];
    with_test_variables(Invocation::new("cargo", &arguments), options)
}

fn with_test_variables(mut invocation: Invocation, options: &Options) -> Invocation {
    for (name, value) in setup::variables() {
        invocation = invocation.variable(name, value);
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
        assert_eq!(all.first().map(String::as_str), Some("what is needed"));
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
