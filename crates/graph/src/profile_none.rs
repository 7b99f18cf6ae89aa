//! The profile's hooks where there is neither a clock nor a file: nothing.

use crate::plan::Step;

/// Never begins.
#[derive(Clone, Copy)]
pub(crate) enum Never {}

pub(crate) fn begin() -> Option<Never> {
    None
}

#[cfg(feature = "cpu")]
pub(crate) fn cpu_step(_: Option<Never>, _: &Step) {}

pub(crate) fn plan(_: Option<Never>, _: usize, _: &[(&str, u64)]) {}

pub(crate) fn planning(_: Option<Never>, _: &str) {}
