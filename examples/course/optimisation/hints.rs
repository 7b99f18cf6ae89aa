//! FitNets: a student that is thinner and deeper than its teacher, too deep to train from random weights. Its lower half first
//! learns to predict the teacher's hidden layer through a linear map (the hint); from there all of it learns. Sources: Romero
//! et al., FitNets: Hints for Thin Deep Nets, 2015; Goodfellow, Bengio, Courville, Deep Learning, 8.7.5.

use crate::lesson::{Lesson, Result};
use wgrad::data::DeviceDataset;
use wgrad::nn::{Adam, Context, Linear, Sequential, Sigmoid, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Optimizer, Reduction, Tensor};

const THIN: usize = 30;

/// `depth` thin layers of sigmoids.
fn thin(from: usize, depth: usize, rng: &mut Generator, device: &Device) -> Sequential {
    let mut net = Sequential::new();
    for at in 0..depth {
        let inputs = if at == 0 { from } else { THIN };
        net = net
            .push(Linear::new(inputs, THIN, rng, device))
            .push(Sigmoid);
    }
    net
}

/// The hidden layer of a network with one, a wide one.
fn teacher(
    train: &DeviceDataset,
    steps: usize,
    rng: &mut Generator,
    device: &Device,
) -> wgrad::Result<Linear> {
    let mut teacher = (
        Linear::new(784, 400, rng, device),
        Linear::new(400, 10, rng, device),
        Adam::new(1e-3),
    );
    let mut step = compile(
        |(hidden, out, adam): &mut (Linear, Linear, Adam), index: &[Tensor]| {
            let (x, y) = train.gather(&index[0]);
            let z = out.forward(&hidden.forward(&x.flatten(1, -1)).relu());
            let loss = z.cross_entropy(&y, Reduction::Mean);
            let mut both = (&mut *hidden, &mut *out);
            let gradients = gradients(&loss, &both)?;
            adam.step(&mut both, &gradients)?;
            Ok(loss)
        },
    );
    for _ in 0..steps {
        step.call(
            &mut teacher,
            &[&rng.integers(0, train.len() as i32, &[100], device)],
        )?;
    }
    Ok(teacher.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, tests, steps, hinted) =
        lesson.pick((20_000, 4000, 600, 600), (8000, 1000, 600, 600));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    let x_test = x_test.flatten(1, -1).detach()?;
    let eval = &mut Context::eval();

    let wide = teacher(&train, steps, rng, device)?;

    let mut figure = Figure::new("A student of five thin layers")
        .x("step")
        .y("test images right")
        .percent_y();
    let mut shares = Vec::new();
    for (name, hint) in [("from random weights", false), ("after a hint", true)] {
        let mut lower = thin(784, 4, rng, device);
        if hint {
            let mut state = (lower, Linear::new(THIN, 400, rng, device), Adam::new(1e-2));
            let mut step = compile(
                |(lower, map, adam): &mut (Sequential, Linear, Adam), index: &[Tensor]| {
                    let x = train.gather(&index[0]).0.flatten(1, -1);
                    let wanted = wide.forward(&x).relu();
                    let said = map.forward(&lower.forward(&x, &mut Context::eval()));
                    let loss = said.mse_loss(&wanted, Reduction::Mean);
                    let mut both = (&mut *lower, &mut *map);
                    let gradients = gradients(&loss, &both)?;
                    adam.step(&mut both, &gradients)?;
                    Ok(loss)
                },
            );
            for _ in 0..hinted {
                step.call(
                    &mut state,
                    &[&rng.integers(0, images as i32, &[100], device)],
                )?;
            }
            lower = state.0;
        }
        let student = Sequential::new()
            .with("lower", lower)
            .with("upper", thin(THIN, 1, rng, device))
            .with("out", Linear::new(THIN, 10, rng, device));
        let mut state = (student, Adam::new(5e-3));
        let mut step = compile(|(net, adam): &mut (Sequential, Adam), index: &[Tensor]| {
            let (x, y) = train.gather(&index[0]);
            let z = net.forward(&x.flatten(1, -1), &mut Context::eval());
            let loss = z.cross_entropy(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            Ok(loss)
        });
        let (mut at, mut right) = (Vec::new(), Vec::new());
        for count in 1..=steps {
            step.call(
                &mut state,
                &[&rng.integers(0, images as i32, &[100], device)],
            )?;
            if count % (steps / 10) == 0 {
                let said = state.0.forward(&x_test, eval).argmax(1, false).eq(&y_test);
                at.push(count);
                right.push(said.cast(DType::F32).mean().item::<f32>()?);
            }
        }
        shares.push(f64::from(right.iter().sum::<f32>()) / right.len() as f64);
        figure = figure.dotted_line(name, &at, &right);
    }
    lesson.say(format!(
        "test images right, the mean of the curve: random {:.3}, after a hint {:.3}",
        shares[0], shares[1]
    ));
    lesson.at_least(
        "the curve after a hint lies higher by",
        shares[1] - shares[0],
        lesson.pick(0.15, 0.1),
    )?;
    lesson.figure("right", "A hint starts what is too deep to start", &figure)
}
