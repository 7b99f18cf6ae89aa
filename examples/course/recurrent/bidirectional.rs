//! A bidirectional network runs once forward and once backward and sees both pasts at every step: `o⁽ᵗ⁾ = V [h⁽ᵗ⁾, g⁽ᵗ⁾]`. The
//! answer here is the majority of a bit and its two neighbours; who has not seen the next one must guess where the others
//! differ, and is right in three of four. Source: Schuster and Paliwal 1997; Goodfellow et al., Deep Learning, 10.3.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, RecurrentOptions, Rnn, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

#[derive(Module)]
struct Net {
    rnn: Rnn,
    out: Linear,
}

impl Net {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        self.out.forward(&self.rnn.forward(x, None, cx).0)
    }
}

/// Bits `[time, batch, 1]`, and for all but the first and last whether most of it and its neighbours are ones.
fn task(rng: &mut Generator, device: &Device) -> (Tensor, Tensor) {
    let time = 12;
    let x = rng.bernoulli(0.5, &[time, 64, 1], device).cast(DType::F32);
    let part = |from: usize| x.narrow(0, from, time - 2);
    let y = (part(0) + part(1) + part(2))
        .gt_scalar(1.5)
        .cast(DType::F32);
    (x, y)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut figure = Figure::new("The majority of three bits")
        .x("step of training")
        .y("cross-entropy, nats");
    for both in [false, true] {
        let mut rng = Generator::new(lesson.seed);
        let options = RecurrentOptions::default().bidirectional(both);
        let (hidden, directions) = (24, 1 + usize::from(both));
        let net = Net {
            rnn: Rnn::new(1, hidden, &options, &mut rng, device),
            out: Linear::new(hidden * directions, 1, &mut rng, device),
        };
        let mut state = (net, Adam::new(0.01), Context::train(lesson.seed));
        let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), _: &[Tensor]| {
            let device = net.out.weight.device().clone();
            let (x, y) = task(&mut cx.rng, &device);
            let logits = net.forward(&x, cx).narrow(0, 1, x.size(0) - 2);
            let loss = logits.binary_cross_entropy_with_logits(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            cx.next_step();
            Ok(loss)
        });
        let mut losses = Vec::new();
        for _ in 0..lesson.pick(500, 250) {
            losses.push(step.call(&mut state, &[])?.item::<f32>()?);
        }
        let (x, y) = task(&mut rng, device);
        let said = state
            .0
            .forward(&x, &mut Context::eval())
            .narrow(0, 1, x.size(0) - 2)
            .gt_scalar(0.0);
        let right = said
            .cast(DType::F32)
            .eq(&y)
            .cast(DType::F32)
            .mean()
            .item::<f32>()?;
        match both {
            true => lesson.at_least(
                "both directions: right answers",
                right.into(),
                lesson.pick(0.98, 0.9),
            )?,
            false => lesson.close("forward alone: right answers", right.into(), 0.75, 0.06)?,
        }
        let at: Vec<usize> = (1..=losses.len()).collect();
        figure = figure.line(
            if both {
                "both directions"
            } else {
                "forward alone"
            },
            &at,
            &losses,
        );
    }
    lesson.figure("losses", "What comes later counts, too", &figure)
}
