//! Squared error on a sigmoid saturates: where the unit is wrong and sure of it, its gradient is nearly 0. Cross-entropy's
//! logarithm undoes the exponential: its gradient is `σ(z) − y`. The same for softmax. Source: Goodfellow, Bengio,
//! Courville, Deep Learning, 6.2.2.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Reduction, Tensor, grad};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    // A unit that should say 1, for logits from sure and wrong to sure and right.
    let z = Tensor::linspace(-10.0, 10.0, 201, device);
    let y = z.ones_like();
    let squared = (z.sigmoid() - &y).square();
    let entropy = z.binary_cross_entropy_with_logits(&y, Reduction::None);
    let slope =
        |loss: &Tensor| -> wgrad::Result<Vec<f32>> { grad(&loss.sum(), &[&z])?[0].to_vec::<f32>() };
    let (squared_slope, entropy_slope) = (slope(&squared)?, slope(&entropy)?);
    lesson.at_most(
        "squared error's slope at −10",
        f64::from(squared_slope[0].abs()),
        1e-4,
    )?;
    lesson.close(
        "cross-entropy's slope at −10",
        entropy_slope[0].into(),
        -1.0,
        1e-4,
    )?;
    lesson.at_most(
        "cross-entropy's slope at 10",
        f64::from(entropy_slope[200].abs()),
        1e-4,
    )?;

    // Softmax over three classes, the first of them right; its logit runs.
    let rest = Tensor::zeros(&[201, 2], DType::F32, device);
    let logits = Tensor::cat(&[&z.reshape(&[201, 1]), &rest], 1);
    let right = Tensor::zeros(&[201], DType::I32, device);
    let soft = (logits.softmax(1) - right.one_hot(3).cast(DType::F32))
        .square()
        .sum();
    let nats = logits.cross_entropy(&right, Reduction::Sum);
    let by_first = |loss: &Tensor| -> wgrad::Result<Vec<f32>> {
        grad(loss, &[&logits])?[0].get((.., 0)).to_vec::<f32>()
    };
    let (soft_slope, nats_slope) = (by_first(&soft)?, by_first(&nats)?);
    lesson.at_most(
        "squared error of softmax, slope at −10",
        f64::from(soft_slope[0].abs()),
        1e-3,
    )?;
    lesson.close(
        "cross-entropy of softmax, slope at −10",
        nats_slope[0].into(),
        -1.0,
        1e-3,
    )?;

    let x = z.to_vec::<f32>()?;
    let losses = Figure::new("Loss of a sigmoid unit")
        .x("logit z, right is 1")
        .y("loss")
        .size(420, 340)
        .line("squared error", &x, &squared.to_vec::<f32>()?)
        .line("cross-entropy", &x, &entropy.to_vec::<f32>()?);
    let slopes = |title: &str, a: &[f32], b: &[f32]| {
        Figure::new(title)
            .x("logit z")
            .y("∂ loss / ∂z")
            .size(420, 340)
            .line("squared error", &x, a)
            .line("cross-entropy", &x, b)
    };
    let all = Grid::new(2)
        .figure(losses)
        .figure(slopes("Gradient, sigmoid", &squared_slope, &entropy_slope))
        .figure(slopes("Gradient, softmax", &soft_slope, &nats_slope));
    lesson.grid("curves", "Sure and wrong: only cross-entropy pulls", &all)
}
