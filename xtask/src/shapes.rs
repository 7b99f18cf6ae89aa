//! `cargo xtask browser --shapes FILE`: times single operations in headless Chromium with each build of the module, in turns, and
//! shows how they stand to each other. The page times; this prints. It must not know what an operation is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::browser::Tab;
use crate::wasm::{self, Build};

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
    let query = format!(
        "shapes.html?report&seconds={}&most={}",
        options.seconds, options.most
    );
    let mut tab = Tab::open(&page, &query)?;
    // A line begins anew with each build, and runs a few times longer than one run may take.
    let each = 10.0 * (options.seconds + options.most) + 60.0;
    let limit = Duration::from_secs_f64(each * options.builds.len() as f64);
    let mut table = Table::default();
    let ended = loop {
        let report = tab.report(limit).and_then(|report| table.take(&report));
        match report {
            Ok(Some(text)) => print!("{text}"),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let log = tab.close();
    ended.map_err(|error| format!("{error}\n\nthe browser's log:\n{log}"))?;
    print!("{}", table.summary());
    match &options.json {
        Some(path) => wasm::write(path, &table.json),
        None => Ok(()),
    }
}

/// The lines that contain one of the texts between bars.
fn chosen<'t>(text: &'t str, filter: Option<&str>) -> Vec<&'t str> {
    let wanted = |line: &str| filter.is_none_or(|f| f.split('|').any(|part| line.contains(part)));
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.filter(|line| wanted(line)).collect()
}

/// What the page has reported.
#[derive(Default)]
struct Table {
    builds: Vec<String>,
    /// Of lines that every build ran: the kind, and milliseconds by build, forward and with gradients.
    times: Vec<(String, Vec<[f64; 2]>)>,
    skipped: usize,
    json: String,
}

impl Table {
    /// Reads one report: `{"builds", "engine"}` first, then `{"row": [time of each build]}`, `{"end": true}` last, or
    /// `{"error"}`. Gives what to print, or nothing at the end.
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
            return Ok(Some(
                self.head(value["engine"].as_str().unwrap_or_default()),
            ));
        }
        match value["row"].as_array() {
            Some(row) if row.len() == self.builds.len() => Ok(Some(self.row(row))),
            _ => Err(format!("the page's report cannot be read: {report}")),
        }
    }

    fn head(&self, engine: &str) -> String {
        let mut text = format!("{engine}\n{:<58}", "milliseconds: forward, with gradients");
        for name in &self.builds {
            let _ = write!(text, " {name:>21}");
        }
        for pair in self.builds.windows(2) {
            let _ = write!(text, " {:>24}", format!("{} by {}", pair[0], pair[1]));
        }
        text + "\n"
    }

    fn row(&mut self, row: &[Value]) -> String {
        let name = row[0]["shape"].as_str().unwrap_or("?");
        let mut text = format!("{name:<58}");
        let mut times = Vec::new();
        for (build, cell) in self.builds.iter().zip(row) {
            let [forward, both] = ["forward", "both"].map(|name| cell[name].as_f64());
            if let (Some(forward), Some(both)) = (forward, both) {
                let _ = write!(text, " {forward:>10.3} {both:>10.3}");
                times.push([forward, both]);
                let line = cell["line"].as_str().unwrap_or_default();
                let base = line.trim_end().trim_end_matches('}');
                let _ = writeln!(self.json, "{base}, \"build\": \"{build}\"}}");
            } else {
                self.skipped += 1;
                let why = cell["skipped"].as_str().unwrap_or("no reason was given");
                let _ = write!(text, "  {build} left out: {why}");
            }
        }
        if times.len() == row.len() {
            for ratio in ratios(&times) {
                let _ = write!(text, " {:>15.2} {:>8.2}", ratio[0], ratio[1]);
            }
            let kind = name.split(' ').next().unwrap_or_default();
            self.times.push((kind.to_owned(), times));
        }
        text + "\n"
    }

    /// Geometric means of the ratios by kind.
    fn summary(&self) -> String {
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
        let _ = writeln!(text, "\n{} times left out", self.skipped);
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

    #[test]
    fn rows_become_ratios_and_what_is_left_out_is_said() {
        let mut table = Table::default();
        let head = table.take(r#"{"builds": ["scalar", "simd128"], "engine": "an engine"}"#);
        assert!(head.unwrap().unwrap().contains("scalar by simd128"));
        let row = r#"{"row": [{"shape": "gelu [2]", "forward": 8, "both": 9, "line": "{\"kind\": \"gelu\"}"},
                              {"shape": "gelu [2]", "forward": 2, "both": 3, "line": "{\"kind\": \"gelu\"}"}]}"#;
        let text = table.take(row).unwrap().unwrap();
        assert!(text.trim_end().ends_with("4.00     3.00"), "{text}");
        let row = r#"{"row": [{"shape": "gru [9]", "skipped": "too long"}, {"shape": "gru [9]", "forward": 2, "both": 3}]}"#;
        let text = table.take(row).unwrap().unwrap();
        assert!(text.contains("scalar left out: too long"), "{text}");
        assert_eq!(table.take(r#"{"end": true}"#), Ok(None));
        let summary = table.summary();
        assert!(summary.contains("1 times left out"), "{summary}");
        assert!(
            table
                .json
                .starts_with("{\"kind\": \"gelu\", \"build\": \"scalar\"}\n")
        );
        assert!(table.take(r#"{"error": "no memory"}"#).is_err());
        assert!(table.take(r#"{"row": [1]}"#).is_err());
    }
}
