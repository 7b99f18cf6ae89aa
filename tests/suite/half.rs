//! f16 through every floating-point operation: stored in two bytes, computed in f32, on every executor.

use crate::support::{Subject, contents, executors, gpu_minimum, report, tensor, values};
use wgrad::ops::{Op, SampleInput, Tolerance};
use wgrad::{DType, Tensor};

/// The tolerance of an operation in f16: that of f32, or the two roundings of the result, whichever is more.
fn tolerance(op: &Op) -> Tolerance {
    let t = op.tolerance();
    Tolerance {
        rtol: t.rtol.max(2e-3),
        atol: t.atol.max(1e-3),
    }
}

fn in_f16(input: &SampleInput) -> SampleInput {
    let dtype = if input.dtype == DType::F32 {
        DType::F16
    } else {
        input.dtype
    };
    SampleInput {
        dtype,
        ..input.clone()
    }
}

#[test]
fn every_floating_operation_takes_f16() {
    let (mut failures, mut count) = (Vec::new(), 0);
    let mut subjects = executors();
    subjects.extend(gpu_minimum().map(|device| Subject {
        name: "gpu minimum",
        device,
    }));
    for (n, sample) in Op::samples().iter().enumerate() {
        // A loop's dtypes are those of its body.
        let of_body = matches!(sample.op, Op::Loop(_) | Op::Pick(_));
        if sample.inputs.is_empty() || sample.inputs[0].dtype != DType::F32 || of_body {
            continue;
        }
        for (k, s) in subjects.iter().enumerate() {
            // The third subject sees a fixed tenth.
            if k == 2 && n % 10 != 0 && !crate::support::all() {
                continue;
            }
            let mut rng = crate::support::Random(n as u64);
            let inputs: Vec<Tensor> = sample
                .inputs
                .iter()
                .map(in_f16)
                .map(|i| tensor(&contents(&i, &mut rng), &i.shape, i.dtype, &s.device))
                .collect();
            let y = Tensor::apply(
                sample.op.clone(),
                &inputs.iter().collect::<Vec<_>>(),
                &s.device,
            );
            count += 1;
            let got = match values(&y) {
                Ok(got) => got,
                Err(e) => {
                    failures.push(format!("{} sample {n} ({sample:?}): {e}", s.name));
                    continue;
                }
            };
            let want = crate::support::expected(&y).unwrap().data;
            if let Some(m) = crate::support::differs(&got, &want, tolerance(&sample.op)) {
                failures.push(format!("{} sample {n} ({sample:?}): {m}", s.name));
            }
        }
    }
    report("f16", count, &failures);
}
