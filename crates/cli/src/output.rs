//! What a command prints. A reader that has enough, as `head`, ends it without an error.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stdout};

/// Prints a line, as `println!` does, which panics where nobody reads.
macro_rules! outln {
    ($($part:tt)*) => {
        $crate::output::line(format_args!($($part)*))
    };
}

/// [`outln!`] without an end of the line.
macro_rules! out {
    ($($part:tt)*) => {
        $crate::output::text(format_args!($($part)*))
    };
}

pub(crate) fn line(line: Arguments<'_>) {
    text(format_args!("{line}\n"));
}

pub(crate) fn text(text: Arguments<'_>) {
    match stdout().lock().write_fmt(text) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => {
            eprintln!("error: cannot write what this command prints: {e}");
            std::process::exit(1);
        }
    }
}
