//! In place of `compiled` where no machine code is made: other processors and systems.

use crate::call::Context;
use crate::plan::{Held, Rows};
use crate::rows::outputs::Shared;
use std::ops::Range;

/// Nothing is.
#[derive(Debug)]
pub(crate) enum Compiled {}

impl Compiled {
    pub(super) fn of(_: &Rows, _: &[Held], _: &[bool]) -> Option<Compiled> {
        None
    }

    /// # Safety
    /// There is nothing to run.
    pub(super) unsafe fn run(
        &self,
        _: &Context<'_>,
        _: &Shared<'_>,
        _: &mut [f32],
        _: Range<usize>,
    ) {
        match *self {}
    }
}

/// Calls `f`.
#[cfg(test)]
pub(super) fn without<R>(f: impl FnOnce() -> R) -> R {
    f()
}
