//! Diffusion: data are drowned in noise step by step, `x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε`, and a network learns to say ε
//! from x_t and t. Run backwards from pure noise it makes data: `x_{t−1} = (x_t − β_t / √(1 − ᾱ_t) ε̂) / √α_t + √β_t
//! z`. Source: Ho, Jain, Abbeel, Denoising Diffusion Probabilistic Models, 2020.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, Context, Diffusion, Linear, Sequential, Silu, compile, gradients, sinusoidal_positions,
};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Device, Generator, Optimizer, Tensor};

const STEPS: usize = 100;

/// Two moons.
fn data(count: usize, rng: &mut Generator, device: &Device) -> Tensor {
    let upper = rng.bernoulli(0.5, &[count], device).cast(DType::F32);
    let angle = rng.uniform(&[count], device) * std::f64::consts::PI;
    let side = &upper * 2.0 - 1.0;
    let (x, y) = (
        angle.cos() * &side - &side * 0.5,
        angle.sin() * &side - &side * 0.25,
    );
    Tensor::stack(&[&x, &y], 1) + rng.normal(&[count, 2], device) * 0.05
}

/// What the network sees of points `x` at times `clock`: waves of two lengths beside them show small differences.
fn features(x: &Tensor, clock: &Tensor) -> Tensor {
    let (long, short) = (x * 2.0, x * 5.0);
    let parts = [
        x,
        clock,
        &long.sin(),
        &long.cos(),
        &short.sin(),
        &short.cos(),
    ];
    Tensor::cat(&parts, 1)
}

/// A network that says the noise in `[x, clock]`.
fn train(diffusion: &Diffusion, clock: &Tensor, lesson: &Lesson) -> Result<Sequential> {
    let (device, mut rng) = (&lesson.device, Generator::new(lesson.seed));
    let net = Sequential::new()
        .push(Linear::new(26, 128, &mut rng, device))
        .push(Silu)
        .push(Linear::new(128, 128, &mut rng, device))
        .push(Silu)
        .push(Linear::new(128, 128, &mut rng, device))
        .push(Silu)
        .push(Linear::new(128, 2, &mut rng, device));
    let mut state = (net, Adam::new(0.002), Context::train(lesson.seed));
    let mut step = compile(
        |(net, adam, cx): &mut (Sequential, Adam, Context), b: &[Tensor]| {
            let device = b[0].device();
            let x = data(256, &mut cx.rng, device);
            let t = cx.rng.integers(0, STEPS as i32, &[256], device);
            let noise = cx.rng.normal(&[256, 2], device);
            let drowned = diffusion.add_noise(&x, &noise, &t);
            let said = net.forward(&features(&drowned, &b[0].index_select(0, &t)), cx);
            let loss = (said - noise).square().mean();
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            cx.next_step();
            Ok(loss)
        },
    );
    let steps = lesson.pick(4000, 800);
    for t in 0..steps {
        state
            .1
            .set_lr(0.002 * (1.0 - t as f64 / steps as f64) + 1e-5);
        step.call(&mut state, &[clock])?;
    }
    Ok(state.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let diffusion = Diffusion::linear(STEPS, 1e-3, 0.1);
    let clock = sinusoidal_positions(STEPS, 16, device).detach()?;
    let mut net = train(&diffusion, &clock, lesson)?;
    let (count, mut rng) = (600, Generator::new(lesson.seed + 1));
    let mut x = rng.normal(&[count, 2], device).detach()?;
    let truth = data(2000, &mut rng, device).detach()?;
    let apart = |x: &Tensor| {
        x.cdist(&truth, 2.0)
            .amin_dims(&[1], false)
            .mean()
            .item::<f32>()
    };
    let first = apart(&x)?;
    let mut grid = Grid::new(3);
    for t in (0..STEPS).rev() {
        let now = clock
            .get(t as isize)
            .unsqueeze(0)
            .broadcast_to(&[count, 16]);
        let said = net.forward(&features(&x, &now), &mut Context::eval());
        x = diffusion.step(&x, &said, t, &mut rng).detach()?;
        if [99, 60, 40, 20, 10, 0].contains(&t) {
            let all = x.to_vec::<f32>()?;
            let of = |at: usize| {
                all.iter()
                    .skip(at)
                    .step_by(2)
                    .copied()
                    .collect::<Vec<f32>>()
            };
            let figure = Figure::new(format!("{t} steps to go"))
                .x("x")
                .y("y")
                .size(320, 280);
            let figure = figure.x_range(-2.5, 2.5).y_range(-2.0, 2.0);
            grid = grid.figure(figure.scatter("samples", &of(0), &of(1)));
        }
    }
    let last = apart(&x)?;
    lesson.say(format!(
        "distance to the nearest data: {first:.3} at first, {last:.3} at the end"
    ));
    lesson.at_most(
        "samples from the nearest data",
        last.into(),
        lesson.pick(0.05, 0.2),
    )?;
    let far = truth
        .cdist(&x, 2.0)
        .amin_dims(&[1], false)
        .amax()
        .item::<f32>()?;
    lesson.at_most(
        "data from the nearest sample, at most",
        far.into(),
        lesson.pick(0.4, 0.8),
    )?;
    lesson.grid("film", "Out of noise, two moons", &grid)
}
