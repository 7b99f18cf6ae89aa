//! A generator against a critic that tells its samples from data: `min_G max_D E ln σ(D(x)) + E ln σ(−D(G(z)))`. If the
//! generator moves faster than the critic it puts all of its samples where the critic is weakest: modes collapse. A
//! critic that keeps up, and pays for steep slopes at the data (R₁), cures that. Source: Goodfellow et al. 2014; Metz
//! et al. 2017; Mescheder, Geiger, Nowozin 2018.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, LeakyRelu, Linear, Sequential, compile, gradients};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Device, Generator, Optimizer, Tensor, grad};

const LEAKY: LeakyRelu = LeakyRelu {
    negative_slope: 0.2,
};

type State = ([Sequential; 2], [Adam; 2], Context);

fn net(from: usize, to: usize, rng: &mut Generator, device: &Device) -> Sequential {
    Sequential::new()
        .push(Linear::new(from, 64, rng, device))
        .push(LEAKY)
        .push(Linear::new(64, 64, rng, device))
        .push(LEAKY)
        .push(Linear::new(64, to, rng, device))
}

/// Eight Gaussians on a circle.
fn data(count: usize, rng: &mut Generator, device: &Device) -> Tensor {
    let angle =
        rng.integers(0, 8, &[count], device).cast(DType::F32) * (std::f64::consts::PI / 4.0);
    Tensor::stack(&[&angle.cos(), &angle.sin()], 1) + rng.normal(&[count, 2], device) * 0.05
}

/// One step of the critic and `pushes` of the generator.
fn step(state: &mut State, pushes: usize, slope: f64, device: &Device) -> wgrad::Result<Tensor> {
    let ([generator, critic], [of_generator, of_critic], cx) = state;
    let real = data(128, &mut cx.rng, device);
    let z = cx.rng.normal(&[128, 4], device);
    let fake = generator.forward(&z, cx).stop_gradient();
    let says = critic.forward(&real, cx);
    let mut loss = -says.logsigmoid().mean() - (-critic.forward(&fake, cx)).logsigmoid().mean();
    if slope > 0.0 {
        let steep = grad(&says.sum(), &[&real])?.swap_remove(0);
        loss = loss + steep.square().sum_dims(&[1], false).mean() * (slope / 2.0);
    }
    let changes = gradients(&loss, critic)?;
    of_critic.step(critic, &changes)?;
    for _ in 0..pushes {
        let z = cx.rng.normal(&[128, 4], device);
        let fake = generator.forward(&z, cx);
        let loss = -critic.forward(&fake, cx).logsigmoid().mean();
        let changes = gradients(&loss, generator)?;
        of_generator.step(generator, &changes)?;
    }
    cx.next_step();
    Ok(loss)
}

/// How many of the eight have a tenth of their share or more within three deviations, and the share of points that lie so.
fn covered(points: &[f32]) -> (usize, f64) {
    let near = |mode: usize| {
        let angle = mode as f32 * std::f32::consts::FRAC_PI_4;
        let points = points.chunks_exact(2);
        let far = points.map(|p| (p[0] - angle.cos()).hypot(p[1] - angle.sin()));
        far.filter(|far| *far < 0.15).count()
    };
    let (all, near) = (points.len() / 2, [0, 1, 2, 3, 4, 5, 6, 7].map(near));
    let modes = near.iter().filter(|n| **n * 80 >= all).count();
    (modes, near.iter().sum::<usize>() as f64 / all as f64)
}

/// Modes and share at six times of training, and how points lay then.
fn train(
    pushes: usize,
    slope: f64,
    rates: [f64; 2],
    lesson: &Lesson,
) -> Result<(Vec<(usize, f64)>, Grid)> {
    let (device, mut rng) = (&lesson.device, Generator::new(lesson.seed));
    let nets = [net(4, 2, &mut rng, device), net(2, 1, &mut rng, device)];
    let adams = rates.map(|rate| Adam::new(rate).betas(0.5, 0.9));
    let mut state: State = (nets, adams, Context::train(lesson.seed));
    let mut compiled = compile(|s: &mut State, _: &[Tensor]| step(s, pushes, slope, device));
    let z = rng.normal(&[800, 4], device).detach()?;
    let truth = data(400, &mut rng, device).to_vec::<f32>()?;
    let of = |all: &[f32], at: usize| all.chunks_exact(2).map(|p| p[at]).collect::<Vec<f32>>();
    let (mut grid, mut found) = (Grid::new(3), Vec::new());
    let steps = lesson.pick(5000, 2000);
    for t in 0..=steps {
        if t % (steps / 5) == 0 {
            let points = state.0[0].forward(&z, &mut Context::eval());
            let points = points.to_vec::<f32>()?;
            let (modes, share) = covered(&points);
            found.push((modes, share));
            let figure = Figure::new(format!("{t} steps: {modes} of 8"))
                .x("x")
                .y("y")
                .size(300, 300)
                .x_range(-3.5, 3.5)
                .y_range(-3.5, 3.5);
            let figure = figure.scatter("data", &of(&truth, 0), &of(&truth, 1));
            grid = grid.figure(figure.scatter("made", &of(&points, 0), &of(&points, 1)));
        }
        for (adam, rate) in state.1.iter_mut().zip(rates) {
            adam.set_lr(rate * (1.01 - t as f64 / steps as f64));
        }
        compiled.call(&mut state, &[])?;
    }
    Ok((found, grid))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let (found, grid) = train(5, 0.0, [2e-3, 2e-4], lesson)?;
    let most = found.iter().map(|(modes, _)| *modes).fold(0, usize::max);
    lesson.at_most("modes covered at best, collapsed", most as f64, 4.0)?;
    lesson.grid("collapse", "The generator moves faster", &grid)?;

    let (found, grid) = train(1, 0.02, [1e-3, 2e-3], lesson)?;
    let (modes, share) = found[found.len() - 1];
    lesson.grid("cure", "The critic keeps up and stays smooth", &grid)?;
    lesson.at_least("modes covered, cured", modes as f64, lesson.pick(8.0, 5.0))?;
    lesson.at_least(
        "points within three deviations",
        share,
        lesson.pick(0.6, 0.4),
    )
}
