//! Live views of a run: plain lines, a bar, a dashboard, or nothing. A trainer tells what happens as [`Event`]s; a view shows
//! it. Must not read a device, nor fail: a closed terminal does not end a training.

#[cfg(all(feature = "dashboard", not(target_arch = "wasm32")))]
mod dashboard;
mod lines;
#[cfg(not(target_arch = "wasm32"))]
mod progress;

#[cfg(all(feature = "dashboard", not(target_arch = "wasm32")))]
pub use dashboard::Dashboard;
pub use lines::Lines;
#[cfg(not(target_arch = "wasm32"))]
pub use progress::{Bar, Progress};

/// Something that happens in a run.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run begins, or goes on.
    Begin {
        /// What it is called.
        name: &'a str,
        /// Steps of the whole run, where that is known.
        steps: Option<u64>,
        /// Epochs of the whole run.
        epochs: u64,
    },
    /// An epoch begins.
    EpochBegin {
        /// Counted from 1.
        epoch: u64,
        /// Its steps, where that is known.
        steps: Option<u64>,
    },
    /// Steps are done. May be told for some of them only.
    Step {
        /// Steps of the run so far.
        step: u64,
        /// Steps of this epoch so far.
        in_epoch: u64,
        /// Samples of this epoch so far.
        samples: u64,
        /// What the step returned, and rates, by name.
        scalars: &'a [(&'a str, f64)],
        /// Bytes held on the device now, where that is known.
        memory: Option<u64>,
    },
    /// An epoch is over.
    Epoch {
        /// Counted from 1.
        epoch: u64,
        /// Steps of the run so far.
        step: u64,
        /// Means and scores, by name.
        scores: &'a [(&'a str, f64)],
        /// Wall time.
        seconds: f64,
    },
    /// Something to tell.
    Message(&'a str),
    /// The run is over.
    End {
        /// Why it ended early, if it did.
        stopped: Option<&'a str>,
    },
}

/// Something that shows a run while it goes on.
///
/// ```
/// use wgrad_report::view::{Event, Lines, View};
/// let mut view = Lines::new(std::io::sink());
/// view.event(&Event::Begin { name: "first", steps: Some(10), epochs: 1 });
/// view.event(&Event::Step { step: 1, in_epoch: 1, samples: 64, scalars: &[("loss", 2.3)], memory: None });
/// view.event(&Event::End { stopped: None });
/// ```
pub trait View {
    /// Shows what happened.
    fn event(&mut self, event: &Event<'_>);
}

impl<V: View + ?Sized> View for Box<V> {
    fn event(&mut self, event: &Event<'_>) {
        (**self).event(event);
    }
}

/// Shows nothing.
///
/// ```
/// use wgrad_report::view::{Event, Nothing, View};
/// Nothing.event(&Event::Message("not seen"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl View for Nothing {
    fn event(&mut self, _: &Event<'_>) {}
}

/// The names that `WGRAD_VIEW` may have.
const CHOICE: &str = "WGRAD_VIEW";

impl dyn View {
    /// What suits where the output goes: a bar on a terminal, else plain lines, both on standard error. `WGRAD_VIEW` chooses
    /// otherwise: `none`, `lines`, `bar`, or `dashboard`, which needs that feature and a terminal.
    ///
    /// ```
    /// use wgrad_report::View;
    /// let mut view = <dyn View>::automatic();
    /// view.event(&wgrad_report::view::Event::Message("shown somewhere"));
    /// ```
    pub fn automatic() -> Box<dyn View + Send> {
        let choice = std::env::var(CHOICE).unwrap_or_default();
        <dyn View>::choose(&choice)
    }

    /// The view of that name, or the one that suits: a dashboard and a bar need a terminal, and are lines elsewhere.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn choose(name: &str) -> Box<dyn View + Send> {
        use std::io::{IsTerminal, stderr, stdout};

        let terminal = stderr().is_terminal();
        match name {
            "none" => Box::new(Nothing),
            "lines" => Box::new(Lines::new(stderr())),
            #[cfg(feature = "dashboard")]
            "dashboard" if stdout().is_terminal() => match Dashboard::open() {
                Ok(dashboard) => Box::new(dashboard),
                Err(error) => {
                    eprintln!("warning: no dashboard on this terminal: {error}");
                    Box::new(Bar::new())
                }
            },
            #[cfg(not(feature = "dashboard"))]
            "dashboard" if stdout().is_terminal() => {
                eprintln!("warning: {CHOICE}=dashboard needs the feature `dashboard`");
                Box::new(Bar::new())
            }
            _ if terminal => Box::new(Bar::new()),
            _ => Box::new(Lines::new(stderr())),
        }
    }

    /// Nothing: a page has its own ways.
    #[cfg(target_arch = "wasm32")]
    pub fn choose(_: &str) -> Box<dyn View + Send> {
        Box::new(Nothing)
    }
}

/// Four digits that say something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e4).contains(&size) => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

/// `0:05`, `1:02`, `1:02:03`.
pub(crate) fn clock(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// The scores of an epoch in a line. Norms of gradients by layer are too many for one.
pub(crate) fn epoch_line(epoch: u64, epochs: u64, scores: &[(&str, f64)], seconds: f64) -> String {
    let mut line = format!("epoch {epoch}/{epochs}:");
    for (name, value) in scores
        .iter()
        .filter(|(name, _)| !name.contains("grad_norm"))
    {
        line.push_str(&format!(" {name} {},", number(*value)));
    }
    line + &format!(" {seconds:.1} s")
}
