//! Whether this thread is tracing a function, and what of the host's numbers the function has looked at meanwhile. It must
//! not know what becomes of a trace: that is `replay`'s.

use std::cell::Cell;
use std::panic::Location;

thread_local! {
    static TRACING: Cell<bool> = const { Cell::new(false) };
    static OBSERVED: Cell<Option<Observed>> = const { Cell::new(None) };
}

/// What a traced function did with the host's numbers that a replay could not repeat, and where.
pub type Observed = (&'static str, &'static Location<'static>);

/// Notes that a number of the host is read or set, which a replay would not do again. Only a trace asks for it.
#[track_caller]
pub fn observe(what: &'static str) {
    if TRACING.get() && OBSERVED.get().is_none() {
        OBSERVED.set(Some((what, Location::caller())));
    }
}

/// The first thing that was noted in this trace.
pub(crate) fn observed() -> Option<Observed> {
    OBSERVED.get()
}

/// Whether this thread is tracing: then [`eval`](crate::eval()) leaves alone what depends on a stand-in.
pub fn is_tracing() -> bool {
    TRACING.get()
}

/// Begins a trace, with nothing noted; false if this thread is tracing already.
pub(crate) fn begin() -> bool {
    let is_new = !TRACING.replace(true);
    if is_new {
        OBSERVED.set(None);
    }
    is_new
}

/// Ends the trace.
pub(crate) fn end() {
    TRACING.set(false);
}
