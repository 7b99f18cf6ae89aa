//! Two models of binary images. Factorised, `p(x) = Πᵢ p(xᵢ)`: each pixel by itself. Autoregressive, `p(x) = Πᵢ p(xᵢ |
//! x₁ … xᵢ₋₁)`: each pixel given those before it, here by one masked matrix, a fully visible sigmoid belief network.
//! Samples show the difference. Source: Frey 1998; Larochelle and Murray, The Neural Autoregressive Distribution
//! Estimator, 2011; Goodfellow et al., 20.10.

use crate::lesson::{Lesson, Result};
use wgrad::data::{ImageDataset, Mnist, digits};
use wgrad::nn::{Adam, compile, gradients};
use wgrad::plot::{Figure, Picture};
use wgrad::{DType, Generator, Module, Optimizer, Reduction, Tensor};

const SIDE: usize = 28;
const PIXELS: usize = SIDE * SIDE;

#[derive(Module)]
struct Net {
    weight: Tensor,
    bias: Tensor,
}

impl Net {
    /// Logits of every pixel, from the pixels before it alone.
    fn logits(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.weight.triu(1)) + &self.bias
    }
}

/// Nats of an image.
fn nats(logits: &Tensor, x: &Tensor) -> Tensor {
    logits.binary_cross_entropy_with_logits(x, Reduction::BatchMean)
}

fn train(x: &Tensor, bias: &Tensor, lesson: &Lesson) -> Result<Net> {
    let mut rng = Generator::new(lesson.seed);
    let weight = Tensor::zeros(&[PIXELS, PIXELS], DType::F32, &lesson.device);
    let net = Net {
        weight,
        bias: bias.clone(),
    };
    let mut state = (net, Adam::new(0.01));
    let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
        let x = b[0].index_select(0, &b[1]);
        let loss = nats(&net.logits(&x), &x);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let steps = lesson.pick(600, 200);
    for t in 0..steps {
        state
            .1
            .set_lr(0.01 * (1.0 - t as f64 / steps as f64) + 1e-4);
        let some = rng.integers(0, x.size(0) as i32, &[128], &lesson.device);
        step.call(&mut state, &[x, &some])?;
    }
    Ok(state.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (known, test) = match lesson.data("mnist") {
        Some(folder) => Mnist::load(folder)?,
        None => digits::train_test(20_000, 2_000, lesson.seed),
    };
    let binary = |set: ImageDataset| -> Result<Tensor> {
        let grey = set.pixels(device)?;
        Ok(grey.gt_scalar(0.5).cast(DType::F32).detach()?)
    };
    let x = binary(known.truncated(lesson.pick(20_000, 5_000)))?;
    let unseen = binary(test.truncated(1000))?;

    // Factorised: shares of ones, with one image more of each kind, are the maximum of the likelihood.
    let share = (x.sum_dims(&[0], false) + 1.0) / (x.size(0) as f64 + 2.0);
    let logit = (&share / (1.0 - &share)).log().detach()?;
    let factorised = nats(&logit.broadcast_to(unseen.shape()), &unseen).item::<f32>()?;
    let net = train(&x, &logit, lesson)?;
    let autoregressive = nats(&net.logits(&unseen), &unseen).item::<f32>()?;
    lesson.say(format!(
        "nats of a test image: {factorised:.1} factorised, {autoregressive:.1} autoregressive"
    ));
    let share = f64::from(autoregressive / factorised);
    lesson.at_most("autoregressive by factorised", share, lesson.pick(0.5, 0.7))?;

    // One pixel after the other, for thirty images at once.
    let mut rng = Generator::new(lesson.seed);
    let mut drawn = Tensor::zeros(&[30, PIXELS], DType::F32, device);
    let weight = net.weight.triu(1).detach()?;
    for at in 0..PIXELS {
        let logit = drawn.matmul(&weight.narrow(1, at, 1)) + net.bias.get(at as isize);
        let pixel = rng
            .uniform(&[30, 1], device)
            .lt(&logit.sigmoid())
            .cast(DType::F32);
        drawn = drawn
            .set((.., at as isize..at as isize + 1), &pixel)
            .detach()?;
    }
    let alone = rng
        .uniform(&[30, PIXELS], device)
        .lt(&logit.sigmoid())
        .cast(DType::F32);
    for (name, title, images) in [
        ("factorised", "Each pixel by itself", alone),
        ("autoregressive", "Each pixel given those before", drawn),
    ] {
        let all = images.to_vec::<f32>()?;
        let pictures = all
            .chunks_exact(PIXELS)
            .map(|p| Picture::floats(SIDE, SIDE, p, (0.0, 1.0)));
        let figure = Figure::new(title).image_grid(10, &pictures.collect::<Vec<_>>());
        lesson.figure(name, title, &figure)?;
    }
    Ok(())
}
