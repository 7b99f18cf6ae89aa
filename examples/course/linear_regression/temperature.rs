//! A line through a year of daily temperatures misses the season: the model, not the fit, is wrong. With sine and cosine of
//! the day as features, linear regression follows it: a model is linear in its weights, not in its inputs.

use crate::lesson::{Lesson, Result};
use std::f64::consts::TAU;
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let day = Tensor::arange(365, device)
        .cast(DType::F32)
        .reshape(&[365, 1]);
    let turn = &day * (TAU / 365.0);
    let noise = Generator::new(lesson.seed).normal(&[365, 1], device) * 2.0;
    let celsius = (&turn - 1.9).sin() * 9.5 + 10.0 + noise;

    let one = Tensor::ones(&[365, 1], DType::F32, device);
    let year = &day / 365.0;
    let models = [
        ("a line", Tensor::cat(&[&one, &year], 1)),
        (
            "sine and cosine",
            Tensor::cat(&[&one, &turn.sin(), &turn.cos()], 1),
        ),
    ];
    let days = day.to_vec::<f32>()?;
    let mut figure = Figure::new("Temperature by day")
        .x("day of the year")
        .y("°C")
        .scatter("measured", &days, &celsius.to_vec::<f32>()?);
    let mut shares = Vec::new();
    for (name, features) in &models {
        let fitted = features.matmul(&features.lstsq(&celsius, None));
        let left = (&celsius - &fitted).square().sum() / (&celsius - celsius.mean()).square().sum();
        shares.push(1.0 - f64::from(left.item::<f32>()?));
        figure = figure.line(name, &days, &fitted.to_vec::<f32>()?);
    }
    lesson.at_most("R² of the line", shares[0], 0.35)?;
    lesson.at_least("R² of sine and cosine", shares[1], 0.85)?;
    lesson.figure("year", "The season is no line", &figure)
}
