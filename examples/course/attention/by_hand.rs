//! Scaled dot-product attention by hand: each query is compared with every key, the scores become shares by a softmax,
//! and the answer is the values' mean by these shares: `softmax(Q Kᵀ / √d) V`. The root keeps scores of random vectors
//! at variance 1, however many features they have. Source: Vaswani et al., Attention Is All You Need, 2017.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{AttentionOptions, Generator};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let (n, d) = (5usize, 4usize);
    let [q, k, v] = [(); 3].map(|()| rng.normal(&[n, d], device));

    // In loops.
    let (qs, ks, vs) = (q.to_vec::<f32>()?, k.to_vec::<f32>()?, v.to_vec::<f32>()?);
    let row = |all: &[f32], i: usize| all[i * d..(i + 1) * d].to_vec();
    let mut answers = Vec::new();
    for i in 0..n {
        let dot = |j: usize| {
            row(&qs, i)
                .iter()
                .zip(row(&ks, j))
                .map(|(a, b)| a * b)
                .sum::<f32>()
        };
        let e: Vec<f32> = (0..n).map(|j| (dot(j) / (d as f32).sqrt()).exp()).collect();
        let total: f32 = e.iter().sum();
        for at in 0..d {
            answers.push((0..n).map(|j| e[j] / total * vs[j * d + at]).sum::<f32>());
        }
    }
    // As products of matrices, and as one operation.
    let shares = (q.matmul(&k.t()) / (d as f64).sqrt()).softmax(-1);
    let products = shares.matmul(&v).to_vec::<f32>()?;
    let one = q
        .scaled_dot_product_attention(&k, &v, &AttentionOptions::default())
        .to_vec::<f32>()?;
    let off = |other: &[f32]| {
        answers
            .iter()
            .zip(other)
            .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()))
    };
    lesson.at_most("products less loops", off(&products).into(), 1e-5)?;
    lesson.at_most("one operation less loops", off(&one).into(), 1e-5)?;
    let figure = Figure::new("Shares")
        .x("key")
        .y("query")
        .size(480, 420)
        .heat_map(n, n, &shares.to_vec::<f32>()?);
    lesson.figure("shares", "Every row adds up to 1", &figure)?;

    // Keys and values in another order give the same answers.
    let order = rng.permutation(n, device);
    let (k2, v2) = (k.index_select(0, &order), v.index_select(0, &order));
    let mixed = q
        .scaled_dot_product_attention(&k2, &v2, &AttentionOptions::default())
        .to_vec::<f32>()?;
    lesson.at_most("keys and values in another order", off(&mixed).into(), 1e-5)?;

    let sizes = [4usize, 16, 64, 256];
    let (mut raw, mut scaled) = (Vec::new(), Vec::new());
    for size in sizes {
        let (a, b) = (
            rng.normal(&[4000, size], device),
            rng.normal(&[4000, size], device),
        );
        let scores = (a * b).sum_dims(&[1], false);
        raw.push(scores.var(1.0).item::<f32>()?);
        scaled.push((scores / (size as f64).sqrt()).var(1.0).item::<f32>()?);
    }
    lesson.close(
        "variance of a score of 256 features",
        raw[3].into(),
        256.0,
        40.0,
    )?;
    lesson.close("the same by √d", scaled[3].into(), 1.0, 0.15)?;
    let figure = Figure::new("Why by the root of d")
        .x("features d")
        .y("variance of a score")
        .log_x()
        .log_y()
        .dotted_line("q · k", &sizes, &raw)
        .dotted_line("q · k / √d", &sizes, &scaled);
    lesson.figure("scale", "Scores of one size", &figure)
}
