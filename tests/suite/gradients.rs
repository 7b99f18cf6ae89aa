//! Derivative rules against finite differences of the reference in f64, first and second order: the public
//! `gradcheck` on every smooth sample, with the op in the middle of a graph. On the GPU gradients of both orders
//! against the reference's, to f32 tolerance.

use crate::ops::scalar_function;
use crate::support::{Random, all, differs, expected, gpu, report, tensor, values};
use std::collections::BTreeSet;
use wgrad::ops::{Op, Sample, Tolerance};
use wgrad::{DType, Device, GradOptions, GradcheckOptions, Tensor, eval, grad_with, gradcheck};

#[test]
fn derivative_rules_equal_finite_differences() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for (n, sample) in Op::samples().iter().enumerate().filter(|(_, s)| s.smooth) {
        let (f, leaves) = scalar_function(sample, n as u64, &Device::reference());
        if leaves.is_empty() || !f.dtype().is_float() {
            continue;
        }
        let options = GradcheckOptions {
            seed: n as u64 + 77,
            ..GradcheckOptions::default()
        };
        count += 1;
        if let Err(e) = gradcheck(&f, &leaves.iter().collect::<Vec<_>>(), &options) {
            failures.push(format!("sample {n} ({sample:?}): {e}"));
        }
    }
    report("gradcheck to second order", count, &failures);
}

/// Gradients of a sample's function, and of their weighted sum.
fn both_orders(sample: &Sample<Op>, seed: u64, device: &Device) -> wgrad::Result<Vec<Tensor>> {
    let (f, leaves) = scalar_function(sample, seed, device);
    if leaves.is_empty() || !f.dtype().is_float() {
        return Ok(Vec::new());
    }
    let inputs: Vec<&Tensor> = leaves.iter().collect();
    let options = GradOptions {
        allow_unused: true,
        ..Default::default()
    };
    let mut list = grad_with(&f, &inputs, &options)?;
    let mut rng = Random(seed ^ 0x5eed);
    let mut total: Option<Tensor> = None;
    for g in &list {
        let v: Vec<f64> = (0..g.numel()).map(|_| rng.uniform(0.5, 1.5)).collect();
        let part = (g * tensor(&v, g.shape(), DType::F32, device)).sum();
        total = Some(match total {
            Some(sum) => sum + part,
            None => part,
        });
    }
    if let Some(total) = total {
        list.extend(grad_with(&total, &inputs, &options)?);
    }
    Ok(list)
}

/// Every operation once, or every smooth sample: first and second order in one run each.
#[test]
fn both_orders_on_the_gpu_equal_the_reference() {
    let Some(device) = gpu() else { return };
    let (mut failures, mut count) = (Vec::new(), 0);
    let mut seen = BTreeSet::new();
    for (n, sample) in Op::samples().iter().enumerate().filter(|(_, s)| s.smooth) {
        if sample.inputs.iter().any(|i| i.shape.contains(&0)) {
            continue;
        }
        if !all() && !seen.insert(sample.op.name()) {
            continue;
        }
        let list = match both_orders(sample, n as u64, &device) {
            Ok(list) => list,
            Err(e) => {
                failures.push(format!("sample {n} ({sample:?}): {e}"));
                continue;
            }
        };
        if let Err(e) = eval(&list.iter().collect::<Vec<_>>()) {
            failures.push(format!("sample {n} ({sample:?}): {e}"));
            continue;
        }
        let tol = sample.op.tolerance();
        let tol = Tolerance {
            rtol: tol.rtol.max(1e-5) * 10.0,
            atol: tol.atol.max(1e-5) * 10.0,
        };
        let orders = list.len() / 2;
        for (at, g) in list.iter().enumerate() {
            count += 1;
            let (got, want) = (
                values(g).expect("values"),
                expected(g).expect("values").data,
            );
            if let Some(m) = differs(&got, &want, tol) {
                let order = 1 + at / orders.max(1);
                failures.push(format!("order {order} of sample {n} ({sample:?}): {m}"));
            }
        }
    }
    report("gradients of both orders on the GPU", count, &failures);
}

/// The check can fail: a custom operation with a wrong derivative is found.
#[test]
fn a_wrong_derivative_is_found() {
    let op = wgrad::CustomOp::new("wrong", "")
        .cpu(|x, y, _| y.iter_mut().zip(x[0].0).for_each(|(y, x)| *y = x * x))
        .reference(|x, _| x[0].data.iter().map(|x| x * x).collect())
        .derivative(|x, _, g| vec![Some(g * &x[0] * 2.01)]);
    let x = wgrad::Tensor::new(&[0.5f32, 2.0], &Device::reference());
    let e = gradcheck(&op.apply(&[&x]), &[&x], &GradcheckOptions::default()).unwrap_err();
    assert!(e.to_string().contains("order 1"), "{e}");
}
