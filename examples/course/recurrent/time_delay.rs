//! A time-delay network sees a window of the last steps and uses the same weights at every time: a convolution over
//! time. What it learns at one place it knows at all others; a dense layer does not. Source: Waibel, Hanazawa, Hinton,
//! Shikano, Lang, Phoneme Recognition Using Time-Delay Neural Networks, 1989.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Conv1d, Flatten, Linear, Relu, Sequential, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{ConvOptions, DType, Device, Generator, Optimizer, Reduction, Tensor};

const TIME: usize = 64;

/// Noise with a tone of 16 steps that rises, falls or stays, at a place between `from` and `to`: `[batch, 1, time]` and which `[batch]`.
fn tones(
    (from, to): (i32, i32),
    batch: usize,
    rng: &mut Generator,
    device: &Device,
) -> (Tensor, Tensor) {
    let kind = rng.integers(0, 3, &[batch], device);
    let slope = (kind.cast(DType::F32) - 1.0).unsqueeze(1);
    let start = rng.integers(from, to, &[batch, 1], device);
    let t = (Tensor::arange(TIME, device).unsqueeze(0) - start).cast(DType::F32);
    let inside = t
        .ge_scalar(0.0)
        .logical_and(&t.lt_scalar(16.0))
        .cast(DType::F32);
    // The frequency at t is 1 + slope (t − 8) / 12.
    let phase = &t + slope * (&t - 8.0).square() / 24.0;
    let noise = rng.normal(&[batch, TIME], device) * 0.1;
    ((phase.sin() * inside + noise).unsqueeze(1), kind)
}

fn nets(rng: &mut Generator, device: &Device) -> [(&'static str, Sequential); 2] {
    let tdnn = Sequential::new()
        .push(Conv1d::new(1, 16, [7], ConvOptions::default(), rng, device))
        .push(Relu)
        .push(Conv1d::new(
            16,
            16,
            [7],
            ConvOptions::default(),
            rng,
            device,
        ))
        .push(Relu)
        .push(wgrad::nn::GlobalMaxPool)
        .push(Flatten::default())
        .push(Linear::new(16, 3, rng, device));
    let dense = Sequential::new()
        .push(Flatten::default())
        .push(Linear::new(TIME, 64, rng, device))
        .push(Relu)
        .push(Linear::new(64, 3, rng, device));
    [("time delay", tdnn), ("dense", dense)]
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    // Trained on tones in the first half, tested in both.
    let (early, late) = ((0, 16), (32, 48));
    let mut results = Vec::new();
    for (name, net) in nets(&mut rng, device) {
        lesson.say(format!(
            "{name}: {} parameters",
            wgrad::Module::num_parameters(&net)
        ));
        let mut state = (net, Adam::new(0.003), Context::train(lesson.seed));
        let mut step = compile(
            |(net, adam, cx): &mut (Sequential, Adam, Context), b: &[Tensor]| {
                let (x, y) = tones(early, 64, &mut cx.rng, b[0].device());
                let loss = net.forward(&x, cx).cross_entropy(&y, Reduction::Mean);
                let gradients = gradients(&loss, net)?;
                adam.step(net, &gradients)?;
                cx.next_step();
                Ok(loss)
            },
        );
        let nothing = Tensor::zeros(&[1], DType::F32, device);
        for _ in 0..lesson.pick(800, 300) {
            step.call(&mut state, &[&nothing])?;
        }
        let mut right = |place| -> wgrad::Result<f64> {
            let (x, y) = tones(place, 1000, &mut rng, device);
            let said = state.0.forward(&x, &mut Context::eval()).argmax(-1, false);
            Ok(said.eq(&y).cast(DType::F32).mean().item::<f32>()?.into())
        };
        let (here, there) = (right(early)?, right(late)?);
        lesson.say(format!(
            "{name}: {here:.3} where it was trained, {there:.3} elsewhere"
        ));
        results.push([here, there]);
    }
    lesson.at_least(
        "time delay, elsewhere",
        results[0][1],
        lesson.pick(0.95, 0.75),
    )?;
    lesson.at_most("dense, elsewhere", results[1][1], 0.6)?;
    let figure = Figure::new("Tones at places that training has not shown")
        .y("right answers")
        .percent_y()
        .bar(
            "where trained",
            &["time delay", "dense"],
            &[results[0][0], results[1][0]],
        )
        .bar(
            "elsewhere",
            &["time delay", "dense"],
            &[results[0][1], results[1][1]],
        );
    lesson.figure("right", "Shared weights know every place", &figure)
}
