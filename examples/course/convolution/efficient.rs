//! Cheaper convolutions, and how to make a network larger. A depthwise kernel for each channel and a mixing of 1 by 1 cost
//! `1/n + 1/k²` of a full convolution to n channels. EfficientNet enlarges depth by α^φ, width by β^φ, resolution by γ^φ with
//! α = 1.2, β = 1.1, γ = 1.15, so that `α β² γ² ≈ 2`: the cost doubles with each φ. Sources: Howard et al., MobileNets, 2017; Tan
//! and Le, EfficientNet, 2019.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, BatchNorm2d, Context, Conv2d, Flatten, Layer, Linear, SeparableConv2d, Sequential, Silu,
    compile, gradients, models::EfficientNet,
};
use wgrad::plot::{Figure, Grid};
use wgrad::{ConvOptions, DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

/// Depth, width and resolution by φ, and the smallest network's weights.
fn scaling(lesson: &mut Lesson, rng: &mut Generator, device: &Device) -> Result {
    let (alpha, beta, gamma) = (1.2f64, 1.1f64, 1.15f64);
    lesson.close("α β² γ²", alpha * beta.powi(2) * gamma.powi(2), 2.0, 0.1)?;
    let mut table = String::from("φ  depth  width  resolution  cost\n");
    for phi in 0..=7 {
        let by = |base: f64| base.powi(phi);
        let cost = by(alpha * beta.powi(2) * gamma.powi(2));
        table += &format!(
            "{phi}  {:.2}   {:.2}   {:<10.0}  {cost:.1}\n",
            by(alpha),
            by(beta),
            224.0 * by(gamma)
        );
    }
    lesson.say(table);
    let b0 = EfficientNet::b0(1000, rng, device);
    lesson.close(
        "weights of EfficientNet-B0",
        b0.num_parameters() as f64,
        5_288_548.0,
        0.0,
    )
}

/// A full and a separable layer of the same shape: weights, and multiply-adds as planned.
fn costs(lesson: &mut Lesson, rng: &mut Generator, device: &Device) -> Result {
    let same = ConvOptions::default().padding([1, 1]);
    let x = rng.normal(&[1, 32, 28, 28], device);
    let mut full = Conv2d::new(32, 64, [3, 3], same, rng, device).without_bias();
    let mut separable = SeparableConv2d::new(32, 64, [3, 3], same, rng, device).without_bias();
    let ratio = separable.num_parameters() as f64 / full.num_parameters() as f64;
    lesson.close(
        "weights, separable by full",
        ratio,
        1.0 / 64.0 + 1.0 / 9.0,
        1e-9,
    )?;
    let cost = |cost: Option<wgrad::PlanCost>| cost.map_or(0.0, |c| c.multiply_adds as f64);
    let dear = compile(|net: &mut Conv2d, x: &[Tensor]| {
        Ok(Layer::forward(net, &x[0], &mut Context::eval()))
    })
    .cost(&mut full, &[&x])?;
    let cheap = compile(|net: &mut SeparableConv2d, x: &[Tensor]| {
        Ok(Layer::forward(net, &x[0], &mut Context::eval()))
    })
    .cost(&mut separable, &[&x])?;
    lesson.close(
        "multiply-adds, separable by full",
        cost(cheap) / cost(dear),
        ratio,
        0.02,
    )
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    scaling(lesson, rng, device)?;
    costs(lesson, rng, device)?;

    // Trained on digits.
    let (images, tests, epochs) = lesson.pick((10_000, 2000, 2), (2000, 500, 2));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    let halves = ConvOptions::default().stride([2, 2]).padding([1, 1]);
    let second: [(&str, Box<dyn Layer>); 2] = [
        (
            "full",
            Box::new(Conv2d::new(16, 32, [3, 3], halves, rng, device)),
        ),
        (
            "separable",
            Box::new(SeparableConv2d::new(16, 32, [3, 3], halves, rng, device)),
        ),
    ];
    let (mut names, mut shares, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (name, layer) in second {
        names.push(name);
        weights.push(layer.num_parameters() as f64);
        let net = Sequential::new()
            .with("first", Conv2d::new(1, 16, [3, 3], halves, rng, device))
            .with("norm", BatchNorm2d::new(16, device))
            .with("silu", Silu)
            .with("second", layer)
            .with("norm2", BatchNorm2d::new(32, device))
            .with("silu2", Silu)
            .with("flatten", Flatten::default())
            .with("out", Linear::new(32 * 49, 10, rng, device));
        let mut state = (net, Adam::new(3e-3), Context::train(lesson.seed));
        let mut step = compile(
            |(net, adam, cx): &mut (Sequential, Adam, Context), index: &[Tensor]| {
                let (x, y) = train.gather(&index[0]);
                let loss = net.forward(&x, cx).cross_entropy(&y, Reduction::Mean);
                let gradients = gradients(&loss, net)?;
                adam.step(net, &gradients)?;
                Ok(loss)
            },
        );
        for _ in 0..epochs {
            let order = rng.permutation(images, device);
            for at in (0..images).step_by(100) {
                step.call(&mut state, &[&order.narrow(0, at, 100)])?;
            }
        }
        let said = state
            .0
            .forward(&x_test, &mut Context::eval())
            .argmax(1, false);
        let right = said.eq(&y_test).cast(DType::F32).mean().item::<f32>()?;
        lesson.at_least(
            &format!("{name}: test images right"),
            right.into(),
            lesson.pick(0.92, 0.6),
        )?;
        shares.push(f64::from(right));
    }
    let bars =
        |title: &str, values: &[f64]| Figure::new(title).size(400, 320).bar("", &names, values);
    let grid = Grid::new(2)
        .figure(bars("Second layer", &weights).y("weights"))
        .figure(
            bars("On digits", &shares)
                .y("test images right")
                .percent_y(),
        );
    lesson.grid("bars", "A seventh of the weights", &grid)
}
