//! The crate's counter-based random words: word `i` of a stream is a function of the stream's key
//! and `i`, computed by integers only. What it gives is part of the crate's promise (images of a
//! seed, order of an epoch) and must never change.
//!
//! The words are those of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", 2014): `word(i) = mix(key + (i + 1) * GAMMA)`, arithmetic modulo 2^64.

/// The odd number nearest 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser, a bijection of u64 (Stafford's "Mix13").
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random words, chosen by `(seed, stream, index)`.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// The stream with `key = mix(mix(mix(seed + GAMMA) + stream + GAMMA) + index + GAMMA)`.
    pub(crate) fn new(seed: u64, stream: u64, index: u64) -> Self {
        let fold = |key: u64, part: u64| mix(key.wrapping_add(part).wrapping_add(GAMMA));
        Self {
            state: fold(fold(fold(0, seed), stream), index),
        }
    }

    /// The next word, all 64 bits random.
    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// An integer in `0..bound`; 0 if `bound` is 0. `floor(word * bound / 2^64)`, whose bias is below
    /// `bound / 2^64`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u32
    }

    /// A number in [0, 1), a multiple of 2^-24.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.word() >> 40) as f32 * (1.0 / 16_777_216.0)
    }

    /// A number in [low, high).
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A bell-shaped number of mean 0 and standard deviation 1 within ±3.47: the sum of four
    /// 16-bit uniforms, so that no logarithm's rounding can differ between machines.
    pub(crate) fn bell(&mut self) -> f32 {
        let word = self.word();
        let sum = (0..4).map(|i| (word >> (16 * i)) & 0xffff).sum::<u64>();
        // The sum has mean 2 * 65535 and variance (2^32 - 1) / 3.
        (sum as f32 - 131_070.0) * (1.0 / 37_837.23)
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_splitmix64() {
        // The first words of SplitMix64 from state 1234567, as published with xoshiro's sources.
        let mut rng = Rng { state: 1_234_567 };
        assert_eq!(rng.word(), 6_457_827_717_110_365_317);
        assert_eq!(rng.word(), 3_203_168_211_198_807_973);
        assert_eq!(rng.word(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn streams_differ_in_every_part_of_the_key() {
        let first = |seed, stream, index| Rng::new(seed, stream, index).word();
        let words = [
            first(0, 0, 0),
            first(1, 0, 0),
            first(0, 1, 0),
            first(0, 0, 1),
        ];
        for (i, a) in words.iter().enumerate() {
            assert!(words[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::new(7, 0, 0);
        let n = 20_000;
        let bells: Vec<f32> = (0..n).map(|_| rng.bell()).collect();
        let mean = bells.iter().sum::<f32>() / n as f32;
        let variance = bells.iter().map(|b| b * b).sum::<f32>() / n as f32;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04,
            "{mean} {variance}"
        );
        let units = (0..n).map(|_| rng.unit()).sum::<f32>() / n as f32;
        assert!((units - 0.5).abs() < 0.01, "{units}");
        assert!((0..n).all(|_| rng.below(7) < 7));
        assert_eq!(rng.below(0), 0);
    }
}
