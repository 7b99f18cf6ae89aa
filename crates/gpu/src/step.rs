//! A step as the families see it. It must not know a family.

use super::choices::Choices;
use super::target::Target;
use super::wide::Wide;
use crate::dtype::DType;
use crate::plan::{Held, Step};

/// A step as the family modules see it.
pub(super) struct StepView<'a> {
    pub(super) step: &'a Step,
    pub(super) target: Target,
    /// What was measured on this very device.
    pub(super) choices: &'a Choices,
    /// For each input the first input with the same slot, so that they share a binding.
    pub(super) same_input: Vec<usize>,
    /// Inputs that are what an output holds before: they are read from the output's binding.
    pub(super) held: Vec<Held>,
    /// The input that is the variable `x`.
    pub(super) value: Option<usize>,
    /// Dtypes of the inputs' slots.
    pub(super) input_dtypes: Vec<DType>,
    pub(super) output_dtype: DType,
}

impl StepView<'_> {
    /// The output that an input is the earlier contents of.
    pub(super) fn held_by(&self, input: usize) -> Option<usize> {
        let held = self.held.iter().find(|h| h.input == input);
        held.map(|h| h.output)
    }

    /// Whether loads of all that outputs hold before go by fours, as the stores do.
    pub(super) fn held_whole(&self, wide: &Wide) -> bool {
        self.held.iter().all(|h| wide.is_whole(h.input))
    }
}

/// Number of points of a loop nest.
pub(super) fn product(shape: &[usize]) -> u64 {
    shape
        .iter()
        .fold(1_u64, |n, &size| n.saturating_mul(size as u64))
}
