//! Norms measure length, the scalar product angles. Formulas: `‖x‖₂ = √Σ x²`, `‖x‖₁ = Σ |x|`, `‖x‖∞ = max |x|`,
//! `cos ∠(x, y) = x·y / (‖x‖ ‖y‖)`. Source: Goodfellow, Bengio, Courville, Deep Learning, 2.5.

use crate::lesson::{Lesson, Result};
use wgrad::Tensor;
use wgrad::plot::Figure;

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let u = Tensor::new(&[3.0f32, -4.0], device);
    lesson.close("‖(3, −4)‖₂", u.norm().item::<f32>()?.into(), 5.0, 1e-6)?;
    lesson.close("‖(3, −4)‖₁", u.abs().sum().item::<f32>()?.into(), 7.0, 1e-6)?;
    lesson.close(
        "‖(3, −4)‖∞",
        u.abs().amax().item::<f32>()?.into(),
        4.0,
        1e-6,
    )?;

    let angle = |x: &Tensor, y: &Tensor| -> wgrad::Result<f64> {
        let cosine = x.dot(y) / (x.norm() * y.norm());
        Ok(cosine.acos().rad2deg().item::<f32>()?.into())
    };
    let (e1, e2) = (
        Tensor::new(&[1.0f32, 0.0], device),
        Tensor::new(&[0.0f32, 2.0], device),
    );
    let diagonal = Tensor::new(&[1.0f32, 1.0], device);
    lesson.close(
        "angle of (1, 0) and (0, 2), degrees",
        angle(&e1, &e2)?,
        90.0,
        1e-3,
    )?;
    lesson.close(
        "angle of (1, 0) and (1, 1), degrees",
        angle(&e1, &diagonal)?,
        45.0,
        1e-3,
    )?;

    // All points of length 1: a circle for order 2, a diamond for 1, nearly a square for 20.
    let figure = Figure::new("Points of length 1").x("x₁").y("x₂").equal();
    let turn = Tensor::linspace(0.0, std::f64::consts::TAU, 400, device);
    let (c, s) = (turn.cos(), turn.sin());
    let mut drawn = figure;
    for order in [1.0, 2.0, 4.0, 20.0] {
        let length = (c.abs().powf(order) + s.abs().powf(order)).powf(1.0 / order);
        let (x, y) = (
            (&c / &length).to_vec::<f32>()?,
            (&s / &length).to_vec::<f32>()?,
        );
        drawn = drawn.line(&format!("order {order}"), &x, &y);
    }
    lesson.figure("balls", "Where norms of several orders are 1", &drawn)
}
