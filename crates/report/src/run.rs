//! A run as its folder tells it. Files are untrusted: what is broken is an error that names file and line, but for a last
//! line without its end, which a killed run leaves and which is skipped and said. Must not draw.

use std::collections::HashMap;
#[cfg(not(target_arch = "wasm32"))]
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::ReportError;
use crate::json::plain;
use crate::panels::Panel;
#[cfg(not(target_arch = "wasm32"))]
use crate::panels::Panels;
#[cfg(not(target_arch = "wasm32"))]
use crate::trace;
use crate::trace::Kernel;

/// One number as training went on. What is not finite is kept as such.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Its name in the log: `loss`, `validation_accuracy`, `grad_norm.fc1`.
    pub name: String,
    /// Steps, or epochs where the log has no steps.
    pub xs: Vec<f64>,
    /// Values.
    pub ys: Vec<f64>,
    /// Logged once an epoch, not at each step.
    pub by_epoch: bool,
}

/// How the run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    /// Wall time.
    pub seconds: Option<f64>,
    /// Throughput.
    pub samples_per_second: Option<f64>,
    /// The most memory that was held.
    pub peak_bytes: Option<f64>,
    /// Why it stopped early.
    pub stopped: Option<String>,
}

/// A run folder, read.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// The object of `run.json`; empty where there is none.
    pub info: Map<String, Value>,
    /// In the order in which the log first names them.
    pub curves: Vec<Curve>,
    /// `None` while it runs, or where it was killed.
    pub end: Option<End>,
    /// Further figures.
    pub panels: Vec<Panel>,
    /// Kernel times, the longest first.
    pub kernels: Vec<Kernel>,
    /// What was skipped while reading.
    pub warnings: Vec<String>,
}

impl Run {
    /// Reads a run folder.
    ///
    /// # Errors
    /// Neither `run.json` nor `metrics.jsonl` is there; a file that cannot be read or is broken.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(folder: impl AsRef<Path>) -> Result<Run, ReportError> {
        let folder = folder.as_ref();
        let mut run = Run {
            folder: folder.to_owned(),
            ..Run::default()
        };
        let info = text(&folder.join("run.json"))?;
        let metrics = folder.join("metrics.jsonl");
        let lines = bytes(&metrics)?;
        if info.is_none() && lines.is_none() {
            return Err(ReportError::NoRun(folder.to_owned()));
        }
        if let Some(info) = info {
            run.info = object(&folder.join("run.json"), &info)?;
        }
        if let Some(lines) = lines {
            Log::default().read(&metrics, &lines, &mut run)?;
            // The order within a line is the reader's, which other crates may have switched.
            run.curves.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let panels = folder.join("panels.json");
        if let Some(text) = text(&panels)? {
            run.panels = Panels::parse(&panels, &text)?.into_panels();
        }
        let times = folder.join("trace.json");
        if let Some(text) = text(&times)? {
            run.kernels = trace::kernels(&times, &text)?;
        }
        Ok(run)
    }

    /// The curve of that name: of steps where there are both.
    pub fn curve(&self, name: &str) -> Option<&Curve> {
        self.curves.iter().find(|curve| curve.name == name)
    }

    /// The run's name, or its folder's.
    pub fn name(&self) -> String {
        let given = self
            .info
            .get("name")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty());
        let folder = || self.folder.file_name().unwrap_or(self.folder.as_os_str());
        given.map_or_else(|| folder().to_string_lossy().into_owned(), str::to_owned)
    }

    /// Settings by name, as text.
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = self.info.get("settings").and_then(Value::as_object);
        let settings = settings.into_iter().flatten();
        settings
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect()
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, ReportError> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        // Opening a pipe would wait for a writer.
        Ok(_) => {
            let reason = "not a regular file".to_owned();
            return Err(ReportError::Content {
                path: path.to_owned(),
                reason,
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReportError::at(path, "open it")(error)),
    }
    fs::read(path)
        .map(Some)
        .map_err(ReportError::at(path, "read it"))
}

#[cfg(not(target_arch = "wasm32"))]
fn text(path: &Path) -> Result<Option<String>, ReportError> {
    let wrong = |_| ReportError::Content {
        path: path.to_owned(),
        reason: "it is not UTF-8".to_owned(),
    };
    bytes(path)?
        .map(String::from_utf8)
        .transpose()
        .map_err(wrong)
}

/// A file that is one JSON object.
#[cfg(not(target_arch = "wasm32"))]
fn object(path: &Path, text: &str) -> Result<Map<String, Value>, ReportError> {
    let wrong = |reason: String| ReportError::Content {
        path: path.to_owned(),
        reason,
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(wrong("it is JSON, but no object".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The lines of `metrics.jsonl` as they become curves.
#[derive(Default)]
struct Log {
    steps: HashMap<String, usize>,
    epochs: HashMap<String, usize>,
}

impl Log {
    fn read(mut self, path: &Path, bytes: &[u8], run: &mut Run) -> Result<(), ReportError> {
        for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let fail = |reason: String| ReportError::Line {
                path: path.to_owned(),
                line: number + 1,
                reason,
            };
            match serde_json::from_slice::<Value>(line) {
                Ok(Value::Object(event)) => self.event(event, run).map_err(fail)?,
                Ok(_) => return Err(fail("it is JSON, but no object".to_owned())),
                Err(_) if !line.ends_with(b"\n") => {
                    let line = number + 1;
                    run.warnings.push(format!(
                        "{}:{line}: the last line is unfinished and left out",
                        path.display()
                    ));
                }
                // The reason names a line too, of the one line that was parsed.
                Err(error) => {
                    let text = error.to_string();
                    let reason = text.split(" at line ").next().unwrap_or(&text);
                    return Err(fail(format!("{reason}, at column {}", error.column())));
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Map<String, Value>, run: &mut Run) -> Result<(), String> {
        let kind = event
            .get("event")
            .and_then(Value::as_str)
            .ok_or("it has no \"event\"")?;
        let by_epoch = match kind {
            "step" => false,
            "epoch" => true,
            "end" => {
                run.end = Some(end(&event));
                return Ok(());
            }
            // Events of the caller's own.
            _ => return Ok(()),
        };
        let step = match (count(&event, "step")?, by_epoch) {
            (Some(step), _) => step,
            (None, true) => {
                count(&event, "epoch")?.ok_or("it has neither \"step\" nor \"epoch\"")?
            }
            (None, false) => return Err("it has no \"step\"".to_owned()),
        };
        for (name, value) in &event {
            if ["event", "step", "epoch"].contains(&name.as_str()) {
                continue;
            }
            let value = match value {
                Value::Number(number) => number.as_f64(),
                Value::Null => Some(not_finite(&event, name)),
                _ => None,
            };
            if let Some(value) = value {
                self.put(name, step, value, by_epoch, run);
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &str, step: f64, value: f64, by_epoch: bool, run: &mut Run) {
        let known = if by_epoch {
            &mut self.epochs
        } else {
            &mut self.steps
        };
        let at = match known.get(name) {
            Some(&at) => at,
            None => {
                known.insert(name.to_owned(), run.curves.len());
                run.curves.push(Curve {
                    name: name.to_owned(),
                    by_epoch,
                    ..Curve::default()
                });
                run.curves.len() - 1
            }
        };
        run.curves[at].xs.push(step);
        run.curves[at].ys.push(value);
    }
}

fn count(event: &Map<String, Value>, name: &str) -> Result<Option<f64>, String> {
    match event.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64().filter(|count| *count >= 0.0) {
            Some(count) => Ok(Some(count)),
            None => Err(format!("its \"{name}\" is no count")),
        },
    }
}

/// What a null stands for: a second key says it.
fn not_finite(event: &Map<String, Value>, name: &str) -> f64 {
    match event.get(&format!("{name}_text")).and_then(Value::as_str) {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => f64::NAN,
    }
}

fn end(event: &Map<String, Value>) -> End {
    let number = |name: &str| event.get(name).and_then(Value::as_f64);
    End {
        seconds: number("seconds"),
        samples_per_second: number("samples_per_second"),
        peak_bytes: number("peak_bytes"),
        stopped: event
            .get("stopped")
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}
