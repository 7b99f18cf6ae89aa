//! Random programs on batches of images, whose channels the cpu's planner takes for rows: normalisations and what stands around
//! them, gathers, flips and slices among it, forward and gradients, beside the reference.

use crate::support::{Random, all, check, executors, report};
use wgrad::ops::Tolerance;
use wgrad::{DType, Device, Tensor, grad};

const TOLERANCE: Tolerance = Tolerance {
    rtol: 2e-3,
    atol: 2e-4,
};

/// Sizes with runs of a line of the cache and more, of less, and of what is no multiple of it.
const SIZES: [[usize; 4]; 8] = [
    [6, 20, 4, 8],
    [3, 16, 4, 4],
    [5, 17, 3, 7],
    [2, 33, 1, 19],
    [4, 18, 2, 3],
    [9, 16, 16, 1],
    [1, 24, 5, 5],
    [2, 40, 6, 6],
];

/// A random function of a batch of images.
fn step(rng: &mut Random, pool: &[Tensor], device: &Device) -> Tensor {
    let any = |rng: &mut Random| pool[rng.below(pool.len())].clone();
    let (x, y) = (any(rng), any(rng));
    let mean = |t: &Tensor| t.mean_dims(&[0, 2, 3], true);
    let index = |rng: &mut Random, n: usize| {
        let places: Vec<i32> = (0..n).map(|_| rng.below(n) as i32).collect();
        Tensor::from_slice(&places, &[n], device)
    };
    match rng.below(14) {
        0 => x.batch_norm_train(None, None, 1e-3).0,
        1 => &x - mean(&x),
        2 => &x * mean(&y.square()).sqrt(),
        3 => x.relu() + y,
        4 => x.tanh() * y.sigmoid(),
        5 => {
            let dim = [0, 1, 2, 3][rng.below(4)];
            let places = index(rng, x.size(dim as isize));
            x.index_select(dim as isize, &places)
        }
        6 => x.flip(&[rng.below(4) as isize]),
        7 => &x - x.amax_dims(&[0, 2, 3], true),
        8 => x.gelu(),
        9 => Tensor::where_(&x.gt(&y), &x, &mean(&y).broadcast_to(x.shape())),
        10 => x.sum_dims(&[1], true) * 0.1 + y,
        11 => x.group_norm(1, None, None, 1e-3),
        12 => x.cast(DType::F16).cast(DType::F32) * 0.5 + mean(&x),
        _ => &x * 0.5 + &y,
    }
}

fn programs(device: &Device, count: u64) -> Vec<String> {
    let mut failures = Vec::new();
    for seed in 0..count {
        let mut rng = Random(seed * 977 + 5);
        let shape = SIZES[rng.below(SIZES.len())];
        let n: usize = shape.iter().product();
        let mut leaf = |low: f64| {
            let values: Vec<f32> = (0..n).map(|_| rng.uniform(low, 1.5) as f32).collect();
            Tensor::from_slice(&values, &shape, device).requires_grad()
        };
        let leaves = [leaf(-1.5), leaf(-1.0)];
        let mut pool = leaves.to_vec();
        for _ in 0..3 + rng.below(6) {
            pool.push(step(&mut rng, &pool, device));
        }
        let last = &pool[pool.len() - 1];
        let kept = &pool[rng.below(pool.len())];
        let loss = (last.tanh() * kept.sigmoid()).sum();
        let grads = grad(&loss, &[&leaves[0], &leaves[1]]);
        let mut outputs = vec![last.clone(), kept.clone()];
        outputs.extend(grads.into_iter().flatten());
        let every: Vec<&Tensor> = outputs.iter().collect();
        if let Err(e) = wgrad::eval(&every) {
            failures.push(format!("seed {seed}: {e}"));
            continue;
        }
        for (i, t) in outputs.iter().enumerate() {
            if let Err(e) = check(t, TOLERANCE) {
                failures.push(format!("seed {seed}, {shape:?}, output {i}: {e}"));
            }
        }
    }
    failures
}

#[test]
fn programs_on_channels_are_the_references() {
    for subject in executors() {
        let most = match (all(), subject.name) {
            (true, _) => 1000,
            (false, "cpu") => 150,
            _ => 12,
        };
        let failures = programs(&subject.device, most);
        report(
            &format!("programs on channels, {}", subject.name),
            most as usize,
            &failures,
        );
    }
}
