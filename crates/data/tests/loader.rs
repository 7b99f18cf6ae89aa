//! Orders, batches and splits: every epoch a permutation, every resume the same batches, threads that fail or panic, and
//! scikit-learn's folds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use wgrad_data::split;
use wgrad_data::{
    Batch, BatchSampler, Batches, Dataset, DeviceDataset, Error, Gather, LengthSampler, Loader,
    Sampler, StratifiedSampler, TensorDataset, WeightedSampler, Windows, dataset_fn, digits,
    from_fn, map_batches,
};
use wgrad_graph::{Device, Tensor};

fn numbers(n: usize) -> TensorDataset<Tensor> {
    TensorDataset::new(Tensor::arange(n, &Device::cpu())).unwrap()
}

fn values(batch: &Tensor) -> Vec<i32> {
    batch.to_vec::<i32>().unwrap()
}

/// All batches of `epochs`, an empty one for each end.
fn drain(loader: &mut impl Batches<Item = Tensor>, epochs: usize) -> Vec<Vec<i32>> {
    let mut seen = Vec::new();
    for _ in 0..epochs {
        while let Some(batch) = loader.next().unwrap() {
            seen.push(values(&batch));
        }
        seen.push(Vec::new());
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_epoch_is_a_permutation(n in 1_usize..40, size in 1_usize..12, seed: u64, drop: bool) {
        let mut loader = Loader::new(numbers(n), size, seed).unwrap().drop_last(drop);
        if drop && n < size {
            let empty = matches!(loader.next(), Err(Error::Empty { .. }));
            prop_assert!(empty);
            prop_assert!(loader.epoch().count() == 1);
            return Ok(());
        }
        for _ in 0..3 {
            let batches: Vec<_> = loader.epoch().map(|b| values(&b.unwrap())).collect();
            prop_assert_eq!(batches.len(), loader.batches_per_epoch());
            let whole = batches.iter().take(n / size).all(|b| b.len() == size);
            prop_assert!(whole);
            let mut all = batches.concat();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), if drop { n / size * size } else { n });
        }
    }

    #[test]
    fn resumes_at_every_position(
        n in 1_usize..20, size in 1_usize..7, seed: u64, kind in 0..4, threads in 0_usize..3
    ) {
        let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let make = || {
            let loader = Loader::new(numbers(n), size, seed).unwrap();
            let loader = match kind {
                0 => loader,
                1 => loader.shuffle(false),
                2 => loader.sampler(WeightedSampler::balanced(&labels, n + 3).unwrap()).unwrap(),
                _ => loader.sampler(StratifiedSampler::new(&labels).unwrap()).unwrap(),
            };
            if threads == 0 { loader } else { loader.prefetch(threads, 3).unwrap() }
        };
        let mut original = make();
        for _ in 0..original.batches_per_epoch() * 2 + 2 {
            let state = original.state();
            let mut resumed = make();
            resumed.set_state(state.clone()).unwrap();
            prop_assert_eq!(resumed.state(), state.clone());
            let rest = drain(&mut resumed, 2);
            // A loader that was elsewhere comes to the same place.
            let mut other = make();
            drain(&mut other, 1);
            other.set_state(state).unwrap();
            prop_assert_eq!(drain(&mut other, 2), rest.clone());
            prop_assert_eq!(drain(&mut original.clone(), 2), rest);
            original.next().unwrap();
        }
    }

    #[test]
    fn stratified_prefixes_keep_proportions(
        labels in prop::collection::vec(0_usize..5, 1..80), seed: u64, epoch: u64
    ) {
        let order = StratifiedSampler::new(&labels).unwrap().order(seed, epoch);
        let n = labels.len();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert!(sorted.iter().copied().eq(0..n as u32));
        let mut seen = [0_usize; 5];
        for (k, &index) in order.iter().enumerate() {
            seen[labels[index as usize]] += 1;
            for class in 0..5 {
                let size = labels.iter().filter(|&&l| l == class).count();
                let share = size as f64 * (k + 1) as f64 / n as f64;
                prop_assert!((seen[class] as f64 - share).abs() < 1.0);
            }
        }
    }

    #[test]
    fn sorting_by_length_loses_nothing(
        lengths in prop::collection::vec(0_usize..9, 0..90), size in 1_usize..9, seed: u64
    ) {
        let sampler = LengthSampler::new(&lengths, size).unwrap();
        let mut order = sampler.order(seed, 3);
        prop_assert_eq!(order.clone(), sampler.order(seed, 3));
        order.sort_unstable();
        prop_assert!(order.into_iter().eq(0..lengths.len() as u32));
    }

    #[test]
    fn drawing_without_replacement_repeats_nothing(
        weights in prop::collection::vec(0_u8..4, 1..60), seed: u64
    ) {
        let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
        let positive = weights.iter().filter(|w| **w > 0.0).count();
        if positive == 0 {
            prop_assert!(WeightedSampler::new(&weights, 1).is_err());
            return Ok(());
        }
        let sampler = WeightedSampler::without_replacement(&weights, positive).unwrap();
        let mut order = sampler.order(seed, 0);
        order.sort_unstable();
        let expected: Vec<u32> = (0..weights.len() as u32)
            .filter(|&i| weights[i as usize] > 0.0)
            .collect();
        prop_assert_eq!(order, expected);
        prop_assert!(WeightedSampler::without_replacement(&weights, positive + 1).is_err());
    }

    #[test]
    fn splits_are_partitions(
        labels in prop::collection::vec(0_usize..3, 30..90), seed: u64, k in 2_usize..6
    ) {
        let n = labels.len();
        let whole = |parts: &[Vec<u32>]| {
            let mut all = parts.concat();
            all.sort_unstable();
            all.into_iter().eq(0..n as u32)
        };
        prop_assert!(whole(&split::random(n, &[0.5, 0.3, 0.2], seed).unwrap()));
        if let Ok(parts) = split::stratified(&labels, &[0.7, 0.3], seed) {
            prop_assert!(whole(&parts));
            for class in 0..3 {
                let count = |part: &[u32]| part.iter().filter(|&&i| labels[i as usize] == class).count();
                let size = labels.iter().filter(|&&l| l == class).count();
                let share = size as f64 * parts[0].len() as f64 / n as f64;
                prop_assert!((count(&parts[0]) as f64 - share).abs() < 1.0);
            }
        }
        let groups: Vec<usize> = (0..n).map(|i| i * 7 % 11).collect();
        let parts = split::grouped(&groups, &[0.6, 0.4], seed).unwrap();
        prop_assert!(whole(&parts));
        let of = |part: &[u32]| part.iter().map(|&i| groups[i as usize]).collect::<Vec<_>>();
        prop_assert!(of(&parts[0]).iter().all(|g| !of(&parts[1]).contains(g)));
        let k_folds = split::k_fold(n, k, Some(seed)).unwrap();
        let group_folds = split::group_k_fold(&groups, k).unwrap();
        for folds in [&k_folds, &group_folds] {
            prop_assert_eq!(folds.len(), k);
            prop_assert!(whole(&folds.iter().map(|f| f.test.clone()).collect::<Vec<_>>()));
            for fold in folds {
                prop_assert!(whole(&[fold.train.clone(), fold.test.clone()]));
            }
        }
    }
}

#[test]
fn folds_are_scikit_learns() {
    let y = [3, 1, 1, 0, 3, 3, 0, 1, 0, 3, 1, 3, 0, 0, 1, 3, 3];
    let tests = |folds: Vec<split::Fold>| folds.into_iter().map(|f| f.test).collect::<Vec<_>>();
    let stratified = tests(split::stratified_k_fold(&y, 4, None).unwrap());
    assert_eq!(stratified, STRATIFIED);
    assert_eq!(tests(split::k_fold(17, 4, None).unwrap()), K_FOLD);
    let groups = [5, 5, 2, 2, 2, 9, 7, 7, 9, 1, 1, 1, 4, 3, 3, 3, 5];
    assert_eq!(tests(split::group_k_fold(&groups, 3).unwrap()), GROUPS);
    assert_eq!(split::leave_one_out(17).unwrap().len(), 17);
    let shuffled = split::stratified_k_fold(&y, 4, Some(1)).unwrap();
    let sizes = |folds: &[Vec<u32>]| folds.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&tests(shuffled)), sizes(&stratified));
}

/// The test parts of `StratifiedKFold(4)`, `KFold(4)` and `GroupKFold(3)` of scikit-learn 1.9.1 on these labels and groups.
const STRATIFIED: [&[u32]; 4] = [
    &[0, 1, 3, 4, 6],
    &[2, 5, 8, 9],
    &[7, 11, 12, 15],
    &[10, 13, 14, 16],
];
const K_FOLD: [&[u32]; 4] = [
    &[0, 1, 2, 3, 4],
    &[5, 6, 7, 8],
    &[9, 10, 11, 12],
    &[13, 14, 15, 16],
];
const GROUPS: [&[u32]; 3] = [
    &[0, 1, 9, 10, 11, 16],
    &[5, 8, 12, 13, 14, 15],
    &[2, 3, 4, 6, 7],
];

#[test]
fn weights_are_probabilities() {
    let weights = [1.0, 0.0, 2.0, 5.0];
    let mut counts = [0_u32; 4];
    for index in WeightedSampler::new(&weights, 80_000).unwrap().order(3, 0) {
        counts[index as usize] += 1;
    }
    let expected = [10_000, 0, 20_000, 50_000];
    for (count, expected) in counts.iter().zip(expected) {
        assert!(count.abs_diff(expected) < 700, "{counts:?}");
    }
    // Without replacement the first draw has the same probabilities.
    let sampler = WeightedSampler::without_replacement(&weights, 1).unwrap();
    let firsts = (0..8000)
        .filter(|&epoch| sampler.order(1, epoch)[0] == 3)
        .count();
    assert!(firsts.abs_diff(5000) < 200, "{firsts}");
}

#[test]
fn threads_keep_order_and_pass_errors_and_panics_on() {
    let device = Device::cpu();
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let set = dataset_fn(40, move |indices: &[u32]| {
        counter.fetch_add(1, Ordering::SeqCst);
        // Later batches are ready before earlier ones.
        std::thread::sleep(Duration::from_millis(u64::from(40 - indices[0]) / 8));
        match indices[0] {
            8 => Err(Error::Argument {
                function: "reader",
                problem: "bad sample".into(),
            }),
            16 => panic!("worker trips over {}", indices[0]),
            _ => Ok(Tensor::new(
                &indices.iter().map(|&i| i as i32).collect::<Vec<_>>(),
                &device,
            )),
        }
    });
    let mut loader = Loader::new(set, 4, 0)
        .unwrap()
        .shuffle(false)
        .prefetch(3, 5)
        .unwrap();
    for _ in 0..2 {
        let mut outcomes = Vec::new();
        for batch in loader.epoch() {
            outcomes.push(batch.map(|b| values(&b)[0]));
        }
        assert_eq!(outcomes.len(), 10);
        for (number, outcome) in outcomes.into_iter().enumerate() {
            match (number, outcome) {
                (
                    2,
                    Err(Error::Argument {
                        function: "reader", ..
                    }),
                ) => {}
                (4, Err(Error::Worker { problem })) => {
                    assert_eq!(problem, "panicked: worker trips over 16");
                }
                (_, Ok(first)) => assert_eq!(first as usize, 4 * number),
                (_, Err(error)) => panic!("batch {number}: {error}"),
            }
        }
    }
    let done = made.load(Ordering::SeqCst);
    assert!(
        (20..=26).contains(&done),
        "{done} batches made for 20 asked for"
    );
}

#[test]
fn dropping_a_loader_does_not_wait_for_what_is_queued() {
    let device = Device::cpu();
    let set = dataset_fn(1000, move |_: &[u32]| {
        std::thread::sleep(Duration::from_millis(20));
        Ok(Tensor::arange(1, &device))
    });
    let mut loader = Loader::new(set, 1, 0).unwrap().prefetch(1, 500).unwrap();
    loader.next().unwrap();
    let began = std::time::Instant::now();
    drop(loader);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn bad_loaders_are_errors() {
    let argument =
        |result: Result<Loader<TensorDataset<Tensor>>, Error>| result.unwrap_err().to_string();
    assert!(argument(Loader::new(numbers(0), 4, 0)).contains("at least one sample"));
    assert!(argument(Loader::new(numbers(3), 0, 0)).contains("batch_size 0"));
    let loader = || Loader::new(numbers(3), 2, 0).unwrap();
    assert!(argument(loader().prefetch(0, 1)).contains("workers 0"));
    assert!(
        numbers(3)
            .get(&[0, 3])
            .unwrap_err()
            .to_string()
            .contains("index 3 at position 1")
    );
    let state = Loader::new(numbers(4), 2, 0).unwrap().state();
    let error = loader().set_state(state).unwrap_err().to_string();
    assert_eq!(
        error,
        "the saved state of the loader is of 4 samples an epoch, this loader has 3"
    );
    let mut state = loader().state();
    state.insert("position".into(), 9);
    assert!(loader().set_state(state.clone()).is_err());
    state.remove("position");
    assert!(
        loader()
            .set_state(state)
            .unwrap_err()
            .to_string()
            .contains("has no `position`")
    );
    let state = loader().shuffle(false).state();
    assert!(
        loader()
            .set_state(state)
            .unwrap_err()
            .to_string()
            .contains("not shuffled")
    );
    // A sampler of somebody's own that points beyond the dataset.
    let beyond = wgrad_data::SubsetSampler::new(&[7]);
    assert!(matches!(
        loader().sampler(beyond).unwrap().next(),
        Err(Error::Index { index: 7, .. })
    ));
    assert!(
        loader()
            .sampler(wgrad_data::SubsetSampler::new(&[]))
            .is_err()
    );
    assert!(split::random(3, &[0.9, 0.3], 0).is_err());
    assert!(split::random(3, &[0.9, 0.1], 0).is_err());
    assert!(split::k_fold(3, 4, None).is_err());
    assert!(split::leave_one_out(0).is_err());
    let error = split::stratified_k_fold(&[0, 0, 0, 1], 2, None)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "class 1 is missing from one of the 2 folds: it has 1 samples"
    );
    assert!(matches!(
        split::stratified(&[0, 0, 0, 0, 0, 0, 0, 1], &[0.5, 0.5], 0),
        Err(Error::MissingClass {
            class: 1,
            size: 1,
            ..
        })
    ));
    assert!(split::grouped(&[1, 1, 1], &[0.5, 0.5], 0).is_err());
}

#[test]
fn adaptors_agree_on_host_and_device() {
    let set = DeviceDataset::new(&digits::generate(12, 0), &Device::cpu()).unwrap();
    let labels = set
        .batch(&(0..12).collect::<Vec<_>>())
        .1
        .to_vec::<i32>()
        .unwrap();
    let part = set.clone().subset(&[5, 3, 8]).unwrap();
    assert_eq!(part.len(), 3);
    let both = part.map(|(x, y)| (x.mean_dims(&[1, 2, 3], false), y));
    let index = both.index(&[2, 0]);
    for (means, y) in [both.get(&[2, 0]).unwrap(), both.gather(&index)] {
        assert_eq!(means.shape(), [2]);
        assert_eq!(y.to_vec::<i32>().unwrap(), [labels[8], labels[5]]);
    }
    let pairs = set.clone().zip(numbers(12)).unwrap();
    let batch = pairs.get(&[4]).unwrap();
    assert_eq!((batch.tensors().len(), values(&batch[2])), (3, vec![4]));
    assert!(set.zip(numbers(3)).is_err());
    let short = Windows::new(Tensor::arange(3, &Device::cpu()), 3, 1).unwrap_err();
    assert!(
        short.to_string().contains("do not fit a sequence of 3"),
        "{short}"
    );
    let series = Tensor::arange(20, &Device::cpu()).reshape(&[10, 2]);
    let (x, y) = Windows::new(series, 4, 5).unwrap().get(&[1]).unwrap();
    assert_eq!(
        (x.shape(), values(&x)[0], values(&y)[7]),
        (&[1, 4, 2][..], 10, 19)
    );
}

#[test]
fn an_epoch_goes_on_where_a_loop_was_left() {
    let mut loader = Loader::new(numbers(10), 3, 4).unwrap();
    let whole = drain(&mut loader.clone(), 2);
    assert_eq!(values(&loader.epoch().next().unwrap().unwrap()), whole[0]);
    let rest: Vec<_> = loader.epoch().map(|b| values(&b.unwrap())).collect();
    assert_eq!((rest, loader.epochs_done()), (whole[1..4].to_vec(), 1));
    loader.epoch().next();
    loader.skip_epoch();
    assert_eq!((loader.epochs_done(), loader.epoch().count()), (2, 4));
    let order = BatchSampler::new(10, 5, 4).unwrap().shuffle(false);
    let mut other = loader.with_batches(order);
    assert_eq!(drain(&mut other, 1)[0], [0, 1, 2, 3, 4]);
    let sampler = std::sync::Arc::new(wgrad_data::SubsetSampler::new(&[6]));
    let mut batches = BatchSampler::with_sampler(sampler, 2, 0).unwrap();
    assert_eq!(batches.next_batch(), Some(&[6][..]));
    let part = numbers(5).subset(&[4, 1]).unwrap();
    assert_eq!((part.indices(), part.dataset().len()), (&[4, 1][..], 5));
    assert_eq!(values(&part.dataset().tensors()), [0, 1, 2, 3, 4]);
}

#[test]
fn a_missing_tensor_is_an_invalid_one() {
    let x = Tensor::arange(2, &Device::cpu());
    let (first, second) = <(Tensor, Tensor)>::from_tensors(&[x]);
    assert!(first.check().is_ok());
    assert!(
        second
            .check()
            .unwrap_err()
            .to_string()
            .contains("needs 2 tensors, got 1")
    );
    assert!(Tensor::from_tensors(&[]).check().is_err());
}

#[test]
fn functions_and_maps_resume() {
    let device = Device::cpu();
    let mut made = from_fn(3, move |epoch, batch| {
        Ok(Tensor::new(&[epoch as i32, batch as i32], &device))
    });
    let seen = drain(&mut made, 2);
    assert_eq!(seen[4], [1, 0]);
    made.set_state(BTreeMap::from([("epoch".into(), 1), ("batch".into(), 2)]))
        .unwrap();
    assert_eq!(drain(&mut made, 1), [vec![1, 2], vec![]]);
    assert!(
        made.set_state(BTreeMap::from([("epoch".into(), 1), ("batch".into(), 4)]))
            .is_err()
    );
    let make = || {
        let loader = Loader::new(numbers(9), 2, 1).unwrap();
        map_batches(loader, 3, |x: Tensor, rng| {
            &x * 1000 + rng.integers(0, 1000, x.shape(), x.device())
        })
    };
    let all = drain(&mut make(), 3);
    let mut resumed = make();
    let mut source = make();
    for _ in 0..7 {
        source.next().unwrap();
    }
    resumed.set_state(source.state()).unwrap();
    assert_eq!(drain(&mut resumed, 2), all[7..]);
}
