//! Putting named arrays into a module: renaming, leaving out, and a list of all that does not fit.

use super::{Weights, WeightsError, names};
use crate::session::to_tensor;
use std::collections::BTreeMap;
use std::fmt;
use wgrad_graph::{DType, Tensor};
use wgrad_nn::Module;

/// How weights are put into a module.
///
/// ```
/// use wgrad_train::weights::LoadOptions;
/// let options = LoadOptions::new()
///     .rename("module.*", "*") // what DataParallel puts in front
///     .ignore("fc.*") // another head
///     .partial();
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    rename: Vec<(String, String)>,
    ignore: Vec<String>,
    partial: bool,
}

impl LoadOptions {
    /// Every name and shape must fit.
    pub fn new() -> LoadOptions {
        LoadOptions::default()
    }

    /// Names in the file that fit `from` become `to`. `*` stands for any text, and those of `to` take what those of `from`
    /// stand for, in order. Rules follow one another.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> LoadOptions {
        self.rename.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Names in the file, after renaming, that fit `pattern` are left out. `num_batches_tracked` of PyTorch's batch
    /// normalisation, which nothing here counts, is left out anyway unless the module has it.
    #[must_use]
    pub fn ignore(mut self, pattern: &str) -> LoadOptions {
        self.ignore.push(pattern.to_owned());
        self
    }

    /// What fits is loaded; the report lists the rest.
    #[must_use]
    pub fn partial(mut self) -> LoadOptions {
        self.partial = true;
        self
    }
}

/// What was loaded and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Names of the module's tensors that were loaded.
    pub loaded: Vec<String>,
    /// Names of the module's tensors that the file lacks.
    pub missing: Vec<String>,
    /// Names in the file, after renaming, that the module lacks.
    pub unexpected: Vec<String>,
    /// Names whose shape or kind of number differs, with both.
    pub misshapen: Vec<(String, String)>,
}

impl LoadReport {
    /// Whether everything was loaded and nothing left over.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![format!("{} loaded", self.loaded.len())];
        for (what, list) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            if !list.is_empty() {
                parts.push(format!("{what}: {}", list.join(", ")));
            }
        }
        if !self.misshapen.is_empty() {
            let list: Vec<String> = self
                .misshapen
                .iter()
                .map(|(name, how)| format!("{name} ({how})"))
                .collect();
            parts.push(format!("misshapen: {}", list.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

impl Weights {
    /// Puts the arrays into a module by name, cast to its floats; its tensors have PyTorch's names and layouts where a
    /// layer has a twin there. Nothing is changed if it fails.
    ///
    /// # Errors
    /// A name is missing, unexpected or has another shape, and the options do not allow it; two names became one; the
    /// device has no room.
    pub fn load_into(
        &self,
        model: &mut dyn Module,
        options: &LoadOptions,
    ) -> Result<LoadReport, WeightsError> {
        let mut given = BTreeMap::new();
        for (name, array) in &self.arrays {
            let mut new = name.clone();
            for (from, to) in &options.rename {
                if let Some(next) = names::renamed(&new, from, to) {
                    new = next;
                }
            }
            let left_out = |p: &String| names::captures(p, &new).is_some();
            if options.ignore.iter().any(left_out) {
                continue;
            }
            if given.insert(new.clone(), array).is_some() {
                let message = format!("several names of the file became {new}");
                return Err(WeightsError::format(&self.origin, message));
            }
        }
        let mut report = LoadReport::default();
        let mut state = model.state();
        for (name, tensor) in &mut state {
            let Some(array) = given.get(name.as_str()) else {
                report.missing.push(name.clone());
                continue;
            };
            let new = to_tensor(array, tensor.device());
            match fitted(&new, tensor)? {
                Ok(new) => {
                    report.loaded.push(name.clone());
                    *tensor = new;
                }
                Err(how) => report.misshapen.push((name.clone(), how)),
            }
        }
        let known: Vec<&str> = state.iter().map(|(name, _)| name.as_str()).collect();
        let counter =
            |name: &str| name == "num_batches_tracked" || name.ends_with(".num_batches_tracked");
        report.unexpected = given
            .keys()
            .filter(|name| !known.contains(&name.as_str()) && !counter(name))
            .cloned()
            .collect();
        if !report.is_complete() && !options.partial {
            return Err(WeightsError::Mismatch {
                origin: self.origin.clone(),
                report: Box::new(report),
            });
        }
        model.load_state(&state)?;
        Ok(report)
    }
}

/// `new` in the dtype of `old`, or how they differ.
fn fitted(new: &Tensor, old: &Tensor) -> wgrad_graph::Result<Result<Tensor, String>> {
    new.check()?;
    let kind = |d: DType| (d.is_float(), d == DType::Bool);
    if new.shape() != old.shape() || kind(new.dtype()) != kind(old.dtype()) {
        return Ok(Err(format!(
            "{}{:?} in the file, {}{:?} in the model",
            new.dtype(),
            new.shape(),
            old.dtype(),
            old.shape()
        )));
    }
    if new.dtype() == old.dtype() {
        return Ok(Ok(new.clone()));
    }
    new.cast(old.dtype()).detach().map(Ok)
}
