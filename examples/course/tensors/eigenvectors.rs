//! An eigenvector is only stretched by a matrix: `A v = λ v`. A symmetric matrix has as many as dimensions, at right angles,
//! and is made of them: `A = Q Λ Qᵀ`. Here `A = [[2, 1], [1, 2]]`, with λ = 1 and 3. Source: Goodfellow, Bengio, Courville,
//! Deep Learning, 2.7 and figure 2.3.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{Tensor, Triangle};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let a = Tensor::from_slice(&[2.0f32, 1.0, 1.0, 2.0], &[2, 2], device);
    let (values, q) = a.eigh(Triangle::Lower);
    lesson.say(format!(
        "eigenvalues\n{values}\neigenvectors, in columns\n{q}"
    ));
    lesson.close(
        "first eigenvalue",
        values.get(0).item::<f32>()?.into(),
        1.0,
        1e-5,
    )?;
    lesson.close(
        "second eigenvalue",
        values.get(1).item::<f32>()?.into(),
        3.0,
        1e-5,
    )?;
    for (at, sign) in [(0, -1.0), (1, 1.0)] {
        let v = q.get((.., at)).to_vec::<f32>()?;
        lesson.close(
            "the vector's second by its first entry",
            f64::from(v[1] / v[0]),
            sign,
            1e-5,
        )?;
    }
    let again = q.matmul(&values.diag(0)).matmul(&q.t());
    lesson.say(format!("Q Λ Qᵀ\n{again}"));
    lesson.at_most(
        "‖Q Λ Qᵀ − A‖",
        (&again - &a).norm().item::<f32>()?.into(),
        1e-5,
    )?;

    let turn = Tensor::linspace(0.0, std::f64::consts::TAU, 200, device);
    let circle = Tensor::stack(&[&turn.cos(), &turn.sin()], 0);
    let ellipse = a.matmul(&circle);
    let row = |t: &Tensor, r: isize| t.get(r).to_vec::<f32>();
    let ends = [&q, &a.matmul(&q)].map(|m| m.to_vec::<f32>());
    let mut figure = Figure::new("The unit circle and its image")
        .x("x₁")
        .y("x₂")
        .equal()
        .line("unit vectors v", &row(&circle, 0)?, &row(&circle, 1)?)
        .line("A v", &row(&ellipse, 0)?, &row(&ellipse, 1)?);
    let [before, after] = ends;
    let (before, after) = (before?, after?);
    for at in 0..2 {
        let name = format!("eigenvector, λ = {}", 1 + 2 * at);
        let (x, y) = (
            [0.0, before[at], after[at]],
            [0.0, before[2 + at], after[2 + at]],
        );
        figure = figure.dotted_line(&name, &x, &y);
    }
    lesson.figure("stretched", "Eigenvectors keep their direction", &figure)
}
