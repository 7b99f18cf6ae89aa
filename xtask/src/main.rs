//! `cargo xtask <command>`: the project's checks, in one command that needs no other tool than cargo.
//! It must know nothing of tensors; what it runs are the same commands that a person would type.

mod browser;
mod check;
mod run;
mod sanitize;
mod server;
mod setup;
mod shapes;
mod tidy;
mod wasm;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  check [--fast] [--all] [--no-browser]   what is missing, format, tidy, clippy, tests, doc tests, browser; stops at the first failure
        --fast         unit tests only: no integration tests, doc tests or browser
        --all          the full cross product of cases (sets WGRAD_TEST_ALL=1)
        --no-browser   leave the browser out
  tidy [--write]                          the repository's own rules, and how crates depend on each other
        --write        draw that anew in ARCHITECTURE.md
  sanitize [asan] [miri] [--all]          the cpu executor's tests under AddressSanitizer and Miri; names what is missing
  isa [navi21.64] [--show NAME]           kernels for cards through their compiler, without a card: the table, and what got worse
  browser                                 build the page and run its checks in headless Chromium
  browser --shapes FILE [--filter TEXT] [--json OUT] [--seconds S] [--most S] [--builds scalar,simd128,relaxed-simd]
                                          time the operations of a file of JSON lines there, with each build in turns
        --filter       lines that contain this, or one of these between bars
        --json         write a JSON line for each time
        --seconds      how long an operation is timed for (0.3)
        --most         how long a run may take (10); what takes longer is left out
  serve                                   build the page and serve it for a browser of yours
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, flags) = match arguments.split_first() {
        Some((command, flags)) => (command.as_str(), flags),
        None => ("help", &[] as &[String]),
    };
    let outcome = match command {
        "check" => check::Options::parse(flags).and_then(|options| check::check(&root(), &options)),
        "sanitize" => sanitize::Options::parse(flags)
            .and_then(|options| sanitize::sanitize(&root(), &options)),
        "tidy" if flags == ["--write"] => tidy::tidy(&root(), true),
        "tidy" => no_flags(flags).and_then(|()| tidy::tidy(&root(), false)),
        "isa" => check::isa(flags)
            .run(&root())
            .map(|_| ())
            .map_err(String::from),
        "browser" if !flags.is_empty() => shapes::Options::parse(flags)
            .map_err(|error| format!("{error}\n\n{USAGE}"))
            .and_then(|options| shapes::shapes(&root(), &options)),
        "browser" => no_flags(flags).and_then(|()| Ok(browser::browser(&root()).map(|_| ())?)),
        "serve" => no_flags(flags).and_then(|()| browser::serve(&root())),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("no such command: {other}\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn no_flags(flags: &[String]) -> Result<(), String> {
    match flags.first() {
        None => Ok(()),
        Some(flag) => Err(format!("no such option here: {flag}\n\n{USAGE}")),
    }
}

/// The repository's root: the folder above this package.
fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().map_or(package.clone(), PathBuf::from)
}
