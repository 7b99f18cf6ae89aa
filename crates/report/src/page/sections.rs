//! The sections of a page: what the run is, its cards, settings, model, panels and kernel times. Must not read files.

use serde_json::Value;

use super::charts::Chart;
use super::html::{element, escape, image, table, text};
use crate::json::plain;
use crate::panels::{Panel, PanelKind};
use crate::run::Run;

/// Rows of one table on the page.
const MOST_ROWS: usize = 300;

/// Names, cards, settings.
pub(super) fn top(runs: &[&Run], title: &str) -> String {
    let mut out = format!(
        "<div class=head><h1>{}</h1><button id=theme>light / dark</button></div>",
        text(title)
    );
    for run in runs {
        let name = if runs.len() > 1 {
            format!("{}: ", run.name())
        } else {
            String::new()
        };
        out.push_str(&format!(
            "<p class=status>{}</p>",
            text(&format!("{name}{}", status(run)))
        ));
        for warning in &run.warnings {
            out.push_str(&format!("<p class=warn>{}</p>", text(warning)));
        }
    }
    for run in runs {
        let cards: String = cards(run)
            .iter()
            .map(|(name, value)| card(name, value))
            .collect();
        if !cards.is_empty() {
            let heading = if runs.len() > 1 {
                element("h3", &text(&run.name()))
            } else {
                String::new()
            };
            out.push_str(&format!("{heading}<div class=cards>{cards}</div>"));
        }
    }
    out.push_str(&about(runs));
    out.push_str(&settings(runs));
    out
}

fn status(run: &Run) -> String {
    let steps = run
        .curves
        .iter()
        .flat_map(|curve| curve.xs.last())
        .fold(0.0f64, |a, b| a.max(*b));
    match &run.end {
        Some(end) => match &end.stopped {
            Some(reason) => format!("stopped after step {steps}: {reason}"),
            None => format!("finished after step {steps}"),
        },
        None => format!("not finished: the log ends at step {steps}"),
    }
}

fn card(name: &str, value: &str) -> String {
    format!(
        "<div class=card><b>{}</b><span>{}</span></div>",
        text(value),
        text(name)
    )
}

fn cards(run: &Run) -> Vec<(String, String)> {
    let mut cards = Vec::new();
    for curve in run
        .curves
        .iter()
        .filter(|curve| curve.by_epoch && curve.name != "seconds")
    {
        if cards.len() < 8
            && let Some(last) = curve.ys.last()
        {
            cards.push((
                format!("last {}", curve.name.replace('_', " ")),
                number(*last),
            ));
        }
    }
    if let (true, Some(loss)) = (cards.is_empty(), run.curve("loss")) {
        cards.extend(
            loss.ys
                .last()
                .map(|last| ("last loss".to_owned(), number(*last))),
        );
    }
    if let Some(end) = &run.end {
        let time = end
            .seconds
            .map(|seconds| ("time".to_owned(), clock(seconds)));
        let rate = end
            .samples_per_second
            .map(|rate| ("samples/s".to_owned(), format!("{rate:.0}")));
        let peak = end
            .peak_bytes
            .map(|peak| ("peak memory".to_owned(), bytes(peak)));
        cards.extend([time, rate, peak].into_iter().flatten());
    }
    let predicted = run.info.get("predicted_peak_bytes").and_then(Value::as_f64);
    cards.extend(predicted.map(|peak| ("peak memory, predicted".to_owned(), bytes(peak))));
    cards
}

/// Command, device, seed, version, start.
fn about(runs: &[&Run]) -> String {
    let value = |run: &Run, name: &str| match (name, run.info.get(name)) {
        (_, None | Some(Value::Null)) => String::new(),
        ("command", Some(Value::Array(words))) => words
            .iter()
            .map(|word| shell(&plain(word)))
            .collect::<Vec<_>>()
            .join(" "),
        ("started", Some(value)) => value.as_u64().map_or_else(|| plain(value), date),
        (_, Some(value)) => plain(value),
    };
    let named = ["command", "device", "seed", "wgrad", "started"];
    let others = runs.iter().flat_map(|run| run.info.keys());
    let known = ["name", "settings", "model", "predicted_peak_bytes"];
    let mut names: Vec<&str> = named.to_vec();
    for other in others {
        if !names.contains(&other.as_str()) && !known.contains(&other.as_str()) {
            names.push(other);
        }
    }
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|name| {
            let label = if *name == "wgrad" {
                "wgrad version"
            } else {
                name
            };
            std::iter::once(label.to_owned())
                .chain(runs.iter().map(|run| value(run, name)))
                .collect()
        })
        .filter(|row: &Vec<String>| row[1..].iter().any(|value| !value.is_empty()))
        .take(MOST_ROWS)
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("<h2>Run</h2>{}", table(&columns(runs), &rows, &[]))
}

fn columns(runs: &[&Run]) -> Vec<&'static str> {
    // Names of runs stand above; columns are in their order.
    match runs.len() {
        0 | 1 => Vec::new(),
        2 => vec!["", "first", "second"],
        _ => Vec::new(),
    }
}

/// The settings of one run, or how those of several differ.
fn settings(runs: &[&Run]) -> String {
    let all: Vec<Vec<(String, String)>> = runs.iter().map(|run| run.settings()).collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in all.iter().flatten() {
        if !names.contains(&name) && names.len() < MOST_ROWS {
            names.push(name);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let value = |settings: &Vec<(String, String)>, name: &String| {
        let found = settings.iter().find(|(other, _)| other == name);
        found.map_or_else(|| "not set".to_owned(), |(_, value)| value.clone())
    };
    let row = |name: &&String| -> Vec<String> {
        std::iter::once((*name).clone())
            .chain(all.iter().map(|settings| value(settings, name)))
            .collect()
    };
    let rows: Vec<Vec<String>> = names.iter().map(row).collect();
    if runs.len() == 1 {
        return format!("<h2>Settings</h2>{}", table(&[], &rows, &[]));
    }
    let (same, different): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| row[1..].windows(2).all(|pair| pair[0] == pair[1]));
    let head = columns(runs);
    let differ = match different.is_empty() {
        true => "<p>The settings are the same.</p>".to_owned(),
        false => table(&head, &different, &[]).replace("<tr><td", "<tr class=differs><td"),
    };
    let same = match same.is_empty() {
        true => String::new(),
        false => format!(
            "<details><summary>{} settings are the same</summary>{}</details>",
            same.len(),
            table(&head, &same, &[])
        ),
    };
    format!("<h2>Differences of settings</h2>{differ}{same}")
}

/// Places for the charts, which the script draws, and what moves them.
pub(super) fn curves(charts: &[Chart]) -> String {
    if charts.is_empty() {
        return "<h2>Curves</h2><p class=muted>Nothing was logged yet.</p>".to_owned();
    }
    let places: String = (0..charts.len())
        .map(|at| format!("<div class=panel id=chart{at}></div>"))
        .collect();
    format!(
        "<h2>Curves</h2><div class=controls><label>smoothing <input type=range id=smooth min=0 max=100 value=45> \
         <span id=smoothed></span></label><label><input type=checkbox id=logx> logarithmic steps</label>\
         <span class=muted>a name hides its curve</span></div><noscript><p class=warn>The curves need JavaScript.</p></noscript>\
         <div class=grid>{places}</div>"
    )
}

/// Model, panels and kernel times of one run, in at most `room` bytes.
pub(super) fn details(run: &Run, heading: &str, room: usize) -> String {
    let mut out = model(run, heading);
    out.push_str(&kernels(run, heading));
    let mut left_out = 0;
    let mut section: Option<&str> = None;
    let mut open = false;
    for panel in &run.panels {
        let part = show(panel);
        if out.len() + part.len() + 500 > room {
            left_out += 1;
            continue;
        }
        if section != Some(panel.section.as_str()) {
            let title = if panel.section.is_empty() {
                "Further figures"
            } else {
                panel.section.as_str()
            };
            out.push_str(if open { "</div>" } else { "" });
            out.push_str(&format!(
                "<h2>{}</h2><div class=grid>",
                text(&format!("{heading}{title}"))
            ));
            (section, open) = (Some(panel.section.as_str()), true);
        }
        out.push_str(&part);
    }
    out.push_str(if open { "</div>" } else { "" });
    if left_out > 0 {
        out.push_str(&format!(
            "<p class=warn>{left_out} panels are left out: with them the page would have more than a megabyte. They are in panels.json.</p>"
        ));
    }
    out
}

fn show(panel: &Panel) -> String {
    let title = match panel.title.is_empty() {
        true => String::new(),
        false => element("h3", &text(&panel.title)),
    };
    let content = match &panel.kind {
        PanelKind::Svg(svg) => image(svg, &panel.title),
        PanelKind::Text(words) => {
            let lines: Vec<String> = words.lines().map(escape).collect();
            element("pre", &lines.join("\n"))
        }
        PanelKind::Table { columns, rows } => {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let number = |at: usize| {
                let mut cells = rows
                    .iter()
                    .filter_map(|row| row.get(at))
                    .filter(|cell| !cell.is_empty())
                    .peekable();
                cells.peek().is_some()
                    && cells.all(|cell| cell.trim_end_matches(" %").parse::<f64>().is_ok())
            };
            let right: Vec<bool> = (0..columns.len()).map(number).collect();
            let shown = &rows[..rows.len().min(MOST_ROWS)];
            let rest = rows.len() - shown.len();
            let rest = if rest > 0 {
                format!("<p class=muted>and {rest} more rows</p>")
            } else {
                String::new()
            };
            table(&columns, shown, &right) + &rest
        }
    };
    format!("<div class=panel>{title}{content}</div>")
}

fn model(run: &Run, heading: &str) -> String {
    let Some(model) = run.info.get("model") else {
        return String::new();
    };
    let rows = model
        .get("rows")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let count = |value: &Value| value.as_f64().map_or_else(|| plain(value), thousands);
    let row = |row: &Value| {
        let shape = row["output_shape"]
            .as_array()
            .map(|sides| sides.iter().map(plain).collect::<Vec<_>>().join(" × "));
        vec![
            plain(&row["name"]),
            plain(&row["kind"]),
            shape.unwrap_or_default(),
            count(&row["parameters"]),
            count(&row["multiply_adds"]),
        ]
    };
    let shown: Vec<Vec<String>> = rows.iter().take(MOST_ROWS).map(row).collect();
    let columns = ["layer", "kind", "output", "parameters", "multiply-adds"];
    let total = model.get("parameters").and_then(Value::as_f64);
    let total = total
        .map(|n| format!("<p>{} parameters</p>", thousands(n)))
        .unwrap_or_default();
    if shown.is_empty() && total.is_empty() {
        return String::new();
    }
    let right = [false, false, false, true, true];
    let layers = if shown.is_empty() {
        String::new()
    } else {
        table(&columns, &shown, &right)
    };
    format!(
        "<h2>{}</h2>{layers}{total}",
        text(&format!("{heading}Model"))
    )
}

fn kernels(run: &Run, heading: &str) -> String {
    if run.kernels.is_empty() {
        return String::new();
    }
    let sum: f64 = run.kernels.iter().map(|kernel| kernel.microseconds).sum();
    let row = |kernel: &crate::trace::Kernel| {
        vec![
            kernel.name.clone(),
            thousands(kernel.calls as f64),
            format!("{:.3}", kernel.microseconds / 1e3),
            format!("{:.1} %", 100.0 * kernel.microseconds / sum.max(1e-12)),
        ]
    };
    let rows: Vec<Vec<String>> = run.kernels.iter().take(40).map(row).collect();
    let columns = ["kernel", "calls", "milliseconds", "share"];
    let table = table(&columns, &rows, &[false, true, true, true]);
    format!(
        "<h2>{}</h2>{table}",
        text(&format!("{heading}Plan: kernel times"))
    )
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.3e}"),
    }
}

fn thousands(value: f64) -> String {
    let text = format!("{value:.0}");
    let (sign, digits) = text.split_at(usize::from(text.starts_with('-')));
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return text;
    }
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    format!("{sign}{}", groups.join(","))
}

pub(crate) fn bytes(value: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let power = (value.abs().max(1.0).log10() / 3.0).floor().clamp(0.0, 4.0);
    let value = value / 1000f64.powf(power);
    let digits = usize::from(power > 0.0 && value < 100.0);
    format!("{value:.digits$} {}", units[power as usize])
}

fn clock(seconds: f64) -> String {
    if !(0.0..1e12).contains(&seconds) {
        return format!("{seconds} s");
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// A word of a command line as a shell would need it.
fn shell(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_=./:,+@%".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Seconds since 1970 as date and time in UTC (after Hinnant's `civil_from_days`).
fn date(seconds: u64) -> String {
    let days = seconds / 86_400;
    if days > 3_000_000 {
        return seconds.to_string();
    }
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{date:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        let cases = [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (1_709_210_096, "2024-02-29 12:34 UTC"),
        ];
        for (seconds, text) in cases {
            assert_eq!(date(seconds), text);
        }
        assert_eq!(date(u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(bytes(1_234_567.0), "1.2 MB");
        assert_eq!(
            (clock(3.25), clock(3723.0)),
            ("3.2 s".to_owned(), "1:02:03".to_owned())
        );
        assert_eq!(shell("a b"), "'a b'");
    }
}
