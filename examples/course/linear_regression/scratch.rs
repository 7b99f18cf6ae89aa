//! Linear regression with tensors and `grad` alone: data `y = X w + b + noise` with w = (2, −3.4) and b = 4.2, minibatch
//! stochastic gradient descent on the squared loss: `w ← w − η/|B| Σ ∂l/∂w`. Source: Zhang et al., Dive into Deep Learning, 3.4.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor, eval, grad};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let (n, batch, rate, epochs) = (1000, 10, 0.03, 5);
    let x = rng.normal(&[n, 2], device);
    let noise = rng.normal(&[n, 1], device) * 0.01;
    let truth = Tensor::from_slice(&[2.0f32, -3.4], &[2, 1], device);
    let y = x.matmul(&truth) + 4.2 + noise;
    eval(&[&x, &y])?;

    let mut w = rng.normal(&[2, 1], device) * 0.01;
    let mut b = Tensor::scalar(0.0, DType::F32, device);
    let mut losses = Vec::new();
    for _ in 0..epochs {
        let order = rng.permutation(n, device);
        for at in (0..n).step_by(batch) {
            let some = order.narrow(0, at, batch);
            let (x, y) = (x.index_select(0, &some), y.index_select(0, &some));
            let error = x.matmul(&w) + &b - y;
            let loss = (error.square() * 0.5).mean();
            let g = grad(&loss, &[&w, &b])?;
            w = &w - &g[0] * rate;
            b = &b - &g[1] * rate;
            eval(&[&w, &b, &loss])?; // computes the step; what follows begins from numbers
            (w, b) = (w.detach()?, b.detach()?);
            losses.push(loss.item::<f32>()?);
        }
    }
    let found = w.to_vec::<f32>()?;
    lesson.close("w₁", found[0].into(), 2.0, 1e-2)?;
    lesson.close("w₂", found[1].into(), -3.4, 1e-2)?;
    lesson.close("b", b.item::<f32>()?.into(), 4.2, 1e-2)?;
    let steps: Vec<usize> = (1..=losses.len()).collect();
    let figure = Figure::new("Squared loss")
        .x("step")
        .y("loss")
        .log_y()
        .smoothed("minibatches of 10", &steps, &losses, 0.9);
    lesson.figure("loss", "Minibatch stochastic gradient descent", &figure)
}
