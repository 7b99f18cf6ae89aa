//! A transformer's encoder: attention and two products, each added to its input and normalised: `x ← norm(x +
//! attention(x))`, `x ← norm(x + W₂ relu(W₁ x))`. From scratch with the layer's own weights: the same. And why it needs
//! positions: without them it cannot tell "a before b" from "b before a". Source: Vaswani et al., Attention Is All You
//! Need, 2017.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, AttentionMasks, Context, Embedding, Linear, TransformerEncoderLayer, TransformerOptions,
    compile, gradients, sinusoidal_positions,
};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Reduction, Tensor};

/// The layer from scratch, with two heads, on `x [length, features]`.
fn by_hand(layer: &TransformerEncoderLayer, x: &Tensor) -> Option<Tensor> {
    let attention = &layer.self_attn;
    let qkv = x.linear(
        attention.in_proj_weight.as_ref()?,
        attention.in_proj_bias.as_ref(),
    );
    let [q, k, v] = [0, 1, 2].map(|at| qkv.chunk(3, -1)[at].clone());
    let mut heads = Vec::new();
    for at in 0..2 {
        let [q, k, v] = [&q, &k, &v].map(|t| t.chunk(2, -1)[at].clone());
        let d = q.size(-1) as f64;
        heads.push((q.matmul(&k.t()) / d.sqrt()).softmax(-1).matmul(&v));
    }
    let found = attention
        .out_proj
        .forward(&Tensor::cat(&[&heads[0], &heads[1]], -1));
    let norm = |x: Tensor| {
        let centred = &x - x.mean_dims(&[-1], true);
        let variance = centred.square().mean_dims(&[-1], true);
        centred / (variance + 1e-5).sqrt()
    };
    let x = norm(x + found);
    let inner = layer.linear2.forward(&layer.linear1.forward(&x).relu());
    Some(norm(x + inner))
}

#[derive(Module)]
struct Net {
    embedding: Embedding,
    layer: TransformerEncoderLayer,
    out: Linear,
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let options = TransformerOptions::default()
        .dim_feedforward(64)
        .batch_first(true)
        .dropout(0.0);
    let layer = TransformerEncoderLayer::new(32, 2, &options, &mut rng, device);
    let x = rng.normal(&[1, 6, 32], device);
    let scratch = by_hand(&layer, &x.get(0)).ok_or("the layer has joined projections")?;
    let concise = layer.forward(&x, &AttentionMasks::none(), &mut Context::eval());
    let off = (scratch - concise.get(0)).abs().amax().item::<f32>()?;
    lesson.at_most("from scratch less the layer", off.into(), 1e-4)?;

    let length = 10;
    let positions = sinusoidal_positions(length, 32, device);
    let figure = Figure::new("Positions as sines")
        .x("feature")
        .y("position")
        .heat_map(length, 32, &positions.to_vec::<f32>()?);
    lesson.figure(
        "positions",
        "Each position has a pattern of its own",
        &figure,
    )?;

    // A row of other tokens with one a (0) and one b (1): is a first?
    let mut results = Vec::new();
    for with in [false, true] {
        let mut rng = Generator::new(lesson.seed);
        let net = Net {
            embedding: Embedding::new(8, 32, &mut rng, device),
            layer: TransformerEncoderLayer::new(32, 2, &options, &mut rng, device),
            out: Linear::new(32, 1, &mut rng, device),
        };
        let forward = |net: &Net, x: &Tensor| {
            let x = net.embedding.forward(x) + &positions * f64::from(u8::from(with));
            let x = net
                .layer
                .forward(&x, &AttentionMasks::none(), &mut Context::eval());
            net.out.forward(&x.mean_dims(&[1], false))
        };
        let mut state = (net, Adam::new(0.003));
        let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
            let loss = forward(net, &b[0]).binary_cross_entropy_with_logits(&b[1], Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            Ok(loss)
        });
        let mut task = |batch: usize| {
            let places = rng.uniform(&[batch, length], device).argsort(-1, false);
            let (a, b) = (places.narrow(1, 0, 1), places.narrow(1, 1, 1));
            let x = rng.integers(2, 8, &[batch, length], device);
            let x = x
                .scatter(1, &a, &a.zeros_like())
                .scatter(1, &b, &b.ones_like());
            (x, a.lt(&b).cast(DType::F32))
        };
        for _ in 0..lesson.pick(500, 250) {
            let (x, y) = task(64);
            step.call(&mut state, &[&x, &y])?;
        }
        let (x, y) = task(1000);
        let said = forward(&state.0, &x).gt_scalar(0.0).cast(DType::F32);
        results.push(f64::from(
            said.eq(&y).cast(DType::F32).mean().item::<f32>()?,
        ));
    }
    lesson.close("without positions: right answers", results[0], 0.5, 0.06)?;
    lesson.at_least(
        "with positions: right answers",
        results[1],
        lesson.pick(0.97, 0.85),
    )
}
