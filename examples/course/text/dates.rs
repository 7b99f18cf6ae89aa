//! Sequence to sequence with attention: dates as people write them to dates as machines do, "3 march 1987" to "1987-03-03". An encoder
//! reads the letters in both directions; the decoder, at each letter it writes, weighs what was read, and the map of these weights shows
//! which part of the input it is copying. Source: Bahdanau, Cho, Bengio 2015; Ng, Sequence Models, 2018.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, Context, Embedding, Gru, GruCell, Linear, RecurrentOptions, compile, gradients, loss,
};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, Tensor};

const MONTHS: &str =
    "january february march april may june july august september october november december";
const LETTERS: &str = " abcdefghijklmnopqrstuvwxyz0123456789-/,.";
const LONG: usize = 18;

#[derive(Module)]
struct Net {
    letters: Embedding,
    encoder: Gru,
    decoder: GruCell,
    query: Linear,
    out: Linear,
}

impl Net {
    /// Scores `[batch, 10, letters]` and weights `[batch, 10, 18]`; the letters before are those of `y`, or its own without it.
    fn forward(&self, x: &Tensor, y: Option<&Tensor>) -> (Tensor, Tensor) {
        let (read, _) = self
            .encoder
            .forward(&self.letters.forward(x), None, &mut Context::eval());
        let mut last = Tensor::zeros(&[x.size(0)], DType::I32, x.device());
        let (mut h, mut scores, mut maps) = (read.mean_dims(&[1], false), Vec::new(), Vec::new());
        for t in 0..10 {
            let query = self.query.forward(&h).unsqueeze(2);
            let weights = read.matmul(&query).squeeze(2).softmax(1);
            let found = (&read * weights.unsqueeze(2)).sum_dims(&[1], false);
            let input = Tensor::cat(&[&self.letters.forward(&last), &found], 1);
            h = self.decoder.forward(&input, Some(&h));
            let score = self.out.forward(&Tensor::cat(&[&h, &found], 1));
            last = y.map_or_else(|| score.argmax(-1, false), |y| y.select(1, t));
            scores.push(score);
            maps.push(weights);
        }
        let all = |list: &[Tensor]| Tensor::stack(&list.iter().collect::<Vec<_>>(), 1);
        (all(&scores), all(&maps))
    }
}

/// Dates as people and as machines write them.
fn dates(count: usize, rng: &mut Generator, device: &Device) -> wgrad::Result<Vec<[String; 2]>> {
    let chance = rng.uniform(&[count, 4], device).to_vec::<f32>()?;
    let date = |c: &[f32]| {
        let pick = |at: usize, of: usize| (c[at] * of as f32) as usize;
        let (y, m, d) = (1950 + pick(0, 100), pick(1, 12), 1 + pick(2, 28));
        let long = MONTHS.split(' ').nth(m).unwrap_or_default();
        let text = match pick(3, 5) {
            0 => format!("{d} {long} {y}"),
            1 => format!("{long} {d}, {y}"),
            2 => format!("{d} {} {y}", &long[..3]),
            3 => format!("{}/{d}/{y}", m + 1),
            _ => format!("{d}.{}.{y}", m + 1),
        };
        [text, format!("{y}-{:02}-{d:02}", m + 1)]
    };
    Ok(chance.chunks_exact(4).map(date).collect())
}

/// The letters of a text, with blanks behind.
fn letters(text: &str, long: usize) -> Vec<String> {
    format!("{text:<long$}").chars().map(String::from).collect()
}

/// One of the two forms as numbers of letters `[dates, long]`.
fn numbers(dates: &[[String; 2]], form: usize, long: usize, device: &Device) -> Tensor {
    let all = dates.iter().flat_map(|date| letters(&date[form], long));
    let all: Vec<i32> = all.map(|c| LETTERS.find(&c).unwrap_or(0) as i32).collect();
    Tensor::from_slice(&all, &[dates.len(), long], device)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let train = dates(lesson.pick(10_000, 5_000), &mut rng, device)?;
    let test = dates(500, &mut rng, device)?;
    let x = numbers(&train, 0, LONG, device);
    let y = numbers(&train, 1, 10, device);
    let both = RecurrentOptions::default()
        .batch_first(true)
        .bidirectional(true);
    let net = Net {
        letters: Embedding::new(LETTERS.len(), 32, &mut rng, device),
        encoder: Gru::new(32, 32, &both, &mut rng, device),
        decoder: GruCell::new(96, 64, true, &mut rng, device),
        query: Linear::new(64, 64, &mut rng, device),
        out: Linear::new(128, LETTERS.len(), &mut rng, device),
    };
    let mut state = (net, Adam::new(0.004));
    let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
        let (x, y) = (b[0].index_select(0, &b[2]), b[1].index_select(0, &b[2]));
        let scores = net.forward(&x, Some(&y)).0.flatten(0, 1);
        let loss = loss::cross_entropy(&scores, &y.reshape(&[-1]));
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..lesson.pick(1000, 350) {
        let some = rng.integers(0, train.len() as i32, &[64], device);
        step.call(&mut state, &[&x, &y, &some])?;
    }
    let (scores, maps) = state.0.forward(&numbers(&test, 0, LONG, device), None);
    let said = scores.argmax(-1, false);
    let right = said.eq(&numbers(&test, 1, 10, device)).cast(DType::F32);
    let each = right.mean().item::<f32>()?;
    lesson.at_least("letters right", each.into(), lesson.pick(0.99, 0.9))?;
    let whole = right.amin_dims(&[1], false).mean().item::<f32>()?;
    lesson.at_least("whole dates right", whole.into(), lesson.pick(0.95, 0.5))?;

    let said = said.to_vec::<i32>()?;
    let word = |row: &[i32]| {
        row.iter()
            .filter_map(|&n| LETTERS.chars().nth(n as usize))
            .collect::<String>()
    };
    for ([text, _], row) in test.iter().zip(said.chunks_exact(10)).take(5) {
        lesson.say(format!("{text:<18} {}", word(row)));
    }
    let at = test
        .iter()
        .position(|[text, _]| text.len() > 14)
        .unwrap_or(0);
    let map = maps.get(at as isize).to_vec::<f32>()?;
    let figure = Figure::new(test[at][0].clone())
        .x("read")
        .y("written")
        .heat_map(10, LONG, &map);
    let figure = figure.row_names(&letters(&word(&said[at * 10..at * 10 + 10]), 10));
    let figure = figure.column_names(&letters(&test[at][0], LONG));
    lesson.figure("map", "What it looks at as it writes", &figure)
}
