//! `cargo xtask browser`: runs the page's checks in headless Chromium, on its software WebGPU adapter so that
//! the outcome does not depend on the machine. The page decides what passes; this only counts.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde_json::Value;

use crate::run::{Failure, Tally};
use crate::server::Server;
use crate::wasm::{self, Build};

/// How long the page may take, from the browser's start.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Tried in this order; `WGRAD_CHROMIUM` names another.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

const FLAGS: [&str; 11] = [
    "--headless=new",
    // Containers and CI run as root, where Chromium's sandbox does not start.
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    // The page's console comes out with the browser's own log.
    "--enable-logging=stderr",
    "--disable-dev-shm-usage",
];

/// Builds the page, serves it and runs its checks in Chromium, with each build that the page offers.
///
/// Fails where the page does not build, no browser is found, the page does not report in time, or a check fails.
pub(crate) fn browser(root: &Path) -> Result<Tally, Failure> {
    let page = wasm::build(root)?;
    let mut tally = Tally::default();
    for build in Build::OFFERED {
        match checks(&page, &format!("?report&build={}", build.name())) {
            Ok(more) => tally.add(more),
            Err(Failure { why, tally: more }) => {
                tally.add(more);
                return Err(Failure { why, tally });
            }
        }
    }
    Ok(tally)
}

fn checks(page: &Path, query: &str) -> Result<Tally, Failure> {
    let mut tab = Tab::open(page, query, &[])?;
    let report = tab.report(TIMEOUT);
    let log = tab.close();
    let failed = |why: String| {
        format!("{why}\n\nthe browser's log:\n{log}\n\nto repeat it:\n    cargo xtask browser")
    };
    let outcome = Outcome::parse(&report.map_err(failed)?).map_err(failed)?;
    println!("{outcome}");
    let tally = outcome.tally();
    if tally.failed == 0 {
        return Ok(tally);
    }
    Err(Failure {
        why: failed("a check failed in the browser".to_owned()),
        tally,
    })
}

/// Builds the page and serves it until interrupted.
pub(crate) fn serve(root: &Path) -> Result<(), String> {
    let server = Server::start(&wasm::build(root)?)?;
    println!("http://{}/   (end with Ctrl-C)", server.address);
    loop {
        std::thread::park();
    }
}

pub(crate) fn find_browser() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("WGRAD_CHROMIUM") {
        return Ok(PathBuf::from(path));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let candidates = BROWSERS
        .iter()
        .flat_map(|name| std::env::split_paths(&folders).map(move |folder| folder.join(name)));
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            format!(
                "no browser found: install one of {}, or set WGRAD_CHROMIUM to its path",
                BROWSERS.join(", ")
            )
        })
}

/// A page in a browser of its own, and what it reports.
pub(crate) struct Tab {
    server: Server,
    chromium: Chromium,
}

impl Tab {
    /// Serves the folder `page` and opens what `query` names in it, with these flags more.
    pub(crate) fn open(page: &Path, query: &str, flags: &[&str]) -> Result<Self, String> {
        let program = find_browser()?;
        let server = Server::start(page)?;
        let address = format!("http://{}/{query}", server.address);
        let chromium = Chromium::start(&program, &address, page, flags)?;
        Ok(Self { server, chromium })
    }

    /// The next report, which comes within `limit`.
    pub(crate) fn report(&mut self, limit: Duration) -> Result<String, String> {
        const STEP: Duration = Duration::from_millis(200);
        // Steps are counted, not the clock read: a machine may stop both sides for a while.
        for _ in 0..limit.as_millis().div_ceil(STEP.as_millis()) {
            match self.server.reports.recv_timeout(STEP) {
                Ok(report) => return Ok(report),
                Err(RecvTimeoutError::Disconnected) => return Err("the server ended".to_owned()),
                Err(RecvTimeoutError::Timeout) => self.chromium.still_runs()?,
            }
        }
        let seconds = limit.as_secs();
        Err(format!("the page did not report within {seconds} s"))
    }

    /// Ends the browser and returns what it logged, the page's console included.
    pub(crate) fn close(self) -> String {
        self.chromium.stop()
    }
}

/// A running browser with a profile of its own; both go when it is stopped or dropped.
struct Chromium {
    child: Child,
    profile: PathBuf,
}

impl Chromium {
    fn start(program: &Path, address: &str, page: &Path, flags: &[&str]) -> Result<Self, String> {
        let profile = page.with_file_name(format!("profile-{}", std::process::id()));
        wasm::recreate(&profile)?;
        let log = std::fs::File::create(profile.join("log"))
            .map_err(|error| format!("{}: {error}", profile.display()))?;
        let child = Command::new(program)
            .args(FLAGS)
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { child, profile })
    }

    fn still_runs(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!(
                "the browser ended before the page reported ({status})"
            )),
            Err(error) => Err(format!("the browser: {error}")),
        }
    }

    /// Ends the browser and returns what it logged, the page's console included.
    fn stop(self) -> String {
        match std::fs::read(self.profile.join("log")) {
            Ok(bytes) => without_bus_lines(&String::from_utf8_lossy(&bytes)),
            Err(error) => format!("(no log: {error})"),
        }
    }
}

/// Where no D-Bus runs, as in most containers, Chromium says so dozens of times; it works all the same.
fn without_bus_lines(log: &str) -> String {
    let kept: Vec<&str> = log
        .lines()
        .filter(|line| !line.contains(":dbus/"))
        .collect();
    kept.join("\n")
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its helper processes end a moment later and still write here meanwhile.
        for _ in 0..50 {
            match std::fs::remove_dir_all(&self.profile) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                _ => return,
            }
        }
    }
}

/// The page's report.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    device: String,
    checks: Vec<Check>,
}

#[derive(Debug, PartialEq, Eq)]
struct Check {
    name: String,
    passed: bool,
    detail: String,
}

impl Outcome {
    /// Reads `{"device", "checks": [{"name", "passed", "detail"}]}`. A report of `{"error"}`, or without a
    /// single check, is an error.
    fn parse(report: &str) -> Result<Self, String> {
        let unreadable = |why: &str| format!("the page's report cannot be read ({why}): {report}");
        let value: Value =
            serde_json::from_str(report).map_err(|error| unreadable(&error.to_string()))?;
        if let Some(error) = value["error"].as_str() {
            return Err(format!("the page failed: {error}"));
        }
        let text = |value: &Value| {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| unreadable("a text is missing"))
        };
        let check = |value: &Value| {
            let passed = value["passed"]
                .as_bool()
                .ok_or_else(|| unreadable("`passed` is missing"))?;
            Ok(Check {
                name: text(&value["name"])?,
                passed,
                detail: text(&value["detail"])?,
            })
        };
        let checks = value["checks"]
            .as_array()
            .ok_or_else(|| unreadable("`checks` is missing"))?;
        if checks.is_empty() {
            return Err(unreadable("it holds no check"));
        }
        Ok(Self {
            device: text(&value["device"])?,
            checks: checks.iter().map(check).collect::<Result<_, String>>()?,
        })
    }

    fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.passed).count()
    }

    fn failed(&self) -> usize {
        self.checks.len() - self.passed()
    }

    fn tally(&self) -> Tally {
        Tally {
            lines: vec![self.closing_line()],
            passed: self.passed(),
            failed: self.failed(),
        }
    }

    fn closing_line(&self) -> String {
        format!(
            "browser: {} passed, {} failed",
            self.passed(),
            self.failed()
        )
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "device: {}", self.device)?;
        for Check {
            name,
            passed,
            detail,
        } in &self.checks
        {
            writeln!(
                out,
                "{} {name}: {detail}",
                if *passed { "ok    " } else { "FAILED" }
            )?;
        }
        out.write_str(&self.closing_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_counted() {
        let report = r#"{"device":"d","checks":[{"name":"a","passed":true,"detail":"x"},
                         {"name":"b","passed":false,"detail":"1 is not 2"}]}"#;
        let outcome = Outcome::parse(report).unwrap();
        assert_eq!((outcome.passed(), outcome.failed()), (1, 1));
        assert!(
            outcome
                .to_string()
                .ends_with("FAILED b: 1 is not 2\nbrowser: 1 passed, 1 failed")
        );
    }

    #[test]
    fn the_log_keeps_what_the_page_said() {
        let log = "[1:2:ERROR:dbus/bus.cc:405] no bus\n[1:2:INFO:CONSOLE(3)] \"panicked\"";
        assert_eq!(without_bus_lines(log), "[1:2:INFO:CONSOLE(3)] \"panicked\"");
    }

    #[test]
    fn an_error_and_an_empty_report_fail() {
        assert!(
            Outcome::parse(r#"{"error":"no adapter"}"#)
                .unwrap_err()
                .contains("no adapter")
        );
        assert!(
            Outcome::parse(r#"{"device":"d","checks":[]}"#)
                .unwrap_err()
                .contains("no check")
        );
        assert!(Outcome::parse("not json").is_err());
        assert!(
            Outcome::parse(r#"{"device":"d","checks":[{"name":"a","detail":""}]}"#)
                .unwrap_err()
                .contains("passed")
        );
    }
}
