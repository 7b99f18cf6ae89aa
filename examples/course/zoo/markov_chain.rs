//! A Markov chain: tomorrow depends on today alone, by a matrix P of probabilities. After many days the state's distribution
//! is the same whatever the first day was: `π = π P`. Source: Goodfellow, Bengio, Courville, Deep Learning, 17.3.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{Generator, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    // Sun, clouds, rain.
    let rows = [0.8f32, 0.15, 0.05, 0.3, 0.4, 0.3, 0.2, 0.4, 0.4];
    let p = Tensor::from_slice(&rows, &[3, 3], device);
    let days: Vec<usize> = (0..=20).collect();
    let mut figure = Figure::new("Probability of sun")
        .x("days later")
        .y("probability")
        .percent_y();
    let mut ends = Vec::new();
    for (name, first) in [
        ("begins with sun", [1.0f32, 0.0, 0.0]),
        ("begins with rain", [0.0, 0.0, 1.0]),
    ] {
        let mut state = Tensor::from_slice(&first, &[1, 3], device);
        let mut sun = Vec::new();
        for _ in &days {
            sun.push(state.get((0, 0)).item::<f32>()?);
            state = state.matmul(&p);
        }
        ends.push(state.to_vec::<f32>()?);
        figure = figure.dotted_line(name, &days, &sun);
    }
    let stationary = ends[0].clone();
    let apart: f64 = ends[0]
        .iter()
        .zip(&ends[1])
        .map(|(a, b)| f64::from((a - b).abs()))
        .sum();
    lesson.say(format!("π = {stationary:?}"));
    lesson.at_most("both beginnings after 21 days, apart", apart, 1e-3)?;
    let left = Tensor::from_slice(&stationary, &[1, 3], device);
    let off = (left.matmul(&p) - &left).abs().amax().item::<f32>()?;
    lesson.at_most("‖π P − π‖", off.into(), 1e-4)?;

    // A long walk visits each state as often as π says.
    let draws = Generator::new(lesson.seed)
        .uniform(&[100_000], device)
        .to_vec::<f32>()?;
    let (mut at, mut visits) = (0, [0.0f64; 3]);
    for u in draws {
        let row = &rows[3 * at..3 * at + 3];
        at = if u < row[0] {
            0
        } else if u < row[0] + row[1] {
            1
        } else {
            2
        };
        visits[at] += 1e-5;
    }
    for (name, i) in [("sun", 0), ("clouds", 1), ("rain", 2)] {
        lesson.close(
            &format!("share of days with {name}"),
            visits[i],
            stationary[i].into(),
            0.01,
        )?;
    }
    lesson.figure("mixing", "The first day is forgotten", &figure)
}
