//! A self-organising map: units on a sheet, each with a place in the data. The nearest unit to an example moves towards it,
//! and pulls its neighbours on the sheet along: `w ← w + η h(d) (x − w)`, with a neighbourhood that shrinks. The sheet
//! unfolds over the data and keeps neighbours together. Source: Kohonen, 1982.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Grid};
use wgrad::{Generator, Tensor};

const SIDE: usize = 10;

fn sheet(title: &str, w: &[f32], data: &[f32]) -> Figure {
    // To and fro along the rows, then from where that ends along the columns: every piece joins two neighbours.
    let fro = |k: usize, i: usize| if k.is_multiple_of(2) { i } else { SIDE - 1 - i };
    let lines = || (0..SIDE).flat_map(|k| (0..SIDE).map(move |i| (k, i)));
    let rows = lines().map(|(k, i)| k * SIDE + fro(k, i));
    let columns = lines().map(|(k, i)| fro(k + 1, i) * SIDE + k);
    let (xs, ys): (Vec<f32>, Vec<f32>) = rows
        .chain(columns)
        .map(|at| (w[2 * at], w[2 * at + 1]))
        .unzip();
    let points = |of: usize| -> Vec<f32> { data.iter().skip(of).step_by(2).copied().collect() };
    let figure = Figure::new(title)
        .x("x₁")
        .y("x₂")
        .equal()
        .size(420, 400)
        .scatter("data", &points(0), &points(1));
    figure.line("sheet", &xs, &ys)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    // A ring.
    let turn = rng.uniform(&[500], device) * std::f64::consts::TAU;
    let radius = rng.uniform(&[500], device).sqrt() * 0.5 + 0.5;
    let data =
        Tensor::stack(&[&(&radius * turn.cos()), &(&radius * turn.sin())], 1).to_vec::<f32>()?;
    let mut w = (rng.normal(&[SIDE * SIDE, 2], device) * 0.1).to_vec::<f32>()?;
    let nearest = |w: &[f32], x: &[f32]| -> [usize; 2] {
        let far = |u: usize| (w[2 * u] - x[0]).powi(2) + (w[2 * u + 1] - x[1]).powi(2);
        let mut order: Vec<usize> = (0..SIDE * SIDE).collect();
        order.sort_by(|&a, &b| far(a).total_cmp(&far(b)));
        [order[0], order[1]]
    };
    let cell = |u: usize| ((u / SIDE) as f32, (u % SIDE) as f32);
    let apart =
        |a: usize, b: usize| (cell(a).0 - cell(b).0).powi(2) + (cell(a).1 - cell(b).1).powi(2);
    let error = |w: &[f32]| -> (f64, f64) {
        let (mut far, mut torn) = (0.0, 0.0);
        for x in data.chunks_exact(2) {
            let [first, second] = nearest(w, x);
            far += f64::from((w[2 * first] - x[0]).hypot(w[2 * first + 1] - x[1])) / 500.0;
            torn += f64::from(u8::from(apart(first, second) > 2.5)) / 500.0;
        }
        (far, torn)
    };
    let before = error(&w);
    let mut figures = vec![sheet("Before", &w, &data)];
    let rounds = lesson.pick(40, 20);
    for round in 0..rounds {
        let left = 1.0 - round as f32 / rounds as f32;
        let (rate, width) = (0.02 + 0.3 * left, 0.6 + 4.0 * left * left);
        for &at in &rng.permutation(500, device).to_vec::<i32>()? {
            let x = &data[2 * at as usize..][..2];
            let [winner, _] = nearest(&w, x);
            for u in 0..SIDE * SIDE {
                let pull = rate * (-apart(u, winner) / (2.0 * width * width)).exp();
                w[2 * u] += pull * (x[0] - w[2 * u]);
                w[2 * u + 1] += pull * (x[1] - w[2 * u + 1]);
            }
        }
        if round + 1 == rounds / 4 || round + 1 == rounds {
            figures.push(sheet(&format!("After {} rounds", round + 1), &w, &data));
        }
    }
    let after = error(&w);
    lesson.at_most(
        "distance to the nearest unit, by that before",
        after.0 / before.0,
        0.2,
    )?;
    lesson.at_most(
        "examples whose two nearest units are no neighbours",
        after.1,
        0.15,
    )?;
    let all = figures.into_iter().fold(Grid::new(2), Grid::figure);
    lesson.grid("sheet", "A sheet unfolds over the data", &all)
}
