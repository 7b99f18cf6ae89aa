//! A deconvolutional network runs a convolutional one backwards: from a description to the image. Transposed convolutions put
//! each number down as a patch and add where patches overlap, so that 4×4 becomes 8×8 becomes 16×16 becomes 32×32. Told a shape, a
//! place and a size, it draws them; triangles it has never seen in a strip in the middle, and draws them there, too. Source: Zeiler et
//! al., Deconvolutional Networks, 2010; Dosovitskiy, Springenberg, Brox, Learning to Generate Chairs, 2015.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, Context, ConvTranspose2d, Linear, Relu, Sequential, Unflatten, compile, gradients,
};
use wgrad::plot::{Figure, Picture};
use wgrad::{ConvTransposeOptions, DType, Device, Generator, Optimizer, Reduction, Tensor};

const SIDE: usize = 32;
/// Half of the strip, in the middle of x from −0.5 to 0.5, that no triangle is shown in.
const STRIP: f64 = 0.12;

/// Descriptions `[n, 6]`: disc, square or triangle (one-hot), x, y, size, all of about the same scale.
fn describe(kind: &Tensor, place: &Tensor, rng: &mut Generator) -> Tensor {
    let size = rng.uniform(&[kind.size(0), 1], kind.device()) - 0.5;
    Tensor::cat(
        &[&kind.one_hot(3).cast(DType::F32), &(place * 2.0), &size],
        1,
    )
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
    let size = column(5) * 0.2 + 0.4;
    let u = (axis.reshape(&[1, 1, -1]) - column(3) * 0.5) / &size;
    let v = (-axis.reshape(&[1, -1, 1]) - column(4) * 0.5) / &size;
    let disc = 1.0 - (u.square() + v.square() + 1e-6).sqrt();
    let square = 0.8 - u.abs().maximum(&v.abs());
    let triangle = 0.5 - (u.abs() * 0.75f64.sqrt() + &v * 0.5).maximum(&(-&v));
    let within = disc * column(0) + square * column(1) + triangle * column(2);
    (within * size * 40.0).sigmoid()
}

/// Logits of the image's pixels `[n, 1, 32, 32]`.
fn network(rng: &mut Generator, device: &Device) -> Sequential {
    let [first, second] = [(6, 128), (128, 512)].map(|(a, b)| Linear::new(a, b, rng, device));
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

/// What it leaves of the variance about the mean image, and how many images are nearest to the shape asked for, of the three of
/// that place and size.
fn judge(net: &mut Sequential, told: &Tensor) -> wgrad::Result<[f64; 2]> {
    let (n, truth) = (told.size(0), draw(told));
    let said = net.forward(told, &mut Context::eval()).squeeze(1).sigmoid();
    let left = (&said - &truth).square().mean() / truth.var_dims(&[0], 0.0, false).mean();
    let off = [0, 1, 2].map(|kind| {
        let hot = Tensor::full(&[n], f64::from(kind), DType::I32, told.device()).one_hot(3);
        let other = Tensor::cat(&[&hot.cast(DType::F32), &told.narrow(1, 3, 3)], 1);
        (&said - draw(&other)).square().mean_dims(&[1, 2], false)
    });
    let nearest = Tensor::stack(&off.each_ref(), 1).argmin(1, false);
    let right = nearest.eq(&told.narrow(1, 0, 3).argmax(1, false));
    let right = right.cast(DType::F32).mean().item::<f32>()?;
    Ok([left.item::<f32>()?.into(), right.into()])
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let cx = Context::train(lesson.seed + 1);
    let mut state = (network(&mut rng, device), Adam::new(0.01), cx);
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
    let steps = lesson.pick(800, 300);
    for t in 0..steps {
        let rate = 0.01 * (1.0 - t as f64 / (steps + 1) as f64);
        state.1.set_lr(rate);
        step.call(&mut state, &[])?;
    }
    let net = &mut state.0;
    let [left, shapes] = judge(net, &known(300, &mut rng, device))?;
    let [_, never] = judge(net, &strip(300, &mut rng, device))?;
    lesson.at_most("variance left", left, lesson.pick(0.05, 0.4))?;
    lesson.at_least("shapes right", shapes, lesson.pick(0.95, 0.65))?;
    lesson.at_least("triangles where none was", never, lesson.pick(0.9, 0.6))?;

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
    lesson.figure("drawn", title, &figure)
}
