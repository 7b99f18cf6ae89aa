//! Splines: cubic pieces that join smoothly at knots, `Σ wₖ max(0, x − tₖ)³` beside a cubic. More knots are more capacity, as a
//! higher degree is, but an error in one place stays there. Source: Hastie, Tibshirani, Friedman, The Elements of Statistical
//! Learning, 5.2 and figure 5.9.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Grid};
use wgrad::{Generator, Tensor};

/// A truth with a narrow bump, that a polynomial cannot follow without swinging elsewhere.
fn truth(x: &Tensor) -> Tensor {
    (x * 3.0).sin() * 0.5 + (((x - 0.3) * 8.0).square().neg()).exp()
}

/// `1, x, x², x³` and the cubes from each of `knots` even knots on.
fn cubic(x: &Tensor, knots: usize) -> Tensor {
    let mut all = vec![x.ones_like(), x.clone(), x.square(), x.powf(3.0)];
    for k in 1..=knots {
        let knot = -1.0 + 2.0 * k as f64 / (knots + 1) as f64;
        all.push((x - knot).relu().powf(3.0));
    }
    Tensor::cat(&all.iter().collect::<Vec<_>>(), 1)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let grid = Tensor::linspace(-0.97, 0.97, 200, device).reshape(&[-1, 1]);
    let want = truth(&grid);
    let counts = [0usize, 1, 2, 4, 6, 8, 12, 16, 24, 32, 40];
    let (mut train, mut test) = ([0.0; 11], [0.0; 11]);
    let mut all = Grid::new(3);
    let trials = 10;
    for trial in 0..trials {
        let x = rng.uniform(&[60, 1], device) * 2.0 - 1.0;
        let y = (truth(&x) + rng.normal(&[60, 1], device) * 0.15).detach()?;
        for (at, &knots) in counts.iter().enumerate() {
            let w = cubic(&x, knots).lstsq(&y, Some(1e-6));
            let said = cubic(&grid, knots).matmul(&w);
            let mean =
                |t: Tensor| -> wgrad::Result<f64> { Ok(t.square().mean().item::<f32>()?.into()) };
            train[at] += mean(cubic(&x, knots).matmul(&w) - &y)? / f64::from(trials);
            test[at] += mean(&said - &want)? / f64::from(trials);
            if trial == 0 && [1, 12, 40].contains(&knots) {
                let xs = grid.to_vec::<f32>()?;
                all = all.figure(
                    Figure::new(format!("{knots} knots"))
                        .x("x")
                        .y("y")
                        .size(320, 300)
                        .y_range(-1.2, 2.0)
                        .scatter("points", &x.to_vec::<f32>()?, &y.to_vec::<f32>()?)
                        .line("spline", &xs, &said.to_vec::<f32>()?)
                        .dashed("truth", &xs, &want.to_vec::<f32>()?),
                );
            }
        }
    }
    lesson.say(format!("knots {counts:?}\ntest {test:.4?}"));
    let best = (0..11)
        .min_by(|a, b| test[*a].total_cmp(&test[*b]))
        .ok_or("a count")?;
    lesson.close(
        "knots of the least test error",
        counts[best] as f64,
        12.0,
        6.0,
    )?;
    lesson.at_least(
        "test error without knots by the least",
        test[0] / test[best],
        3.0,
    )?;
    lesson.at_least(
        "test error with 40 knots by the least",
        test[10] / test[best],
        1.3,
    )?;
    lesson.at_most(
        "training error with 40 knots by that without",
        train[10] / train[0],
        0.4,
    )?;
    lesson.grid("fits", "Too few, right, too many", &all)?;
    let counts_shown: Vec<usize> = counts.iter().map(|c| c + 4).collect();
    let figure = Figure::new("60 points")
        .x("weights of the spline")
        .y("squared error")
        .log_y()
        .dotted_line("training", &counts_shown, &train)
        .dotted_line("test, against the truth", &counts_shown, &test);
    lesson.figure("errors", "The U again", &figure)
}
