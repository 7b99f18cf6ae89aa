//! Encoder blocks: attention of a sequence to itself, then two products for each token. With a causal mask they are the
//! blocks of a GPT.

use super::{TransformerOptions, attention, feed_forward, linear, norm};
use crate::MultiheadAttention;
use crate::{AttentionMasks, Context, Dropout, KvCache, Layer, LayerNorm, Linear, Module};
use wgrad_graph::{Device, Generator, Tensor};

/// One block: `self_attn`, `linear1`, `linear2`, `norm1`, `norm2`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct TransformerEncoderLayer {
    /// Of the sequence to itself.
    pub self_attn: MultiheadAttention,
    /// To the features between.
    pub linear1: Linear,
    /// And back.
    pub linear2: Linear,
    /// At the attention.
    pub norm1: LayerNorm,
    /// At the products.
    pub norm2: LayerNorm,
    options: TransformerOptions,
}

impl TransformerEncoderLayer {
    /// With PyTorch's first values.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{AttentionMasks, Context, Module, TransformerEncoderLayer, TransformerOptions};
    /// let device = Device::cpu();
    /// let layer = TransformerEncoderLayer::new(512, 8, &TransformerOptions::default(), &mut Generator::new(0), &device);
    /// assert_eq!(layer.num_parameters(), 3_152_384);
    /// let x = Tensor::ones(&[3, 1, 512], DType::F32, &device);
    /// let y = layer.forward(&x, &AttentionMasks::none(), &mut Context::eval());
    /// assert_eq!(y.shape(), x.shape());
    /// ```
    #[track_caller]
    pub fn new(
        d_model: usize,
        nhead: usize,
        options: &TransformerOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> TransformerEncoderLayer {
        let hidden = options.dim_feedforward;
        TransformerEncoderLayer {
            self_attn: attention(d_model, nhead, options, rng, device),
            linear1: linear([d_model, hidden], options, rng, device),
            linear2: linear([hidden, d_model], options, rng, device),
            norm1: norm(d_model, options, device),
            norm2: norm(d_model, options, device),
            options: options.clone(),
        }
    }

    /// Of the shape of `x [length, batch, features]`; `[batch, length, …]` if `batch_first`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: &AttentionMasks, cx: &mut Context) -> Tensor {
        self.block(x, cx, |x, cx| self.self_attn.forward(x, x, x, masks, cx))
    }

    /// Of tokens that come after those in the cache, causal: see [`MultiheadAttention::forward_cached`].
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, KvCache, TransformerEncoderLayer, TransformerOptions};
    /// let (device, cx) = (Device::cpu(), &mut Context::eval());
    /// let options = TransformerOptions::default().dim_feedforward(16).batch_first(true);
    /// let layer = TransformerEncoderLayer::new(8, 2, &options, &mut Generator::new(0), &device);
    /// let mut cache = KvCache::new(4);
    /// let y = layer.forward_cached(&Tensor::ones(&[1, 3, 8], DType::F32, &device), &mut cache, cx);
    /// assert_eq!((y.shape(), cache.len()), (&[1, 3, 8][..], 3));
    /// ```
    #[track_caller]
    pub fn forward_cached(&self, x: &Tensor, cache: &mut KvCache, cx: &mut Context) -> Tensor {
        self.block(x, cx, |x, cx| self.self_attn.forward_cached(x, cache, cx))
    }

    #[track_caller]
    fn block(
        &self,
        x: &Tensor,
        cx: &mut Context,
        attend: impl FnOnce(&Tensor, &mut Context) -> Tensor,
    ) -> Tensor {
        let drop = Dropout::new(self.options.dropout);
        let products = [&self.linear1, &self.linear2];
        if self.options.norm_first {
            let y = attend(&self.norm1.forward(x), cx);
            let x = x + drop.forward(&y, cx);
            let y = feed_forward(&self.norm2.forward(&x), products, &self.options, cx);
            &x + drop.forward(&y, cx)
        } else {
            let y = attend(x, cx);
            let x = self.norm1.forward(&(x + drop.forward(&y, cx)));
            let y = feed_forward(&x, products, &self.options, cx);
            self.norm2.forward(&(&x + drop.forward(&y, cx)))
        }
    }
}

impl Layer for TransformerEncoderLayer {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        TransformerEncoderLayer::forward(self, x, &AttentionMasks::none(), cx)
    }

    fn kind(&self) -> String {
        format!(
            "TransformerEncoderLayer({}, {})",
            self.linear1.weight.size(1),
            self.options.dim_feedforward
        )
    }
}

/// Blocks in a row: `layers.0…`, and `norm` if there is one after them.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct TransformerEncoder {
    /// One after the other.
    pub layers: Vec<TransformerEncoderLayer>,
    /// After all of them.
    pub norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// So many blocks, without a norm after them.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{AttentionMasks, Context, TransformerEncoder, TransformerOptions};
    /// let device = Device::cpu();
    /// let options = TransformerOptions::default().dim_feedforward(16);
    /// let encoder = TransformerEncoder::new(8, 2, 3, &options, &mut Generator::new(0), &device).with_norm(&options, &device);
    /// let x = Tensor::ones(&[5, 2, 8], DType::F32, &device);
    /// assert_eq!(encoder.forward(&x, &AttentionMasks::causal(), &mut Context::eval()).shape(), [5, 2, 8]);
    /// ```
    #[track_caller]
    pub fn new(
        d_model: usize,
        nhead: usize,
        num_layers: usize,
        options: &TransformerOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> TransformerEncoder {
        let mut layers = Vec::new();
        for _ in 0..num_layers {
            layers.push(TransformerEncoderLayer::new(
                d_model, nhead, options, rng, device,
            ));
        }
        TransformerEncoder { layers, norm: None }
    }

    /// With a norm after the blocks, which blocks with norms first need.
    #[track_caller]
    pub fn with_norm(self, options: &TransformerOptions, device: &Device) -> TransformerEncoder {
        let features = self.layers.first().map(|l| l.linear1.weight.size(1));
        TransformerEncoder {
            norm: features.map(|n| norm(n, options, device)),
            ..self
        }
    }

    /// As [`TransformerEncoderLayer::forward`]; all blocks have these masks.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: &AttentionMasks, cx: &mut Context) -> Tensor {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x, masks, cx);
        }
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => x,
        }
    }
}

impl Layer for TransformerEncoder {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        TransformerEncoder::forward(self, x, &AttentionMasks::none(), cx)
    }

    fn kind(&self) -> String {
        format!("TransformerEncoder({} layers)", self.layers.len())
    }
}
