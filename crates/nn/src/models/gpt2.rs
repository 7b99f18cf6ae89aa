//! GPT-2 (Radford et al. 2019), with the names and layouts of Hugging Face's `GPT2LMHeadModel`: products have weights
//! `[in, out]`, and the last one is the embedding of words.

use crate::layers::attention::heads::{self, Heads};
use crate::layers::fail;
use crate::{Cache, Context, Dropout, Embedding, KvCache, LanguageModel, LayerNorm, Module, init};
use wgrad_graph::{Device, ErrorKind, GeluApproximation, Generator, Tensor};

/// Sizes of a [`Gpt2`]; the defaults are those of the smallest published one.
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct Gpt2Config {
    /// Tokens there are; 50,257.
    pub vocab_size: usize,
    /// Tokens that are seen at once; 1,024.
    pub n_positions: usize,
    /// Features of a token; 768.
    pub n_embd: usize,
    /// Blocks; 12.
    pub n_layer: usize,
    /// Heads of an attention; 12.
    pub n_head: usize,
    /// Dropout of embeddings, attention weights and what is added; 0.1.
    pub dropout: f64,
    /// Added to the norms' variances; 1e-5.
    pub layer_norm_epsilon: f64,
}

impl Default for Gpt2Config {
    fn default() -> Gpt2Config {
        Gpt2Config {
            vocab_size: 50_257,
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            dropout: 0.1,
            layer_norm_epsilon: 1e-5,
        }
    }
}

/// `x W + b` with `weight [in, out]`, Hugging Face's `Conv1D`.
#[derive(Clone, Module)]
#[module(crate = crate)]
struct Projection {
    weight: Tensor,
    bias: Tensor,
}

impl Projection {
    #[track_caller]
    fn new([from, to]: [usize; 2], std: f64, rng: &mut Generator, device: &Device) -> Projection {
        Projection {
            weight: init::normal(&[from, to], 0.0, std, rng, device),
            bias: init::zeros(&[to], device),
        }
    }

    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.weight) + &self.bias
    }
}

#[derive(Clone, Module)]
#[module(crate = crate)]
struct Attention {
    c_attn: Projection,
    c_proj: Projection,
}

#[derive(Clone, Module)]
#[module(crate = crate)]
struct Mlp {
    c_fc: Projection,
    c_proj: Projection,
}

#[derive(Clone, Module)]
#[module(crate = crate)]
struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    mlp: Mlp,
}

#[derive(Clone, Module)]
#[module(crate = crate)]
struct Body {
    wte: Embedding,
    wpe: Embedding,
    h: Vec<Block>,
    ln_f: LayerNorm,
}

/// A causal language model: `transformer.wte.weight`, `transformer.h.0.attn.c_attn.weight` ….
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Gpt2 {
    transformer: Body,
    config: Gpt2Config,
}

impl Block {
    #[track_caller]
    fn new(config: &Gpt2Config, rng: &mut Generator, device: &Device) -> Block {
        let n = config.n_embd;
        let norm = || LayerNorm::new(&[n], device).eps(config.layer_norm_epsilon);
        // What is added to the residual is smaller the more of it there is.
        let added = 0.02 / (2.0 * config.n_layer.max(1) as f64).sqrt();
        let (three, four) = (n.saturating_mul(3), n.saturating_mul(4));
        Block {
            ln_1: norm(),
            attn: Attention {
                c_attn: Projection::new([n, three], 0.02, rng, device),
                c_proj: Projection::new([n, n], added, rng, device),
            },
            ln_2: norm(),
            mlp: Mlp {
                c_fc: Projection::new([n, four], 0.02, rng, device),
                c_proj: Projection::new([four, n], added, rng, device),
            },
        }
    }

    #[track_caller]
    fn forward(
        &self,
        x: &Tensor,
        config: &Gpt2Config,
        cache: Option<(&mut KvCache, &Tensor)>,
        cx: &mut Context,
    ) -> Tensor {
        let drop = Dropout::new(config.dropout);
        let qkv = self.attn.c_attn.forward(&self.ln_1.forward(x));
        let part = |i: usize| {
            let part = qkv.narrow(-1, i * config.n_embd, config.n_embd);
            heads::split(&part, config.n_head)
        };
        let mut all = Heads {
            query: part(0),
            key: part(1),
            value: part(2),
            mask: None,
            first: Some(0),
            dropout: config.dropout,
        };
        if let Some((cache, position)) = cache {
            match cache.extend(&all.key, &all.value, position) {
                Ok((key, value, seen)) => {
                    (all.key, all.value, all.mask) = (key, value, Some(seen));
                    all.first = None;
                }
                Err(e) => return fail(e.op(), e.kind(), e.message().into(), x),
            }
        }
        let y = self.attn.c_proj.forward(&heads::merge(&all.attend(cx)));
        let x = x + drop.forward(&y, cx);
        let hidden = self.mlp.c_fc.forward(&self.ln_2.forward(&x));
        let y = self
            .mlp
            .c_proj
            .forward(&hidden.gelu_with(GeluApproximation::Tanh));
        &x + drop.forward(&y, cx)
    }
}

impl Gpt2 {
    /// With GPT-2's first values.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator, Tensor};
    /// use wgrad_nn::models::{Gpt2, Gpt2Config};
    /// use wgrad_nn::{Context, Module};
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// assert_eq!(Gpt2::new(&Gpt2Config::default(), rng, &device).num_parameters(), 124_439_808);
    /// let config = Gpt2Config { vocab_size: 65, n_positions: 64, n_embd: 32, n_layer: 2, n_head: 4, ..Gpt2Config::default() };
    /// let model = Gpt2::new(&config, rng, &device);
    /// let tokens = Tensor::from_slice(&[1, 2, 3, 4, 5, 6], &[2, 3], &device);
    /// assert_eq!(model.forward(&tokens, &mut Context::eval()).shape(), [2, 3, 65]);
    /// ```
    #[track_caller]
    pub fn new(config: &Gpt2Config, rng: &mut Generator, device: &Device) -> Gpt2 {
        let n = config.n_embd;
        let mut table = |rows: usize| {
            let mut table = Embedding::new(1, 1, rng, device);
            table.weight = init::normal(&[rows, n], 0.0, 0.02, rng, device);
            table
        };
        let (wte, wpe) = (table(config.vocab_size), table(config.n_positions));
        let mut h = Vec::new();
        for _ in 0..config.n_layer {
            h.push(Block::new(config, rng, device));
        }
        let ln_f = LayerNorm::new(&[n], device).eps(config.layer_norm_epsilon);
        Gpt2 {
            transformer: Body { wte, wpe, h, ln_f },
            config: config.clone(),
        }
    }

    /// Scores `[batch, time, vocabulary]` of each next token, of tokens `[batch, time]` (integers).
    #[track_caller]
    pub fn forward(&self, tokens: &Tensor, cx: &mut Context) -> Tensor {
        self.run(tokens, None, cx)
    }

    #[track_caller]
    fn run(&self, tokens: &Tensor, mut cache: Option<&mut Cache>, cx: &mut Context) -> Tensor {
        let (config, body) = (&self.config, &self.transformer);
        let before = cache.as_ref().map_or(0, |c| c.len());
        if let Some(message) = self.misfit(tokens, before, cache.as_deref()) {
            return fail("gpt2", ErrorKind::Shape, message, tokens);
        }
        let at = Tensor::arange(tokens.size(1), tokens.device());
        let position = cache
            .is_some()
            .then(|| Tensor::new(&[before as i32], tokens.device()));
        let at = match &position {
            Some(position) => at + position,
            None => at,
        };
        let x = body.wte.forward(tokens) + body.wpe.forward(&at);
        let mut x = Dropout::new(config.dropout).forward(&x, cx);
        for (i, block) in body.h.iter().enumerate() {
            let layer = cache
                .as_deref_mut()
                .map(|c| &mut c.layers[i])
                .zip(position.as_ref());
            x = block.forward(&x, config, layer, cx);
        }
        body.ln_f.forward(&x).linear(&body.wte.weight, None)
    }

    fn misfit(&self, tokens: &Tensor, before: usize, cache: Option<&Cache>) -> Option<String> {
        let Gpt2Config {
            n_embd,
            n_head,
            n_positions,
            ..
        } = self.config;
        if n_head == 0 || !n_embd.is_multiple_of(n_head) {
            return Some(format!("{n_head} heads do not divide {n_embd} features"));
        }
        if tokens.rank() != 2 {
            return Some("takes tokens [batch, time]".into());
        }
        if before + tokens.size(1) > n_positions {
            let n = tokens.size(1);
            return Some(format!(
                "{n} tokens after {before} are more than {n_positions} positions"
            ));
        }
        let layers = cache.map(|c| c.layers.len());
        let wrong = layers.filter(|&n| n != self.config.n_layer);
        wrong.map(|n| format!("a cache of {n} layers for {}", self.config.n_layer))
    }
}

impl LanguageModel for Gpt2 {
    #[track_caller]
    fn logits(&self, tokens: &Tensor, cache: Option<&mut Cache>, cx: &mut Context) -> Tensor {
        self.run(tokens, cache, cx)
    }

    fn num_layers(&self) -> usize {
        self.config.n_layer
    }

    fn context_length(&self) -> usize {
        self.config.n_positions
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn device(&self) -> Device {
        self.transformer.wte.weight.device().clone()
    }
}
