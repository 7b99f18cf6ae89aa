//! f16 and bf16 through every floating-point operation: stored in two bytes, computed in f32, on every executor.

use crate::support::{Subject, contents, executors, gpu_minimum, report, tensor, values};
use wgrad::ops::{Op, SampleInput, Tolerance};
use wgrad::{DType, Tensor, bf16};

/// The tolerance of an operation on halves: that of f32, or the two roundings of the result, whichever is more.
fn tolerance(op: &Op, half: DType) -> Tolerance {
    let t = op.tolerance();
    let unit = if half == DType::BF16 { 8e-3 } else { 1e-3 };
    Tolerance {
        rtol: t.rtol.max(2.0 * unit),
        atol: t.atol.max(1e-3),
    }
}

fn narrowed(input: &SampleInput, half: DType) -> SampleInput {
    let dtype = match input.dtype {
        DType::F32 => half,
        other => other,
    };
    SampleInput {
        dtype,
        ..input.clone()
    }
}

#[test]
fn every_floating_operation_takes_halves() {
    for half in [DType::F16, DType::BF16] {
        sweep(half);
    }
}

fn sweep(half: DType) {
    let (mut failures, mut count) = (Vec::new(), 0);
    let mut subjects = executors();
    subjects.extend(gpu_minimum().map(|device| Subject {
        name: "gpu minimum",
        device,
    }));
    for (n, sample) in Op::samples().iter().enumerate() {
        // A loop's dtypes are those of its body; what an attention keeps of its rows for the gradient is f32.
        let own = matches!(
            sample.op,
            Op::Loop(_) | Op::Pick(_) | Op::AttentionNormalizer(_) | Op::AttentionGrad(_)
        );
        if sample.inputs.is_empty() || sample.inputs[0].dtype != DType::F32 || own {
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
                .map(|input| narrowed(input, half))
                .map(|i| tensor(&contents(&i, &mut rng), &i.shape, i.dtype, &s.device))
                .collect();
            let y = Tensor::apply(
                sample.op.clone(),
                &inputs.iter().collect::<Vec<_>>(),
                &s.device,
            );
            count += 1;
            let float = y.dtype().is_float() && !matches!(sample.op, Op::Cast(_));
            assert!(
                !float || y.dtype() == half,
                "{sample:?} gives {}",
                y.dtype()
            );
            let got = match values(&y) {
                Ok(got) => got,
                Err(e) => {
                    failures.push(format!("{} sample {n} ({sample:?}): {e}", s.name));
                    continue;
                }
            };
            let want = crate::support::expected(&y).unwrap().data;
            if let Some(m) = crate::support::differs(&got, &want, tolerance(&sample.op, half)) {
                failures.push(format!("{} sample {n} ({sample:?}): {m}", s.name));
            }
        }
    }
    report(half.name(), count, &failures);
}

/// All values of a dtype of two bytes, by their patterns.
fn patterns(device: &wgrad::Device) -> Tensor {
    let all: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    Tensor::new(&all, device)
}

/// PyTorch's `torch.tensor(x).bfloat16()` of f32 patterns: `(x, bf16)`.
const PYTORCH: &[(u32, u16)] = &[
    (0x0000_0000, 0x0000),
    (0x8000_0000, 0x8000),
    (0x3f80_0000, 0x3f80),
    // The middle between 1 and the next goes to the even one, as the middle after it; beside the middle to the nearest.
    (0x3f80_7fff, 0x3f80),
    (0x3f80_8000, 0x3f80),
    (0x3f80_8001, 0x3f81),
    (0x3f81_8000, 0x3f82),
    (0xbf81_8000, 0xbf82),
    (0x3f81_7fff, 0x3f81),
    (0x42f6_e979, 0x42f7),
    (0xc61c_4000, 0xc61c),
    // A carry into the exponent.
    (0x3fff_8000, 0x4000),
    (0x3fff_ffff, 0x4000),
    // The greatest number, what still rounds to it, and what rounds to infinity.
    (0x7f7f_0000, 0x7f7f),
    (0x7f7f_7fff, 0x7f7f),
    (0x7f7f_8000, 0x7f80),
    (0x7f7f_ffff, 0x7f80),
    (0xff7f_ffff, 0xff80),
    (0x7f80_0000, 0x7f80),
    (0xff80_0000, 0xff80),
    // The least normal number and around it.
    (0x0080_0000, 0x0080),
    (0x0080_8001, 0x0081),
    (0x3dcc_cccd, 0x3dcd),
    (0x3eaa_aaab, 0x3eab),
];

#[test]
fn bf16_goes_to_f32_and_back() {
    for s in executors_and_reference() {
        let x = patterns(&s.device);
        let wide = x.cast(DType::F32).to_vec::<f32>().unwrap();
        let back = x.cast(DType::F32).cast(DType::BF16);
        // Stored in between, too.
        let stored = Tensor::new(&wide, &s.device).cast(DType::BF16);
        for t in [back, stored] {
            let t = t.to_vec::<bf16>().unwrap();
            for (h, (wide, t)) in (0..=u16::MAX).zip(wide.iter().zip(t)) {
                let want = f32::from_bits(u32::from(h) << 16);
                assert!(
                    *wide == want || wide.is_nan() && want.is_nan(),
                    "{}: {h:x}",
                    s.name
                );
                assert!(
                    t.to_bits() == h || t.is_nan() && want.is_nan(),
                    "{}: {h:x} becomes {t:?}",
                    s.name
                );
            }
        }
    }
}

#[test]
fn bf16_rounds_as_pytorch_does() {
    let mut x: Vec<f32> = PYTORCH.iter().map(|p| f32::from_bits(p.0)).collect();
    let mut rng = crate::support::Random(3);
    // Normal numbers of every size; `half` rounds by formulas of its own.
    x.extend((0..20_000).map(|i| {
        let exponent = 1 + (i as u32 * 7) % 254;
        let low = (rng.uniform(0.0, 1.0) * f64::from(1 << 23)) as u32;
        f32::from_bits(((i as u32 % 2) << 31) | (exponent << 23) | low)
    }));
    let mut want: Vec<u16> = PYTORCH.iter().map(|p| p.1).collect();
    want.extend(x[want.len()..].iter().map(|&x| bf16::from_f32(x).to_bits()));
    for s in executors_and_reference() {
        let got = Tensor::new(&x, &s.device)
            .cast(DType::BF16)
            .to_vec::<bf16>()
            .unwrap();
        for ((x, got), want) in x.iter().zip(got).zip(&want) {
            assert_eq!(got.to_bits(), *want, "{}: {:x}", s.name, x.to_bits());
        }
        let nan = Tensor::new(&[f32::NAN, -f32::NAN], &s.device).cast(DType::BF16);
        assert!(nan.to_vec::<bf16>().unwrap().iter().all(|x| x.is_nan()));
    }
}

fn executors_and_reference() -> Vec<Subject> {
    let mut all = executors();
    all.push(Subject {
        name: "reference",
        device: wgrad::Device::reference(),
    });
    all
}

#[test]
fn gradients_have_the_dtype_of_their_operand() {
    for s in executors_and_reference() {
        let x = tensor(&[1.0, -2.0, 3.0, 0.5], &[2, 2], DType::BF16, &s.device);
        let w = tensor(&[0.5, 1.5, -1.0, 2.0], &[2, 2], DType::F32, &s.device);
        let h = tensor(&[1.0, 2.0], &[2], DType::F16, &s.device);
        let y = (x.matmul(&w) + &h).tanh();
        assert_eq!(y.dtype(), DType::F32, "bf16 beside f32");
        assert_eq!((&x + &h).dtype(), DType::F32, "bf16 beside f16");
        assert_eq!((&x * 0.1).dtype(), DType::BF16, "bf16 beside a number");
        let g = wgrad::grad(&y.sum(), &[&x, &w, &h]).unwrap();
        let dtypes: Vec<DType> = g.iter().map(Tensor::dtype).collect();
        assert_eq!(dtypes, [DType::BF16, DType::F32, DType::F16]);
        // A gradient of a gradient, too.
        let square = (&x * &x * &x).sum();
        let first = wgrad::grad(&square, &[&x]).unwrap();
        let second = wgrad::grad(&first[0].sum(), &[&x]).unwrap();
        assert_eq!(second[0].dtype(), DType::BF16);
        assert_eq!(values(&second[0]).unwrap(), [6.0, -12.0, 18.0, 3.0]);
        assert!(format!("{x}").contains("-2"), "{x}");
        assert!(format!("{x:?}").contains("bf16"), "{x:?}");
    }
}

#[test]
fn bf16_has_the_range_of_f32() {
    for s in executors_and_reference() {
        let big = Tensor::full(&[3], 1e38, DType::BF16, &s.device);
        assert!(values(&(&big * 2.0)).unwrap().iter().all(|v| v.is_finite()));
        let e = Tensor::full(&[3], 3.4e38, DType::BF16, &s.device)
            .check()
            .err();
        let e = e.expect("beyond the range").to_string();
        assert!(e.contains("bf16") && e.contains("3.4e38"), "{e}");
    }
}
