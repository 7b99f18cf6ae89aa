//! Depth counts by folding: a layer that computes |x| says the same on both sides of its fold, so what a layer above draws
//! appears on both. d layers of the tent `1 − 2|x − ½|` have 2^(d−1) teeth; one hidden layer needs a unit for each bend.
//! Source: Montúfar, Pascanu, Cho, Bengio, On the Number of Linear Regions, 2014; Goodfellow et al., Deep Learning, 6.4.1.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Tensor};

/// Two rectified units: 2 max(0, x) − 4 max(0, x − ½), the tent on [0, 1].
fn tent(x: &Tensor) -> Tensor {
    x.relu() * 2.0 - (x - 0.5).relu() * 4.0
}

pub fn run(lesson: &mut Lesson) -> Result {
    // A step of 1/1024, so that every bend is a point.
    let x = Tensor::arange(1025, &lesson.device).cast(DType::F32) / 1024.0;
    let xs = x.to_vec::<f32>()?;
    let mut all = Grid::new(2);
    let mut y = x.clone();
    let mut pieces = Vec::new();
    for depth in 1..=6 {
        y = tent(&y);
        let ys = y.to_vec::<f32>()?;
        let slopes: Vec<f32> = ys.windows(2).map(|w| w[1] - w[0]).collect();
        let bends = slopes
            .windows(2)
            .filter(|w| (w[1] - w[0]).abs() > 1e-4)
            .count();
        pieces.push(bends + 1);
        lesson.close(
            &format!("linear pieces of {depth} layers"),
            (bends + 1) as f64,
            f64::from(1 << depth),
            0.0,
        )?;
        if depth <= 4 {
            let title = format!("Depth {depth}, {} units", 2 * depth);
            all = all.figure(
                Figure::new(title)
                    .x("x")
                    .y("y")
                    .size(420, 260)
                    .line("y", &xs, &ys),
            );
        }
    }
    lesson.grid("teeth", "Each layer folds once more", &all)?;
    let depths: Vec<usize> = (1..=6).collect();
    let deep: Vec<usize> = depths.iter().map(|d| 2 * d).collect();
    let shallow: Vec<usize> = pieces.iter().map(|p| p - 1 + 1).collect();
    let figure = Figure::new("Units for the same function")
        .x("layers of the deep network")
        .y("rectified units")
        .log_y()
        .dotted_line("deep: two for each layer", &depths, &deep)
        .dotted_line("one hidden layer: one for each piece", &depths, &shallow);
    lesson.figure("units", "Linear in depth, exponential without", &figure)
}
