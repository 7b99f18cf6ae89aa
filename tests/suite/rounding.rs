//! What composes several operations computes f16 in f32 and rounds once, gradients too: every method of tensors is
//! swept, and judged by the same graph in f64 without any rounding, so that executors cannot agree on a wrong number.

use crate::support::{executors, report, tensor, values};
use std::collections::BTreeSet;
use wgrad::reference::Evaluator;
use wgrad::{
    AttentionOptions, ConvOptions, ConvTransposeOptions, DType, Device, EmbeddingOptions,
    GeluApproximation, InterpolateOptions, Interpolation, LocalResponseNormOptions, MatrixNorm,
    PoissonNllOptions, PoolOptions, Reduction, Tensor, TripletMarginOptions, UnfoldOptions, f16,
    grad,
};

/// A function under test: its names as methods, its operands' shapes, what its elements are like, and itself.
type Case = (
    &'static str,
    &'static [&'static [usize]],
    Like,
    fn(&[Tensor]) -> Tensor,
);

/// Contents of the operands.
#[derive(Clone, Copy, PartialEq)]
enum Like {
    /// Between −4 and 4.
    Moderate,
    /// Between 0.05 and 0.95.
    Probability,
    /// Between 0.1 and 9.
    Positive,
    /// Between 1.5 and 600.
    AboveOne,
    /// Up to 600: squares overflow f16, results do not.
    Large,
}

const V: &[&[usize]] = &[&[3, 8]];
const VV: &[&[usize]] = &[&[3, 8], &[3, 8]];
const VVV: &[&[usize]] = &[&[3, 8], &[3, 8], &[3, 8]];
const IMAGE: &[&[usize]] = &[&[2, 4, 6, 6]];
const NORM: &[&[usize]] = &[&[3, 4, 8], &[4], &[4]];

fn index(n: usize, device: &Device) -> Tensor {
    Tensor::arange(n, device)
}

/// Functions of one operand, element by element.
const UNARY: &[Case] = &[
    ("leaky_relu", V, Like::Large, |x| x[0].leaky_relu(0.3)),
    ("elu", V, Like::Moderate, |x| x[0].elu(1.7)),
    ("celu", V, Like::Moderate, |x| x[0].celu(0.7)),
    ("selu", V, Like::Moderate, |x| x[0].selu()),
    ("gelu", V, Like::Moderate, |x| x[0].gelu()),
    ("gelu", V, Like::Large, |x| x[0].gelu()),
    ("gelu_with", V, Like::Large, |x| {
        x[0].gelu_with(GeluApproximation::Tanh)
    }),
    ("silu", V, Like::Moderate, |x| x[0].silu()),
    ("mish", V, Like::Moderate, |x| x[0].mish()),
    ("softplus", V, Like::Moderate, |x| x[0].softplus()),
    ("softplus_with", V, Like::Moderate, |x| {
        x[0].softplus_with(3.0, 5.0)
    }),
    ("logsigmoid", V, Like::Moderate, |x| x[0].logsigmoid()),
    ("hardtanh relu6 held", V, Like::Moderate, |x| {
        x[0].hardtanh(-1.3, 1.3)
    }),
    ("hardsigmoid", V, Like::Moderate, |x| x[0].hardsigmoid()),
    ("hardswish", V, Like::Large, |x| x[0].hardswish()),
    ("softsign", V, Like::Moderate, |x| x[0].softsign()),
    ("tanhshrink", V, Like::Moderate, |x| x[0].tanhshrink()),
    ("softshrink", V, Like::Moderate, |x| x[0].softshrink(0.3)),
    ("hardshrink", V, Like::Moderate, |x| x[0].hardshrink(0.3)),
    ("threshold", V, Like::Moderate, |x| x[0].threshold(0.3, 0.1)),
    ("frac", V, Like::Moderate, |x| x[0].frac()),
    ("round_decimals", V, Like::Large, |x| {
        x[0].round_decimals(-1)
    }),
    ("tan", V, Like::Probability, |x| x[0].tan()),
    ("asin", V, Like::Probability, |x| x[0].asin()),
    ("acos", V, Like::Probability, |x| x[0].acos()),
    ("sinh", V, Like::Positive, |x| x[0].sinh()),
    ("cosh", V, Like::Positive, |x| x[0].cosh()),
    ("acosh", V, Like::AboveOne, |x| x[0].acosh()),
    ("atanh", V, Like::Probability, |x| x[0].atanh()),
    ("exp2", V, Like::Positive, |x| x[0].exp2()),
    ("log10", V, Like::Positive, |x| x[0].log10()),
    ("logit", V, Like::Probability, |x| x[0].logit()),
    ("sinc", V, Like::Probability, |x| x[0].sinc()),
    ("softplus_inverse", V, Like::Positive, |x| {
        x[0].softplus_inverse()
    }),
    ("erfinv", V, Like::Probability, |x| x[0].erfinv()),
    ("lgamma", V, Like::AboveOne, |x| x[0].lgamma()),
    ("digamma", V, Like::AboveOne, |x| x[0].digamma()),
    ("polygamma", V, Like::Positive, |x| x[0].polygamma(2)),
    ("powf", V, Like::Probability, |x| x[0].powf(3.0)),
    ("rsqrt", V, Like::Large, |x| x[0].abs().rsqrt()),
    ("square", V, Like::Moderate, |x| x[0].square()),
    ("clamp clamp_min clamp_max", V, Like::Moderate, |x| {
        x[0].clamp(-0.7, 1.1)
    }),
    ("nan_to_num", V, Like::Moderate, |x| {
        x[0].nan_to_num(0.1, 1.0, -1.0)
    }),
    ("add sub", V, Like::Large, |x| 0.3 - &x[0]),
    ("mul", V, Like::Large, |x| &x[0] * 0.1),
    ("div", V, Like::Large, |x| &x[0] / 0.7),
    ("glu", V, Like::Moderate, |x| x[0].glu(1)),
];

/// Functions of several operands, element by element.
const BINARY: &[Case] = &[
    ("prelu", &[&[3, 8], &[1]], Like::Moderate, |x| {
        x[0].prelu(&x[1])
    }),
    ("remainder", VV, Like::Positive, |x| x[0].remainder(&x[1])),
    ("floor_divide", VV, Like::Positive, |x| {
        x[0].floor_divide(&x[1])
    }),
    ("fmod", VV, Like::Positive, |x| x[0].fmod(&x[1])),
    ("lerp", VVV, Like::Probability, |x| x[0].lerp(&x[1], &x[2])),
    ("lerp_scalar", VV, Like::Large, |x| {
        x[0].lerp_scalar(&x[1], 0.3)
    }),
    ("logaddexp", VV, Like::Moderate, |x| x[0].logaddexp(&x[1])),
    ("hypot", VV, Like::Large, |x| x[0].hypot(&x[1])),
    ("xlogy", VV, Like::Positive, |x| x[0].xlogy(&x[1])),
    ("atan2", VV, Like::Large, |x| x[0].atan2(&x[1])),
    ("pow", VV, Like::Probability, |x| x[0].pow(&x[1])),
    ("copysign fmax fmin", VV, Like::Moderate, |x| {
        x[0].copysign(&x[1]).fmax(&x[1])
    }),
    (
        "clamp_tensor clamp_min_tensor clamp_max_tensor",
        VVV,
        Like::Moderate,
        |x| x[0].clamp_tensor(&x[1], &x[2]),
    ),
];

/// Reductions, scans and the softmax family.
const REDUCTIONS: &[Case] = &[
    ("sum sum_dims nansum", V, Like::Moderate, |x| {
        x[0].sum_dims(&[1], false)
    }),
    ("mean mean_dims", V, Like::Large, |x| {
        x[0].mean_dims(&[1], false)
    }),
    ("nanmean", V, Like::Large, |x| x[0].nanmean(&[1], false)),
    ("var var_dims", V, Like::Moderate, |x| {
        x[0].var_dims(&[1], 1, false)
    }),
    ("var_mean", V, Like::Moderate, |x| {
        let (var, mean) = x[0].var_mean(&[1], 1);
        Tensor::cat(&[&var, &mean], 1)
    }),
    ("std std_dims", V, Like::Large, |x| {
        x[0].std_dims(&[1], 1, false)
    }),
    ("prod prod_dims", V, Like::Probability, |x| {
        x[0].prod_dims(&[1], false)
    }),
    ("norm vector_norm", V, Like::Large, |x| {
        x[0].vector_norm(2.0, &[1], false)
    }),
    ("vector_norm", V, Like::Moderate, |x| {
        x[0].vector_norm(3.0, &[1], false)
    }),
    ("matrix_norm", V, Like::Large, |x| {
        x[0].matrix_norm(MatrixNorm::One, [0, 1], false)
    }),
    ("cumsum cumsum_reverse", V, Like::Moderate, |x| {
        x[0].cumsum(1)
    }),
    ("cumprod", V, Like::Probability, |x| x[0].cumprod(1)),
    ("logcumsumexp", V, Like::Moderate, |x| x[0].logcumsumexp(1)),
    ("cummax cummin", V, Like::Moderate, |x| x[0].cummax(1)),
    ("softmax", V, Like::Moderate, |x| x[0].softmax(1)),
    ("softmin", V, Like::Moderate, |x| x[0].softmin(1)),
    ("log_softmax", V, Like::Moderate, |x| x[0].log_softmax(1)),
    ("logsumexp logsumexp_dims", V, Like::Large, |x| {
        x[0].logsumexp(1, false)
    }),
    (
        "amax amax_dims amin amin_dims maxout",
        V,
        Like::Large,
        |x| x[0].amax_dims(&[1], false),
    ),
    ("trace", V, Like::Moderate, |x| x[0].trace()),
];

/// Normalisation, distances, products, windows.
const LAYERS: &[Case] = &[
    ("layer_norm", &[&[3, 8], &[8], &[8]], Like::Large, |x| {
        x[0].layer_norm(&[8], Some(&x[1]), Some(&x[2]), 1e-5)
    }),
    ("rms_norm", &[&[3, 8], &[8]], Like::Moderate, |x| {
        x[0].rms_norm(&[8], Some(&x[1]), 1e-5)
    }),
    ("group_norm", NORM, Like::Large, |x| {
        x[0].group_norm(2, Some(&x[1]), Some(&x[2]), 1e-5)
    }),
    ("instance_norm", NORM, Like::Large, |x| {
        x[0].instance_norm(Some(&x[1]), Some(&x[2]), 1e-5)
    }),
    ("batch_norm_train", NORM, Like::Large, |x| {
        x[0].batch_norm_train(Some(&x[1]), Some(&x[2]), 1e-5).0
    }),
    (
        "batch_norm",
        &[&[3, 4, 8], &[4], &[4], &[4]],
        Like::Positive,
        |x| x[0].batch_norm(&x[1], &x[2], Some(&x[3]), None, 1e-5),
    ),
    ("local_response_norm", NORM, Like::Large, |x| {
        x[0].local_response_norm(3, &LocalResponseNormOptions::default())
    }),
    ("normalize normalize_dims", V, Like::Large, |x| {
        x[0].normalize(2.0, 1, 1e-12)
    }),
    ("cosine_similarity", VV, Like::Large, |x| {
        x[0].cosine_similarity(&x[1], 1, 1e-8)
    }),
    ("pairwise_distance", VV, Like::Large, |x| {
        x[0].pairwise_distance(&x[1], 2.0, 1e-6, false)
    }),
    (
        "squared_distances",
        &[&[3, 8], &[4, 8]],
        Like::Moderate,
        |x| x[0].squared_distances(&x[1]),
    ),
    ("rbf", &[&[3, 8], &[4, 8], &[4]], Like::Probability, |x| {
        x[0].rbf(&x[1], &x[2])
    }),
    (
        "matmul mm mv bmm",
        &[&[2, 3, 8], &[8, 5]],
        Like::Moderate,
        |x| x[0].matmul(&x[1]),
    ),
    (
        "linear",
        &[&[2, 3, 8], &[5, 8], &[5]],
        Like::Moderate,
        |x| x[0].linear(&x[1], Some(&x[2])),
    ),
    ("dot outer", &[&[8], &[8]], Like::Moderate, |x| {
        x[0].dot(&x[1])
    }),
    ("einsum", &[&[3, 8], &[8, 4], &[4]], Like::Moderate, |x| {
        Tensor::einsum("ij,jk,k->i", &[&x[0], &x[1], &x[2]])
    }),
    (
        "scaled_dot_product_attention",
        &[&[5, 8], &[6, 8], &[6, 3]],
        Like::Moderate,
        |x| x[0].scaled_dot_product_attention(&x[1], &x[2], &AttentionOptions::default()),
    ),
    (
        "conv",
        &[&[2, 4, 6, 6], &[3, 4, 3, 3], &[3]],
        Like::Moderate,
        |x| x[0].conv2d(&x[1], Some(&x[2]), &ConvOptions::default()),
    ),
    (
        "transpose",
        &[&[2, 4, 6, 6], &[4, 3, 3, 3], &[3]],
        Like::Moderate,
        |x| x[0].conv_transpose2d(&x[1], Some(&x[2]), &ConvTransposeOptions::default()),
    ),
    (
        "convolve",
        &[&[2, 4, 6, 6], &[3, 4, 3, 3], &[3]],
        Like::Moderate,
        |x| x[0].convolve2d(&x[1], Some(&x[2]), &ConvOptions::default()),
    ),
    (
        "local_conv1d local_conv2d",
        &[&[2, 2, 6], &[4, 3, 2, 3], &[3, 4]],
        Like::Moderate,
        |x| x[0].local_conv1d(&x[1], Some(&x[2]), &ConvOptions::default()),
    ),
    (
        "tiled_conv2d",
        &[&[2, 2, 6, 6], &[2, 2, 3, 2, 3, 3], &[3, 2, 2]],
        Like::Moderate,
        |x| x[0].tiled_conv2d(&x[1], Some(&x[2]), &ConvOptions::default()),
    ),
    ("avg", IMAGE, Like::Large, |x| {
        x[0].avg_pool2d(
            &PoolOptions::new(3)
                .stride([2, 2])
                .padding([1, 1])
                .count_include_pad(false),
        )
    }),
    ("avg", IMAGE, Like::Large, |x| {
        x[0].adaptive_avg_pool2d([Some(4), Some(3)])
    }),
    ("lp l", IMAGE, Like::Large, |x| {
        x[0].lp_pool2d(2.0, &PoolOptions::new(2))
    }),
    (
        "weighted_avg_pool2d",
        &[&[2, 4, 6, 6], &[2, 2]],
        Like::Positive,
        |x| x[0].weighted_avg_pool2d(&x[1], &PoolOptions::new(2)),
    ),
    ("max", IMAGE, Like::Large, |x| {
        x[0].max_pool2d(&PoolOptions::new(2))
    }),
    ("interpolate", IMAGE, Like::Large, |x| {
        x[0].interpolate(&InterpolateOptions::size(&[9, 7]).mode(Interpolation::Bicubic))
    }),
    ("fold2d", &[&[2, 8, 9]], Like::Moderate, |x| {
        x[0].fold2d([4, 4], &UnfoldOptions::new([2, 2]))
    }),
    ("index_add scatter_add", VV, Like::Large, |x| {
        x[0].index_add(0, &index(3, x[0].device()), &x[1], 0.3)
    }),
    ("embedding", &[&[5, 8]], Like::Large, |x| {
        index(4, x[0].device()).embedding(&x[0], EmbeddingOptions::default().max_norm(2.0))
    }),
];

/// Losses.
const LOSSES: &[Case] = &[
    ("mse_loss", VV, Like::Moderate, |x| {
        x[0].mse_loss(&x[1], Reduction::Mean)
    }),
    ("l1_loss", VV, Like::Large, |x| {
        x[0].l1_loss(&x[1], Reduction::Mean)
    }),
    ("smooth_l1_loss", VV, Like::Large, |x| {
        x[0].smooth_l1_loss(&x[1], 0.7, Reduction::Mean)
    }),
    ("huber_loss", VV, Like::Moderate, |x| {
        x[0].huber_loss(&x[1], 0.7, Reduction::Mean)
    }),
    ("binary_cross_entropy", VV, Like::Probability, |x| {
        x[0].binary_cross_entropy(&x[1], Reduction::Mean)
    }),
    (
        "binary_cross_entropy_with_logits",
        VV,
        Like::Probability,
        |x| x[0].binary_cross_entropy_with_logits(&x[1], Reduction::Mean),
    ),
    ("cross_entropy", V, Like::Moderate, |x| {
        x[0].cross_entropy(&index(3, x[0].device()), Reduction::Mean)
    }),
    ("nll_loss", V, Like::Moderate, |x| {
        x[0].nll_loss(&index(3, x[0].device()), Reduction::Mean)
    }),
    ("kl_div", VV, Like::Probability, |x| {
        x[0].kl_div(&x[1], false, Reduction::BatchMean)
    }),
    ("gaussian_nll_loss", VVV, Like::Positive, |x| {
        x[0].gaussian_nll_loss(&x[1], &x[2], true, 1e-6, Reduction::Mean)
    }),
    ("poisson_nll_loss", VV, Like::Positive, |x| {
        x[0].poisson_nll_loss(&x[1], &PoissonNllOptions::default())
    }),
    ("soft_margin_loss", VV, Like::Moderate, |x| {
        x[0].soft_margin_loss(&x[1].sign(), Reduction::Mean)
    }),
    ("hinge_embedding_loss", VV, Like::Moderate, |x| {
        x[0].hinge_embedding_loss(&x[1].sign(), 1.0, Reduction::Mean)
    }),
    ("multi_margin_loss", V, Like::Moderate, |x| {
        x[0].multi_margin_loss(&index(3, x[0].device()), 2, 1.0, Reduction::Mean)
    }),
    ("multilabel_margin_loss", V, Like::Moderate, |x| {
        let target = Tensor::new(&[1, 4, -1, 0, 0, 0, 0, 0], x[0].device());
        x[0].multilabel_margin_loss(&target.repeat(&[3, 1]), Reduction::Mean)
    }),
    ("multilabel_soft_margin_loss", VV, Like::Moderate, |x| {
        x[0].multilabel_soft_margin_loss(&x[1].gt_scalar(0.0).cast(DType::F16), Reduction::Mean)
    }),
    ("cosine_embedding_loss", VV, Like::Large, |x| {
        x[0].cosine_embedding_loss(
            &x[1],
            &Tensor::new(&[1, -1, 1], x[0].device()),
            0.1,
            Reduction::Mean,
        )
    }),
    ("margin_ranking_loss", VV, Like::Moderate, |x| {
        let target = x[1].sign().stop_gradient();
        x[0].margin_ranking_loss(&x[1], &target, 0.1, Reduction::Mean)
    }),
    ("triplet_margin_loss", VVV, Like::Large, |x| {
        x[0].triplet_margin_loss(&x[1], &x[2], &TripletMarginOptions::default())
    }),
];

fn all_cases() -> impl Iterator<Item = &'static Case> {
    [UNARY, BINARY, REDUCTIONS, LAYERS, LOSSES]
        .into_iter()
        .flatten()
}

fn operands(case: &Case, seed: u64, device: &Device) -> Vec<Tensor> {
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
        tensor(&data, shape, DType::F16, device)
    };
    case.1.iter().map(of).collect()
}

/// The distance between neighbouring halves at a value.
fn spacing(v: f64) -> f64 {
    let exponent = v.abs().max(6.2e-5).log2().floor();
    (exponent - 10.0).exp2()
}

/// What is farther from the value in f64 than one rounding explains: ½ unit, and what f32 loses on the way, by the
/// greatest of the values, which may cancel.
fn beyond(got: &[f64], want: &[f64]) -> Option<String> {
    let greatest = want
        .iter()
        .filter(|v| v.is_finite())
        .fold(0.0, |m: f64, v| m.max(v.abs()));
    let wrong = |i: &usize| {
        let (g, w) = (got[*i], want[*i]);
        let rounded = f16::from_f64(w).to_f64();
        let error = (g - w).abs();
        g != rounded
            && !(g.is_nan() && w.is_nan())
            && (error.is_nan() || error > 0.55 * spacing(w) + 1e-5 * greatest)
    };
    let at = (0..got.len()).find(wrong)?;
    Some(format!(
        "element {at}: got {}, in f64 {}, one unit is {}",
        got[at],
        want[at],
        spacing(want[at])
    ))
}

fn judge(t: &Tensor) -> Result<(), String> {
    let got = values(t).map_err(|e| e.to_string())?;
    let want = Evaluator::exact().evaluate(t).map_err(|e| e.to_string())?;
    if t.dtype() != DType::F16 {
        return Err(format!("the result is {}", t.dtype()));
    }
    beyond(&got, &want.data).map_or(Ok(()), Err)
}

fn check_case(case: &Case, seed: u64, device: &Device) -> Result<(), String> {
    let x = operands(case, seed, device);
    let y = (case.3)(&x);
    judge(&y)?;
    // The cotangent differs from element to element, so that what cancels in a sum of ones counts.
    let n = y.numel();
    let weights: Vec<f64> = (0..n).map(|i| 1.0 + (i % 7) as f64 / 4.0).collect();
    let upstream = tensor(&weights, y.shape(), DType::F16, device);
    let options = wgrad::GradOptions {
        upstream: Some(upstream),
        allow_unused: true,
    };
    let gradients = wgrad::grad_with(&y, &x.iter().collect::<Vec<_>>(), &options);
    for (k, g) in gradients.map_err(|e| e.to_string())?.iter().enumerate() {
        judge(g).map_err(|m| format!("gradient {k}: {m}"))?;
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
            for seed in 0..if subject.name == "cpu" { 4 } else { 1 } {
                count += 1;
                if let Err(m) = check_case(case, (n * 10 + seed) as u64, &subject.device) {
                    failures.push(format!("{} {}: {m}", subject.name, case.0));
                }
            }
        }
    }
    report("one rounding", count, &failures);
}

/// Methods that compute nothing in floats, or one operation, which `every_floating_operation_takes_f16` covers.
const ONE_STEP: &str = "abs add all all_dims any any_dims arange arange_step argmax argmin argsort asinh atan broadcast_to \
    cast cat ceil chunk cos count_nonzero cummax cummin diag_embed diagonal erf erfc exp expand expm1 eye flatten flip \
    floor fmax fmin from_bytes from_slice full full_like gather get index_fill index_select isfinite isinf isnan kthvalue \
    linspace log log1p log2 logical_and logical_not logical_or logical_xor masked_fill max_dim maximum median min_dim \
    minimum movedim narrow neg new one_hot ones ones_like pad permute pixel_shuffle pixel_unshuffle recip relu repeat \
    repeat_interleave repeat_interleave_each reshape roll round same scalar scatter scatter_scalar select select_scatter \
    set set_scalar sigmoid sign sin size slice slice_scatter sort split split_size sqrt squeeze squeeze_all squeeze_dims \
    stack stop_gradient sub t take_along_dim tanh topk transpose tril triu trunc unbind unflatten unfold2d unsqueeze where_ \
    zeros zeros_like name scalar with";

#[test]
fn every_method_of_tensors_is_swept_or_takes_one_step() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/graph/src");
    let listed: BTreeSet<&str> = all_cases()
        .flat_map(|c| c.0.split(' '))
        .chain(ONE_STEP.split_whitespace())
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
    for subject in executors() {
        let of = |shapes, like| operands(&("", shapes, like, |x| x[0].clone()), 7, &subject.device);
        let x = of(NORM, Like::Large);
        let mut norm = BatchNorm1d::new(4, &subject.device);
        (norm.weight, norm.bias) = (Some(x[1].clone()), Some(x[2].clone()));
        judge(&norm.forward(&x[0], &mut Context::train(0))).unwrap();
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
        )
        .unwrap();
        let (weight, bias) = (x[3].clone(), Some(x[4].clone()));
        judge(&Linear { weight, bias }.forward(&x[0])).unwrap();
        judge(&Gelu.forward(&x[0])).unwrap();
    }
}
