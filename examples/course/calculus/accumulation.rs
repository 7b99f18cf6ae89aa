//! Two orders of the chain rule for `f(x₁, x₂) = sin x₁ + x₁ x₂`. Forward accumulation carries the derivative by one input
//! along with the values, once for each input; backward accumulation carries the derivative of one output back, once for all
//! inputs. Source: Baydin, Pearlmutter, Radul, Siskind, Automatic Differentiation in Machine Learning: a Survey, 2018.

use crate::lesson::{Lesson, Result};
use std::time::Instant;
use wgrad::plot::Figure;
use wgrad::{Device, Generator, Tensor, grad, jvp};

fn f(x: &Tensor) -> Tensor {
    x.get(0).sin() + x.get(0) * x.get(1)
}

/// A chain of `n` inputs to one output.
fn wide(n: usize, device: &Device) -> (Tensor, Tensor) {
    let x = Generator::new(1).normal(&[n], device);
    (x.clone(), x.tanh().cumsum(0).square().mean())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (x1, x2) = (2.0f32, 5.0f32);
    let x = Tensor::new(&[x1, x2], device);
    let y = f(&x);
    let backward = grad(&y, &[&x])?[0].to_vec::<f32>()?;
    let by_hand = [x1.cos() + x2, x1];
    for at in 0..2 {
        let mut direction = [0.0f32; 2];
        direction[at] = 1.0;
        let forward = jvp(&y, &[&x], &[&Tensor::new(&direction, device)])?.item::<f32>()?;
        let name = format!("∂f/∂x{}", at + 1);
        lesson.close(
            &format!("{name}, forward"),
            forward.into(),
            by_hand[at].into(),
            1e-5,
        )?;
        lesson.close(
            &format!("{name}, backward"),
            backward[at].into(),
            by_hand[at].into(),
            1e-5,
        )?;
    }

    // All derivatives of one output by n inputs: n sweeps forward, or one backward.
    let sizes = lesson.pick(vec![1usize, 4, 16, 64, 256], vec![1usize, 4, 16, 64]);
    let mut seconds = [Vec::new(), Vec::new()];
    for &n in &sizes {
        let (x, y) = wide(n, device);
        let began = Instant::now();
        let back = grad(&y, &[&x])?[0].to_vec::<f32>()?;
        seconds[1].push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let mut off = 0.0f32;
        for at in 0..n {
            let direction: Vec<f32> = (0..n).map(|i| f32::from(u8::from(i == at))).collect();
            let one = jvp(&y, &[&x], &[&Tensor::new(&direction, device)])?.item::<f32>()?;
            off = off.max((one - back[at]).abs());
        }
        seconds[0].push(began.elapsed().as_secs_f64());
        lesson.at_most(
            &format!("difference of both for {n} inputs"),
            off.into(),
            1e-4,
        )?;
    }
    let figure = Figure::new("All derivatives of one output")
        .x("inputs")
        .y("seconds")
        .log_x()
        .log_y()
        .dotted_line("forward", &sizes, &seconds[0])
        .dotted_line("backward", &sizes, &seconds[1]);
    lesson.figure("time", "Why networks are differentiated backward", &figure)
}
