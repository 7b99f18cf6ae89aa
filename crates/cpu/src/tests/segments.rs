//! Steps that run part by part, against the same steps one after another: to the bit.

use super::*;
use crate::plan::Plan;
use crate::storage::HostBuffer;
use crate::{Executor, Prepared};
use wgrad_graph::planning;
use wgrad_graph::{AttentionOptions, Device, Tensor, grad};

fn tensor(seed: u64, shape: &[usize]) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_slice(&Rng(seed).floats(n), shape, &Device::cpu())
}

/// The plan of some tensors, its leaves and scalars.
pub(crate) fn planned(outputs: &[&Tensor]) -> (Plan, Vec<HostBuffer>, Vec<u32>) {
    let planned = planning::planned(outputs, &[]).expect("a plan");
    (planned.plan, planned.leaves, planned.scalars)
}

/// Runs the plan with its segments, on one thread and on three, and without; returns where the segments begin and end.
pub(crate) fn same_bits(outputs: &[&Tensor]) -> Vec<(usize, usize)> {
    let (plan, leaves, scalars) = planned(outputs);
    let leaves: Vec<&HostBuffer> = leaves.iter().collect();
    let prepared = Prepared::new(&plan);
    let mut without = Prepared::new(&plan);
    without.segments.clear();
    let run = |prepared: &Prepared, threads: usize| {
        let status = AtomicU32::new(0);
        let executor = Executor::with_threads(threads);
        executor
            .run((&plan, prepared), &leaves, &scalars, &status, None)
            .expect("room")
    };
    let want = run(&without, 1);
    for threads in [1, 3] {
        for (a, b) in want.iter().zip(run(&prepared, threads)) {
            assert!(a.bytes() == b.bytes(), "{threads} threads");
        }
    }
    let steps = prepared.segments.iter().map(|s| &s.steps);
    steps.map(|s| (s.start, s.end)).collect()
}

#[test]
fn an_attention_and_its_gradients_run_head_by_head() {
    let [q, k, v, g] = [1, 2, 3, 4].map(|seed| tensor(seed, &[2, 4, 200, 16]));
    let y = q.scaled_dot_product_attention(&k, &v, &AttentionOptions::default());
    let loss = (&y * &g).sum();
    let grads = grad(&loss, &[&q, &k, &v]).expect("gradients");
    let segments = same_bits(&[&y, &grads[0], &grads[1], &grads[2]]);
    assert_eq!(segments.len(), 1);
    assert!(segments[0].1 - segments[0].0 >= 7, "{segments:?}");
    // Scores that somebody keeps are written whole.
    let scores = q.matmul(&k.t());
    let p = scores.softmax(-1);
    assert_eq!(same_bits(&[&p.matmul(&v), &scores]), [(0, 3)]);
}

/// Values of two bytes between the steps.
#[test]
fn halves_run_part_by_part() {
    for half in [DType::F16, DType::BF16] {
        let [q, k, v] = [1, 2, 3].map(|seed| {
            let x = tensor(seed, &[2, 4, 201, 15]).cast(half);
            x.detach().expect("halves")
        });
        let p = q.matmul(&k.t()).cast(DType::F32).softmax(-1).cast(half);
        assert_eq!(same_bits(&[&p.matmul(&v)]), [(0, 4)]);
        let w = tensor(4, &[16, 5, 3, 3]).cast(half).detach();
        let x = tensor(5, &[9, 5, 41, 41]).cast(half).detach();
        let (w, x) = (w.expect("halves"), x.expect("halves"));
        let options = wgrad_graph::ConvOptions::default().padding([1, 1]);
        let y = x.conv2d(&w, None, &options).relu();
        let y = y.max_pool2d(&wgrad_graph::PoolOptions::new(2));
        let grads = grad(&y.cast(DType::F32).square().sum(), &[&x, &w]).expect("gradients");
        let segments = same_bits(&[&y, &grads[0], &grads[1]]);
        let steps: usize = segments.iter().map(|s| s.1 - s.0).sum();
        assert!(steps >= 4, "{segments:?}");
    }
}

#[test]
fn what_mixes_parts_ends_a_segment() {
    let [q, k] = [1, 2].map(|seed| tensor(seed, &[8, 220, 16]));
    let p = q.matmul(&k.t()).softmax(-1);
    // A sum over the parts, a transposition of parts, an operand that all parts share.
    let mixed = p.matmul(&k).sum_dims(&[0], false);
    let turned = p.matmul(&k).transpose(0, 1).softmax(-1);
    let shared = p.matmul(&tensor(3, &[220, 16]));
    for (outputs, end) in [(&mixed, 3), (&turned, 3), (&shared, 2)] {
        let segments = same_bits(&[outputs]);
        assert_eq!(segments, [(0, end)], "{outputs:?}");
    }
    // Few parts, small parts.
    assert!(
        same_bits(&[&tensor(1, &[4, 300, 8])
            .matmul(&tensor(2, &[4, 8, 300]))
            .softmax(-1)])
        .is_empty()
    );
    assert!(
        same_bits(&[&tensor(1, &[8, 20, 8])
            .matmul(&tensor(2, &[8, 8, 20]))
            .softmax(-1)])
        .is_empty()
    );
}

#[test]
fn random_chains_of_batched_steps_keep_their_bits() {
    let mut rng = Rng(9);
    let mut found = 0;
    for seed in 0..20 {
        let (b, n) = (8, [185, 192, 210][rng.below(3)]);
        let mut pool: Vec<Tensor> = (0..3).map(|i| tensor(seed * 7 + i, &[b, n, n])).collect();
        for _ in 0..4 + rng.below(5) {
            let (x, y) = (
                pool[rng.below(pool.len())].clone(),
                pool[rng.below(pool.len())].clone(),
            );
            let half = [DType::F16, DType::BF16][rng.below(2)];
            pool.push(match rng.below(8) {
                0 => x.matmul(&y) * 0.1,
                1 => x.matmul(&y.t()) * 0.1,
                2 => x.softmax(-1),
                3 => x.sum_dims(&[2], true) * y,
                4 => x.flip(&[rng.below(3) as isize]).tanh(),
                5 => x.cast(half),
                6 => (x.cast(half).matmul(&y.t().cast(half)) * 0.1).cast(DType::F32),
                _ => x.tanh() + y,
            });
        }
        let last = pool.len() - 1;
        let kept = &pool[3 + rng.below(last - 2)];
        found += same_bits(&[&pool[last], kept]).len();
    }
    assert!(found > 10, "{found} segments");
}

#[test]
fn a_convolutional_network_runs_image_by_image() {
    let (w1, b1) = (tensor(2, &[16, 3, 3, 3]), tensor(3, &[16]));
    let w2 = tensor(4, &[24, 16, 3, 3]);
    let w3 = tensor(5, &[17, 24, 3, 3]);
    let options = wgrad_graph::ConvOptions::default().padding([1, 1]);
    let pool = |t: &Tensor| t.max_pool2d(&wgrad_graph::PoolOptions::new(2));
    for batch in [8, 16, 32, 48] {
        let x = tensor(1, &[batch, 3, 40, 40]);
        let h = pool(&x.conv2d(&w1, Some(&b1), &options).relu());
        let h = h.conv2d(&w2, None, &options).relu();
        let y = pool(&h.conv2d(&w3, None, &options).relu());
        let loss = y.square().sum();
        let grads = grad(&loss, &[&x, &w1, &b1, &w2, &w3]).expect("gradients");
        let outputs: Vec<&Tensor> = std::iter::once(&loss).chain(&grads).collect();
        let segments = same_bits(&outputs);
        let steps: usize = segments.iter().map(|s| s.1 - s.0).sum();
        assert!(segments.len() == 2 && steps >= 12, "{segments:?}");
        // Where the batch has as many equal parts as are summed, the weights' gradients join the inputs'; the first
        // convolution's stands behind the sum for its bias.
        let (plan, ..) = planned(&outputs);
        let joined = plan.steps[segments[1].0..segments[1].1].iter().filter(
            |s| matches!(&s.kernel, Kernel::Conv(c) if c.kind == crate::plan::ConvKind::WeightGrad),
        );
        assert!(batch % 16 > 0 || joined.count() == 2, "{segments:?}");
    }
}
