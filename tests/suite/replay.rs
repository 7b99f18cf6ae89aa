//! A training loop on a GPU: one submission a step, and nothing created once every plan has run.

use crate::models::{Run, mlp, own_gpu};
use wgrad::data::{DeviceDataset, Loader, digits};
use wgrad::device::{Created, Gpu, Stats};
use wgrad::{Device, Tensor};

/// A multiple of the epoch, so that as many losses of each kind are held in every round.
const STEPS: usize = 102;

/// A run whose epochs have two batches of 32 and a short one of 10.
fn run(device: &Device) -> Run {
    let run = Run::new(mlp(1, device), 32, 1, device);
    let set = DeviceDataset::new(&digits::generate(74, 1), device).expect("room for 74 images");
    let loader = Loader::new(set, 32, 1).expect("a loader");
    Run { loader, ..run }
}

/// Trains for [`STEPS`] steps, which read nothing back, and then reads all losses. What was done before the read.
fn steps(run: &mut Run, gpu: &Gpu) -> (Stats, Stats) {
    let before = gpu.stats();
    // Detached: a loss holds the graph that it was computed by, and with it the parameters of its step.
    let loss = |_| run.step().and_then(|loss| loss.detach()).expect("a step");
    let losses: Vec<Tensor> = (0..STEPS).map(loss).collect();
    let after = gpu.stats();
    let losses = Tensor::stack(&losses.iter().collect::<Vec<_>>(), 0);
    let losses = losses.to_vec::<f32>().expect("the losses");
    assert!(losses.iter().all(|l| l.is_finite()) && losses[STEPS - 1] < losses[0]);
    (before, after)
}

#[test]
fn a_replayed_step_is_one_submission_and_creates_nothing() {
    let Some(device) = own_gpu() else { return };
    let gpu = device.as_gpu().expect("a GPU");
    let mut run = run(&device);
    let first = steps(&mut run, gpu);
    assert!(first.1.created.pipelines > 0 && first.1.created.bind_groups > 0);
    let (before, after) = steps(&mut run, gpu);
    println!("{:?} -> {:?}", first.0.created, after.created);
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
