//! The progress of one epoch: a bar on a terminal, a plain line every few seconds elsewhere; and the view of a run that shows
//! its epochs so.
//!
//! Writes to standard error only. Must not read a device: it shows numbers the caller has already,
//! and they may be some steps old. Absent on `wasm32`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Event, View, clock, epoch_line};

/// Between two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Redraws of the bar in a second, at most.
const REDRAWS_PER_SECOND: u8 = 10;

/// The progress of one epoch.
///
/// ```
/// use wgrad_report::Progress;
/// let mut progress = Progress::plain("epoch 1/5", 100, std::io::sink());
/// progress.update(10, 640, Some(2.3), None);
/// progress.finish();
/// ```
///
/// Dropping it without [`finish`](Self::finish) (an error on the way) leaves the last state visible.
pub struct Progress {
    state: State,
    started: Instant,
    display: Display,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

enum Display {
    Bar(ProgressBar),
    Plain {
        out: Box<dyn Write + Send>,
        next: Duration,
    },
}

#[derive(Debug)]
struct State {
    title: String,
    steps: u64,
    step: u64,
    samples: u64,
    loss: Option<f32>,
    accuracy: Option<f64>,
    others: Vec<(String, f64)>,
}

impl Progress {
    /// Begins an epoch of `steps` steps; `title` is such as `epoch 1/5`.
    pub fn new(title: impl Into<String>, steps: u64) -> Self {
        if io::stderr().is_terminal() {
            Self::bar(title.into(), steps)
        } else {
            Self::plain(title, steps, io::stderr())
        }
    }

    /// Plain lines to `out`, one every five seconds and one at the end.
    pub fn plain(title: impl Into<String>, steps: u64, out: impl Write + Send + 'static) -> Self {
        let display = Display::Plain {
            out: Box::new(out),
            next: PLAIN_INTERVAL,
        };
        Self {
            state: State::new(title.into(), steps),
            started: Instant::now(),
            display,
        }
    }

    fn bar(title: String, steps: u64) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        // A constant template: an invalid one would fail the unit test, and the default still works.
        bar.set_style(bar_style().unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(title.clone());
        Self {
            state: State::new(title, steps),
            started: Instant::now(),
            display: Display::Bar(bar),
        }
    }

    /// `step` steps and `samples` samples of this epoch are done; `loss` and `accuracy` (0 to 1)
    /// are the newest known values.
    pub fn update(&mut self, step: u64, samples: u64, loss: Option<f32>, accuracy: Option<f64>) {
        let state = &mut self.state;
        (state.step, state.samples) = (step, samples);
        state.loss = loss.or(state.loss);
        state.accuracy = accuracy.or(state.accuracy);
        let elapsed = self.started.elapsed();
        match &mut self.display {
            Display::Bar(bar) => {
                bar.set_position(step);
                bar.set_message(state.numbers(elapsed));
            }
            Display::Plain { out, next } if elapsed >= *next => {
                *next = elapsed + PLAIN_INTERVAL;
                print(out, &state.line(elapsed));
            }
            Display::Plain { .. } => {}
        }
    }

    /// Ends the epoch; its last state stays visible.
    pub fn finish(mut self) {
        let elapsed = self.started.elapsed();
        match &mut self.display {
            Display::Bar(bar) => {
                bar.set_message(self.state.numbers(elapsed));
                bar.abandon();
            }
            Display::Plain { out, .. } => print(out, &self.state.line(elapsed)),
        }
    }

    /// Prints a line above the bar.
    pub fn println(&mut self, line: &str) {
        match &mut self.display {
            Display::Bar(bar) => bar.println(line),
            Display::Plain { out, .. } => print(out, line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Display::Bar(bar) = &self.display
            && !bar.is_finished()
        {
            bar.abandon();
        }
    }
}

fn bar_style() -> Result<ProgressStyle, indicatif::style::TemplateError> {
    let template = "{prefix} [{bar:30}] {pos}/{len} {msg} [{elapsed} < {eta}]";
    Ok(ProgressStyle::with_template(template)?.progress_chars("=> "))
}

/// Progress is a courtesy: a closed standard error must not end the training.
fn print(out: &mut impl Write, line: &str) {
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

impl State {
    fn new(title: String, steps: u64) -> Self {
        Self {
            title,
            steps,
            step: 0,
            samples: 0,
            loss: None,
            accuracy: None,
            others: Vec::new(),
        }
    }

    fn numbers(&self, elapsed: Duration) -> String {
        let mut text = String::new();
        if let Some(loss) = self.loss {
            let _ = write!(text, "loss {loss:.4} ");
        }
        if let Some(accuracy) = self.accuracy {
            let _ = write!(text, "accuracy {:.2}% ", 100.0 * accuracy);
        }
        for (name, value) in &self.others {
            let _ = write!(text, "{name} {} ", super::number(*value));
        }
        let rate = self.samples as f64 / elapsed.as_secs_f64().max(1e-9);
        let _ = write!(text, "{rate:.0} samples/s");
        text
    }

    fn line(&self, elapsed: Duration) -> String {
        let left = self.left(elapsed).map_or_else(|| "?".to_owned(), clock);
        let (title, step, steps) = (&self.title, self.step, self.steps);
        format!(
            "{title} {step}/{steps} {} [{} < {left}]",
            self.numbers(elapsed),
            clock(elapsed)
        )
    }

    /// The rest at the mean speed so far; `None` before the first step.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let rest = self.steps.saturating_sub(self.step) as f64;
        let seconds = elapsed.as_secs_f64() * rest / self.step as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// A run as bars, one for each epoch, and lines between them, on standard error.
///
/// ```
/// use wgrad_report::view::{Bar, Event, View};
/// let mut view = Bar::new();
/// view.event(&Event::EpochBegin { epoch: 1, steps: Some(100) });
/// view.event(&Event::Step { step: 1, in_epoch: 1, samples: 64, scalars: &[("loss", 2.3)], memory: None });
/// view.event(&Event::Epoch { epoch: 1, step: 100, scores: &[("validation_accuracy", 0.9)], seconds: 1.5 });
/// ```
#[derive(Debug, Default)]
pub struct Bar {
    progress: Option<Progress>,
    epochs: u64,
}

/// Further scalars beside loss and accuracy that a bar has room for.
const MOST_OTHERS: usize = 3;

impl Bar {
    /// Shows nothing yet.
    pub fn new() -> Bar {
        Bar::default()
    }

    fn say(&mut self, text: &str) {
        match &mut self.progress {
            Some(progress) => progress.println(text),
            None => print(&mut io::stderr(), text),
        }
    }

    fn finish(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }
}

impl View for Bar {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { epochs, .. } => self.epochs = *epochs,
            Event::EpochBegin { epoch, steps } => {
                self.finish();
                let title = format!("epoch {epoch}/{}", self.epochs.max(*epoch));
                self.progress = Some(Progress::new(title, steps.unwrap_or(0)));
            }
            Event::Step {
                in_epoch,
                samples,
                scalars,
                ..
            } => {
                if let Some(progress) = &mut self.progress {
                    let find = |name: &str| {
                        scalars
                            .iter()
                            .find(|(other, _)| *other == name)
                            .map(|(_, value)| *value)
                    };
                    let known = ["loss", "accuracy"];
                    let others = scalars
                        .iter()
                        .filter(|(name, _)| !known.contains(name) && !name.contains('.'));
                    progress.state.others = others
                        .take(MOST_OTHERS)
                        .map(|(name, value)| ((*name).to_owned(), *value))
                        .collect();
                    progress.update(
                        *in_epoch,
                        *samples,
                        find("loss").map(|loss| loss as f32),
                        find("accuracy"),
                    );
                }
            }
            Event::Epoch {
                epoch,
                scores,
                seconds,
                ..
            } => {
                self.finish();
                let line = epoch_line(*epoch, self.epochs, scores, *seconds);
                self.say(&line);
            }
            Event::Message(text) => self.say(text),
            Event::End { stopped } => {
                self.finish();
                if let Some(reason) = stopped {
                    self.say(&format!("stopped: {reason}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    struct Sink(Sender<u8>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            for &byte in bytes {
                self.0.send(byte).map_err(io::Error::other)?;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(receiver: &Receiver<u8>) -> String {
        String::from_utf8(receiver.try_iter().collect()).unwrap()
    }

    #[test]
    fn the_template_is_valid() {
        bar_style().unwrap();
    }

    #[test]
    fn lines_show_everything() {
        let mut state = State::new("epoch 1/5".to_owned(), 100);
        assert_eq!(
            state.line(Duration::ZERO),
            "epoch 1/5 0/100 0 samples/s [0:00 < ?]"
        );
        (state.step, state.samples, state.loss, state.accuracy) =
            (25, 1600, Some(0.51234), Some(0.9));
        let expected = "epoch 1/5 25/100 loss 0.5123 accuracy 90.00% 160 samples/s [0:10 < 0:30]";
        assert_eq!(state.line(Duration::from_secs(10)), expected);
        state.step = 101;
        assert!(
            state
                .line(Duration::from_secs(3723))
                .ends_with("[1:02:03 < 0:00]")
        );
    }

    #[test]
    fn plain_lines_come_after_the_interval_and_at_the_end() {
        let (sender, receiver) = channel();
        let mut progress = Progress::plain("e", 3, Sink(sender));
        progress.update(1, 10, Some(1.0), None);
        assert_eq!(text(&receiver), "");
        progress.started -= PLAIN_INTERVAL;
        progress.update(2, 20, Some(0.5), None);
        assert!(text(&receiver).starts_with("e 2/3 loss 0.5000 4 samples/s [0:05 < 0:02]\n"));
        progress.update(3, 30, None, None);
        assert_eq!(text(&receiver), "");
        progress.println("note");
        progress.finish();
        let rest = text(&receiver);
        assert!(rest.starts_with("note\ne 3/3 loss 0.5000 "), "{rest}");
        assert_eq!(rest.lines().count(), 2);
    }

    #[test]
    fn a_closed_output_is_no_error() {
        let (sender, receiver) = channel();
        drop(receiver);
        Progress::plain("e", 1, Sink(sender)).finish();
    }

    #[test]
    fn a_bar_can_be_driven_and_dropped() {
        let mut progress = Progress::bar("e".to_owned(), 2);
        if let Display::Bar(bar) = &progress.display {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        progress.update(1, 4, Some(f32::NAN), Some(0.5));
        let Display::Bar(bar) = &progress.display else {
            panic!("not a bar")
        };
        let bar = bar.clone();
        assert_eq!(bar.position(), 1);
        assert!(bar.message().starts_with("loss NaN accuracy 50.00%"));
        drop(progress);
        assert!(bar.is_finished());
    }
}
