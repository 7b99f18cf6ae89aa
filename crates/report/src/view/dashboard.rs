//! A run on the whole terminal: curves, speed, memory, time left, and what was told last. A thread of its own draws a few
//! times a second, so that a training step only notes numbers and a terminal that is resized is soon redrawn. The terminal
//! is as it was after the end, on drop and on a panic. Keys stay the terminal's, so that Ctrl-C reaches the program.

mod screen;
mod state;

use std::io::{self, IsTerminal, Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};

use super::{Event, View};
use state::State;

/// Between two drawings.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether a dashboard has the terminal: at most one, and a panic gives it back.
static OPEN: AtomicBool = AtomicBool::new(false);

/// The dashboard.
///
/// ```
/// use wgrad_report::view::{Dashboard, Event, View};
/// // Without a terminal there is none, and the caller takes another view.
/// if let Ok(mut view) = Dashboard::open() {
///     view.event(&Event::Begin { name: "first", steps: Some(10), epochs: 1 });
/// }
/// ```
#[derive(Debug)]
pub struct Dashboard {
    state: Arc<Mutex<State>>,
    going: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Takes the terminal of standard output.
    ///
    /// # Errors
    /// Standard output is no terminal, another dashboard has it, or it cannot be drawn on.
    pub fn open() -> io::Result<Dashboard> {
        if !stdout().is_terminal() {
            return Err(io::Error::other("standard output is no terminal"));
        }
        if OPEN.swap(true, Ordering::SeqCst) {
            return Err(io::Error::other("another dashboard has the terminal"));
        }
        restore_on_panic();
        let taken = execute!(stdout(), EnterAlternateScreen, Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        let terminal = taken.inspect_err(|_| restore())?;
        let state = Arc::new(Mutex::new(State::default()));
        let going = Arc::new(AtomicBool::new(true));
        let (seen, goes) = (state.clone(), going.clone());
        let spawned = std::thread::Builder::new()
            .name("wgrad-dashboard".to_owned())
            .spawn(move || draw_while(terminal, &seen, &goes));
        match spawned {
            Ok(thread) => Ok(Dashboard {
                state,
                going,
                thread: Some(thread),
            }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    fn close(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.going.store(false, Ordering::SeqCst);
        thread.thread().unpark();
        // A thread that panicked has told so.
        let _ = thread.join();
        restore();
        // What scrolled by on the other screen would be lost with it.
        let mut out = io::stderr();
        for line in lock(&self.state).told() {
            let _ = writeln!(out, "{line}");
        }
    }
}

impl View for Dashboard {
    fn event(&mut self, event: &Event<'_>) {
        if self.thread.is_none() {
            // After the end there is no screen any more.
            if let Event::Message(text) = event {
                let _ = writeln!(io::stderr(), "{text}");
            }
            return;
        }
        lock(&self.state).note(event);
        if matches!(event, Event::End { .. }) {
            self.close();
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw_while(
    mut terminal: Terminal<CrosstermBackend<Stdout>>,
    state: &Mutex<State>,
    going: &AtomicBool,
) {
    while going.load(Ordering::SeqCst) && OPEN.load(Ordering::SeqCst) {
        // Drawn from a copy, so that a slow terminal holds up no step.
        let now = lock(state).clone();
        if terminal.draw(|frame| screen::draw(frame, &now)).is_err() {
            return;
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// Gives the terminal back, once.
fn restore() {
    if OPEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

/// A panic's message belongs on the screen that stays.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}
