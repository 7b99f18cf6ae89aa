//! One operation over all elements is faster than a loop over elements: the loop asks for each number, the operation for all
//! of them at once. Source: Zhang et al., Dive into Deep Learning, 3.1.2.

use crate::lesson::{Lesson, Result};
use std::time::Instant;
use wgrad::plot::Figure;
use wgrad::{DType, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let sizes = [10usize, 100, 1000, lesson.pick(5000, 2000)];
    let (mut by_loop, mut by_one) = (Vec::new(), Vec::new());
    for &n in &sizes {
        let a = Tensor::ones(&[n], DType::F32, device);
        let b = Tensor::ones(&[n], DType::F32, device);
        wgrad::eval(&[&a, &b])?;
        let began = Instant::now();
        let mut sums = Vec::with_capacity(n);
        for i in 0..n as isize {
            sums.push((a.get(i) + b.get(i)).item::<f32>()?);
        }
        by_loop.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let together = (&a + &b).to_vec::<f32>()?;
        by_one.push(began.elapsed().as_secs_f64());
        lesson.close(
            &format!("the sums of {n} agree"),
            f64::from(u8::from(sums == together)),
            1.0,
            0.0,
        )?;
    }
    let (last_loop, last_one) = (by_loop[3], by_one[3]);
    lesson.say(format!(
        "{} additions: loop {last_loop:.4} s, one operation {last_one:.6} s",
        sizes[3]
    ));
    lesson.at_least("times as fast", last_loop / last_one, 10.0)?;
    let figure = Figure::new("Adding two vectors")
        .x("elements")
        .y("seconds")
        .log_x()
        .log_y()
        .dotted_line("a loop", &sizes, &by_loop)
        .dotted_line("one operation", &sizes, &by_one);
    lesson.figure("time", "A loop and one operation", &figure)
}
