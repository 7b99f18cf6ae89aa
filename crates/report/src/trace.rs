//! Kernel times out of a profile in Chrome's trace format, summed by name. Must not know what a kernel is.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::ReportError;

/// All runs of one kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kernel {
    /// As the profile names it.
    pub name: String,
    /// How often it ran.
    pub calls: u64,
    /// Microseconds of all calls together.
    pub microseconds: f64,
}

/// Complete events (`"ph":"X"`) summed by name, the longest first.
pub(crate) fn kernels(path: &Path, text: &str) -> Result<Vec<Kernel>, ReportError> {
    let wrong = |reason: String| ReportError::Content {
        path: path.to_owned(),
        reason,
    };
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let events = match &value {
        Value::Array(events) => events,
        other => other["traceEvents"]
            .as_array()
            .ok_or_else(|| wrong("it is no trace: it has no list of events".to_owned()))?,
    };
    let mut sums: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        if let (Some(name), Some(time)) = (event["name"].as_str(), event["dur"].as_f64()) {
            let sum = sums.entry(name).or_default();
            *sum = (sum.0 + 1, sum.1 + time);
        }
    }
    let kernel = |(name, (calls, microseconds)): (&str, (u64, f64))| Kernel {
        name: name.to_owned(),
        calls,
        microseconds,
    };
    let mut kernels: Vec<Kernel> = sums.into_iter().map(kernel).collect();
    kernels.sort_by(|a, b| b.microseconds.total_cmp(&a.microseconds));
    Ok(kernels)
}
