//! VGG: nothing but kernels of 3 by 3 and pooling, in columns. Two of 3 by 3 see as far as one of 5 by 5 with 18 weights for
//! 25. VGG-11 has 132,863,336 weights, of which 9 of 10 are in the full layers. A small one with two blocks is trained on
//! digits. Source: Simonyan and Zisserman, Very Deep Convolutional Networks, 2014; Zhang et al., Dive into Deep Learning, 8.2.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, Context, Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential, compile, gradients, init,
    models::Vgg,
};
use wgrad::plot::Figure;
use wgrad::{ConvOptions, DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

/// `convolutions` of 3 by 3 to `to` channels, then a pooling of 2 by 2.
fn block(
    net: Sequential,
    convolutions: usize,
    from: usize,
    to: usize,
    rng: &mut Generator,
    device: &Device,
) -> Sequential {
    let same = ConvOptions::default().padding([1, 1]);
    let mut net = net;
    for at in 0..convolutions {
        let inputs = if at == 0 { from } else { to };
        let mut conv = Conv2d::new(inputs, to, [3, 3], same, rng, device);
        conv.weight = init::kaiming_normal(&[to, inputs, 3, 3], 0.0, init::Fan::In, rng, device);
        net = net.push(conv).push(Relu);
    }
    net.push(MaxPool2d::new(2))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    // Recorded, not computed: 531 MB of weights are not drawn.
    let large = Vgg::vgg11(1000, rng, device);
    let (all, full) = (large.num_parameters(), large.classifier.num_parameters());
    lesson.close("weights of VGG-11", all as f64, 132_863_336.0, 0.0)?;
    lesson.at_least("share in its full layers", full as f64 / all as f64, 0.9)?;
    drop(large);

    let (images, tests, epochs) = lesson.pick((20_000, 4000, 2), (2000, 1000, 3));
    let (train, test) = lesson.some_digits(images, tests)?;
    let net = block(Sequential::new(), 1, 1, 8, rng, device);
    let net = block(net, 2, 8, 16, rng, device);
    let mut net = net
        .push(Flatten::default())
        .push(Linear::new(16 * 49, 64, rng, device))
        .push(Relu)
        .push(Linear::new(64, 10, rng, device));
    let mut rows = String::new();
    for row in net.summary(&[1, 1, 28, 28], device)? {
        rows += &format!(
            "{:<28} {:<16} {}\n",
            row.kind,
            format!("{:?}", row.output_shape),
            row.parameters
        );
    }
    lesson.say(rows);
    let mut state = (net, Adam::new(2e-3), Context::train(lesson.seed));
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
        for at in (0..images).step_by(100) {
            let loss = step.call(&mut state, &[&order.narrow(0, at, 100)])?;
            if at % 500 == 0 {
                seen.push(epoch * images + at);
                losses.push(loss.item::<f32>()?);
            }
        }
    }
    let (x, y) = test.gather(&Tensor::arange(tests, device));
    let mut right = 0.0;
    for at in (0..tests).step_by(500) {
        let said = state.0.forward(&x.narrow(0, at, 500), &mut Context::eval());
        let correct = said.argmax(1, false).eq(&y.narrow(0, at, 500));
        right += f64::from(correct.cast(DType::F32).sum().item::<f32>()?);
    }
    lesson.at_least(
        "small VGG: test images right",
        right / tests as f64,
        lesson.pick(0.955, 0.85),
    )?;
    let figure = Figure::new("A small VGG on MNIST")
        .x("images seen")
        .y("cross-entropy, nats")
        .log_y()
        .smoothed("train", &seen, &losses, 0.7);
    lesson.figure("loss", "Small kernels in columns", &figure)
}
