//! What a step becomes: dispatches as plain data. Knows neither how they are made nor how they are run.

use std::borrow::Cow;
use wgrad_device::Error;

/// The most rounds that all loops of an invocation may take together. Mesa's llvmpipe ends a loop without a word when
/// the invocation has counted 65,535 over all its loops; no kernel may rely on more on any adapter. What needs more is
/// split over invocations, workgroups or dispatches.
pub(super) const MAX_ITERATIONS: u64 = 1 << 15;

/// A buffer that a dispatch binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// The step's input with this index.
    Input(usize),
    /// The step's output.
    Output,
    /// The step's further output with this index.
    More(usize),
    /// A buffer that lives within the step.
    Scratch(usize),
    /// This dispatch's numbers.
    Params,
    /// The executor's status word.
    Status,
}

/// How many workgroups run. Either is folded into three dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grid {
    /// At least so many invocations.
    Threads(u64),
    /// So many workgroups.
    Groups(u64),
}

impl Grid {
    /// Half as many, each of which does twice as much.
    pub(super) fn halved(self) -> Grid {
        match self {
            Grid::Threads(n) => Grid::Threads(n.div_ceil(2)),
            Grid::Groups(n) => Grid::Groups(n.div_ceil(2)),
        }
    }
}

/// The uniform block of a dispatch: 32-bit words, some of which are run-time scalars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) words: Vec<u32>,
    /// (word, run-time scalar that stands there)
    pub(super) scalars: Vec<(usize, usize)>,
}

impl Words {
    /// Appends a number; see [`super::lower::check_sizes`] for why it fits.
    pub(super) fn push(&mut self, n: usize) -> usize {
        self.push_word(n as u32)
    }

    /// Appends a word, and returns where it stands.
    pub(super) fn push_word(&mut self, word: u32) -> usize {
        self.words.push(word);
        self.words.len() - 1
    }

    /// Where run-time scalar `scalar` stands; appended at its first use.
    pub(super) fn scalar(&mut self, scalar: usize) -> usize {
        if let Some((at, _)) = self.scalars.iter().find(|(_, s)| *s == scalar) {
            return *at;
        }
        let at = self.push_word(0);
        self.scalars.push((at, scalar));
        at
    }
}

impl FromIterator<usize> for Words {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Words {
        let words = numbers.into_iter().map(|n| n as u32).collect();
        Words {
            words,
            scalars: Vec::new(),
        }
    }
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Family and variant, for errors and profiles.
    pub(super) label: &'static str,
    /// The module; its entry point is `main`.
    pub(super) wgsl: Cow<'static, str>,
    /// Values of `override` constants.
    pub(super) constants: Vec<(&'static str, f64)>,
    /// Buffers in the order of their binding numbers.
    pub(super) args: Vec<Arg>,
    /// The numbers.
    pub(super) params: Words,
    /// The size.
    pub(super) grid: Grid,
    /// Rounds of all loops of its longest invocation, the loops of the functions that it calls included; at most
    /// [`MAX_ITERATIONS`]. 0 for a text of the user's own, which is not counted.
    pub(super) iterations: u64,
}

/// A piece of the work of a step, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    /// Sets the output to zeros.
    Clear,
    /// Dispatches.
    Call(Box<Call>),
}

impl From<Call> for Work {
    fn from(call: Call) -> Work {
        Work::Call(Box::new(call))
    }
}

/// Everything a step does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lowered {
    pub(super) work: Vec<Work>,
    /// Bytes of each scratch buffer.
    pub(super) scratch: Vec<u64>,
    /// Of a product: elements of its result that a thread of the last call stores, at most.
    pub(super) stores: u64,
}

impl Lowered {
    /// The same, if no invocation of it takes too many rounds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] otherwise: an error, because such a kernel would be silently wrong on some adapters.
    pub(super) fn bounded(self) -> Result<Lowered, Error> {
        let long =
            |work: &Work| matches!(work, Work::Call(call) if call.iterations > MAX_ITERATIONS);
        if self.work.iter().any(long) {
            return Err(Error::Unsupported {
                what: "so many rounds of a kernel's loops",
            });
        }
        Ok(self)
    }

    /// Nothing but zeros in the output.
    pub(super) fn zeros() -> Lowered {
        Lowered {
            work: vec![Work::Clear],
            ..Lowered::default()
        }
    }

    /// A single dispatch.
    pub(super) fn one(call: Call) -> Lowered {
        Lowered {
            work: vec![call.into()],
            stores: 1,
            ..Lowered::default()
        }
    }
}
