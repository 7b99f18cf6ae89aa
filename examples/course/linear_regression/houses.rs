//! Prices of houses by area and age: `price = w_area · area + w_age · age + b`. Inputs of different size are brought to mean
//! 0 and deviation 1 first, or descent crawls. Source: Zhang et al., Dive into Deep Learning, 3.1.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Linear, Sgd, gradients};
use wgrad::plot::Figure;
use wgrad::{Device, Generator, Optimizer, Reduction, Tensor};

/// Area in m², age in years, price in thousands.
fn houses(seed: u64, device: &Device) -> (Tensor, Tensor) {
    let mut rng = Generator::new(seed);
    let area = rng.uniform(&[400, 1], device) * 180.0 + 40.0;
    let age = rng.uniform(&[400, 1], device) * 60.0;
    let price = &area * 3.2 - &age * 1.5 + 60.0 + rng.normal(&[400, 1], device) * 15.0;
    (Tensor::cat(&[&area, &age], 1), price)
}

fn descend(x: &Tensor, y: &Tensor, rate: f64, seed: u64) -> wgrad::Result<(Linear, Vec<f32>)> {
    let mut net = Linear::new(2, 1, &mut Generator::new(seed), x.device());
    let mut sgd = Sgd::new(rate);
    let mut losses = Vec::new();
    for _ in 0..200 {
        let loss = net.forward(x).mse_loss(y, Reduction::Mean);
        let gradients = gradients(&loss, &net)?;
        sgd.step(&mut net, &gradients)?;
        losses.push(loss.item::<f32>()?);
    }
    Ok((net, losses))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let (x, y) = houses(lesson.seed, &lesson.device);
    let (mean, std) = (x.mean_dims(&[0], true), x.std_dims(&[0], 1.0, true));
    let (net, scaled) = descend(&((&x - &mean) / &std), &y, 0.1, lesson.seed)?;
    // Of the inputs as they are the largest rate that does not diverge is tiny.
    let (_, raw) = descend(&x, &y, 2e-5, lesson.seed)?;

    let per_unit = (&net.weight / &std).to_vec::<f32>()?;
    lesson.close(
        "thousands for a square metre",
        per_unit[0].into(),
        3.2,
        0.06,
    )?;
    lesson.close("thousands for a year", per_unit[1].into(), -1.5, 0.2)?;
    lesson.close(
        "error left, thousands",
        f64::from(scaled[199]).sqrt(),
        15.0,
        2.0,
    )?;
    lesson.at_least(
        "times the loss without scaling",
        f64::from(raw[199] / scaled[199]),
        1.5,
    )?;

    let steps: Vec<usize> = (1..=200).collect();
    let figure = Figure::new("Squared loss")
        .x("step")
        .y("loss, thousands squared")
        .log_y()
        .line("inputs scaled", &steps, &scaled)
        .line("inputs as they are", &steps, &raw);
    lesson.figure("scaling", "Scaled inputs descend faster", &figure)?;
    let (area, price) = (x.get((.., 0)).to_vec::<f32>()?, y.to_vec::<f32>()?);
    let fitted = net.forward(&((&x - &mean) / &std)).to_vec::<f32>()?;
    let figure = Figure::new("Prices")
        .x("area, m²")
        .y("price, thousands")
        .scatter("sold", &area, &price)
        .scatter("predicted from area and age", &area, &fitted);
    lesson.figure("prices", "Area explains most, age the rest", &figure)
}
