//! XOR. A linear model can only answer 0.5 everywhere. Two rectified units fold the square so that a line suffices:
//! `f(x) = wᵀ max(0, Wᵀx + c)` with W of ones, c = (0, −1), w = (1, −2). Then the same network learns it. Source:
//! Goodfellow, Bengio, Courville, Deep Learning, 6.1.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, Sequential, Tanh, gradients};
use wgrad::plot::{Figure, Surface};
use wgrad::{DType, Generator, Optimizer, Reduction, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let x = Tensor::from_slice(
        &[0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0],
        &[4, 2],
        device,
    );
    let y = Tensor::from_slice(&[0.0f32, 1.0, 1.0, 0.0], &[4, 1], device);

    // The best linear model, in closed form.
    let with_one = Tensor::cat(&[&x, &Tensor::ones(&[4, 1], DType::F32, device)], 1);
    let linear = with_one.matmul(&with_one.lstsq(&y, None)).to_vec::<f32>()?;
    for (at, said) in linear.iter().enumerate() {
        lesson.close(
            &format!("linear model at point {at}"),
            f64::from(*said),
            0.5,
            1e-5,
        )?;
    }

    // The lecture's weights.
    let w1 = Tensor::ones(&[2, 2], DType::F32, device);
    let c = Tensor::new(&[0.0f32, -1.0], device);
    let w2 = Tensor::from_slice(&[1.0f32, -2.0], &[2, 1], device);
    let hidden = (x.matmul(&w1) + &c).relu();
    lesson.say(format!(
        "hidden units: (0, 1) and (1, 0) fall on one point\n{hidden}"
    ));
    let exact = hidden.matmul(&w2).to_vec::<f32>()?;
    for (at, (said, want)) in exact.iter().zip([0.0, 1.0, 1.0, 0.0]).enumerate() {
        lesson.close(
            &format!("two units at point {at}"),
            f64::from(*said),
            want,
            0.0,
        )?;
    }

    learn(lesson, &x, &y)
}

/// The same with a hidden layer of 8, learned.
fn learn(lesson: &mut Lesson, x: &Tensor, y: &Tensor) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let mut net = Sequential::new()
        .with("hidden", Linear::new(2, 8, &mut rng, device))
        .with("tanh", Tanh)
        .with("out", Linear::new(8, 1, &mut rng, device));
    let (mut adam, mut context) = (Adam::new(0.05), Context::train(lesson.seed));
    for _ in 0..400 {
        let loss = net
            .forward(x, &mut context)
            .binary_cross_entropy_with_logits(y, Reduction::Mean);
        let gradients = gradients(&loss, &net)?;
        adam.step(&mut net, &gradients)?;
    }
    let learned = net
        .forward(x, &mut Context::eval())
        .sigmoid()
        .to_vec::<f32>()?;
    for (at, (said, want)) in learned.iter().zip([0.0, 1.0, 1.0, 0.0]).enumerate() {
        lesson.close(
            &format!("learned, point {at}"),
            f64::from(*said),
            want,
            0.05,
        )?;
    }

    let (side, lo, hi) = (61, -0.5, 1.5);
    let line = Tensor::linspace(lo, hi, side, device);
    let grid = Tensor::stack(
        &[&line.repeat(&[side]), &line.repeat_interleave(side, 0)],
        1,
    );
    let said = net
        .forward(&grid, &mut Context::eval())
        .sigmoid()
        .gt_scalar(0.5)
        .cast(DType::F32)
        .to_vec::<f32>()?;
    let figure = Figure::new("What the network says")
        .x("x₁")
        .y("x₂")
        .equal()
        .regions(&Surface::new((lo, hi), (lo, hi), side, side, &said))
        .size(520, 480)
        .scatter("0", &[0.0, 1.0], &[0.0, 1.0])
        .scatter("1", &[0.0, 1.0], &[1.0, 0.0]);
    lesson.figure("plane", "Learned XOR", &figure)
}
