//! Blocks of transformers (Vaswani et al. 2017), with the parameters, names and options of PyTorch's layers.

mod decoder;
mod encoder;
mod options;

pub use decoder::{TransformerDecoder, TransformerDecoderLayer};
pub use encoder::{TransformerEncoder, TransformerEncoderLayer};
pub use options::{FeedForwardActivation, TransformerOptions};

use crate::{AttentionMasks, Context, Dropout, LayerNorm, Linear, Module};
use crate::{MultiheadAttention, MultiheadAttentionOptions};
use wgrad_graph::{Device, Generator, Tensor};

/// Encoder and decoder: `encoder.layers.0…`, `encoder.norm`, `decoder.layers.0…`, `decoder.norm`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct Transformer {
    /// Reads the source.
    pub encoder: TransformerEncoder,
    /// Writes the target.
    pub decoder: TransformerDecoder,
}

impl Transformer {
    /// With so many layers of encoder and decoder, a norm after each stack.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{AttentionMasks, Context, Transformer, TransformerOptions};
    /// let device = Device::cpu();
    /// let options = TransformerOptions::default().dim_feedforward(16).batch_first(true);
    /// let model = Transformer::new(8, 2, [1, 1], &options, &mut Generator::new(0), &device);
    /// let (source, target) = (Tensor::ones(&[2, 5, 8], DType::F32, &device), Tensor::ones(&[2, 3, 8], DType::F32, &device));
    /// let (all, causal) = (AttentionMasks::none(), AttentionMasks::causal());
    /// let y = model.forward(&source, &target, [&all, &causal, &all], &mut Context::eval());
    /// assert_eq!(y.shape(), [2, 3, 8]);
    /// ```
    #[track_caller]
    pub fn new(
        d_model: usize,
        nhead: usize,
        [encoder_layers, decoder_layers]: [usize; 2],
        options: &TransformerOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> Transformer {
        let encoder = TransformerEncoder::new(d_model, nhead, encoder_layers, options, rng, device);
        let decoder = TransformerDecoder::new(d_model, nhead, decoder_layers, options, rng, device);
        Transformer {
            encoder: encoder.with_norm(options, device),
            decoder: decoder.with_norm(options, device),
        }
    }

    /// The target's features, of its shape. Masks are those of the source, of the target, and of the target's view of the
    /// source.
    #[track_caller]
    pub fn forward(
        &self,
        source: &Tensor,
        target: &Tensor,
        [of_source, of_target, of_memory]: [&AttentionMasks; 3],
        cx: &mut Context,
    ) -> Tensor {
        let memory = self.encoder.forward(source, of_source, cx);
        self.decoder
            .forward(target, &memory, of_target, of_memory, cx)
    }
}

/// `linear2(dropout(activation(linear1(x))))`.
#[track_caller]
fn feed_forward(
    x: &Tensor,
    [linear1, linear2]: [&Linear; 2],
    options: &TransformerOptions,
    cx: &mut Context,
) -> Tensor {
    let hidden = options.activation.of(&linear1.forward(x));
    linear2.forward(&Dropout::new(options.dropout).forward(&hidden, cx))
}

#[track_caller]
fn attention(
    d_model: usize,
    nhead: usize,
    options: &TransformerOptions,
    rng: &mut Generator,
    device: &Device,
) -> MultiheadAttention {
    let attention = MultiheadAttentionOptions::default()
        .dropout(options.dropout)
        .bias(options.bias)
        .batch_first(options.batch_first);
    let attention = MultiheadAttentionOptions {
        num_kv_heads: options.num_kv_heads,
        rotary: options.rotary.clone(),
        ..attention
    };
    MultiheadAttention::new(d_model, nhead, &attention, rng, device)
}

#[track_caller]
fn linear(
    [from, to]: [usize; 2],
    options: &TransformerOptions,
    rng: &mut Generator,
    device: &Device,
) -> Linear {
    let linear = Linear::new(from, to, rng, device);
    match options.bias {
        true => linear,
        false => linear.without_bias(),
    }
}

#[track_caller]
fn norm(d_model: usize, options: &TransformerOptions, device: &Device) -> LayerNorm {
    let norm = LayerNorm::new(&[d_model], device).eps(options.layer_norm_eps);
    match options.bias {
        true => norm,
        false => norm.without_bias(),
    }
}
