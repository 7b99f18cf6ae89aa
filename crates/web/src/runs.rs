//! The training runs on the tab's devices, compared step by step with the losses that the native cpu executor had.
//! It must not know how those were computed.

use serde_json::{Value, json};
use wgrad::Device;
use wgrad::data::ImageDataset;
use wgrad_web_training::{RUNS, Run, checksum, training_digits};

use crate::checks::Outcome;

/// How far a loss may lie from the expected one, as a fraction of it.
const TOLERANCE: f64 = 1e-3;

/// The digits, what is expected of the runs on them, and what was seen.
pub(crate) struct Runs {
    digits: ImageDataset,
    expected: Value,
    seen: Vec<Seen>,
}

/// The losses of one run in one place.
struct Seen {
    run: &'static str,
    place: String,
    losses: Vec<f32>,
}

impl Runs {
    /// Takes the JSON text that `wgrad-web-expected` writes.
    pub(crate) fn new(expected: &str) -> Result<Self, String> {
        let expected: Value = serde_json::from_str(expected)
            .map_err(|error| format!("the expected losses cannot be read: {error}"))?;
        let mut runs = Self {
            digits: training_digits(),
            expected,
            seen: Vec::new(),
        };
        for run in RUNS {
            let losses = runs.expected(&run)?;
            let losses = losses.into_iter().map(|loss| loss as f32).collect();
            runs.see(&run, "cpu, native", losses);
        }
        Ok(runs)
    }

    /// Whether the tab draws the digits that were drawn natively.
    pub(crate) fn same_digits(&self) -> Outcome {
        let seen = format!("{:016x}", checksum(&self.digits));
        match self.expected["digits"].as_str() {
            Some(wanted) if wanted == seen => Ok(format!("{} images", self.digits.len())),
            wanted => Err(format!("their checksum is {seen}, not {wanted:?}")),
        }
    }

    /// Runs `run` on a device, keeps its losses under `place`, and compares them.
    pub(crate) async fn check(&mut self, run: &Run, device: &Device, place: &str) -> Outcome {
        let losses = run.losses(&self.digits, device).await;
        let losses = losses.map_err(|error| error.to_string())?;
        let outcome = compare(&losses, &self.expected(run)?);
        self.see(run, place, losses);
        outcome
    }

    /// `[{"name", "columns": [{"place", "losses"}]}]`: a table of losses for each run.
    pub(crate) fn tables(&self) -> Vec<Value> {
        let columns = |run: &Run| {
            let seen = self.seen.iter().filter(|seen| seen.run == run.name);
            seen.map(|seen| json!({ "place": seen.place, "losses": seen.losses }))
                .collect::<Vec<_>>()
        };
        let title = |run: &Run| format!("{}, batches of {}", run.name, run.batch);
        RUNS.iter()
            .map(|run| json!({ "name": title(run), "columns": columns(run) }))
            .collect()
    }

    fn expected(&self, run: &Run) -> Result<Vec<f64>, String> {
        let losses = self.expected[run.name].as_array();
        losses
            .and_then(|losses| losses.iter().map(Value::as_f64).collect())
            .ok_or_else(|| format!("the expected losses of {} are missing", run.name))
    }

    fn see(&mut self, run: &Run, place: &str, losses: Vec<f32>) {
        self.seen.push(Seen {
            run: run.name,
            place: place.to_owned(),
            losses,
        });
    }
}

/// Fails if a loss is further from the wanted one than [`TOLERANCE`]; says how far the furthest is.
fn compare(seen: &[f32], wanted: &[f64]) -> Outcome {
    if seen.len() != wanted.len() || seen.is_empty() {
        return Err(format!("{} losses, not {}", seen.len(), wanted.len()));
    }
    let mut furthest = 0.0f64;
    for (step, (&seen, &wanted)) in seen.iter().zip(wanted).enumerate() {
        let distance = (f64::from(seen) - wanted).abs() / wanted.abs();
        if distance.is_nan() || distance > TOLERANCE {
            return Err(format!("the loss of step {step} is {seen}, not {wanted}"));
        }
        furthest = furthest.max(distance);
    }
    Ok(format!(
        "{} steps, every loss within {furthest:.0e} of the native cpu's",
        seen.len()
    ))
}
