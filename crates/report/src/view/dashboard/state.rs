//! What a dashboard has been told, in bounded memory. Must not draw.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::lines::left;
use super::super::{Event, epoch_line};

/// Values of one curve; more are halved.
const MOST_VALUES: usize = 1024;
const MOST_CURVES: usize = 64;
const MOST_LINES: usize = 500;

/// One number as the run goes on: means of `stride` values each.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) by_epoch: bool,
    pub(super) values: Vec<(f64, f64)>,
    pub(super) last: f64,
    stride: usize,
    sum: (f64, f64, usize),
}

impl Curve {
    fn push(&mut self, x: f64, y: f64) {
        self.last = y;
        if !y.is_finite() {
            return;
        }
        self.sum = (self.sum.0 + x, self.sum.1 + y, self.sum.2 + 1);
        if self.sum.2 < self.stride {
            return;
        }
        let n = self.sum.2 as f64;
        self.values.push((self.sum.0 / n, self.sum.1 / n));
        self.sum = (0.0, 0.0, 0);
        if self.values.len() >= MOST_VALUES {
            let half = self.values.chunks(2).map(|pair| {
                let n = pair.len() as f64;
                (
                    pair.iter().map(|v| v.0).sum::<f64>() / n,
                    pair.iter().map(|v| v.1).sum::<f64>() / n,
                )
            });
            self.values = half.collect();
            self.stride *= 2;
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) steps: Option<u64>,
    pub(super) epochs: u64,
    pub(super) epoch: u64,
    pub(super) epoch_steps: Option<u64>,
    pub(super) step: u64,
    pub(super) in_epoch: u64,
    pub(super) memory: Option<u64>,
    pub(super) most_memory: u64,
    pub(super) curves: Vec<Curve>,
    pub(super) began: Instant,
    first: Option<u64>,
    /// Since when the samples of this epoch count, and how many.
    epoch_began: Instant,
    samples: u64,
    /// What the epoch before came to.
    speed_before: f64,
    lines: VecDeque<String>,
}

impl Default for State {
    fn default() -> State {
        State {
            name: String::new(),
            steps: None,
            epochs: 0,
            epoch: 0,
            epoch_steps: None,
            step: 0,
            in_epoch: 0,
            memory: None,
            most_memory: 0,
            curves: Vec::new(),
            began: Instant::now(),
            first: None,
            epoch_began: Instant::now(),
            samples: 0,
            speed_before: 0.0,
            lines: VecDeque::new(),
        }
    }
}

impl State {
    pub(super) fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin {
                name,
                steps,
                epochs,
            } => {
                (self.name, self.steps, self.epochs) = ((*name).to_owned(), *steps, *epochs);
                (self.began, self.first) = (Instant::now(), None);
            }
            Event::EpochBegin { epoch, steps } => {
                (self.epoch, self.epoch_steps, self.in_epoch) = (*epoch, *steps, 0);
                self.speed_before = self.samples_per_second();
                (self.epoch_began, self.samples) = (Instant::now(), 0);
            }
            Event::Step {
                step,
                in_epoch,
                samples,
                scalars,
                memory,
            } => {
                self.first.get_or_insert(step.saturating_sub(1));
                (self.step, self.in_epoch, self.samples) = (*step, *in_epoch, *samples);
                self.memory = memory.or(self.memory);
                self.most_memory = self.most_memory.max(memory.unwrap_or(0));
                for (name, value) in *scalars {
                    self.put(name, *step as f64, *value, false);
                }
            }
            Event::Epoch {
                epoch,
                step,
                scores,
                seconds,
            } => {
                for (name, value) in *scores {
                    self.put(name, *step as f64, *value, true);
                }
                self.tell(epoch_line(*epoch, self.epochs, scores, *seconds));
            }
            Event::Message(text) => self.tell((*text).to_owned()),
            Event::End { stopped } => {
                if let Some(reason) = stopped {
                    self.tell(format!("stopped: {reason}"));
                }
            }
        }
    }

    fn put(&mut self, name: &str, x: f64, y: f64, by_epoch: bool) {
        let known = self
            .curves
            .iter_mut()
            .find(|curve| curve.name == name && curve.by_epoch == by_epoch);
        if let Some(curve) = known {
            return curve.push(x, y);
        }
        if self.curves.len() < MOST_CURVES {
            let mut curve = Curve {
                name: name.to_owned(),
                by_epoch,
                values: Vec::new(),
                last: y,
                stride: 1,
                sum: (0.0, 0.0, 0),
            };
            curve.push(x, y);
            self.curves.push(curve);
        }
    }

    fn tell(&mut self, text: String) {
        for line in text.lines() {
            self.lines.push_back(line.replace(char::is_control, " "));
        }
        while self.lines.len() > MOST_LINES {
            self.lines.pop_front();
        }
    }

    /// What was told, the oldest first.
    pub(super) fn told(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    pub(super) fn samples_per_second(&self) -> f64 {
        match self.samples {
            0 => self.speed_before,
            n => n as f64 / self.epoch_began.elapsed().as_secs_f64().max(1e-9),
        }
    }

    pub(super) fn left(&self) -> Option<Duration> {
        left(self.began.elapsed(), self.first?, self.step, self.steps)
    }

    /// How much of the run is done, 0 to 1.
    pub(super) fn done(&self) -> f64 {
        match (self.steps, self.epoch_steps) {
            (Some(steps), _) if steps > 0 => (self.step as f64 / steps as f64).clamp(0.0, 1.0),
            (_, Some(steps)) if steps > 0 => (self.in_epoch as f64 / steps as f64).clamp(0.0, 1.0),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_steps_take_bounded_memory() {
        let mut state = State::default();
        for step in 1..=1_000_000 {
            let loss = if step % 1000 == 7 {
                f64::NAN
            } else {
                1.0 / step as f64
            };
            let scalars = [("loss", loss)];
            state.note(&Event::Step {
                step,
                in_epoch: step,
                samples: step,
                scalars: &scalars,
                memory: None,
            });
        }
        for _ in 0..1000 {
            state.note(&Event::Message("a\nb"));
        }
        assert!(state.curves[0].values.len() <= MOST_VALUES && state.lines.len() == MOST_LINES);
        assert!(
            state.curves[0]
                .values
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0)
        );
        assert!(state.curves[0].values[0].0 < 2000.0);
    }
}
