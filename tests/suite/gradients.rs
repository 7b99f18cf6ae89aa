//! Derivative rules against finite differences of the reference in f64, first and second order: the public
//! `gradcheck` on every smooth sample, with the op in the middle of a graph.

use crate::ops::scalar_function;
use crate::support::report;
use wgrad::ops::Op;
use wgrad::{Device, GradcheckOptions, gradcheck};

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
