//! Choosing between models and judging them: searches over settings, folds, the bootstrap, ensembles. Everything is repeated
//! by one seed. Works on plain numbers and indices; must not know how a model is trained.

mod ensemble;
mod resample;
mod search;

pub use ensemble::{mean_of, vote_of};
pub use resample::{Bootstrap, CrossValidation, bagging, bootstrap, cross_validate};
pub use search::{Choice, Halving, Ranked, SearchSpace, Trial};

/// SplitMix64: the same numbers on every machine and in every version.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed ^ 0x7365_6c65_6374);
        let mixed = random.next() ^ stream;
        Random(mixed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0..n`, `n` at least 1.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// In `[0, 1)`.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
