//! Residual learning: `y = x + F(x)`. Of two networks with 20 convolutions each, without normalisation, the plain one does
//! not begin to learn; with the identity around every pair of them the gradient passes. Source: He, Zhang, Ren, Sun, Deep
//! Residual Learning for Image Recognition, 2016.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, AvgPool2d, Context, Conv2d, Flatten, Linear, Relu, Residual, Sequential, compile,
    gradients,
};
use wgrad::plot::{Figure, Grid};
use wgrad::{ConvOptions, DType, Device, Generator, Optimizer, Reduction, Tensor};

const CHANNELS: usize = 8;
const PAIRS: usize = 10;

fn conv(from: usize, rng: &mut Generator, device: &Device) -> Conv2d {
    let same = ConvOptions::default().padding([1, 1]);
    Conv2d::new(from, CHANNELS, [3, 3], same, rng, device)
}

/// On images of 7 by 7.
fn network(residual: bool, rng: &mut Generator, device: &Device) -> Sequential {
    let mut net = Sequential::new()
        .with("small", AvgPool2d::new(4))
        .with("first", conv(1, rng, device));
    for at in 0..PAIRS {
        let pair = Sequential::new()
            .push(Relu)
            .push(conv(CHANNELS, rng, device))
            .push(Relu)
            .push(conv(CHANNELS, rng, device));
        let name = format!("pair{at}");
        net = match residual {
            true => net.with(name, Residual::new(pair)),
            false => net.with(name, pair),
        };
    }
    net.with("flatten", Flatten::default())
        .with("out", Linear::new(CHANNELS * 49, 10, rng, device))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, tests, epochs) = lesson.pick((8000, 1000, 3), (2000, 500, 2));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    let mut figure = Figure::new("20 convolutions")
        .x("images seen")
        .y("cross-entropy, nats")
        .size(440, 340);
    let mut by_layer = Figure::new("Before training")
        .x("convolution")
        .y("length of its weight's gradient")
        .log_y()
        .size(440, 340);
    let mut shares = Vec::new();
    for (name, residual) in [("plain", false), ("residual", true)] {
        let mut net = network(residual, rng, device);
        let (x, y) = train.gather(&Tensor::arange(100, device));
        let loss = net
            .forward(&x, &mut Context::eval())
            .cross_entropy(&y, Reduction::Mean);
        let lengths = gradients(&loss, &net)?
            .iter()
            .filter(|(name, g)| g.rank() == 4 && name.contains("pair"))
            .map(|(_, g)| g.norm().item::<f32>())
            .collect::<wgrad::Result<Vec<f32>>>()?;
        let layers: Vec<usize> = (1..=lengths.len()).collect();
        by_layer = by_layer.dotted_line(name, &layers, &lengths);

        let mut state = (net, Adam::new(3e-3), Context::train(lesson.seed));
        let mut step = compile(
            |(net, adam, cx): &mut (Sequential, Adam, Context), index: &[Tensor]| {
                let (x, y) = train.gather(&index[0]);
                let loss = net.forward(&x, cx).cross_entropy(&y, Reduction::Mean);
                let gradients = gradients(&loss, net)?;
                adam.step(net, &gradients)?;
                Ok(loss)
            },
        );
        let (mut seen, mut losses) = (Vec::new(), Vec::new());
        for epoch in 0..epochs {
            let order = rng.permutation(images, device);
            for at in (0..images).step_by(50) {
                let loss = step.call(&mut state, &[&order.narrow(0, at, 50)])?;
                seen.push(epoch * images + at);
                losses.push(loss.item::<f32>()?);
            }
        }
        let said = state
            .0
            .forward(&x_test, &mut Context::eval())
            .argmax(1, false);
        let right = said.eq(&y_test).cast(DType::F32).mean().item::<f32>()?;
        shares.push(f64::from(right));
        figure = figure.smoothed(name, &seen, &losses, 0.9);
    }
    lesson.at_most("plain: test images right", shares[0], lesson.pick(0.5, 0.3))?;
    lesson.at_least(
        "residual: test images right",
        shares[1],
        lesson.pick(0.85, 0.5),
    )?;
    lesson.grid(
        "curves",
        "The way around lets the gradient pass",
        &Grid::new(2).figure(figure).figure(by_layer),
    )
}
