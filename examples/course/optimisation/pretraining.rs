//! Greedy layer-wise pretraining: each layer first learns, alone and without labels, to reproduce the layer below through noise
//! (a denoising autoencoder); then the whole is trained with labels. Deep networks of sigmoids, which did not train
//! otherwise, began this way. Sources: Hinton, Osindero, Teh 2006; Vincent et al. 2010; Goodfellow, Bengio, Courville, Deep
//! Learning, 15.1.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, Sequential, Sigmoid, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Optimizer, Reduction, Tensor};

const WIDTHS: [usize; 5] = [784, 256, 128, 64, 64];

/// A layer that reproduces `x [n, from]` from a part of it.
fn autoencode(x: &Tensor, to: usize, steps: usize, rng: &mut Generator) -> wgrad::Result<Linear> {
    let device = &x.device().clone();
    let from = x.size(1);
    let mut state = (
        Linear::new(from, to, rng, device),
        Linear::new(to, from, rng, device),
        Adam::new(2e-3),
        Generator::new(7),
    );
    type State = (Linear, Linear, Adam, Generator);
    let mut step = compile(
        |(encode, decode, adam, noise): &mut State, index: &[Tensor]| {
            let x = x.index_select(0, &index[0]);
            let kept = noise.bernoulli(0.8, x.shape(), device).cast(DType::F32);
            let code = encode.forward(&(&x * kept)).sigmoid();
            let loss = decode
                .forward(&code)
                .binary_cross_entropy_with_logits(&x, Reduction::Mean);
            let mut both = (&mut *encode, &mut *decode);
            let gradients = gradients(&loss, &both)?;
            adam.step(&mut both, &gradients)?;
            noise.next_step();
            Ok(loss)
        },
    );
    for _ in 0..steps {
        step.call(
            &mut state,
            &[&rng.integers(0, x.size(0) as i32, &[100], device)],
        )?;
    }
    Ok(state.0)
}

fn network(layers: Vec<Linear>, rng: &mut Generator, device: &Device) -> Sequential {
    let mut net = Sequential::new();
    for layer in layers {
        net = net.push(layer).push(Sigmoid);
    }
    net.push(Linear::new(WIDTHS[4], 10, rng, device))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, labelled, before, steps) =
        lesson.pick((10_000, 1000, 800, 600), (3000, 1000, 250, 200));
    let (train, test) = lesson.some_digits(images, lesson.pick(5000, 1000))?;
    let (x, _) = train.gather(&Tensor::arange(images, device));
    let (x_test, y_test) = test.gather(&Tensor::arange(test.len(), device));

    let mut seen = x.flatten(1, -1).detach()?;
    let mut layers = Vec::new();
    for to in &WIDTHS[1..] {
        let layer = autoencode(&seen, *to, before, rng)?;
        seen = layer.forward(&seen).sigmoid().detach()?;
        layers.push(layer);
    }
    let fresh = WIDTHS
        .windows(2)
        .map(|w| Linear::new(w[0], w[1], rng, device))
        .collect();
    let mut figure = Figure::new("Four layers of sigmoids, 1,000 labels")
        .x("step")
        .y("test images right")
        .percent_y();
    let mut shares = Vec::new();
    for (name, layers) in [("from random weights", fresh), ("pretrained", layers)] {
        let mut state = (network(layers, rng, device), Adam::new(1e-3));
        let mut step = compile(|(net, adam): &mut (Sequential, Adam), index: &[Tensor]| {
            let (x, y) = train.gather(&index[0]);
            let logits = net.forward(&x.flatten(1, -1), &mut Context::eval());
            let loss = logits.cross_entropy(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            Ok(loss)
        });
        let (mut at, mut right) = (Vec::new(), Vec::new());
        for count in 1..=steps {
            step.call(&mut state, &[&rng.integers(0, labelled, &[100], device)])?;
            if count % (steps / 10) == 0 {
                let said = state
                    .0
                    .forward(&x_test.flatten(1, -1), &mut Context::eval());
                let correct = said.argmax(1, false).eq(&y_test).cast(DType::F32).mean();
                at.push(count);
                right.push(correct.item::<f32>()?);
            }
        }
        shares.push(f64::from(right[right.len() - 1]));
        figure = figure.dotted_line(name, &at, &right);
    }
    lesson.say(format!(
        "random {:.4}, pretrained {:.4}",
        shares[0], shares[1]
    ));
    lesson.at_least(
        "pretrained: test images right",
        shares[1],
        lesson.pick(0.82, 0.72),
    )?;
    lesson.at_least(
        "beyond random weights",
        shares[1] - shares[0],
        lesson.pick(0.05, 0.1),
    )?;
    lesson.figure(
        "right",
        "Layers that learned to see before they were told",
        &figure,
    )
}
