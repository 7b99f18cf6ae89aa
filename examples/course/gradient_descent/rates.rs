//! The learning rate on a valley `f = x²/2 + 10 y²/2`: too low crawls, too high leaps from side to side, above 2/λ (0.2 here)
//! it diverges. Source: Goodfellow, Bengio, Courville, Deep Learning, 4.3.1; Zhang et al., Dive into Deep Learning, 12.3.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Surface};
use wgrad::{Tensor, grad};

pub fn run(lesson: &mut Lesson) -> Result {
    let stretch = Tensor::new(&[1.0f32, 10.0], &lesson.device);
    let loss = |p: &Tensor| (p.square() * &stretch).sum() * 0.5;
    let valley = Surface::of((-6.0, 6.0), (-2.5, 2.5), 81, 61, |x, y| {
        0.5 * x * x + 5.0 * y * y
    });
    let mut paths = Figure::new("Paths in a valley")
        .x("x")
        .y("y")
        .contour(&valley, 16)
        .x_range(-6.0, 6.0)
        .y_range(-2.5, 2.5);
    let mut losses = Figure::new("Loss by step").x("step").y("loss").log_y();
    let steps: Vec<usize> = (0..=40).collect();
    let mut last = Vec::new();
    for (name, rate) in [
        ("too low, 0.01", 0.01),
        ("good, 0.15", 0.15),
        ("at the edge, 0.195", 0.195),
        ("too high, 0.21", 0.21),
    ] {
        let mut p = Tensor::new(&[-5.0f32, 2.0], &lesson.device);
        let (mut xs, mut ys, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..=40 {
            let place = p.to_vec::<f32>()?;
            xs.push(place[0]);
            ys.push(place[1]);
            let now = loss(&p);
            values.push(now.item::<f32>()?);
            p = (&p - &grad(&now, &[&p])?[0] * rate).detach()?;
        }
        last.push(f64::from(values[40]));
        losses = losses.line(name, &steps, &values);
        if rate < 0.2 {
            paths = paths.line(name, &xs, &ys);
        }
    }
    lesson.at_least("too low: loss left after 40 steps", last[0], 1.0)?;
    lesson.at_most("good", last[1], 1e-3)?;
    lesson.at_least("too high: grows above the beginning's 32.5", last[3], 32.5)?;
    lesson.figure("paths", "Low crawls, high leaps", &paths)?;
    lesson.figure("losses", "Four rates", &losses)
}
