//! Dropout trains an ensemble: each mask of the inputs is a network of its own, all with the same weights. Averaging all 2ⁿ of
//! them is dear; multiplying weights by the probability of keeping costs nothing, and for softmax regression it is exactly
//! the (renormalised) geometric mean of the ensemble: enumerated here for 10 inputs. For a deep network it is only nearly
//! so. Source: Goodfellow, Bengio, Courville, Deep Learning, 7.12, equations 7.53 to 7.66.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor};

const INPUTS: usize = 10;

/// All masks of the inputs: `[1024, 10]`.
fn masks(device: &wgrad::Device) -> Tensor {
    let bits: Vec<f32> = (0..1 << INPUTS)
        .flat_map(|mask| (0..INPUTS).map(move |bit| (mask >> bit & 1) as f32))
        .collect();
    Tensor::from_slice(&bits, &[1 << INPUTS, INPUTS], device)
}

/// The geometric mean of probabilities `[ensemble, classes]`, renormalised.
fn geometric(log_p: &Tensor) -> Tensor {
    log_p.mean_dims(&[0], false).softmax(0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let masks = masks(device);
    let off = |a: &Tensor, b: &Tensor| -> wgrad::Result<f64> {
        Ok((a - b).abs().amax().item::<f32>()?.into())
    };

    // Softmax regression: weights times ½ against all 1,024 networks.
    let (w, b) = (rng.normal(&[INPUTS, 4], device), rng.normal(&[4], device));
    let x = rng.normal(&[INPUTS], device);
    let ensemble = ((&masks * &x).matmul(&w) + &b).log_softmax(1);
    let scaled = (x.reshape(&[1, -1]).matmul(&(&w * 0.5)) + &b)
        .softmax(1)
        .squeeze(0);
    lesson.at_most(
        "softmax regression: scaled weights against the ensemble",
        off(&geometric(&ensemble), &scaled)?,
        1e-5,
    )?;

    // A hidden layer of tanh: near, not equal.
    let hidden = rng.normal(&[INPUTS, 16], device) * 0.3;
    let out = rng.normal(&[16, 4], device);
    let net = |x: &Tensor, scale: f64| (x.matmul(&(&hidden * scale))).tanh().matmul(&out);
    let (mut worst, mut guesses) = (0.0f64, Vec::new());
    let mut errors = Vec::new();
    for _ in 0..50 {
        let x = rng.normal(&[INPUTS], device);
        let all = net(&(&masks * &x), 1.0).log_softmax(1);
        let exact = geometric(&all);
        let scaled = net(&x.reshape(&[1, -1]), 0.5).softmax(1).squeeze(0);
        worst = worst.max(off(&exact, &scaled)?);
        guesses.push(exact.argmax(0, false).eq(&scaled.argmax(0, false)));
        // A few members picked at random, against all.
        let sizes = [1usize, 4, 16, 64, 256];
        let mut row = Vec::new();
        for size in sizes {
            let some = rng.integers(0, 1 << INPUTS, &[size], device);
            row.push(off(&geometric(&all.index_select(0, &some)), &exact)?);
        }
        row.push(off(&scaled, &exact)?);
        errors.push(row);
    }
    let same = Tensor::stack(&guesses.iter().collect::<Vec<_>>(), 0)
        .cast(DType::F32)
        .mean();
    lesson.at_most(
        "hidden layer: greatest difference of a probability",
        worst,
        0.25,
    )?;
    lesson.at_least(
        "share of inputs with the same answer",
        same.item::<f32>()?.into(),
        0.85,
    )?;
    let mean = |at: usize| errors.iter().map(|row| row[at]).sum::<f64>() / errors.len() as f64;
    let means: Vec<f64> = (0..5).map(mean).collect();
    lesson.at_most(
        "one pass with scaled weights against one random member",
        mean(5) / means[0],
        0.5,
    )?;
    let figure = Figure::new("Distance from the whole ensemble of 1,024")
        .x("members that are averaged")
        .y("greatest difference of a probability")
        .log_x()
        .log_y()
        .dotted_line("random members", &[1, 4, 16, 64, 256], &means)
        .horizontal("one pass with halved weights", mean(5));
    lesson.figure("ensemble", "One pass instead of many", &figure)
}
