//! Derivative rules against finite differences of the reference in f64, first and second order, along random
//! directions.

use crate::ops::scalar_function;
use crate::support::{Random, report};
use wgrad::ops::Op;
use wgrad::reference::{Array, Evaluator};
use wgrad::{Device, GradOptions, Tensor, grad_with};

fn options() -> GradOptions {
    GradOptions {
        allow_unused: true,
        ..Default::default()
    }
}

fn evaluate(t: &Tensor, leaves: &[Tensor], points: &[Array]) -> Result<Array, String> {
    let mut evaluator = Evaluator::exact();
    for (leaf, point) in leaves.iter().zip(points) {
        evaluator.replace(leaf, point.clone());
    }
    evaluator.evaluate(t).map_err(|e| e.to_string())
}

fn shifted(points: &[Array], direction: &[Array], h: f64) -> Vec<Array> {
    let add = |(p, d): (&Array, &Array)| Array {
        data: p.data.iter().zip(&d.data).map(|(p, d)| p + h * d).collect(),
        ..p.clone()
    };
    points.iter().zip(direction).map(add).collect()
}

fn dot(a: &[Array], b: &[Array]) -> f64 {
    a.iter()
        .zip(b)
        .flat_map(|(a, b)| a.data.iter().zip(&b.data))
        .map(|(a, b)| a * b)
        .sum()
}

fn random_direction(points: &[Array], rng: &mut Random) -> Vec<Array> {
    let one = |p: &Array| Array {
        data: p.data.iter().map(|_| rng.uniform(-1.0, 1.0)).collect(),
        ..p.clone()
    };
    points.iter().map(one).collect()
}

/// `d f / d leaves` along a direction: the gradient's and the central difference's word.
fn slopes(
    f: &Tensor,
    leaves: &[Tensor],
    points: &[Array],
    along: &[Array],
) -> Result<(f64, f64), String> {
    let list =
        grad_with(f, &leaves.iter().collect::<Vec<_>>(), &options()).map_err(|e| e.to_string())?;
    let exact: Vec<Array> = list
        .iter()
        .map(|g| evaluate(g, leaves, points))
        .collect::<Result<_, _>>()?;
    let h = 1e-5;
    let up = evaluate(f, leaves, &shifted(points, along, h))?.data[0];
    let down = evaluate(f, leaves, &shifted(points, along, -h))?.data[0];
    Ok((dot(&exact, along), (up - down) / (2.0 * h)))
}

fn disagree((got, want): (f64, f64)) -> Option<String> {
    let fine = (got - want).abs() <= 1e-5 * (1.0 + got.abs().max(want.abs()));
    (!fine).then(|| format!("derivative {got}, finite difference {want}"))
}

fn check_sample(
    n: usize,
    sample: &wgrad::ops::Sample<Op>,
    failures: &mut Vec<String>,
) -> Result<usize, String> {
    let device = Device::reference();
    let (f, leaves) = scalar_function(sample, n as u64, &device);
    if leaves.is_empty() || !f.dtype().is_float() {
        return Ok(0);
    }
    let points: Vec<Array> = leaves
        .iter()
        .map(|x| evaluate(x, &[], &[]))
        .collect::<Result<_, _>>()?;
    let mut rng = Random(n as u64 + 77);
    let mut count = 0;
    for _ in 0..3 {
        let along = random_direction(&points, &mut rng);
        count += 1;
        if let Some(m) = disagree(slopes(&f, &leaves, &points, &along)?) {
            failures.push(format!("first order, sample {n} ({sample:?}): {m}"));
        }
    }
    let list =
        grad_with(&f, &leaves.iter().collect::<Vec<_>>(), &options()).map_err(|e| e.to_string())?;
    let product = list.iter().zip(&leaves).map(|(g, x)| {
        let v: Vec<f32> = (0..x.numel())
            .map(|_| rng.uniform(-1.0, 1.0) as f32)
            .collect();
        (g * Tensor::from_slice(&v, x.shape(), &device)).sum()
    });
    let Some(s) = product.reduce(|a, b| a + b) else {
        return Ok(count);
    };
    let along = random_direction(&points, &mut rng);
    count += 1;
    if let Some(m) = disagree(slopes(&s, &leaves, &points, &along)?) {
        failures.push(format!("second order, sample {n} ({sample:?}): {m}"));
    }
    Ok(count)
}

#[test]
fn derivative_rules_equal_finite_differences() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for (n, sample) in Op::samples().iter().enumerate().filter(|(_, s)| s.smooth) {
        match check_sample(n, sample, &mut failures) {
            Ok(c) => count += c,
            Err(m) => failures.push(format!("sample {n} ({sample:?}): {m}")),
        }
    }
    report("finite differences", count, &failures);
}
