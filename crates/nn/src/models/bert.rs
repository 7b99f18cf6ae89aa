//! BERT's encoder (Devlin et al. 2018), with the names of Hugging Face's `BertModel`.

use super::named;
use crate::layers::attention::heads::{self, Heads};
use crate::layers::fail;
use crate::{Context, Dropout, Embedding, LayerNorm, Linear, Module, init};
use wgrad_graph::{DType, Device, EmbeddingOptions, ErrorKind, Generator, Tensor};

/// Sizes of a [`Bert`]; the defaults are those of `bert-base-uncased`.
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct BertConfig {
    /// Tokens there are; 30,522.
    pub vocab_size: usize,
    /// Features of a token; 768.
    pub hidden_size: usize,
    /// Blocks; 12.
    pub num_hidden_layers: usize,
    /// Heads of an attention; 12.
    pub num_attention_heads: usize,
    /// Features between the two products of a block; 3,072.
    pub intermediate_size: usize,
    /// Tokens that are seen at once; 512.
    pub max_position_embeddings: usize,
    /// Kinds of segments; 2.
    pub type_vocab_size: usize,
    /// Dropout everywhere; 0.1.
    pub dropout: f64,
    /// Added to the norms' variances; 1e-12.
    pub layer_norm_eps: f64,
}

impl Default for BertConfig {
    fn default() -> BertConfig {
        BertConfig {
            vocab_size: 30_522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            dropout: 0.1,
            layer_norm_eps: 1e-12,
        }
    }
}

#[derive(Clone)]
struct Embeddings {
    words: Embedding,
    positions: Embedding,
    kinds: Embedding,
    norm: LayerNorm,
}

named!(Embeddings {
    "word_embeddings" => words,
    "position_embeddings" => positions,
    "token_type_embeddings" => kinds,
    "LayerNorm" => norm,
});

#[derive(Clone)]
struct Block {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm1: LayerNorm,
    intermediate: Linear,
    output: Linear,
    norm2: LayerNorm,
}

named!(Block {
    "attention.self.query" => query,
    "attention.self.key" => key,
    "attention.self.value" => value,
    "attention.output.dense" => out,
    "attention.output.LayerNorm" => norm1,
    "intermediate.dense" => intermediate,
    "output.dense" => output,
    "output.LayerNorm" => norm2,
});

/// An encoder of texts: `embeddings.word_embeddings.weight`, `encoder.layer.0.attention.self.query.weight`,
/// `pooler.dense.weight` ….
#[derive(Clone)]
pub struct Bert {
    embeddings: Embeddings,
    layers: Vec<Block>,
    pooler: Linear,
    config: BertConfig,
}

named!(Bert {
    "embeddings" => embeddings,
    "encoder.layer" => layers,
    "pooler.dense" => pooler,
    "config" => config,
});

/// What a [`Bert`] gives.
#[derive(Clone)]
pub struct BertOutput {
    /// Features of all tokens, `[batch, time, hidden]`.
    pub last_hidden_state: Tensor,
    /// Features of the first token after one more layer and a hyperbolic tangent, `[batch, hidden]`.
    pub pooler_output: Tensor,
}

/// As [`Linear`], with BERT's first values.
#[track_caller]
fn linear([from, to]: [usize; 2], rng: &mut Generator, device: &Device) -> Linear {
    let mut linear = Linear::new(1, 1, rng, device);
    linear.weight = init::normal(&[to, from], 0.0, 0.02, rng, device);
    linear.bias = Some(init::zeros(&[to], device));
    linear
}

impl Block {
    #[track_caller]
    fn new(config: &BertConfig, rng: &mut Generator, device: &Device) -> Block {
        let (n, between) = (config.hidden_size, config.intermediate_size);
        let norm = || LayerNorm::new(&[n], device).eps(config.layer_norm_eps);
        Block {
            query: linear([n, n], rng, device),
            key: linear([n, n], rng, device),
            value: linear([n, n], rng, device),
            out: linear([n, n], rng, device),
            norm1: norm(),
            intermediate: linear([n, between], rng, device),
            output: linear([between, n], rng, device),
            norm2: norm(),
        }
    }

    #[track_caller]
    fn forward(
        &self,
        x: &Tensor,
        seen: Option<&Tensor>,
        config: &BertConfig,
        cx: &mut Context,
    ) -> Tensor {
        let drop = Dropout::new(config.dropout);
        let part = |l: &Linear| heads::split(&l.forward(x), config.num_attention_heads);
        let all = Heads {
            query: part(&self.query),
            key: part(&self.key),
            value: part(&self.value),
            mask: seen.cloned(),
            first: None,
            dropout: config.dropout,
        };
        let y = self.out.forward(&heads::merge(&all.attend(cx)));
        let x = self.norm1.forward(&(x + drop.forward(&y, cx)));
        let y = self.output.forward(&self.intermediate.forward(&x).gelu());
        self.norm2.forward(&(&x + drop.forward(&y, cx)))
    }
}

impl Bert {
    /// With BERT's first values.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator, Tensor};
    /// use wgrad_nn::models::{Bert, BertConfig};
    /// use wgrad_nn::{Context, Module};
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// assert_eq!(Bert::new(&BertConfig::default(), rng, &device).num_parameters(), 109_482_240);
    /// let config = BertConfig { vocab_size: 50, hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2, ..BertConfig::default() };
    /// let model = Bert::new(&config, rng, &device);
    /// let tokens = Tensor::from_slice(&[1, 2, 3, 4, 0, 0], &[2, 3], &device);
    /// let seen = Tensor::from_slice(&[1, 1, 1, 1, 0, 0], &[2, 3], &device);
    /// let y = model.forward(&tokens, None, Some(&seen), &mut Context::eval());
    /// assert_eq!((y.last_hidden_state.shape(), y.pooler_output.shape()), (&[2, 3, 8][..], &[2, 8][..]));
    /// ```
    #[track_caller]
    pub fn new(config: &BertConfig, rng: &mut Generator, device: &Device) -> Bert {
        let n = config.hidden_size;
        let mut table = |rows: usize| {
            let mut table = Embedding::new(1, 1, rng, device);
            table.weight = init::normal(&[rows, n], 0.0, 0.02, rng, device);
            table
        };
        let embeddings = Embeddings {
            words: table(config.vocab_size),
            positions: table(config.max_position_embeddings),
            kinds: table(config.type_vocab_size),
            norm: LayerNorm::new(&[n], device).eps(config.layer_norm_eps),
        };
        let mut layers = Vec::new();
        for _ in 0..config.num_hidden_layers {
            layers.push(Block::new(config, rng, device));
        }
        Bert {
            embeddings,
            layers,
            pooler: linear([n, n], rng, device),
            config: config.clone(),
        }
    }

    /// Features of tokens `[batch, time]` (integers), with the kinds of their segments, all 0 if absent, and a mask that is 0
    /// where a token is padding, both `[batch, time]`.
    #[track_caller]
    pub fn forward(
        &self,
        tokens: &Tensor,
        token_type_ids: Option<&Tensor>,
        attention_mask: Option<&Tensor>,
        cx: &mut Context,
    ) -> BertOutput {
        let config = &self.config;
        if let Some(message) = self.misfit(tokens, [token_type_ids, attention_mask]) {
            let bad = fail("bert", ErrorKind::Shape, message, tokens);
            return BertOutput {
                last_hidden_state: bad.clone(),
                pooler_output: bad,
            };
        }
        let e = &self.embeddings;
        let at = Tensor::arange(tokens.size(1), tokens.device());
        let zeros = || Tensor::zeros(tokens.shape(), DType::I32, tokens.device());
        let kinds = token_type_ids.cloned().unwrap_or_else(zeros);
        // Token 0 is padding and gets no gradient.
        let words = tokens.embedding(&e.words.weight, EmbeddingOptions::default().padding_idx(0));
        let x = words + e.kinds.forward(&kinds) + e.positions.forward(&at);
        let x = Dropout::new(config.dropout).forward(&e.norm.forward(&x), cx);
        // [batch, 1, 1, keys]
        let seen = attention_mask.map(|m| m.ne_scalar(0.0).unsqueeze(1).unsqueeze(1));
        let mut x = x;
        for block in &self.layers {
            x = block.forward(&x, seen.as_ref(), config, cx);
        }
        BertOutput {
            pooler_output: self.pooler.forward(&x.select(1, 0)).tanh(),
            last_hidden_state: x,
        }
    }

    fn misfit(&self, tokens: &Tensor, others: [Option<&Tensor>; 2]) -> Option<String> {
        let (n, heads) = (self.config.hidden_size, self.config.num_attention_heads);
        let most = self.config.max_position_embeddings;
        if heads == 0 || !n.is_multiple_of(heads) {
            return Some(format!("{heads} heads do not divide {n} features"));
        }
        if tokens.rank() != 2 || !(1..=most).contains(&tokens.size(1)) {
            return Some(format!("takes tokens [batch, 1 to {most}]"));
        }
        let wrong = others.into_iter().flatten();
        let mut wrong = wrong.filter(|t| t.check().is_ok() && t.shape() != tokens.shape());
        wrong.next().map(|t| {
            let shape = t.shape();
            format!("kinds or mask {shape:?} have not the tokens' shape")
        })
    }
}
