//! What a run of the course found, as `results.json` beside its pictures: written, read, and compared with another run's.
//! Knows no lesson.

use crate::chapters::CHAPTERS;
use crate::lesson::{Line, Record, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wgrad::Device;

/// A check: what was asked, what came, and what it had to be.
pub struct Check {
    pub what: String,
    pub got: f64,
    pub want: String,
    pub held: bool,
}

/// What became of a lesson.
pub struct Outcome {
    pub checks: Vec<Check>,
    /// Files within the run's folder, and titles.
    pub pictures: Vec<(String, String)>,
    pub seconds: f64,
    pub error: Option<String>,
}

/// A run that has ended.
pub struct Run {
    pub folder: PathBuf,
    pub device: String,
    pub seed: u64,
    pub quick: bool,
    /// By `chapter/lesson`.
    pub lessons: BTreeMap<String, Outcome>,
}

/// Writes `results.json` into `out`; lessons that stand there of an earlier run with the same settings and were not run now stay.
pub fn write(out: &Path, device: &Device, quick: bool, seed: u64, records: &[Record]) -> Result {
    let path = out.join("results.json");
    let settings = json!({"device": device.to_string(), "seed": seed, "quick": quick});
    let before: Option<Value> = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut lessons = match before {
        Some(before) if before["settings"] == settings => before["lessons"].clone(),
        _ => json!({}),
    };
    for record in records {
        lessons[format!("{}/{}", record.chapter, record.entry.name)] = lesson(record);
    }
    let all = json!({"settings": settings, "lessons": lessons});
    std::fs::write(path, serde_json::to_vec_pretty(&all)?)?;
    Ok(())
}

fn lesson(record: &Record) -> Value {
    let mut checks = Vec::new();
    let mut pictures = Vec::new();
    for line in &record.lines {
        match line {
            Line::Said(_) => {}
            Line::Drawn { file, title } => pictures.push(json!([file, title])),
            Line::Checked {
                what,
                got,
                want,
                held,
            } => checks.push(json!({"what": what, "got": got, "want": want, "held": held})),
        }
    }
    json!({
        "checks": checks,
        "pictures": pictures,
        "seconds": record.seconds,
        "error": record.error,
    })
}

impl Run {
    /// Of a folder that a run has written.
    pub fn read(folder: &Path) -> Result<Run> {
        let path = folder.join("results.json");
        let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let all: Value = serde_json::from_slice(&bytes)?;
        let lessons = all["lessons"].as_object().ok_or("no lessons")?;
        let settings = &all["settings"];
        Ok(Run {
            folder: folder.to_owned(),
            device: text(&settings["device"]),
            seed: settings["seed"].as_u64().unwrap_or(0),
            quick: settings["quick"].as_bool().unwrap_or(false),
            lessons: lessons
                .iter()
                .map(|(name, lesson)| (name.clone(), outcome(lesson)))
                .collect(),
        })
    }

    /// A line for each figure that is farther from another run's than `share` of their size and of what it had to be.
    pub fn differences(&self, other: &Run, share: f64) -> Vec<String> {
        let mut found = Vec::new();
        for (name, lesson) in &self.lessons {
            let Some(beside) = other.lessons.get(name) else {
                found.push(format!("{name}: not in {}", other.folder.display()));
                continue;
            };
            if lesson.checks.len() != beside.checks.len() {
                found.push(format!("{name}: other checks"));
            }
            for (a, b) in lesson.checks.iter().zip(&beside.checks) {
                let scale = a.got.abs().max(b.got.abs()).max(0.01);
                let both_nan = a.got.is_nan() && b.got.is_nan();
                let near = both_nan || (a.got - b.got).abs() <= share * scale;
                if !near {
                    found.push(format!("{name}: {}: {} and {}", a.what, a.got, b.got));
                }
            }
        }
        found
    }
}

fn outcome(lesson: &Value) -> Outcome {
    let list = |key: &str| lesson[key].as_array().cloned().unwrap_or_default();
    Outcome {
        checks: list("checks")
            .iter()
            .map(|check| Check {
                what: text(&check["what"]),
                got: check["got"].as_f64().unwrap_or(f64::NAN),
                want: text(&check["want"]),
                held: check["held"].as_bool().unwrap_or(false),
            })
            .collect(),
        pictures: list("pictures")
            .iter()
            .map(|picture| (text(&picture[0]), text(&picture[1])))
            .collect(),
        seconds: lesson["seconds"].as_f64().unwrap_or(f64::NAN),
        error: lesson["error"].as_str().map(str::to_owned),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The lessons' names in the order of the course, with chapter and entry.
pub fn in_order() -> impl Iterator<
    Item = (
        &'static crate::chapters::Chapter,
        &'static crate::chapters::Entry,
        String,
    ),
> {
    CHAPTERS.iter().flat_map(|chapter| {
        chapter.lessons.iter().map(move |entry| {
            let name = format!("{}/{}", chapter.name, entry.name);
            (chapter, entry, name)
        })
    })
}
