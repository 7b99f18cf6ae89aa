//! Symbol to symbol: a derivative is a graph of the same operations, so it can be drawn, and differentiated again. Here
//! `y = f(f(f(w)))` with `f = sin`; `y' = cos w · cos f(w) · cos f(f(w))`, in which f(w) and f(f(w)) are computed once.
//! Source: Goodfellow, Bengio, Courville, Deep Learning, 6.5.5 and 6.5.6.

use crate::lesson::{Lesson, Result};
use std::collections::HashMap;
use wgrad::plot::{Figure, Network};
use wgrad::{DType, Tensor, grad, graph_dot};

/// The recorded graph, which `graph_dot` writes in the language of Graphviz.
fn network(result: &Tensor) -> Network {
    let text = graph_dot(&[result]);
    let (mut network, mut numbers) = (Network::directed(), HashMap::new());
    for line in text.lines().map(str::trim) {
        if let Some((id, rest)) = line.split_once(" [shape=") {
            let label = rest
                .split('"')
                .nth(1)
                .and_then(|l| l.split('\\').next())
                .unwrap_or_default();
            numbers.insert(id.to_string(), numbers.len());
            network = network.node(label);
        }
    }
    for line in text.lines().map(str::trim) {
        if let Some((from, to)) = line.trim_end_matches(';').split_once(" -> ") {
            let to = to.split_whitespace().next().unwrap_or_default();
            if let (Some(&from), Some(&to)) = (numbers.get(from), numbers.get(to)) {
                network = network.edge(from, to);
            }
        }
    }
    network
}

pub fn run(lesson: &mut Lesson) -> Result {
    let w0 = 0.7f64;
    let w = Tensor::scalar(w0, DType::F32, &lesson.device);
    let (f1, f2) = (w.sin(), w.sin().sin());
    let y = f2.sin();
    let first = grad(&y, &[&w])?.swap_remove(0);
    let by_hand = w0.cos() * w0.sin().cos() * w0.sin().sin().cos();
    lesson.close("y'", first.item::<f32>()?.into(), by_hand, 1e-6)?;

    let second = grad(&first, &[&w])?.swap_remove(0);
    let slope = |w: f64| w.cos() * w.sin().cos() * w.sin().sin().cos();
    let numerical = (slope(w0 + 1e-5) - slope(w0 - 1e-5)) / 2e-5;
    lesson.close("y''", second.item::<f32>()?.into(), numerical, 1e-5)?;
    let kept = (f1.item::<f32>()?, f2.item::<f32>()?);
    lesson.say(format!("f(w) = {:.4}, f(f(w)) = {:.4}", kept.0, kept.1));

    // Recorded anew: what has a value is drawn as a leaf.
    let w = Tensor::scalar(w0, DType::F32, &lesson.device);
    let y = w.sin().sin().sin();
    lesson.figure(
        "value",
        "y = sin(sin(sin w))",
        &Figure::new("From w to y = sin(sin(sin w))").network(&network(&y)),
    )?;
    let first = grad(&y, &[&w])?.swap_remove(0);
    lesson.figure(
        "derivative",
        "y', as it is recorded",
        &Figure::new("From w to y'").network(&network(&first)),
    )
}
