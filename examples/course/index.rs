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
figure { margin: 1rem 0; }
pre { overflow: auto; background: #8881; padding: .8rem; font-size: 13px; border-radius: 4px; }
details pre { max-height: 34rem; counter-reset: line; }
details span { counter-increment: line; }
details span::before { content: counter(line); display: inline-block; width: 2rem; opacity: .5; }
details span:target { background: #fc06; }
nav { columns: 16rem 2; } nav div { break-inside: avoid; } nav p { margin: 0 0 1rem; }
h2 { border-top: 1px solid var(--line); padding-top: 1rem; }
.held { color: #2a8a4a; } .failed { color: #c33; font-weight: bold; }
@media (min-width: 1200px) {
  body { max-width: 88rem; }
  nav { columns: 16rem 4; }
  section { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 2rem; align-items: start; }
  section h3, section .words { grid-column: 1 / -1; max-width: 46rem; }
  details { position: sticky; top: 1rem; }
  details pre { max-height: 85vh; }
}";

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
         <title>wgrad: the course</title><style>{STYLE}</style><h1>The course</h1><p>{} lessons on {}, seed {seed}{}. Each has \
         what it teaches, what came, its pictures, and the whole program; the next stands below it.</p><nav>",
        records.len(),
        escape(&device.to_string()),
        if quick { ", quick" } else { "" }
    );
    let chapters: Vec<&[Record]> = records
        .chunk_by(|one, next| one.chapter == next.chapter)
        .collect();
    for lessons in &chapters {
        page += &format!("<div><b>{}</b><p>", escape(title(&lessons[0])));
        for record in *lessons {
            page += &format!("{}<br>", link(record));
        }
        page += "</p></div>";
    }
    page += "</nav>";
    for (at, lessons) in chapters.iter().enumerate() {
        page += &format!("<h2>{}</h2>", escape(title(&lessons[0])));
        for (at, record) in lessons.iter().enumerate() {
            page += &lesson(record);
            if let Some(next) = lessons.get(at + 1) {
                page += &format!("<p>Next: {}</p>", link(next));
            }
        }
        if let Some(next) = chapters.get(at + 1).map(|lessons| &lessons[0]) {
            let name = escape(title(next));
            page += &format!(
                "<p>Next chapter: {name}, which begins with {}</p>",
                link(next)
            );
        }
    }
    let path = out.join("index.html");
    std::fs::write(&path, page)?;
    Ok(path)
}

fn id(record: &Record) -> String {
    format!("{}-{}", record.chapter, record.entry.name)
}

fn title(record: &Record) -> &'static str {
    let chapter = CHAPTERS.iter().find(|c| c.name == record.chapter);
    chapter.map_or(record.chapter, |c| c.title)
}

fn link(record: &Record) -> String {
    let title = escape(record.entry.title);
    format!("<a href=\"#{}\">{title}</a>", id(record))
}

/// Lines stay lines.
fn block(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// What stands between backticks is code.
fn words(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let part = |(at, part): (usize, &str)| match at % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.map(part).collect()
}

fn lesson(record: &Record) -> String {
    let (id, source) = (id(record), record.entry.source);
    let mut page = format!(
        "<section><h3 id=\"{id}\">{}</h3><p class=\"words\">{}</p><div>",
        escape(record.entry.title),
        words(&header(source))
    );
    for line in &record.lines {
        page += &match line {
            Line::Said(text) => format!("<pre>{}</pre>", block(text)),
            Line::Drawn { file, title } => {
                let (file, title) = (escape(file), escape(title));
                format!(
                    "<figure><img src=\"{file}\" alt=\"{title}\"><figcaption>{title}</figcaption></figure>"
                )
            }
            Line::Checked {
                what,
                got,
                want,
                held,
            } => {
                let (class, mark) = if *held {
                    ("held", "✓")
                } else {
                    ("failed", "✗")
                };
                format!(
                    "<div class=\"{class}\">{mark} {}: {got:.6} ({})</div>",
                    escape(what),
                    escape(want)
                )
            }
        };
    }
    if let Some(error) = &record.error {
        page += &format!("<p class=\"failed\">{}</p>", block(error));
    }
    let notes: String = notes(source)
        .iter()
        .map(|(line, note)| {
            format!(
                "<li><a href=\"#{id}-{line}\">line {line}</a>: {}</li>",
                words(note)
            )
        })
        .collect();
    if !notes.is_empty() {
        page += &format!("<p>In the code:</p><ul>{notes}</ul>");
    }
    let lines: String = (1..)
        .zip(source.lines())
        .map(|(at, line)| format!("<span id=\"{id}-{at}\">{}</span>\n", escape(line)))
        .collect();
    page += &format!(
        "</div><details open><summary>examples/course/{}/{}.rs, {:.1} s</summary><pre>{lines}</pre></details></section>",
        record.chapter, record.entry.name, record.seconds
    );
    page
}

/// A program's comments below its header, each with the number of its first line.
fn notes(source: &str) -> Vec<(usize, String)> {
    let mut notes: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (at, line) in (1..).zip(source.lines()) {
        let line = line.trim_start();
        let comment = line.strip_prefix("///").or(line.strip_prefix("// "));
        match (comment, notes.last_mut()) {
            (Some(text), Some((_, note))) if goes_on => {
                note.push(' ');
                note.push_str(text.trim());
            }
            (Some(text), _) => notes.push((at, text.trim().to_string())),
            (None, _) => {}
        }
        goes_on = comment.is_some();
    }
    notes
}

/// A program's first comment.
pub fn header(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines_and_the_code_is_found() {
        let chapter = &CHAPTERS[0];
        let record = |chapter: &'static crate::chapters::Chapter| Record {
            chapter: chapter.name,
            entry: &chapter.lessons[0],
            lines: vec![Line::Said("x[0]\n<1>".to_string())],
            error: None,
            seconds: 0.0,
        };
        let folder = std::env::temp_dir().join(format!("wgrad-index-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let records = [record(chapter), record(&CHAPTERS[1])];
        let path = write(&folder, &Device::cpu(), true, 0, &records).expect("a page");
        let page = std::fs::read_to_string(path).expect("the page");
        std::fs::remove_dir_all(folder).expect("an end");
        let source = chapter.lessons[0].source;
        assert!(page.contains("<pre>x[0]\n&lt;1&gt;</pre>"), "{page}");
        assert!(page.lines().count() > source.lines().count());
        let next = format!("Next chapter: {}, which begins with", CHAPTERS[1].title);
        assert!(page.contains(&next), "{page}");
        assert!(
            !header(source).contains('`') || page.contains("<code>"),
            "{page}"
        );
    }

    #[test]
    fn comments_are_the_notes() {
        let source = "//! Head.\n\n/// One\n/// more.\nfn f() {}\n    // Two.\n";
        let want = [(3, "One more.".to_string()), (6, "Two.".to_string())];
        assert_eq!(notes(source), want);
    }
}
