//! The functions that are swept: every one that composes several operations, with operands that make it round.
//! It must not judge them.

use wgrad::{
    AttentionOptions, ConvOptions, ConvTransposeOptions, Device, EmbeddingOptions,
    GeluApproximation, InterpolateOptions, Interpolation, LocalResponseNormOptions, MatrixNorm,
    PoissonNllOptions, PoolOptions, Reduction, Tensor, TripletMarginOptions, UnfoldOptions,
};

/// A function under test: its names as methods, its operands' shapes, what its elements are like, and itself.
pub(super) type Case = (
    &'static str,
    &'static [&'static [usize]],
    Like,
    fn(&[Tensor]) -> Tensor,
);

/// Contents of the operands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Like {
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

pub(super) const V: &[&[usize]] = &[&[3, 8]];
const VV: &[&[usize]] = &[&[3, 8], &[3, 8]];
const VVV: &[&[usize]] = &[&[3, 8], &[3, 8], &[3, 8]];
const IMAGE: &[&[usize]] = &[&[2, 4, 6, 6]];
pub(super) const NORM: &[&[usize]] = &[&[3, 4, 8], &[4], &[4]];

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
        x[0].multilabel_soft_margin_loss(&x[1].gt_scalar(0.0).cast(x[0].dtype()), Reduction::Mean)
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

pub(super) fn all_cases() -> impl Iterator<Item = &'static Case> {
    [UNARY, BINARY, REDUCTIONS, LAYERS, LOSSES]
        .into_iter()
        .flatten()
}
