//! A deconvolutional network runs a convolutional one backwards: from a description to the image. Transposed convolutions put
//! each number down as a patch and add where patches overlap, so that 4×4 becomes 8×8 becomes 16×16 becomes 32×32. Told a shape, a
//! place, a size and an angle, it draws them; triangles it has never seen in a strip in the middle, and draws them there, too. Source:
//! Zeiler et al., Deconvolutional Networks, 2010; Dosovitskiy, Springenberg, Brox, Learning to Generate Chairs, 2015.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, Context, ConvTranspose2d, Linear, Relu, Sequential, Unflatten, compile, gradients,
};
use wgrad::plot::{Figure, Picture};
use wgrad::{ConvTransposeOptions, DType, Device, Generator, Optimizer, Reduction, Tensor};

const SIDE: usize = 32;
/// Half of the strip, in the middle of x from −0.5 to 0.5, that no triangle is shown in.
const STRIP: f64 = 0.12;

/// Descriptions `[n, 8]`: disc, square or triangle (one-hot), x, y, size, cosine and sine of the angle.
fn describe(kind: &Tensor, place: &Tensor, rng: &mut Generator) -> Tensor {
    let [size, angle] = [1, 1].map(|wide| rng.uniform(&[kind.size(0), wide], kind.device()));
    let (kind, angle) = (
        kind.one_hot(3).cast(DType::F32),
        angle * std::f64::consts::TAU,
    );
    let parts = [
        &kind,
        place,
        &(size * 0.2 + 0.25),
        &angle.cos(),
        &angle.sin(),
    ];
    Tensor::cat(&parts, 1)
}

/// Any of them, but that triangles of the middle strip move to the right.
fn known(n: usize, rng: &mut Generator, device: &Device) -> Tensor {
    let place = rng.uniform(&[n, 2], device) - 0.5;
    let kind = rng.integers(0, 3, &[n], device);
    let (x, y) = (place.narrow(1, 0, 1), place.narrow(1, 1, 1));
    let triangle = kind.eq_scalar(2.0).unsqueeze(1);
    let away = triangle.logical_and(&x.abs().lt_scalar(STRIP));
    let x = Tensor::where_(&away, &(&x + 2.0 * STRIP), &x);
    describe(&kind, &Tensor::cat(&[&x, &y], 1), rng)
}

/// Triangles of the middle strip.
fn strip(n: usize, rng: &mut Generator, device: &Device) -> Tensor {
    let [x, y] = [2.0 * STRIP, 1.0].map(|wide| (rng.uniform(&[n, 1], device) - 0.5) * wide);
    let kind = Tensor::full(&[n], 2.0, DType::I32, device);
    describe(&kind, &Tensor::cat(&[&x, &y], 1), rng)
}

/// The images `[n, 32, 32]` by geometry, y upwards: how far within the shape a pixel lies becomes its ink.
fn draw(told: &Tensor) -> Tensor {
    let axis = Tensor::linspace(-1.0, 1.0, SIDE, told.device());
    let column = |at: usize| told.narrow(1, at, 1).unsqueeze(2);
    let x = axis.reshape(&[1, 1, -1]) - column(3);
    let y = -axis.reshape(&[1, -1, 1]) - column(4);
    let (size, cos, sin) = (column(5), column(6), column(7));
    let (u, v) = (
        (&x * &cos + &y * &sin) / &size,
        (&y * &cos - &x * &sin) / &size,
    );
    let disc = 1.0 - (u.square() + v.square() + 1e-6).sqrt();
    let square = 0.8 - u.abs().maximum(&v.abs());
    let triangle = 0.5 - (u.abs() * 0.75f64.sqrt() + &v * 0.5).maximum(&(-&v));
    let within = disc * column(0) + square * column(1) + triangle * column(2);
    (within * size * 20.0).sigmoid()
}

/// Logits of the image's pixels `[n, 1, 32, 32]`.
fn network(rng: &mut Generator, device: &Device) -> Sequential {
    let [first, second] = [(8, 128), (128, 512)].map(|(a, b)| Linear::new(a, b, rng, device));
    let double = ConvTransposeOptions::default()
        .stride([2, 2])
        .padding([1, 1]);
    let [to_8, to_16, to_32] = [(32, 32), (32, 16), (16, 1)]
        .map(|(a, b)| ConvTranspose2d::new(a, b, [4, 4], double, rng, device));
    Sequential::new()
        .push(first)
        .push(Relu)
        .push(second)
        .push(Relu)
        .push(Unflatten::new(1, &[32, 4, 4]))
        .push(to_8)
        .push(Relu)
        .push(to_16)
        .push(Relu)
        .push(to_32)
}

/// What it leaves of the variance about the mean image.
fn left(net: &mut Sequential, told: &Tensor) -> wgrad::Result<f64> {
    let truth = draw(told);
    let said = net.forward(told, &mut Context::eval()).squeeze(1).sigmoid();
    let variance = truth.var_dims(&[0], 0.0, false).mean();
    let error = said.mse_loss(&truth, Reduction::Mean);
    Ok((error / variance).item::<f32>()?.into())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let cx = Context::train(lesson.seed + 1);
    let mut state = (network(&mut rng, device), Adam::new(0.003), cx);
    type State = (Sequential, Adam, Context);
    let mut step = compile(|(net, adam, cx): &mut State, _: &[Tensor]| {
        let told = known(64, &mut cx.rng, device);
        let logits = net.forward(&told, cx).squeeze(1);
        let loss = logits.binary_cross_entropy_with_logits(&draw(&told), Reduction::BatchMean);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    let steps = lesson.pick(1500, 300);
    let mut losses = Vec::new();
    for t in 0..steps {
        let rate = 0.003 * (1.0 - t as f64 / (steps + 1) as f64);
        state.1.set_lr(rate);
        losses.push(step.call(&mut state, &[])?.item::<f32>()?);
    }
    let net = &mut state.0;
    let seen = left(net, &known(300, &mut rng, device))?;
    let (most, beyond) = lesson.pick((0.05, 0.25), (0.4, 0.55));
    lesson.at_most("variance left, new descriptions", seen, most)?;
    let never = left(net, &strip(300, &mut rng, device))?;
    lesson.at_most("variance left, where none was", never, beyond)?;

    let asked = [known(6, &mut rng, device), strip(6, &mut rng, device)];
    let asked = Tensor::cat(&[&asked[0], &asked[1]], 0);
    let said = net
        .forward(&asked, &mut Context::eval())
        .squeeze(1)
        .sigmoid();
    let all = Tensor::cat(&[&draw(&asked), &said], 0).to_vec::<f32>()?;
    let images = all.chunks_exact(SIDE * SIDE);
    let images: Vec<_> = images
        .map(|p| Picture::floats(SIDE, SIDE, p, (0.0, 1.0)))
        .collect();
    let figure = Figure::new("By geometry, and below by the network").image_grid(12, &images);
    let title = "Six new descriptions, and six triangles where it was never shown one";
    lesson.figure("drawn", title, &figure)?;
    let at: Vec<usize> = (1..=steps).collect();
    let figure = Figure::new("Learning to draw")
        .x("step")
        .y("nats of an image");
    let figure = figure.smoothed("train", &at, &losses, 0.9);
    lesson.figure("loss", "From a description to the image", &figure)
}
