//! Ctrl-C while a trainer runs: the first asks it to end after the step, the second ends the program at once, and outside of
//! a run it does what it always does.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

struct Flags {
    /// Whether Ctrl-C ends the program.
    kills: Arc<AtomicBool>,
    hit: Arc<AtomicBool>,
    runs: AtomicUsize,
}

/// The process's flags; `None` where signals cannot be caught.
fn flags() -> Option<&'static Flags> {
    static FLAGS: OnceLock<Option<Flags>> = OnceLock::new();
    FLAGS
        .get_or_init(|| {
            use signal_hook::{consts::SIGINT, flag};
            let flags = Flags {
                kills: Arc::new(AtomicBool::new(true)),
                hit: Arc::new(AtomicBool::new(false)),
                runs: AtomicUsize::new(0),
            };
            // In this order: the second Ctrl-C finds what the first has set.
            flag::register_conditional_default(SIGINT, flags.kills.clone()).ok()?;
            flag::register(SIGINT, flags.hit.clone()).ok()?;
            flag::register(SIGINT, flags.kills.clone()).ok()?;
            Some(flags)
        })
        .as_ref()
}

/// While this lives, Ctrl-C is noticed.
pub(super) struct Interrupt(());

impl Interrupt {
    pub(super) fn watch() -> Interrupt {
        if let Some(flags) = flags()
            && flags.runs.fetch_add(1, Ordering::SeqCst) == 0
        {
            flags.hit.store(false, Ordering::SeqCst);
            flags.kills.store(false, Ordering::SeqCst);
        }
        Interrupt(())
    }

    pub(super) fn is_hit(&self) -> bool {
        flags().is_some_and(|f| f.hit.load(Ordering::Relaxed))
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        if let Some(flags) = flags()
            && flags.runs.fetch_sub(1, Ordering::SeqCst) == 1
        {
            flags.kills.store(true, Ordering::SeqCst);
        }
    }
}
