//! The order in which training visits a dataset: shuffled anew each epoch, the same for the same
//! seed on every machine and in every version, and resumable in the middle of an epoch. Knows
//! indices only, no images and no devices.

use std::sync::Arc;

use crate::rng::Rng;
use crate::{Error, Result};

/// The key part that separates shuffling from every other use of the generator.
const STREAM: u64 = 0x5348_5546; // "SHUF"

/// The order of epoch `epoch`: each of `0..n` once.
///
/// Bit-stable for ever. With arithmetic modulo 2^64 and
/// `mix(z)`: `z = (z ^ z>>30) * 0xbf58476d1ce4e5b9; z = (z ^ z>>27) * 0x94d049bb133111eb; z ^ z>>31`
/// (SplitMix64's finaliser) and `G = 0x9e3779b97f4a7c15`:
///
/// ```text
/// key  = mix(mix(mix(seed + G) + 0x53485546 + G) + epoch + G)
/// p    = [0, 1, .., n-1]
/// for (k, i) in (n-1, n-2, .., 1).enumerate():          Fisher-Yates, from the end
///     word = mix(key + (k + 1) * G)
///     swap p[i], p[floor(word * (i + 1) / 2^64)]
/// ```
#[must_use]
pub fn epoch_permutation(seed: u64, epoch: u64, n: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    let mut rng = Rng::new(seed, STREAM, epoch);
    for i in (1..n).rev() {
        let j = rng.below(i + 1);
        order.swap(i as usize, j as usize);
    }
    order
}

/// Which samples an epoch visits, and in which order. What it gives must be a function of its arguments alone, so that a
/// run can be resumed in the middle of an epoch.
pub trait Sampler: Send + Sync + std::fmt::Debug {
    /// The number of indices in an epoch.
    fn len(&self) -> usize;

    /// Whether an epoch has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The indices of an epoch, [`Sampler::len`] of them.
    fn order(&self, seed: u64, epoch: u64) -> Vec<u32>;
}

/// All that [`BatchSampler`] is: plain numbers to save in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSamplerState {
    /// The number of examples in the dataset.
    pub len: u32,
    /// The examples in a batch; the last of an epoch may have fewer.
    pub batch_size: u32,
    /// Chooses the orders of all epochs.
    pub seed: u64,
    /// The epoch under way, from 0.
    pub epoch: u64,
    /// The examples of this epoch already given out.
    pub position: u32,
    /// Whether epochs are shuffled; if not, each is `0..len`.
    pub shuffle: bool,
    /// Whether a last batch that would be short is left out.
    pub drop_last: bool,
}

/// Batches of indices, epoch after epoch.
///
/// ```
/// # use wgrad_data::BatchSampler;
/// let mut batches = BatchSampler::new(10, 4, 42)?;
/// let mut sizes = vec![];
/// while let Some(indices) = batches.next_batch() {
///     sizes.push(indices.len());
/// }
/// assert_eq!(sizes, [4, 4, 2]);
/// assert_eq!(batches.epoch(), 1); // the next call begins the second epoch
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchSampler {
    state: BatchSamplerState,
    /// Who says which indices an epoch has; `None` is all, shuffled or not.
    sampler: Option<Arc<dyn Sampler>>,
    /// The order of `state.epoch`, made when it is first needed.
    order: Option<Vec<u32>>,
}

impl BatchSampler {
    /// Shuffled batches over `len` examples, the short last one included.
    ///
    /// # Errors
    /// [`Error::Batches`] if `batch_size` is 0, or either number is beyond a u32.
    pub fn new(len: usize, batch_size: usize, seed: u64) -> Result<Self> {
        Self::from_state(BatchSamplerState {
            len: to_u32("len", len)?,
            batch_size: to_u32("batch_size", batch_size)?,
            seed,
            epoch: 0,
            position: 0,
            shuffle: true,
            drop_last: false,
        })
    }

    /// Goes on from a saved state: the batches that follow are those that would have followed.
    ///
    /// # Errors
    /// [`Error::Batches`] if `batch_size` is 0 or `position` beyond `len`.
    pub fn from_state(state: BatchSamplerState) -> Result<Self> {
        if state.batch_size == 0 {
            return Err(out_of_range("batch_size", "at least 1".to_owned(), 0));
        }
        if state.position > state.len {
            let expected = format!("at most len = {}", state.len);
            return Err(out_of_range(
                "position",
                expected,
                u64::from(state.position),
            ));
        }
        Ok(Self {
            state,
            sampler: None,
            order: None,
        })
    }

    /// Batches of the indices that `sampler` chooses for each epoch.
    ///
    /// # Errors
    /// As [`BatchSampler::new`].
    pub fn with_sampler(sampler: Arc<dyn Sampler>, batch_size: usize, seed: u64) -> Result<Self> {
        let mut batches = Self::new(sampler.len(), batch_size, seed)?;
        batches.sampler = Some(sampler);
        Ok(batches)
    }

    /// Goes to a place of the same order.
    pub(crate) fn seek(&mut self, seed: u64, epoch: u64, position: u32) {
        self.state = BatchSamplerState {
            seed,
            epoch,
            position,
            ..self.state
        };
        self.order = None;
    }

    /// Leaves out what remains of the epoch under way.
    pub(crate) fn skip_epoch(&mut self) {
        self.begin_next_epoch();
    }

    /// What to save in order to resume; see [`BatchSampler::from_state`].
    #[must_use]
    pub fn state(&self) -> BatchSamplerState {
        self.state
    }

    /// Whether to shuffle each epoch (the default) or to go through `0..len`.
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.state.shuffle = shuffle;
        self.order = None;
        self
    }

    /// Whether to leave out a last batch that would be short; by default it is given.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.state.drop_last = drop_last;
        self
    }

    /// The epoch under way, from 0.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// The batches of a whole epoch: `len / batch_size`, rounded down with `drop_last`, else up.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        let BatchSamplerState {
            len,
            batch_size,
            drop_last,
            ..
        } = self.state;
        let n = if drop_last {
            len / batch_size
        } else {
            len.div_ceil(batch_size)
        };
        n as usize
    }

    /// The next batch's indices into the dataset; `None` once at the end of each epoch, after which
    /// the next epoch begins. An epoch without batches gives `None` at every call.
    pub fn next_batch(&mut self) -> Option<&[u32]> {
        let BatchSamplerState {
            len,
            batch_size,
            position,
            ..
        } = self.state;
        let size = batch_size.min(len - position);
        if size == 0 || (self.state.drop_last && size < batch_size) {
            self.begin_next_epoch();
            return None;
        }
        self.state.position = position + size;
        let (state, sampler) = (self.state, &self.sampler);
        let order = self.order.get_or_insert_with(|| match sampler {
            Some(sampler) => sampler.order(state.seed, state.epoch),
            None => epoch_order(&state),
        });
        // Somebody's own sampler may give fewer than it said.
        let end = (position as usize + size as usize).min(order.len());
        Some(&order[(position as usize).min(end)..end])
    }

    fn begin_next_epoch(&mut self) {
        self.state.epoch = self.state.epoch.wrapping_add(1);
        self.state.position = 0;
        if self.state.shuffle || self.sampler.is_some() {
            self.order = None;
        }
    }
}

fn epoch_order(state: &BatchSamplerState) -> Vec<u32> {
    if state.shuffle {
        epoch_permutation(state.seed, state.epoch, state.len)
    } else {
        (0..state.len).collect()
    }
}

fn to_u32(field: &'static str, value: usize) -> Result<u32> {
    let expected = || format!("at most {}", u32::MAX);
    u32::try_from(value).map_err(|_| out_of_range(field, expected(), value as u64))
}

fn out_of_range(field: &'static str, expected: String, actual: u64) -> Error {
    Error::Batches {
        field,
        expected,
        actual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutation_holds_each_index_once() {
        for n in [0, 1, 2, 3, 1000] {
            let mut order = epoch_permutation(3, 5, n);
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..n));
        }
    }

    #[test]
    fn permutation_is_bit_stable() {
        // Computed from the formula in the documentation by an independent program.
        assert_eq!(epoch_permutation(0, 0, 10), PINNED_0_0);
        assert_eq!(epoch_permutation(42, 7, 10), PINNED_42_7);
    }

    const PINNED_0_0: [u32; 10] = [5, 0, 3, 6, 4, 9, 1, 7, 8, 2];
    const PINNED_42_7: [u32; 10] = [2, 8, 6, 4, 1, 7, 3, 5, 0, 9];

    #[test]
    fn first_index_is_uniform() {
        let mut counts = [0_u32; 5];
        for epoch in 0..5000 {
            counts[epoch_permutation(1, epoch, 5)[0] as usize] += 1;
        }
        assert!(counts.iter().all(|c| (900..1100).contains(c)), "{counts:?}");
    }

    #[test]
    fn epochs_follow_each_other() {
        let mut batches = BatchSampler::new(7, 3, 9).unwrap();
        for epoch in 0..3 {
            let mut seen = vec![];
            while let Some(batch) = batches.next_batch() {
                seen.extend_from_slice(batch);
            }
            assert_eq!(seen, epoch_permutation(9, epoch, 7));
            assert_eq!(batches.epoch(), epoch + 1);
        }
    }

    #[test]
    fn drop_last_leaves_the_short_batch_out() {
        let mut batches = BatchSampler::new(7, 3, 9).unwrap().drop_last(true);
        assert_eq!(batches.batches_per_epoch(), 2);
        let sizes: Vec<_> = std::iter::from_fn(|| batches.next_batch().map(<[u32]>::len)).collect();
        assert_eq!(sizes, [3, 3]);
        let mut none = BatchSampler::new(2, 3, 9).unwrap().drop_last(true);
        assert_eq!((none.batches_per_epoch(), none.next_batch()), (0, None));
    }

    #[test]
    fn unshuffled_is_the_natural_order() {
        let mut batches = BatchSampler::new(5, 5, 0).unwrap().shuffle(false);
        for _ in 0..2 {
            assert_eq!(batches.next_batch(), Some([0, 1, 2, 3, 4].as_slice()));
            assert_eq!(batches.next_batch(), None);
        }
    }

    #[test]
    fn resumes_anywhere() {
        let mut original = BatchSampler::new(11, 4, 123).unwrap();
        for _ in 0..9 {
            let mut resumed = BatchSampler::from_state(original.state()).unwrap();
            for _ in 0..6 {
                assert_eq!(resumed.next_batch(), original.clone().next_batch());
                original.next_batch();
            }
            assert_eq!(resumed.state(), original.state());
        }
    }

    #[test]
    fn bad_arguments_are_errors() {
        let error = BatchSampler::new(5, 0, 0).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Batches {
                    field: "batch_size",
                    ..
                }
            ),
            "{error}"
        );
        let mut state = BatchSampler::new(5, 2, 0).unwrap().state();
        state.position = 6;
        let error = BatchSampler::from_state(state).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Batches {
                    field: "position",
                    actual: 6,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn empty_dataset_has_no_batches() {
        let mut batches = BatchSampler::new(0, 4, 0).unwrap();
        assert_eq!(
            (batches.batches_per_epoch(), batches.next_batch()),
            (0, None)
        );
    }
}
