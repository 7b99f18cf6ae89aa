//! Single operations as models have them, a JSON line each, and how they are timed: forward, and forward with all gradients.
//! The command line and the page in a browser's tab time the same operations the same way. It must not read a clock, a file or
//! arguments: who asks for times brings them.

mod operation;
mod timing;

pub use operation::{Operation, Shape, read};
pub use timing::{Timed, Timer};

/// What a shape says or an operation does wrongly.
pub type Error = Box<dyn std::error::Error>;

/// A result with such an error.
pub type Result<T> = std::result::Result<T, Error>;
