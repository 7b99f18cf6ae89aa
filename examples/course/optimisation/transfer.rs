//! Transfer: a convolutional network learns the digits 0 to 4 from many images; its first layers then serve for 5 to 9, of which
//! there are five images each. Frozen layers with a new last one, all weights tuned, or all from the beginning. Source:
//! Yosinski, Clune, Bengio, Lipson 2014; Goodfellow, Bengio, Courville, Deep Learning, 15.2.

use crate::lesson::{Lesson, Result};
use wgrad::data::DeviceDataset;
use wgrad::nn::{
    Adam, Context, Conv2d, Flatten, Linear, MaxPool2d, Module, Relu, Sequential, compile,
    gradients_where,
};
use wgrad::plot::Figure;
use wgrad::{ConvOptions, DType, Device, Generator, Optimizer, Reduction, Tensor};

#[derive(Module)]
struct Net {
    features: Sequential,
    head: Linear,
}

impl Net {
    fn new(rng: &mut Generator, device: &Device) -> Net {
        let plain = ConvOptions::default();
        Net {
            features: Sequential::new()
                .with("conv", Conv2d::new(1, 8, [5, 5], plain, rng, device))
                .with("relu", Relu)
                .with("pool", MaxPool2d::new(2))
                .with("conv2", Conv2d::new(8, 16, [5, 5], plain, rng, device))
                .with("relu2", Relu)
                .with("pool2", MaxPool2d::new(2))
                .with("flatten", Flatten::default()),
            head: Linear::new(256, 5, rng, device),
        }
    }

    fn forward(&mut self, x: &Tensor) -> Tensor {
        self.head
            .forward(&self.features.forward(x, &mut Context::eval()))
    }
}

/// Trains on images of these places; classes count from `first`.
fn train(
    net: Net,
    set: &DeviceDataset,
    places: &Tensor,
    (first, frozen, steps, rate): (i32, bool, usize, f64),
    rng: &mut Generator,
) -> wgrad::Result<Net> {
    let device = &places.device().clone();
    let mut state = (net, Adam::new(rate));
    let mut step = compile(|(net, adam): &mut (Net, Adam), index: &[Tensor]| {
        let (x, y) = set.gather(&index[0]);
        let loss = net.forward(&x).cross_entropy(&(y - first), Reduction::Mean);
        let gradients = gradients_where(&loss, net, |name, _| !frozen || name.starts_with("head"))?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..steps {
        let some = rng.integers(0, places.numel() as i32, &[50], device);
        step.call(&mut state, &[&places.index_select(0, &some)])?;
    }
    Ok(state.0)
}

/// Places of images whose digit lies in `from..to`, at most `most` of each.
fn places(
    set: &DeviceDataset,
    (from, to): (i32, i32),
    most: usize,
    device: &Device,
) -> wgrad::Result<Tensor> {
    let labels = set
        .gather(&Tensor::arange(set.len(), device))
        .1
        .to_vec::<i32>()?;
    let mut chosen = Vec::new();
    for digit in from..to {
        let of = (0..labels.len()).filter(|at| labels[*at] == digit);
        chosen.extend(of.take(most).map(|at| at as i32));
    }
    Ok(Tensor::new(&chosen, device))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, tests, steps) = lesson.pick((20_000, 4000, 500), (4000, 1000, 300));
    let (set, test) = lesson.some_digits(images, tests)?;
    let low = places(&set, (0, 5), usize::MAX, device)?;
    let few = places(&set, (5, 10), 5, device)?;
    let (x, y) = test.gather(&places(&test, (5, 10), usize::MAX, device)?);
    let first = train(
        Net::new(rng, device),
        &set,
        &low,
        (0, false, steps, 2e-3),
        rng,
    )?;
    let learned = first.features.state();
    let mut shares = Vec::new();
    let ways = [
        ("from the beginning", false, false),
        ("frozen layers, new head", true, true),
        ("all layers tuned", true, false),
    ];
    for (name, transferred, frozen) in ways {
        let mut net = Net::new(rng, device);
        if transferred {
            net.features.load_state(&learned)?;
        }
        let mut net = train(net, &set, &few, (5, frozen, 300, 1e-3), rng)?;
        let right = (net.forward(&x).argmax(1, false) + 5)
            .eq(&y)
            .cast(DType::F32)
            .mean();
        shares.push(f64::from(right.item::<f32>()?));
        lesson.say(format!(
            "{name}: {:.4} of the digits 5 to 9 right",
            shares[shares.len() - 1]
        ));
    }
    let gain = shares[1] - shares[0];
    lesson.at_least(
        "frozen, beyond from the beginning",
        gain,
        lesson.pick(0.02, 0.0),
    )?;
    lesson.at_least("frozen: images right", shares[1], lesson.pick(0.6, 0.5))?;
    let names = ways.map(|(name, ..)| name);
    let figure = Figure::new("Five images of each of 5 to 9")
        .y("test images right")
        .percent_y()
        .bar("", &names, &shares);
    lesson.figure("bars", "What 0 to 4 teach about 5 to 9", &figure)
}
