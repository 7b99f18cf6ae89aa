//! A first name's sex by its letters, from last to first: English names end in what tells. Names that stand in both
//! lists have no answer and are left out. Source: Bird, Klein, Loper, Natural Language Processing with Python, 6.1.1,
//! whose last letter alone gives 76 %.

use crate::lesson::{Lesson, Result};
use std::collections::BTreeSet;
use wgrad::nn::{Adam, Context, Embedding, Gru, Linear, RecurrentOptions, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Reduction, Tensor};

const LONGEST: usize = 12;

#[derive(Module)]
struct Net {
    letters: Embedding,
    gru: Gru,
    out: Linear,
}

impl Net {
    /// Logits of "female" `[batch]` of names `[batch, 12]` that are padded with zeros in front.
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let (states, _) = self.gru.forward(&self.letters.forward(x), None, cx);
        self.out.forward(&states.select(1, -1)).squeeze(-1)
    }
}

/// The last twelve letters, with zeros in front.
fn row(name: &str) -> Vec<i32> {
    let letters: Vec<i32> = name
        .bytes()
        .map(|b| {
            if b.is_ascii_lowercase() {
                i32::from(b - b'a') + 1
            } else {
                27
            }
        })
        .collect();
    let last = &letters[letters.len().saturating_sub(LONGEST)..];
    vec![0; LONGEST - last.len()]
        .into_iter()
        .chain(last.iter().copied())
        .collect()
}

/// Trains on some of the names; the share of right answers on the others, ten times on the way.
fn train(
    net: Net,
    known: [&Tensor; 2],
    test: [&Tensor; 2],
    lesson: &Lesson,
) -> Result<(Net, Vec<f32>)> {
    let mut rng = Generator::new(lesson.seed + 1);
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
    let steps = lesson.pick(900, 250);
    let mut curve = Vec::new();
    for t in 0..=steps {
        if t % (steps / 10) == 0 {
            let said = state
                .0
                .forward(test[0], &mut Context::eval())
                .gt_scalar(0.0);
            let right = said.cast(DType::F32).eq(test[1]).cast(DType::F32);
            curve.push(right.mean().item::<f32>()?);
        }
        let some = rng.integers(0, known[1].numel() as i32, &[64], &lesson.device);
        step.call(&mut state, &[known[0], known[1], &some])?;
    }
    Ok((state.0, curve))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let files = (
        lesson.data("text/names_female.txt"),
        lesson.data("text/names_male.txt"),
    );
    let (Some(female), Some(male)) = files else {
        lesson.say(
            "This lesson needs English first names, as nltk has them: names/female.txt, male.txt.",
        );
        return Ok(());
    };
    let read = |file| -> Result<BTreeSet<String>> {
        Ok(std::fs::read_to_string(file)?
            .lines()
            .map(str::to_lowercase)
            .collect())
    };
    let (female, male) = (read(female)?, read(male)?);
    let women = female.difference(&male).map(|name| (name, 1.0));
    let all: Vec<(&String, f32)> = women
        .chain(male.difference(&female).map(|name| (name, 0.0)))
        .collect();
    let mut rng = Generator::new(lesson.seed);
    let order = rng.permutation(all.len(), device).to_vec::<i32>()?;
    let tensors = |places: &[i32]| {
        let names: Vec<i32> = places
            .iter()
            .flat_map(|&at| row(all[at as usize].0))
            .collect();
        let sex: Vec<f32> = places.iter().map(|&at| all[at as usize].1).collect();
        let names = Tensor::from_slice(&names, &[places.len(), LONGEST], device);
        (names, Tensor::new(&sex, device))
    };
    let (known, unknown) = order.split_at(all.len() * 4 / 5);
    let ((x, y), (unseen, truth)) = (tensors(known), tensors(unknown));
    let most = f64::from(truth.mean().item::<f32>()?);
    lesson.say(format!(
        "{} names; always \"female\" is right for {most:.3} of the others",
        known.len()
    ));
    let options = RecurrentOptions::default().batch_first(true);
    let net = Net {
        letters: Embedding::new(28, 16, &mut rng, device),
        gru: Gru::new(16, 48, &options, &mut rng, device),
        out: Linear::new(48, 1, &mut rng, device),
    };
    let (net, curve) = train(net, [&x, &y], [&unseen, &truth], lesson)?;
    lesson.at_least("names not seen", curve[10].into(), lesson.pick(0.8, 0.72))?;
    for name in ["ada", "alan", "grace", "kurt", "wgrad"] {
        let x = Tensor::from_slice(&row(name), &[1, LONGEST], device);
        let chance = net
            .forward(&x, &mut Context::eval())
            .sigmoid()
            .item::<f32>()?;
        lesson.say(format!("{name}: female by {:.0} %", 100.0 * chance));
    }
    let share: Vec<usize> = (0..=10).map(|tenth| tenth * 10).collect();
    let figure = Figure::new("Sex of a first name")
        .x("of the training, %")
        .y("right of unseen names");
    let figure = figure.percent_y().dotted_line("GRU", &share, &curve);
    let figure = figure
        .horizontal("always female", most)
        .horizontal("last letter", 0.76);
    lesson.figure("accuracy", "Letters tell", &figure)
}
