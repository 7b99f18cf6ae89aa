//! `report.html`: one file that opens offline, of one run or of several compared. All that comes from files is escaped, what
//! is drawn stands in images that run no scripts, and the page's policy forbids loading anything. Under a megabyte, whatever
//! the run. Must not read files.

mod charts;
mod html;
mod sections;

#[cfg(not(target_arch = "wasm32"))]
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

#[cfg(not(target_arch = "wasm32"))]
use crate::error::ReportError;
use crate::run::Run;
use charts::Chart;
use html::{element, escape};

/// Bytes that a page may have.
const MOST_BYTES: usize = 980_000;
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
const POLICY: &str =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

impl Run {
    /// The run's page.
    pub fn html(&self) -> String {
        page(&[self])
    }

    /// Writes `report.html` into the run's folder, whole or not at all; returns its path.
    ///
    /// # Errors
    /// The file system's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn write_html(&self) -> Result<PathBuf, ReportError> {
        let path = self.folder.join("report.html");
        crate::files::replace(&path, self.html().as_bytes())?;
        Ok(path)
    }
}

/// A page that compares runs: their curves together, and how their settings differ.
///
/// # Errors
/// Fewer than two runs, and the file system's.
///
/// ```
/// use wgrad_report::{Run, compare};
/// let path = std::env::temp_dir().join(format!("wgrad-compare-{}.html", std::process::id()));
/// compare(&[&Run::default(), &Run::default()], &path)?;
/// assert!(compare(&[&Run::default()], &path).is_err());
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn compare(runs: &[&Run], path: impl AsRef<Path>) -> Result<(), ReportError> {
    if runs.len() < 2 {
        return Err(ReportError::Input(format!(
            "a comparison needs two runs, not {}",
            runs.len()
        )));
    }
    crate::files::replace(path.as_ref(), page(runs).as_bytes())
}

fn page(runs: &[&Run]) -> String {
    let charts = charts::charts(runs);
    let title = runs
        .iter()
        .map(|run| run.name())
        .collect::<Vec<_>>()
        .join(" and ");
    let data = json!({
        "runs": runs.iter().map(|run| raw(run)).collect::<Vec<_>>(),
        "charts": charts.iter().enumerate().map(|(at, chart)| chart.json(at)).collect::<Vec<_>>(),
    });
    let data = html::json_in_html(&data);
    let mut body = sections::top(runs, &title);
    body.push_str(&sections::curves(&charts));
    let used = STYLE.len() + SCRIPT.len() + data.len() + 4000;
    let mut room = MOST_BYTES.saturating_sub(used + body.len());
    for (number, run) in runs.iter().enumerate() {
        let heading = if runs.len() > 1 {
            format!("{}: ", run.name())
        } else {
            String::new()
        };
        let part = sections::details(run, &heading, room / (runs.len() - number));
        room = room.saturating_sub(part.len());
        body.push_str(&part);
    }
    let raw = "<h2>Raw data</h2><p>Run, settings and curves, as far as they are shown, lie in this file as JSON. \
               <button id=raw>Save them</button></p>";
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=Content-Security-Policy content=\"{POLICY}\">{}<style>{STYLE}</style></head>\n\
         <body><main>{body}{raw}</main>\n<script type=\"application/json\" id=data>{data}</script>\n<script>{SCRIPT}</script></body></html>\n",
        element("title", &escape(&title)),
    )
}

/// What the page holds of `run.json`.
fn raw(run: &Run) -> Value {
    let mut info = run.info.clone();
    // The table of layers stands on the page already, and may be long.
    if let Some(model) = info.get_mut("model").and_then(Value::as_object_mut) {
        model.remove("rows");
    }
    let info = Value::from(info);
    // A file that is no run may hold anything.
    let info = if info.to_string().len() < 100_000 {
        info
    } else {
        Value::Null
    };
    let end = run.end.as_ref().map(|end| {
        json!({"seconds": end.seconds, "samples_per_second": end.samples_per_second,
               "peak_bytes": end.peak_bytes, "stopped": end.stopped})
    });
    json!({"name": run.name(), "run": info, "end": end})
}

impl Chart {
    fn json(&self, at: usize) -> Value {
        let series = |series: &charts::Series| {
            json!({"name": series.name, "color": series.color, "dash": series.dash, "points": series.points,
                   "xs": charts::short(&series.xs), "ys": charts::short(&series.ys)})
        };
        json!({"id": format!("chart{at}"), "title": self.title, "log": self.log,
               "series": self.series.iter().map(series).collect::<Vec<_>>()})
    }
}
