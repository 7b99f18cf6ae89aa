//! Unfolding: `s⁽ᵗ⁾ = f(s⁽ᵗ⁻¹⁾, x⁽ᵗ⁾; W)` written out for all steps is an ordinary graph in which every step holds a
//! copy of the same W. Its gradient is therefore the sum of the gradients of the copies: back-propagation through time.
//! Source: Goodfellow, Bengio, Courville, Deep Learning, 10.1 and 10.2.2.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Network};
use wgrad::{DType, Generator, Tensor, grad};

/// The loss of states that pass through `copies`, one for each step.
fn loss(copies: &[&Tensor], x: &Tensor) -> Tensor {
    let mut s = Tensor::zeros(&[1, 4], DType::F32, x.device());
    for (t, w) in copies.iter().enumerate() {
        s = (s.matmul(w) + x.get(t as isize)).tanh();
    }
    s.square().sum()
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let steps = 6;
    let w = (rng.normal(&[4, 4], device) * 0.6).detach()?;
    let x = rng.normal(&[steps, 1, 4], device).detach()?;

    // One matrix, used at every step.
    let shared = grad(&loss(&vec![&w; steps], &x), &[&w])?.swap_remove(0);
    // As many copies as steps.
    let copies: Vec<Tensor> = (0..steps).map(|_| &w * 1.0).collect();
    let each: Vec<&Tensor> = copies.iter().collect();
    let parts = grad(&loss(&each, &x), &each)?;
    let mut sum = parts[0].clone();
    for part in &parts[1..] {
        sum = sum + part;
    }
    let off = (&shared - &sum).abs().amax().item::<f32>()?;
    lesson.at_most(
        "gradient of the shared W less the sum over its copies",
        off.into(),
        1e-5,
    )?;

    let lengths = parts
        .iter()
        .map(|p| p.norm().item::<f32>())
        .collect::<wgrad::Result<Vec<f32>>>()?;
    let at: Vec<usize> = (1..=steps).collect();
    let figure = Figure::new("What each step adds to the gradient")
        .x("step t")
        .y("‖∂L/∂W⁽ᵗ⁾‖")
        .dotted_line("of the copy", &at, &lengths);
    lesson.figure("parts", "The gradient of each copy of W", &figure)?;

    // Nodes 0..=steps are states, then inputs, then the loss.
    let mut graph = Network::directed();
    for t in 0..=steps {
        graph = graph.node(format!("s{t}"));
    }
    for t in 1..=steps {
        graph = graph.node_in(format!("x{t}"), 1);
    }
    graph = graph.node_in("L", 2);
    for t in 1..=steps {
        graph = graph.edge(t - 1, t).edge(steps + t, t);
    }
    let figure = Figure::new("The recurrence unfolded").network(&graph.edge(steps, 2 * steps + 1));
    lesson.figure("graph", "A loop becomes a chain", &figure)
}
