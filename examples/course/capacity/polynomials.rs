//! Capacity: polynomials of growing degree through 15 noisy points of a sine. The training error only falls; the test error
//! falls, then rises: a U. Too low a degree underfits, too high a one overfits. Source: Goodfellow, Bengio, Courville, Deep
//! Learning, 5.2 and figures 5.2, 5.3.

use crate::lesson::{Lesson, Result};
use std::f64::consts::PI;
use wgrad::plot::{Figure, Grid};
use wgrad::{Device, Generator, Tensor};

/// Noisy points of a sine: x `[n, 1]` in [−1, 1], y `[n, 1]`.
fn points(n: usize, rng: &mut Generator, device: &Device) -> (Tensor, Tensor) {
    let x = rng.uniform(&[n, 1], device) * 2.0 - 1.0;
    let y = (&x * PI).sin() + rng.normal(&[n, 1], device) * 0.3;
    (x, y)
}

/// Legendre's polynomials up to a degree, `(k + 1) P₊ = (2k + 1) x P − k P₋`: they span what powers span, without being nearly
/// equal to each other, so that f32 suffices.
fn legendre(x: &Tensor, degree: usize) -> Tensor {
    let mut all = vec![x.ones_like(), x.clone()];
    for k in 1..degree {
        let next = x * &all[k] * (2 * k + 1) as f64 - &all[k - 1] * k as f64;
        all.push(next / (k + 1) as f64);
    }
    Tensor::cat(&all.iter().take(degree + 1).collect::<Vec<_>>(), 1)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let degrees: Vec<usize> = (0..=12).collect();
    let trials = lesson.pick(40, 15);
    let (x_test, y_test) = points(1000, rng, device);
    let grid = Tensor::linspace(-1.0, 1.0, 200, device).reshape(&[-1, 1]);
    let mut errors = [
        vec![Vec::new(); degrees.len()],
        vec![Vec::new(); degrees.len()],
    ];
    let mut all = Grid::new(3);
    for trial in 0..trials {
        let (x, y) = points(15, rng, device);
        for &degree in &degrees {
            let w = legendre(&x, degree).lstsq(&y, None);
            let error = |x: &Tensor, y: &Tensor| -> wgrad::Result<f32> {
                (legendre(x, degree).matmul(&w) - y).square().mean().item()
            };
            errors[0][degree].push(f64::from(error(&x, &y)?));
            errors[1][degree].push(f64::from(error(&x_test, &y_test)?));
            if trial == 0 && [1, 3, 12].contains(&degree) {
                let said = legendre(&grid, degree).matmul(&w).to_vec::<f32>()?;
                all = all.figure(
                    Figure::new(format!("Degree {degree}"))
                        .x("x")
                        .y("y")
                        .size(320, 300)
                        .y_range(-2.0, 2.0)
                        .scatter("points", &x.to_vec::<f32>()?, &y.to_vec::<f32>()?)
                        .line("fit", &grid.to_vec::<f32>()?, &said),
                );
            }
        }
    }
    // Medians over the draws: a wild polynomial would outweigh all others in a mean.
    let median = |v: &Vec<f64>| {
        let mut v = v.clone();
        v.sort_by(f64::total_cmp);
        v[v.len() / 2]
    };
    let train: Vec<f64> = errors[0].iter().map(median).collect();
    let test: Vec<f64> = errors[1].iter().map(median).collect();
    let rises = train.windows(2).filter(|w| w[1] > w[0] + 1e-3).count();
    lesson.close(
        "degrees at which the training error rises",
        rises as f64,
        0.0,
        0.0,
    )?;
    let best = (0..test.len())
        .min_by(|a, b| test[*a].total_cmp(&test[*b]))
        .ok_or("a degree")?;
    lesson.close("degree of the least test error", best as f64, 4.0, 1.0)?;
    lesson.at_least(
        "test error of degree 1 by the least",
        test[1] / test[best],
        1.5,
    )?;
    lesson.at_least(
        "test error of degree 12 by the least",
        test[12] / test[best],
        2.0,
    )?;
    lesson.grid("fits", "Too stiff, right, too free", &all)?;
    let figure = Figure::new("15 points")
        .x("degree")
        .y("squared error")
        .log_y()
        .dotted_line("training", &degrees, &train)
        .dotted_line("test", &degrees, &test)
        .horizontal("variance of the noise", 0.09);
    lesson.figure("errors", "The U", &figure)
}
