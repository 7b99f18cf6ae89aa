//! Sentiment: does a word praise or blame? People have rated seven thousand; a network that has read some of them letter by letter must say
//! it of words that it has not seen, by stems and endings. Source: Hutto and Gilbert, VADER, 2014.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Embedding, Gru, Linear, RecurrentOptions, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Reduction, Tensor};

const LONGEST: usize = 14;

#[derive(Module)]
struct Net {
    letters: Embedding,
    gru: Gru,
    out: Linear,
}

impl Net {
    /// Logits of praise `[batch]` of words `[batch, 14]`.
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let (states, _) = self.gru.forward(&self.letters.forward(x), None, cx);
        self.out.forward(&states.select(1, -1)).squeeze(-1)
    }
}

/// Words of a to z, and whether their mean rating is above 0.
fn words(text: &str) -> Result<Vec<(&str, f32)>> {
    let mut words = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (word, rating) = (
            fields.next().unwrap_or_default(),
            fields.next().ok_or("a rating")?,
        );
        if word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase()) {
            words.push((word, f32::from(u8::from(rating.parse::<f32>()? > 0.0))));
        }
    }
    Ok(words)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let Some(file) = lesson.data("text/vader_lexicon.txt") else {
        lesson.say("This lesson needs the file: cjhutto/vaderSentiment, vader_lexicon.txt.");
        return Ok(());
    };
    let text = std::fs::read_to_string(file)?;
    let words = words(&text)?;
    let mut rng = Generator::new(lesson.seed);
    let order = rng.permutation(words.len(), device).to_vec::<i32>()?;
    let tensors = |places: &[i32]| {
        let mut all = Vec::new();
        for &at in places {
            let word = words[at as usize]
                .0
                .bytes()
                .map(|b| i32::from(b - b'a') + 1);
            let row: Vec<i32> = word.take(LONGEST).collect();
            all.extend(vec![0; LONGEST - row.len()]);
            all.extend(row);
        }
        let ratings: Vec<f32> = places.iter().map(|&at| words[at as usize].1).collect();
        let letters = Tensor::from_slice(&all, &[places.len(), LONGEST], device);
        (letters, Tensor::new(&ratings, device))
    };
    let cut = words.len() * 4 / 5;
    let ((x, y), (unseen, truth)) = (tensors(&order[..cut]), tensors(&order[cut..]));
    let blame = 1.0 - f64::from(truth.mean().item::<f32>()?);
    let options = RecurrentOptions::default().batch_first(true);
    let net = Net {
        letters: Embedding::new(27, 32, &mut rng, device),
        gru: Gru::new(32, 48, &options, &mut rng, device),
        out: Linear::new(48, 1, &mut rng, device),
    };
    let mut state = (net, Adam::new(0.003), Context::train(lesson.seed));
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), b: &[Tensor]| {
        let (x, y) = (b[0].index_select(0, &b[2]), b[1].index_select(0, &b[2]));
        let loss = net
            .forward(&x, cx)
            .binary_cross_entropy_with_logits(&y, Reduction::Mean);
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let steps = lesson.pick(1500, 400);
    let (mut at, mut curve) = (Vec::new(), Vec::new());
    for t in 0..=steps {
        if t % (steps / 10) == 0 {
            let scores = state.0.forward(&unseen, &mut Context::eval());
            let said = scores.gt_scalar(0.0).cast(DType::F32);
            at.push(t);
            curve.push(said.eq(&truth).cast(DType::F32).mean().item::<f32>()?);
        }
        step.call(
            &mut state,
            &[&x, &y, &rng.integers(0, cut as i32, &[64], device)],
        )?;
    }
    lesson.say(format!(
        "{} words; who always blames is right in {blame:.3}",
        words.len()
    ));
    lesson.at_least(
        "words not seen, by their letters",
        curve[10].into(),
        lesson.pick(0.74, 0.64),
    )?;
    let figure = Figure::new("Praise or blame")
        .x("step")
        .y("right of unseen words")
        .percent_y();
    let figure = figure
        .dotted_line("by letters", &at, &curve)
        .horizontal("always blame", blame);
    lesson.figure("accuracy", "Stems and endings tell", &figure)
}
