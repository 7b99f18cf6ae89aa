//! An echo-state network: a random recurrent network, scaled so that the past fades (largest |eigenvalue| below 1), is left
//! as it is; a linear output reads the next value from its state. Here the Mackey-Glass series, a chaotic one. Source: Jaeger,
//! The "echo state" approach, 2001.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor};

/// `dx/dt = 0.2 x(t−17) / (1 + x(t−17)^10) − 0.1 x`, by steps of 1, mean 0.
fn mackey_glass(n: usize) -> Vec<f32> {
    let mut x = vec![1.2f64; 18];
    while x.len() < n + 1000 {
        let (now, then) = (x[x.len() - 1], x[x.len() - 18]);
        x.push(now + 0.2 * then / (1.0 + then.powi(10)) - 0.1 * now);
    }
    let tail = &x[x.len() - n..];
    let mean = tail.iter().sum::<f64>() / n as f64;
    tail.iter().map(|v| (v - mean) as f32).collect()
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (units, n, wash, train) = (300, 3000, 100, 2000);
    let series = mackey_glass(n + 1);
    let mut rng = Generator::new(lesson.seed);
    let inside = rng.normal(&[units, units], device)
        * rng.bernoulli(0.1, &[units, units], device).cast(DType::F32);
    // The largest eigenvalue, by powers; 0.9 after scaling.
    let mut v = rng.normal(&[units], device);
    let mut growth = Vec::new();
    for _ in 0..200 {
        let next = inside.mv(&v);
        growth.push(next.norm().item::<f32>()?);
        v = (&next / next.norm()).detach()?;
    }
    let radius = growth[100..].iter().map(|g| g.ln()).sum::<f32>() / 100.0;
    let inside = (inside * (0.9 / f64::from(radius.exp()))).detach()?;
    let input = (rng.uniform(&[units], device) - 0.5).detach()?;

    let (mut state, mut states) = (
        Tensor::zeros(&[units], DType::F32, device),
        Vec::with_capacity(n),
    );
    for &x in &series[..n] {
        state = (inside.mv(&state) + &input * f64::from(x))
            .tanh()
            .detach()?;
        states.push(state.clone());
    }
    let states = Tensor::stack(&states.iter().collect::<Vec<_>>(), 0);
    let next = Tensor::new(&series[1..], device).reshape(&[-1, 1]);
    let (h, y) = (states.get(wash..train), next.get(wash..train));
    let ridge = Tensor::eye(units, DType::F32, device) * 1e-4;
    let read = (h.t().matmul(&h) + ridge).solve(&h.t().matmul(&y));
    let said = states.get(train..).matmul(&read);
    let truth = next.get(train..);
    let error = (&said - &truth).square().mean() / truth.square().mean();
    let persists = Tensor::new(&series[train as usize..n], device).reshape(&[-1, 1]);
    let lazy = (&persists - &truth).square().mean() / truth.square().mean();
    lesson.say(format!(
        "error of saying the last value again: {:.4}",
        f64::from(lazy.item::<f32>()?).sqrt()
    ));
    lesson.at_most(
        "relative error on unseen steps",
        f64::from(error.item::<f32>()?).sqrt(),
        0.02,
    )?;

    let steps: Vec<usize> = (0..300).collect();
    let first = |t: &Tensor| t.narrow(0, 0, 300).flatten(0, -1).to_vec::<f32>();
    let figure = Figure::new("Mackey-Glass series, unseen part")
        .x("step")
        .y("x − mean")
        .line("series", &steps, &first(&truth)?)
        .dashed("said one step before", &steps, &first(&said)?);
    lesson.figure("series", "A random network that remembers", &figure)
}
