//! Every primitive on its samples, on every executor, against the reference: forward, and the gradient with the op in
//! the middle of a graph and an upstream gradient other than ones.

use crate::support::{Random, Subject, all, check, contents, executors, report, tensor, variants};
use wgrad::ops::{Op, Sample, Tolerance};
use wgrad::{Device, GradOptions, Tensor, grad_with};

/// The sample's operands on a device. Float operands are products, so that they are no leaves.
pub fn operands(sample: &Sample<Op>, seed: u64, device: &Device) -> (Vec<Tensor>, Vec<Tensor>) {
    let mut rng = Random(seed);
    let leaves: Vec<Tensor> = sample
        .inputs
        .iter()
        .map(|i| tensor(&contents(i, &mut rng), &i.shape, i.dtype, device))
        .collect();
    let inner = leaves
        .iter()
        .map(|x| {
            if sample.smooth && x.dtype().is_float() {
                &(x * 0.5) * 2.0
            } else {
                x.clone()
            }
        })
        .collect();
    (leaves, inner)
}

/// The op applied, weighted by random coefficients and summed; and the leaves a gradient makes sense for.
pub fn scalar_function(sample: &Sample<Op>, seed: u64, device: &Device) -> (Tensor, Vec<Tensor>) {
    let (leaves, inner) = operands(sample, seed, device);
    let y = Tensor::apply(sample.op.clone(), &inner.iter().collect::<Vec<_>>(), device);
    let mut rng = Random(seed ^ 0xabcd);
    let weights: Vec<f64> = (0..y.numel()).map(|_| rng.uniform(0.5, 1.5)).collect();
    let w = tensor(&weights, y.shape(), wgrad::DType::F32, device);
    let floats = leaves
        .into_iter()
        .filter(|x| x.dtype().is_float())
        .collect();
    ((&y * &w * 3.0).sum(), floats)
}

fn forward(subjects: &[Subject], every: usize) {
    let (mut failures, mut count) = (Vec::new(), 0);
    for (n, sample) in Op::samples().iter().enumerate() {
        if n % every != 0 {
            continue;
        }
        for s in subjects {
            let (_, inner) = operands(sample, n as u64, &s.device);
            let y = Tensor::apply(
                sample.op.clone(),
                &inner.iter().collect::<Vec<_>>(),
                &s.device,
            );
            count += 1;
            if let Err(m) = check(&y, sample.op.tolerance()) {
                failures.push(format!("{} sample {n} ({:?}): {m}", s.name, sample));
            }
        }
    }
    report("forward", count, &failures);
}

fn gradients(subjects: &[Subject], every: usize) {
    let (mut failures, mut count) = (Vec::new(), 0);
    let options = GradOptions {
        allow_unused: true,
        ..Default::default()
    };
    for (n, sample) in Op::samples().iter().enumerate() {
        if n % every != 0 || !sample.smooth {
            continue;
        }
        for s in subjects {
            let (loss, leaves) = scalar_function(sample, n as u64, &s.device);
            if !loss.dtype().is_float() || leaves.is_empty() {
                continue;
            }
            match grad_with(&loss, &leaves.iter().collect::<Vec<_>>(), &options) {
                Err(e) => failures.push(format!("{} sample {n} ({:?}): {e}", s.name, sample)),
                Ok(list) => {
                    let tol = sample.op.tolerance();
                    let tol = Tolerance {
                        rtol: tol.rtol.max(1e-5) * 10.0,
                        atol: tol.atol.max(1e-5) * 10.0,
                    };
                    for g in list {
                        count += 1;
                        if let Err(m) = check(&g, tol) {
                            failures.push(format!(
                                "{} gradient of sample {n} ({:?}): {m}",
                                s.name, sample
                            ));
                        }
                    }
                }
            }
        }
    }
    report("gradients", count, &failures);
}

#[test]
fn forward_equals_the_reference() {
    forward(&executors(), 1);
}

#[test]
fn gradients_equal_the_reference() {
    gradients(&executors(), 1);
}

#[test]
fn forward_without_fusion_and_at_minimum_limits() {
    forward(&variants(), if all() { 1 } else { 10 });
}

#[test]
fn gradients_without_fusion_and_at_minimum_limits() {
    gradients(&variants(), if all() { 1 } else { 10 });
}
