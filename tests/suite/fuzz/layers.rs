//! Layers of random sizes on random tensors, and random numbers.

use super::{Fuzz, calls};
use wgrad::nn::*;
use wgrad::{ConvOptions, ConvTransposeOptions, Generator, PoolOptions};

pub(super) fn recurrent(f: &mut Fuzz) -> RecurrentOptions {
    let options = RecurrentOptions::default()
        .batch_first(f.b())
        .bidirectional(f.b())
        .bias(f.b());
    let options = if f.b() {
        options.num_layers(f.n())
    } else {
        options
    };
    let options = if f.b() {
        options.dropout(f.x())
    } else {
        options
    };
    if f.b() {
        options.proj_size(f.n())
    } else {
        options
    }
}

/// What a layer draws, in training or not.
pub(super) fn context(f: &mut Fuzz) -> Context {
    if f.b() {
        Context::train(7)
    } else {
        Context::eval()
    }
}

calls! {
    "linear layer" => |f| { let (mut rng, d) = (Generator::new(1), f.device()); [Linear::new(f.n(), f.n(), &mut rng, &d).forward(&f.t())] };
    "conv2d layer" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        let options = ConvOptions::default().stride(f.array()).groups(f.n());
        [Conv2d::new(f.n(), f.n(), f.array(), options, &mut rng, &d).forward(&f.t())]
    };
    "batch_norm layer" => |f| {
        let (d, mut cx) = (f.device(), context(f));
        [BatchNorm1d::new(f.n(), &d).eps(f.x()).momentum(f.x()).forward(&f.t(), &mut cx), BatchNorm2d::new(f.n(), &d).forward(&f.t(), &mut cx)]
    };
    "layer_norm layer" => |f| { let d = f.device(); [LayerNorm::new(&f.sizes(), &d).eps(f.x()).forward(&f.t())] };
    "pool layers" => |f| {
        let options = PoolOptions::windows(f.array()).stride(f.array());
        [MaxPool2d::new(f.n()).forward(&f.t()), AvgPool2d::with(options).forward(&f.t())]
    };
    "dropout" => |f| { let mut cx = context(f); [Dropout::new(f.x()).forward(&f.t(), &mut cx)] };
    "embedding layer" => |f| { let (mut rng, d) = (Generator::new(1), f.device()); [Embedding::new(f.n(), f.n(), &mut rng, &d).forward(&f.t())] };
    "conv layers" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        let (from, to) = (f.n(), f.n());
        let mode = f.one_of(&[PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular]);
        let one = ConvOptions::default().stride(f.array()).padding(f.array()).dilation(f.array()).groups(f.n());
        let three = ConvOptions::default().padding(f.array()).groups(f.n());
        [
            Conv1d::new(from, to, f.array(), one, &mut rng, &d).padding_mode(mode).forward(&f.t()),
            Conv3d::new(from, to, f.array(), three, &mut rng, &d).padding_mode(mode).forward(&f.t()),
            SeparableConv2d::new(from, to, f.array(), ConvOptions::default(), &mut rng, &d).forward(&f.t()),
        ]
    };
    "conv_transpose layers" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        let options = ConvTransposeOptions::default().stride(f.array()).padding(f.array()).groups(f.n());
        let up = ConvTranspose2d::new(f.n(), f.n(), f.array(), options, &mut rng, &d);
        let one = ConvTranspose1d::new(f.n(), f.n(), f.array(), ConvTransposeOptions::default().dilation(f.array()), &mut rng, &d);
        [up.forward(&f.t()), up.forward_sized(&f.t(), f.array()), one.forward(&f.t())]
    };
    "more pool layers" => |f| {
        let options = PoolOptions::windows(f.array()).stride(f.array()).padding(f.array());
        let (y, at) = MaxPool2d::with(options).forward_with_indices(&f.t());
        [
            y.max_unpool2d(&at, &options, f.b().then(|| f.array())),
            LpPool1d::new(f.x(), f.n()).forward(&f.t()),
            AdaptiveMaxPool2d::new(f.array::<2>()).forward(&f.t()),
            AdaptiveAvgPool3d::new(f.array::<3>()).forward(&f.t()),
            GlobalMaxPool.forward(&f.t()),
        ]
    };
    "more norm layers" => |f| {
        let (d, mut cx) = (f.device(), context(f));
        [
            GroupNorm::new(f.n(), f.n(), &d).forward(&f.t()),
            InstanceNorm1d::new(f.n()).track_running_stats(&d).forward(&f.t(), &mut cx),
            BatchNorm1d::new(f.n(), &d).momentum(None).forward(&f.t(), &mut cx),
            RmsNorm::new(&f.sizes(), &d).eps(f.x()).forward(&f.t()),
            LocalResponseNorm::new(f.n()).forward(&f.t()),
        ]
    };
    "noise layers" => |f| {
        let mut cx = context(f);
        [
            Dropout1d::new(f.x()).forward(&f.t(), &mut cx),
            Dropout2d::new(f.x()).forward(&f.t(), &mut cx),
            AlphaDropout::new(f.x()).forward(&f.t(), &mut cx),
            FeatureAlphaDropout::new(f.x()).forward(&f.t(), &mut cx),
            GaussianNoise::new(f.x()).forward(&f.t(), &mut cx),
            GaussianDropout::new(f.x()).forward(&f.t(), &mut cx),
            DropPath::new(f.x()).forward(&f.t(), &mut cx),
            RRelu { lower: f.x(), upper: f.x() }.forward(&f.t(), &mut cx),
        ]
    };
    "tables" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        let mode = f.one_of(&[BagMode::Sum, BagMode::Mean, BagMode::Max]);
        let bag = EmbeddingBag::new(f.n(), f.n(), mode, &mut rng, &d);
        [
            bag.forward(&f.t()),
            bag.forward_offsets(&f.t(), &f.t()),
            bag.forward_weighted(&f.t(), &f.t()),
            bag.padding_idx(f.dim()).forward(&f.t()),
            Embedding::new(f.n(), f.n(), &mut rng, &d).padding_idx(f.dim()).max_norm(f.x()).forward(&f.t()),
            Bilinear::new(f.n(), f.n(), f.n(), &mut rng, &d).forward(&f.t(), &f.t()),
        ]
    };
    "reshaping layers" => |f| {
        let d = f.device();
        [
            PixelShuffle::new(f.n()).forward(&f.t()),
            ChannelShuffle::new(f.n()).forward(&f.t()),
            Unflatten::new(f.dim(), &[f.dim(), f.dim()]).forward(&f.t()),
            ReflectionPad2d { padding: [f.dim(), f.dim(), f.dim(), f.dim()] }.forward(&f.t()),
            CircularPad1d::new(f.dim()).forward(&f.t()),
            ConstantPad3d::new(f.dim(), f.x()).forward(&f.t()),
            SwiGlu { dim: f.dim() }.forward(&f.t()),
            PRelu::new(f.n(), &d).forward(&f.t()),
            Softplus { beta: f.x(), threshold: f.x() }.forward(&f.t()),
        ]
    };
    "reparametrised layers" => |f| {
        let (mut rng, d, mut cx) = (Generator::new(1), f.device(), context(f));
        let linear = Linear::new(f.n(), f.n(), &mut rng, &d);
        [
            WeightNorm::over(linear.clone(), f.b().then(|| f.n())).forward(&f.t(), &mut cx),
            SpectralNorm::new(linear.clone(), &mut rng).forward(&f.t(), &mut cx),
            Residual::new(linear).forward(&f.t(), &mut cx),
        ]
    };
    "initial values" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        [
            init::orthogonal(&f.sizes(), f.x(), &mut rng, &d),
            init::sparse(&f.sizes(), f.x(), f.x(), &mut rng, &d),
            init::dirac(&f.sizes(), f.n(), &d),
            init::eye(&f.sizes(), &d),
            init::trunc_normal(&f.sizes(), f.x(), f.x(), f.x(), f.x(), &mut rng, &d),
        ]
    };
    "small layers" => |f| [Flatten::default().forward(&f.t()), Softmax { dim: f.dim() }.forward(&f.t()), LeakyRelu { negative_slope: f.x() }.forward(&f.t())];
    "rnn" => |f| {
        let (mut rng, d, mut cx) = (Generator::new(1), f.device(), context(f));
        let options = recurrent(f);
        let kind = f.one_of(&[Nonlinearity::Tanh, Nonlinearity::Relu]);
        let (y, h) = Rnn::new(f.n(), f.n(), &options, &mut rng, &d).nonlinearity(kind).forward(&f.t(), f.maybe().as_ref(), &mut cx);
        [y, h]
    };
    "lstm" => |f| {
        let (mut rng, d, mut cx) = (Generator::new(1), f.device(), context(f));
        let options = recurrent(f);
        let (h, c) = (f.t(), f.t());
        let state = f.b().then_some((&h, &c));
        let (y, (h, c)) = Lstm::new(f.n(), f.n(), &options, &mut rng, &d).forward(&f.t(), state, &mut cx);
        [y, h, c]
    };
    "gru" => |f| {
        let (mut rng, d, mut cx) = (Generator::new(1), f.device(), context(f));
        let options = recurrent(f);
        let (y, h) = Gru::new(f.n(), f.n(), &options, &mut rng, &d).forward(&f.t(), f.maybe().as_ref(), &mut cx);
        [y, h]
    };
    "random numbers" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        [rng.words(&f.sizes(), &d), rng.uniform(&f.sizes(), &d), rng.bernoulli(f.x(), &f.sizes(), &d), rng.normal(&f.sizes(), &d)]
    };
}
