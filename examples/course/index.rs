//! The index page: chapters in order, each lesson with its words, checks, pictures and source. Runs nothing.

use crate::chapters::CHAPTERS;
use crate::lesson::{Line, Record};
use std::path::{Path, PathBuf};
use wgrad::Device;
use wgrad::plot::escape;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
img { width: 100%; max-width: 700px; height: auto; }
pre { overflow-x: auto; background: #8881; padding: .8rem; font-size: 13px; border-radius: 4px; }
nav { columns: 2; } h2 { border-top: 1px solid var(--line); padding-top: 1rem; }
td, th { padding: .1rem .8rem .1rem 0; text-align: left; vertical-align: top; }
.held { color: #2a8a4a; } .failed { color: #c33; font-weight: bold; }";

/// Writes `index.html` into `out`.
pub fn write(
    out: &Path,
    device: &Device,
    quick: bool,
    seed: u64,
    records: &[Record],
) -> std::io::Result<PathBuf> {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>wgrad: the course</title><style>{STYLE}</style><h1>The course</h1><p>{} lessons on {}, seed {seed}{}.</p><nav>",
        records.len(),
        escape(&device.to_string()),
        if quick { ", quick" } else { "" }
    );
    for record in records {
        let id = id(record);
        page.push_str(&format!(
            "<div><a href=\"#{id}\">{}</a></div>",
            escape(record.entry.title)
        ));
    }
    page.push_str("</nav>");
    let mut chapter = "";
    for (at, record) in records.iter().enumerate() {
        if record.chapter != chapter {
            chapter = record.chapter;
            let title = CHAPTERS
                .iter()
                .find(|c| c.name == chapter)
                .map_or(chapter, |c| c.title);
            page.push_str(&format!("<h2>{}</h2>", escape(title)));
        }
        page.push_str(&lesson(record));
        if let Some(next) = records.get(at + 1) {
            page.push_str(&format!(
                "<p>Next: <a href=\"#{}\">{}</a></p>",
                id(next),
                escape(next.entry.title)
            ));
        }
    }
    let path = out.join("index.html");
    std::fs::write(&path, page)?;
    Ok(path)
}

fn id(record: &Record) -> String {
    format!("{}-{}", record.chapter, record.entry.name)
}

fn lesson(record: &Record) -> String {
    let mut page = format!(
        "<h3 id=\"{}\">{}</h3>",
        id(record),
        escape(record.entry.title)
    );
    page.push_str(&format!("<p>{}</p>", escape(&header(record.entry.source))));
    for line in &record.lines {
        page.push_str(&match line {
            Line::Said(text) => format!("<pre>{}</pre>", escape(text)),
            Line::Drawn { file, title } => {
                let (file, title) = (escape(file), escape(title));
                format!("<figure><img src=\"{file}\" alt=\"{title}\"><figcaption>{title}</figcaption></figure>")
            }
            Line::Checked { what, got, want, held } => {
                let (class, mark) = if *held { ("held", "✓") } else { ("failed", "✗") };
                format!("<div class=\"{class}\">{mark} {}: {got:.6} ({})</div>", escape(what), escape(want))
            }
        });
    }
    if let Some(error) = &record.error {
        page.push_str(&format!("<p class=\"failed\">{}</p>", escape(error)));
    }
    let name = format!(
        "examples/course/{}/{}.rs",
        record.chapter, record.entry.name
    );
    let source = escape(record.entry.source);
    page.push_str(&format!(
        "<details><summary>{name}, {:.1} s</summary><pre>{source}</pre></details>",
        record.seconds
    ));
    page
}

/// A program's first comment.
pub fn header(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}
