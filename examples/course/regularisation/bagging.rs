//! Bagging: k models, each on a bootstrap sample (as many examples, drawn with repetition), averaged. With errors of variance v
//! and covariance c the mean's expected squared error is `v/k + (k − 1)/k · c`: as bad as one model where errors are equal,
//! k times better where they are independent. Source: Goodfellow, Bengio, Courville, Deep Learning, 7.11; Breiman 1994.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, Relu, Sequential, gradients};
use wgrad::plot::Figure;
use wgrad::{Generator, Optimizer, Reduction, Tensor};

/// A network that is large for 40 points.
fn fit(x: &Tensor, y: &Tensor, steps: usize, rng: &mut Generator) -> wgrad::Result<Sequential> {
    let device = &x.device().clone();
    let mut net = Sequential::new()
        .with("hidden", Linear::new(1, 64, rng, device))
        .with("relu", Relu)
        .with("hidden2", Linear::new(64, 64, rng, device))
        .with("relu2", Relu)
        .with("out", Linear::new(64, 1, rng, device));
    let mut adam = Adam::new(0.01);
    for _ in 0..steps {
        let said = net.forward(x, &mut Context::eval());
        let loss = said.mse_loss(y, Reduction::Mean);
        let gradients = gradients(&loss, &net)?;
        adam.step(&mut net, &gradients)?;
    }
    Ok(net)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (models, steps) = lesson.pick((20usize, 300), (8, 120));
    let n = 40;
    let curve = |x: &Tensor| (x * 3.0).sin() + x * 0.5;
    let x = rng.uniform(&[n, 1], device) * 4.0 - 2.0;
    let y = (curve(&x) + rng.normal(&[n, 1], device) * 0.4).detach()?;
    let grid = Tensor::linspace(-2.0, 2.0, 200, device).reshape(&[-1, 1]);
    let truth = curve(&grid);
    let mut said = Vec::new();
    for _ in 0..models {
        let some = rng.integers(0, n as i32, &[n], device);
        let (x, y) = (x.index_select(0, &some), y.index_select(0, &some));
        let mut net = fit(&x.detach()?, &y.detach()?, steps, rng)?;
        said.push(net.forward(&grid, &mut Context::eval()).detach()?);
    }
    let all = Tensor::stack(&said.iter().collect::<Vec<_>>(), 0);
    let error = |t: &Tensor| -> wgrad::Result<f64> {
        Ok((t - &truth).square().mean().item::<f32>()?.into())
    };
    let alone = error(&all)?;
    let mut by_count = Vec::new();
    for k in 1..=models {
        by_count.push(error(&all.narrow(0, 0, k).mean_dims(&[0], false))?);
    }
    let bagged = by_count[models - 1];
    lesson.say(format!(
        "mean error of one model {alone:.4}, of the mean of {models} {bagged:.4}"
    ));
    lesson.at_most(
        "squared error, bagged by single",
        bagged / alone,
        lesson.pick(0.7, 0.8),
    )?;
    // The formula: v is the mean square of the errors, c the mean product of different models'.
    let errors = (&all - &truth).flatten(1, -1);
    let products = errors.matmul(&errors.t()) / grid.size(0) as f64;
    let v = f64::from(products.diagonal(0, 0, 1).mean().item::<f32>()?);
    let k = models as f64;
    let c = (f64::from(products.sum().item::<f32>()?) - k * v) / (k * (k - 1.0));
    lesson.close(
        "v/k + (k − 1)/k · c by the error",
        (v / k + (k - 1.0) / k * c) / bagged,
        1.0,
        1e-3,
    )?;

    let xs = grid.to_vec::<f32>()?;
    let mut figure = Figure::new("40 points, overfitted and averaged")
        .x("x")
        .y("y")
        .scatter("points", &x.to_vec::<f32>()?, &y.to_vec::<f32>()?);
    for (at, one) in said.iter().take(3).enumerate() {
        figure = figure.dashed(&format!("model {}", at + 1), &xs, &one.to_vec::<f32>()?);
    }
    let mean = all.mean_dims(&[0], false).to_vec::<f32>()?;
    figure = figure
        .line("mean of all", &xs, &mean)
        .line("truth", &xs, &truth.to_vec::<f32>()?);
    lesson.figure("curves", "Errors that differ cancel", &figure)?;
    let counts: Vec<usize> = (1..=models).collect();
    let figure = Figure::new("Error of the mean")
        .x("models")
        .y("squared error")
        .dotted_line("bagged", &counts, &by_count)
        .horizontal("one model, on average", alone);
    lesson.figure("count", "More models, less error", &figure)
}
