//! Noisy gradients need a rate that falls: `ε_k = (1 − α) ε₀ + α ε_τ` with `α = k/τ` until step τ, then ε_τ. A high constant rate
//! is fast and stays noisy, a low one is slow and gets near; decay has both. Source: Goodfellow, Bengio, Courville, Deep
//! Learning, 8.3.1, equation 8.14.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Linear, Sgd, compile, gradients};
use wgrad::plot::{Figure, Grid};
use wgrad::{Generator, Optimizer, Reduction, Tensor};

/// The rate at step k.
fn rate(k: usize, (first, last, tau): (f64, f64, usize)) -> f64 {
    let alpha = (k as f64 / tau as f64).min(1.0);
    (1.0 - alpha) * first + alpha * last
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (n, features) = (4096, 50);
    let steps = lesson.pick(3000, 1200);
    // Inputs of very different size: some directions are slow at any rate that the others bear.
    let sizes = Tensor::logspace(-1.0, 0.0, features, 10.0, device);
    let x = (rng.normal(&[n, features], device) * sizes).detach()?;
    let truth = rng.normal(&[features, 1], device);
    let y = (x.matmul(&truth) + rng.normal(&[n, 1], device)).detach()?;
    let best = x
        .matmul(&x.lstsq(&y, None))
        .mse_loss(&y, Reduction::Mean)
        .item::<f32>()?;

    let tau = steps * 4 / 5;
    let ways = [
        ("constant, high", (0.05, 0.05, tau)),
        ("constant, low", (0.002, 0.002, tau)),
        ("decay to τ", (0.05, 0.0005, tau)),
    ];
    let mut losses = Figure::new("Above the least loss")
        .x("step")
        .y("loss beyond the least")
        .log_y()
        .size(440, 360);
    let mut rates = Figure::new("Rates")
        .x("step")
        .y("learning rate")
        .log_y()
        .size(440, 360);
    let mut left = Vec::new();
    for (name, schedule) in ways {
        let mut state = (
            Linear::new(features, 1, &mut Generator::new(1), device),
            Sgd::new(schedule.0),
        );
        let mut step = compile(|(net, sgd): &mut (Linear, Sgd), index: &[Tensor]| {
            let (x, y) = (x.index_select(0, &index[0]), y.index_select(0, &index[0]));
            let loss = net.forward(&x).mse_loss(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            sgd.step(net, &gradients)?;
            Ok(loss)
        });
        let (mut at, mut beyond, mut used) = (Vec::new(), Vec::new(), Vec::new());
        for k in 0..steps {
            state.1.set_lr(rate(k, schedule));
            step.call(&mut state, &[&rng.integers(0, n as i32, &[4], device)])?;
            if (k + 1) % (steps / 60) == 0 {
                let loss = state
                    .0
                    .forward(&x)
                    .mse_loss(&y, Reduction::Mean)
                    .item::<f32>()?;
                at.push(k);
                beyond.push(f64::from(loss - best).max(1e-6));
                used.push(rate(k, schedule));
            }
        }
        left.push(beyond.iter().rev().take(5).sum::<f64>() / 5.0);
        losses = losses.line(name, &at, &beyond);
        rates = rates.line(name, &at, &used);
    }
    lesson.say(format!(
        "beyond the least loss of {best:.4}: high {:.4}, low {:.4}, decayed {:.4}",
        left[0], left[1], left[2]
    ));
    let least = lesson.pick(3.0, 1.5);
    lesson.at_least("left by high, by that of decay", left[0] / left[2], least)?;
    lesson.at_least("left by low, by that of decay", left[1] / left[2], 1.5)?;
    lesson.grid(
        "curves",
        "Fast first, then quiet",
        &Grid::new(2).figure(losses).figure(rates),
    )
}
