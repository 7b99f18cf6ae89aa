//! A test is right in 99 of 100 cases, the disease strikes one in 10,000. Whoever is told to be ill is ill with about 1 %.
//! Bayes' rule: `P(ill | +) = P(+ | ill) P(ill) / (P(+ | ill) P(ill) + P(+ | healthy) P(healthy))`. Source: Goodfellow,
//! Bengio, Courville, Deep Learning, 3.11.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator};

fn posterior(prior: f64, right: f64) -> f64 {
    right * prior / (right * prior + (1.0 - right) * (1.0 - prior))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let (prior, right) = (1e-4, 0.99);
    lesson.close("P(ill | positive)", posterior(prior, right), 0.01, 5e-4)?;
    lesson.close(
        "after a second, independent test",
        posterior(posterior(prior, right), right),
        0.495,
        0.005,
    )?;

    // The same by counting: many people, each tested.
    let people = lesson.pick(20_000_000, 5_000_000);
    let mut rng = Generator::new(lesson.seed);
    let ill = rng.bernoulli(prior, &[people], &lesson.device);
    let correct = rng.bernoulli(right, &[people], &lesson.device);
    let positive = ill.eq(&correct); // ill and told so, or healthy and told wrong
    let both = (ill.cast(DType::Bool).logical_and(&positive))
        .sum()
        .item::<i32>()?;
    let all = positive.sum().item::<i32>()?;
    lesson.say(format!(
        "{people} people: {all} positive, {both} of them ill"
    ));
    let share = f64::from(both) / f64::from(all);
    lesson.close(
        "share of the ill among the positive",
        share,
        0.0098,
        lesson.pick(0.0015, 0.003),
    )?;

    let rarity: Vec<f64> = (0..=60)
        .map(|i| 10f64.powf(-6.0 + 0.1 * f64::from(i)))
        .collect();
    let mut figure = Figure::new("What a positive test means")
        .x("share of the ill among all")
        .y("share of the ill among the positive")
        .log_x()
        .percent_y();
    for right in [0.9, 0.99, 0.999] {
        let after: Vec<f64> = rarity
            .iter()
            .map(|&p| posterior(p.min(0.999), right))
            .collect();
        figure = figure.line(&format!("right in {} %", 100.0 * right), &rarity, &after);
    }
    lesson.figure(
        "posterior",
        "Rare diseases need better tests",
        &figure.vertical("1 in 10,000", prior),
    )
}
