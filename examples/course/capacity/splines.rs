//! Splines: cubic pieces that join smoothly at knots, as weighted sums of bumps. More pieces are more capacity, as a higher
//! degree is, but an error in one place stays there. Source: Hastie, Tibshirani, Friedman, The Elements of Statistical
//! Learning, 5.2 and its appendix.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Generator, Tensor};

/// A truth with a narrow bump, that a polynomial cannot follow without swinging elsewhere.
fn truth(x: &Tensor) -> Tensor {
    (x * 3.0).sin() * 0.5 + (((x - 0.3) * 8.0).square().neg()).exp()
}

/// Cubic B-splines on `pieces` even pieces: `((2 − u)₊³ − 4 (1 − u)₊³) / 6` at a distance of u pieces from its centre.
fn cubic(x: &Tensor, pieces: usize) -> Tensor {
    let width = 2.0 / pieces as f64;
    let centers = Tensor::arange(pieces + 3, x.device()).cast(DType::F32) - 1.0;
    let u = ((x + 1.0) / width - centers).abs();
    let cubes = |u: Tensor| u.relu().powf(3.0);
    (cubes(2.0 - &u) - cubes(1.0 - &u) * 4.0) / 6.0
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let grid = Tensor::linspace(-0.97, 0.97, 200, device).reshape(&[-1, 1]);
    let want = truth(&grid);
    let counts = [1usize, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40];
    let (mut train, mut test) = ([0.0; 11], [0.0; 11]);
    let mut all = Grid::new(3);
    let trials = 10;
    for trial in 0..trials {
        let x = rng.uniform(&[60, 1], device) * 2.0 - 1.0;
        let y = (truth(&x) + rng.normal(&[60, 1], device) * 0.15).detach()?;
        for (at, &pieces) in counts.iter().enumerate() {
            let w = cubic(&x, pieces).lstsq(&y, None);
            let said = cubic(&grid, pieces).matmul(&w);
            let mean =
                |t: Tensor| -> wgrad::Result<f64> { Ok(t.square().mean().item::<f32>()?.into()) };
            train[at] += mean(cubic(&x, pieces).matmul(&w) - &y)? / f64::from(trials);
            test[at] += mean(&said - &want)? / f64::from(trials);
            if trial == 0 && [2, 12, 40].contains(&pieces) {
                let xs = grid.to_vec::<f32>()?;
                all = all.figure(
                    Figure::new(format!("{pieces} pieces"))
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
    lesson.say(format!("pieces {counts:?}\ntest {test:.4?}"));
    let best = (0..11)
        .min_by(|a, b| test[*a].total_cmp(&test[*b]))
        .ok_or("a count")?;
    lesson.close(
        "pieces of the least test error",
        counts[best] as f64,
        10.0,
        7.0,
    )?;
    lesson.at_least(
        "test error of one piece by the least",
        test[0] / test[best],
        1.5,
    )?;
    lesson.at_least(
        "test error with 40 pieces by the least",
        test[10] / test[best],
        1.3,
    )?;
    lesson.at_most(
        "training error with 40 pieces by that of one",
        train[10] / train[0],
        0.4,
    )?;
    lesson.grid("fits", "Too few, right, too many", &all)?;
    let counts_shown: Vec<usize> = counts.iter().map(|c| c + 3).collect();
    let figure = Figure::new("60 points")
        .x("weights of the spline")
        .y("squared error")
        .log_y()
        .dotted_line("training", &counts_shown, &train)
        .dotted_line("test, against the truth", &counts_shown, &test);
    lesson.figure("errors", "The U again", &figure)
}
