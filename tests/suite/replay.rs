//! A training loop on a GPU: one submission a step, and nothing created once every plan has run.

use crate::models::{Run, mlp, own_gpu};
use wgrad::data::{DeviceDataset, Loader, digits};
use wgrad::device::{Created, Gpu, Stats};
use wgrad::nn::{Adam, Context, Linear, Relu, Sequential, compile, gradients};
use wgrad::{Device, Generator, Optimizer, Result, Tensor};

/// A multiple of the epoch, so that as many losses of each kind are held in every round.
const STEPS: usize = 102;

/// A run whose epochs have two batches of 32 and a short one of 10.
fn run(device: &Device) -> Run {
    let run = Run::new(mlp(1, device), 32, 1, device);
    let set = DeviceDataset::new(&digits::generate(74, 1), device).expect("room for 74 images");
    let loader = Loader::new(set, 32, 1).expect("a loader");
    Run { loader, ..run }
}

/// Takes [`STEPS`] steps, which read nothing back, and then reads all losses. What was done before the read.
fn steps(gpu: &Gpu, step: &mut dyn FnMut(usize) -> Result<Tensor>) -> (Stats, Stats) {
    let before = gpu.stats();
    // Detached: a loss holds the graph that it was computed by, and with it the parameters of its step.
    let mut loss = |n| step(n).and_then(|loss| loss.detach()).expect("a step");
    let losses: Vec<Tensor> = (0..STEPS).map(&mut loss).collect();
    let after = gpu.stats();
    let losses = Tensor::stack(&losses.iter().collect::<Vec<_>>(), 0);
    let losses = losses.to_vec::<f32>().expect("the losses");
    assert!(losses.iter().all(|l| l.is_finite()) && losses[STEPS - 1] < losses[0]);
    (before, after)
}

/// The first rounds may create; the one after creates nothing but encoders, and submits once a step.
fn check(gpu: &Gpu, mut step: impl FnMut(usize) -> Result<Tensor>) {
    let (_, first) = steps(gpu, &mut step);
    assert!(first.created.pipelines > 0 && first.created.bind_groups > 0);
    // In the first round a step may have made its state, by another plan.
    steps(gpu, &mut step);
    let (before, after) = steps(gpu, &mut step);
    assert_eq!(after.submits - before.submits, STEPS as u64);
    let encoders = after.created.encoders - before.created.encoders;
    assert!(encoders <= 2 * STEPS as u64, "{encoders} encoders");
    let expected = Created {
        encoders: after.created.encoders,
        ..before.created
    };
    assert_eq!(after.created, expected);
    assert_eq!(after.read_bytes, before.read_bytes);
}

#[test]
fn a_recorded_step_is_one_submission_and_creates_nothing() {
    let Some(device) = own_gpu() else { return };
    let gpu = device.as_gpu().expect("a GPU");
    let mut run = run(&device);
    check(gpu, |_| run.step());
}

/// What a compiled step keeps: a small network, its optimiser and its context.
type State = (Sequential, Adam, Context);

/// A small network.
pub fn small(device: &Device) -> State {
    let rng = &mut Generator::new(1);
    let net = Sequential::new()
        .with("fc1", Linear::new(4, 16, rng, device))
        .with("relu", Relu)
        .with("fc2", Linear::new(16, 2, rng, device));
    (net, Adam::new(1e-3), Context::train(1))
}

/// Trains it to give the first two of what it is given.
pub fn small_step((net, adam, cx): &mut State, x: &[Tensor]) -> Result<Tensor> {
    let loss = (net.forward(&x[0], cx) - x[0].narrow(1, 0, 2))
        .square()
        .mean();
    let gradients = gradients(&loss, net)?;
    adam.step(net, &gradients)?;
    cx.next_step();
    Ok(loss)
}

/// A batch made on the host: the last of each three is short.
pub fn small_batch(n: usize, device: &Device) -> Tensor {
    let size = if n % 3 == 2 { 3 } else { 8 };
    let value = |i: usize| ((i * 7 + n * 13) % 11) as f32 * 0.2 - 1.0;
    let values: Vec<f32> = (0..4 * size).map(value).collect();
    Tensor::from_slice(&values, &[size, 4], device)
}

#[test]
fn a_compiled_step_is_one_submission_and_creates_nothing() {
    let Some(device) = own_gpu() else { return };
    let gpu = device.as_gpu().expect("a GPU");
    let mut state = small(&device);
    let mut step = compile(small_step);
    check(gpu, |n| step.call(&mut state, &[&small_batch(n, &device)]));
}
