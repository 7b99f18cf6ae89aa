//! Adversarial examples: a change that nobody sees, `x + ε sign(∂ loss / ∂x)`, changes what a network says, and not only by
//! accident: a network is nearly linear, and ε times 784 signs add up. Training on such examples as well makes it robust.
//! Source: Goodfellow, Shlens, Szegedy, Explaining and Harnessing Adversarial Examples, 2014; Deep Learning, 7.13.

use crate::lesson::{Lesson, Result};
use wgrad::nn::loss::fgsm;
use wgrad::nn::{Adam, Linear, compile, gradients};
use wgrad::plot::{Figure, Picture};
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

const EPSILON: f64 = 0.1;

#[derive(Module)]
struct Net {
    hidden: Linear,
    out: Linear,
}

impl Net {
    fn new(rng: &mut Generator, device: &Device) -> Net {
        Net {
            hidden: Linear::new(784, 256, rng, device),
            out: Linear::new(256, 10, rng, device),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.out
            .forward(&self.hidden.forward(&x.flatten(1, -1)).relu())
    }

    /// Images changed by ε in each pixel, within 0 and 1.
    fn attack(&self, x: &Tensor, y: &Tensor) -> wgrad::Result<Tensor> {
        let loss = |x: &Tensor| self.forward(x).cross_entropy(y, Reduction::Sum);
        Ok(fgsm(loss, x, EPSILON)?.clamp(0.0, 1.0))
    }
}

fn right(said: &Tensor, y: &Tensor) -> wgrad::Result<f64> {
    let right = said.argmax(1, false).eq(y).cast(DType::F32).mean();
    Ok(right.item::<f32>()?.into())
}

/// Digits, the change, and what they are then taken for.
fn grid(lesson: &mut Lesson, net: &Net, (some, is): (&Tensor, &Tensor)) -> Result {
    let worse = net.attack(some, is)?.detach()?;
    let change = ((&worse - some) / (2.0 * EPSILON) + 0.5).to_vec::<f32>()?;
    let said = [some, &worse].map(|x| net.forward(x).argmax(1, false).to_vec::<i32>());
    let [before, after] = said;
    let (before, after, is) = (before?, after?, is.to_vec::<i32>()?);
    let mut pictures = Vec::new();
    for (images, said) in [
        (some.to_vec::<f32>()?, Some(&before)),
        (change, None),
        (worse.to_vec::<f32>()?, Some(&after)),
    ] {
        for (at, image) in images.chunks_exact(784).enumerate() {
            let picture = Picture::floats(28, 28, image, (0.0, 1.0));
            pictures.push(match said {
                Some(said) => picture
                    .caption(said[at].to_string())
                    .right(said[at] == is[at]),
                None => picture.caption("change"),
            });
        }
    }
    let figure = Figure::new("A tenth of the grey scale is enough").image_grid(8, &pictures);
    lesson.figure(
        "grid",
        "Digits, changes, and what they are taken for",
        &figure,
    )
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (images, tests, epochs) = lesson.pick((20_000, 5000, 4), (3000, 1000, 5));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x, y) = test.gather(&Tensor::arange(tests, device));
    let mut nets = Vec::new();
    for adversarial in [false, true] {
        let rng = &mut Generator::new(lesson.seed);
        let mut state = (Net::new(rng, device), Adam::new(1e-3));
        let mut step = compile(|(net, adam): &mut (Net, Adam), index: &[Tensor]| {
            let (x, y) = train.gather(&index[0]);
            let mut loss = net.forward(&x).cross_entropy(&y, Reduction::Mean);
            if adversarial {
                let worse = net.attack(&x, &y)?;
                loss = (loss + net.forward(&worse).cross_entropy(&y, Reduction::Mean)) * 0.5;
            }
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            Ok(loss)
        });
        for _ in 0..epochs {
            let order = rng.permutation(images, device);
            for at in (0..images).step_by(100) {
                step.call(&mut state, &[&order.narrow(0, at, 100)])?;
            }
        }
        nets.push(state.0);
    }
    let mut shares = Vec::new();
    for net in &nets {
        let worse = net.attack(&x, &y)?.detach()?;
        shares.push([
            right(&net.forward(&x), &y)?,
            right(&net.forward(&worse), &y)?,
        ]);
    }
    lesson.at_least(
        "before: test images right",
        shares[0][0],
        lesson.pick(0.91, 0.8),
    )?;
    lesson.at_most("under attack", shares[0][1], lesson.pick(0.4, 0.45))?;
    lesson.at_least(
        "after adversarial training",
        shares[1][0],
        lesson.pick(0.91, 0.8),
    )?;
    lesson.at_least("under attack", shares[1][1], lesson.pick(0.65, 0.5))?;
    // As far, but at random.
    let noise = Generator::new(lesson.seed + 1)
        .normal(x.shape(), device)
        .sign()
        * EPSILON;
    let random = right(&nets[0].forward(&(&x + noise).clamp(0.0, 1.0)), &y)?;
    lesson.at_least(
        "before, with signs at random",
        random,
        lesson.pick(0.8, 0.7),
    )?;

    let names = ["as they are", "attacked"];
    let figure = Figure::new("Test images right")
        .y("share")
        .percent_y()
        .y_range(0.0, 1.0)
        .bar("trained as usual", &names, &shares[0])
        .bar("trained on attacks too", &names, &shares[1]);
    lesson.figure(
        "shares",
        "Before, under attack, and after adversarial training",
        &figure,
    )?;
    grid(lesson, &nets[0], (&x.narrow(0, 0, 8), &y.narrow(0, 0, 8)))
}
