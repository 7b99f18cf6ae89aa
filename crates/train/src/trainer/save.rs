//! A whole run as one checkpoint: the state, where the run stands, where the loader stands, and what callbacks remember. One
//! visit of modules finds all of it, so that no part can be forgotten. Decides neither when nor where.

use super::Trainer;
use super::error::{Result, TrainError};
use crate::checkpoint::Checkpoint;
use crate::weights::{Part, STATE, gather, has, spread};
use std::path::Path;
use wgrad_data::{Batch, LoaderState};
use wgrad_graph::Tensor;
use wgrad_nn::{Module, Snapshot};

/// Where a run stands.
#[derive(Clone, Debug, Default, Module)]
#[module(crate = wgrad_nn)]
pub(super) struct Progress {
    /// Steps that have ended.
    pub(super) step: u64,
    /// Epochs that have ended.
    pub(super) epoch: u64,
    /// Batches of the epoch.
    pub(super) batch: u64,
    /// Samples of the epoch, those of steps that have been read.
    pub(super) samples: u64,
    /// Sums of the step's scalars over those samples: `name=bits` in hexadecimal.
    pub(super) sums: String,
    /// Scores of the epoch, in the same way.
    pub(super) scores: String,
    /// The loader's state: `name=value`.
    pub(super) loader: String,
}

/// What is kept of a run beside its state.
const PROGRESS: Part<'_> = Part {
    tensors: "wgrad.run.",
    skipped: "wgrad.run-skipped.",
    host: "wgrad.run.",
};

impl Progress {
    fn sums(&self) -> Vec<(String, f64)> {
        numbers(&self.sums)
    }

    fn scores(&self) -> Vec<(String, f64)> {
        numbers(&self.scores)
    }

    pub(super) fn set_loader(&mut self, state: &LoaderState) {
        let words: Vec<String> = state.iter().map(|(k, v)| format!("{k}={v}")).collect();
        self.loader = words.join("\n");
    }

    pub(super) fn loader(&self) -> LoaderState {
        let pairs = self.loader.lines().filter_map(|line| line.rsplit_once('='));
        pairs
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }
}

/// Numbers by name as a text, to the bit.
fn text(numbers: &[(String, f64)]) -> String {
    let words = numbers.iter();
    let words = words.map(|(name, value)| format!("{name}={:x}", value.to_bits()));
    words.collect::<Vec<_>>().join("\n")
}

fn numbers(text: &str) -> Vec<(String, f64)> {
    let pairs = text.lines().filter_map(|line| line.rsplit_once('='));
    let bits = |text: &str| u64::from_str_radix(text, 16).map(f64::from_bits);
    let pairs = pairs.filter_map(|(name, text)| Some((name.to_owned(), bits(text).ok()?)));
    pairs.collect()
}

/// The names that a callback's memory has in a file.
struct Names([String; 3]);

impl Names {
    fn of(callback: &str) -> Names {
        Names(["", "-skipped", "-host"].map(|kind| format!("wgrad.callback{kind}.{callback}.")))
    }

    fn part(&self) -> Part<'_> {
        let [tensors, skipped, host] = &self.0;
        Part {
            tensors,
            skipped,
            host,
        }
    }
}

impl<'a, S: Module + 'a, B: Batch + 'a> Trainer<'a, S, B> {
    /// The whole run, as it stands.
    ///
    /// # Errors
    /// A tensor cannot be read, a parameter is NaN, or two callbacks have one name.
    pub(super) fn gathered(&mut self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::default();
        gather(&mut checkpoint, STATE, &mut self.state)?;
        (self.progress.sums, self.progress.scores) = (text(&self.sums), text(&self.at.scores));
        gather(&mut checkpoint, PROGRESS, &mut self.progress)?;
        let mut names: Vec<String> = Vec::new();
        for callback in &mut self.callbacks {
            if let Some((name, memory)) = callback.memory() {
                if names.contains(&name) {
                    return Err(TrainError::Setup(format!(
                        "two callbacks keep their memory as {name:?}"
                    )));
                }
                gather(&mut checkpoint, Names::of(&name).part(), memory)?;
                names.push(name);
            }
        }
        let mut device = None;
        self.state.visit("", &mut |_, _, t: &Tensor| {
            device.get_or_insert_with(|| t.device().to_string());
        });
        let device = device.unwrap_or_default();
        checkpoint.metadata.insert("wgrad.device".into(), device);
        let version = env!("CARGO_PKG_VERSION").to_string();
        checkpoint.metadata.insert("wgrad.version".into(), version);
        Ok(checkpoint)
    }

    /// Puts a run back. Nothing is changed if it does not fit. Gives warnings.
    pub(super) fn put_back(
        &mut self,
        checkpoint: &Checkpoint,
        origin: &Path,
    ) -> Result<Vec<String>> {
        let origin = origin.display().to_string();
        let before = Snapshot::of(&mut self.state);
        let mut progress = Progress::default();
        spread(checkpoint, STATE, &mut self.state, &origin)?;
        let rest = spread(checkpoint, PROGRESS, &mut progress, &origin);
        let mut warnings = Vec::new();
        let rest = rest.map_err(TrainError::from).and_then(|()| {
            for callback in &mut self.callbacks {
                let Some((name, memory)) = callback.memory() else {
                    continue;
                };
                let names = Names::of(&name);
                if has(checkpoint, names.part()) {
                    spread(checkpoint, names.part(), memory, &origin)?;
                } else {
                    warnings.push(format!("{origin} knows nothing of the callback {name:?}"));
                }
            }
            Ok(())
        });
        if let Err(e) = rest {
            // What could not be put back is in no state that has just been loaded.
            let _ = before.restore(&mut self.state);
            return Err(e);
        }
        self.sums = progress.sums();
        self.at.scores = progress.scores();
        self.progress = progress;
        self.loaded = true;
        self.pending.clear();
        warnings.extend(self.foreign(checkpoint));
        Ok(warnings)
    }

    /// Where the run began, if that was elsewhere.
    fn foreign(&self, checkpoint: &Checkpoint) -> Option<String> {
        let entry = |name: &str| {
            checkpoint
                .metadata
                .get(name)
                .map_or("unknown", String::as_str)
        };
        let mut now = None;
        self.state.visit("", &mut |_, _, t: &Tensor| {
            now.get_or_insert_with(|| t.device().to_string());
        });
        let now = now.unwrap_or_default();
        let (then, version) = (entry("wgrad.device"), entry("wgrad.version"));
        let current = env!("CARGO_PKG_VERSION");
        (then != now || version != current).then(|| {
            format!(
                "the run began on {then} with wgrad {version} and goes on on {now} with {current}: not to the bit"
            )
        })
    }

    /// Writes the run to a file, atomically.
    ///
    /// ```no_run
    /// # fn f(trainer: &mut wgrad_train::Trainer<'_, wgrad_nn::Linear, wgrad_graph::Tensor>) -> wgrad_train::trainer::Result<()> {
    /// trainer.save("run.safetensors")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A tensor cannot be read, or the file cannot be written: the old one is whole then.
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.gathered()?.save(path)?;
        Ok(())
    }

    /// Puts back a run that [`Trainer::save`] or a checkpoint has written: the state, the counts of steps and epochs, and
    /// what callbacks remember. The next [`fit`](Trainer::fit) sets its loader to where the run stood.
    ///
    /// # Errors
    /// The file is missing, damaged, or of another run: the error lists everything that differs, and nothing is changed.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let checkpoint = Checkpoint::load(path)?;
        for warning in self.put_back(&checkpoint, path)? {
            self.at.message(format!("warning: {warning}"));
        }
        Ok(())
    }
}
