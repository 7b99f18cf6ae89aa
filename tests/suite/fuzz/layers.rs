//! Layers of random sizes on random tensors, and random numbers.

use super::{Fuzz, calls};
use wgrad::nn::{
    AvgPool2d, BatchNorm1d, BatchNorm2d, Context, Conv2d, Dropout, Embedding, Flatten, Gru,
    LayerNorm, LeakyRelu, Linear, Lstm, MaxPool2d, Nonlinearity, RecurrentOptions, Rnn, Softmax,
};
use wgrad::{ConvOptions, Generator, PoolOptions};

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
