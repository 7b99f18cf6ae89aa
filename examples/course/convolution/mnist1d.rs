//! MNIST-1D: ten curves of 40 numbers, moved, scaled, sheared and noisy. What a model assumes decides what it gets right:
//! logistic regression 32 %, a perceptron with hidden layers 68 %, a convolutional network 94 %, a gated recurrent one 91 %;
//! the convolutional one 56 % where places are shuffled. Source: Greydanus and Kobak, Scaling Down Deep Learning, 2024.

use crate::lesson::{Lesson, Result};
use wgrad::data::generate::{Mnist1d, mnist1d};
use wgrad::nn::{
    Adam, Context, Conv1d, Flatten, Gru, Layer, Linear, RecurrentOptions, Relu, Residual,
    Sequential, Unflatten, compile, gradients,
};
use wgrad::plot::{Figure, Grid};
use wgrad::{ConvOptions, DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

/// Reads the numbers both ways.
#[derive(Module)]
struct Reader {
    gru: Gru,
    out: Linear,
}

impl Layer for Reader {
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        let (seen, _) = self.gru.forward(&x.unsqueeze(2), None, cx);
        self.out.forward(&seen.flatten(1, -1))
    }

    fn kind(&self) -> String {
        "Reader".into()
    }
}

/// The paper's models for 40 numbers and 10 classes.
fn model(name: &str, rng: &mut Generator, device: &Device) -> Option<Sequential> {
    let net = Sequential::new();
    let conv = |from: usize, size: usize, rng: &mut Generator| {
        let options = ConvOptions::default().stride([2]).padding([1]);
        Conv1d::new(from, 25, [size], options, rng, device)
    };
    let wide = |rng: &mut Generator| {
        let linear = Linear::new(100, 100, rng, device);
        Sequential::new().push(linear).push(Relu)
    };
    Some(match name {
        "logistic" => net.push(Linear::new(40, 10, rng, device)),
        "mlp" => net
            .push(Linear::new(40, 100, rng, device))
            .push(Relu)
            .push(Residual::new(wide(rng)))
            .push(Linear::new(100, 10, rng, device)),
        "cnn" | "shuffled cnn" => net
            .push(Unflatten::new(1, &[1, 40]))
            .push(conv(1, 5, rng))
            .push(Relu)
            .push(conv(25, 3, rng))
            .push(Relu)
            .push(conv(25, 3, rng))
            .push(Relu)
            .push(Flatten::default())
            .push(Linear::new(125, 10, rng, device)),
        "gru" => {
            let both = RecurrentOptions::default().bidirectional(true);
            let options = both.batch_first(true);
            net.push(Reader {
                gru: Gru::new(1, 6, &options, rng, device),
                out: Linear::new(480, 10, rng, device),
            })
        }
        _ => return None,
    })
}

/// A sample of each digit.
fn samples() -> Figure {
    let (train, _) = mnist1d(&Mnist1d::default(), 42);
    let place: Vec<usize> = (0..40).collect();
    let mut samples = Figure::new("A sample of each digit")
        .x("place")
        .y("digit")
        .size(440, 340);
    for digit in 0..10 {
        if let Some(at) = train.y().iter().position(|y| *y == digit) {
            let values = train.x()[40 * at..][..40].iter();
            let sample: Vec<f32> = values.map(|v| digit as f32 + v * 0.3).collect();
            samples = samples.line(&digit.to_string(), &place, &sample);
        }
    }
    samples
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let mut curves = Figure::new("Test samples right")
        .x("step")
        .y("share")
        .percent_y()
        .size(440, 340);
    for (name, steps, want, least) in [
        ("logistic", 2000, 0.32, 0.21),
        ("mlp", 3000, 0.68, 0.39),
        ("cnn", 4000, 0.94, 0.52),
        ("gru", 4000, 0.91, 0.3),
        ("shuffled cnn", 4000, 0.56, 0.33),
    ] {
        let options = Mnist1d {
            shuffle_seq: name.starts_with("shuffled"),
            ..Mnist1d::default()
        };
        let (train, test) = mnist1d(&options, 42);
        let ((x, y), (x_test, y_test)) = (train.tensors(device), test.tensors(device));
        let mut step = compile(
            |(net, adam, cx): &mut (Sequential, Adam, Context), index: &[Tensor]| {
                let logits = net.forward(&x.index_select(0, &index[0]), cx);
                let loss = logits.cross_entropy(&y.index_select(0, &index[0]), Reduction::Mean);
                let gradients = gradients(&loss, net)?;
                adam.step(net, &gradients)?;
                Ok(loss)
            },
        );
        let steps = lesson.pick(steps, if name == "gru" { 150 } else { 500 });
        // One alone is two points off now and then where nothing but chance is left to learn from.
        let runs = lesson.pick(if options.shuffle_seq { 3 } else { 1 }, 1);
        let (mut at, mut right, mut last) = (Vec::new(), Vec::new(), 0.0);
        for _ in 0..runs {
            let net = model(name, rng, device).ok_or("an unknown model")?;
            let mut state = (net, Adam::new(1e-2), Context::train(lesson.seed));
            (at, right) = (Vec::new(), Vec::new());
            for count in 0..=steps {
                let left = 1.0 - count as f64 / (steps + 1) as f64;
                state.1.set_lr(1e-2 * left);
                step.call(&mut state, &[&rng.integers(0, 4000, &[100], device)])?;
                if count % (steps / 20) == 0 {
                    let said = state.0.forward(&x_test, &mut Context::eval());
                    let said = said.argmax(1, false).eq(&y_test);
                    at.push(count);
                    right.push(said.cast(DType::F32).mean().item::<f32>()?);
                }
            }
            last += f64::from(right[right.len() - 1]) / f64::from(runs);
        }
        let what = format!("{name}: test samples right");
        match lesson.quick {
            false => lesson.close(&what, last, want, 0.03)?,
            true => lesson.at_least(&what, last, least)?,
        }
        curves = curves.line(name, &at, &right);
    }
    let grid = Grid::new(2).figure(samples()).figure(curves);
    lesson.grid("models", "What a model assumes decides", &grid)
}
