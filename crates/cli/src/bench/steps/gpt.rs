//! A small language model over characters: no biases, and the last product is the embedding of characters.

use super::super::case::Unit;
use super::step::{Model, Step, Trained, plain};
use wgrad::nn::{AdamW, Context, Embedding, LayerNorm, Linear, init};
use wgrad::{AttentionOptions, Device, Generator, Module, Optimizer, Reduction, Tensor};

const CHARACTERS: usize = 65;
const LAYERS: usize = 4;
const HEADS: isize = 4;
const WIDTH: usize = 128;
const TIME: usize = 64;
const BATCH: usize = 12;

pub const GPT: Model = Model {
    name: "gpt_l4_d128_t64_b12",
    unit: Unit::Tokens,
    amount: BATCH * TIME,
    build,
    batch: |rng, device| {
        let mut tokens = |shape: &[usize]| rng.integers(0, CHARACTERS as i32, shape, device);
        vec![tokens(&[BATCH, TIME]), tokens(&[BATCH * TIME])]
    },
};

#[derive(Module)]
struct Block {
    ln_1: LayerNorm,
    c_attn: Linear,
    c_proj: Linear,
    ln_2: LayerNorm,
    c_fc: Linear,
    mlp_proj: Linear,
}

#[derive(Module)]
struct Gpt {
    wte: Embedding,
    wpe: Embedding,
    blocks: Vec<Block>,
    ln_f: LayerNorm,
}

fn norm(device: &Device) -> LayerNorm {
    LayerNorm::new(&[WIDTH], device).without_bias()
}

impl Block {
    fn new(rng: &mut Generator, device: &Device) -> Block {
        let mut linear = |from: usize, to: usize, std: f64| Linear {
            weight: init::normal(&[to, from], 0.0, std, rng, device),
            bias: None,
        };
        // What is added to the residual is smaller the more of it there is.
        let added = 0.02 / (2.0 * LAYERS as f64).sqrt();
        Block {
            ln_1: norm(device),
            c_attn: linear(WIDTH, 3 * WIDTH, 0.02),
            c_proj: linear(WIDTH, WIDTH, added),
            ln_2: norm(device),
            c_fc: linear(WIDTH, 4 * WIDTH, 0.02),
            mlp_proj: linear(4 * WIDTH, WIDTH, added),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let qkv = self.c_attn.forward(&self.ln_1.forward(x));
        let part = |i: usize| {
            let part = qkv.narrow(-1, i * WIDTH, WIDTH);
            part.unflatten(2, &[HEADS, -1]).transpose(1, 2)
        };
        let causal = AttentionOptions::default().is_causal(true);
        let y = part(0).scaled_dot_product_attention(&part(1), &part(2), &causal);
        let x = x + self.c_proj.forward(&y.transpose(1, 2).flatten(2, 3));
        let hidden = self.c_fc.forward(&self.ln_2.forward(&x)).gelu();
        x + self.mlp_proj.forward(&hidden)
    }
}

impl Gpt {
    fn new(rng: &mut Generator, device: &Device) -> Gpt {
        let mut table = |rows| {
            Embedding::from_pretrained(&init::normal(&[rows, WIDTH], 0.0, 0.02, rng, device))
        };
        let (wte, wpe) = (table(CHARACTERS), table(TIME));
        Gpt {
            wte,
            wpe,
            blocks: (0..LAYERS).map(|_| Block::new(rng, device)).collect(),
            ln_f: norm(device),
        }
    }

    /// Scores `[batch, time, characters]` of tokens `[batch, time]`.
    fn forward(&self, tokens: &Tensor) -> Tensor {
        let at = Tensor::arange(TIME, tokens.device());
        let mut x = self.wte.forward(tokens) + self.wpe.forward(&at);
        for block in &self.blocks {
            x = block.forward(&x);
        }
        self.ln_f.forward(&x).linear(&self.wte.weight, None)
    }
}

/// A warm-up over 100 steps.
fn warm_up((adam, _): &mut (AdamW, Context), step: u64) {
    let share = 0.01 + 0.99 * step.min(100) as f64 / 100.0;
    adam.set_lr(1e-3 * share);
}

fn build(device: &Device) -> Box<dyn Step> {
    let model = Gpt::new(&mut Generator::new(0), device);
    let adam = AdamW::new(1e-3).betas(0.9, 0.99).weight_decay(0.1);
    let adam = adam.group("plain", plain, |g| g.weight_decay(0.0));
    let step = Trained::single(model, adam, |model, batch, _| {
        let scores = model.forward(&batch[0]).flatten(0, 1);
        scores.cross_entropy(&batch[1], Reduction::Mean)
    });
    Box::new(step.scheduled(warm_up))
}
