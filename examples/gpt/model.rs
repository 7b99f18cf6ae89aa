//! A small GPT over characters: pre-norm blocks without biases, and the last product is the embedding of characters.

use wgrad::nn::{Cache, Context, Embedding, LanguageModel, LayerNorm, Linear, init};
use wgrad::{AttentionOptions, Device, Generator, Module, Reduction, Tensor};

/// Sizes of a [`Gpt`].
#[derive(Clone, Copy, Debug, PartialEq, Module)]
pub struct Sizes {
    /// Characters there are.
    pub vocabulary: usize,
    /// Characters that are seen at once.
    pub context: usize,
    /// Features of a character.
    pub width: usize,
    /// Heads of an attention.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
}

#[derive(Clone, Module)]
struct Block {
    ln_1: LayerNorm,
    c_attn: Linear,
    c_proj: Linear,
    ln_2: LayerNorm,
    c_fc: Linear,
    mlp_proj: Linear,
}

/// A causal language model.
#[derive(Clone, Module)]
pub struct Gpt {
    wte: Embedding,
    wpe: Embedding,
    blocks: Vec<Block>,
    ln_f: LayerNorm,
    sizes: Sizes,
}

/// A map without bias, whose weights have the standard deviation `std`.
fn linear(from: usize, to: usize, std: f64, rng: &mut Generator, device: &Device) -> Linear {
    Linear {
        weight: init::normal(&[to, from], 0.0, std, rng, device),
        bias: None,
    }
}

fn table(rows: usize, width: usize, rng: &mut Generator, device: &Device) -> Embedding {
    Embedding::from_pretrained(&init::normal(&[rows, width], 0.0, 0.02, rng, device))
}

impl Block {
    fn new(sizes: Sizes, rng: &mut Generator, device: &Device) -> Block {
        let n = sizes.width;
        // What is added to the residual is smaller the more of it there is.
        let added = 0.02 / (2.0 * sizes.layers as f64).sqrt();
        Block {
            ln_1: LayerNorm::new(&[n], device).without_bias(),
            c_attn: linear(n, 3 * n, 0.02, rng, device),
            c_proj: linear(n, n, added, rng, device),
            ln_2: LayerNorm::new(&[n], device).without_bias(),
            c_fc: linear(n, 4 * n, 0.02, rng, device),
            mlp_proj: linear(4 * n, n, added, rng, device),
        }
    }

    /// `[batch, time, width]` to the same.
    fn forward(&self, x: &Tensor, heads: usize) -> Tensor {
        let width = x.size(-1);
        let qkv = self.c_attn.forward(&self.ln_1.forward(x));
        let part = |i: usize| {
            qkv.narrow(-1, i * width, width)
                .unflatten(2, &[heads as isize, -1])
                .transpose(1, 2)
        };
        let causal = AttentionOptions::default().is_causal(true);
        let y = part(0).scaled_dot_product_attention(&part(1), &part(2), &causal);
        let x = x + self.c_proj.forward(&y.transpose(1, 2).flatten(2, 3));
        let hidden = self.c_fc.forward(&self.ln_2.forward(&x)).gelu();
        x + self.mlp_proj.forward(&hidden)
    }
}

impl Gpt {
    /// With normal weights of standard deviation 0.02.
    pub fn new(sizes: Sizes, rng: &mut Generator, device: &Device) -> Gpt {
        let wte = table(sizes.vocabulary, sizes.width, rng, device);
        let wpe = table(sizes.context, sizes.width, rng, device);
        let blocks = (0..sizes.layers).map(|_| Block::new(sizes, rng, device));
        Gpt {
            wte,
            wpe,
            blocks: blocks.collect(),
            ln_f: LayerNorm::new(&[sizes.width], device).without_bias(),
            sizes,
        }
    }

    /// Scores `[batch, time, vocabulary]` of each next character.
    pub fn forward(&self, tokens: &Tensor) -> Tensor {
        let at = Tensor::arange(tokens.size(1), tokens.device());
        let mut x = self.wte.forward(tokens) + self.wpe.forward(&at);
        for block in &self.blocks {
            x = block.forward(&x, self.sizes.heads);
        }
        self.ln_f.forward(&x).linear(&self.wte.weight, None)
    }

    /// The mean cross-entropy of each character after the first, for rows of `context + 1` of them.
    pub fn loss(&self, rows: &Tensor) -> Tensor {
        let n = rows.size(1) - 1;
        let scores = self.forward(&rows.narrow(1, 0, n));
        let next = rows.narrow(1, 1, n).flatten(0, 1);
        scores.flatten(0, 1).cross_entropy(&next, Reduction::Mean)
    }
}

impl LanguageModel for Gpt {
    /// Without a cache: the whole text anew for each character.
    fn logits(&self, tokens: &Tensor, _: Option<&mut Cache>, _: &mut Context) -> Tensor {
        self.forward(tokens)
    }

    fn num_layers(&self) -> usize {
        self.sizes.layers
    }

    fn context_length(&self) -> usize {
        self.sizes.context
    }

    fn vocab_size(&self) -> usize {
        self.sizes.vocabulary
    }

    fn device(&self) -> Device {
        self.wte.weight.device().clone()
    }
}
