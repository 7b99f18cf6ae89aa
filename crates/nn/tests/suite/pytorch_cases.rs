//! The layers of `tests/pytorch/layers.py`, case by case.

use super::pytorch::{Build, One, Subject, With, fill};
use wgrad_graph::{
    ConvOptions, ConvTransposeOptions, InterpolateOptions, Interpolation, PoolOptions, Tensor,
    UnfoldOptions,
};
use wgrad_nn::*;

/// A layer of one input, or with `=>` a module and a function of its inputs.
macro_rules! cases {
    ($($name:literal |$rng:ident, $d:ident| $layer:expr $(=> $run:expr)?;)*) => {
        vec![$(($name, (|$rng, $d| {
            let _ = (&$rng, &$d);
            cases!(@subject $layer $(, $run)?)
        }) as Build)),*]
    };
    (@subject $layer:expr) => { Box::new(One(Box::new($layer))) as Box<dyn Subject> };
    (@subject $layer:expr, $run:expr) => { Box::new(With($layer, $run)) as Box<dyn Subject> };
}

/// Every case.
pub fn all() -> Vec<(&'static str, Build)> {
    [
        convolutions(),
        pools(),
        resizes(),
        pads(),
        norms(),
        reparametrized(),
        units(),
        tables(),
    ]
    .concat()
}

fn convolutions() -> Vec<(&'static str, Build)> {
    fn plain<const N: usize>() -> ConvOptions<N> {
        ConvOptions::default()
    }
    fn up<const N: usize>() -> ConvTransposeOptions<N> {
        ConvTransposeOptions::default()
    }
    cases! {
        "conv1d" |rng, d| Conv1d::new(3, 4, [3], plain(), rng, d);
        "conv1d dilated" |rng, d| Conv1d::new(4, 6, [3], plain().stride([2]).padding([2]).dilation([2]).groups(2), rng, d);
        "conv1d unbatched" |rng, d| Conv1d::new(3, 4, [3], plain().same(), rng, d).without_bias();
        "conv2d" |rng, d| Conv2d::new(3, 4, [3, 2], plain().stride([2, 1]).padding([1, 0]), rng, d);
        "conv2d grouped" |rng, d| Conv2d::new(4, 6, [3, 3], plain().groups(2).dilation([1, 2]), rng, d);
        "conv2d depthwise" |rng, d| Conv2d::depthwise(4, 2, [3, 3], plain().padding([1, 1]), rng, d);
        "conv2d reflect" |rng, d| Conv2d::new(2, 3, [3, 3], plain().padding([1, 2]), rng, d).padding_mode(PaddingMode::Reflect);
        "conv2d replicate" |rng, d| Conv2d::new(2, 3, [3, 3], plain().padding([1, 2]), rng, d).padding_mode(PaddingMode::Replicate);
        "conv2d circular" |rng, d| Conv2d::new(2, 3, [3, 3], plain().padding([1, 2]), rng, d).padding_mode(PaddingMode::Circular);
        "conv2d same reflect" |rng, d| Conv2d::new(2, 3, [4, 3], plain().same(), rng, d).padding_mode(PaddingMode::Reflect);
        "conv3d" |rng, d| Conv3d::new(2, 3, [2, 3, 2], plain().stride([1, 2, 1]).padding([1, 0, 1]), rng, d);
        "conv3d grouped" |rng, d| Conv3d::new(4, 4, [2, 2, 2], plain().groups(2).dilation([2, 2, 2]), rng, d);
        "separable" |rng, d| SeparableConv2d::new(3, 5, [3, 3], plain().padding([1, 1]), rng, d);
        "conv_transpose1d" |rng, d| ConvTranspose1d::new(3, 4, [3], up().stride([2]).padding([1]).output_padding([1]), rng, d);
        "conv_transpose2d" |rng, d| ConvTranspose2d::new(4, 6, [3, 3], up().stride([2, 1]).groups(2), rng, d);
        "conv_transpose2d dilated" |rng, d| ConvTranspose2d::new(2, 3, [2, 2], up().dilation([2, 2]), rng, d).without_bias();
        "conv_transpose2d sized" |rng, d| ConvTranspose2d::new(2, 3, [3, 3], up().stride([2, 2]).padding([1, 1]), rng, d)
            => |l: &mut ConvTranspose2d, x: &[Tensor]| l.forward_sized(&x[0], [8, 7]);
        "conv_transpose3d" |rng, d| ConvTranspose3d::new(2, 3, [2, 2, 2], up().stride([2, 2, 2]), rng, d);
    }
}

fn pools() -> Vec<(&'static str, Build)> {
    fn square<const N: usize>(n: usize) -> PoolOptions<N> {
        PoolOptions::new(n)
    }
    cases! {
        "max_pool1d" |rng, d| MaxPool1d::with(square(3).stride([2]).padding([1]));
        "max_pool2d" |rng, d| MaxPool2d::with(PoolOptions::windows([3, 2]).stride([2, 1]).padding([1, 1]).ceil_mode(true));
        "max_pool2d dilated" |rng, d| MaxPool2d::with(square(2).stride([1, 1]).dilation([2, 2]));
        "max_pool3d" |rng, d| MaxPool3d::new(2);
        "avg_pool1d" |rng, d| AvgPool1d::with(square(3).stride([2]).padding([1]));
        "avg_pool2d" |rng, d| AvgPool2d::with(
            square(3).stride([2, 2]).padding([1, 1]).ceil_mode(true).count_include_pad(false));
        "avg_pool3d" |rng, d| AvgPool3d::with(square(2).stride([1, 1, 1]).divisor_override(5));
        "lp_pool1d" |rng, d| LpPool1d::with(2.0, square(3).stride([2])) => |l: &mut LpPool1d, x: &[Tensor]| LpPool1d::forward(l, &x[0].abs());
        "lp_pool2d" |rng, d| LpPool2d::new(3.0, 2) => |l: &mut LpPool2d, x: &[Tensor]| LpPool2d::forward(l, &x[0].abs());
        "lp_pool3d" |rng, d| LpPool3d::new(2.0, 2) => |l: &mut LpPool3d, x: &[Tensor]| LpPool3d::forward(l, &x[0].abs());
        "adaptive_avg_pool1d" |rng, d| AdaptiveAvgPool1d::new([4]);
        "adaptive_avg_pool2d" |rng, d| AdaptiveAvgPool2d::new([Some(3), None]);
        "adaptive_avg_pool3d" |rng, d| AdaptiveAvgPool3d::new([1, 2, 3]);
        "adaptive_max_pool1d" |rng, d| AdaptiveMaxPool1d::new([4]);
        "adaptive_max_pool2d" |rng, d| AdaptiveMaxPool2d::new([2, 3]);
        "adaptive_max_pool3d" |rng, d| AdaptiveMaxPool3d::new([2, 1, 2]);
        "global_avg_pool" |rng, d| GlobalAvgPool;
        "global_max_pool" |rng, d| GlobalMaxPool;
        "max_unpool1d" |rng, d| MaxPool1d::new(2) => |l: &mut MaxPool1d, x: &[Tensor]| {
            let (y, at) = l.forward_with_indices(&x[0]);
            MaxUnpool1d::new(2).forward_sized(&y, &at, [9])
        };
        "max_unpool2d" |rng, d| MaxPool2d::new(2) => |l: &mut MaxPool2d, x: &[Tensor]| {
            let (y, at) = l.forward_with_indices(&x[0]);
            MaxUnpool2d::new(2).forward(&y, &at)
        };
        "max_unpool3d" |rng, d| MaxPool3d::new(2) => |l: &mut MaxPool3d, x: &[Tensor]| {
            let (y, at) = l.forward_with_indices(&x[0]);
            MaxUnpool3d::new(2).forward(&y, &at)
        };
        "fractional_max_pool2d" |rng, d| Identity => |_: &mut Identity, x: &[Tensor]| {
            let samples: Vec<f32> = fill("samples", 12).iter().map(|v| ((v + 1.0) / 2.0) as f32).collect();
            let samples = Tensor::from_slice(&samples, &[2, 3, 2], x[0].device());
            x[0].fractional_max_pool2d([2, 3], [4, 3], &samples)
        };
    }
}

fn resizes() -> Vec<(&'static str, Build)> {
    type By = InterpolateOptions;
    cases! {
        "upsample nearest" |rng, d| Upsample::with(&By::scale_factor(&[2.0]));
        "upsample linear" |rng, d| Upsample::with(&By::size(&[7]).mode(Interpolation::Linear));
        "upsample bilinear" |rng, d| Upsample::with(&By::scale_factor(&[2.0, 1.5]).mode(Interpolation::Bilinear));
        "upsample corners" |rng, d| Upsample::with(&By::size(&[7, 5]).mode(Interpolation::Bilinear).align_corners(true));
        "upsample bicubic" |rng, d| Upsample::with(&By::scale_factor(&[2.0]).mode(Interpolation::Bicubic));
        "upsample trilinear" |rng, d| Upsample::with(&By::size(&[3, 4, 5]).mode(Interpolation::Trilinear));
        "pixel_shuffle" |rng, d| PixelShuffle::new(2);
        "pixel_unshuffle" |rng, d| PixelUnshuffle::new(3);
        "channel_shuffle" |rng, d| ChannelShuffle::new(2);
        "unfold" |rng, d| Unfold {
            options: UnfoldOptions::new([2, 3]).dilation([1, 2]).padding([1, 1]).stride([2, 1]),
        };
        "fold" |rng, d| Fold {
            output_size: [4, 5],
            options: UnfoldOptions::new([2, 2]).padding([1, 1]).stride([2, 2]),
        };
        "flatten" |rng, d| Flatten { start_dim: 1, end_dim: 2 };
        "unflatten" |rng, d| Unflatten::new(1, &[2, 3]);
    }
}

fn pads() -> Vec<(&'static str, Build)> {
    cases! {
        "zero_pad1d" |rng, d| ZeroPad1d { padding: [2, 1] };
        "zero_pad2d" |rng, d| ZeroPad2d { padding: [1, 2, 0, -1] };
        "zero_pad3d" |rng, d| ZeroPad3d::new(1);
        "constant_pad1d" |rng, d| ConstantPad1d::new(2, 1.5);
        "constant_pad2d" |rng, d| ConstantPad2d { padding: [1, 2, 0, 1], value: -0.5 };
        "constant_pad3d" |rng, d| ConstantPad3d { padding: [1, 2, 0, 1, 1, 0], value: 3.0 };
        "reflection_pad1d" |rng, d| ReflectionPad1d { padding: [2, 1] };
        "reflection_pad2d" |rng, d| ReflectionPad2d { padding: [1, 2, 2, 1] };
        "reflection_pad3d" |rng, d| ReflectionPad3d::new(1);
        "replication_pad1d" |rng, d| ReplicationPad1d { padding: [2, 1] };
        "replication_pad2d" |rng, d| ReplicationPad2d { padding: [1, 2, 2, 1] };
        "replication_pad3d" |rng, d| ReplicationPad3d::new(1);
        "circular_pad1d" |rng, d| CircularPad1d { padding: [2, 1] };
        "circular_pad2d" |rng, d| CircularPad2d { padding: [1, 2, 2, 1] };
        "circular_pad3d" |rng, d| CircularPad3d::new(1);
    }
}

fn norms() -> Vec<(&'static str, Build)> {
    cases! {
        "batch_norm1d train" |rng, d| BatchNorm1d::new(4, d);
        "batch_norm1d eval" |rng, d| BatchNorm1d::new(4, d);
        "batch_norm2d train" |rng, d| BatchNorm2d::new(3, d).eps(1e-3).momentum(0.3);
        "batch_norm2d eval" |rng, d| BatchNorm2d::new(3, d).eps(1e-3);
        "batch_norm3d train" |rng, d| BatchNorm3d::new(2, d).without_affine();
        "batch_norm3d eval" |rng, d| BatchNorm3d::new(2, d).without_affine();
        "batch_norm1d cumulative train" |rng, d| BatchNorm1d::new(3, d).momentum(None);
        "batch_norm1d cumulative eval" |rng, d| BatchNorm1d::new(3, d).momentum(None);
        "batch_norm2d stateless train" |rng, d| BatchNorm2d::new(3, d).without_running_stats();
        "batch_norm2d stateless eval" |rng, d| BatchNorm2d::new(3, d).without_running_stats();
        "instance_norm1d train" |rng, d| InstanceNorm1d::new(3);
        "instance_norm1d eval" |rng, d| InstanceNorm1d::new(3);
        "instance_norm2d train" |rng, d| InstanceNorm2d::new(3).affine(d).track_running_stats(d);
        "instance_norm2d eval" |rng, d| InstanceNorm2d::new(3).affine(d).track_running_stats(d);
        "instance_norm3d train" |rng, d| InstanceNorm3d::new(2).affine(d);
        "instance_norm3d eval" |rng, d| InstanceNorm3d::new(2).affine(d);
        "instance_norm1d unbatched" |rng, d| InstanceNorm1d::new(3).affine(d);
        "layer_norm" |rng, d| LayerNorm::new(&[3, 4], d).eps(1e-3);
        "layer_norm plain" |rng, d| LayerNorm::new(&[4], d).without_affine();
        "layer_norm unbiased" |rng, d| LayerNorm::new(&[4], d).without_bias();
        "group_norm" |rng, d| GroupNorm::new(2, 6, d);
        "group_norm plain" |rng, d| GroupNorm::new(3, 6, d).without_affine();
        "rms_norm" |rng, d| RmsNorm::new(&[3, 4], d).eps(1e-4);
        "rms_norm plain" |rng, d| RmsNorm::new(&[4], d).eps(1e-6).without_affine();
        "local_response_norm" |rng, d| LocalResponseNorm { alpha: 0.5, beta: 0.6, k: 2.0, size: 3 };
    }
}

fn reparametrized() -> Vec<(&'static str, Build)> {
    cases! {
        "weight_norm linear" |rng, d| WeightNorm::new(Linear::new(4, 3, rng, d));
        "weight_norm conv2d" |rng, d| WeightNorm::new(Conv2d::new(2, 3, [3, 3], ConvOptions::default(), rng, d).without_bias());
        "weight_norm whole" |rng, d| WeightNorm::over(Linear::new(4, 3, rng, d), None);
        "weight_norm last" |rng, d| WeightNorm::over(Linear::new(4, 3, rng, d), Some(1));
        "spectral_norm linear train" |rng, d| SpectralNorm::new(Linear::new(4, 3, rng, d), rng);
        "spectral_norm linear eval" |rng, d| SpectralNorm::new(Linear::new(4, 3, rng, d), rng);
        "spectral_norm conv2d train" |rng, d| {
            let conv = Conv2d::new(2, 3, [3, 3], ConvOptions::default(), rng, d);
            SpectralNorm::new(conv, rng).n_power_iterations(3)
        };
        "spectral_norm conv2d eval" |rng, d| {
            let conv = Conv2d::new(2, 3, [3, 3], ConvOptions::default(), rng, d);
            SpectralNorm::new(conv, rng).n_power_iterations(3)
        };
        "spectral_norm conv_transpose1d train" |rng, d| {
            let up = ConvTranspose1d::new(2, 3, [3], ConvTransposeOptions::default(), rng, d);
            SpectralNorm::new(up, rng)
        };
        "spectral_norm conv_transpose1d eval" |rng, d| {
            let up = ConvTranspose1d::new(2, 3, [3], ConvTransposeOptions::default(), rng, d);
            SpectralNorm::new(up, rng)
        };
    }
}

fn units() -> Vec<(&'static str, Build)> {
    cases! {
        "relu" |rng, d| Relu;
        "relu6" |rng, d| Relu6;
        "leaky_relu" |rng, d| LeakyRelu { negative_slope: 0.2 };
        "elu" |rng, d| Elu { alpha: 0.7 };
        "celu" |rng, d| Celu { alpha: 1.3 };
        "selu" |rng, d| Selu;
        "gelu" |rng, d| Gelu;
        "gelu tanh" |rng, d| GeluTanh;
        "silu" |rng, d| Silu;
        "mish" |rng, d| Mish;
        "sigmoid" |rng, d| Sigmoid;
        "tanh" |rng, d| Tanh;
        "softplus" |rng, d| Softplus { beta: 2.0, threshold: 1.5 };
        "softsign" |rng, d| Softsign;
        "softshrink" |rng, d| Softshrink { lambd: 0.3 };
        "hardshrink" |rng, d| Hardshrink { lambd: 0.3 };
        "tanhshrink" |rng, d| Tanhshrink;
        "hardtanh" |rng, d| Hardtanh { min_val: -0.5, max_val: 0.8 };
        "hardsigmoid" |rng, d| Hardsigmoid;
        "hardswish" |rng, d| Hardswish;
        "logsigmoid" |rng, d| LogSigmoid;
        "threshold" |rng, d| Threshold { threshold: 0.1, value: 2.0 };
        "rrelu" |rng, d| RRelu { lower: 0.1, upper: 0.5 };
        "softmax" |rng, d| Softmax { dim: 1 };
        "softmin" |rng, d| Softmin { dim: 0 };
        "log_softmax" |rng, d| LogSoftmax { dim: -1 };
        "glu" |rng, d| Glu { dim: 1 };
        "identity" |rng, d| Identity;
        "abs" |rng, d| Abs;
        "swiglu" |rng, d| SwiGlu { dim: -1 };
        "geglu" |rng, d| GeGlu { dim: 1 };
        "reglu" |rng, d| ReGlu { dim: -1 };
        "softmax2d" |rng, d| Softmax2d;
        "prelu" |rng, d| PRelu::new(1, d);
        "prelu channels" |rng, d| PRelu::new(3, d);
        "linear" |rng, d| Linear::new(6, 3, rng, d);
        "linear unbiased" |rng, d| Linear::new(6, 3, rng, d).without_bias();
        "adaptive_log_softmax" |rng, d| AdaptiveLogSoftmax::new(8, 20, &[4, 10], 2.0, rng, d) => |l: &mut AdaptiveLogSoftmax, x: &[Tensor]| l.log_prob(&x[0]);
        "adaptive_log_softmax target" |rng, d| AdaptiveLogSoftmax::new(8, 20, &[4, 10], 2.0, rng, d) => |l: &mut AdaptiveLogSoftmax, x: &[Tensor]| l.forward(&x[0], &x[1]).0;
        "cosine_similarity" |_rng, _d| CosineSimilarity { dim: 2, eps: 1e-8 } => |l: &mut CosineSimilarity, x: &[Tensor]| l.forward(&x[0], &x[1]);
        "pairwise_distance" |_rng, _d| PairwiseDistance { p: 3.0, keepdim: true, ..Default::default() } => |l: &mut PairwiseDistance, x: &[Tensor]| l.forward(&x[0], &x[1]);
        "bilinear" |rng, d| Bilinear::new(3, 4, 5, rng, d) => |l: &mut Bilinear, x: &[Tensor]| l.forward(&x[0], &x[1]);
    }
}

fn tables() -> Vec<(&'static str, Build)> {
    use BagMode::{Max, Mean, Sum};
    fn ragged(bag: &mut EmbeddingBag, x: &[Tensor]) -> Tensor {
        bag.forward_offsets(&x[0], &x[1])
    }
    cases! {
        "embedding" |rng, d| Embedding::new(7, 3, rng, d);
        "embedding padded" |rng, d| Embedding::new(7, 3, rng, d).padding_idx(-2);
        "embedding frequencies" |rng, d| Embedding { scale_grad_by_freq: true, ..Embedding::new(7, 3, rng, d) };
        "embedding_bag sum" |rng, d| EmbeddingBag::new(7, 3, Sum, rng, d);
        "embedding_bag mean" |rng, d| EmbeddingBag::new(7, 3, Mean, rng, d);
        "embedding_bag max" |rng, d| EmbeddingBag::new(7, 3, Max, rng, d);
        "embedding_bag sum padded" |rng, d| EmbeddingBag::new(7, 3, Sum, rng, d).padding_idx(3);
        "embedding_bag mean padded" |rng, d| EmbeddingBag::new(7, 3, Mean, rng, d).padding_idx(-4);
        "embedding_bag max padded" |rng, d| EmbeddingBag::new(7, 3, Max, rng, d).padding_idx(3);
        "embedding_bag sum offsets" |rng, d| EmbeddingBag::new(7, 3, Sum, rng, d) => ragged;
        "embedding_bag mean offsets" |rng, d| EmbeddingBag::new(7, 3, Mean, rng, d) => ragged;
        "embedding_bag max offsets" |rng, d| EmbeddingBag::new(7, 3, Max, rng, d) => ragged;
        "embedding_bag sum offsets padded" |rng, d| EmbeddingBag::new(7, 3, Sum, rng, d).padding_idx(3) => ragged;
        "embedding_bag mean offsets padded" |rng, d| EmbeddingBag::new(7, 3, Mean, rng, d).padding_idx(3) => ragged;
        "embedding_bag max offsets padded" |rng, d| EmbeddingBag::new(7, 3, Max, rng, d).padding_idx(3) => ragged;
        "embedding_bag weighted" |rng, d| EmbeddingBag::new(7, 3, Sum, rng, d)
            => |bag: &mut EmbeddingBag, x: &[Tensor]| bag.forward_weighted(&x[0], &x[1]);
    }
}
