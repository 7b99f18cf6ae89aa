//! The expected squared error of a fit is bias² + variance + noise: how far the mean fit over many training sets lies from the
//! truth, and how far fits lie from their mean. Capacity trades one for the other. Source: Goodfellow, Bengio, Courville, Deep
//! Learning, 5.4.4 and figure 5.6.

use crate::lesson::{Lesson, Result};
use std::f64::consts::PI;
use wgrad::plot::{Figure, Grid};
use wgrad::{Generator, Tensor};

const NOISE: f64 = 0.3;

/// Some of the fits `[places, sets]`, their mean and the truth.
fn fits(degree: usize, grid: &Tensor, said: &Tensor, want: &Tensor) -> wgrad::Result<Figure> {
    let xs = grid.to_vec::<f32>()?;
    let mut figure = Figure::new(format!("Degree {degree}"))
        .x("x")
        .y("y")
        .size(320, 300)
        .y_range(-1.8, 1.8);
    for set in 0..8 {
        figure = figure.dashed("fits", &xs, &said.select(1, set).to_vec::<f32>()?);
    }
    let mean = said.mean_dims(&[1], false).to_vec::<f32>()?;
    let figure = figure.line("their mean", &xs, &mean);
    Ok(figure.line("truth", &xs, &want.to_vec::<f32>()?))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (sets, n) = (lesson.pick(400, 150), 25);
    // Fixed places and new noise each time: all fits of a degree are one product with the pseudo-inverse.
    let x = Tensor::linspace(-1.0, 1.0, n, device);
    let grid = Tensor::linspace(-1.0, 1.0, 100, device);
    let truth = |x: &Tensor| (x * PI).sin();
    let y = truth(&x).reshape(&[-1, 1]) + rng.normal(&[n, sets], device) * NOISE;
    let fresh = truth(&grid).reshape(&[-1, 1]) + rng.normal(&[100, sets], device) * NOISE;
    let want = truth(&grid).reshape(&[-1, 1]);
    let degrees: Vec<usize> = (0..=9).collect();
    let (mut biases, mut variances, mut sums, mut measured) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut all = Grid::new(3);
    for &degree in &degrees {
        let powers = |x: &Tensor| x.vander(Some(degree + 1), true);
        let said = powers(&grid).matmul(&powers(&x).lstsq(&y, None)).detach()?; // [places, sets]
        let mean = said.mean_dims(&[1], true);
        let number = |t: &Tensor| -> wgrad::Result<f64> { Ok(t.item::<f32>()?.into()) };
        let bias = number(&(&mean - &want).square().mean())?;
        let variance = number(&(&said - &mean).square().mean())?;
        biases.push(bias);
        variances.push(variance);
        sums.push(bias + variance + NOISE * NOISE);
        measured.push(number(&(&said - &fresh).square().mean())?);
        if [1, 3, 9].contains(&degree) {
            all = all.figure(fits(degree, &grid, &said, &want)?);
        }
    }
    let worst = sums
        .iter()
        .zip(&measured)
        .map(|(s, m)| (s / m - 1.0).abs())
        .fold(0.0, f64::max);
    lesson.at_most(
        "bias² + variance + noise against the measured error, relative",
        worst,
        0.05,
    )?;
    lesson.at_least(
        "bias² of degree 1 by that of 5",
        biases[1] / biases[5],
        20.0,
    )?;
    lesson.at_least(
        "variance of degree 9 by that of 1",
        variances[9] / variances[1],
        3.0,
    )?;
    let expected = NOISE * NOISE * 4.0 / n as f64;
    lesson.close(
        "variance of degree 3 by p σ² / n",
        variances[3] / expected,
        1.0,
        0.3,
    )?;
    lesson.grid(
        "fits",
        "Stiff fits agree and are wrong; free fits differ",
        &all,
    )?;
    let figure = Figure::new("Where the error comes from")
        .x("degree")
        .y("squared error")
        .log_y()
        .dotted_line("bias²", &degrees, &biases)
        .dotted_line("variance", &degrees, &variances)
        .dotted_line("sum with the noise", &degrees, &sums)
        .dashed("measured", &degrees, &measured);
    lesson.figure("parts", "Bias falls, variance rises", &figure)
}
