//! The folder of a run: `run.json`, written once, and `metrics.jsonl`, a line for each step and epoch and one at the end. What
//! cannot be written, as on a full disk, is kept and written later. Decides nothing about training.

use super::checkpoints::writable;
use super::error::Result;
use super::event::{At, Callback, EpochScores, Event, Fitted, StepRecord};
use super::{Description, Trainer};
use crate::files::{FileError, write_atomic};
use crate::log::{Field, earlier_lines, line};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use wgrad_data::Batch;
use wgrad_graph::Tensor;
use wgrad_nn::{Host, Module};

/// Lines that cannot be written are kept up to this many bytes.
const MAX_KEPT: usize = 64 << 20;

/// Where a run is logged, and what `run.json` says of it beside what the trainer knows.
///
/// ```
/// use wgrad_train::RunFolder;
/// let folder = RunFolder::new("out/run").name("first try").seed(1).setting("lr", 1e-3).setting("model", "cnn");
/// assert_eq!(folder.path(), std::path::Path::new("out/run"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct RunFolder {
    path: PathBuf,
    name: String,
    seed: Option<u64>,
    settings: Map<String, Value>,
}

impl RunFolder {
    /// A folder, which is made if it is not there.
    pub fn new(path: impl Into<PathBuf>) -> RunFolder {
        let path = path.into();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        RunFolder {
            path,
            name: name.unwrap_or_default(),
            ..RunFolder::default()
        }
    }

    /// The folder.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// With another name for the run; the folder's.
    pub fn name(mut self, name: impl Into<String>) -> RunFolder {
        self.name = name.into();
        self
    }

    /// With the seed that repeats the run.
    pub fn seed(mut self, seed: u64) -> RunFolder {
        self.seed = Some(seed);
        self
    }

    /// With a setting that comparisons of runs show.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<Value>) -> RunFolder {
        self.settings.insert(name.into(), value.into());
        self
    }
}

impl From<&str> for RunFolder {
    fn from(path: &str) -> RunFolder {
        RunFolder::new(path)
    }
}

impl From<PathBuf> for RunFolder {
    fn from(path: PathBuf) -> RunFolder {
        RunFolder::new(path)
    }
}

impl From<&PathBuf> for RunFolder {
    fn from(path: &PathBuf) -> RunFolder {
        RunFolder::new(path)
    }
}

impl From<&std::path::Path> for RunFolder {
    fn from(path: &std::path::Path) -> RunFolder {
        RunFolder::new(path)
    }
}

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// Logs the run into a folder: `run.json` says what it is, `metrics.jsonl` has a line for each step with its scalars and
    /// learning rates, one for each epoch, and one at the end; and, with the feature `report`, `report.html` shows them. A run
    /// that is resumed cuts off the lines that come again.
    pub fn log(self, folder: impl Into<RunFolder>) -> Self {
        let folder = folder.into();
        self.callback(Logs {
            folder,
            lines: Lines::default(),
            rates: VecDeque::new(),
            warned: false,
        })
    }
}

struct Logs {
    folder: RunFolder,
    lines: Lines,
    /// The learning rates of steps that have not been read yet.
    rates: VecDeque<(u64, Vec<(String, f64)>)>,
    warned: bool,
}

impl Logs {
    fn begin<S: Module>(&mut self, state: &mut S, at: &At, model: &Description) -> Result<()> {
        let path = &self.folder.path;
        writable(path)?;
        let mut device = None;
        state.visit("", &mut |_, _, t: &Tensor| {
            device.get_or_insert_with(|| t.device().to_string());
        });
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        let rows: Vec<Value> = model
            .layers
            .iter()
            .map(|l| {
                json!({"name": l.name, "kind": l.kind, "output_shape": l.output_shape,
                       "parameters": l.parameters, "multiply_adds": l.multiply_adds})
            })
            .collect();
        let mut run = json!({
            "command": std::env::args().collect::<Vec<_>>(),
            "name": self.folder.name,
            "device": device,
            "seed": self.folder.seed,
            "wgrad": env!("CARGO_PKG_VERSION"),
            "started": started.map_or(0, |t| t.as_secs()),
            "settings": self.folder.settings,
            "model": {"rows": rows, "parameters": model.parameters},
        });
        if let Some(bytes) = model.predicted_peak_bytes {
            run["predicted_peak_bytes"] = json!(bytes);
        }
        let mut text = run.to_string();
        text.push('\n');
        let file = path.join("run.json");
        if !(at.is_resumed() && file.exists()) {
            write_atomic(&file, |out| out.write_all(text.as_bytes()))?;
        }
        let file = path.join("metrics.jsonl");
        let from = at.is_resumed().then(|| (at.step(), at.epoch()));
        self.lines = Lines::open(&file, from).map_err(FileError::at(&file, "open the log"))?;
        Ok(())
    }

    fn steps(&mut self, records: &[StepRecord]) {
        for record in records {
            let mut fields = vec![("step", Field::U64(record.step))];
            // Scalars are f32, and written with the fewest digits that give the same.
            fields.extend(record.iter().map(|(name, v)| (name, Field::F32(v as f32))));
            while self
                .rates
                .front()
                .is_some_and(|(step, _)| *step < record.step)
            {
                self.rates.pop_front();
            }
            let rates = match self.rates.front() {
                Some((step, _)) if *step == record.step => self.rates.pop_front(),
                _ => None,
            };
            let rates = rates.map(|(_, rates)| rates).unwrap_or_default();
            fields.extend(
                rates
                    .iter()
                    .map(|(name, lr)| (name.as_str(), Field::F64(*lr))),
            );
            self.lines.push(&line("step", &fields));
        }
    }

    fn epoch(&mut self, epoch: &EpochScores) {
        let training = epoch.training.iter();
        let training: Vec<(String, f64)> =
            training.map(|(n, v)| (format!("train_{n}"), *v)).collect();
        let mut fields = vec![
            ("epoch", Field::U64(epoch.epoch)),
            ("step", Field::U64(epoch.step)),
        ];
        let mut names: Vec<&str> = vec!["epoch", "step", "seconds"];
        // Of several scores of one name in an epoch the last counts.
        for (name, value) in epoch.scores.iter().rev().chain(&training) {
            if !names.contains(&name.as_str()) {
                names.push(name);
                fields.push((name, Field::F64(*value)));
            }
        }
        fields.push(("seconds", Field::F64(epoch.seconds)));
        self.lines.push(&line("epoch", &fields));
    }

    fn end(&mut self, fitted: &Fitted) {
        let mut fields = vec![
            ("step", Field::U64(fitted.steps)),
            ("epoch", Field::U64(fitted.epochs)),
            ("seconds", Field::F64(fitted.seconds)),
            (
                "samples_per_second",
                Field::F64(fitted.samples_per_second()),
            ),
        ];
        if let Some(reason) = &fitted.stopped {
            fields.push(("stopped", Field::Text(reason)));
        }
        self.lines.push(&line("end", &fields));
    }

    /// Writes `report.html`. A report that cannot be made takes nothing from the run.
    #[cfg(feature = "report")]
    fn report(&self, at: &mut At) {
        let written = wgrad_report::Run::read(&self.folder.path).and_then(|run| run.write_html());
        match written {
            Ok(path) => at.message(format!("report {}", path.display())),
            Err(e) => at.message(format!("warning: no report: {e}")),
        }
    }

    #[cfg(not(feature = "report"))]
    fn report(&self, _: &mut At) {}

    /// Writes what there is. A disk that is full is told once, and tried again.
    fn flush(&mut self, at: &mut At) {
        match self.lines.flush() {
            Ok(()) => self.warned = false,
            Err(e) if !self.warned => {
                self.warned = true;
                let path = self.folder.path.display();
                at.message(format!(
                    "warning: the log in {path} cannot be written: {e}; it is tried again"
                ));
            }
            Err(_) => {}
        }
    }
}

/// The learning rates of all optimisers of a state: the first is `lr`, others and groups with a rate of their own `lr.<path>`.
pub(super) fn learning_rates<S: Module>(state: &mut S) -> Vec<(String, f64)> {
    let mut path: Vec<String> = Vec::new();
    let mut rates: Vec<(String, f64)> = Vec::new();
    state.visit_host(&mut |host| match host {
        Host::Enter(name) => path.push(name.to_string()),
        Host::Leave => drop(path.pop()),
        Host::Optimizer(o) => {
            let name = match rates.is_empty() {
                true => "lr".to_string(),
                false => format!("lr.{}", path.join(".")),
            };
            let own = o.group_rates().into_iter();
            let own = own.filter_map(|(group, lr)| Some((format!("{name}.{group}"), lr?)));
            let own: Vec<_> = own.collect();
            rates.push((name, o.learning_rate()));
            rates.extend(own);
        }
        _ => {}
    });
    rates
}

impl<S: Module> Callback<S> for Logs {
    fn on(&mut self, event: &Event<'_>, state: &mut S, at: &mut At) -> Result<()> {
        if at.is_dev_run() {
            return Ok(());
        }
        match event {
            Event::Begin(model) => self.begin(state, at, model)?,
            Event::StepEnd => self.rates.push_back((at.step(), learning_rates(state))),
            Event::Read(records) => {
                self.steps(records);
                self.flush(at);
            }
            Event::Epoch(epoch) => {
                self.epoch(epoch);
                self.flush(at);
            }
            Event::Saving(_) | Event::Failed(_) => self.flush(at),
            Event::End(fitted) => {
                self.end(fitted);
                let file = self.folder.path.join("metrics.jsonl");
                self.lines
                    .flush()
                    .map_err(FileError::at(&file, "write the log"))?;
                self.report(at);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A file that grows by whole lines, and what has not been written of it yet.
#[derive(Default)]
struct Lines {
    file: Option<File>,
    /// Bytes of the file that are whole lines.
    good: u64,
    kept: Vec<u8>,
}

impl Lines {
    /// A new file; or an old one from whose lines those are cut off that come after this step, or after as many epochs.
    fn open(path: &std::path::Path, from: Option<(u64, u64)>) -> io::Result<Lines> {
        let mut options = File::options();
        options.read(true).write(true).create(true);
        let mut file = options.truncate(from.is_none()).open(path)?;
        let good = match from {
            Some((step, epochs)) => earlier_lines(&mut file, step, epochs)?,
            None => 0,
        };
        file.set_len(good)?;
        Ok(Lines {
            file: Some(file),
            good,
            kept: Vec::new(),
        })
    }

    fn push(&mut self, line: &str) {
        if self.kept.len() < MAX_KEPT {
            self.kept.extend_from_slice(line.as_bytes());
        }
    }

    /// Writes all, or leaves the file as it was.
    fn flush(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if self.kept.is_empty() {
            return Ok(());
        }
        file.seek(SeekFrom::Start(self.good))?;
        if let Err(e) = file.write_all(&self.kept) {
            // Half a line is in the way of whoever reads it.
            let _ = file.set_len(self.good);
            return Err(e);
        }
        self.good += self.kept.len() as u64;
        self.kept.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn lines_that_cannot_be_written_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let mut lines = Lines::open(&path, None).expect("a log");
        lines.push("a\n");
        lines.flush().expect("written");
        let real = lines.file.replace(
            File::options()
                .write(true)
                .open("/dev/full")
                .expect("a full disk"),
        );
        lines.push("b\n");
        assert_eq!(
            lines.flush().expect_err("full").kind(),
            io::ErrorKind::StorageFull
        );
        lines.push("c\n");
        lines.file = real;
        lines.flush().expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "a\nb\nc\n");
    }
}
