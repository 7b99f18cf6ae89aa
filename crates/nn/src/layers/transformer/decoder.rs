//! Decoder blocks: attention of a sequence to itself, to a memory, then two products for each token.

use super::{TransformerOptions, attention, feed_forward, linear, norm};
use crate::{AttentionMasks, Context, Dropout, LayerNorm, Linear, Module, MultiheadAttention};
use wgrad_graph::{Device, Generator, Tensor};

/// One block: `self_attn`, `multihead_attn`, `linear1`, `linear2`, `norm1`, `norm2`, `norm3`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct TransformerDecoderLayer {
    /// Of the sequence to itself.
    pub self_attn: MultiheadAttention,
    /// To the memory.
    pub multihead_attn: MultiheadAttention,
    /// To the features between.
    pub linear1: Linear,
    /// And back.
    pub linear2: Linear,
    /// At the attention to itself.
    pub norm1: LayerNorm,
    /// At the attention to the memory.
    pub norm2: LayerNorm,
    /// At the products.
    pub norm3: LayerNorm,
    options: TransformerOptions,
}

impl TransformerDecoderLayer {
    /// With PyTorch's first values.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{AttentionMasks, Context, Module, TransformerDecoderLayer, TransformerOptions};
    /// let device = Device::cpu();
    /// let layer = TransformerDecoderLayer::new(512, 8, &TransformerOptions::default(), &mut Generator::new(0), &device);
    /// assert_eq!(layer.num_parameters(), 4_204_032);
    /// let (x, memory) = (Tensor::ones(&[3, 1, 512], DType::F32, &device), Tensor::ones(&[5, 1, 512], DType::F32, &device));
    /// let (causal, all) = (AttentionMasks::causal(), AttentionMasks::none());
    /// assert_eq!(layer.forward(&x, &memory, &causal, &all, &mut Context::eval()).shape(), x.shape());
    /// ```
    #[track_caller]
    pub fn new(
        d_model: usize,
        nhead: usize,
        options: &TransformerOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> TransformerDecoderLayer {
        let hidden = options.dim_feedforward;
        // Positions of a memory are not those of the sequence.
        let across = TransformerOptions {
            rotary: None,
            ..options.clone()
        };
        TransformerDecoderLayer {
            self_attn: attention(d_model, nhead, options, rng, device),
            multihead_attn: attention(d_model, nhead, &across, rng, device),
            linear1: linear([d_model, hidden], options, rng, device),
            linear2: linear([hidden, d_model], options, rng, device),
            norm1: norm(d_model, options, device),
            norm2: norm(d_model, options, device),
            norm3: norm(d_model, options, device),
            options: options.clone(),
        }
    }

    /// Of the shape of `x [length, batch, features]`, with a memory `[length, batch, features]`; `[batch, length, …]` if
    /// `batch_first`. PyTorch's `tgt_mask` and its like are `masks`, `memory_mask` and its like `memory_masks`.
    #[track_caller]
    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        masks: &AttentionMasks,
        memory_masks: &AttentionMasks,
        cx: &mut Context,
    ) -> Tensor {
        let drop = Dropout::new(self.options.dropout);
        let products = [&self.linear1, &self.linear2];
        let (own, across) = (&self.self_attn, &self.multihead_attn);
        if self.options.norm_first {
            let n = self.norm1.forward(x);
            let y = own.forward(&n, &n, &n, masks, cx);
            let x = x + drop.forward(&y, cx);
            let n = self.norm2.forward(&x);
            let y = across.forward(&n, memory, memory, memory_masks, cx);
            let x = &x + drop.forward(&y, cx);
            let y = feed_forward(&self.norm3.forward(&x), products, &self.options, cx);
            &x + drop.forward(&y, cx)
        } else {
            let y = own.forward(x, x, x, masks, cx);
            let x = self.norm1.forward(&(x + drop.forward(&y, cx)));
            let y = across.forward(&x, memory, memory, memory_masks, cx);
            let x = self.norm2.forward(&(&x + drop.forward(&y, cx)));
            let y = feed_forward(&x, products, &self.options, cx);
            self.norm3.forward(&(&x + drop.forward(&y, cx)))
        }
    }
}

/// Blocks in a row: `layers.0…`, and `norm` if there is one after them.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct TransformerDecoder {
    /// One after the other.
    pub layers: Vec<TransformerDecoderLayer>,
    /// After all of them.
    pub norm: Option<LayerNorm>,
}

impl TransformerDecoder {
    /// So many blocks, without a norm after them.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator};
    /// use wgrad_nn::{TransformerDecoder, TransformerOptions};
    /// let options = TransformerOptions::default().dim_feedforward(16);
    /// let decoder = TransformerDecoder::new(8, 2, 3, &options, &mut Generator::new(0), &Device::cpu());
    /// assert_eq!(decoder.layers.len(), 3);
    /// ```
    #[track_caller]
    pub fn new(
        d_model: usize,
        nhead: usize,
        num_layers: usize,
        options: &TransformerOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> TransformerDecoder {
        let mut layers = Vec::new();
        for _ in 0..num_layers {
            layers.push(TransformerDecoderLayer::new(
                d_model, nhead, options, rng, device,
            ));
        }
        TransformerDecoder { layers, norm: None }
    }

    /// With a norm after the blocks, which blocks with norms first need.
    #[track_caller]
    pub fn with_norm(self, options: &TransformerOptions, device: &Device) -> TransformerDecoder {
        let features = self.layers.first().map(|l| l.linear1.weight.size(1));
        TransformerDecoder {
            norm: features.map(|n| norm(n, options, device)),
            ..self
        }
    }

    /// As [`TransformerDecoderLayer::forward`]; all blocks have these masks.
    #[track_caller]
    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        masks: &AttentionMasks,
        memory_masks: &AttentionMasks,
        cx: &mut Context,
    ) -> Tensor {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x, memory, masks, memory_masks, cx);
        }
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => x,
        }
    }
}
