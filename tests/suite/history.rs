//! What is kept of how a value came about: memory stays flat in loops that read sums of what they let go, and no gradient that
//! can be asked for is lost or cut in silence.

use crate::models::own_devices;
use wgrad::{DType, Device, Generator, Tensor, grad, graph_dot, no_grad};

/// Nodes at and below.
fn kept(t: &Tensor) -> usize {
    graph_dot(&[t]).matches("shape=").count()
}

fn ones(shape: &[usize], device: &Device) -> Tensor {
    Tensor::ones(shape, DType::F32, device).detach().unwrap()
}

/// The most bytes that are live in rounds after the first ten. The host's are counted for all tests of the process, so there it
/// is nothing: what is kept says it.
fn most(device: &Device, rounds: usize, mut round: impl FnMut(usize)) -> u64 {
    let mut most = 0;
    for i in 0..rounds {
        round(i);
        if i >= 10 && device.as_gpu().is_some() {
            most = most.max(device.memory().live_bytes);
        }
    }
    most
}

const MB: usize = 1 << 18;

#[test]
fn a_sum_over_batches_keeps_none() {
    for device in own_devices() {
        let mut total = ones(&[], &device);
        let seen = most(&device, 200, |i| {
            let batch = ones(&[MB], &device) * i as f64;
            let batch = batch.detach().unwrap();
            total = &total + batch.sum() / MB as f64;
            total.item::<f32>().unwrap();
        });
        assert!(seen < 16 << 20, "{device}: {seen} bytes");
        assert!(kept(&total) < 20, "{device}: {} nodes", kept(&total));
        assert_eq!(total.item::<f32>().unwrap(), 1.0 + (199 * 200 / 2) as f32);
    }
}

#[test]
fn losses_that_are_kept_keep_no_batches() {
    for device in own_devices() {
        let mut losses = Vec::new();
        let seen = most(&device, 200, |_| {
            let batch = ones(&[MB], &device);
            let loss = batch.mean();
            loss.item::<f32>().unwrap();
            losses.push(loss);
        });
        assert!(seen < 16 << 20, "{device}: {seen} bytes");
        let nodes: usize = losses.iter().map(kept).sum();
        assert!(nodes < 250, "{device}: {nodes} nodes");
    }
}

/// A weight that somebody holds, and by which no gradient was ever asked for.
#[test]
fn a_sum_that_depends_on_a_held_tensor_is_bounded() {
    for device in own_devices() {
        let w = ones(&[], &device);
        let mut total = ones(&[], &device);
        let seen = most(&device, 300, |_| {
            let batch = ones(&[MB], &device);
            total = &total + (batch * &w).mean();
            total.item::<f32>().unwrap();
        });
        assert!(seen < 160 << 20, "{device}: {seen} bytes");
        assert!(kept(&total) < 1000, "{device}: {} nodes", kept(&total));
        // What is missing is not silently missing.
        let error = grad(&total, &[&w]).unwrap_err().to_string();
        assert!(error.contains("requires_grad"), "{error}");
    }
}

#[test]
fn a_loop_without_gradients_keeps_nothing() {
    for device in own_devices() {
        let w = ones(&[], &device);
        let loss = (ones(&[4], &device) * &w).mean();
        grad(&loss, &[&w]).unwrap();
        let mut total = ones(&[], &device);
        let seen = most(&device, 200, |_| {
            no_grad(|| {
                let batch = ones(&[MB], &device);
                total = &total + (batch * &w).mean();
                total.item::<f32>().unwrap();
            });
        });
        assert!(seen < 16 << 20, "{device}: {seen} bytes");
        assert!(total.operands().is_empty());
        assert!(grad(&total, &[&w]).is_err());
    }
}

#[test]
fn chains_that_nobody_reads_are_bounded() {
    for (name, device) in [("cpu", Device::cpu())] {
        let one = ones(&[1], &device);
        for held in [false, true] {
            let mut x = if held {
                one.clone()
            } else {
                ones(&[1], &device)
            };
            for _ in 0..200_000 {
                x = match held {
                    true => &x + &one,
                    false => &x + 1.0,
                };
            }
            let n = kept(&x);
            assert!(n < 140_000, "{name}, {held}: {n} nodes");
            assert_eq!(x.item::<f32>().unwrap(), 200_001.0);
        }
    }
}

/// Whatever is read in between, a gradient is what it is when nothing is read.
#[test]
fn gradients_do_not_depend_on_what_was_read() {
    for device in own_devices() {
        for seed in 0..40u64 {
            let mut rng = Generator::new(seed);
            let x = rng.normal(&[3], &device).detach().unwrap();
            let chosen: Vec<i32> = Generator::new(seed)
                .integers(0, 5, &[24], &Device::cpu())
                .to_vec()
                .unwrap();
            let run = |read: bool| {
                let mut values = vec![x.clone(), &x * 0.5];
                for (at, &what) in chosen.iter().enumerate() {
                    let a = values[(at * 7 + what as usize) % values.len()].clone();
                    let b = values[values.len() - 1].clone();
                    let new = match what {
                        0 => a.sin() + b,
                        1 => a * b,
                        2 => (a - b).tanh(),
                        3 => a.mean() + b,
                        _ => b.exp().log_softmax(0) * 0.3 + a,
                    };
                    if read && (at + what as usize).is_multiple_of(3) {
                        new.to_vec::<f32>().unwrap();
                    }
                    if values.len() > 4 {
                        values.remove(1);
                    }
                    values.push(new);
                }
                let y = values.pop().unwrap().sum();
                let dx = grad(&y, &[&x]).unwrap().remove(0);
                if read {
                    dx.to_vec::<f32>().unwrap();
                }
                let again = grad(&dx.square().sum(), &[&x]).unwrap().remove(0);
                (dx.to_vec::<f32>().unwrap(), again.to_vec::<f32>().unwrap())
            };
            let (plain, read) = (run(false), run(true));
            for (p, r) in plain
                .0
                .iter()
                .chain(&plain.1)
                .zip(read.0.iter().chain(&read.1))
            {
                let near = (p - r).abs() <= 1e-4 * (1.0 + p.abs()) || (p.is_nan() && r.is_nan());
                assert!(
                    near || !p.is_finite(),
                    "{device}, {seed}: {plain:?} {read:?}"
                );
            }
        }
    }
}

/// Threads that read and differentiate what they share.
#[test]
fn threads_lose_no_gradient() {
    let device = Device::cpu();
    let x = ones(&[4], &device);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let y = (&x * 2.0).square();
                    let z = y.sum();
                    z.item::<f32>().unwrap();
                    drop(y);
                    let dx = grad(&z, &[&x]).unwrap().remove(0);
                    assert_eq!(dx.to_vec::<f32>().unwrap(), [8.0; 4]);
                }
            });
        }
    });
}
