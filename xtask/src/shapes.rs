//! `cargo xtask browser --shapes FILE`: times single operations in headless Chromium with each build of the module, in turns, and
//! shows how they stand to each other. The page times; this prints. It must not know what an operation is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::browser::Tab;
use crate::wasm::{self, Build};

/// How far a value may be from another build's, by the largest value of its tensor.
const TOLERANCE: f64 = 1e-4;

/// The engine compiles a module well before it runs it: otherwise the first lines are times of its quick compiler, and of the other
/// one at work beside them.
const ENGINE: [&str; 1] = ["--js-flags=--no-liftoff --no-wasm-lazy-compilation"];

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    file: PathBuf,
    filter: Option<String>,
    json: Option<PathBuf>,
    seconds: f64,
    most: f64,
    builds: Vec<Build>,
}

impl Options {
    pub(crate) fn parse(flags: &[String]) -> Result<Self, String> {
        let mut options = Self {
            file: PathBuf::new(),
            filter: None,
            json: None,
            seconds: 0.3,
            most: 10.0,
            builds: Build::ALL.to_vec(),
        };
        for pair in flags.chunks(2) {
            let [flag, value] = pair else {
                return Err(format!("{} needs a value", pair[0]));
            };
            let number = || match value.parse::<f64>() {
                Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
                _ => Err(format!("{flag}: {value} is no time")),
            };
            match flag.as_str() {
                "--shapes" => options.file = value.into(),
                "--filter" => options.filter = Some(value.clone()),
                "--json" => options.json = Some(value.into()),
                "--seconds" => options.seconds = number()?,
                "--most" => options.most = number()?,
                "--builds" => options.builds = builds(value)?,
                _ => return Err(format!("no such option here: {flag}")),
            }
        }
        if options.file.as_os_str().is_empty() {
            return Err("--shapes FILE is missing".to_owned());
        }
        Ok(options)
    }
}

fn builds(names: &str) -> Result<Vec<Build>, String> {
    let named = |name: &str| Build::ALL.into_iter().find(|build| build.name() == name);
    let all = names.split(',');
    all.map(|name| named(name).ok_or_else(|| format!("no such build: {name}")))
        .collect()
}

/// Builds the page, times every line in Chromium and prints a row for each.
///
/// Fails where the page does not build, no browser is found, no line is left, or the page fails. A line that is left out is said
/// with its reason and no failure.
pub(crate) fn shapes(root: &Path, options: &Options) -> Result<(), String> {
    let text = std::fs::read_to_string(&options.file)
        .map_err(|error| format!("{}: {error}", options.file.display()))?;
    let lines = chosen(&text, options.filter.as_deref());
    if lines.is_empty() {
        return Err(format!("{}: no line to run", options.file.display()));
    }
    let page = wasm::build_for_shapes(root, &options.builds)?;
    wasm::write(&page.join("shapes.jsonl"), &lines.join("\n"))?;
    // A run of a line is repeated a few times, forward and with gradients, and none may take longer than `most`.
    let limit = (20.0 * (options.seconds + options.most) + 60.0).ceil();
    let query = format!(
        "shapes.html?report&seconds={}&most={}&limit={limit}",
        options.seconds, options.most
    );
    let mut tab = Tab::open(&page, &query, &ENGINE)?;
    // The page gives a build up by itself; this is for a page that hangs.
    let limit = Duration::from_secs_f64(limit + 60.0);
    let mut table = Table::new(&options.builds);
    let ended = loop {
        let report = tab.report(limit).and_then(|report| table.take(&report));
        match report {
            Ok(Some(text)) => show(&text),
            Ok(None) => break table.ended(lines.len()),
            Err(error) => break Err(error),
        }
    };
    let log = tab.close();
    show(&table.summary());
    if let Some(path) = &options.json {
        wasm::write(path, &table.json)?;
    }
    ended.map_err(|error| format!("{error}\n\nthe browser's log:\n{log}"))
}

/// At once: a line is shown in parts.
fn show(text: &str) {
    print!("{text}");
    // Nobody is left to be told.
    let _ = std::io::stdout().flush();
}

/// The lines that contain one of the texts between bars.
fn chosen<'t>(text: &'t str, filter: Option<&str>) -> Vec<&'t str> {
    let wanted = |line: &str| filter.is_none_or(|f| f.split('|').any(|part| line.contains(part)));
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.filter(|line| wanted(line)).collect()
}

/// What a build did with a line, or why it has no time.
enum Seen {
    Times([f64; 2]),
    /// Nothing is wrong: it takes too long, say.
    Skipped(String),
    /// A crash, or other numbers than the first build's.
    Wrong(String),
}

/// What the page has reported.
#[derive(Default)]
struct Table {
    asked: Vec<&'static str>,
    builds: Vec<String>,
    /// Lines that the page has, and those that were begun.
    lines: u64,
    begun: u64,
    /// Of the line that was begun last: milliseconds by build, forward and with gradients.
    row: Vec<Option<[f64; 2]>>,
    /// Of lines that every build ran: the kind, and such milliseconds.
    times: Vec<(String, Vec<[f64; 2]>)>,
    skipped: usize,
    wrong: usize,
    furthest: f64,
    json: String,
}

impl Table {
    fn new(asked: &[Build]) -> Self {
        Self {
            asked: asked.iter().map(|build| build.name()).collect(),
            ..Self::default()
        }
    }

    /// Reads one report: `{"builds", "lines", "engine"}` first, then `{"time"}` of each line and build in turn, `{"end": true}`
    /// last, or `{"error"}`. Gives what to print, or nothing at the end.
    fn take(&mut self, report: &str) -> Result<Option<String>, String> {
        let value: Value = serde_json::from_str(report)
            .map_err(|error| format!("the page's report cannot be read ({error}): {report}"))?;
        if let Some(error) = value["error"].as_str() {
            return Err(format!("the page failed: {error}"));
        }
        if value["end"] == true {
            return Ok(None);
        }
        if let Some(builds) = value["builds"].as_array() {
            let names = builds.iter().filter_map(Value::as_str);
            self.builds = names.map(str::to_owned).collect();
            self.lines = value["lines"].as_u64().unwrap_or_default();
            return Ok(Some(
                self.head(value["engine"].as_str().unwrap_or_default()),
            ));
        }
        match &value["time"] {
            time if time.is_object() && !self.builds.is_empty() => Ok(Some(self.time(time))),
            _ => Err(format!("the page's report cannot be read: {report}")),
        }
    }

    /// Whether all is well at the end.
    fn ended(&self, lines: usize) -> Result<(), String> {
        if (self.begun, self.row.len()) != (lines as u64, 0) {
            return Err(format!("{} lines of {lines} were run", self.begun));
        }
        match self.wrong {
            0 => Ok(()),
            wrong => Err(format!(
                "{wrong} times are of no use; the rows above say why"
            )),
        }
    }

    fn head(&self, engine: &str) -> String {
        let mut text = format!("{engine}\n");
        let lacking = |name: &&&str| !self.builds.iter().any(|build| build == *name);
        for name in self.asked.iter().filter(lacking) {
            let _ = writeln!(text, "the engine cannot run {name}");
        }
        let _ = write!(text, "{:<66}", "milliseconds: forward, with gradients");
        for name in &self.builds {
            let _ = write!(text, " {name:>21}");
        }
        for pair in self.builds.windows(2) {
            let _ = write!(text, " {:>24}", format!("{} by {}", pair[0], pair[1]));
        }
        text + "\n"
    }

    /// What a time adds to its row, and the row's end after the last build.
    fn time(&mut self, time: &Value) -> String {
        let name = time["shape"].as_str().unwrap_or("?");
        let mut text = String::new();
        if self.row.is_empty() {
            self.begun += 1;
            let number = format!("{}/{}", self.begun, self.lines);
            let _ = write!(text, "{number:<7} {name:<58}");
        }
        let build = self.builds[self.row.len()].clone();
        self.row.push(None);
        match self.judge(&build, time) {
            Seen::Times(times) => {
                let _ = write!(text, " {:>10.3} {:>10.3}", times[0], times[1]);
                self.row.pop();
                self.row.push(Some(times));
                let line = time["line"].as_str().unwrap_or_default();
                let base = line.trim_end().trim_end_matches('}');
                let _ = writeln!(self.json, "{base}, \"build\": \"{build}\"}}");
            }
            Seen::Skipped(why) => {
                self.skipped += 1;
                let _ = write!(text, "  {build} left out: {why}");
            }
            Seen::Wrong(why) => {
                self.wrong += 1;
                let _ = write!(text, "  {build} WRONG: {why}");
            }
        }
        if self.row.len() == self.builds.len() {
            text += &self.end_row(name);
        }
        text
    }

    /// Whether a time counts. Results must be those of the build that ran first.
    fn judge(&mut self, build: &str, time: &Value) -> Seen {
        let first = self.row.iter().all(Option::is_none);
        if let Some(why) = time["skipped"].as_str() {
            return Seen::Skipped(why.to_owned());
        }
        let (Some(forward), Some(both)) = (time["forward"].as_f64(), time["both"].as_f64()) else {
            let why = time["failed"].as_str().unwrap_or("no reason was given");
            return Seen::Wrong(why.to_owned());
        };
        if time["build"] != build {
            return Seen::Wrong(format!("the module is {}", time["build"]));
        }
        match time["apart"].as_f64() {
            _ if first => {}
            Some(apart) if apart <= TOLERANCE => self.furthest = self.furthest.max(apart),
            Some(apart) => {
                return Seen::Wrong(format!("{apart:.0e} of the largest value off"));
            }
            None => return Seen::Wrong("results that cannot be compared".to_owned()),
        }
        Seen::Times([forward, both])
    }

    /// The ratios of a row that is complete.
    fn end_row(&mut self, name: &str) -> String {
        let row = std::mem::take(&mut self.row);
        let mut text = String::new();
        if let Some(times) = row.into_iter().collect::<Option<Vec<_>>>() {
            for ratio in ratios(&times) {
                let _ = write!(text, " {:>15.2} {:>8.2}", ratio[0], ratio[1]);
            }
            let kind = name.split(' ').next().unwrap_or_default();
            self.times.push((kind.to_owned(), times));
        }
        text + "\n"
    }

    /// Geometric means of the ratios by kind.
    fn means(&self) -> String {
        let mut kinds: BTreeMap<&str, Vec<Vec<[f64; 2]>>> = BTreeMap::new();
        for (kind, times) in &self.times {
            kinds.entry(kind).or_default().push(ratios(times));
        }
        let all = self.times.iter().map(|(_, times)| ratios(times)).collect();
        let mut text = format!("\n{:<18} {:>6}", "geometric mean", "lines");
        for pair in self.builds.windows(2) {
            let _ = write!(text, " {:>24}", format!("{} by {}", pair[0], pair[1]));
        }
        for (kind, rows) in kinds.into_iter().chain([("all", all)]) {
            let _ = write!(text, "\n{kind:<18} {:>6}", rows.len());
            for pair in 1..self.builds.len() {
                let mean = |i: usize| geometric(rows.iter().map(|ratios| ratios[pair - 1][i]));
                let _ = write!(text, " {:>15.2} {:>8.2}", mean(0), mean(1));
            }
        }
        text
    }

    /// What is said after the last row.
    fn summary(&self) -> String {
        let mut text = String::new();
        if !self.times.is_empty() {
            text += &self.means();
        }
        let _ = writeln!(
            text,
            "\n{} times left out, {} wrong; results at most {:.0e} of the largest value apart",
            self.skipped, self.wrong, self.furthest
        );
        text
    }
}

/// Each build's times by the next one's.
fn ratios(times: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let pairs = times.windows(2);
    pairs
        .map(|pair| [0, 1].map(|i| pair[0][i] / pair[1][i]))
        .collect()
}

fn geometric(ratios: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = ratios.fold((0.0, 0), |(sum, n), ratio| (sum + ratio.ln(), n + 1));
    (sum / f64::from(count)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Options, String> {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        Options::parse(&flags)
    }

    #[test]
    fn options_are_read_or_refused() {
        let options = parse(&["--shapes", "f", "--builds", "simd128", "--most", "2"]).unwrap();
        assert_eq!((options.builds, options.most), (vec![Build::Simd128], 2.0));
        for bad in [
            &["--shapes"][..],
            &["--filter", "x"],
            &["--shapes", "f", "--builds", "mmx"],
            &["--shapes", "f", "--seconds", "-1"],
            &["--shapes", "f", "--what", "1"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lines_are_chosen_by_parts() {
        let text = "gelu 1\n\ngru 2\nlstm 3\n";
        assert_eq!(chosen(text, None).len(), 3);
        assert_eq!(chosen(text, Some("gelu|lstm")), ["gelu 1", "lstm 3"]);
    }

    fn time(build: &str, times: &str, apart: &str) -> String {
        format!(
            r#"{{"time": {{"shape": "gelu [2]", "build": "{build}", {times}, "apart": {apart}, "line": "{{\"kind\": \"gelu\"}}"}}}}"#
        )
    }

    /// A table of two builds, and what a line's times gave.
    fn row(times: [&str; 2]) -> (Table, String) {
        let mut table = Table::new(&Build::ALL);
        let head = r#"{"builds": ["scalar", "simd128"], "lines": 1, "engine": "an engine"}"#;
        let head = table.take(head).unwrap().unwrap();
        assert!(head.contains("scalar by simd128"), "{head}");
        assert!(head.contains("cannot run relaxed-simd"), "{head}");
        let text = times.map(|time| table.take(time).unwrap().unwrap());
        assert_eq!(table.take(r#"{"end": true}"#), Ok(None));
        (table, text.concat())
    }

    const SCALAR: &str = r#""forward": 8, "both": 9"#;
    const VECTORS: &str = r#""forward": 2, "both": 3"#;

    #[test]
    fn times_become_rows_with_ratios() {
        let scalar = time("scalar", SCALAR, "null");
        let (table, text) = row([&scalar, &time("simd128", VECTORS, "1e-6")]);
        assert!(text.starts_with("1/1     gelu [2]"), "{text}");
        assert!(text.ends_with("4.00     3.00\n"), "{text}");
        assert_eq!(table.ended(1), Ok(()));
        assert!(table.ended(2).is_err());
        let line = "{\"kind\": \"gelu\", \"build\": \"scalar\"}\n";
        assert!(table.json.starts_with(line), "{}", table.json);
        let summary = table.summary();
        assert!(
            summary.contains("0 wrong; results at most 1e-6"),
            "{summary}"
        );
    }

    #[test]
    fn what_is_left_out_is_said_and_no_failure() {
        let skipped = r#"{"time": {"shape": "gru [9]", "skipped": "too long"}}"#;
        // There is nothing to compare with.
        let (table, text) = row([skipped, &time("simd128", VECTORS, "null")]);
        assert!(text.contains("scalar left out: too long"), "{text}");
        assert_eq!(table.ended(1), Ok(()));
        assert!(table.summary().contains("1 times left out"));
    }

    #[test]
    fn a_wrong_build_is_a_failure() {
        let scalar = time("scalar", SCALAR, "null");
        for (second, why) in [
            (time("simd128", VECTORS, "0.5"), "5e-1 of the largest"),
            (time("simd128", VECTORS, "null"), "cannot be compared"),
            (time("scalar", VECTORS, "0"), "the module is \"scalar\""),
            (
                r#"{"time": {"shape": "s", "failed": "a trap"}}"#.to_owned(),
                "a trap",
            ),
            (r#"{"time": {"shape": "s"}}"#.to_owned(), "no reason"),
        ] {
            let (table, text) = row([&scalar, &second]);
            assert!(
                text.contains("simd128 WRONG: ") && text.contains(why),
                "{text}"
            );
            assert!(table.times.is_empty() && table.ended(1).is_err());
        }
    }

    #[test]
    fn a_page_that_fails_is_an_error() {
        let mut table = Table::new(&[]);
        assert!(table.take(r#"{"error": "no memory"}"#).is_err());
        assert!(table.take(r#"{"time": {}}"#).is_err());
        assert!(table.take("no json").is_err());
    }
}
