//! What a trainer with progress, metrics and a log costs over the bare compiled loop, in turns. Ignored, for it takes time and
//! means something on a quiet machine only:
//!
//!     cargo test --release -p wgrad-train --test trainer -- overhead --ignored --nocapture

use std::time::{Duration, Instant};
use wgrad_data::{Batches, from_fn};
use wgrad_graph::{ConvOptions, DType, Device, Generator, Reduction, Tensor};
use wgrad_nn::{
    Adam, Context, Conv2d, Flatten, Linear, MaxPool2d, Optimizer, Relu, Sequential, compile,
    gradients,
};
use wgrad_report::view::Lines;
use wgrad_train::Trainer;

type State = (Sequential, Adam);

fn mlp(device: &Device) -> Sequential {
    let rng = &mut Generator::new(1);
    Sequential::new()
        .with("flatten", Flatten::default())
        .with("fc1", Linear::new(784, 256, rng, device))
        .with("relu1", Relu)
        .with("fc2", Linear::new(256, 128, rng, device))
        .with("relu2", Relu)
        .with("fc3", Linear::new(128, 10, rng, device))
}

fn cnn(device: &Device) -> Sequential {
    let rng = &mut Generator::new(1);
    let same = ConvOptions::default().padding([1, 1]);
    Sequential::new()
        .with("conv1", Conv2d::new(1, 16, [3, 3], same, rng, device))
        .with("relu1", Relu)
        .with("pool1", MaxPool2d::new(2))
        .with("flatten", Flatten::default())
        .with("fc1", Linear::new(3136, 64, rng, device))
        .with("relu2", Relu)
        .with("fc2", Linear::new(64, 10, rng, device))
}

fn step((net, adam): &mut State, x: &Tensor, y: &Tensor) -> wgrad_graph::Result<[Tensor; 2]> {
    let logits = net.forward(x, &mut Context::eval());
    let loss = logits.cross_entropy(y, Reduction::Mean);
    let right = logits.argmax(1, false).eq(y).cast(DType::F32).mean();
    let g = gradients(&loss, net)?.also(&right);
    adam.step(net, &g)?;
    Ok([loss, right])
}

/// The same few batches again and again, so that making them costs neither side.
fn batches(steps: usize, device: &Device) -> impl Batches<Item = (Tensor, Tensor)> + use<> {
    let pairs: Vec<(Tensor, Tensor)> = (0..8)
        .map(|at| {
            let rng = &mut Generator::new(at);
            let x = rng.uniform(&[64, 1, 28, 28], device);
            let y = (rng.uniform(&[64], device) * 10.0).cast(DType::I32);
            wgrad_graph::eval(&[&x, &y]).expect("a batch");
            (x, y)
        })
        .collect();
    from_fn(steps, move |_, batch| Ok(pairs[batch as usize % 8].clone()))
}

fn bare(net: Sequential, steps: usize, device: &Device) -> Duration {
    let mut state = (net, Adam::new(1e-3));
    let mut compiled = compile(|s: &mut State, x: &[Tensor]| step(s, &x[0], &x[1]));
    let mut batches = batches(steps, device);
    let mut losses: Vec<Tensor> = Vec::new();
    let mut began = Instant::now();
    let mut at = 0;
    while let Some((x, y)) = batches.next().expect("a batch") {
        let [loss, _] = compiled.call(&mut state, &[&x, &y]).expect("a step");
        losses.push(loss);
        at += 1;
        if at == 8 {
            began = Instant::now();
        }
        if losses.len() == 64 {
            let read: Vec<f32> = losses
                .drain(..)
                .map(|l| l.item().expect("a loss"))
                .collect();
            assert!(read.iter().all(|l| l.is_finite()));
        }
    }
    if let Some(last) = losses.last() {
        last.item::<f32>().expect("a loss");
    }
    began.elapsed()
}

fn trained(net: Sequential, steps: usize, device: &Device) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let began = std::rc::Rc::new(std::cell::Cell::new(Instant::now()));
    let note = began.clone();
    let mut trainer = Trainer::new(
        (net, Adam::new(1e-3)),
        |s: &mut State, (x, y): (Tensor, Tensor)| {
            let [loss, accuracy] = step(s, &x, &y)?;
            Ok([("loss", loss), ("accuracy", accuracy)])
        },
    )
    .every(wgrad_train::Every::Steps(8), move |_, at| {
        if at.step() == 8 {
            note.set(Instant::now());
        }
        Ok(())
    })
    .view(Lines::new(std::io::sink()))
    .log(folder.path());
    let ended = std::rc::Rc::new(std::cell::Cell::new(Instant::now()));
    let end = ended.clone();
    trainer = trainer.callback(
        move |event: &wgrad_train::Event<'_>, _: &mut State, _: &mut wgrad_train::At| {
            // The report is made after training.
            if let wgrad_train::Event::Stopping = event {
                end.set(Instant::now());
            }
            Ok(())
        },
    );
    trainer.fit(batches(steps, device), 1).expect("a run");
    ended.get() - began.get()
}

#[test]
#[ignore = "takes time, and means something on a quiet machine only"]
fn overhead_of_a_trainer() {
    let device = Device::cpu();
    for (name, net, steps) in [
        ("mlp", mlp as fn(&Device) -> Sequential, 600),
        ("cnn", cnn as fn(&Device) -> Sequential, 150),
    ] {
        let mut ratios = Vec::new();
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..9 {
            let a = bare(net(&device), steps, &device).as_secs_f64();
            let b = trained(net(&device), steps, &device).as_secs_f64();
            ratios.push(b / a);
            times[0].push(a);
            times[1].push(b);
        }
        ratios.sort_by(f64::total_cmp);
        let least = times.map(|t| t.into_iter().fold(f64::INFINITY, f64::min));
        println!(
            "{name}: {:.3} ms a step bare, {:.3} ms trained; ratio of the least {:.3}, median of {} turns {:.3}",
            1e3 * least[0] / (steps - 8) as f64,
            1e3 * least[1] / (steps - 8) as f64,
            least[1] / least[0],
            ratios.len(),
            ratios[ratios.len() / 2],
        );
        assert!(least[1] / least[0] < 1.03, "{name}");
    }
}
