//! The variational autoencoder: an encoder says where a code lies, `q(z|x) = N(μ, σ²)`, a decoder what it means, and
//! both climb a bound of the likelihood, `ln p(x) ≥ E ln p(x|z) − KL(q(z|x) ‖ N(0, I))`, through samples `z = μ + σ ε`.
//! Grey levels are the targets of a Bernoulli, as is usual. Source: Kingma and Welling, Auto-Encoding Variational
//! Bayes, 2014.

use crate::lesson::{Lesson, Result};
use wgrad::data::DeviceDataset;
use wgrad::nn::{Adam, Context, Linear, compile, gradients};
use wgrad::plot::{Figure, Picture};
use wgrad::{Generator, Module, Optimizer, Reduction, Tensor};

const CODE: usize = 20;

#[derive(Module)]
struct Vae {
    hidden: Linear,
    code: Linear,
    back: Linear,
    out: Linear,
}

impl Vae {
    /// Mean and logarithm of the variance.
    fn encode(&self, x: &Tensor) -> (Tensor, Tensor) {
        let both = self.code.forward(&self.hidden.forward(x).relu());
        (both.narrow(1, 0, CODE), both.narrow(1, CODE, CODE))
    }

    fn decode(&self, z: &Tensor) -> Tensor {
        self.out.forward(&self.back.forward(z).relu())
    }

    /// The bound, in nats, mean over images `[batch, 784]`.
    fn bound(&self, x: &Tensor, rng: &mut Generator) -> Tensor {
        let (mean, log_variance) = self.encode(x);
        let z = &mean + (&log_variance * 0.5).exp() * rng.normal(mean.shape(), x.device());
        let likelihood = -self
            .decode(&z)
            .binary_cross_entropy_with_logits(x, Reduction::BatchMean);
        let kl = (mean.square() + log_variance.exp() - &log_variance - 1.0) * 0.5;
        likelihood - kl.sum() / x.size(0) as f64
    }
}

/// An image of a row of logits.
fn picture(logits: &Tensor) -> wgrad::Result<Picture> {
    let pixels = logits.sigmoid().to_vec::<f32>()?;
    Ok(Picture::floats(28, 28, &pixels, (0.0, 1.0)))
}

/// The network, the bound of test images after each epoch, and what it makes then of four codes.
fn train(
    known: &DeviceDataset,
    unseen: &Tensor,
    lesson: &Lesson,
) -> Result<(Vae, Vec<f32>, Vec<Tensor>)> {
    let (device, wide) = (&lesson.device, lesson.pick(400, 200));
    let mut rng = Generator::new(lesson.seed);
    let net = Vae {
        hidden: Linear::new(784, wide, &mut rng, device),
        code: Linear::new(wide, 2 * CODE, &mut rng, device),
        back: Linear::new(CODE, wide, &mut rng, device),
        out: Linear::new(wide, 784, &mut rng, device),
    };
    let mut state = (net, Adam::new(0.003), Context::train(lesson.seed));
    let mut step = compile(|(net, adam, cx): &mut (Vae, Adam, Context), b: &[Tensor]| {
        let x = known.gather(&b[0]).0.flatten(1, -1);
        let loss = -net.bound(&x, &mut cx.rng);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        cx.next_step();
        Ok(loss)
    });
    let codes = rng.normal(&[4, CODE], device).detach()?;
    let (epochs, batches) = (lesson.pick(10, 4), known.len() / 100);
    let (mut bounds, mut film) = (Vec::new(), Vec::new());
    for epoch in 0..=epochs {
        bounds.push(state.0.bound(unseen, &mut rng).item::<f32>()?);
        film.push(state.0.decode(&codes).detach()?);
        let order = rng.permutation(known.len(), device).detach()?;
        for at in (0..batches).take_while(|_| epoch < epochs) {
            // The rate falls in a straight line, so that the last steps settle.
            let left = 1.0 - (epoch * batches + at) as f64 / (epochs * batches) as f64;
            state.1.set_lr(0.003 * left + 1e-5);
            step.call(&mut state, &[&order.narrow(0, at * 100, 100)])?;
        }
    }
    Ok((state.0, bounds, film))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (known, test) = lesson.digits()?;
    let known = known.truncated(lesson.pick(60_000, 6_000));
    let unseen = test.truncated(lesson.pick(10_000, 1000)).pixels(device)?;
    let (net, bounds, film) = train(&DeviceDataset::new(&known, device)?, &unseen, lesson)?;
    let end = bounds[bounds.len() - 1];
    lesson.say(format!("untrained: {:.1} nats", bounds[0]));
    let goal = match lesson.data("mnist") {
        Some(_) => lesson.pick(-105.0, -220.0),
        None => -220.0,
    };
    lesson.at_least("bound of test images, nats", end.into(), goal)?;
    let at: Vec<usize> = (1..bounds.len()).collect();
    let figure = Figure::new("The bound")
        .x("epoch")
        .y("nats of a test image")
        .dotted_line("test images", &at, &bounds[1..]);
    lesson.figure("bound", "The bound rises", &figure)?;

    let mut frames = Vec::new();
    for row in 0..4 {
        for (epoch, logits) in film.iter().enumerate() {
            frames.push(picture(&logits.get(row))?.caption(format!("epoch {epoch}")));
        }
    }
    let figure = Figure::new("Four codes as training goes on").image_grid(film.len(), &frames);
    lesson.figure("film", "What codes mean, epoch by epoch", &figure)?;

    let (codes, _) = net.encode(&unseen.narrow(0, 0, 8));
    let mut walk = Vec::new();
    for pair in 0..4 {
        for share in 0..10 {
            let share = f64::from(share) / 9.0;
            let z = codes
                .get(2 * pair)
                .lerp_scalar(&codes.get(2 * pair + 1), share);
            let caption = format!("{share:.2}");
            walk.push(picture(&net.decode(&z.unsqueeze(0)))?.caption(caption));
        }
    }
    let figure = Figure::new("Walks from one image's code to another's").image_grid(10, &walk);
    lesson.figure("walk", "Between two digits lie others", &figure)?;
    let z = Generator::new(lesson.seed + 1).normal(&[30, CODE], device);
    let drawn = net.decode(&z).detach()?;
    let samples = (0..30).map(|at| picture(&drawn.get(at)));
    let samples = samples.collect::<wgrad::Result<Vec<_>>>()?;
    let figure = Figure::new("Samples").image_grid(10, &samples);
    lesson.figure("samples", "Drawn from N(0, I)", &figure)
}
