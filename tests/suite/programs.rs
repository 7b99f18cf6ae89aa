//! Random programs: the fused plan against the unfused one and against the reference, on every executor.

use crate::support::{
    Random, Subject, all, check, cpu_minimum, cpu_unfused, executors, tensor, variants,
};
use proptest::prelude::*;
use wgrad::ops::Tolerance;
use wgrad::{DType, Device, GradOptions, Tensor, grad_with};

/// A program is a list of numbers; each picks an operation and its operands among what is there.
pub fn build(code: &[u32], device: &Device) -> (Vec<Tensor>, Tensor) {
    let mut rng = Random(99);
    let mut leaf = |shape: &[usize]| {
        let n = shape.iter().product();
        let values: Vec<f64> = (0..n).map(|_| rng.uniform(-1.5, 1.5)).collect();
        tensor(&values, shape, DType::F32, device)
    };
    let leaves = vec![
        leaf(&[3, 4]),
        leaf(&[3, 4]),
        leaf(&[4]),
        leaf(&[3, 1]),
        leaf(&[2, 3, 4]),
    ];
    let mut pool = leaves.clone();
    for word in code {
        let a = pool[(word >> 8) as usize % pool.len()].clone();
        let b = pool[(word >> 16) as usize % pool.len()].clone();
        let y = step(word & 31, &a, &b);
        if y.check().is_ok() && y.numel() <= 600 && y.numel() > 0 {
            pool.push(y);
        }
    }
    let total = pool.iter().map(|t| t.tanh().sum()).reduce(|a, b| a + b);
    (leaves, total.unwrap_or_else(|| pool[0].sum()))
}

fn step(op: u32, a: &Tensor, b: &Tensor) -> Tensor {
    let last = a.rank() as isize - 1;
    match op {
        0 | 1 => a + b,
        2 => a - b,
        3 | 4 => a * b,
        5 => a.tanh(),
        6 => a.sin() * 0.7,
        7 => a.relu(),
        8 => a.sigmoid(),
        9 => a.abs().sqrt(),
        10 => (a * 0.5).exp(),
        11 => Tensor::where_(&a.gt_scalar(0.1), a, &(a * 0.25)),
        12 => a.maximum(b),
        13 => a.sum_dims(&[last], true),
        14 => a.mean_dims(&[0], false),
        15 => a.transpose(0, -1),
        16 => a.reshape(&[-1]),
        17 => a.flip(&[last]),
        18 => a.narrow(last, 1.min(a.size(last)), a.size(last).saturating_sub(1)),
        19 => Tensor::cat(&[a, a], 0),
        20 => a.matmul(&b.t()),
        21 => a.softmax(-1),
        22 => a.log_softmax(-1),
        23 => a.cumsum(-1) * 0.3,
        24 => a.amax_dims(&[last], true),
        25 => a.unsqueeze(0),
        26 => a / (b.square() + 1.0),
        27 => a.sort(-1, false).0,
        28 => a.reshape(&[2, -1]),
        29 => a.cast(DType::F16).cast(DType::F32) * 0.5 + a,
        30 => -a,
        _ => a * 1.5 + 0.25,
    }
}

const TOLERANCE: Tolerance = Tolerance {
    rtol: 2e-4,
    atol: 2e-4,
};

fn agrees(code: &[u32], subject: &Subject, with_gradients: bool) -> Result<(), TestCaseError> {
    let (leaves, total) = build(code, &subject.device);
    let fail = |m: String| TestCaseError::fail(format!("{}: {m}", subject.name));
    check(&total, TOLERANCE).map_err(fail)?;
    if with_gradients {
        let options = GradOptions {
            allow_unused: true,
            ..Default::default()
        };
        let list = grad_with(&total, &leaves.iter().collect::<Vec<_>>(), &options)
            .map_err(|e| fail(e.to_string()))?;
        wgrad::eval(&list.iter().collect::<Vec<_>>()).map_err(|e| fail(e.to_string()))?;
        for g in &list {
            check(
                g,
                Tolerance {
                    rtol: 1e-3,
                    atol: 1e-3,
                },
            )
            .map_err(fail)?;
        }
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    }
}

fn code() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(any::<u32>(), 1..24)
}

#[test]
fn random_programs_equal_the_reference_on_the_cpu() {
    let subjects = [
        Subject {
            name: "cpu",
            device: Device::cpu(),
        },
        Subject {
            name: "cpu unfused",
            device: cpu_unfused(),
        },
        Subject {
            name: "cpu minimum",
            device: cpu_minimum(),
        },
    ];
    proptest!(config(if all() { 1000 } else { 200 }), |(code in code())| {
        for s in &subjects {
            agrees(&code, s, true)?;
        }
    });
}

#[test]
fn random_programs_equal_the_reference_on_the_gpu() {
    let mut subjects: Vec<Subject> = executors()
        .into_iter()
        .filter(|s| s.name == "gpu")
        .collect();
    subjects.extend(variants().into_iter().filter(|s| s.name.starts_with("gpu")));
    let mut rng = Random(2026);
    // Each program compiles pipelines of its own, which is what takes the time.
    for n in 0..if all() { 40 } else { 4 } {
        let code: Vec<u32> = (0..8 + n % 12).map(|_| rng.word() as u32).collect();
        for s in &subjects {
            if let Err(e) = agrees(&code, s, n % 2 == 0) {
                panic!("program {code:?}: {e}");
            }
        }
    }
}
