//! A run as plain lines: one for each epoch, one every few seconds between, and messages as they come. For files, pipes and
//! batch systems. Must not move a cursor.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Event, View, clock, epoch_line, number};

/// Between two lines within an epoch.
const INTERVAL: Duration = Duration::from_secs(5);

/// Plain lines to a writer.
pub struct Lines {
    out: Box<dyn Write + Send>,
    interval: Duration,
    began: Instant,
    next: Duration,
    epochs: u64,
    epoch: u64,
    steps: Option<u64>,
    /// The step that the run began with, for the time left.
    first: Option<u64>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// Lines to `out`; a writer that fails is not written to any more, and the run goes on.
    pub fn new(out: impl Write + Send + 'static) -> Lines {
        Lines {
            out: Box::new(out),
            interval: INTERVAL,
            began: Instant::now(),
            next: INTERVAL,
            epochs: 0,
            epoch: 0,
            steps: None,
            first: None,
        }
    }

    /// With another time between lines within an epoch; zero shows every step.
    #[must_use]
    pub fn every(self, interval: Duration) -> Lines {
        Lines {
            interval,
            next: interval,
            ..self
        }
    }

    fn print(&mut self, line: &str) {
        let written = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
        if written.is_err() {
            self.out = Box::new(std::io::sink());
        }
    }

    fn step(&mut self, step: u64, scalars: &[(&str, f64)]) {
        let first = *self.first.get_or_insert(step.saturating_sub(1));
        let elapsed = self.began.elapsed();
        if elapsed < self.next {
            return;
        }
        self.next = elapsed + self.interval;
        let of = self
            .steps
            .map_or_else(String::new, |steps| format!("/{steps}"));
        let mut line = format!(
            "epoch {}/{} step {step}{of}",
            self.epoch.max(1),
            self.epochs.max(1)
        );
        for (name, value) in scalars
            .iter()
            .filter(|(name, _)| !name.contains("grad_norm."))
        {
            line.push_str(&format!(" {name} {}", number(*value)));
        }
        let left = left(elapsed, first, step, self.steps).map_or_else(|| "?".to_owned(), clock);
        self.print(&format!("{line} [{} < {left}]", clock(elapsed)));
    }
}

/// The time of the steps that remain, at the mean speed so far.
pub(super) fn left(
    elapsed: Duration,
    first: u64,
    step: u64,
    steps: Option<u64>,
) -> Option<Duration> {
    let rest = steps?.saturating_sub(step) as f64;
    let done = step.saturating_sub(first) as f64;
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * rest / done).ok()
}

impl View for Lines {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { epochs, steps, .. } => {
                (self.began, self.next) = (Instant::now(), self.interval);
                (self.epochs, self.steps, self.first) = (*epochs, *steps, None);
            }
            Event::EpochBegin { epoch, .. } => self.epoch = *epoch,
            Event::Step { step, scalars, .. } => self.step(*step, scalars),
            Event::Epoch {
                epoch,
                scores,
                seconds,
                ..
            } => {
                self.print(&epoch_line(*epoch, self.epochs, scores, *seconds));
            }
            Event::Message(text) => self.print(text),
            Event::End {
                stopped: Some(reason),
            } => self.print(&format!("stopped: {reason}")),
            Event::End { stopped: None } => {}
        }
    }
}
