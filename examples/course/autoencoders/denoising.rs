//! A denoising autoencoder sees an image with some pixels zeroed and has to give back the whole: `L = ‖x − g(f(x̃))‖²`, here
//! as cross-entropy. To do so it must know what digits look like; one that was trained on whole images does not. Source:
//! Vincent, Larochelle, Bengio, Manzagol, Extracting and Composing Robust Features with Denoising Autoencoders, 2008.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, Relu, Sequential, compile, gradients};
use wgrad::plot::{Figure, Picture};
use wgrad::{DType, Generator, Optimizer, Reduction, Tensor};

/// `x` with a share of its pixels zeroed.
fn corrupt(x: &Tensor, zeroed: f64, rng: &mut Generator) -> Tensor {
    x * rng
        .bernoulli(1.0 - zeroed, x.shape(), x.device())
        .cast(DType::F32)
}

/// An autoencoder that saw images `x` with so much of them zeroed.
fn train(x: &Tensor, zeroed: f64, lesson: &Lesson) -> Result<Sequential> {
    let (device, mut rng) = (&lesson.device, Generator::new(lesson.seed));
    let net = Sequential::new()
        .push(Linear::new(784, 256, &mut rng, device))
        .push(Relu)
        .push(Linear::new(256, 784, &mut rng, device));
    let mut state = (net, Adam::new(0.004), Context::train(lesson.seed));
    let mut step = compile(
        |(net, adam, cx): &mut (Sequential, Adam, Context), b: &[Tensor]| {
            let x = b[0].index_select(0, &b[1]);
            let seen = corrupt(&x, zeroed, &mut cx.rng);
            let back = net.forward(&seen, cx);
            let loss = back.binary_cross_entropy_with_logits(&x, Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            cx.next_step();
            Ok(loss)
        },
    );
    for _ in 0..lesson.pick(2000, 700) {
        let some = rng.integers(0, x.size(0) as i32, &[128], device);
        step.call(&mut state, &[x, &some])?;
    }
    Ok(state.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (known, test) = lesson.digits()?;
    let known = known.truncated(lesson.pick(20_000, 5_000)).pixels(device)?;
    let unseen = test.truncated(1000).pixels(device)?;
    let mut whole = train(&known, 0.0, lesson)?;
    let mut rng = Generator::new(lesson.seed + 1);
    let mut pictures = Vec::new();
    for zeroed in [0.3, 0.5] {
        let mut denoising = train(&known, zeroed, lesson)?;
        let seen = corrupt(&unseen, zeroed, &mut rng).detach()?;
        let back =
            |net: &mut Sequential| net.forward(&seen, &mut Context::eval()).sigmoid().detach();
        let (plain, back) = (back(&mut whole)?, back(&mut denoising)?);
        let error = |x: &Tensor| (x - &unseen).square().mean().item::<f32>();
        let damage = error(&seen)?;
        let [plain_left, left] = [error(&plain)? / damage, error(&back)? / damage];
        lesson.say(format!(
            "{:.0} % zeroed: squared error of a pixel {damage:.4}; of it are left {plain_left:.3} by a plain autoencoder, {left:.3} by this one",
            100.0 * zeroed
        ));
        let name = format!("{:.0} % zeroed: error left", 100.0 * zeroed);
        lesson.at_most(&name, left.into(), lesson.pick(0.45, 0.55))?;
        lesson.at_most(
            &format!("{name}, by that of a plain one"),
            (left / plain_left).into(),
            lesson.pick(0.6, 0.7),
        )?;
        for (name, images) in [
            ("image", &unseen),
            ("seen", &seen),
            ("plain", &plain),
            ("denoised", &back),
        ] {
            for pixels in images.narrow(0, 0, 10).to_vec::<f32>()?.chunks_exact(784) {
                pictures.push(Picture::floats(28, 28, pixels, (0.0, 1.0)).caption(name));
            }
        }
    }
    let figure = Figure::new("30 and 50 % of the pixels zeroed")
        .note("above 30 %, below 50 %; plain: an autoencoder that was trained on whole images")
        .image_grid(10, &pictures);
    lesson.figure(
        "restored",
        "Test images, what was seen of them, and what was made of that",
        &figure,
    )
}
