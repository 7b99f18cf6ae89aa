//! A contractive autoencoder pays for the size of its features' derivatives, `λ ‖∂f(x)/∂x‖²`, the squares of the whole Jacobian. It comes
//! to heed only the directions in which data vary: of the Jacobian's singular values few stay large. For sigmoid units there is a
//! closed form to compare with, `Σⱼ (hⱼ (1 − hⱼ))² ‖Wⱼ‖²`. Source: Rifai et al., Contractive Auto-Encoders, 2011.

use crate::lesson::{Lesson, Result};
use wgrad::data::{Mnist, digits};
use wgrad::nn::{Adam, Linear, compile, gradients, loss};
use wgrad::plot::Figure;
use wgrad::{Generator, Optimizer, Tensor};

const UNITS: usize = 32;

/// Encoder and decoder, trained with so much of the penalty.
fn train(x: &Tensor, weight: f64, lesson: &Lesson) -> Result<[Linear; 2]> {
    let mut rng = Generator::new(lesson.seed);
    let layers = [(196, UNITS), (UNITS, 196)];
    let net = layers.map(|(from, to)| Linear::new(from, to, &mut rng, &lesson.device));
    let mut state = (net, Adam::new(0.005));
    let mut step = compile(|(net, adam): &mut ([Linear; 2], Adam), b: &[Tensor]| {
        let x = b[0].index_select(0, &b[1]);
        let h = net[0].forward(&x).sigmoid();
        let mut loss = (net[1].forward(&h) - &x)
            .square()
            .sum_dims(&[1], false)
            .mean();
        if weight > 0.0 {
            loss = loss + loss::contractive(&h, &x)? * weight;
        }
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..lesson.pick(1500, 200) {
        let some = rng.integers(0, x.size(0) as i32, &[64], &lesson.device);
        step.call(&mut state, &[x, &some])?;
    }
    Ok(state.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let set = match lesson.data("mnist") {
        Some(folder) => Mnist::load(folder)?.0,
        None => digits::generate(4000, lesson.seed),
    };
    let x = set.truncated(4000).downsampled(2)?.pixels(device)?;
    let some = x.narrow(0, 0, 50).detach()?;
    let ranks: Vec<usize> = (1..=UNITS).collect();
    let mut figure = Figure::new("The encoder's derivatives")
        .x("singular value by rank")
        .y("mean over 50 images")
        .log_y();
    let (mut sizes, mut errors) = (Vec::new(), Vec::new());
    for (name, weight) in [("without penalty", 0.0), ("penalty of 0.1", 0.1)] {
        let net = train(&x, weight, lesson)?;
        let h = net[0].forward(&some).sigmoid();
        let slopes = &h * (1.0 - &h);
        let lengths = net[0].weight.square().sum_dims(&[1], false);
        let closed = (slopes.square() * lengths).sum_dims(&[1], false).mean();
        let (got, want) = (
            loss::contractive(&h, &some)?.item::<f32>()?,
            closed.item::<f32>()?,
        );
        lesson.close(
            "true Jacobian by the closed form",
            (got / want).into(),
            1.0,
            1e-3,
        )?;
        let jacobians = slopes.unsqueeze(2) * net[0].weight.unsqueeze(0);
        let spectrum = jacobians.svdvals().mean_dims(&[0], false).to_vec::<f32>()?;
        figure = figure.dotted_line(name, &ranks, &spectrum);
        let error = (net[1].forward(&h) - &some).square().mean().item::<f32>()?;
        lesson.say(format!(
            "{name}: ‖J‖² {got:.2}, squared error of a pixel {error:.4}"
        ));
        sizes.push(f64::from(got));
        errors.push(f64::from(error));
    }
    lesson.at_most(
        "Jacobian with the penalty, by that without",
        sizes[1] / sizes[0],
        lesson.pick(0.5, 0.7),
    )?;
    lesson.at_most(
        "squared error with the penalty",
        errors[1],
        lesson.pick(0.02, 0.06),
    )?;
    lesson.figure("spectrum", "Fewer directions matter", &figure)
}
