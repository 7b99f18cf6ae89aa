//! Tossing coins: the share of heads approaches its probability, and its spread shrinks as `√(p (1−p) / n)`: the law of large
//! numbers and the central limit theorem. Source: Zhang et al., Dive into Deep Learning, 2.6.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let (coins, tosses, p) = (200, 10_000, 0.5);
    let heads = rng.bernoulli(p, &[coins, tosses], device).cast(DType::F32);
    let n = Tensor::arange(tosses, device).cast(DType::F32) + 1.0;
    let share = heads.cumsum(1) / &n;

    let last = share.get((.., -1));
    let spread = f64::from(last.std(1.0).item::<f32>()?);
    let expected = (p * (1.0 - p) / tosses as f64).sqrt();
    lesson.close(
        "mean share of heads",
        last.mean().item::<f32>()?.into(),
        p,
        0.002,
    )?;
    lesson.close(
        "its spread over 200 coins, by the expected one",
        spread / expected,
        1.0,
        0.2,
    )?;
    let inside = (&last - p)
        .abs()
        .lt_scalar(2.0 * expected)
        .cast(DType::F32)
        .mean();
    lesson.close(
        "coins within two deviations",
        inside.item::<f32>()?.into(),
        0.954,
        0.05,
    )?;

    let counts: Vec<usize> = (1..=tosses).collect();
    let bound = |sign: f64| -> Vec<f64> {
        counts
            .iter()
            .map(|&n| p + 2.0 * sign * (p * (1.0 - p) / n as f64).sqrt())
            .collect()
    };
    let mut figure = Figure::new("Share of heads")
        .x("tosses")
        .y("heads, share")
        .log_x()
        .y_range(0.0, 1.0)
        .band("two deviations", &counts, &bound(-1.0), &bound(1.0));
    for coin in 0..4 {
        let one = share.get(coin).to_vec::<f32>()?;
        figure = figure.line(&format!("coin {}", coin + 1), &counts, &one);
    }
    lesson.figure("shares", "Four coins settle", &figure)
}
