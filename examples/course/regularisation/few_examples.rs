//! Regularisers side by side on 500 digits, with and without: weight decay, dropout, noise on inputs, on weights and on
//! targets (label smoothing), and images moved at random (augmentation), each a line of the same step. Source: Goodfellow,
//! Bengio, Courville, Deep Learning, 7.1, 7.4, 7.5 and 7.12.

use crate::lesson::{Lesson, Result};
use wgrad::data::DeviceDataset;
use wgrad::nn::loss::{Smoothing, l2, smooth_labels};
use wgrad::nn::{Adam, Context, Dropout, Linear, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Optimizer, PadMode, Reduction, Tensor};

const WAYS: [&str; 7] = [
    "nothing",
    "weight decay",
    "dropout",
    "noise on inputs",
    "noise on weights",
    "label smoothing",
    "augmentation",
];

/// Each image moved by up to two pixels in both directions.
fn moved(x: &Tensor, rng: &mut Generator) -> Tensor {
    let (device, each) = (x.device(), [x.size(0), 1]);
    let line = Tensor::arange(28, device);
    let window = (line.reshape(&[28, 1]) * 32 + &line).reshape(&[1, 784]);
    let corner = rng.integers(0, 5, &each, device) * 32 + rng.integers(0, 5, &each, device);
    let wide = x.pad(&[2, 2, 2, 2], PadMode::Constant(0.0)).flatten(1, -1);
    wide.gather(1, &(&window + corner))
}

/// The share of the test images that are right.
fn learn(
    way: &str,
    train: &DeviceDataset,
    (x_test, y_test): (&Tensor, &Tensor),
    steps: usize,
    seed: u64,
) -> wgrad::Result<f64> {
    let device = &x_test.device().clone();
    let rng = &mut Generator::new(seed);
    let layers = (
        Linear::new(784, 256, rng, device),
        Linear::new(256, 10, rng, device),
    );
    type State = ((Linear, Linear), Adam, Context);
    let mut state: State = (layers, Adam::new(1e-3), Context::train(seed));
    let mut step = compile(|(layers, adam, cx): &mut State, index: &[Tensor]| {
        let (x, y) = train.gather(&index[0]);
        let x = match way {
            "augmentation" => moved(&x, &mut cx.rng),
            "noise on inputs" => x.flatten(1, -1) + cx.rng.normal(&[100, 784], device) * 0.3,
            _ => x.flatten(1, -1),
        };
        // Through noisy weights the gradient goes to the true ones.
        let w = match way {
            "noise on weights" => &layers.0.weight + cx.rng.normal(&[256, 784], device) * 0.05,
            _ => layers.0.weight.clone(),
        };
        let mut h = x.linear(&w, layers.0.bias.as_ref()).relu();
        if way == "dropout" {
            h = Dropout::new(0.5).forward(&h, cx);
        }
        let logits = layers.1.forward(&h);
        let target = match way {
            "label smoothing" => smooth_labels(&y, 10, 0.2, Smoothing::All),
            _ => y,
        };
        let mut loss = logits.cross_entropy(&target, Reduction::Mean);
        if let ("weight decay", Some(penalty)) = (way, l2(layers, 1e-3)) {
            loss = loss + penalty;
        }
        let gradients = gradients(&loss, layers)?;
        adam.step(layers, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    for _ in 0..steps {
        let some = rng.integers(0, train.len() as i32, &[100], device);
        step.call(&mut state, &[&some])?;
    }
    let (hidden, out) = state.0;
    let said = out.forward(&hidden.forward(x_test).relu()).argmax(1, false);
    Ok(said
        .eq(y_test)
        .cast(DType::F32)
        .mean()
        .item::<f32>()?
        .into())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (images, tests, steps) = lesson.pick((500, 10_000, 1500), (300, 1000, 200));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x, y) = test.gather(&Tensor::arange(tests, device));
    let (x, y) = (x.flatten(1, -1).detach()?, y.detach()?);
    let mut shares = Vec::new();
    for way in WAYS {
        let share = learn(way, &train, (&x, &y), steps, lesson.seed)?;
        lesson.say(format!("{way}: {share:.4} of the test images right"));
        shares.push(share);
    }
    lesson.at_least(
        "nothing: test images right",
        shares[0],
        lesson.pick(0.8, 0.7),
    )?;
    for (way, share) in WAYS.iter().zip(&shares).skip(1).take(5) {
        lesson.at_least(&format!("{way} beyond nothing"), share - shares[0], -0.03)?;
    }
    let gain = shares[6] - shares[0];
    lesson.at_least(
        "augmentation beyond nothing",
        gain,
        lesson.pick(0.03, -0.03),
    )?;
    let figure = Figure::new("One network, 500 digits")
        .y("test images right")
        .percent_y()
        .size(900, 400)
        .bar("", &WAYS, &shares);
    lesson.figure("bars", "With and without", &figure)
}
