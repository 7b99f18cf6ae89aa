//! Maximum likelihood: the Gaussian that makes the data most probable has their mean and variance. Found in closed form, and
//! by following the gradient of `−Σ log N(x; μ, σ²)`. Source: Goodfellow, Bengio, Courville, Deep Learning, 5.5.

use crate::lesson::{Lesson, Result};
use std::f64::consts::TAU;
use wgrad::nn::{Adam, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Tensor};

#[derive(Module)]
struct Gaussian {
    mean: Tensor,
    log_std: Tensor,
}

impl Gaussian {
    /// `−log N(x; μ, σ²)`, averaged, in nats.
    fn loss(&self, x: &Tensor) -> Tensor {
        let z = (x - &self.mean) / self.log_std.exp();
        z.square().mean() * 0.5 + &self.log_std + 0.5 * TAU.ln()
    }
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let x = Generator::new(lesson.seed).normal(&[5000], device) * 1.5 + 4.0;
    let (mean, std) = (x.mean().item::<f32>()?, x.std(0.0).item::<f32>()?);
    lesson.say(format!("closed form: μ = {mean:.4}, σ = {std:.4}"));

    let mut model = Gaussian {
        mean: Tensor::scalar(0.0, DType::F32, device),
        log_std: Tensor::scalar(0.0, DType::F32, device),
    };
    let mut adam = Adam::new(0.05);
    let mut losses = Vec::new();
    for _ in 0..600 {
        let loss = model.loss(&x);
        let gradients = gradients(&loss, &model)?;
        adam.step(&mut model, &gradients)?;
        losses.push(loss.item::<f32>()?);
    }
    lesson.close(
        "μ by gradients",
        model.mean.item::<f32>()?.into(),
        mean.into(),
        1e-2,
    )?;
    lesson.close(
        "σ by gradients",
        model.log_std.exp().item::<f32>()?.into(),
        std.into(),
        1e-2,
    )?;
    let entropy = 0.5 * (TAU * std::f64::consts::E).ln() + f64::from(std).ln();
    lesson.close("least loss, nats", losses[599].into(), entropy, 1e-3)?;

    let steps: Vec<usize> = (1..=600).collect();
    let figure = Figure::new("Negative log-likelihood")
        .x("step")
        .y("nats for each example")
        .line("loss", &steps, &losses);
    lesson.figure(
        "loss",
        "Down to the entropy",
        &figure.horizontal("entropy", entropy),
    )?;
    let grid: Vec<f64> = (0..200).map(|i| -2.0 + 0.06 * f64::from(i)).collect();
    let width = f64::from((x.amax() - x.amin()).item::<f32>()?) / 48.0;
    let scale = 5000.0 * width; // examples times the width of a bin
    let density = |x: &f64| {
        let z = (x - f64::from(mean)) / f64::from(std);
        scale * (-0.5 * z * z).exp() / (TAU.sqrt() * f64::from(std))
    };
    let curve: Vec<f64> = grid.iter().map(density).collect();
    let figure = Figure::new("The data and their Gaussian")
        .x("x")
        .y("examples in a bin")
        .histogram("data", &x.to_vec::<f32>()?, 48)
        .line("most likely Gaussian", &grid, &curve);
    lesson.figure("fit", "The most likely Gaussian", &figure)
}
