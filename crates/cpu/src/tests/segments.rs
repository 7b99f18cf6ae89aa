//! Steps that run part by part, against the same steps one after another: to the bit.

use super::*;
use crate::plan::Plan;
use crate::run::Ready;
use crate::storage::HostBuffer;
use crate::{Executor, Prepared};
use wgrad_graph::planning;
use wgrad_graph::{AttentionOptions, Device, ScanOptions, Tensor, grad, scan};

fn tensor(seed: u64, shape: &[usize]) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_slice(&Rng(seed).floats(n), shape, &Device::cpu())
}

/// The plan of some tensors, its leaves and scalars.
pub(crate) fn planned(outputs: &[&Tensor]) -> (Plan, Vec<HostBuffer>, Vec<u32>) {
    let planned = planning::planned(outputs, &[]).expect("a plan");
    (planned.plan, planned.leaves, planned.scalars)
}

/// Makes a plan, and its loops, run step by step.
fn step_by_step(prepared: &mut Prepared) {
    prepared.segments.clear();
    for ready in &mut prepared.steps {
        if let Ready::Loop(body) = ready {
            body.by_parts = None;
            step_by_step(body);
        }
    }
}

/// Runs the plan with its segments, on one thread and on three, and without; returns where the segments begin and end.
pub(crate) fn same_bits(outputs: &[&Tensor]) -> Vec<(usize, usize)> {
    let (plan, leaves, scalars) = planned(outputs);
    let leaves: Vec<&HostBuffer> = leaves.iter().collect();
    let prepared = Prepared::new(&plan);
    let mut without = Prepared::new(&plan);
    step_by_step(&mut without);
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

/// What a recurrence is made of.
struct Recurrence {
    /// `[steps, batch, 3 · hidden]`.
    x: Tensor,
    /// `[3 · hidden, hidden]`.
    w: Tensor,
    h: Tensor,
    c: Tensor,
}

impl Recurrence {
    fn new(seed: u64, [steps, batch, hidden]: [usize; 3]) -> Recurrence {
        Recurrence {
            x: tensor(seed, &[steps, batch, 3 * hidden]),
            w: tensor(seed + 1, &[3 * hidden, hidden]) * 0.1,
            h: tensor(seed + 2, &[batch, hidden]),
            c: tensor(seed + 3, &[batch, hidden]),
        }
    }

    /// A step with two states and three gates.
    fn step(w: &Tensor, x: &Tensor, [h, c]: [&Tensor; 2]) -> [Tensor; 2] {
        let sum = x + h.linear(w, None);
        let hidden = h.size(-1);
        let [i, f, o] = [0, 1, 2].map(|g| sum.narrow(-1, g * hidden, hidden));
        let c = f.sigmoid() * c + i.tanh();
        [o.sigmoid() * c.tanh(), c]
    }

    /// All states, recorded step by step, and the last `c`.
    fn unrolled(&self) -> [Tensor; 2] {
        let (mut h, mut c) = (self.h.clone(), self.c.clone());
        let mut all = Vec::new();
        for t in 0..self.x.size(0) {
            [h, c] = Recurrence::step(&self.w, &self.x.select(0, t as isize), [&h, &c]);
            all.push(h.clone());
        }
        [Tensor::stack(&all.iter().collect::<Vec<_>>(), 0), c]
    }

    /// The same as a loop.
    fn looped(&self, options: &ScanOptions) -> [Tensor; 2] {
        let first = (self.h.clone(), self.c.clone());
        let step = |(h, c): (Tensor, Tensor), x: Tensor| {
            let [h, c] = Recurrence::step(&self.w, &x, [&h, &c]);
            ((h.clone(), c), h)
        };
        let ((_, c), all) = scan(first, self.x.clone(), options, step);
        [all, c]
    }

    /// The results, and the gradients of everything.
    fn outputs(&self, [all, c]: [Tensor; 2], seed: u64) -> Vec<Tensor> {
        let loss = (&all * tensor(seed, all.shape())).sum() + c.square().sum();
        let grads = grad(&loss, &[&self.x, &self.w, &self.h, &self.c]).expect("gradients");
        [vec![all, c], grads].concat()
    }
}

/// How many loops of a plan run part by part, and how many there are.
fn loops_by_part(outputs: &[&Tensor]) -> (usize, usize) {
    let (plan, ..) = planned(outputs);
    let prepared = Prepared::new(&plan);
    let bodies = prepared.steps.iter().filter_map(|ready| match ready {
        Ready::Loop(body) => Some(body.by_parts.is_some()),
        _ => None,
    });
    let bodies: Vec<bool> = bodies.collect();
    (bodies.iter().filter(|&&by| by).count(), bodies.len())
}

#[test]
fn a_recurrence_runs_sequence_by_sequence() {
    let small = cfg!(miri);
    for [steps, batch, hidden] in [
        [5, 16, 32],
        [6, 33, 16],
        [9, 20, 48],
        [3, 4, 17],
        [7, 90, 32],
        [40, 8, 16],
        // A last part of fewer rows.
        [5, 17, 32],
        [4, 31, 40],
        [6, 7, 20],
        [3, 82, 112],
    ] {
        if small && steps * batch > 60 {
            continue;
        }
        let r = Recurrence::new(3, [steps, batch, hidden]);
        let outputs = r.outputs(r.unrolled(), 9);
        let outputs: Vec<&Tensor> = outputs.iter().collect();
        let segments = same_bits(&outputs);
        // Forward, each product with its gates; back too, unless the weight's gradient is a product of each step.
        let covered: usize = segments.iter().map(|s| s.1 - s.0).sum();
        let whole = 4 * batch <= 3 * hidden;
        let fewest = if whole { 4 * steps - 6 } else { 2 * steps - 2 };
        assert!(
            covered >= fewest,
            "{segments:?} of {steps} {batch} {hidden}"
        );
        for reverse in [false, true] {
            for keep_products in [false, true] {
                let options = ScanOptions {
                    reverse,
                    keep_products,
                    ..ScanOptions::default()
                };
                let outputs = r.outputs(r.looped(&options), 9);
                let outputs: Vec<&Tensor> = outputs.iter().collect();
                same_bits(&outputs);
                assert_eq!(loops_by_part(&outputs), (2, 2), "{steps} {batch} {hidden}");
            }
        }
    }
}

#[test]
fn sequences_that_cannot_be_apart_stay_together() {
    // So few that none would have several.
    for batch in [1, 3] {
        let r = Recurrence::new(1, [4, batch, 16]);
        let outputs = r.outputs(r.unrolled(), 2);
        assert!(same_bits(&outputs.iter().collect::<Vec<_>>()).is_empty());
    }
    if cfg!(miri) {
        return;
    }
    // Weights that fill the caches.
    let r = Recurrence::new(1, [3, 16, 850]);
    let outputs = r.outputs(r.unrolled(), 2);
    assert!(same_bits(&outputs.iter().collect::<Vec<_>>()).is_empty());
    // A state that is the mean of all sequences', or another's.
    let (x, w) = (tensor(1, &[6, 16, 32]), tensor(2, &[32, 32]) * 0.1);
    for mixes in [true, false] {
        let step = |h: &Tensor, x: &Tensor| {
            let all = match mixes {
                true => h.mean_dims(&[0], true) + h,
                false => h.flip(&[0]),
            };
            (x + all.linear(&w, None)).tanh()
        };
        let mut h = tensor(3, &[16, 32]);
        for t in 0..6 {
            h = step(&h, &x.select(0, t));
        }
        let loss = h.square().sum();
        let grads = grad(&loss, &[&x, &w]).expect("gradients");
        same_bits(&[&h, &grads[0], &grads[1]]);
        let first = tensor(3, &[16, 32]);
        let options = ScanOptions::default();
        let (h, all) = scan(first, x.clone(), &options, |h: Tensor, x: Tensor| {
            let h = step(&h, &x);
            (h.clone(), h)
        });
        assert_eq!(loops_by_part(&[&h, &all]).0, 0);
        same_bits(&[&h, &all]);
    }
}

/// Weights that are other ones in each round are not made ready for all of them.
#[test]
fn weights_of_each_round() {
    let (h, w) = (tensor(1, &[16, 48]), tensor(2, &[3, 48, 48]) * 0.1);
    for reverse in [false, true] {
        let options = ScanOptions {
            reverse,
            ..ScanOptions::default()
        };
        let (last, all) = scan(h.clone(), w.clone(), &options, |h: Tensor, w: Tensor| {
            let a = h.matmul(&w).tanh();
            let b = a.matmul(&w).tanh();
            (b.clone(), b)
        });
        assert_eq!(loops_by_part(&[&last, &all]).1, 1);
        same_bits(&[&last, &all]);
    }
}

/// Two weights that are packed at the same place, one after the other, each for several products.
#[test]
fn weights_that_follow_each_other() {
    if cfg!(miri) {
        return;
    }
    let [a, b] = [1, 2].map(|seed| tensor(seed, &[1500, 1500]) * 0.03);
    let h = (tensor(3, &[248, 1500]).matmul(&a).tanh().matmul(&a)).tanh();
    let h = (h.matmul(&b).tanh().matmul(&b)).tanh();
    let z = h.reshape(&[8, 31, 1500]);
    same_bits(&[&z.matmul(&z.t())]);
}

#[test]
fn products_of_nothing_between_others() {
    let [q, k] = [1, 2].map(|seed| tensor(seed, &[16, 128, 0]));
    let v = tensor(3, &[16, 128, 8]);
    same_bits(&[&q.matmul(&k.t()).softmax(-1).matmul(&v)]);
}

#[test]
fn random_recurrences_keep_their_bits() {
    let mut rng = Rng(5);
    for seed in 0..if cfg!(miri) { 2 } else { 24 } {
        let (batch, hidden) = (2 + rng.below(40), 16 + rng.below(20));
        let steps = 2 + rng.below(5);
        let w: Vec<Tensor> = (0..3)
            .map(|i| tensor(seed * 9 + i, &[hidden, hidden]) * 0.1)
            .collect();
        let x = tensor(seed * 9 + 4, &[steps, batch, hidden]);
        let mut pool: Vec<Tensor> = (0..3)
            .map(|i| tensor(seed * 9 + 5 + i, &[batch, hidden]))
            .collect();
        for t in 0..steps {
            for _ in 0..3 {
                let (a, b) = (rng.below(pool.len()), rng.below(pool.len()));
                let (a, b) = (pool[a].clone(), pool[b].clone());
                pool.push(match rng.below(7) {
                    0 | 1 => a.linear(&w[rng.below(3)], None),
                    2 => x.select(0, t as isize) * a + b,
                    3 => a.softmax(-1) + b,
                    4 => a.tanh() * b.sigmoid(),
                    5 => a.mean_dims(&[1], true) * b,
                    _ => a.flip(&[rng.below(2) as isize]) + b,
                });
            }
        }
        let all: Vec<&Tensor> = pool[3..].iter().collect();
        let last = Tensor::cat(&all, rng.below(2) as isize);
        let grads = grad(&last.square().sum(), &[&w[0], &x, &pool[0]]);
        let grads = grads.unwrap_or_default();
        let kept = &pool[3 + rng.below(pool.len() - 3)];
        let outputs: Vec<&Tensor> = [&last, kept].into_iter().chain(&grads).collect();
        same_bits(&outputs);
    }
}
