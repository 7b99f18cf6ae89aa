//! Two ways to reach further back without gates: leaky units, `h ← (1 − α) h + α tanh(…)`, whose gradient falls by 1 −
//! α at each step and not by the Jacobian alone, and connections that skip d steps, through which it passes T/d
//! Jacobians and not T. Source: Goodfellow, Bengio, Courville, Deep Learning, 10.9; Jaeger et al. 2007; Lin et al.
//! 1996.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Context, RecurrentOptions, Rnn};
use wgrad::plot::Figure;
use wgrad::{Generator, grad};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (steps, far) = (50, 40);
    let plain = RecurrentOptions::default();
    let mut rng = Generator::new(lesson.seed);
    let x = rng.normal(&[steps, 8, 4], device).detach()?;
    let rnns = [
        ("plain", Rnn::new(4, 32, &plain, &mut rng, device)),
        (
            "leaky, α = 0.05",
            Rnn::new(4, 32, &plain, &mut rng, device).leak(0.05),
        ),
        (
            "skips of 10 steps",
            Rnn::new(4, 32, &plain.skip(10), &mut rng, device),
        ),
    ];
    let distance: Vec<usize> = (0..steps).collect();
    let mut figure = Figure::new("Gradient by distance")
        .x("steps back from the loss")
        .y("‖∂L/∂x⁽ᵗ⁾‖")
        .log_y();
    let mut lost = Vec::new();
    for (name, rnn) in &rnns {
        let (states, _) = rnn.forward(&x, None, &mut Context::eval());
        let slope = grad(&states.get(-1).sum(), &[&x])?.swap_remove(0);
        let mut norms = slope
            .square()
            .sum_dims(&[1, 2], false)
            .sqrt()
            .to_vec::<f32>()?;
        norms.reverse();
        // How much of the nearest ten steps' gradient is left of the ten around the far one.
        let around = |at: usize| norms[at..at + 10].iter().sum::<f32>();
        lost.push(f64::from(around(far) / around(0)));
        figure = figure.line(name, &distance, &norms);
    }
    lesson.figure("norms", "Leaks and skips carry it further", &figure)?;
    lesson.at_most("plain: left after 40 steps", lost[0], 1e-5)?;
    lesson.at_least("leaky: left after 40 steps", lost[1], 1e-2)?;
    lesson.at_least(
        "skips: left after 40 steps, by the plain one",
        lost[2] / lost[0],
        100.0,
    )
}
