//! Vanishing and exploding gradients: `∂h⁽ᵀ⁾/∂h⁽ᵗ⁾` is a product of T − t Jacobians, so its length goes as λᵀ⁻ᵗ with
//! the size λ of W. A squashing function only makes it smaller. What explodes is clipped, `g ← g · c/‖g‖` if `‖g‖ > c`;
//! what vanishes needs another network. Source: Pascanu, Mikolov, Bengio, On the Difficulty of Training Recurrent
//! Neural Networks, 2013; Goodfellow et al., 10.7, 10.11.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Context, Linear, RecurrentOptions, Rnn, Sgd, gradients, init};
use wgrad::plot::Figure;
use wgrad::{Device, Generator, Module, Optimizer, Tensor, grad};

const STEPS: usize = 40;

/// `‖∂L/∂h⁽ᵗ⁾‖` by the distance from the end, for W orthogonal times `scale`.
fn norms(
    scale: f64,
    squash: bool,
    rng: &mut Generator,
    device: &Device,
) -> wgrad::Result<Vec<f32>> {
    let w = init::orthogonal(&[16, 16], scale, rng, device);
    let mut states = vec![rng.normal(&[1, 16], device) * 0.1];
    for t in 0..STEPS {
        let sum = states[t].matmul(&w) + rng.normal(&[1, 16], device) * 0.1;
        states.push(if squash { sum.tanh() } else { sum });
    }
    let loss = states[STEPS].sum();
    let all: Vec<&Tensor> = states.iter().rev().collect();
    grad(&loss, &all)?
        .iter()
        .map(|g| g.norm().item::<f32>())
        .collect()
}

#[derive(Module)]
struct Net {
    rnn: Rnn,
    out: Linear,
}

/// The losses of descent on a sum over 30 steps, with recurrent weights that are too large.
fn descend(clip: Option<f64>, lesson: &Lesson) -> wgrad::Result<(Vec<f32>, f32)> {
    let (device, mut rng) = (&lesson.device, Generator::new(lesson.seed + 1));
    let mut net = Net {
        rnn: Rnn::new(1, 16, &RecurrentOptions::default(), &mut rng, device),
        out: Linear::new(16, 1, &mut rng, device),
    };
    net.visit_mut("", &mut |name, _, tensor| {
        if name.ends_with("weight_hh_l0") {
            *tensor = init::orthogonal(&[16, 16], 1.5, &mut rng, device);
        }
    });
    let mut sgd = Sgd::new(0.2);
    let (mut losses, mut longest) = (Vec::new(), 0.0f32);
    for _ in 0..lesson.pick(300, 100) {
        let x = rng.uniform(&[30, 32, 1], device);
        let (states, _) = net.rnn.forward(&x, None, &mut Context::eval());
        let loss = (net.out.forward(&states.get(-1)) - x.mean_dims(&[0], false))
            .square()
            .mean();
        let gradients = gradients(&loss, &net)?;
        let (norm, gradients) = match clip {
            Some(most) => {
                let clipped = gradients.clip_norm(most);
                (clipped.global_norm(), clipped)
            }
            None => (gradients.global_norm(), gradients),
        };
        let gradients = gradients.also(&norm);
        sgd.step(&mut net, &gradients)?;
        longest = longest.max(norm.item::<f32>()?);
        losses.push(loss.item::<f32>()?);
    }
    Ok((losses, longest))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let distance: Vec<usize> = (0..=STEPS).collect();
    let mut figure = Figure::new("Gradient by distance")
        .x("steps back from the loss")
        .y("‖∂L/∂h⁽ᵗ⁾‖")
        .log_y();
    for (scale, squash) in [(0.7, false), (1.0, false), (1.3, false), (1.0, true)] {
        let norms = norms(scale, squash, &mut rng, device)?;
        let each = f64::from(norms[STEPS] / norms[0]).powf(1.0 / STEPS as f64);
        let name = format!("λ = {scale}{}", if squash { ", tanh" } else { "" });
        match squash {
            false => lesson.close(&format!("{name}: factor of each step"), each, scale, 1e-3)?,
            true => lesson.at_most(&format!("{name}: factor of each step"), each, 0.999)?,
        }
        figure = figure.line(&name, &distance, &norms);
    }
    lesson.figure("norms", "It vanishes or explodes", &figure)?;

    let (free, longest) = descend(None, lesson)?;
    let (clipped, most) = descend(Some(0.5), lesson)?;
    lesson.at_least("longest gradient without clipping", longest.into(), 5.0)?;
    lesson.at_most("longest with it", most.into(), 0.5001)?;
    let end = |l: &[f32]| f64::from(l[l.len() - 20..].iter().sum::<f32>()) / 20.0;
    lesson.at_most(
        "loss at the end, clipped",
        end(&clipped),
        lesson.pick(0.05, 0.3),
    )?;
    lesson.say(format!("without clipping: {:.4}", end(&free)));
    let at: Vec<usize> = (1..=free.len()).collect();
    let figure = Figure::new("Descent with recurrent weights of 1.5")
        .x("step")
        .y("squared error")
        .log_y()
        .line("as it is", &at, &free)
        .line("clipped to length ½", &at, &clipped);
    lesson.figure("clipping", "Clipping keeps it on the road", &figure)
}
