//! A convolutional GAN: transposed convolutions grow an image out of noise, convolutions judge it. A classifier that
//! never saw it counts which digits it makes. Source: Radford, Metz, Chintala, Unsupervised Representation Learning
//! with Deep Convolutional Generative Adversarial Networks, 2016.

use crate::lesson::{Lesson, Result};
use wgrad::data::{DeviceDataset, ImageDataset, Loader};
use wgrad::nn::{
    Adam, BatchNorm2d, Context, Conv2d, ConvTranspose2d, Flatten, LeakyRelu, Linear, Relu,
    Sequential, Sigmoid, Unflatten, compile, gradients,
};
use wgrad::plot::{Figure, Picture};
use wgrad::train::Trainer;
use wgrad::{ConvOptions, ConvTransposeOptions, Device, Generator, Optimizer, Reduction, Tensor};

const NOISE: usize = 32;

const LEAKY: LeakyRelu = LeakyRelu {
    negative_slope: 0.2,
};

type State = ([Sequential; 2], [Adam; 2], Context);

fn generator(wide: usize, rng: &mut Generator, device: &Device) -> Sequential {
    let double = ConvTransposeOptions::default()
        .stride([2, 2])
        .padding([1, 1]);
    let middle = ConvTranspose2d::new(2 * wide, wide, [4, 4], double, rng, device);
    let last = ConvTranspose2d::new(wide, 1, [4, 4], double, rng, device);
    Sequential::new()
        .push(Linear::new(NOISE, 2 * wide * 49, rng, device))
        .push(Unflatten::new(1, &[2 * wide as isize, 7, 7]))
        .push(BatchNorm2d::new(2 * wide, device))
        .push(Relu)
        .push(middle)
        .push(BatchNorm2d::new(wide, device))
        .push(Relu)
        .push(last)
        .push(Sigmoid)
}

fn judge(wide: usize, outputs: usize, rng: &mut Generator, device: &Device) -> Sequential {
    let halve = ConvOptions::default().stride([2, 2]).padding([1, 1]);
    Sequential::new()
        .push(Conv2d::new(1, wide, [4, 4], halve, rng, device))
        .push(LEAKY)
        .push(Conv2d::new(wide, 2 * wide, [4, 4], halve, rng, device))
        .push(LEAKY)
        .push(Flatten::default())
        .push(Linear::new(2 * wide * 49, outputs, rng, device))
}

fn step(
    ([generator, critic], [of_generator, of_critic], cx): &mut State,
    real: &Tensor,
) -> wgrad::Result<Tensor> {
    let z = cx.rng.normal(&[real.size(0), NOISE], real.device());
    let fake = generator.forward(&z, cx);
    let (yes, no) = (
        critic.forward(real, cx),
        critic.forward(&fake.stop_gradient(), cx),
    );
    let loss = -yes.logsigmoid().mean() - (-no).logsigmoid().mean();
    let changes = gradients(&loss, critic)?;
    of_critic.step(critic, &changes)?;
    let cheat = -critic.forward(&fake, cx).logsigmoid().mean();
    let changes = gradients(&cheat, generator)?;
    of_generator.step(generator, &changes)?;
    cx.next_step();
    Ok(loss)
}

/// A classifier, for the judgement alone.
fn classifier(known: &ImageDataset, lesson: &Lesson) -> Result<Sequential> {
    let net = judge(8, 10, &mut Generator::new(lesson.seed), &lesson.device);
    let mut trainer = Trainer::supervised(net)
        .optimizer(Adam::new(0.003))
        .loss(|said, truth| said.cross_entropy(truth, Reduction::Mean))
        .quiet();
    let set = DeviceDataset::new(known, &lesson.device)?;
    trainer.fit(Loader::new(set, 50, lesson.seed)?, lesson.pick(2, 3))?;
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
    let (count, mut rng) = (lesson.pick(20_000, 5_000), Generator::new(lesson.seed + 1));
    let known = known.truncated(count);
    let mut classifier = classifier(&known, lesson)?;
    let test = test.truncated(1000);
    let x = test.pixels(device)?.reshape(&[-1, 1, 28, 28]);
    let said = verdicts(&mut classifier, &x)?;
    let right = (0..said.len()).filter(|&at| said[at] == i32::from(test.labels()[at]));
    let right = right.count() as f64 / said.len() as f64;
    lesson.at_least(
        "sure and right of test images",
        right,
        lesson.pick(0.7, 0.5),
    )?;

    let (wide, epochs, batch) = lesson.pick((16, 8, 64), (8, 10, 32));
    let known = DeviceDataset::new(&known, device)?;
    let maker = generator(wide, &mut rng, device);
    let nets = [maker, judge(wide, 1, &mut rng, device)];
    let adams = [2e-3, 1e-3].map(|rate| Adam::new(rate).betas(0.5, 0.999));
    let mut state: State = (nets, adams, Context::train(lesson.seed));
    let mut compiled = compile(|s: &mut State, b: &[Tensor]| step(s, &known.gather(&b[0]).0));
    let z = rng.normal(&[500, NOISE], device).detach()?;
    let (mut film, mut kinds, mut digits) = (Vec::new(), Vec::new(), Vec::new());
    for epoch in 0..=epochs {
        let made = state.0[0].forward(&z, &mut Context::eval()).detach()?;
        digits = verdicts(&mut classifier, &made)?;
        let found =
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|d| digits.iter().filter(|v| **v == d).count());
        lesson.say(format!("epoch {epoch}, of 500 by digit: {found:?}"));
        kinds.push(found.iter().filter(|n| **n >= 5).count() as f64);
        film.push(made);
        let order = rng.permutation(count, device).detach()?;
        for at in (0..count / batch).take_while(|_| epoch < epochs) {
            compiled.call(&mut state, &[&order.narrow(0, at * batch, batch)])?;
        }
    }
    lesson.at_most("digits it makes untrained", kinds[0], 3.0)?;
    lesson.at_least("digits it makes", kinds[epochs], lesson.pick(10.0, 6.0))?;

    let (mut frames, mut samples) = (Vec::new(), Vec::new());
    let picture = |made: &Tensor, at: usize| -> wgrad::Result<Picture> {
        let pixels = made.get(at as isize).to_vec::<f32>()?;
        Ok(Picture::floats(28, 28, &pixels, (0.0, 1.0)))
    };
    for row in 0..4 {
        for (epoch, made) in film.iter().enumerate() {
            frames.push(picture(made, row)?.caption(format!("epoch {epoch}")));
        }
    }
    let figure = Figure::new("Four noises as training goes on").image_grid(epochs + 1, &frames);
    lesson.figure("film", "Out of noise, epoch by epoch", &figure)?;
    for (at, digit) in digits.iter().take(40).enumerate() {
        samples.push(picture(&film[epochs], at)?.caption(digit.to_string().replace("-1", "?")));
    }
    let figure = Figure::new("Samples, and what the classifier sees").image_grid(10, &samples);
    lesson.figure("samples", "Made of noise", &figure)
}
