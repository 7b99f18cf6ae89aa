//! "It was not very good." A negation turns what a word says, if one follows it. A bag of words, the mean of their vectors, can add but not
//! turn; a network that reads them in order can. Words are VADER's with their ratings, sentences are composed. Source: Socher et al.,
//! Recursive Deep Models for Semantic Compositionality, 2013; Hutto and Gilbert, VADER, 2014.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Embedding, Gru, Linear, RecurrentOptions, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

const WORDS: usize = 200;

#[derive(Module)]
struct Net {
    words: Embedding,
    /// None: a bag of words.
    reader: Option<Gru>,
    out: Linear,
}

impl Net {
    fn new(ordered: bool, rng: &mut Generator, device: &Device) -> Net {
        let options = RecurrentOptions::default().batch_first(true);
        Net {
            words: Embedding::new(WORDS + 6, 32, rng, device),
            reader: ordered.then(|| Gru::new(32, 32, &options, rng, device)),
            out: Linear::new(32, 1, rng, device),
        }
    }

    /// Logits of praise `[batch]` of sentences `[batch, 5]`.
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let x = self.words.forward(x);
        let read = match &self.reader {
            Some(gru) => gru.forward(&x, None, cx).0.select(1, -1),
            None => x.mean_dims(&[1], false),
        };
        self.out.forward(&read).squeeze(-1)
    }
}

/// "… [not | never | hardly] [very] <word>" as numbers `[count, 5]`, and whether it is praise. 0 is any other word, 1 to 3 are negations.
fn sentences(
    praise: &[bool],
    count: usize,
    rng: &mut Generator,
    device: &Device,
) -> wgrad::Result<[Tensor; 2]> {
    let word = rng
        .integers(0, WORDS as i32, &[count], device)
        .to_vec::<i32>()?;
    let form = rng.integers(0, 12, &[count], device).to_vec::<i32>()?;
    let (mut all, mut answers) = (Vec::new(), Vec::new());
    for (&word, form) in word.iter().zip(form) {
        let (negation, very) = (1 + form % 6, form >= 6);
        let mut sentence = vec![0; 4];
        sentence.extend((negation <= 3).then_some(negation));
        sentence.extend(very.then_some(4));
        sentence.push(6 + word);
        all.extend_from_slice(&sentence[sentence.len() - 5..]);
        answers.push(f32::from(u8::from(
            praise[word as usize] != (negation <= 3),
        )));
    }
    Ok([
        Tensor::from_slice(&all, &[count, 5], device),
        Tensor::new(&answers, device),
    ])
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    // Every thirtieth word of the lexicon; without it, half of the words praise.
    let praise: Vec<bool> = match lesson.data("text/vader_lexicon.txt") {
        Some(file) => {
            let text = std::fs::read_to_string(file)?;
            let ratings = text
                .lines()
                .skip(400)
                .step_by(30)
                .filter_map(|l| l.split('\t').nth(1));
            ratings
                .take(WORDS)
                .map(|rating| !rating.starts_with('-'))
                .collect()
        }
        None => (0..WORDS).map(|word| word % 2 == 0).collect(),
    };
    let [x, y] = sentences(&praise, lesson.pick(4000, 3000), &mut rng, device)?;
    let [unseen, truth] = sentences(&praise, 1000, &mut rng, device)?;
    let mut shares = Vec::new();
    for ordered in [false, true] {
        let net = Net::new(ordered, &mut rng, device);
        let mut state = (net, Adam::new(0.005), Context::train(lesson.seed));
        let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), b: &[Tensor]| {
            let (x, y) = (b[0].index_select(0, &b[2]), b[1].index_select(0, &b[2]));
            let loss = net
                .forward(&x, cx)
                .binary_cross_entropy_with_logits(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?.clip_norm(1.0);
            adam.step(net, &gradients)?;
            Ok(loss)
        });
        for _ in 0..lesson.pick(1500, 600) {
            let some = rng.integers(0, x.size(0) as i32, &[64], device);
            step.call(&mut state, &[&x, &y, &some])?;
        }
        let said = state
            .0
            .forward(&unseen, &mut Context::eval())
            .gt_scalar(0.0)
            .cast(DType::F32);
        shares.push(f64::from(
            said.eq(&truth).cast(DType::F32).mean().item::<f32>()?,
        ));
    }
    lesson.at_most("right by a bag of words", shares[0], 0.7)?;
    lesson.at_least(
        "right by reading in order",
        shares[1],
        lesson.pick(0.95, 0.8),
    )?;
    let figure = Figure::new("Sentences with negations")
        .y("right answers")
        .percent_y();
    let figure = figure.bar("right", &["bag of words", "read in order"], &shares);
    lesson.figure("right", "Order matters", &figure)
}
