//! A derivative is a limit: `(f(1+h) − f(1)) / h` for `f(x) = 3x² − 4x` goes to 2 as h goes to 0. In f32 the difference of
//! nearly equal numbers loses its digits before h is small. Source: Zhang et al., Dive into Deep Learning, 2.4.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Tensor, grad};

fn f(x: f64) -> f64 {
    3.0 * x * x - 4.0 * x
}

fn f32_too(x: f32) -> f32 {
    3.0 * x * x - 4.0 * x
}

pub fn run(lesson: &mut Lesson) -> Result {
    let mut lines = String::from("h          in f64       in f32\n");
    for digits in 1..=5 {
        let h = 10f64.powi(-digits);
        let slope = (f(1.0 + h) - f(1.0)) / h;
        let small = (f32_too(1.0 + h as f32) - f32_too(1.0)) / h as f32;
        lines += &format!("{h:<9}  {slope:.6}     {small:.6}\n");
        lesson.close(&format!("slope with h = {h}"), slope, 2.0 + 3.0 * h, 1e-9)?;
    }
    lesson.say(lines);
    let x = Tensor::scalar(1.0, DType::F32, &lesson.device);
    let y = x.square() * 3.0 - &x * 4.0;
    lesson.close(
        "by grad",
        grad(&y, &[&x])?[0].item::<f32>()?.into(),
        2.0,
        1e-6,
    )?;

    let steps: Vec<f64> = (0..=120).map(|i| 10f64.powf(-0.1 * f64::from(i))).collect();
    let off = |slope: f64| (slope - 2.0).abs().max(1e-16);
    let wide: Vec<f64> = steps
        .iter()
        .map(|&h| off((f(1.0 + h) - f(1.0)) / h))
        .collect();
    let narrow = |h: f64| f64::from((f32_too(1.0 + h as f32) - f32_too(1.0)) / h as f32);
    let narrow: Vec<f64> = steps.iter().map(|&h| off(narrow(h))).collect();
    let figure = Figure::new("Distance from the derivative")
        .x("h")
        .y("|slope − 2|")
        .log_x()
        .log_y()
        .line("f64", &steps, &wide)
        .line("f32", &steps, &narrow);
    let best = |list: &[f64]| list.iter().copied().fold(f64::INFINITY, f64::min);
    lesson.say(format!(
        "best of f64 {:.1e}, of f32 {:.1e}",
        best(&wide),
        best(&narrow)
    ));
    let broken = steps
        .iter()
        .zip(&narrow)
        .filter(|(h, off)| **h < 1e-6 && **off > 0.05)
        .count();
    lesson.at_least(
        "steps below 1e-6 that f32 gets wrong by more than 0.05",
        broken as f64,
        20.0,
    )?;
    lesson.figure(
        "error",
        "Too large, too small: the step of a numerical derivative",
        &figure,
    )
}
