//! Three equations with three unknowns: x+3y−2z = 5, 3x+5y+6z = 7, 2x+4y+3z = 8. In matrices `A x = b`, solved by
//! elimination; a determinant other than 0 says that there is exactly one solution. Source: Goodfellow, Bengio, Courville,
//! Deep Learning, 2.3.

use crate::lesson::{Lesson, Result};
use wgrad::Tensor;
use wgrad::plot::Figure;

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let a = Tensor::from_slice(
        &[1.0f32, 3.0, -2.0, 3.0, 5.0, 6.0, 2.0, 4.0, 3.0],
        &[3, 3],
        device,
    );
    let b = Tensor::new(&[5.0f32, 7.0, 8.0], device);
    lesson.close("det A", a.det().item::<f32>()?.into(), -4.0, 1e-4)?;
    let x = a.solve(&b);
    lesson.say(format!("x = A⁻¹ b\n{x}"));
    for (name, got, want) in [("x", 0, -15.0), ("y", 1, 8.0), ("z", 2, 2.0)] {
        lesson.close(name, x.get(got).item::<f32>()?.into(), want, 1e-3)?;
    }
    let left = (a.mv(&x) - &b).norm();
    lesson.at_most("‖A x − b‖", left.item::<f32>()?.into(), 1e-4)?;

    // The first two planes cut each other in a line; on it, only one point lies on the third.
    let z: Vec<f32> = (0..=40).map(|i| i as f32 / 10.0).collect();
    let z_there = Tensor::new(&z, device);
    let pair = a.get((..2, ..2));
    let right = Tensor::stack(&[&(&z_there * 2.0 + 5.0), &(&z_there * -6.0 + 7.0)], 0);
    let xy = pair.solve(&right);
    let third = xy.get(0) * 2.0 + xy.get(1) * 4.0 + &z_there * 3.0;
    let figure = Figure::new("Along the line of the first two planes")
        .x("z")
        .y("2x + 4y + 3z")
        .line("on the line", &z, &third.to_vec::<f32>()?)
        .horizontal("the third plane: 8", 8.0)
        .vertical("z = 2", 2.0);
    lesson.figure("planes", "The third plane is met once", &figure)
}
