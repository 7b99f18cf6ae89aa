//! Indices of parts and folds: at random, with the classes' proportions, with groups kept together. Knows indices only; a
//! [`Dataset`](crate::Dataset) takes them through `subset`. Every sample falls into exactly one part.

use std::collections::BTreeMap;

use crate::rng::Rng;
use crate::sampler::Sampler;
use crate::sampling::{StratifiedSampler, shuffle};
use crate::{Error, Result, epoch_permutation};

const FOLD_STREAM: u64 = 0x464f_4c44; // "FOLD"
const GROUP_STREAM: u64 = 0x4752_5550; // "GRUP"
const BOOT_STREAM: u64 = 0x424f_4f54; // "BOOT"

/// A part to train on and a part to test on, as indices in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// All others.
    pub train: Vec<u32>,
    /// Those of this fold.
    pub test: Vec<u32>,
}

/// The samples at random into parts of these fractions of the whole, which sum to 1.
///
/// ```
/// let parts = wgrad_data::split::random(10, &[0.8, 0.2], 0)?;
/// assert_eq!((parts[0].len(), parts[1].len()), (8, 2));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if the fractions do not sum to 1 or one is not positive; [`Error::Empty`] if there are fewer samples
/// than would give each part one.
pub fn random(n: usize, fractions: &[f64], seed: u64) -> Result<Vec<Vec<u32>>> {
    let n = count("split::random", n)?;
    let sizes = sizes("split::random", n as usize, fractions)?;
    Ok(cut(&epoch_permutation(seed, 0, n), &sizes))
}

/// As [`random`], with the proportions of the classes in each part.
///
/// ```
/// let labels: Vec<usize> = (0..100).map(|i| usize::from(i < 20)).collect();
/// let parts = wgrad_data::split::stratified(&labels, &[0.75, 0.25], 0)?;
/// assert_eq!(parts[1].iter().filter(|&&i| labels[i as usize] == 1).count(), 5);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// As [`random`]; [`Error::MissingClass`] if a class has too few samples to be in every part.
pub fn stratified(labels: &[usize], fractions: &[f64], seed: u64) -> Result<Vec<Vec<u32>>> {
    let function = "split::stratified";
    let sizes = sizes(function, count(function, labels.len())? as usize, fractions)?;
    let parts = cut(&StratifiedSampler::new(labels)?.order(seed, 0), &sizes);
    let all = counts(labels);
    for (number, part) in parts.iter().enumerate() {
        for (&class, &size) in &all {
            if !part.iter().any(|&index| labels[index as usize] == class) {
                return Err(Error::MissingClass {
                    class,
                    place: format!("part {number}"),
                    size,
                });
            }
        }
    }
    Ok(parts)
}

/// As [`random`], with all samples of a group in the same part. Sizes are as near to the fractions as the groups allow.
///
/// ```
/// let patients = [1, 1, 1, 2, 2, 3, 4, 4];
/// let parts = wgrad_data::split::grouped(&patients, &[0.5, 0.5], 0)?;
/// assert_eq!(parts[0].len() + parts[1].len(), 8);
/// let of = |part: &[u32]| part.iter().map(|&i| patients[i as usize]).collect::<Vec<_>>();
/// assert!(of(&parts[0]).iter().all(|group| !of(&parts[1]).contains(group)));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// As [`random`]; [`Error::Empty`] if a part gets no group.
pub fn grouped(groups: &[usize], fractions: &[f64], seed: u64) -> Result<Vec<Vec<u32>>> {
    let function = "split::grouped";
    let n = count(function, groups.len())?;
    let sizes = sizes(function, n as usize, fractions)?;
    let mut order: Vec<(usize, usize)> = counts(groups).into_iter().collect();
    shuffle(&mut order, &mut Rng::new(seed, GROUP_STREAM, 0));
    // The great ones first: small ones fill what is left.
    order.sort_by_key(|&(_, size)| std::cmp::Reverse(size));
    let mut room: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
    let mut part_of = BTreeMap::new();
    for (group, size) in order {
        let widest = (0..room.len()).max_by_key(|&part| (room[part], std::cmp::Reverse(part)));
        let part = widest.unwrap_or(0);
        room[part] -= size as i64;
        part_of.insert(group, part);
    }
    let mut parts = vec![Vec::new(); sizes.len()];
    for (index, group) in (0..n).zip(groups) {
        parts[part_of[group]].push(index);
    }
    if let Some(part) = parts.iter().position(Vec::is_empty) {
        return Err(Error::Empty {
            what: "a part of the split",
            problem: format!("no group of {} is left for part {part}", part_of.len()),
        });
    }
    Ok(parts)
}

/// `k` folds of neighbours, or of shuffled samples with a seed. The first ones are larger by one where `k` does not divide
/// `n`. Without a seed as scikit-learn's `KFold`.
///
/// ```
/// let folds = wgrad_data::split::k_fold(5, 2, None)?;
/// assert_eq!(folds[0].test, [0, 1, 2]);
/// assert_eq!(folds[1].train, [0, 1, 2]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if `k` is below 2 or there are fewer samples.
pub fn k_fold(n: usize, k: usize, seed: Option<u64>) -> Result<Vec<Fold>> {
    let function = "split::k_fold";
    let n = count(function, n)?;
    check_folds(function, n as usize, k, "samples")?;
    let order = match seed {
        Some(seed) => epoch_permutation(seed, 0, n),
        None => (0..n).collect(),
    };
    let (base, longer) = (n as usize / k, n as usize % k);
    let sizes: Vec<usize> = (0..k)
        .map(|fold| base + usize::from(fold < longer))
        .collect();
    let mut fold_of = vec![0; n as usize];
    for (fold, part) in cut(&order, &sizes).into_iter().enumerate() {
        for index in part {
            fold_of[index as usize] = fold;
        }
    }
    Ok(folds(&fold_of, k))
}

/// `k` folds with the proportions of the classes in each; the samples of a class are shuffled over the folds with a seed.
/// Without one as scikit-learn's `StratifiedKFold`.
///
/// # Errors
/// [`Error::Argument`] if `k` is below 2 or there are fewer samples; [`Error::MissingClass`] if a class has fewer than `k`.
///
/// ```
/// let folds = wgrad_data::split::stratified_k_fold(&[0, 0, 0, 0, 1, 1], 2, None)?;
/// assert_eq!(folds[0].test, [0, 1, 4]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
pub fn stratified_k_fold(labels: &[usize], k: usize, seed: Option<u64>) -> Result<Vec<Fold>> {
    let function = "split::stratified_k_fold";
    let n = count(function, labels.len())?;
    check_folds(function, n as usize, k, "samples")?;
    let sizes = counts(labels);
    if let Some((&class, &size)) = sizes.iter().find(|(_, size)| **size < k) {
        let place = format!("one of the {k} folds");
        return Err(Error::MissingClass { class, place, size });
    }
    // Classes in the order of their first samples; of those laid side by side, every k-th goes to the same fold.
    let mut first = BTreeMap::new();
    for (position, label) in labels.iter().enumerate() {
        first.entry(label).or_insert(position);
    }
    let mut order: Vec<(usize, usize)> = first.into_iter().map(|(l, at)| (at, *l)).collect();
    order.sort_unstable();
    let mut rng = seed.map(|seed| Rng::new(seed, FOLD_STREAM, 0));
    let (mut begin, mut fold_of) = (0, vec![0; labels.len()]);
    for (_, class) in order {
        let end = begin + sizes[&class];
        let mut share: Vec<usize> = (begin..end).map(|place| place % k).collect();
        share.sort_unstable();
        if let Some(rng) = &mut rng {
            shuffle(&mut share, rng);
        }
        let members = (0..labels.len()).filter(|&i| labels[i] == class);
        for (index, fold) in members.zip(share) {
            fold_of[index] = fold;
        }
        begin = end;
    }
    Ok(folds(&fold_of, k))
}

/// `k` folds with all samples of a group in the same one, as even as the groups allow: the largest group that is left goes
/// to the smallest fold. As scikit-learn's `GroupKFold`.
///
/// # Errors
/// [`Error::Argument`] if `k` is below 2 or there are fewer groups.
///
/// ```
/// let folds = wgrad_data::split::group_k_fold(&[7, 7, 8, 9], 2)?;
/// assert_eq!(folds[0].test, [0, 1]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
pub fn group_k_fold(groups: &[usize], k: usize) -> Result<Vec<Fold>> {
    let function = "split::group_k_fold";
    count(function, groups.len())?;
    let sizes = counts(groups);
    check_folds(function, sizes.len(), k, "groups")?;
    let mut order: Vec<(usize, usize)> = sizes.into_iter().collect();
    order.sort_by_key(|&(_, size)| size);
    let (mut loads, mut fold_of_group) = (vec![0; k], BTreeMap::new());
    for (group, size) in order.into_iter().rev() {
        let lightest = (0..k).min_by_key(|&fold| loads[fold]).unwrap_or(0);
        loads[lightest] += size;
        fold_of_group.insert(group, lightest);
    }
    let fold_of: Vec<usize> = groups.iter().map(|group| fold_of_group[group]).collect();
    Ok(folds(&fold_of, k))
}

/// Each sample once as the test.
///
/// ```
/// let folds: Vec<_> = wgrad_data::split::leave_one_out(3)?.collect();
/// assert_eq!((&folds[1].train[..], &folds[1].test[..]), (&[0, 2][..], &[1][..]));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if there are fewer than two samples.
pub fn leave_one_out(n: usize) -> Result<impl ExactSizeIterator<Item = Fold>> {
    let function = "split::leave_one_out";
    let n = count(function, n)?;
    check_folds(function, n as usize, (n as usize).max(2), "samples")?;
    // One at a time: all folds at once would be n² indices.
    Ok((0..n).map(move |test| Fold {
        train: (0..n).filter(|&index| index != test).collect(),
        test: vec![test],
    }))
}

/// `n` draws with replacement to train on, in the order drawn, and the samples that were not drawn ("out of bag") to test
/// on.
///
/// ```
/// let fold = wgrad_data::split::bootstrap(1000, 3)?;
/// assert_eq!(fold.train.len(), 1000);
/// assert!((330..400).contains(&fold.test.len())); // about 1/e of them
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if there is no sample.
pub fn bootstrap(n: usize, seed: u64) -> Result<Fold> {
    let n = count("split::bootstrap", n)?;
    let mut rng = Rng::new(seed, BOOT_STREAM, 0);
    let train: Vec<u32> = (0..n).map(|_| rng.below(n)).collect();
    let mut drawn = vec![false; n as usize];
    for &index in &train {
        drawn[index as usize] = true;
    }
    let test = (0..n).filter(|&index| !drawn[index as usize]).collect();
    Ok(Fold { train, test })
}

fn count(function: &'static str, n: usize) -> Result<u32> {
    let problem = format!("needs 1 to 2^32 − 1 samples, got {n}");
    let number = u32::try_from(n).ok().filter(|&n| n > 0);
    number.ok_or(Error::Argument { function, problem })
}

fn check_folds(function: &'static str, n: usize, k: usize, what: &str) -> Result<()> {
    if k >= 2 && k <= n {
        return Ok(());
    }
    let problem = format!("cannot make {k} folds of {n} {what}");
    Err(Error::Argument { function, problem })
}

fn counts(labels: &[usize]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for &label in labels {
        *counts.entry(label).or_insert(0) += 1;
    }
    counts
}

/// Sizes that sum to `n`, each within one of its fraction.
fn sizes(function: &'static str, n: usize, fractions: &[f64]) -> Result<Vec<usize>> {
    let sum: f64 = fractions.iter().sum();
    if fractions.iter().any(|f| f.is_nan() || *f <= 0.0) || (sum - 1.0).abs() > 1e-6 {
        let problem = format!("the fractions {fractions:?} must be positive and sum to 1");
        return Err(Error::Argument { function, problem });
    }
    let ideal: Vec<f64> = fractions.iter().map(|f| f / sum * n as f64).collect();
    // A hair more, so that 0.1 of 10 is 1 however it is rounded.
    let mut sizes: Vec<usize> = ideal.iter().map(|x| (x + 1e-9).floor() as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    let rest = |part: usize, sizes: &[usize]| ideal[part] - sizes[part] as f64;
    order.sort_by(|&a, &b| rest(b, &sizes).total_cmp(&rest(a, &sizes)));
    let missing = n.saturating_sub(sizes.iter().sum());
    for &part in order.iter().cycle().take(missing) {
        sizes[part] += 1;
    }
    if let Some(part) = sizes.iter().position(|&size| size == 0) {
        return Err(Error::Empty {
            what: "a part of the split",
            problem: format!("{} of {n} samples is none", fractions[part]),
        });
    }
    Ok(sizes)
}

fn cut(order: &[u32], sizes: &[usize]) -> Vec<Vec<u32>> {
    let mut begin = 0;
    let part = |&size: &usize| {
        let end = (begin + size).min(order.len());
        let part = order[begin..end].to_vec();
        begin = end;
        part
    };
    sizes.iter().map(part).collect()
}

fn folds(fold_of: &[usize], k: usize) -> Vec<Fold> {
    let mut folds = vec![Fold::default(); k];
    for (index, &own) in (0_u32..).zip(fold_of) {
        for (number, fold) in folds.iter_mut().enumerate() {
            let list = if number == own {
                &mut fold.test
            } else {
                &mut fold.train
            };
            list.push(index);
        }
    }
    folds
}
