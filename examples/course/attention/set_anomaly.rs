//! Which of eight images does not belong? Seven show one digit, one another. An encoder without positions treats its
//! input as a set: if the images change places, so do its answers, and nothing else. Source: Lippe, UvA Deep Learning
//! Tutorials, 6; Lee et al., Set Transformer, 2019.

use crate::lesson::{Lesson, Result};
use wgrad::data::{ImageDataset, Mnist, digits};
use wgrad::nn::{
    Adam, AttentionMasks, Context, Linear, TransformerEncoder, TransformerOptions, compile,
    gradients,
};
use wgrad::plot::{Figure, Picture};
use wgrad::{DType, Generator, Module, Optimizer, Reduction, Tensor};

const SET: usize = 8;

#[derive(Module)]
struct Net {
    first: Linear,
    encoder: TransformerEncoder,
    out: Linear,
}

impl Net {
    /// Scores `[sets, 8]` of pixels `[sets, 8, 784]`: how much each image does not belong.
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x = self
            .encoder
            .forward(&self.first.forward(x).relu(), &AttentionMasks::none(), cx);
        self.out.forward(&x).squeeze(-1)
    }
}

/// Sets of images by their numbers `[count, 8]`, and which of each does not belong `[count]`.
fn draw(
    set: &ImageDataset,
    count: usize,
    rng: &mut Generator,
    lesson: &Lesson,
) -> wgrad::Result<(Tensor, Tensor)> {
    let mut by_digit = vec![Vec::new(); 10];
    for (at, &digit) in set.labels().iter().enumerate() {
        by_digit[usize::from(digit)].push(at as i32);
    }
    let chance = rng
        .uniform(&[count * (SET + 3)], &lesson.device)
        .to_vec::<f32>()?;
    let (mut numbers, mut odd) = (Vec::new(), Vec::new());
    for chance in chance.chunks_exact(SET + 3) {
        let pick = |at: usize, of: usize| (chance[at] * of as f32) as usize;
        let digit = pick(SET, 10);
        let other = (digit + 1 + pick(SET + 1, 9)) % 10;
        odd.push(pick(SET + 2, SET) as i32);
        for at in 0..SET {
            let list = &by_digit[if at == pick(SET + 2, SET) {
                other
            } else {
                digit
            }];
            numbers.push(list[pick(at, list.len())]);
        }
    }
    let numbers = Tensor::from_slice(&numbers, &[count, SET], &lesson.device);
    Ok((numbers, Tensor::new(&odd, &lesson.device)))
}

/// Five test sets, a row each, with the answers marked.
fn drawn(test: &ImageDataset, [sets, said, odd]: [&Tensor; 3]) -> Result<Figure> {
    let (said, odd) = (said.to_vec::<i32>()?, odd.to_vec::<i32>()?);
    let mut pictures = Vec::new();
    for (at, number) in sets.to_vec::<i32>()?.into_iter().take(5 * SET).enumerate() {
        let (row, place) = (at / SET, (at % SET) as i32);
        let (bytes, _) = test.get(number as usize).ok_or("a test image")?;
        let picture = Picture::grey(28, 28, bytes);
        pictures.push(match place == said[row] {
            true => picture.caption("this one").right(said[row] == odd[row]),
            false => picture.caption(" "),
        });
    }
    Ok(Figure::new("A set in each row: which does not belong?").image_grid(SET, &pictures))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (train, test) = match lesson.data("mnist") {
        Some(folder) => Mnist::load(folder)?,
        None => digits::train_test(10_000, 2_000, lesson.seed),
    };
    let train = train.truncated(10_000);
    let (all, unseen) = (train.pixels(device)?, test.pixels(device)?);
    let images = |all: &Tensor, numbers: &Tensor| {
        let some = all.index_select(0, &numbers.reshape(&[-1]));
        some.reshape(&[-1, SET as isize, 784])
    };
    let mut rng = Generator::new(lesson.seed);
    let options = TransformerOptions::default()
        .dim_feedforward(128)
        .batch_first(true)
        .dropout(0.0)
        .norm_first(true);
    let net = Net {
        first: Linear::new(784, 64, &mut rng, device),
        encoder: TransformerEncoder::new(64, 4, 2, &options, &mut rng, device),
        out: Linear::new(64, 1, &mut rng, device),
    };
    let mut state = (net, Adam::new(0.001), Context::train(lesson.seed));
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), b: &[Tensor]| {
        let loss = net
            .forward(&images(&b[2], &b[0]), cx)
            .cross_entropy(&b[1], Reduction::Mean);
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let steps = lesson.pick(1500, 250);
    let (sets, odd) = draw(&train, steps * 64, &mut rng, lesson)?;
    for at in 0..steps {
        let (some, odd) = (sets.narrow(0, at * 64, 64), odd.narrow(0, at * 64, 64));
        step.call(&mut state, &[&some, &odd, &all])?;
    }
    let (sets, odd) = draw(&test, 500, &mut rng, lesson)?;
    let x = images(&unseen, &sets);
    let (net, cx) = (&state.0, &mut Context::eval());
    let scores = net.forward(&x, cx);
    let said = scores.argmax(-1, false);
    let right = said.eq(&odd).cast(DType::F32).mean().item::<f32>()?;
    lesson.at_least(
        "found in test sets, 1 of 8 by chance",
        right.into(),
        lesson.pick(0.85, 0.45),
    )?;
    let order = rng.permutation(SET, device);
    let moved = net.forward(&x.index_select(1, &order), cx) - scores.index_select(1, &order);
    lesson.at_most(
        "other places, the same answers: difference",
        moved.abs().amax().item::<f32>()?.into(),
        1e-3,
    )?;

    lesson.figure(
        "sets",
        "Test sets and answers",
        &drawn(&test, [&sets, &said, &odd])?,
    )
}
