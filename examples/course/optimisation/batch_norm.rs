//! Batch normalisation. A chain of linear units, `ŷ = x w₁ w₂ … w_l`, shows what it is for: a step of all weights at once by
//! `ε g` changes ŷ by `Π (wᵢ − ε gᵢ)`, whose terms of second and higher order outgrow the first one that the gradient speaks of.
//! Normalised, lower layers cannot change the scale of ŷ any more. And on digits, a deep network of sigmoids that does not
//! learn without it. Sources: Goodfellow, Bengio, Courville, Deep Learning, 8.7.1; Ioffe and Szegedy 2015.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, BatchNorm1d, Context, Linear, Sequential, Sigmoid, compile, gradients};
use wgrad::plot::{Figure, Grid};
use wgrad::{Device, Generator, Optimizer, Reduction, Tensor, grad};

/// The deep linear chain: what a step does, and what the gradient promises.
fn chain(lesson: &mut Lesson, rng: &mut Generator, device: &Device) -> Result<Figure> {
    let depth = 20;
    let w = Tensor::full(&[depth], 1.2, wgrad::DType::F32, device);
    let value = |w: &Tensor| w.prod();
    let (y, g) = (value(&w), grad(&value(&w), &[&w])?.swap_remove(0));
    let rates: Vec<f64> = (0..=30)
        .map(|i| 10f64.powf(-5.0 + 0.1 * f64::from(i)))
        .collect();
    let (mut promised, mut happened) = (Vec::new(), Vec::new());
    for &rate in &rates {
        promised.push(f64::from((g.square().sum() * rate).item::<f32>()?));
        happened.push(f64::from((&y - value(&(&w - &g * rate))).item::<f32>()?));
    }
    lesson.close(
        "ε = 1e-5: change by promise",
        happened[0] / promised[0],
        1.0,
        0.05,
    )?;
    lesson.at_most(
        "ε = 1e-2: change by promise",
        happened[30] / promised[30],
        0.25,
    )?;
    // x's batch normalised after the chain: the scale of the lower weights does not matter.
    let x = rng.normal(&[64], device);
    let normal = |t: &Tensor| (t - t.mean()) / t.std(0.0);
    let off = (normal(&(&x * value(&w))) - normal(&(&x * value(&(&w * 0.9)))))
        .abs()
        .amax();
    lesson.at_most(
        "normalised: change by lower layers' scale",
        off.item::<f32>()?.into(),
        1e-4,
    )?;
    Ok(Figure::new("A chain of 20 linear units")
        .x("ε")
        .y("fall of ŷ")
        .log_x()
        .log_y()
        .size(440, 360)
        .line("the gradient's promise, ε gᵀg", &rates, &promised)
        .line("what happens", &rates, &happened))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);

    let chain = chain(lesson, rng, device)?;

    // Ten layers of sigmoids on digits.
    let (images, tests, epochs) = lesson.pick((10_000, 2000, 4), (3000, 1000, 4));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    let mut curves = Figure::new("Ten layers of sigmoids")
        .x("images seen")
        .y("cross-entropy, nats")
        .size(440, 360);
    let mut shares = Vec::new();
    for (name, normalised) in [("without", false), ("with batch normalisation", true)] {
        let (mut net, mut from) = (Sequential::new(), 784);
        for at in 0..10 {
            net = net.with(format!("linear{at}"), Linear::new(from, 64, rng, device));
            if normalised {
                net = net.with(format!("norm{at}"), BatchNorm1d::new(64, device));
            }
            net = net.with(format!("sigmoid{at}"), Sigmoid);
            from = 64;
        }
        let net = net.with("out", Linear::new(64, 10, rng, device));
        let mut state = (net, Adam::new(3e-3), Context::train(lesson.seed));
        let mut step = compile(
            |(net, adam, cx): &mut (Sequential, Adam, Context), index: &[Tensor]| {
                let (x, y) = train.gather(&index[0]);
                let loss = net
                    .forward(&x.flatten(1, -1), cx)
                    .cross_entropy(&y, Reduction::Mean);
                let gradients = gradients(&loss, net)?;
                adam.step(net, &gradients)?;
                Ok(loss)
            },
        );
        let (mut seen, mut losses) = (Vec::new(), Vec::new());
        for epoch in 0..epochs {
            let order = rng.permutation(images, device);
            for at in (0..images).step_by(100) {
                let loss = step.call(&mut state, &[&order.narrow(0, at, 100)])?;
                seen.push(epoch * images + at);
                losses.push(loss.item::<f32>()?);
            }
        }
        let said = state
            .0
            .forward(&x_test.flatten(1, -1), &mut Context::eval())
            .argmax(1, false);
        let right = said
            .eq(&y_test)
            .cast(wgrad::DType::F32)
            .mean()
            .item::<f32>()?;
        shares.push(f64::from(right));
        curves = curves.smoothed(name, &seen, &losses, 0.9);
    }
    lesson.at_most("without: test images right", shares[0], 0.35)?;
    lesson.at_least("with: test images right", shares[1], lesson.pick(0.85, 0.5))?;
    lesson.grid(
        "curves",
        "Steps of all layers at once",
        &Grid::new(2).figure(chain).figure(curves),
    )
}
