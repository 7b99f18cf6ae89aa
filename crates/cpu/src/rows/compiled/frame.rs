//! What a compiled function is given: one block of memory with everything that differs from run to run. Knows no instruction.

use super::schedule::One;

/// Where a function finds what it works on, in words of 64 bits.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) streams: usize,
    pub(super) doubles: usize,
    /// Numbers in f32, two in a word.
    pub(super) numbers: Vec<One>,
}

impl Frame {
    /// Rows left to compute, in word 0; then counters of loops.
    pub(super) const GROUPS: usize = 1;
    pub(super) const RUNS: usize = 2;
    pub(super) const ROUNDS: usize = 3;
    pub(super) const COUNTERS: usize = 4;

    pub(super) fn words(&self) -> usize {
        Frame::COUNTERS + self.streams + self.doubles + self.numbers.len().div_ceil(2)
    }

    pub(super) fn stream(&self, stream: usize) -> usize {
        Frame::COUNTERS + stream
    }

    /// The half word of the first number.
    pub(super) fn first_number(&self) -> usize {
        2 * (Frame::COUNTERS + self.streams + self.doubles)
    }
}
