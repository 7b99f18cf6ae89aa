//! Variants of the LSTM on the adding problem: of a row of numbers the two marked ones are to be added; who always says
//! 1 errs by 1/6. Peepholes let gates see the cell, coupled gates forget as much as they take in, `f = 1 − i`, and the
//! GRU has one gate for both and no cell of its own: `h ← (1 − z) n + z h`. Source: Gers and Schmidhuber 2000; Greff et
//! al. 2015; Cho et al. 2014.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Gru, Linear, Lstm, RecurrentOptions, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

#[derive(Module)]
enum Layer {
    Lstm(Lstm),
    Gru(Gru),
}

#[derive(Module)]
struct Net {
    layer: Layer,
    out: Linear,
}

impl Net {
    /// `[time, batch, 2]` to `[batch, 1]`.
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let states = match &self.layer {
            Layer::Lstm(lstm) => lstm.forward(x, None, cx).0,
            Layer::Gru(gru) => gru.forward(x, None, cx).0,
        };
        self.out.forward(&states.get(-1))
    }
}

/// Numbers with marks, one in each half `[time, batch, 2]`, and sums `[batch, 1]`.
fn task(time: usize, rng: &mut Generator, device: &Device) -> (Tensor, Tensor) {
    let (batch, half) = (64, time / 2);
    let numbers = rng.uniform(&[batch, time], device);
    let mut mark = || {
        rng.integers(0, half as i32, &[batch], device)
            .one_hot(half)
            .cast(DType::F32)
    };
    let marks = Tensor::cat(&[&mark(), &mark()], 1);
    let y = (&numbers * &marks).sum_dims(&[1], true);
    (Tensor::stack(&[&numbers, &marks], 2).transpose(0, 1), y)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (time, steps) = lesson.pick((20, 1200), (8, 300));
    let options = RecurrentOptions::default();
    let mut figure = Figure::new(format!("Adding two of {time} numbers"))
        .x("step")
        .y("squared error")
        .log_y();
    for (name, options) in [
        ("LSTM", Some(options)),
        ("with peepholes", Some(options.peepholes(true))),
        ("with coupled gates", Some(options.coupled_gates(true))),
        ("GRU", None),
    ] {
        let mut rng = Generator::new(lesson.seed);
        let layer = match options {
            Some(options) => Layer::Lstm(Lstm::new(2, 32, &options, &mut rng, device)),
            None => Layer::Gru(Gru::new(
                2,
                32,
                &RecurrentOptions::default(),
                &mut rng,
                device,
            )),
        };
        let net = Net {
            layer,
            out: Linear::new(32, 1, &mut rng, device),
        };
        lesson.say(format!("{name}: {} parameters", net.num_parameters()));
        let mut state = (net, Adam::new(0.01), Context::train(lesson.seed));
        let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), _: &[Tensor]| {
            let device = net.out.weight.device().clone();
            let (x, y) = task(time, &mut cx.rng, &device);
            let loss = net.forward(&x, cx).mse_loss(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?.clip_norm(1.0);
            adam.step(net, &gradients)?;
            cx.next_step();
            Ok(loss)
        });
        let mut losses = Vec::new();
        for _ in 0..steps {
            losses.push(step.call(&mut state, &[])?.item::<f32>()?);
        }
        let end = losses[steps - 50..].iter().sum::<f32>() / 50.0;
        lesson.at_most(
            &format!("{name}: squared error"),
            end.into(),
            lesson.pick(0.01, 0.08),
        )?;
        let at: Vec<usize> = (1..=steps).collect();
        figure = figure.smoothed(name, &at, &losses, 0.9);
    }
    lesson.figure(
        "losses",
        "All of them solve it",
        &figure.horizontal("always 1", 1.0 / 6.0),
    )
}
