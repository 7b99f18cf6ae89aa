//! Why the squared loss: if noise is normal, the most likely line is the one with the least squared errors, for
//! `−log N(y; ŷ, σ²) = (y − ŷ)² / 2σ² + log σ√2π`. Source: Zhang et al., Dive into Deep Learning, 3.1.3.

use crate::lesson::{Lesson, Result};
use std::f64::consts::TAU;
use wgrad::plot::Figure;

fn density(x: f64, mean: f64, std: f64) -> f64 {
    let z = (x - mean) / std;
    (-0.5 * z * z).exp() / (std * TAU.sqrt())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let xs: Vec<f64> = (0..=1400).map(|i| -7.0 + 0.01 * f64::from(i)).collect();
    let mut figure = Figure::new("Normal densities").x("x").y("density");
    for (mean, std) in [(0.0, 1.0), (0.0, 2.0), (3.0, 1.0)] {
        let ys: Vec<f64> = xs.iter().map(|&x| density(x, mean, std)).collect();
        let area: f64 = ys.iter().sum::<f64>() * 0.01;
        lesson.close(
            &format!("area below mean {mean}, deviation {std}"),
            area,
            1.0,
            2e-3,
        )?;
        figure = figure.line(&format!("mean {mean}, deviation {std}"), &xs, &ys);
    }
    lesson.figure("densities", "Mean shifts, deviation widens", &figure)?;

    // Few points around a line through the origin: both measures are best at the same slope.
    let (x, y) = ([1.0, 2.0, 3.0, 4.0], [1.9, 4.3, 5.8, 8.1]);
    let slopes: Vec<f64> = (0..=200).map(|i| 1.0 + 0.01 * f64::from(i)).collect();
    let errors = |w: f64| x.iter().zip(y).map(move |(x, y)| y - w * x);
    let squared: Vec<f64> = slopes
        .iter()
        .map(|&w| errors(w).map(|e| e * e).sum::<f64>() / 2.0)
        .collect();
    let unlikely: Vec<f64> = slopes
        .iter()
        .map(|&w| -errors(w).map(|e| density(e, 0.0, 1.0).ln()).sum::<f64>())
        .collect();
    let best = |list: &[f64]| {
        let least = (0..list.len()).min_by(|&a, &b| list[a].total_cmp(&list[b]));
        slopes[least.unwrap_or_default()]
    };
    lesson.close(
        "best slopes of both",
        best(&squared) - best(&unlikely),
        0.0,
        1e-9,
    )?;
    let constant = unlikely[0] - squared[0];
    lesson.close(
        "their difference, 4 log √2π",
        constant,
        2.0 * TAU.ln(),
        1e-9,
    )?;
    let figure = Figure::new("Two losses of a slope")
        .x("slope w")
        .y("loss")
        .line("half the squared errors", &slopes, &squared)
        .line("negative log-likelihood", &slopes, &unlikely)
        .vertical("best of both", best(&squared));
    lesson.figure("losses", "The same minimum", &figure)
}
