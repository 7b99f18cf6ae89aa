//! A generative adversarial network (Goodfellow et al. 2014) on eight Gaussians: two networks, two optimisers, an average of
//! the generator, one step.
//!
//!     cargo run --release --example gan -- --resume

use std::f64::consts::FRAC_PI_4;
use wgrad::data::from_fn;
use wgrad::nn::{Adam, Average, Context, Linear, Relu, Sequential, gradients};
use wgrad::train::{Every, RunFolder, TrainError, Trainer};
use wgrad::{Device, Generator, Module, Optimizer, Reduction, Tensor};

const NOISE: usize = 16;

#[derive(Module)]
struct State {
    generator: Sequential,
    discriminator: Sequential,
    g_adam: Adam,
    d_adam: Adam,
    average: Average<Sequential>,
    rng: Generator,
}

fn network(from: usize, to: usize, seed: u64, device: &Device) -> Sequential {
    let rng = &mut Generator::new(seed);
    Sequential::new()
        .with("fc1", Linear::new(from, 64, rng, device))
        .with("relu1", Relu)
        .with("fc2", Linear::new(64, 64, rng, device))
        .with("relu2", Relu)
        .with("out", Linear::new(64, to, rng, device))
}

/// Points around eight places on a circle.
fn eight_gaussians(epoch: u64, batch: u64, device: &Device) -> Tensor {
    let mut rng = Generator::from_state([8, epoch, batch]);
    let angle = (rng.uniform(&[256, 1], device) * 8.0).floor() * FRAC_PI_4;
    let centre = Tensor::cat(&[&angle.cos(), &angle.sin()], 1) * 2.0;
    centre + rng.normal(&[256, 2], device) * 0.05
}

fn bce(logits: Tensor, label: f64) -> Tensor {
    logits.binary_cross_entropy_with_logits(&logits.full_like(label), Reduction::Mean)
}

/// Both losses of the game, the generator's in the form that does not saturate.
fn step(s: &mut State, real: Tensor) -> wgrad::Result<[(&'static str, Tensor); 2]> {
    let cx = &mut Context::eval();
    let noise = s.rng.normal(&[real.shape()[0], NOISE], real.device());
    let fake = s.generator.forward(&noise, cx);
    let d_real = bce(s.discriminator.forward(&real, cx), 0.9);
    let d_loss = d_real + bce(s.discriminator.forward(&fake.stop_gradient(), cx), 0.0);
    let g = gradients(&d_loss, &s.discriminator)?;
    s.d_adam.step(&mut s.discriminator, &g)?;
    let g_loss = bce(s.discriminator.forward(&fake, cx), 1.0);
    let g = gradients(&g_loss, &s.generator)?;
    s.g_adam.step(&mut s.generator, &g)?;
    s.average.update(&s.generator)?;
    s.rng.next_step();
    Ok([("d_loss", d_loss), ("g_loss", g_loss)])
}

fn main() -> Result<(), TrainError> {
    let device = Device::best_blocking()?;
    let state = State {
        generator: network(NOISE, 2, 1, &device),
        discriminator: network(2, 1, 2, &device),
        g_adam: Adam::new(1e-3).betas(0.5, 0.999),
        d_adam: Adam::new(1e-3).betas(0.5, 0.999),
        average: Average::ema(network(NOISE, 2, 1, &device), 0.995),
        rng: Generator::new(3),
    };
    let data = device.clone();
    let batches = from_fn(500, move |e, b| Ok(eight_gaussians(e, b, &data)));
    let mut trainer = Trainer::new(state, step)
        .checkpoint("out/gan/checkpoints", Every::Epochs(1), 0)
        .resume(std::env::args().any(|a| a == "--resume"))
        .log(RunFolder::new("out/gan").seed(3).setting("noise", NOISE));
    trainer.fit(batches, 6)?;
    let noise = Generator::new(99).normal(&[1024, NOISE], &device);
    let points = trainer
        .state
        .average
        .module
        .forward(&noise, &mut Context::eval());
    let mut hits = [0; 8];
    for p in points.to_vec::<f32>()?.chunks(2) {
        let place = (f64::from(p[1].atan2(p[0])) / FRAC_PI_4).round();
        hits[place.rem_euclid(8.0) as usize % 8] +=
            usize::from((p[0].hypot(p[1]) - 2.0).abs() < 0.3);
    }
    println!("points near each of the eight places, of 1024: {hits:?}");
    Ok(())
}
