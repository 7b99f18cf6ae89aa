//! Any number of threads may read, evaluate, train and fail on shared tensors.

use super::programs::Dice;
use super::replays::Step;
use super::{fails, table};
use crate::models::own_devices;
use crate::support::all;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wgrad::{DType, Device, ErrorKind, Generator, Tensor, eval, grad};

/// Gradient descent on a shared batch; the losses.
fn train(steps: usize, x: &Tensor, y: &Tensor) -> Vec<u32> {
    let mut w = Tensor::zeros(&[4, 1], DType::F32, x.device());
    let mut losses = Vec::new();
    for _ in 0..steps {
        let loss = (x.matmul(&w) - y).square().mean();
        let g = grad(&loss, &[&w]).expect("a gradient").remove(0);
        let new = &w - g * 0.1;
        eval(&[&new, &loss]).expect("a step");
        losses.push(loss.item::<f32>().expect("a loss").to_bits());
        w = new.detach().expect("weights");
    }
    losses
}

fn batch(device: &Device) -> [Tensor; 2] {
    let mut rng = Generator::new(3);
    let x = rng.normal(&[16, 4], device).detach().expect("numbers");
    let y = x.sum_dims(&[1], true).detach().expect("numbers");
    [x, y]
}

fn seconds(default: u64, long: u64) -> Duration {
    Duration::from_secs(if all() { long } else { default })
}

#[test]
fn one_trains_while_another_reads_bad_indices() {
    for device in own_devices() {
        let [x, y] = batch(&device);
        let want = train(30, &x, &y);
        let [rows, _, bad] = table(&device);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(fails(&rows.index_select(0, &bad)).kind(), ErrorKind::Index);
                    n += 1;
                }
                n
            });
            let end = Instant::now() + seconds(2, 6);
            while Instant::now() < end {
                assert_eq!(train(30, &x, &y), want, "{device}");
            }
            stop.store(true, Ordering::Relaxed);
            assert!(reader.join().expect("a reader") > 0);
        });
    }
}

#[test]
fn two_evaluate_tensors_that_share_an_unevaluated_operand() {
    let rounds = if all() { 20_000 } else { 2_000 };
    for device in own_devices() {
        let rounds = if device.as_gpu().is_some() {
            rounds / 10
        } else {
            rounds
        };
        let x = Tensor::new(&[1.0f32, 2.0, 3.0], &device);
        let meet = Barrier::new(2);
        let shared = std::sync::Mutex::new(x.exp());
        let run = |me: usize| {
            for n in 0..rounds {
                if me == 0 {
                    *shared.lock().expect("shared") = (&x * 2.0 + 1.0).sum_dims(&[0], true);
                }
                meet.wait();
                let s = shared.lock().expect("shared").clone();
                let (got, want) = match (me + n) % 3 {
                    0 => ((&s * 2.0).to_vec::<f32>(), vec![30.0]),
                    1 => ((&s + &x).to_vec::<f32>(), vec![16.0, 17.0, 18.0]),
                    _ => (s.to_vec::<f32>(), vec![15.0]),
                };
                assert_eq!(got.expect("values"), want, "{device}, round {n}");
                meet.wait();
            }
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| run(1));
            run(0);
            other.join().expect("the other thread");
        });
    }
}

/// One of many things that a thread may do on shared tensors; what came out, as bits.
fn job(seed: u64, [x, y]: &[Tensor; 2], lazy: &[Tensor]) -> Vec<u32> {
    let mut dice = Dice::new(seed);
    let device = x.device();
    let bits = |t: &Tensor| {
        t.to_vec::<f32>()
            .expect("values")
            .iter()
            .map(|v| v.to_bits())
            .collect()
    };
    let size = x.size(0);
    match dice.below(6) {
        0 => train(3, x, y),
        1 => bits(&(&lazy[dice.below(lazy.len())] * 0.5).tanh()),
        2 => {
            let (a, b) = (&lazy[dice.below(lazy.len())], &lazy[dice.below(lazy.len())]);
            eval(&[a, b]).expect("values");
            bits(&(a - b))
        }
        3 => {
            let bad = Tensor::new(&[0, (size + dice.below(3)) as i32], device);
            let e = fails(&x.index_select(0, &bad).exp());
            assert_eq!(e.kind(), ErrorKind::Index, "{e}");
            assert_eq!(e.op(), "gather");
            Vec::new()
        }
        4 => bits(&x.index_select(0, &Tensor::new(&[dice.below(size) as i32], device))),
        _ => compiled(&mut dice, x, y),
    }
}

/// A planned step that fails now and then.
fn compiled(dice: &mut Dice, x: &Tensor, y: &Tensor) -> Vec<u32> {
    let device = x.device();
    let size = x.size(0) as i32;
    let rows = |last: i32| Tensor::new(&[0, 1, last], device);
    let f = |s: &[Tensor], x: &[Tensor]| {
        let rows = x[1].index_select(0, &x[0]);
        let loss = (rows.matmul(&s[0]) - x[2].index_select(0, &x[0]))
            .square()
            .mean();
        let g = grad(&loss, &[&s[0]]).expect("a gradient").remove(0);
        (vec![loss], vec![&s[0] - g * 0.1])
    };
    let weights = Tensor::zeros(&[4, 1], DType::F32, device)
        .detach()
        .expect("zeros");
    let mut step = Step::new(vec![weights], &[&rows(2), x, y], f).expect("a plan");
    for n in 0..6 {
        let good = dice.below(3) > 0;
        let last = if good { n } else { size + n };
        let loss = step
            .run(&[&rows(last), x, y])
            .and_then(|(out, _)| out[0].item::<f32>());
        assert_eq!(loss.is_ok(), good, "{loss:?}");
    }
    let values = step.state[0].to_vec::<f32>().expect("weights");
    values.iter().map(|v| v.to_bits()).collect()
}

/// Tensors that no one has computed.
fn lazy([x, y]: &[Tensor; 2]) -> Vec<Tensor> {
    let first = (x * y).cumsum(0);
    let second = (&first + x).softmax(1);
    let third = second.t().matmul(&first);
    let fourth = x.matmul(&third) - &second;
    vec![first, second, fourth]
}

#[test]
fn four_threads_evaluate_train_and_fail_as_one_alone() {
    for device in own_devices() {
        let on_gpu = device.as_gpu().is_some();
        let shared = batch(&device);
        let n_jobs = if on_gpu { 24 } else { 60 };
        let alone: Vec<Vec<u32>> = {
            let lazy = lazy(&shared);
            (0..n_jobs).map(|seed| job(seed, &shared, &lazy)).collect()
        };
        let end = Instant::now() + seconds(3, 60);
        let mut rounds = 0;
        while rounds == 0 || Instant::now() < end {
            let lazy = lazy(&shared);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (shared, lazy, alone) = (&shared, &lazy, &alone);
                    scope.spawn(move || {
                        for n in 0..n_jobs {
                            // Each begins elsewhere.
                            let seed = (n + thread * n_jobs / 4) % n_jobs;
                            let got = job(seed, shared, lazy);
                            assert_eq!(got, alone[seed as usize], "job {seed} of thread {thread}");
                        }
                    });
                }
            });
            rounds += 1;
        }
    }
}
