//! Samplers other than a shuffle: weighted, stratified, a part. Integers, additions and comparisons only, so that an
//! order is the same on every machine. Knows indices only.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::rng::Rng;
use crate::sampler::Sampler;
use crate::{Error, Result};

/// The key part that separates this use of the generator from others.
const WEIGHTED_STREAM: u64 = 0x5745_4947; // "WEIG"
const STRATIFIED_STREAM: u64 = 0x5354_5241; // "STRA"
const LENGTH_STREAM: u64 = 0x4c45_4e47; // "LENG"
const SUBSET_STREAM: u64 = 0x5355_4253; // "SUBS"

/// Draws samples with probabilities that follow their weights.
///
/// ```
/// use wgrad_data::{Sampler, WeightedSampler};
/// let sampler = WeightedSampler::new(&[0.0, 3.0, 1.0], 1000)?;
/// let order = sampler.order(7, 0);
/// let ones = order.iter().filter(|&&i| i == 1).count();
/// assert!(!order.contains(&0) && (700..800).contains(&ones));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WeightedSampler {
    weights: Vec<f64>,
    num_samples: usize,
    replacement: bool,
}

impl WeightedSampler {
    /// `num_samples` draws an epoch, each from all samples.
    ///
    /// # Errors
    /// [`Error::Argument`] if a weight is negative or not finite, or none is positive.
    pub fn new(weights: &[f64], num_samples: usize) -> Result<Self> {
        Self::checked(weights, num_samples, true)
    }

    /// `num_samples` draws an epoch, each from what is left: no sample twice in an epoch.
    ///
    /// # Errors
    /// As [`WeightedSampler::new`], and if fewer than `num_samples` weights are positive.
    pub fn without_replacement(weights: &[f64], num_samples: usize) -> Result<Self> {
        Self::checked(weights, num_samples, false)
    }

    /// Draws with replacement in which every class is equally likely: each sample weighs one over the size of its class.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no label.
    pub fn balanced(labels: &[usize], num_samples: usize) -> Result<Self> {
        let mut counts = std::collections::HashMap::new();
        for label in labels {
            *counts.entry(label).or_insert(0_usize) += 1;
        }
        let weights: Vec<f64> = labels.iter().map(|l| 1.0 / counts[l] as f64).collect();
        Self::new(&weights, num_samples)
    }

    fn checked(weights: &[f64], num_samples: usize, replacement: bool) -> Result<Self> {
        let problem = |problem: String| Error::Argument {
            function: "WeightedSampler",
            problem,
        };
        if let Some(at) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
            let weight = weights[at];
            return Err(problem(format!(
                "weight {weight} of sample {at} is negative or not finite"
            )));
        }
        let total: f64 = weights.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return Err(problem(format!(
                "the {} weights sum to {total}",
                weights.len()
            )));
        }
        let positive = weights.iter().filter(|w| **w > 0.0).count();
        if !replacement && positive < num_samples {
            return Err(problem(format!(
                "cannot draw {num_samples} samples without replacement, {positive} have a positive weight"
            )));
        }
        Ok(Self {
            weights: weights.to_vec(),
            num_samples,
            replacement,
        })
    }
}

/// A number in [0, 1), a multiple of 2^-53.
fn unit(rng: &mut Rng) -> f64 {
    (rng.word() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

impl Sampler for WeightedSampler {
    fn len(&self) -> usize {
        self.num_samples
    }

    fn order(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let mut rng = Rng::new(seed, WEIGHTED_STREAM, epoch);
        let mut tree = SumTree::new(&self.weights);
        let draw = |_| {
            let index = tree.find(unit(&mut rng) * tree.total());
            if !self.replacement {
                tree.clear(index);
            }
            index as u32
        };
        (0..self.num_samples).map(draw).collect()
    }
}

/// Weights below the leaves of a binary tree whose nodes hold sums; a leaf at zero is never found.
struct SumTree {
    nodes: Vec<f64>,
    leaves: usize,
}

impl SumTree {
    fn new(weights: &[f64]) -> Self {
        let leaves = weights.len().next_power_of_two();
        let mut nodes = vec![0.0; 2 * leaves];
        nodes[leaves..leaves + weights.len()].copy_from_slice(weights);
        for node in (1..leaves).rev() {
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1];
        }
        Self { nodes, leaves }
    }

    fn total(&self) -> f64 {
        self.nodes[1]
    }

    /// The leaf in whose part of the total `value` falls.
    fn find(&self, mut value: f64) -> usize {
        let mut node = 1;
        while node < self.leaves {
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            // Rounding may carry a value past the last weight: an empty side is never entered.
            if right <= 0.0 || (value < left && left > 0.0) {
                node *= 2;
            } else {
                value = (value - left).max(0.0);
                node = 2 * node + 1;
            }
        }
        node - self.leaves
    }

    fn clear(&mut self, index: usize) {
        let mut node = self.leaves + index;
        self.nodes[node] = 0.0;
        while node > 1 {
            node /= 2;
            // Added anew, not subtracted, so that a side without weights is exactly zero.
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }
}

/// Visits every sample once an epoch, such that each batch has the classes in the proportions of the whole: in any first
/// `k` samples a class of share `s` stands `s k` times, give or take less than one.
///
/// ```
/// use wgrad_data::{Sampler, StratifiedSampler};
/// let labels: Vec<usize> = (0..100).map(|i| usize::from(i < 20)).collect();
/// let order = StratifiedSampler::new(&labels)?.order(1, 0);
/// for batch in order.chunks(10) {
///     assert_eq!(batch.iter().filter(|&&i| labels[i as usize] == 1).count(), 2);
/// }
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StratifiedSampler {
    /// The samples of each class.
    classes: Vec<Vec<u32>>,
    len: usize,
}

impl StratifiedSampler {
    /// A sampler of as many samples as there are labels.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are more than 2^32 − 1 labels.
    pub fn new(labels: &[usize]) -> Result<Self> {
        let len = u32::try_from(labels.len()).map_err(|_| Error::Argument {
            function: "StratifiedSampler::new",
            problem: format!("{} labels are too many", labels.len()),
        })?;
        let mut classes = std::collections::BTreeMap::<usize, Vec<u32>>::new();
        for (label, index) in labels.iter().zip(0..len) {
            classes.entry(*label).or_default().push(index);
        }
        Ok(Self {
            classes: classes.into_values().collect(),
            len: labels.len(),
        })
    }
}

impl Sampler for StratifiedSampler {
    fn len(&self) -> usize {
        self.len
    }

    fn order(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let mut rng = Rng::new(seed, STRATIFIED_STREAM, epoch);
        let mut classes = self.classes.clone();
        for class in &mut classes {
            shuffle(class, &mut rng);
        }
        // Which of two classes goes first where both are due, anew in each epoch.
        let mut ranks: Vec<u32> = (0..classes.len() as u32).collect();
        shuffle(&mut ranks, &mut rng);
        interleaved(&classes, &ranks, self.len)
    }
}

/// Merges the classes such that each prefix holds its share of each: the sample number `r` of a class of `n` among `len`
/// may come once `(r - 1) len / n` are placed, and must before `r len / n` are; earliest deadline first always succeeds.
fn interleaved(classes: &[Vec<u32>], ranks: &[u32], len: usize) -> Vec<u32> {
    let n = |class: usize| classes[class].len() as u128;
    let release = |class: usize, r: u128| (r - 1) * len as u128 / n(class);
    let deadline = |class: usize, r: u128| (r * len as u128).div_ceil(n(class));
    let mut waiting: BinaryHeap<_> = (0..classes.len())
        .filter(|&class| !classes[class].is_empty())
        .map(|class| Reverse((release(class, 1), ranks[class], class, 1_u128)))
        .collect();
    let mut ready = BinaryHeap::new();
    let mut order = Vec::with_capacity(len);
    while order.len() < len {
        while let Some(&Reverse((time, rank, class, r))) = waiting.peek() {
            if time > order.len() as u128 {
                break;
            }
            waiting.pop();
            ready.push(Reverse((deadline(class, r), rank, class, r)));
        }
        let Some(Reverse((_, rank, class, r))) = ready.pop() else {
            break;
        };
        order.push(classes[class][r as usize - 1]);
        if r < n(class) {
            waiting.push(Reverse((release(class, r + 1), rank, class, r + 1)));
        }
    }
    order
}

/// Visits some samples once an epoch, shuffled.
///
/// ```
/// use wgrad_data::{Sampler, SubsetSampler};
/// let mut order = SubsetSampler::new(&[4, 8, 15]).order(0, 3);
/// order.sort();
/// assert_eq!(order, [4, 8, 15]);
/// ```
#[derive(Clone, Debug)]
pub struct SubsetSampler {
    indices: Vec<u32>,
}

impl SubsetSampler {
    /// The samples of these indices.
    #[must_use]
    pub fn new(indices: &[u32]) -> Self {
        Self {
            indices: indices.to_vec(),
        }
    }
}

impl Sampler for SubsetSampler {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn order(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let mut order = self.indices.clone();
        shuffle(&mut order, &mut Rng::new(seed, SUBSET_STREAM, epoch));
        order
    }
}

/// Puts sequences of similar lengths into the same batch, so that little is padded: samples are shuffled, sorted by length
/// within pools of fifty batches, and the batches shuffled. The loader's batches must have the same size.
///
/// ```
/// use wgrad_data::{LengthSampler, Sampler};
/// let lengths: Vec<usize> = (0..400).map(|i| i * 7919 % 400).collect();
/// let order = LengthSampler::new(&lengths, 4)?.order(0, 0);
/// let spread = |batch: &[u32]| {
///     let of = batch.iter().map(|&i| lengths[i as usize]);
///     of.clone().max().unwrap() - of.min().unwrap()
/// };
/// let mean = order.chunks(4).map(spread).sum::<usize>() / 100;
/// assert!(mean < 10); // 240 in a plain shuffle
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LengthSampler {
    lengths: Vec<usize>,
    batch_size: usize,
}

/// Batches whose samples are sorted by length together.
const POOL: usize = 50;

impl LengthSampler {
    /// A sampler of as many samples as there are lengths.
    ///
    /// # Errors
    /// [`Error::Argument`] if the batch size is 0, or there are more than 2^32 − 1 lengths.
    pub fn new(lengths: &[usize], batch_size: usize) -> Result<Self> {
        let n = lengths.len();
        if batch_size == 0 || u32::try_from(n).is_err() {
            return Err(Error::Argument {
                function: "LengthSampler::new",
                problem: format!("cannot make batches of {batch_size} of {n} samples"),
            });
        }
        Ok(Self {
            lengths: lengths.to_vec(),
            batch_size,
        })
    }
}

impl Sampler for LengthSampler {
    fn len(&self) -> usize {
        self.lengths.len()
    }

    fn order(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let mut rng = Rng::new(seed, LENGTH_STREAM, epoch);
        let mut order: Vec<u32> = (0..self.lengths.len() as u32).collect();
        shuffle(&mut order, &mut rng);
        for pool in order.chunks_mut(self.batch_size.saturating_mul(POOL)) {
            // Stable: equals stay shuffled.
            pool.sort_by_key(|&index| self.lengths[index as usize]);
        }
        // A short batch stays the last.
        let whole = order.len() / self.batch_size;
        let mut batches: Vec<usize> = (0..whole).collect();
        shuffle(&mut batches, &mut rng);
        let size = self.batch_size;
        let batch = |b: &usize| order[b * size..(b + 1) * size].iter();
        let rest = order[whole * size..].iter();
        batches
            .iter()
            .flat_map(batch)
            .chain(rest)
            .copied()
            .collect()
    }
}

/// Fisher–Yates, from the end.
pub(crate) fn shuffle<T>(list: &mut [T], rng: &mut Rng) {
    for i in (1..list.len()).rev() {
        let bound = u32::try_from(i + 1).unwrap_or(u32::MAX);
        list.swap(i, rng.below(bound) as usize);
    }
}
