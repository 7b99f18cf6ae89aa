//! What a person sees of a run: the layers before it, a bar or lines while it trains, a line for each epoch. Reads no device.

use super::error::Result;
use super::event::{At, Callback, EpochScores, Event, StepRecord};
use crate::Progress;
use std::time::Instant;

/// Shows a run: tables and lines of epochs on standard output, progress and messages on standard error.
pub(super) struct Show {
    progress: Option<Progress>,
    began: Option<Instant>,
    first_step: u64,
    samples: u64,
}

impl Show {
    pub(super) fn new() -> Show {
        Show {
            progress: None,
            began: None,
            first_step: 0,
            samples: 0,
        }
    }

    fn say(&mut self, text: &str) {
        match &mut self.progress {
            Some(progress) => progress.println(text),
            None => eprintln!("{text}"),
        }
    }

    fn read(&mut self, records: &[StepRecord], at: &At) {
        let Some(progress) = &mut self.progress else {
            return;
        };
        self.samples += records.iter().map(|r| r.samples as u64).sum::<u64>();
        let last = records.last();
        let loss = last.and_then(|r| r.get("loss").or_else(|| r.iter().next().map(|(_, v)| v)));
        let accuracy = at.score("train_accuracy");
        progress.update(at.batch(), self.samples, loss.map(|v| v as f32), accuracy);
    }

    fn line(&self, epoch: &EpochScores, at: &At) -> String {
        let mut line = format!("epoch {}/{}:", epoch.epoch, at.epochs());
        for (name, value) in &epoch.training {
            // A norm's mean says little, and there may be one for each layer.
            if !name.starts_with("grad_norm") {
                line.push_str(&format!(" train_{name} {},", number(*value)));
            }
        }
        for (name, value) in &epoch.scores {
            line.push_str(&format!(" {name} {},", number(*value)));
        }
        line.push_str(&format!(" {:.1} s", epoch.seconds));
        let done = at.step() - self.first_step;
        if let (Some(total), Some(began)) = (at.total_steps(), self.began)
            && done > 0
            && at.step() < total
        {
            let left = began.elapsed().as_secs_f64() * (total - at.step()) as f64 / done as f64;
            line.push_str(&format!(", about {left:.0} s left"));
        }
        line
    }
}

/// Four digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        a if (1e-3..1e4).contains(&a) => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

impl<S> Callback<S> for Show {
    fn on(&mut self, event: &Event<'_>, _: &mut S, at: &mut At) -> Result<()> {
        match event {
            Event::Begin(model) => {
                self.began = Some(Instant::now());
                self.first_step = at.step();
                if !model.layers.is_empty() {
                    println!("{model}");
                }
            }
            Event::EpochBegin => {
                let title = format!("epoch {}/{}", at.epoch() + 1, at.epochs());
                let batches = at.batches().unwrap_or(0) as u64;
                self.samples = 0;
                self.progress = Some(Progress::new(title, batches));
            }
            Event::Read(records) => self.read(records, at),
            Event::EpochEnd | Event::Stopping | Event::Failed(_) => {
                if let Some(progress) = self.progress.take() {
                    progress.finish();
                }
            }
            Event::Epoch(epoch) => println!("{}", self.line(epoch, at)),
            Event::Message(text) => self.say(text),
            Event::End(fitted) => {
                if let Some(reason) = &fitted.stopped {
                    println!("stopped after step {}: {reason}", fitted.steps);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
