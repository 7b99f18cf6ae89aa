//! LeNet: two convolutions, two poolings, three full layers, 61,706 weights; and what its convolutions see. Early maps are
//! edges of one direction, later ones coarse parts. Source: LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to
//! Document Recognition, 1998, in its usual modern form.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, compile, gradients, models::LeNet};
use wgrad::plot::{Figure, Picture};
use wgrad::{DType, Generator, Module, Optimizer, PadMode, PoolOptions, Reduction, Tensor};

/// Images of 28 by 28 in the middle of 32 by 32.
fn padded(x: &Tensor) -> Tensor {
    x.pad(&[2, 2, 2, 2], PadMode::Constant(0.0))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, tests, epochs) = lesson.pick((30_000, 5000, 2), (3000, 1000, 3));
    let (train, test) = lesson.some_digits(images, tests)?;
    let net = LeNet::new(1, 10, rng, device);
    lesson.close("weights", net.num_parameters() as f64, 61_706.0, 0.0)?;
    let mut state = (net, Adam::new(2e-3), Context::train(lesson.seed));
    let mut step = compile(
        |(net, adam, cx): &mut (LeNet, Adam, Context), index: &[Tensor]| {
            let (x, y) = train.gather(&index[0]);
            let loss = net
                .forward(&padded(&x), cx)
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
            if at % 500 == 0 {
                seen.push(epoch * images + at);
                losses.push(loss.item::<f32>()?);
            }
        }
    }
    let mut net = state.0;
    let (x, y) = test.gather(&Tensor::arange(tests, device));
    let mut right = 0.0;
    for at in (0..tests).step_by(1000) {
        let said = net.forward(&padded(&x.narrow(0, at, 1000)), &mut Context::eval());
        let correct = said.argmax(1, false).eq(&y.narrow(0, at, 1000));
        right += f64::from(correct.cast(DType::F32).sum().item::<f32>()?);
    }
    lesson.at_least(
        "test images right",
        right / tests as f64,
        lesson.pick(0.94, 0.8),
    )?;
    let figure = Figure::new("LeNet on MNIST")
        .x("images seen")
        .y("cross-entropy, nats")
        .log_y()
        .smoothed("train", &seen, &losses, 0.7);
    lesson.figure("loss", "Loss", &figure)?;
    // One digit through the network.
    let digit = padded(&x.narrow(0, 0, 1));
    let first = net.conv1.forward(&digit).relu();
    let second = net
        .conv2
        .forward(&first.max_pool2d(&PoolOptions::new(2)))
        .relu();
    let strongest = second.amax_dims(&[2, 3], false);
    let active = strongest.gt_scalar(0.1).cast(DType::F32).sum();
    lesson.at_least(
        "later maps of 16 that answer",
        active.item::<f32>()?.into(),
        4.0,
    )?;
    let mut pictures =
        vec![Picture::floats(32, 32, &digit.to_vec::<f32>()?, (0.0, 1.0)).caption("input")];
    for (name, maps) in [("first", &first), ("second", &second)] {
        let side = maps.size(2);
        let top = f64::from(maps.amax().item::<f32>()?);
        let values = maps.to_vec::<f32>()?;
        for (at, map) in values.chunks_exact(side * side).enumerate() {
            pictures.push(
                Picture::floats(side, side, map, (0.0, top)).caption(format!("{name} {}", at + 1)),
            );
        }
    }
    let figure = Figure::new("What each kernel answers").image_grid(8, &pictures);
    lesson.figure("maps", "Feature maps of LeNet", &figure)
}
