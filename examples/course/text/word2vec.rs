//! Word vectors by what stands around: `ln σ(u_c · v_w)` for words c near w, `ln σ(−u_n · v_w)` for words drawn at
//! random, skip-gram with negative sampling. The text is drawn from a grammar, so that it is known which words are
//! alike. The vectors are written in the word2vec program's format, read again and used to embed. Source: Mikolov et
//! al. 2013; Goldberg and Levy 2014.

use crate::lesson::{Lesson, Result};
use std::fmt::Write;
use wgrad::nn::{Adam, Embedding, WordVectors, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Optimizer, Pca, Tensor};

const WORDS: usize = 30;
const DIM: usize = 12;
const KINDS: [(&str, &str); 6] = [
    ("animals", "dog cat horse cow mouse"),
    ("food", "bread cheese soup rice fish"),
    ("people", "king queen farmer child teacher"),
    ("colours", "red green blue white black"),
    ("seeing", "sees likes hears follows knows"),
    ("eating", "eats cooks buys smells tastes"),
];
/// Sentences as kinds of words.
const FORMS: [&[usize]; 4] = [&[2, 4, 3, 0], &[3, 0, 4, 2], &[2, 5, 1], &[0, 5, 3, 1]];

/// Pairs of a word and one of its two neighbours on each side, from sentences drawn from the forms.
fn pairs(count: usize, rng: &mut Generator, device: &Device) -> wgrad::Result<[Tensor; 2]> {
    let chances = rng.uniform(&[count, 5], device).to_vec::<f32>()?;
    let (mut middle, mut around) = (Vec::new(), Vec::new());
    for chance in chances.chunks_exact(5) {
        let form = FORMS[(chance[4] * 4.0) as usize].iter().zip(chance);
        let words: Vec<i32> = form
            .map(|(kind, c)| (kind * 5) as i32 + (c * 5.0) as i32)
            .collect();
        for (i, &a) in words.iter().enumerate() {
            let near = words
                .iter()
                .enumerate()
                .filter(|(j, _)| *j != i && j.abs_diff(i) <= 2);
            for (_, &b) in near {
                middle.push(a);
                around.push(b);
            }
        }
    }
    Ok([Tensor::new(&middle, device), Tensor::new(&around, device)])
}

/// Vectors of the words, of length 1, and the losses.
fn train(
    [middle, around]: [&Tensor; 2],
    steps: usize,
    rng: &mut Generator,
) -> Result<(Tensor, Vec<f32>)> {
    let device = middle.device().clone();
    let tables = [(); 2].map(|()| Embedding::new(WORDS, DIM, rng, &device));
    let mut state = (tables, Adam::new(0.03));
    let mut step = compile(|(net, adam): &mut ([Embedding; 2], Adam), b: &[Tensor]| {
        let word = net[0].forward(&b[0]).unsqueeze(1);
        let near = (net[1].forward(&b[1]).unsqueeze(1) * &word).sum_dims(&[2], false);
        let drawn = (net[1].forward(&b[2]) * &word).sum_dims(&[2], false);
        let loss = -near.logsigmoid().mean() - (-drawn).logsigmoid().sum_dims(&[1], false).mean();
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let mut losses = Vec::new();
    for _ in 0..steps {
        let some = rng.integers(0, middle.numel() as i32, &[512], &device);
        let noise = rng.integers(0, WORDS as i32, &[512, 4], &device);
        let (a, b) = (middle.index_select(0, &some), around.index_select(0, &some));
        losses.push(step.call(&mut state, &[&a, &b, &noise])?.item::<f32>()?);
    }
    Ok((state.0[0].weight.normalize(2.0, -1, 1e-8).detach()?, losses))
}

/// As the word2vec program writes vectors.
fn write(words: &[&str], vectors: &Tensor) -> Result<String> {
    let mut text = format!("{WORDS} {DIM}\n");
    for (word, row) in words.iter().zip(vectors.to_vec::<f32>()?.chunks_exact(DIM)) {
        let numbers: Vec<String> = row.iter().map(f32::to_string).collect();
        writeln!(text, "{word} {}", numbers.join(" "))?;
    }
    Ok(text)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let words: Vec<&str> = KINDS.iter().flat_map(|(_, list)| list.split(' ')).collect();
    let mut rng = Generator::new(lesson.seed);
    let [middle, around] = pairs(lesson.pick(12_000, 4_000), &mut rng, device)?;
    lesson.say(format!("{} pairs of {WORDS} words", middle.numel()));
    let (vectors, losses) = train([&middle, &around], lesson.pick(1500, 700), &mut rng)?;
    let read = WordVectors::parse(&write(&words, &vectors)?)?;
    let loaded = read.embedding(device).weight;
    let off = (&loaded - &vectors).abs().amax().item::<f32>()?;
    lesson.at_most("loaded less written", off.into(), 1e-6)?;

    let itself = Tensor::eye(WORDS, DType::F32, device) * 2.0;
    let alike = (loaded.matmul(&loaded.t()) - itself)
        .topk(4, -1, true)
        .1
        .to_vec::<i32>()?;
    for word in ["dog", "queen", "cheese"] {
        let at = read
            .words
            .iter()
            .position(|w| w == word)
            .ok_or("a word of the text")?;
        let near: Vec<&str> = alike[at * 4..at * 4 + 4]
            .iter()
            .map(|&n| words[n as usize])
            .collect();
        lesson.say(format!("nearest to {word}: {}", near.join(", ")));
    }
    let same = alike
        .iter()
        .enumerate()
        .filter(|(at, n)| at / 20 == **n as usize / 5)
        .count();
    let share = same as f64 / alike.len() as f64;
    lesson.at_least(
        "of the four nearest words, of the same kind",
        share,
        lesson.pick(0.95, 0.6),
    )?;
    let flat = Pca::fit(&loaded, 2).transform(&loaded).to_vec::<f32>()?;
    let mut figure = Figure::new("Word vectors in the plane")
        .x("first component")
        .y("second component");
    for (kind, (name, _)) in KINDS.iter().enumerate() {
        let of = |axis: usize| -> Vec<f32> {
            (0..5).map(|at| flat[2 * (kind * 5 + at) + axis]).collect()
        };
        figure = figure.scatter(name, &of(0), &of(1));
    }
    lesson.figure("plane", "Words of a kind lie together", &figure)?;
    let at: Vec<usize> = (1..=losses.len()).collect();
    let figure = Figure::new("Skip-gram with negative samples")
        .x("step")
        .y("loss, nats");
    lesson.figure(
        "loss",
        "Neighbours from random words",
        &figure.smoothed("train", &at, &losses, 0.9),
    )
}
