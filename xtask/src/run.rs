//! Runs one command: its output passes through live, and the lines in which test runners sum up are kept.
//! It must not decide what a failure means.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

/// A command line with the variables it adds to the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Invocation {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
}

impl Invocation {
    pub(crate) fn new(program: &str, arguments: &[&str]) -> Self {
        let arguments = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        Self {
            program: program.to_owned(),
            arguments,
            variables: Vec::new(),
        }
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The line that a person types into a shell to repeat this.
    pub(crate) fn line(&self) -> String {
        let variables = self
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)));
        let words = std::iter::once(&self.program)
            .chain(&self.arguments)
            .map(|word| quoted(word));
        variables.chain(words).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(folder);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs to the end in `folder` and returns what test runners summed up. A failure names the command.
    pub(crate) fn run(&self, folder: &Path) -> Result<Tally, Failure> {
        let failed = |why: String, tally| {
            let why = format!("{why}\nto repeat it:\n    {}", self.line());
            Failure { why, tally }
        };
        match self.pass_through(folder) {
            Ok((status, tally)) if status.success() => Ok(tally),
            Ok((status, tally)) => Err(failed(format!("failed ({status})"), tally)),
            Err(error) => Err(failed(
                format!("{}: {error}", self.program),
                Tally::default(),
            )),
        }
    }

    fn pass_through(&self, folder: &Path) -> std::io::Result<(ExitStatus, Tally)> {
        let mut command = self.command(folder);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            scope.spawn(|| forward(stdout, |line| println!("{line}"), &tally));
            scope.spawn(|| forward(stderr, |line| eprintln!("{line}"), &tally));
        });
        let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((child.wait()?, tally))
    }

    /// Runs to the end and returns standard output; nothing is shown unless it fails.
    pub(crate) fn output(&self, folder: &Path) -> Result<String, String> {
        let output = self
            .command(folder)
            .output()
            .map_err(|error| format!("{}: {error}", self.program))?;
        if output.status.success() {
            return String::from_utf8(output.stdout)
                .map_err(|error| format!("{}: {error}", self.line()));
        }
        Err(format!(
            "{}\n{}",
            self.line(),
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=./:,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn forward(from: Option<impl Read>, show: fn(&str), tally: &Mutex<Tally>) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line);
        show(&line);
        tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(&line);
    }
}

/// What test runners said in their closing lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The lines as printed, without colours.
    pub(crate) lines: Vec<String>,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

/// Why a command or step failed, and what test runners counted all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) why: String,
    pub(crate) tally: Tally,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self {
            why,
            tally: Tally::default(),
        }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.why
    }
}

impl Tally {
    /// Takes note of a line if it is a closing line of `cargo test`, of nextest, of the conformance run or of the
    /// browser run.
    pub(crate) fn take(&mut self, line: &str) {
        let line = without_colours(line);
        let line = line.trim();
        let closing = line.starts_with("test result:")
            || (line.starts_with("Summary [") && line.contains("tests run:"));
        let named = line.starts_with("browser: ") && line.contains(" passed, ");
        if closing || named || is_plain_count(line) {
            // `cargo test` prints one line for each binary, most of them empty.
            self.passed += count_before(line, "passed");
            self.failed += count_before(line, "failed");
            if !line.contains(" 0 passed; 0 failed;") {
                self.lines.push(line.to_owned());
            }
        }
    }

    /// The closing lines and, last, the sum over all of them.
    pub(crate) fn summary(&self) -> String {
        let sum = format!("{} passed, {} failed", self.passed, self.failed);
        self.lines
            .iter()
            .chain([&sum])
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// `N passed, N failed` and nothing else: the closing line of the conformance run.
fn is_plain_count(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        [passed, "passed,", failed, "failed"] => {
            passed.parse::<usize>().is_ok() && failed.parse::<usize>().is_ok()
        }
        _ => false,
    }
}

/// The number that stands before `word`, as in `3 passed`; 0 where there is none.
fn count_before(line: &str, word: &str) -> usize {
    let words: Vec<&str> = line
        .split([' ', ',', ';'])
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .find(|pair| pair[1] == word)
        .and_then(|pair| pair[0].parse().ok())
        .unwrap_or(0)
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let mut tally = Tally::default();
        tally.take("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s");
        tally.take("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s");
        tally.take("\u{1b}[32;1m     Summary\u{1b}[0m [   0.011s] \u{1b}[1m9\u{1b}[0m tests run: 7 passed, 2 failed, 1 skipped");
        tally.take("browser: 4 passed, 0 failed");
        tally.take("a test says: 5 passed, 5 failed");
        assert_eq!((tally.passed, tally.failed, tally.lines.len()), (15, 4, 4));
    }

    #[test]
    fn a_flaky_or_slow_note_does_not_hide_the_count() {
        let mut tally = Tally::default();
        tally.take("     Summary [  61.2s] 12 tests run: 12 passed (2 slow, 1 flaky), 0 skipped");
        assert_eq!((tally.passed, tally.failed), (12, 0));
    }

    #[test]
    fn a_failure_names_the_command_and_keeps_the_count() {
        let script = "echo 'test result: FAILED. 4 passed; 1 failed; 0 ignored;'; exit 3";
        let invocation = Invocation::new("sh", &["-c", script]).variable("A", "b c");
        let Failure { why, tally } = invocation.run(Path::new(".")).unwrap_err();
        assert!(why.contains("A='b c' sh -c 'echo '\\''test"), "{why}");
        assert!(
            tally.summary().ends_with("\n4 passed, 1 failed"),
            "{tally:?}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let invocation = Invocation::new("no-such-program-here", &[]);
        let Failure { why, .. } = invocation.run(Path::new(".")).unwrap_err();
        assert!(why.starts_with("no-such-program-here: "), "{why}");
    }
}
