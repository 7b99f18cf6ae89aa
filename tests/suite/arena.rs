//! Temporary memory belongs to the device and not to its plans: however many plans there are, it is that of the largest. What
//! is idle is given back before memory runs out, and what does not fit is an error after which smaller work goes on. Measured in
//! processes of their own, for what the host holds is counted for the whole process.

use crate::memory::{alone, alone_with};
use crate::models::{mlp, own_cpu, own_gpu};
use wgrad::nn::models::ResNet;
use wgrad::nn::{Adam, Context, Sequential, Sgd, compile, gradients};
use wgrad::{
    DType, Device, Error, ErrorKind, Generator, Module, Optimizer, Reduction, Result, ScanOptions,
    Tensor, eval, scan,
};

const ALL: [&str; 4] = ["cpu", "cpu compiled", "gpu", "gpu compiled"];

/// Says whether a process takes the cpu or a GPU, and whether it compiles.
const CASE: &str = "WGRAD_ARENA_CASE";

/// The device of this process, if it is there, and whether to compile.
fn case() -> (fn() -> Option<Device>, bool) {
    let case = std::env::var(CASE).expect("a case");
    let open: fn() -> Option<Device> = match case.starts_with("gpu") {
        true => own_gpu,
        false => || Some(own_cpu()),
    };
    (open, case.ends_with("compiled"))
}

fn each_case(test: &str, cases: &[&str]) {
    for case in cases {
        alone_with(test, &[(CASE, case)]);
    }
}

/// A batch of images `[n, channels, size, size]` and their classes.
fn batch(shape: [usize; 3], device: &Device) -> Vec<Tensor> {
    let [n, channels, size] = shape;
    let x = Generator::new(n as u64).uniform(&[n, channels, size, size], device);
    let classes: Vec<i32> = (0..n).map(|i| (i % 10) as i32).collect();
    let both = [x.detach(), Tensor::new(&classes, device).detach()];
    both.into_iter().map(|t| t.expect("a batch")).collect()
}

/// Trains a model on batches of these shapes, `times` each. Bytes that are live then beyond what was live before.
fn live<M: Module>(
    (device, compiled, times): (&Device, bool, usize),
    shapes: &[[usize; 3]],
    model: &dyn Fn(&Device) -> M,
    forward: fn(&mut M, &Tensor, &mut Context) -> Tensor,
) -> u64 {
    let before = device.memory().live_bytes;
    let train = move |(model, sgd, cx): &mut (M, Sgd, Context), x: &[Tensor]| -> Result<Tensor> {
        let loss = forward(model, &x[0], cx).cross_entropy(&x[1], Reduction::Mean);
        let gradients = gradients(&loss, model)?;
        sgd.step(model, &gradients)?;
        Ok(loss)
    };
    let mut state = (model(device), Sgd::new(1e-4), Context::train(1));
    let mut step = compile(train);
    for &shape in shapes {
        let x = batch(shape, device);
        for _ in 0..times {
            let loss = match compiled {
                true => step.call(&mut state, &[&x[0], &x[1]]),
                false => train(&mut state, &x),
            };
            let loss = loss.and_then(|loss| loss.item::<f32>());
            assert!(loss.expect("a loss").is_finite(), "{shape:?}");
        }
    }
    device.memory().live_bytes - before
}

/// What all shapes hold by what the largest alone does.
fn share<M: Module>(
    (shapes, times): (&[[usize; 3]], usize),
    model: impl Fn(&Device) -> M,
    forward: fn(&mut M, &Tensor, &mut Context) -> Tensor,
) -> f64 {
    let (open, compiled) = case();
    let largest = shapes.iter().max_by_key(|s| s.iter().product::<usize>());
    let largest = std::slice::from_ref(largest.expect("shapes"));
    let held = |shapes: &[[usize; 3]]| {
        let device = open()?;
        Some(live((&device, compiled, times), shapes, &model, forward))
    };
    let (Some(alone), Some(all)) = (held(largest), held(shapes)) else {
        return 0.0;
    };
    let share = all as f64 / alone as f64;
    let n = shapes.len();
    println!(
        "{:?}: {n} shapes hold {all} bytes, the largest alone {alone}: {share:.3}",
        std::env::var(CASE)
    );
    share
}

#[test]
#[ignore = "run by batch_sizes_of_a_perceptron_share_their_memory in a process of its own"]
fn perceptron_process() {
    let shapes: Vec<_> = (1..=24).map(|i| [128 * i, 1, 28]).collect();
    let forward = |m: &mut Sequential, x: &Tensor, cx: &mut Context| m.forward(x, cx);
    let share = share((&shapes, 2), |device| mlp(1, device), forward);
    assert!(share < 1.2, "{share}");
}

#[test]
fn batch_sizes_of_a_perceptron_share_their_memory() {
    each_case("arena::perceptron_process", &ALL);
}

#[test]
#[ignore = "run by shapes_of_a_residual_network_share_their_memory in a process of its own"]
fn residual_process() {
    let batches = [2, 3, 4, 6, 8, 10, 12, 16];
    let shapes = [16, 24, 32, 40].map(|size| batches.map(|n| [n, 3, size]));
    let model = |device: &Device| ResNet::resnet18(10, &mut Generator::new(1), device);
    let share = share((shapes.as_flattened(), 1), model, |m, x, cx| {
        m.forward(x, cx)
    });
    assert!(share < 1.2, "{share}");
}

#[test]
fn shapes_of_a_residual_network_share_their_memory() {
    each_case("arena::residual_process", &["cpu compiled", "gpu"]);
}

/// Fails unless it is an error of memory that names an operation, what it computes and how many bytes.
fn lacks(result: Result<Tensor>, least: u64) -> Error {
    let e = result
        .and_then(|t| t.to_vec::<f32>())
        .expect_err("too large");
    let text = e.to_string();
    assert_eq!(e.kind(), ErrorKind::OutOfMemory, "{text}");
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let most = numbers.filter_map(|n| n.parse::<u64>().ok()).max();
    assert!(most.is_some_and(|n| n >= least), "{text}");
    assert!(text.contains("f32["), "{text}");
    assert!(!["eval", "gpu", "memory"].contains(&e.op()), "{text}");
    e
}

/// Fails unless it is a loss.
fn fits(loss: Result<Tensor>) {
    let loss = loss.and_then(|l| l.item::<f32>());
    assert!(loss.expect("room").is_finite());
}

/// The parameters and moments, bit by bit.
fn bits(state: &mut (Sequential, Adam)) -> Vec<u32> {
    let mut tensors = state.0.parameters();
    tensors.extend(state.1.parameters());
    let values = tensors.iter().map(|t| t.to_vec::<f32>().expect("values"));
    values.flatten().map(f32::to_bits).collect()
}

#[test]
#[ignore = "run by training_goes_on_after_memory_was_lacking in a process of its own"]
fn lacking_process() {
    let (open, compiled) = case();
    let Some(device) = open() else { return };
    let train = |(net, adam): &mut (Sequential, Adam), x: &[Tensor]| -> Result<Tensor> {
        let logits = net.forward(&x[0], &mut Context::train(1));
        let loss = logits.cross_entropy(&x[1], Reduction::Mean);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    };
    let mut state = (mlp(1, &device), Adam::new(1e-4));
    let mut step = compile(train);
    let mut call = |state: &mut (Sequential, Adam), x: &[Tensor]| match compiled {
        true => step.call(state, &[&x[0], &x[1]]),
        false => train(state, x),
    };
    let (small, middle) = (batch([16, 1, 28], &device), batch([2000, 1, 28], &device));
    let large = batch([20_000, 1, 28], &device);
    for x in [&small, &middle, &small] {
        fits(call(&mut state, x));
    }
    let before = bits(&mut state);
    device.empty_cache();
    let free = device.memory();
    assert_eq!(free.pooled_bytes, 0, "{free:?}");
    // Room for the middle one, not for the large one: its first hidden layer alone takes 20 MB.
    let limit = free.live_bytes + (16 << 20);
    device.set_memory_limit(Some(limit));
    for _ in 0..3 {
        lacks(call(&mut state, &large), 1 << 20);
        assert_eq!(
            bits(&mut state),
            before,
            "a step that failed changes nothing"
        );
    }
    fits(call(&mut state, &middle));
    assert_ne!(bits(&mut state), before);
    // What that one left is given back where something else needs it, and a small one fits beside that.
    let room = limit - device.memory().live_bytes + (1 << 20);
    let other = Tensor::ones(&[room as usize / 4], DType::F32, &device).detach();
    let other = other.expect("the room of the temporaries");
    assert!(device.memory().live_bytes <= limit);
    drop(other);
    fits(call(&mut state, &middle));
    device.set_memory_limit(None);
    assert_eq!(device.memory_limit(), None);
    fits(call(&mut state, &large));
}

#[test]
fn training_goes_on_after_memory_was_lacking() {
    each_case("arena::lacking_process", &ALL);
}

/// Buffers that a large plan left lie idle while a small one works in them: they go where the small one's kernels lack memory.
#[test]
#[ignore = "run by a_small_plan_does_not_hold_what_a_large_one_left in a process of its own"]
fn left_process() {
    for device in [Some(own_cpu()), own_gpu()].into_iter().flatten() {
        let sums = |n: usize| {
            let x = Tensor::arange(n, &device).cast(DType::F32);
            (x.cumsum(0) * 1e-6).cumsum(0).sum().item::<f32>()
        };
        device.empty_cache();
        let before = device.memory().live_bytes;
        sums(4 << 20).expect("room");
        let large = device.memory().live_bytes - before;
        assert!(large >= 16 << 20, "{device}: {large}");
        device.set_memory_limit(Some(before + large + (1 << 20)));
        sums(1 << 10).expect("room");
        // A loop takes memory while it runs in what is much too large for it.
        let end = |n: usize| {
            let x = Tensor::arange(n, &device).cast(DType::F32) * 1e-3;
            let step = |x: Tensor, ()| ((x.sin().cumsum(0) * 1e-3).cos(), ());
            let three = ScanOptions {
                length: Some(3),
                ..ScanOptions::default()
            };
            let first = (x.cumsum(0) * 1e-6).cumsum(0);
            scan(first, (), &three, step).0.sum().item::<f32>()
        };
        end(1 << 19).expect("room once what is too large was given back");
        sums(4 << 20).expect("room");
        let x = Tensor::zeros(&[(large / 4) as usize - (1 << 16)], DType::F32, &device) + 1.0;
        eval(&[&x]).expect("room");
        sums(1 << 10).expect("room");
        device.set_memory_limit(None);
        drop(x);
    }
}

#[test]
fn a_small_plan_does_not_hold_what_a_large_one_left() {
    alone("arena::left_process");
}

/// Threads that run plans of one device, large and small, get what each of them gets alone.
#[test]
fn threads_do_not_meet_in_it() {
    for device in [Some(own_cpu()), own_gpu()].into_iter().flatten() {
        let run = |n: usize| -> Result<Vec<f32>> {
            let x = Tensor::arange(n, &device).cast(DType::F32) * (1.0 / n as f64);
            let y = x.cumsum(0).sin().cumsum(0) - x.cos().cumsum(0);
            y.to_vec()
        };
        let sizes = [10, 1000, 70_000, 300];
        let want: Vec<Vec<f32>> = sizes.iter().map(|&n| run(n).expect("alone")).collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (run, sizes, want) = (&run, &sizes, &want);
                scope.spawn(move || {
                    for i in 0..30 {
                        let which = (thread + i) % sizes.len();
                        let got = run(sizes[which]).expect("together");
                        assert!(got == want[which], "{thread}, {i}");
                    }
                });
            }
        });
    }
}

#[test]
fn what_nobody_can_hold_is_an_error_that_says_how_much() {
    for device in [Some(own_cpu()), own_gpu()].into_iter().flatten() {
        let vast = Tensor::ones(&[1 << 22, 1 << 22], DType::F32, &device);
        let e = vast.to_vec::<f32>().expect_err("2^46 bytes");
        let text = e.to_string();
        assert_eq!(e.kind(), ErrorKind::OutOfMemory, "{text}");
        assert!(text.contains(&(1u64 << 46).to_string()), "{text}");
        assert!(text.contains("4194304, 4194304"), "{text}");
        let rest = Tensor::ones(&[4], DType::F32, &device).sum();
        assert_eq!(rest.item::<f32>().expect("a sum"), 4.0);
    }
}
