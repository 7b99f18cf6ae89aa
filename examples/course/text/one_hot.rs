//! Words as numbers. One-hot: a word is a row of zeros with a single one, so all words are equally far apart; a
//! sentence is the sum of its words, its order lost. n-grams keep some of it: how often words stand in a row, from
//! which `p(b | a) = n(a b) / n(a)`. Source: Goodfellow, Bengio, Courville, Deep Learning, 12.4.1; Jurafsky and Martin,
//! Speech and Language Processing, 3.

use crate::lesson::{Lesson, Result};
use std::collections::BTreeMap;
use wgrad::plot::Figure;
use wgrad::{DType, Tensor};

const SENTENCES: [&str; 4] = [
    "the dog bites the man",
    "the man bites the dog",
    "the dog sleeps",
    "a man sees the dog",
];

/// How often each n-gram stands in the sentences, which begin with n − 1 marks and end with one.
fn counts(n: usize) -> BTreeMap<Vec<&'static str>, usize> {
    let mut counts = BTreeMap::new();
    for sentence in SENTENCES {
        let mut words = vec!["<"; n - 1];
        words.extend(sentence.split(' ').chain([">"]));
        for gram in words.windows(n) {
            *counts.entry(gram.to_vec()).or_insert(0) += 1;
        }
    }
    counts
}

/// `p(b | a)` by the counts of pairs.
fn chance(pairs: &BTreeMap<Vec<&str>, usize>, a: &str, b: &str) -> f64 {
    let after = pairs.iter().filter(|(gram, _)| gram[0] == a);
    let all: usize = after.clone().map(|(_, n)| n).sum();
    let both: usize = after.filter(|(gram, _)| gram[1] == b).map(|(_, n)| n).sum();
    both as f64 / all as f64
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut words: Vec<&str> = SENTENCES.iter().flat_map(|s| s.split(' ')).collect();
    words.sort_unstable();
    words.dedup();
    lesson.say(format!("words: {words:?}"));
    let hot = |sentence: &str| {
        let number = |w: &str| {
            words
                .iter()
                .position(|k| *k == w)
                .map_or(-1, |at| at as i32)
        };
        let list: Vec<i32> = sentence.split(' ').map(number).collect();
        Tensor::new(&list, device)
            .one_hot(words.len())
            .cast(DType::F32)
    };
    let (first, second) = (hot(SENTENCES[0]), hot(SENTENCES[1]));
    lesson.say(format!(
        "{}\n{first}\n{}\n{second}",
        SENTENCES[0], SENTENCES[1]
    ));
    let apart = (first.sum_dims(&[0], false) - second.sum_dims(&[0], false))
        .abs()
        .sum();
    lesson.close(
        "two orders of the same words: difference of sums",
        apart.item::<f32>()?.into(),
        0.0,
        0.0,
    )?;
    let two = hot("dog man");
    let apart = two.get(0).dist(&two.get(1), 2.0).item::<f32>()?;
    lesson.close("distance of any two words", apart.into(), 2f64.sqrt(), 1e-6)?;

    let pairs = counts(2);
    lesson.close(
        "p(dog | the)",
        chance(&pairs, "the", "dog"),
        4.0 / 6.0,
        1e-12,
    )?;
    lesson.close(
        "p(bites | dog)",
        chance(&pairs, "dog", "bites"),
        1.0 / 4.0,
        1e-12,
    )?;
    lesson.close(
        "p(sleeps | man), never seen",
        chance(&pairs, "man", "sleeps"),
        0.0,
        0.0,
    )?;
    let sentence = ["<", "the", "dog", "bites", "the", "man", ">"];
    let likelihood: f64 = sentence
        .windows(2)
        .map(|w| chance(&pairs, w[0], w[1]))
        .product();
    let by_hand = (3.0 / 4.0) * (4.0 / 6.0) * (1.0 / 4.0) * 1.0 * (2.0 / 6.0) * (1.0 / 3.0);
    lesson.close("p(the dog bites the man)", likelihood, by_hand, 1e-12)?;
    let kinds: Vec<usize> = (1..=4).map(|n| counts(n).len()).collect();
    lesson.say(format!("different n-grams for n = 1 to 4: {kinds:?}"));

    let (mut names, mut ends) = (vec!["<"], words.clone());
    names.extend(&words);
    ends.push(">");
    let all = names
        .iter()
        .flat_map(|a| ends.iter().map(|b| chance(&pairs, a, b)));
    let table: Vec<f64> = all.collect();
    let figure = Figure::new("p(next | word)").x("next").y("word");
    let figure = figure.heat_map(names.len(), ends.len(), &table);
    lesson.figure(
        "bigrams",
        "What follows what",
        &figure.row_names(&names).column_names(&ends),
    )
}
