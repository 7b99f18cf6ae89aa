//! Cosine units, `h = cos(W x + b)`: nobody uses them, and they work. Two layers of them with dropout, on digits moved by up
//! to two pixels, get fewer than 1 % of MNIST's test images wrong. Source: Goodfellow, Bengio, Courville, Deep Learning,
//! 6.3.3.

use crate::lesson::{Lesson, Result};
use std::f64::consts::{PI, TAU};
use wgrad::data::DeviceDataset;
use wgrad::nn::{Adam, Context, Dropout, Layer, Linear, Sequential, compile, gradients, init};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, PadMode, Reduction, Tensor};

/// `cos(x)`.
#[derive(Module)]
struct Cosine;

impl Layer for Cosine {
    fn forward(&mut self, x: &Tensor, _: &mut Context) -> Tensor {
        x.cos()
    }

    fn kind(&self) -> String {
        "Cosine".to_string()
    }
}

/// Weights of this spread and phases from the whole circle.
fn waves(from: usize, to: usize, spread: f64, rng: &mut Generator, device: &Device) -> Linear {
    Linear {
        weight: init::normal(&[to, from], 0.0, spread, rng, device),
        bias: Some(init::uniform(&[to], 0.0, TAU, rng, device)),
    }
}

fn wrong(net: &mut Sequential, set: &DeviceDataset, device: &Device) -> wgrad::Result<f64> {
    let (x, y) = set.gather(&Tensor::arange(set.len(), device));
    let said = net.forward(&x.flatten(1, -1), &mut Context::eval());
    let wrong = said.argmax(1, false).ne(&y).cast(DType::F32).mean();
    Ok(wrong.item::<f32>()?.into())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (images, epochs, width) = lesson.pick((60_000, 32, 800), (4000, 8, 200));
    let (train, test) = lesson.some_digits(images, lesson.pick(10_000, 2000))?;
    let rng = &mut Generator::new(lesson.seed);
    let net = Sequential::new()
        .with("waves", waves(784, width, 0.05, rng, device))
        .with("cosine", Cosine)
        .with("dropout", Dropout::new(0.1))
        .with(
            "waves2",
            waves(width, width, (2.0 / width as f64).sqrt(), rng, device),
        )
        .with("cosine2", Cosine)
        .with("dropout2", Dropout::new(0.1))
        .with("out", Linear::new(width, 10, rng, device));

    // The places of 28 by 28 pixels in an image of 32 by 32.
    let line = Tensor::arange(28, device);
    let window = (line.reshape(&[28, 1]) * 32 + &line).reshape(&[1, 784]);
    type State = (Sequential, Adam, Context);
    let mut step = compile(|(net, adam, cx): &mut State, index: &[Tensor]| {
        let (x, y) = train.gather(&index[0]);
        let wide = x.pad(&[2, 2, 2, 2], PadMode::Constant(0.0)).flatten(1, -1);
        let each = [index[0].numel(), 1];
        let (down, right) = (
            cx.rng.integers(0, 5, &each, device),
            cx.rng.integers(0, 5, &each, device),
        );
        let moved = wide.gather(1, &(&window + (down * 32 + right)));
        let loss = net.forward(&moved, cx).cross_entropy(&y, Reduction::Mean);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    let mut state = (net, Adam::new(1e-3), Context::train(lesson.seed));
    let (batch, mut errors) = (125, Vec::new());
    let steps = images / batch;
    for epoch in 0..epochs {
        let order = rng.permutation(images, device);
        for at in 0..steps {
            let done = (epoch * steps + at) as f64 / (epochs * steps) as f64;
            state.1.set_lr(5e-4 * (1.0 + (PI * done).cos()));
            step.call(&mut state, &[&order.narrow(0, at * batch, batch)])?;
        }
        errors.push(wrong(&mut state.0, &test, device)?);
    }
    let last = errors[errors.len() - 1];
    lesson.at_most("share of test images wrong", last, lesson.pick(0.0099, 0.2))?;
    let count: Vec<usize> = (1..=epochs).collect();
    let figure = Figure::new("Cosine units on MNIST")
        .x("epoch")
        .y("test images wrong")
        .percent_y()
        .dotted_line("error", &count, &errors)
        .horizontal("1 %", 0.01);
    lesson.figure("error", "A cosine is as good as a rectifier", &figure)
}
