//! A sparse autoencoder has more units than inputs, but only few may be on at a time: a penalty holds the mean of each unit at ρ,
//! `Σⱼ KL(ρ ‖ mean hⱼ)`. Each unit then stands for a stroke. Source: Ng, Sparse Autoencoder, CS294A, 2011; Goodfellow et al., Deep
//! Learning, 14.2.1.

use crate::lesson::{Lesson, Result};
use wgrad::data::{Mnist, digits};
use wgrad::nn::{Adam, Linear, compile, gradients, loss};
use wgrad::plot::{Figure, Picture};
use wgrad::{Generator, Optimizer, Tensor};

const UNITS: usize = 256;
const RHO: f64 = 0.05;

/// Encoder and decoder, trained with so much of the penalty.
fn train(x: &Tensor, weight: f64, lesson: &Lesson) -> Result<[Linear; 2]> {
    let mut rng = Generator::new(lesson.seed);
    let layers = [(196, UNITS), (UNITS, 196)];
    let net = layers.map(|(from, to)| Linear::new(from, to, &mut rng, &lesson.device));
    let mut state = (net, Adam::new(0.003));
    let mut step = compile(|(net, adam): &mut ([Linear; 2], Adam), b: &[Tensor]| {
        let x = b[0].index_select(0, &b[1]);
        let h = net[0].forward(&x).sigmoid();
        let error = (net[1].forward(&h) - &x).square().mean();
        let loss = error + loss::kl_sparsity(&h, RHO) * weight;
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..lesson.pick(3000, 300) {
        let some = rng.integers(0, x.size(0) as i32, &[256], &lesson.device);
        step.call(&mut state, &[x, &some])?;
    }
    Ok(state.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let set = match lesson.data("mnist") {
        Some(folder) => Mnist::load(folder)?.0,
        None => digits::generate(5000, lesson.seed),
    };
    let x = set.truncated(5000).downsampled(2)?.pixels(device)?;
    let mut figure = Figure::new("How much each unit is on")
        .x("mean of a unit")
        .y("units");
    let mut pictures = Vec::new();
    for (name, weight) in [("without", 0.0), ("with the penalty", 0.003)] {
        let net = train(&x, weight, lesson)?;
        let h = net[0].forward(&x).sigmoid();
        let means = h.mean_dims(&[0], false).to_vec::<f32>()?;
        let mean = f64::from(means.iter().sum::<f32>()) / UNITS as f64;
        let error = (net[1].forward(&h) - &x).square().mean().item::<f32>()?;
        lesson.say(format!(
            "{name}: units are on by {mean:.3}, squared error of a pixel {error:.4}"
        ));
        if weight > 0.0 {
            lesson.close("units are on by", mean, RHO, lesson.pick(0.01, 0.03))?;
            lesson.at_most(
                "squared error of a pixel",
                error.into(),
                lesson.pick(0.015, 0.05),
            )?;
        } else {
            lesson.at_least("without the penalty they are on by", mean, 0.15)?;
        }
        figure = figure.histogram(name, &means, 40);
        for filter in net[0]
            .weight
            .narrow(0, 0, 24)
            .to_vec::<f32>()?
            .chunks_exact(196)
        {
            let most = f64::from(filter.iter().fold(0.0f32, |m, v| m.max(v.abs())));
            pictures.push(
                Picture::floats(14, 14, filter, (-most, most))
                    .caption(name.split(' ').next().unwrap_or_default()),
            );
        }
    }
    lesson.figure("means", "Few units at a time", &figure)?;
    let figure = Figure::new("Weights of units").image_grid(12, &pictures);
    lesson.figure("filters", "What units look for", &figure)
}
