//! A bandit with ten arms: each pull pays a random sum, and only the pulled arm tells. Always the best arm so far (greedy) gets
//! stuck; sometimes another one (ε-greedy), or the one that may yet be best (upper confidence bound, `q + c √(ln t / n)`), learns
//! more. Source: Sutton, Barto, Reinforcement Learning, 2.2 to 2.7.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor};

#[derive(Clone, Copy)]
enum Rule {
    Greedy(f64),
    Bound(f64),
}

/// The share of runs that pull their best arm, by pull. All runs go on at once: tensors `[runs, arms]`.
fn play(rule: Rule, runs: usize, pulls: usize, lesson: &Lesson) -> wgrad::Result<Vec<f32>> {
    let device = &lesson.device;
    let mut rng = Generator::new(lesson.seed);
    let worth = rng.normal(&[runs, 10], device).detach()?;
    let best = worth.argmax(1, false);
    let mut mean = Tensor::zeros(&[runs, 10], DType::F32, device);
    let mut count = mean.clone();
    let mut shares = Vec::with_capacity(pulls);
    for pull in 0..pulls {
        let scores = match rule {
            Rule::Greedy(_) => &mean + rng.uniform(&[runs, 10], device) * 1e-6, // ties are broken at random
            Rule::Bound(c) => {
                &mean + (count.clamp_min(1e-3).recip() * (1.0 + pull as f64).ln()).sqrt() * c
            }
        };
        let mut arm = scores.argmax(1, false);
        if let Rule::Greedy(explore) = rule {
            let other = rng.integers(0, 10, &[runs], device);
            arm = Tensor::where_(&rng.bernoulli(explore, &[runs], device), &other, &arm);
        }
        let pulled = arm.one_hot(10).cast(DType::F32);
        let pay = &worth + rng.normal(&[runs, 10], device);
        count = (&count + &pulled).detach()?;
        mean = (&mean + &pulled * (pay - &mean) / count.clamp_min(1.0)).detach()?;
        shares.push(arm.eq(&best).cast(DType::F32).mean());
    }
    Tensor::stack(&shares.iter().collect::<Vec<_>>(), 0).to_vec::<f32>()
}

pub fn run(lesson: &mut Lesson) -> Result {
    let (runs, pulls) = (2000, lesson.pick(1000, 300));
    let x: Vec<usize> = (1..=pulls).collect();
    let mut figure = Figure::new("Ten arms")
        .x("pull")
        .y("runs that pull their best arm")
        .percent_y();
    let mut last = Vec::new();
    let rules = [
        ("greedy", Rule::Greedy(0.0)),
        ("ε = 0.1", Rule::Greedy(0.1)),
        ("upper confidence bound", Rule::Bound(2.0)),
    ];
    for (name, rule) in rules {
        let shares = play(rule, runs, pulls, lesson)?;
        let tail = &shares[pulls - 50..];
        last.push(f64::from(tail.iter().sum::<f32>()) / 50.0);
        figure = figure.smoothed(name, &x, &shares, 0.9);
    }
    lesson.say(format!(
        "best arm in the last 50 pulls: greedy {:.2}, ε-greedy {:.2}, bound {:.2}",
        last[0], last[1], last[2]
    ));
    lesson.at_most("greedy", last[0], 0.5)?;
    lesson.at_least("ε-greedy", last[1], lesson.pick(0.7, 0.55))?;
    lesson.at_least("upper confidence bound", last[2], lesson.pick(0.75, 0.6))?;
    lesson.figure("arms", "Exploring pays", &figure)
}
