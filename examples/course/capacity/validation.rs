//! Choosing the capacity without a test set. k-fold cross-validation: each k-th part is left out once and predicted by a fit of
//! the rest. With k = n, leaving one out, the n fits need not be made: `e_i / (1 − h_ii)` with the hat matrix
//! `H = X (Xᵀ X)⁻¹ Xᵀ`. Source: Goodfellow, Bengio, Courville, Deep Learning, 5.3.1; James et al., An Introduction to
//! Statistical Learning, 5.1.

use crate::lesson::{Lesson, Result};
use std::f64::consts::PI;
use wgrad::data::split::k_fold;
use wgrad::plot::Figure;
use wgrad::{Device, Generator, Tensor};

fn rows(t: &Tensor, indices: &[u32]) -> Tensor {
    let at: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
    t.index_select(0, &Tensor::new(&at, t.device()))
}

/// The mean square of what was left out.
fn cross_validate(x: &Tensor, y: &Tensor, k: usize, seed: u64) -> Result<f64> {
    let mut sum = 0.0;
    for fold in k_fold(x.size(0), k, Some(seed))? {
        let w = rows(x, &fold.train).lstsq(&rows(y, &fold.train), None);
        let left = rows(x, &fold.test).matmul(&w) - rows(y, &fold.test);
        sum += f64::from(left.square().sum().item::<f32>()?);
    }
    Ok(sum / x.size(0) as f64)
}

fn sample(n: usize, rng: &mut Generator, device: &Device) -> (Tensor, Tensor) {
    let x = rng.uniform(&[n], device) * 2.0 - 1.0;
    let y = (&x * PI).sin().reshape(&[-1, 1]) + rng.normal(&[n, 1], device) * 0.3;
    (x, y)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (x, y) = sample(40, rng, device);
    let (x_test, y_test) = sample(2000, rng, device);
    let degrees: Vec<usize> = (0..=9).collect();
    let (mut ten, mut one, mut train, mut test) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut off = 0.0f64;
    for &degree in &degrees {
        let powers = |x: &Tensor| x.vander(Some(degree + 1), true);
        let a = powers(&x);
        let w = a.lstsq(&y, None);
        let mean_square =
            |t: Tensor| -> wgrad::Result<f64> { Ok(t.square().mean().item::<f32>()?.into()) };
        train.push(mean_square(a.matmul(&w) - &y)?);
        test.push(mean_square(powers(&x_test).matmul(&w) - &y_test)?);
        ten.push(cross_validate(&a, &y, 10, lesson.seed)?);
        // H = Q Qᵀ.
        let (q, _) = a.qr(false);
        let leverage = q.square().sum_dims(&[1], true);
        one.push(mean_square((a.matmul(&w) - &y) / (1.0 - leverage))?);
        if degree % 3 == 0 {
            let by_fits = cross_validate(&a, &y, 40, 0)?;
            off = off.max((one[degree] / by_fits - 1.0).abs());
        }
    }
    lesson.at_most(
        "leaving one out: the formula against 40 fits, relative",
        off,
        0.01,
    )?;
    let least = |v: &[f64]| (0..v.len()).min_by(|a, b| v[*a].total_cmp(&v[*b]));
    for (name, errors) in [("ten folds", &ten), ("leaving one out", &one)] {
        let chosen = least(errors).ok_or("a degree")?;
        lesson.say(format!("{name}: degree {chosen}"));
        lesson.at_most(
            &format!("{name}: test error of the degree chosen by the least"),
            test[chosen] / test[least(&test).ok_or("a degree")?],
            1.25,
        )?;
    }
    let by_training = least(&train).ok_or("a degree")?;
    lesson.close(
        "by the training error the degree would be",
        by_training as f64,
        9.0,
        1.0,
    )?;
    let figure = Figure::new("40 points, degree chosen without a test set")
        .x("degree")
        .y("squared error")
        .log_y()
        .dotted_line("training", &degrees, &train)
        .dotted_line("ten folds", &degrees, &ten)
        .dotted_line("leaving one out", &degrees, &one)
        .line("test", &degrees, &test);
    lesson.figure(
        "errors",
        "What was left out stands for what is to come",
        &figure,
    )
}
