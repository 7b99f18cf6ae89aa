//! Checkpoints of a run in a folder: the last, the best by a score, and some of the way. Says when and under which name; the
//! trainer writes.

use super::error::Result;
use super::event::{At, Callback, Due, Event, Every, find};
use super::fit::LAST;
use super::{Resume, Trainer};
use crate::files::FileError;
use std::path::{Path, PathBuf};
use wgrad_data::Batch;
use wgrad_nn::Module;

/// The best checkpoint of a folder.
const BEST: &str = "best.safetensors";

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// Writes checkpoints into a folder, which is made if it is not there: `last.safetensors`, every so often and at the end
    /// of the run, at Ctrl-C and before a NaN; and with `keep` more than 0 the `keep` newest as `step-<number>.safetensors`.
    ///
    /// A checkpoint holds all that its state shows to a compiled step (weights, moments, averages, loss scales, random
    /// streams, variables, numbers), where the run and its loader stand, and what callbacks remember. It is written whole or
    /// not at all. If one cannot be written the run says so and goes on; if the last one cannot, that is `fit`'s error.
    pub fn checkpoint(mut self, folder: impl Into<PathBuf>, every: Every, keep: usize) -> Self {
        let folder = folder.into();
        self.options.folder = Some(folder.clone());
        self.callback(Checkpoints {
            due: Due::new(every),
            folder,
            keep,
            written: 0,
        })
    }

    /// Keeps the checkpoint with the best score as `best.safetensors` in the folder of [`Trainer::checkpoint`]; `rises` says
    /// whether more is better.
    pub fn best(self, score: &str, rises: bool) -> Self {
        self.callback(Best {
            score: score.to_owned(),
            rises,
            memory: Memory { best: f64::NAN },
        })
    }

    /// Has the next [`fit`](Trainer::fit) go on from the folder's last checkpoint, if `resume` is true and there is one: with
    /// the batch after the last one, to the bit on the same device.
    pub fn resume(mut self, resume: bool) -> Self {
        self.options.resume = if resume { Resume::Last } else { Resume::No };
        self
    }

    /// Has the next [`fit`](Trainer::fit) go on from a checkpoint, which must be there.
    pub fn resume_from(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.resume = Resume::From(path.into());
        self
    }
}

struct Checkpoints {
    due: Due,
    folder: PathBuf,
    keep: usize,
    /// The step of the last one, plus one.
    written: u64,
}

impl Checkpoints {
    fn name(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:08}.safetensors"))
    }

    /// Removes those that are older than the newest ones.
    fn tidy(&self) {
        let Ok(files) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let numbered = files.flatten().map(|f| f.path()).filter(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
            let number = name
                .strip_prefix("step-")
                .and_then(|n| n.strip_suffix(".safetensors"));
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        });
        let mut numbered: Vec<PathBuf> = numbered.collect();
        numbered.sort();
        let old = numbered.len().saturating_sub(self.keep);
        for path in &numbered[..old] {
            // One that cannot be removed is in nobody's way.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// An error unless files can be made in the folder.
pub(super) fn writable(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(FileError::at(folder, "make the folder"))?;
    let probe = tempfile::Builder::new()
        .prefix(".wgrad-")
        .tempfile_in(folder);
    probe.map_err(FileError::at(folder, "write into the folder"))?;
    Ok(())
}

impl<S> Callback<S> for Checkpoints {
    fn on(&mut self, event: &Event<'_>, _: &mut S, at: &mut At) -> Result<()> {
        match event {
            Event::Begin(_) if !at.is_dev_run() => {
                writable(&self.folder)?;
                self.written = if at.is_resumed() { at.step() + 1 } else { 0 };
            }
            Event::Stopping if self.written != at.step() + 1 => at.save(self.folder.join(LAST)),
            Event::Saved(path) if *path == self.folder.join(LAST) => self.written = at.step() + 1,
            Event::Saved(path) if *path == self.name(at.step()) => self.tidy(),
            event => {
                if self.due.at(event, at) {
                    at.save(self.folder.join(LAST));
                    if self.keep > 0 {
                        at.save(self.name(at.step()));
                    }
                }
            }
        }
        Ok(())
    }
}

struct Best {
    score: String,
    rises: bool,
    memory: Memory,
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Memory {
    best: f64,
}

impl Best {
    fn take(&mut self, value: f64, at: &mut At) {
        let best = self.memory.best;
        let better = if self.rises {
            value > best
        } else {
            value < best
        };
        if !value.is_nan() && (best.is_nan() || better) {
            self.memory.best = value;
            if let Some(folder) = at.folder().map(Path::to_path_buf) {
                at.save(folder.join(BEST));
            }
        }
    }
}

impl<S> Callback<S> for Best {
    fn on(&mut self, event: &Event<'_>, _: &mut S, at: &mut At) -> Result<()> {
        match event {
            Event::Begin(_) if at.folder().is_none() => {
                let message =
                    "the best checkpoint needs Trainer::checkpoint, which says where it goes";
                return Err(super::TrainError::Setup(message.to_string()));
            }
            Event::Scored(scores) => {
                if let Some(value) = find(scores, &self.score) {
                    self.take(value, at);
                }
            }
            Event::Epoch(epoch) if find(&epoch.scores, &self.score).is_none() => {
                if let Some(value) = epoch.get(&self.score) {
                    self.take(value, at);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn memory(&mut self) -> Option<(String, &mut dyn Module)> {
        Some((format!("best by {}", self.score), &mut self.memory))
    }
}
