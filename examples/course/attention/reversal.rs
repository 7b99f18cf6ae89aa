//! Reversing a row of tokens: position i must attend to position n − 1 − i, and to nothing else. One block with one
//! head does it, and its map of attention is drawn: a diagonal from corner to corner. Positions are learned vectors, larger
//! than those of tokens, so that where something stands outweighs what it is. Source: Lippe, UvA Deep Learning Tutorials, 6.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{
    Adam, AttentionMasks, Context, LayerNorm, Linear, MultiheadAttention,
    MultiheadAttentionOptions, compile, gradients,
};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Module, Optimizer, Reduction, Tensor};

const TOKENS: usize = 10;
const LENGTH: usize = 16;

#[derive(Module)]
struct Net {
    input: Linear,
    attention: MultiheadAttention,
    norm: LayerNorm,
    hidden: Linear,
    out: Linear,
    positions: Tensor,
}

impl Net {
    /// Scores `[batch, length, tokens]` and the map of attention `[batch, …, length, length]`.
    fn forward(&self, x: &Tensor) -> (Tensor, Tensor) {
        let hot = x.one_hot(TOKENS).cast(DType::F32);
        let x = self.input.forward(&hot) + &self.positions;
        let cx = &mut Context::eval();
        let (found, map) =
            self.attention
                .forward_with_weights(&x, &x, &x, &AttentionMasks::none(), cx);
        let x = self.norm.forward(&(x + found));
        (self.out.forward(&(self.hidden.forward(&x).relu() + x)), map)
    }
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let d = 32;
    let net = Net {
        input: Linear::new(TOKENS, d, &mut rng, device),
        attention: MultiheadAttention::new(
            d,
            1,
            &MultiheadAttentionOptions::default().batch_first(true),
            &mut rng,
            device,
        ),
        norm: LayerNorm::new(&[d], device),
        hidden: Linear::new(d, d, &mut rng, device),
        out: Linear::new(d, TOKENS, &mut rng, device),
        positions: rng.normal(&[LENGTH, d], device),
    };
    let mut state = (net, Adam::new(0.003));
    let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
        let logits = net.forward(&b[0]).0.transpose(1, 2);
        let loss = logits.cross_entropy(&b[0].flip(&[1]), Reduction::Mean);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let steps = lesson.pick(1000, 300);
    let mut losses = Vec::new();
    for t in 0..steps {
        state
            .1
            .set_lr(0.003 * (1.0 - 0.9 * t as f64 / steps as f64));
        let x = rng.integers(0, TOKENS as i32, &[128, LENGTH], device);
        losses.push(step.call(&mut state, &[&x])?.item::<f32>()?);
    }
    let x = rng.integers(0, TOKENS as i32, &[500, LENGTH], device);
    let (logits, map) = state.0.forward(&x);
    let right = logits
        .argmax(-1, false)
        .eq(&x.flip(&[1]))
        .cast(DType::F32)
        .mean()
        .item::<f32>()?;
    lesson.at_least("tokens reversed", right.into(), lesson.pick(1.0, 0.9))?;
    let map = map
        .reshape(&[500, LENGTH as isize, LENGTH as isize])
        .mean_dims(&[0], false);
    let on_diagonal = map.flip(&[1]).trace().item::<f32>()? / LENGTH as f32;
    lesson.at_least(
        "attention on the place that matters",
        on_diagonal.into(),
        lesson.pick(0.9, 0.6),
    )?;
    let figure = Figure::new("Attention of the trained block")
        .x("key: where it looks")
        .y("query: where it stands")
        .size(520, 460);
    lesson.figure(
        "map",
        "It looks at the mirrored place",
        &figure.heat_map(LENGTH, LENGTH, &map.to_vec::<f32>()?),
    )?;
    let at: Vec<usize> = (1..=losses.len()).collect();
    let figure = Figure::new("Loss")
        .x("step")
        .y("cross-entropy, nats")
        .log_y()
        .line("train", &at, &losses);
    lesson.figure("loss", "Until it is found", &figure)
}
