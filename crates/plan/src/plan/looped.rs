//! A loop, as a plan holds it: the plan of its body once, and what each round is given and leaves. Plain data.

use super::Plan;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Runs `body` `length` times. Leaf `i` of the body is input `i` of the step:
///
/// - as many as there are `carries` are what the round before has left as result `i` of the body, and the input itself in the first
///   round;
/// - as many as there are `pitches` are slices: round `t` of the input's rows is given row `t`, which begins at element
///   `t * pitch`;
/// - the others are the same in each round.
///
/// Where results and inputs lie may be longer than they are: what counts begins at the first element.
/// Rounds go from the first row to the last, or back if `reverse`. All elements take four bytes.
#[derive(Clone, Debug)]
pub struct Loop {
    /// What a round does. Its first results are the next carries.
    pub body: Arc<Plan>,
    /// How many rounds; may be zero.
    pub length: usize,
    /// From the last row to the first.
    pub reverse: bool,
    /// Elements of each carry.
    pub carries: Vec<usize>,
    /// Elements from row to row of each input that is given in slices.
    pub pitches: Vec<usize>,
    /// What each output of the step holds.
    pub writes: Vec<LoopWrite>,
    /// The run-time scalar that is the body's first.
    pub scalar: usize,
}

/// What an output of a loop holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoopWrite {
    /// A carry after the last round.
    Last {
        /// Which.
        carry: usize,
    },
    /// A result of the body of each round, row by row.
    Each {
        /// Which result.
        result: usize,
        /// Its elements.
        len: usize,
        /// Elements from row to row.
        pitch: usize,
    },
}

impl Loop {
    /// The row of round `round`.
    #[inline]
    pub fn row(&self, round: usize) -> usize {
        match self.reverse {
            true => self.length - 1 - round,
            false => round,
        }
    }

    /// Multiply-adds of products and convolutions of all rounds.
    pub fn multiply_adds(&self) -> u64 {
        let steps = self.body.steps.iter();
        let round: u64 = steps.map(|s| s.kernel.multiply_adds()).sum();
        round * self.length as u64
    }

    /// Kernel calls of all rounds.
    pub fn kernels(&self) -> usize {
        self.length * self.body.kernels()
    }
}

impl PartialEq for Loop {
    fn eq(&self, other: &Loop) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
            && (self.length, self.reverse, self.scalar)
                == (other.length, other.reverse, other.scalar)
            && self.carries == other.carries
            && self.pitches == other.pitches
            && self.writes == other.writes
    }
}

impl Eq for Loop {}

impl Hash for Loop {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.length, self.reverse, &self.pitches, &self.writes).hash(state);
    }
}

impl Plan {
    /// Kernel calls of a run, those of loops for each round.
    pub fn kernels(&self) -> usize {
        let steps = self.steps.iter();
        let calls = steps.map(|step| match &step.kernel {
            super::Kernel::Loop(l) => l.kernels(),
            _ => 1,
        });
        calls.sum()
    }
}
