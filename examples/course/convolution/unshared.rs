//! Between a convolution and a full layer: an unshared one (locally connected) has a kernel for each place, a tiled one a few
//! kernels that take turns. With one tile, or with all kernels equal, both are the convolution. Source: Goodfellow, Bengio,
//! Courville, Deep Learning, 9.5 and figures 9.14, 9.16; Gregor and LeCun 2010; Le et al. 2010.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, Context, Conv2d, Flatten, Layer, Linear, LocallyConnected2d, MaxPool2d, Relu, Sequential,
    TiledConv2d, compile, gradients,
};
use wgrad::plot::{Figure, Grid};
use wgrad::{ConvOptions, DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

/// With all kernels equal the three are one.
fn equal_kernels(lesson: &mut Lesson, rng: &mut Generator, device: &Device) -> Result {
    let plain = ConvOptions::default();
    let x = rng.normal(&[2, 1, 12, 12], device);
    let shared = Conv2d::new(1, 4, [5, 5], plain, rng, device).without_bias();
    let want = shared.forward(&x);
    let everywhere = |rows: usize, columns: usize| {
        let each = shared.weight.unsqueeze(0).unsqueeze(0);
        each.broadcast_to(&[rows, columns, 4, 1, 5, 5])
    };
    let off =
        |y: &Tensor| -> wgrad::Result<f64> { Ok((y - &want).abs().amax().item::<f32>()?.into()) };
    let local = x.local_conv2d(&everywhere(8, 8), None, &plain);
    lesson.at_most(
        "unshared with equal kernels against conv2d",
        off(&local)?,
        1e-5,
    )?;
    let tiled = x.tiled_conv2d(&everywhere(1, 1), None, &plain);
    lesson.at_most("one tile against conv2d", off(&tiled)?, 1e-5)?;
    let tiled = x.tiled_conv2d(&everywhere(3, 3), None, &plain);
    lesson.at_most("equal tiles against conv2d", off(&tiled)?, 1e-5)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let plain = ConvOptions::default();

    equal_kernels(lesson, rng, device)?;

    // Learned on few digits, where fewer weights need fewer examples.
    let (images, tests, epochs) = lesson.pick((4000, 4000, 12), (500, 500, 10));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    let shared = Conv2d::new(1, 8, [5, 5], plain, rng, device);
    let tiled = TiledConv2d::new(1, 8, [2, 2], [5, 5], plain, rng, device);
    let local = LocallyConnected2d::new(1, 8, [24, 24], [5, 5], plain, rng, device);
    let layers: [(&str, Box<dyn Layer>); 3] = [
        ("shared", Box::new(shared)),
        ("tiled 2x2", Box::new(tiled)),
        ("unshared", Box::new(local)),
    ];
    let (mut names, mut weights, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for (name, layer) in layers {
        names.push(name);
        weights.push(layer.num_parameters() as f64);
        let net = Sequential::new()
            .with("first", layer)
            .with("relu", Relu)
            .with("pool", MaxPool2d::new(4))
            .with("flatten", Flatten::default())
            .with("out", Linear::new(8 * 36, 10, rng, device));
        let mut state = (net, Adam::new(3e-3), Context::train(lesson.seed));
        let mut step = compile(
            |(net, adam, cx): &mut (Sequential, Adam, Context), i: &[Tensor]| {
                let (x, y) = train.gather(&i[0]);
                let loss = net.forward(&x, cx).cross_entropy(&y, Reduction::Mean);
                let gradients = gradients(&loss, net)?;
                adam.step(net, &gradients)?;
                Ok(loss)
            },
        );
        for _ in 0..epochs {
            let order = rng.permutation(images, device);
            for at in (0..images).step_by(50) {
                step.call(&mut state, &[&order.narrow(0, at, 50)])?;
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
            lesson.pick(0.9, 0.75),
        )?;
        shares.push(f64::from(right));
    }
    lesson.close("weights of the shared layer", weights[0], 208.0, 0.0)?;
    lesson.close("of the tiled one", weights[1], 4.0 * 208.0, 0.0)?;
    lesson.close("of the unshared one", weights[2], 576.0 * 208.0, 0.0)?;
    let bars =
        |title: &str, values: &[f64]| Figure::new(title).size(400, 320).bar("", &names, values);
    let grid = Grid::new(2)
        .figure(bars("Weights of the layer", &weights).y("weights"))
        .figure(
            bars("On few digits", &shares)
                .y("test images right")
                .percent_y(),
        );
    lesson.grid("bars", "Shared, tiled, unshared", &grid)
}
