//! Batch, minibatch, single examples: an exact gradient is dear, a noisy one is cheap, and the error of its mean only falls
//! with the root of the batch. Source: Goodfellow, Bengio, Courville, Deep Learning, 8.1.3.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Linear, Sgd, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Optimizer, Reduction, Tensor, eval, grad};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let (n, features) = (2048, 10);
    let x = rng.normal(&[n, features], device);
    let truth = rng.normal(&[features, 1], device);
    let y = x.matmul(&truth) + rng.normal(&[n, 1], device) * 0.5;
    eval(&[&x, &y])?;

    // The spread of a minibatch's gradient around the exact one.
    let w = Tensor::zeros(&[features, 1], DType::F32, device);
    let gradient = |x: &Tensor, y: &Tensor| grad(&(x.matmul(&w) - y).square().mean(), &[&w]);
    let exact = gradient(&x, &y)?.swap_remove(0);
    let sizes = [1usize, 4, 16, 64, 256];
    let mut errors = Vec::new();
    for &size in &sizes {
        let mut total = 0.0;
        for _ in 0..100 {
            let some = rng.integers(0, n as i32, &[size], device);
            let g = gradient(&x.index_select(0, &some), &y.index_select(0, &some))?.swap_remove(0);
            total += f64::from((g - &exact).square().sum().item::<f32>()?) / 100.0;
        }
        errors.push(total.sqrt());
    }
    lesson.close(
        "error of 256 by that of 1, √(1/256) expected",
        errors[4] / errors[0],
        1.0 / 16.0,
        0.02,
    )?;
    let figure = Figure::new("Error of a minibatch's gradient")
        .x("examples in the batch")
        .y("distance from the exact gradient")
        .log_x()
        .log_y()
        .dotted_line("measured", &sizes, &errors)
        .dashed(
            "falls with the root",
            &sizes,
            &sizes.map(|s| errors[0] / (s as f64).sqrt()),
        );
    lesson.figure("noise", "Four times the batch, half the error", &figure)?;
    compare(lesson, &x, &y)
}

/// The same number of examples seen, in batches of several sizes.
fn compare(lesson: &mut Lesson, x: &Tensor, y: &Tensor) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed + 1);
    let (n, features) = (x.size(0), x.size(1));
    let mut figure = Figure::new("Loss by examples seen")
        .x("examples seen")
        .y("squared error")
        .log_x()
        .log_y();
    for (size, rate) in [(1usize, 0.01), (32, 0.1), (n, 0.3)] {
        let mut state = (
            Linear::new(features, 1, &mut Generator::new(1), device),
            Sgd::new(rate),
        );
        let mut step = compile(|(net, sgd): &mut (Linear, Sgd), b: &[Tensor]| {
            let loss = net.forward(&b[0]).mse_loss(&b[1], Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            sgd.step(net, &gradients)?;
            Ok(loss)
        });
        let (mut seen, mut losses) = (Vec::new(), Vec::new());
        for at in 0..(2 * n).div_ceil(size) {
            let some = rng.integers(0, n as i32, &[size], device);
            step.call(
                &mut state,
                &[&x.index_select(0, &some), &y.index_select(0, &some)],
            )?;
            if at % (128 / size.min(128)).max(1) == 0 {
                seen.push((at + 1) * size);
                losses.push(
                    state
                        .0
                        .forward(x)
                        .mse_loss(y, Reduction::Mean)
                        .item::<f32>()?,
                );
            }
        }
        let last = f64::from(losses[losses.len() - 1]);
        lesson.say(format!(
            "batches of {size}: {last:.4} after {} examples",
            2 * n
        ));
        if size == 32 {
            lesson.close("minibatches reach the noise, 0.25", last, 0.25, 0.05)?;
        }
        figure = figure.dotted_line(&format!("batches of {size}"), &seen, &losses);
    }
    lesson.figure("batches", "Batch, minibatch, single examples", &figure)
}
