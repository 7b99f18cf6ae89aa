//! Teacher forcing and free running. In training the network sees the true past, `o⁽ᵗ⁾ = f(y⁽ᵗ⁻¹⁾)`; when it runs
//! freely it sees its own, `o⁽ᵗ⁾ = f(o⁽ᵗ⁻¹⁾)`, and errors feed on themselves. Training some of the steps on its own
//! outputs closes the gap. Source: Goodfellow, Bengio, Courville, Deep Learning, 10.2.1; Bengio et al., Scheduled
//! Sampling, 2015.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, GruCell, Linear, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{Device, Generator, Module, Optimizer, Tensor};

#[derive(Module)]
struct Net {
    cell: GruCell,
    out: Linear,
}

impl Net {
    /// Predictions of `y[:, 1..]`; from step `free` on it sees its own ones.
    fn forward(&self, y: &Tensor, free: usize) -> Tensor {
        let (mut h, mut said) = (None, Vec::new());
        for t in 0..y.size(1) - 1 {
            let seen = match said.last() {
                Some(own) if t >= free => Tensor::clone(own),
                _ => y.narrow(1, t, 1),
            };
            let next = self.cell.forward(&seen, h.as_ref());
            said.push(seen + self.out.forward(&next));
            h = Some(next);
        }
        Tensor::cat(&said.iter().collect::<Vec<_>>(), 1)
    }
}

/// Sums of two sines with phases of their own, `[batch, time]`.
fn waves(batch: usize, time: usize, rng: &mut Generator, device: &Device) -> Tensor {
    let t = Tensor::arange(time, device)
        .cast(wgrad::DType::F32)
        .unsqueeze(0);
    let mut phase = || rng.uniform(&[batch, 1], device) * std::f64::consts::TAU;
    let slow = (&t * 0.31 + phase()).sin();
    slow + (&t * 0.73 + phase()).sin() * 0.5
}

/// Trains with `seen` true steps and then `free` own ones.
fn train(state: &mut (Net, Adam, Context), (seen, free): (usize, usize), steps: usize) -> Result {
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), _: &[Tensor]| {
        let device = net.out.weight.device().clone();
        let y = waves(64, seen + free, &mut cx.rng, &device);
        let loss = (net.forward(&y, seen) - y.narrow(1, 1, seen + free - 1))
            .square()
            .mean();
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    for _ in 0..steps {
        step.call(state, &[])?;
    }
    Ok(())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let net = Net {
        cell: GruCell::new(1, 32, true, &mut rng, device),
        out: Linear::new(32, 1, &mut rng, device),
    };
    let mut state = (net, Adam::new(0.005), Context::train(lesson.seed));
    let (seen, all) = (20, 80);
    let test = waves(200, all, &mut rng, device).detach()?;
    let errors = |net: &Net, free: usize| -> wgrad::Result<Vec<f32>> {
        let off = net.forward(&test, free) - test.narrow(1, 1, all - 1);
        off.square().mean_dims(&[0], false).sqrt().to_vec::<f32>()
    };
    let mean = |list: &[f32]| f64::from(list[seen..].iter().sum::<f32>()) / (all - 1 - seen) as f64;

    train(&mut state, (30, 0), lesson.pick(500, 150))?;
    let forced = errors(&state.0, all)?;
    let before = errors(&state.0, seen)?;
    train(&mut state, (seen, 30), lesson.pick(800, 80))?;
    let after = errors(&state.0, seen)?;
    lesson.at_most(
        "forced: error of the next value",
        mean(&forced),
        lesson.pick(0.05, 0.1),
    )?;
    lesson.at_least(
        "running freely, times the forced error",
        mean(&before) / mean(&forced),
        3.0,
    )?;
    lesson.at_most(
        "after training on its own outputs, by before",
        mean(&after) / mean(&before),
        lesson.pick(0.8, 0.9),
    )?;

    let at: Vec<usize> = (1..all).collect();
    let figure = Figure::new("Errors feed on themselves")
        .x("step")
        .y("root of the mean squared error")
        .log_y()
        .vertical("free from here", seen as f64)
        .line("teacher forcing", &at, &forced)
        .line("the same, free", &at, &before)
        .line("trained free, free", &at, &after);
    lesson.figure("errors", "Forced and free", &figure)?;
    let truth = test.get(0).to_vec::<f32>()?;
    let free = state.0.forward(&test.get(0..1), seen).to_vec::<f32>()?;
    let figure = Figure::new("A wave that goes on by itself")
        .x("step")
        .y("value")
        .vertical("free from here", seen as f64)
        .line("truth", &at, &truth[1..])
        .dashed("network", &at, &free);
    lesson.figure("wave", "Going on freely", &figure)
}
