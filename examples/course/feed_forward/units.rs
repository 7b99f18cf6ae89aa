//! Every hidden unit on the same digits: rectifiers and their generalisations `max(0, z) + α min(0, z)` (leaky α = 0.01,
//! parametric α learned, absolute value α = −1), maxout, sigmoid, tanh, radial basis functions, softplus, hard tanh. Source:
//! Goodfellow, Bengio, Courville, Deep Learning, 6.3.

use crate::lesson::{Lesson, Result};
use wgrad::data::DeviceDataset;
use wgrad::nn::{
    Abs, Adam, Context, Elu, Hardtanh, Layer, LeakyRelu, Linear, Maxout, PRelu, Rbf, Relu,
    Sequential, Sigmoid, Softplus, Tanh, compile, gradients,
};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Optimizer, Reduction, Tensor};

const UNITS: usize = 128;

/// A layer of `UNITS` hidden units of this kind.
fn hidden(kind: &str, rng: &mut Generator, device: &Device) -> Option<Sequential> {
    let unit: Box<dyn Layer> = match kind {
        "rectifier" => Box::new(Relu),
        "leaky" => Box::new(LeakyRelu::default()),
        "parametric" => Box::new(PRelu::new(1, device)),
        "absolute" => Box::new(Abs),
        "elu" => Box::new(Elu::default()),
        "softplus" => Box::new(Softplus::default()),
        "sigmoid" => Box::new(Sigmoid),
        "tanh" => Box::new(Tanh),
        "hard tanh" => Box::new(Hardtanh::default()),
        _ => return None,
    };
    Some(
        Sequential::new()
            .with("linear", Linear::new(784, UNITS, rng, device))
            .with(kind, unit),
    )
}

/// The share of the test images that are right after some epochs.
fn learn(
    hidden: impl Layer + 'static,
    (train, test): (&DeviceDataset, &DeviceDataset),
    epochs: usize,
    rng: &mut Generator,
) -> wgrad::Result<f64> {
    let device = &train.index(&[0]).device().clone();
    let net = Sequential::new()
        .with("hidden", hidden)
        .with("out", Linear::new(UNITS, 10, rng, device));
    let mut state = (net, Adam::new(2e-3), Context::train(0));
    let mut step = compile(
        |(net, adam, cx): &mut (Sequential, Adam, Context), index: &[Tensor]| {
            let (x, y) = train.gather(&index[0]);
            let logits = net.forward(&x.flatten(1, -1), cx);
            let loss = logits.cross_entropy(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            Ok(loss)
        },
    );
    for _ in 0..epochs {
        let order = rng.permutation(train.len(), device);
        for at in (0..train.len()).step_by(100) {
            step.call(&mut state, &[&order.narrow(0, at, 100)])?;
        }
    }
    let (x, y) = test.gather(&Tensor::arange(test.len(), device));
    let said = state.0.forward(&x.flatten(1, -1), &mut Context::eval());
    let right = said.argmax(1, false).eq(&y).cast(DType::F32).mean();
    Ok(right.item::<f32>()?.into())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (images, tests, epochs) = lesson.pick((20_000, 10_000, 4), (3000, 2000, 4));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (sets, rng) = ((&train, &test), &mut Generator::new(lesson.seed));
    let plain = [
        "rectifier",
        "leaky",
        "parametric",
        "absolute",
        "elu",
        "softplus",
        "sigmoid",
        "tanh",
        "hard tanh",
    ];
    let mut shares = Vec::new();
    for kind in plain {
        let hidden = hidden(kind, rng, device).ok_or("an unknown unit")?;
        shares.push((kind, learn(hidden, sets, epochs, rng)?));
    }
    // Two affine maps for each unit, so half the units for as many weights.
    let maxout = Sequential::new().with("maxout", Maxout::new(784, UNITS, 2, rng, device));
    shares.push(("maxout", learn(maxout, sets, epochs, rng)?));
    // Centres are training images, or no unit would answer to any.
    let (some, _) = train.gather(&rng.integers(0, images as i32, &[UNITS], device));
    let rbf = Rbf::with_centers(&some.flatten(1, -1).detach()?, 8.0);
    shares.push(("radial basis", learn(rbf, sets, epochs, rng)?));
    for (kind, share) in &shares {
        let least = match *kind {
            "radial basis" => lesson.pick(0.85, 0.5),
            _ => lesson.pick(0.93, 0.8),
        };
        lesson.at_least(&format!("{kind}: test images right"), *share, least)?;
    }
    let (names, shares): (Vec<&str>, Vec<f64>) = shares.into_iter().unzip();
    let figure = Figure::new("One hidden layer of 128 units")
        .y("test images right")
        .size(900, 420)
        .percent_y()
        .bar("after the same training", &names, &shares);
    lesson.figure("units", "Which unit matters little here", &figure)
}
