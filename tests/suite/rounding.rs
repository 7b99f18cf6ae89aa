//! What composes several operations computes f16 and bf16 in f32 and rounds once, gradients too: every method of tensors is
//! swept, and judged by the same graph in f64 without any rounding, so that executors cannot agree on a wrong number.

mod cases;

use crate::support::{executors, report, tensor, values};
use cases::{Case, Like, NORM, all_cases};
use std::collections::BTreeSet;
use wgrad::reference::Evaluator;
use wgrad::{DType, Device, Tensor, f16, grad};

fn operands(case: &Case, half: DType, seed: u64, device: &Device) -> Vec<Tensor> {
    let mut rng = crate::support::Random(seed);
    let (lo, hi) = match case.2 {
        Like::Moderate => (-4.0, 4.0),
        Like::Probability => (0.05, 0.95),
        Like::Positive => (0.1, 9.0),
        Like::AboveOne => (1.5, 600.0),
        Like::Large => (-600.0, 600.0),
    };
    let of = |shape: &&[usize]| {
        let n: usize = shape.iter().product();
        let data: Vec<f64> = (0..n).map(|_| rng.uniform(lo, hi)).collect();
        tensor(&data, shape, half, device)
    };
    case.1.iter().map(of).collect()
}

/// The distance between neighbouring halves at a value.
fn spacing(half: DType, v: f64) -> f64 {
    let (least, bits) = match half {
        DType::BF16 => (f64::from(f32::MIN_POSITIVE), 7.0),
        _ => (6.2e-5, 10.0),
    };
    (v.abs().max(least).log2().floor() - bits).exp2()
}

/// What is farther from the value in f64 than one rounding explains: ½ unit, and what f32 loses on the way, by the
/// greatest of the values, which may cancel.
fn beyond(half: DType, got: &[f64], want: &[f64]) -> Option<String> {
    let greatest = want
        .iter()
        .filter(|v| v.is_finite())
        .fold(0.0, |m: f64, v| m.max(v.abs()));
    let wrong = |i: &usize| {
        let (g, w) = (got[*i], want[*i]);
        let rounded = half.rounded(w);
        let error = (g - w).abs();
        g != rounded
            && !(g.is_nan() && w.is_nan())
            && (error.is_nan() || error > 0.55 * spacing(half, w) + 1e-5 * greatest)
    };
    let at = (0..got.len()).find(wrong)?;
    Some(format!(
        "element {at}: got {}, in f64 {}, one unit is {}",
        got[at],
        want[at],
        spacing(half, want[at])
    ))
}

fn judge(t: &Tensor, half: DType) -> Result<(), String> {
    let got = values(t).map_err(|e| e.to_string())?;
    let want = Evaluator::exact().evaluate(t).map_err(|e| e.to_string())?;
    if t.dtype() != half {
        return Err(format!("the result is {}", t.dtype()));
    }
    beyond(half, &got, &want.data).map_or(Ok(()), Err)
}

fn check_case(case: &Case, half: DType, seed: u64, device: &Device) -> Result<(), String> {
    let x = operands(case, half, seed, device);
    let y = (case.3)(&x);
    judge(&y, half)?;
    // The cotangent differs from element to element, so that what cancels in a sum of ones counts.
    let n = y.numel();
    let weights: Vec<f64> = (0..n).map(|i| 1.0 + (i % 7) as f64 / 4.0).collect();
    let upstream = tensor(&weights, y.shape(), half, device);
    let options = wgrad::GradOptions {
        upstream: Some(upstream),
        allow_unused: true,
    };
    let gradients = wgrad::grad_with(&y, &x.iter().collect::<Vec<_>>(), &options);
    for (k, g) in gradients.map_err(|e| e.to_string())?.iter().enumerate() {
        judge(g, half).map_err(|m| format!("gradient {k}: {m}"))?;
    }
    Ok(())
}

#[test]
fn compositions_round_once_forward_and_backward() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for subject in executors() {
        for (n, case) in all_cases().enumerate() {
            // The second subject sees a fixed quarter.
            if subject.name != "cpu" && n % 4 != 0 && !crate::support::all() {
                continue;
            }
            for seed in 0..if subject.name == "cpu" { 5 } else { 2 } {
                let half = match seed {
                    1 => DType::BF16,
                    _ => DType::F16,
                };
                count += 1;
                let seed = (n * 10 + seed) as u64;
                if let Err(m) = check_case(case, half, seed, &subject.device) {
                    failures.push(format!("{} {half} {}: {m}", subject.name, case.0));
                }
            }
        }
    }
    report("one rounding", count, &failures);
}

/// Methods that compute nothing in floats, or one operation, which `every_floating_operation_takes_halves` covers.
const ONE_STEP: &str = "abs add all all_dims any any_dims arange arange_step argmax argmin argsort asinh atan broadcast_to \
    cast cat ceil chunk cos count_nonzero cummax cummin diag_embed diagonal erf erfc exp expand expm1 eye flatten flip \
    floor fmax fmin from_bytes from_slice full full_like gather get index_fill index_select isfinite isinf isnan kthvalue \
    linspace log log1p log2 logical_and logical_not logical_or logical_xor masked_fill max_dim maximum median min_dim \
    minimum movedim narrow neg new one_hot ones ones_like pad permute pixel_shuffle pixel_unshuffle recip relu repeat \
    repeat_interleave repeat_interleave_each reshape roll round same scalar scatter scatter_scalar select select_scatter \
    set set_scalar sigmoid sign sin size slice slice_scatter sort split split_size sqrt squeeze squeeze_all squeeze_dims \
    stack stop_gradient sub t take_along_dim tanh topk transpose tril triu trunc unbind unflatten unfold2d unsqueeze where_ \
    zeros zeros_like name scalar with";

/// Methods that are not swept: they move elements, give no floats, or compose operations and may round f16 between them
/// (those are listed under "Not there yet" in ARCHITECTURE.md).
const NOT_SWEPT: &str = "nonzero nonzero_as_tuple nonzero_static masked_select bincount unique unique_dim unique_consecutive logspace \
    geomspace tril_indices triu_indices hann_window hamming_window blackman_window bartlett_window kaiser_window \
    unravel_index quantile nanquantile quantiles nanmedian aminmax mode bitwise_and bitwise_or bitwise_xor \
    bitwise_not bitwise_left_shift bitwise_right_shift gcd lcm searchsorted bucketize histc histogram index_put \
    index index_copy take put masked_scatter diagonal_scatter as_strided_scatter scatter_reduce index_reduce \
    atleast_1d atleast_2d atleast_3d hstack vstack dstack column_stack tensor_split tensor_split_at tile rot90 \
    fliplr flipud mt diag diagflat block_diag meshgrid cartesian_prod combinations as_strided unfold sum_to_size \
    isclose allclose equal isin broadcast_tensors addcmul addcdiv logaddexp2 heaviside ldexp signbit isposinf \
    isneginf deg2rad rad2deg rsub mvlgamma i0 fractional_max_pool2d grid_sample affine_grid addmm addmv addr baddbmm \
    addbmm multi_dot tensordot inner kron cross vander dist cdist pdist cov corrcoef renorm fft ifft rfft irfft fftn \
    ifftn rfftn irfftn stft istft fftfreq rfftfreq fftshift ifftshift diff gradient trapezoid trapezoid_over \
    cumulative_trapezoid cumulative_trapezoid_over";

#[test]
fn every_method_of_tensors_is_swept_or_listed() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/graph/src");
    let listed: BTreeSet<&str> = all_cases()
        .flat_map(|c| c.0.split(' '))
        .chain(ONE_STEP.split_whitespace())
        .chain(NOT_SWEPT.split_whitespace())
        .collect();
    let (mut missing, mut count) = (Vec::new(), 0);
    for folder in ["api", "composite"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            // Methods of tensors stand in blocks of their own, those of options before them.
            for block in text.split("\nimpl").filter(|b| b.starts_with(" Tensor {")) {
                for line in block
                    .lines()
                    .filter_map(|l| l.trim().strip_prefix("pub fn "))
                {
                    let name = line.split(['(', '<']).next().unwrap_or_default();
                    count += 1;
                    if !listed.contains(name) {
                        missing.push(name.to_string());
                    }
                }
            }
        }
    }
    assert!(count > 150, "only {count} methods were found");
    assert!(missing.is_empty(), "in no sweep of f16: {missing:?}");
}

#[test]
fn means_norms_and_optimisers_do_not_overflow_in_between() {
    use wgrad::nn::{Adam, Optimizer, gradients};
    for subject in executors() {
        let device = &subject.device;
        let half = |v: &[f32]| {
            Tensor::new(
                &v.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>(),
                device,
            )
        };
        let mut p = half(&[300.0, -300.0]);
        let mut adam = Adam::new(1.0);
        // Its square is beyond f16, and its square times 0.001 below what f16 resolves.
        for slope in [2000.0, 1e-3] {
            let loss = (&p * slope).sum();
            let g = gradients(&loss, &p).unwrap();
            let before = values(&p).unwrap();
            adam.step(&mut p, &g).unwrap();
            let after = values(&p).unwrap();
            for (b, a) in before.iter().zip(&after) {
                assert!(
                    a.is_finite() && (b - a) > 0.1 && (b - a) < 2.0,
                    "{}: {b} to {a}",
                    subject.name
                );
            }
        }
        let x = half(&[200.0; 4]);
        let g = grad(&x.norm(), &[&x]).unwrap();
        assert_eq!(
            (values(&x.norm()).unwrap(), values(&g[0]).unwrap()),
            (vec![400.0], vec![0.5; 4])
        );
    }
}

#[test]
fn layers_round_once() {
    use wgrad::nn::{BatchNorm1d, Context, Gelu, LayerNorm, Linear};
    let halves = [DType::F16, DType::BF16];
    let all = executors()
        .into_iter()
        .flat_map(|s| halves.map(|half| (s.device.clone(), half)));
    for (device, half) in all {
        let of = |shapes, like| operands(&("", shapes, like, |x| x[0].clone()), half, 7, &device);
        let x = of(NORM, Like::Large);
        let mut norm = BatchNorm1d::new(4, &device);
        (norm.weight, norm.bias) = (Some(x[1].clone()), Some(x[2].clone()));
        judge(&norm.forward(&x[0], &mut Context::train(0)), half).unwrap();
        assert_eq!(norm.running_var.expect("tracked").dtype(), DType::F32);
        let x = of(&[&[3, 8], &[8], &[8], &[5, 8], &[5]], Like::Moderate);
        let (weight, bias) = (Some(x[1].clone()), Some(x[2].clone()));
        judge(
            &LayerNorm {
                normalized_shape: vec![8],
                weight,
                bias,
                eps: 1e-5,
            }
            .forward(&x[0]),
            half,
        )
        .unwrap();
        let (weight, bias) = (x[3].clone(), Some(x[4].clone()));
        judge(&Linear { weight, bias }.forward(&x[0]), half).unwrap();
        judge(&Gelu.forward(&x[0]), half).unwrap();
    }
}
