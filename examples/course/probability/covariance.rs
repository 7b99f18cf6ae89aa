//! Uncorrelated does not mean independent. `x` is uniform in [−1, 1], `s` is −1 or 1, and `y = s x`: knowing x says what |y|
//! is, and still `Cov(x, y) = E[x y] = E[s] E[x²] = 0`. Source: Goodfellow, Bengio, Courville, Deep Learning, 3.8.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor};

fn covariance(x: &Tensor, y: &Tensor) -> wgrad::Result<f64> {
    let product = (x - x.mean()) * (y - y.mean());
    Ok(product.mean().item::<f32>()?.into())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let (n, mut rng) = (1_000_000, Generator::new(lesson.seed));
    let x = rng.uniform(&[n], &lesson.device) * 2.0 - 1.0;
    let s = rng.bernoulli(0.5, &[n], &lesson.device).cast(DType::F32) * 2.0 - 1.0;
    let y = &s * &x;
    lesson.close("Cov(x, y)", covariance(&x, &y)?, 0.0, 0.002)?;
    // If they were independent, their squares were uncorrelated, too.
    lesson.close(
        "Cov(x², y²)",
        covariance(&x.square(), &y.square())?,
        4.0 / 45.0,
        0.002,
    )?;
    lesson.close("Cov(x, x)", covariance(&x, &x)?, 1.0 / 3.0, 0.002)?;

    let few = |t: &Tensor| t.narrow(0, 0, 1500).to_vec::<f32>();
    let z = rng.uniform(&[1500], &lesson.device) * 2.0 - 1.0;
    let figure = Figure::new("Covariance 0, twice")
        .x("x")
        .y("y")
        .equal()
        .scatter("independent", &few(&x)?, &z.to_vec::<f32>()?)
        .scatter("y = s x", &few(&x)?, &few(&y)?);
    lesson.figure(
        "pairs",
        "Neither pair is correlated; one is dependent",
        &figure,
    )
}
