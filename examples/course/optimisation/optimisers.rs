//! Optimisers on one model, from one start, on the same batches: gradient descent, momentum `v ← αv − ε g`, Nesterov's, AdaGrad,
//! RMSProp, AdaDelta, Adam, and delta-bar-delta on the whole set, each with a rate that suits it. And their paths in a bent
//! valley. Source: Goodfellow, Bengio, Courville, Deep Learning, 8.3 and 8.5.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adadelta, Adagrad, Adam, Context, DeltaBarDelta, Linear, Relu, RmsProp, Sequential, Sgd,
    compile, gradients,
};
use wgrad::plot::{Figure, Surface};
use wgrad::{Device, Generator, Module, Optimizer, Reduction, Tensor};

/// Each optimiser: on digits by batches, and in the valley.
fn all() -> Vec<(&'static str, Box<dyn Optimizer>, Box<dyn Optimizer>)> {
    vec![
        ("SGD", Box::new(Sgd::new(0.1)), Box::new(Sgd::new(0.01))),
        (
            "momentum",
            Box::new(Sgd::new(0.05).momentum(0.9)),
            Box::new(Sgd::new(0.01).momentum(0.8)),
        ),
        (
            "Nesterov",
            Box::new(Sgd::new(0.05).momentum(0.9).nesterov(true)),
            Box::new(Sgd::new(0.01).momentum(0.8).nesterov(true)),
        ),
        (
            "AdaGrad",
            Box::new(Adagrad::new(0.02)),
            Box::new(Adagrad::new(0.4)),
        ),
        (
            "RMSProp",
            Box::new(RmsProp::new(0.001)),
            Box::new(RmsProp::new(0.02)),
        ),
        (
            "AdaDelta",
            Box::new(Adadelta::new(1.0)),
            Box::new(Adadelta::new(20.0)),
        ),
        ("Adam", Box::new(Adam::new(0.002)), Box::new(Adam::new(0.1))),
        (
            "delta-bar-delta",
            Box::new(DeltaBarDelta::new(0.1)),
            Box::new(DeltaBarDelta::new(0.005)),
        ),
    ]
}

/// A point of the valley, as a module with one parameter.
#[derive(Module)]
struct Point(Tensor);

const STEPS: usize = 150;

/// The path of an optimiser in the valley.
fn descend(mut optimizer: Box<dyn Optimizer>, device: &Device) -> wgrad::Result<[Vec<f32>; 2]> {
    let mut point = Point(Tensor::new(&[-3.0f32, 2.0], device));
    let mut path = [Vec::new(), Vec::new()];
    for _ in 0..STEPS {
        let (x, y) = (point.0.get(0), point.0.get(1));
        path[0].push(x.item::<f32>()?);
        path[1].push(y.item::<f32>()?);
        let loss = x.square() * 0.5 + (y - x.square() * 0.3 + 1.0).square() * 5.0;
        let gradients = gradients(&loss, &point)?;
        optimizer.step(&mut point, &gradients)?;
    }
    Ok(path)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (images, steps) = lesson.pick((10_000, 800), (2000, 150));
    let (train, _) = lesson.some_digits(images, 1)?;
    let mut figure = Figure::new("A network of 64 hidden units on digits")
        .x("step")
        .y("cross-entropy, nats")
        .log_y();
    let valley = |x: f64, y: f64| 0.5 * x * x + 5.0 * (y - 0.3 * x * x + 1.0).powi(2);
    let surface = Surface::of((-3.2, 3.2), (-2.0, 2.5), 81, 61, valley);
    let mut paths = Figure::new("In a bent valley")
        .x("x")
        .y("y")
        .size(700, 520)
        .contour(&surface, 16)
        .x_range(-3.2, 3.2)
        .y_range(-2.0, 2.5);
    let mut last = Vec::new();
    for (name, on_digits, in_valley) in all() {
        let rng = &mut Generator::new(lesson.seed); // the same start and batches for all
        let net = Sequential::new()
            .with("hidden", Linear::new(784, 64, rng, device))
            .with("relu", Relu)
            .with("out", Linear::new(64, 10, rng, device));
        let mut state = (net, on_digits);
        let mut step = compile(
            |(net, optimizer): &mut (Sequential, Box<dyn Optimizer>), index: &[Tensor]| {
                let (x, y) = train.gather(&index[0]);
                let logits = net.forward(&x.flatten(1, -1), &mut Context::eval());
                let loss = logits.cross_entropy(&y, Reduction::Mean);
                let gradients = gradients(&loss, net)?;
                optimizer.step(net, &gradients)?;
                Ok(loss)
            },
        );
        // Delta-bar-delta compares signs of gradients: it needs the whole set, or a large part, at once.
        let batch = if name == "delta-bar-delta" { 1000 } else { 100 };
        let steps = if name == "delta-bar-delta" {
            steps / 2
        } else {
            steps
        };
        let fixed = rng.integers(0, images as i32, &[batch], device).detach()?;
        let (mut at, mut losses) = (Vec::new(), Vec::new());
        for count in 0..steps {
            let some = match name {
                "delta-bar-delta" => fixed.clone(),
                _ => rng.integers(0, images as i32, &[batch], device),
            };
            let loss = step.call(&mut state, &[&some])?.item::<f32>()?;
            at.push(count);
            losses.push(loss);
        }
        let tail = &losses[losses.len() - 20..];
        last.push((name, f64::from(tail.iter().sum::<f32>()) / 20.0));
        figure = figure.smoothed(name, &at, &losses, 0.95);

        let [xs, ys] = descend(in_valley, device)?;
        let end = valley(f64::from(xs[STEPS - 1]), f64::from(ys[STEPS - 1]));
        lesson.at_most(&format!("{name}: left of the valley's 5.0"), end, 2.5)?;
        paths = paths.line(name, &xs, &ys);
    }
    for (name, loss) in &last {
        lesson.at_most(
            &format!("{name}: loss at the end, from 2.3"),
            *loss,
            lesson.pick(0.4, 1.3),
        )?;
    }
    lesson.at_least(
        "loss of plain descent by that of momentum",
        last[0].1 / last[1].1,
        lesson.pick(1.2, 1.2),
    )?;
    lesson.figure("losses", "Eight optimisers, one model", &figure)?;
    lesson.figure("paths", "Eight ways down", &paths)
}
