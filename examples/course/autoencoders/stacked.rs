//! Stacked autoencoders: one is trained, then another on its code, and so on; then the whole stack is unrolled, encoders up and
//! decoders down, and fine-tuned as one. From random weights the same deep network of sigmoids, trained for as many steps in
//! all, barely gets beyond the mean image. Source: Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural
//! Networks, 2006; Bengio, Lamblin, Popovici, Larochelle, Greedy Layer-Wise Training of Deep Networks, 2007.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Linear, compile, gradients};
use wgrad::plot::{Figure, Picture};
use wgrad::{Generator, Module, Optimizer, Pca, Reduction, Tensor};

const WIDTHS: [usize; 5] = [196, 128, 64, 32, 8];

/// Encoders and decoders, the first pair outermost.
#[derive(Module)]
struct Stack {
    encoders: Vec<Linear>,
    decoders: Vec<Linear>,
}

impl Stack {
    fn new(widths: &[usize], rng: &mut Generator, lesson: &Lesson) -> Stack {
        let mut layers = |turned: bool| -> Vec<Linear> {
            let pairs = widths
                .windows(2)
                .map(|w| if turned { (w[1], w[0]) } else { (w[0], w[1]) });
            pairs
                .map(|(from, to)| Linear::new(from, to, rng, &lesson.device))
                .collect()
        };
        Stack {
            encoders: layers(false),
            decoders: layers(true),
        }
    }

    fn encode(&self, x: &Tensor) -> Tensor {
        let up = |x: Tensor, layer: &Linear| layer.forward(&x).sigmoid();
        self.encoders.iter().fold(x.clone(), up)
    }

    /// Logits of what the code of `x` stands for.
    fn forward(&self, x: &Tensor) -> Tensor {
        let down = |x: Tensor, layer: &Linear| layer.forward(&x.sigmoid());
        let (last, rest) = (self.decoders.len() - 1, self.encode(x));
        let first = self.decoders[last].forward(&rest);
        self.decoders[..last].iter().rev().fold(first, down)
    }
}

/// `net` after so many steps on batches of `x`, and its loss at every one.
fn train(net: Stack, x: &Tensor, steps: usize, seed: u64) -> Result<(Stack, Vec<f32>)> {
    let (mut state, mut rng) = ((net, Adam::new(0.003)), Generator::new(seed));
    let mut step = compile(|(net, adam): &mut (Stack, Adam), b: &[Tensor]| {
        let x = b[0].index_select(0, &b[1]);
        let loss = net
            .forward(&x)
            .binary_cross_entropy_with_logits(&x, Reduction::Mean);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let mut losses = Vec::new();
    for _ in 0..steps {
        let some = rng.integers(0, x.size(0) as i32, &[128], x.device());
        losses.push(step.call(&mut state, &[x, &some])?.item::<f32>()?);
    }
    Ok((state.0, losses))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (known, test) = lesson.digits()?;
    let known = known.truncated(lesson.pick(20_000, 5_000)).downsampled(2)?;
    let (x, mut rng) = (known.pixels(device)?, Generator::new(lesson.seed));
    let unseen = test.truncated(1000).downsampled(2)?.pixels(device)?;
    let (before, after) = lesson.pick((1000, 2000), (250, 500));

    let (mut seen, mut pairs) = (x.clone(), Vec::new());
    for widths in WIDTHS.windows(2) {
        let pair = Stack::new(widths, &mut rng, lesson);
        let (pair, _) = train(pair, &seen, before, lesson.seed)?;
        seen = pair.encode(&seen).detach()?;
        pairs.push(pair);
    }
    let (encoders, decoders): (Vec<_>, Vec<_>) =
        pairs.into_iter().map(|p| (p.encoders, p.decoders)).unzip();
    let stack = Stack {
        encoders: encoders.concat(),
        decoders: decoders.concat(),
    };
    let (stack, tuned) = train(stack, &x, after, lesson.seed)?;
    let (all, fresh) = (after + 4 * before, Stack::new(&WIDTHS, &mut rng, lesson));
    let (fresh, scratch) = train(fresh, &x, all, lesson.seed)?;

    // Errors by that of the mean image, which is the same for all.
    let back = |net: &Stack| net.forward(&unseen).sigmoid().detach();
    let error = |y: &Tensor| (y - &unseen).square().mean().item::<f32>();
    let spread = error(&x.mean_dims(&[0], true).broadcast_to(unseen.shape()))?;
    let pca = Pca::fit(&x.narrow(0, 0, 4000), WIDTHS[4]);
    let flat = pca.inverse_transform(&pca.transform(&unseen)).detach()?;
    let images = [flat, back(&fresh)?, back(&stack)?];
    let mut left = [0.0; 3];
    for (left, image) in left.iter_mut().zip(&images) {
        *left = f64::from(error(image)? / spread);
    }
    lesson.say(format!(
        "8 numbers for a digit; error left: PCA {:.3}, from random weights {:.3}, stacked {:.3}",
        left[0], left[1], left[2]
    ));
    lesson.at_most(
        "stacked: error by that of the mean image",
        left[2],
        lesson.pick(0.5, 0.65),
    )?;
    lesson.at_most(
        "by that from random weights",
        left[2] / left[1],
        lesson.pick(0.7, 0.8),
    )?;

    let figure = Figure::new("A deep autoencoder")
        .x("step, of the whole")
        .y("cross-entropy of a pixel, nats");
    let steps: Vec<usize> = (1..=all).collect();
    let figure = figure.smoothed("from random weights", &steps, &scratch, 0.9);
    let figure = figure.smoothed("stacked first", &steps[4 * before..], &tuned, 0.9);
    lesson.figure(
        "loss",
        "The stack begins where the other does not get",
        &figure,
    )?;
    let mut pictures = Vec::new();
    for (name, images) in ["image", "PCA", "random", "stacked"]
        .iter()
        .zip([&unseen].into_iter().chain(&images))
    {
        for pixels in images
            .narrow(0, 0, 10)
            .to_vec::<f32>()?
            .chunks_exact(WIDTHS[0])
        {
            pictures.push(Picture::floats(14, 14, pixels, (0.0, 1.0)).caption(*name));
        }
    }
    let figure = Figure::new("Eight numbers for a digit")
        .note("random: the same network without the stack")
        .image_grid(10, &pictures);
    lesson.figure("back", "From eight numbers back to digits", &figure)
}
