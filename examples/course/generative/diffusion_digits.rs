//! The same diffusion on digits of 14 by 14 pixels. The network is a few wide layers that also hear how far the noise has
//! come, and says the clean image; the noise follows from that: `ε = (x_t − √ᾱ x₀) / √(1 − ᾱ)`. A classifier that knows real
//! digits judges what comes out. Source: Ho, Jain, Abbeel, Denoising Diffusion Probabilistic Models, 2020.

use crate::lesson::{Lesson, Result};
use wgrad::data::{Loader, TensorDataset};
use wgrad::nn::{
    Adam, Context, Diffusion, LayerNorm, Linear, Relu, Residual, Sequential, Silu, Tanh, compile,
    gradients, sinusoidal_positions,
};
use wgrad::plot::{Figure, Picture};
use wgrad::train::Trainer;
use wgrad::{Generator, Optimizer, Reduction, Tensor};

const STEPS: usize = 200;
const PIXELS: usize = 196;
const CLOCK: usize = 64;
const SAMPLES: usize = 400;

/// A network that says the clean image in `[x, clock]`.
fn train(x: &Tensor, diffusion: &Diffusion, clock: &Tensor, lesson: &Lesson) -> Result<Sequential> {
    let (device, wide) = (x.device(), lesson.pick(512, 256));
    let mut rng = Generator::new(lesson.seed);
    let mut net = Sequential::new().push(Linear::new(PIXELS + CLOCK, wide, &mut rng, device));
    for _ in 0..3 {
        let block = Sequential::new()
            .push(LayerNorm::new(&[wide], device))
            .push(Silu)
            .push(Linear::new(wide, wide, &mut rng, device));
        net = net.push(Residual::new(block));
    }
    net = net
        .push(Silu)
        .push(Linear::new(wide, PIXELS, &mut rng, device))
        .push(Tanh);
    let mut state = (net, Adam::new(0.001), Context::train(lesson.seed));
    let mut step = compile(
        |(net, adam, cx): &mut (Sequential, Adam, Context), b: &[Tensor]| {
            let x = b[0].index_select(0, &b[2]);
            let t = cx.rng.integers(0, STEPS as i32, &[x.size(0)], x.device());
            let noise = cx.rng.normal(x.shape(), x.device());
            let drowned = diffusion.add_noise(&x, &noise, &t);
            let clean = net.forward(&Tensor::cat(&[&drowned, &b[1].index_select(0, &t)], 1), cx);
            let loss = (clean - x).square().mean();
            let gradients = gradients(&loss, net)?.clip_norm(1.0);
            adam.step(net, &gradients)?;
            cx.next_step();
            Ok(loss)
        },
    );
    let steps = lesson.pick(8000, 1000);
    for t in 0..steps {
        state.1.set_lr(0.001 * (1.01 - t as f64 / steps as f64));
        let some = rng.integers(0, x.size(0) as i32, &[128], device);
        step.call(&mut state, &[x, clock, &some])?;
    }
    Ok(state.0)
}

/// Images made of noise, and what they were on the way, `[samples, pixels]` at eleven times.
fn draw(net: &mut Sequential, by: &Diffusion, clock: &Tensor, seed: u64) -> Result<Vec<Tensor>> {
    let mut rng = Generator::new(seed);
    let mut x = rng.normal(&[SAMPLES, PIXELS], clock.device()).detach()?;
    let mut film = vec![x.clone()];
    for t in (0..STEPS).rev() {
        let (kept, now) = (
            by.kept[t],
            clock.narrow(0, t, 1).broadcast_to(&[SAMPLES, CLOCK]),
        );
        let clean = net.forward(&Tensor::cat(&[&x, &now], 1), &mut Context::eval());
        let noise = (&x - clean * kept.sqrt()) / (1.0 - kept).sqrt();
        x = by.step(&x, &noise, t, &mut rng).detach()?;
        if t % (STEPS / 10) == 0 {
            film.push(x.clone());
        }
    }
    Ok(film)
}

/// A classifier of such pixels.
fn classifier(x: &Tensor, y: &Tensor, lesson: &Lesson) -> Result<Sequential> {
    let mut rng = Generator::new(lesson.seed);
    let net = Sequential::new()
        .push(Linear::new(PIXELS, 256, &mut rng, x.device()))
        .push(Relu)
        .push(Linear::new(256, 10, &mut rng, x.device()));
    let set = TensorDataset::new((x.clone(), y.clone()))?;
    let mut trainer = Trainer::supervised(net)
        .optimizer(Adam::new(0.002))
        .loss(|said, truth| said.cross_entropy(truth, Reduction::Mean))
        .quiet();
    trainer.fit(Loader::new(set, 100, lesson.seed)?, lesson.pick(5, 10))?;
    Ok(trainer.state.model)
}

/// The digit of each image, or −1 where it is less than 90 % sure.
fn verdicts(classifier: &mut Sequential, x: &Tensor) -> wgrad::Result<Vec<i32>> {
    let scores = classifier.forward(x, &mut Context::eval());
    let (sure, digit) = scores.softmax(1).max_dim(1, false);
    digit.masked_fill(&sure.le_scalar(0.9), -1.0).to_vec()
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (known, test) = lesson.digits()?;
    let known = known.truncated(lesson.pick(20_000, 4_000)).downsampled(2)?;
    let test = test.truncated(1000).downsampled(2)?;
    let x = (known.pixels(device)? * 2.0 - 1.0).detach()?;
    let mut classifier = classifier(&x, &known.classes_of(device), lesson)?;
    let unseen = verdicts(&mut classifier, &(test.pixels(device)? * 2.0 - 1.0))?;
    let right = (0..unseen.len()).filter(|&at| unseen[at] == i32::from(test.labels()[at]));
    let right = right.count() as f64 / unseen.len() as f64;
    lesson.at_least(
        "sure and right of test images",
        right,
        lesson.pick(0.7, 0.5),
    )?;

    let diffusion = Diffusion::linear(STEPS, 5e-4, 0.06);
    let clock = sinusoidal_positions(STEPS, CLOCK, device).detach()?;
    let mut net = train(&x, &diffusion, &clock, lesson)?;
    let film = draw(&mut net, &diffusion, &clock, lesson.seed + 2)?;
    let drawn = &film[film.len() - 1];
    let digits = verdicts(&mut classifier, drawn)?;
    let found = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|d| digits.iter().filter(|v| **v == d).count());
    lesson.say(format!("of {SAMPLES} samples, by digit: {found:?}"));
    let kinds = found.iter().filter(|n| **n * 100 >= SAMPLES).count() as f64;
    lesson.at_least("digits that come out", kinds, lesson.pick(10.0, 6.0))?;
    let sure = digits.iter().filter(|d| **d >= 0).count() as f64 / SAMPLES as f64;
    lesson.at_least("samples it is sure of", sure, lesson.pick(0.5, 0.3))?;

    let (mut frames, mut samples) = (Vec::new(), Vec::new());
    let picture = |x: &Tensor, at: usize| -> wgrad::Result<Picture> {
        let pixels = x.get(at as isize).to_vec::<f32>()?;
        Ok(Picture::floats(14, 14, &pixels, (-1.0, 1.0)))
    };
    for row in 0..4 {
        for (at, x) in film.iter().enumerate() {
            let left = STEPS - at * STEPS / 10;
            frames.push(picture(x, row)?.caption(format!("{left} to go")));
        }
    }
    let figure = Figure::new("Four samples as noise is taken away").image_grid(film.len(), &frames);
    lesson.figure("film", "Out of noise, digits", &figure)?;
    for (at, digit) in digits.iter().take(40).enumerate() {
        samples.push(picture(drawn, at)?.caption(digit.to_string().replace("-1", "?")));
    }
    let figure = Figure::new("Samples, and what the classifier sees").image_grid(10, &samples);
    lesson.figure("samples", "Made of noise", &figure)
}
