//! The vision transformer (Dosovitskiy et al. 2020), with the names of torchvision's `vit_b_16` and its like.

use super::named;
use crate::layers::fail;
use crate::{
    AttentionMasks, Context, Conv2d, Dropout, Layer, LayerNorm, Linear, Module, MultiheadAttention,
    MultiheadAttentionOptions, init,
};
use wgrad_graph::{ConvOptions, Device, ErrorKind, Generator, Tensor};

/// Sizes of a [`VisionTransformer`]; the defaults are those of `vit_b_16`.
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct VisionTransformerConfig {
    /// Side of an image; 224.
    pub image_size: usize,
    /// Side of a patch; 16.
    pub patch_size: usize,
    /// Blocks; 12.
    pub num_layers: usize,
    /// Heads of an attention; 12.
    pub num_heads: usize,
    /// Features of a patch; 768.
    pub hidden_dim: usize,
    /// Features between the two products of a block; 3,072.
    pub mlp_dim: usize,
    /// Classes; 1,000.
    pub num_classes: usize,
    /// Of what is added; 0.
    pub dropout: f64,
    /// Of attention weights; 0.
    pub attention_dropout: f64,
}

impl Default for VisionTransformerConfig {
    fn default() -> VisionTransformerConfig {
        VisionTransformerConfig {
            image_size: 224,
            patch_size: 16,
            num_layers: 12,
            num_heads: 12,
            hidden_dim: 768,
            mlp_dim: 3072,
            num_classes: 1000,
            dropout: 0.0,
            attention_dropout: 0.0,
        }
    }
}

#[derive(Clone)]
struct Block {
    ln_1: LayerNorm,
    self_attention: MultiheadAttention,
    ln_2: LayerNorm,
    linear_1: Linear,
    linear_2: Linear,
}

named!(Block {
    "ln_1" => ln_1,
    "self_attention" => self_attention,
    "ln_2" => ln_2,
    "mlp.0" => linear_1,
    "mlp.3" => linear_2,
});

/// Blocks under the names `encoder_layer_0` ….
#[derive(Clone)]
struct Blocks(Vec<Block>);

impl Module for Blocks {
    fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, crate::Kind, &Tensor)) {
        for (i, block) in self.0.iter().enumerate() {
            let name = format!("encoder_layer_{i}");
            block.visit(&crate::join(path, &name), visitor);
        }
    }

    fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, crate::Kind, &mut Tensor)) {
        for (i, block) in self.0.iter_mut().enumerate() {
            let name = format!("encoder_layer_{i}");
            block.visit_mut(&crate::join(path, &name), visitor);
        }
    }

    fn visit_host(&mut self, visitor: &mut dyn FnMut(crate::Host<'_>)) {
        self.0.visit_host(visitor);
    }

    fn duplicate(&self) -> Option<Blocks> {
        Some(self.clone())
    }
}

/// A classifier of images: `conv_proj.weight`, `class_token`, `encoder.pos_embedding`,
/// `encoder.layers.encoder_layer_0.self_attention.in_proj_weight`, `heads.head.weight` ….
#[derive(Clone)]
pub struct VisionTransformer {
    class_token: Tensor,
    conv_proj: Conv2d,
    pos_embedding: Tensor,
    layers: Blocks,
    ln: LayerNorm,
    head: Linear,
    config: VisionTransformerConfig,
}

named!(VisionTransformer {
    "class_token" => class_token,
    "conv_proj" => conv_proj,
    "encoder.pos_embedding" => pos_embedding,
    "encoder.layers" => layers,
    "encoder.ln" => ln,
    "heads.head" => head,
    "config" => config,
});

impl Block {
    #[track_caller]
    fn new(config: &VisionTransformerConfig, rng: &mut Generator, device: &Device) -> Block {
        let n = config.hidden_dim;
        let norm = || LayerNorm::new(&[n], device).eps(1e-6);
        let attention = MultiheadAttentionOptions::default()
            .batch_first(true)
            .dropout(config.attention_dropout);
        let mut linear = |from: usize, to: usize| Linear {
            weight: init::xavier_uniform(&[to, from], 1.0, rng, device),
            bias: Some(init::normal(&[to], 0.0, 1e-6, rng, device)),
        };
        let (linear_1, linear_2) = (linear(n, config.mlp_dim), linear(config.mlp_dim, n));
        Block {
            ln_1: norm(),
            self_attention: MultiheadAttention::new(n, config.num_heads, &attention, rng, device),
            ln_2: norm(),
            linear_1,
            linear_2,
        }
    }

    #[track_caller]
    fn forward(&self, x: &Tensor, drop: &Dropout, cx: &mut Context) -> Tensor {
        let y = self.ln_1.forward(x);
        let masks = AttentionMasks::none();
        let y = self.self_attention.forward(&y, &y, &y, &masks, cx);
        let x = x + drop.forward(&y, cx);
        let hidden = self.linear_1.forward(&self.ln_2.forward(&x)).gelu();
        let y = self.linear_2.forward(&drop.forward(&hidden, cx));
        &x + drop.forward(&y, cx)
    }
}

impl VisionTransformer {
    /// With torchvision's first values, but for the last layer, whose weights are 0.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::models::{VisionTransformer, VisionTransformerConfig};
    /// use wgrad_nn::{Context, Module};
    /// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
    /// let base = VisionTransformerConfig::default();
    /// assert_eq!(VisionTransformer::new(&base, rng, &device).num_parameters(), 86_567_656);
    /// let small = VisionTransformerConfig { image_size: 8, patch_size: 4, hidden_dim: 8, num_heads: 2, num_layers: 1, ..base };
    /// let model = VisionTransformer::new(&small, rng, &device);
    /// let images = Tensor::ones(&[2, 3, 8, 8], DType::F32, &device);
    /// assert_eq!(model.forward(&images, &mut Context::eval()).shape(), [2, 1000]);
    /// ```
    #[track_caller]
    pub fn new(
        config: &VisionTransformerConfig,
        rng: &mut Generator,
        device: &Device,
    ) -> VisionTransformer {
        let (n, patch) = (config.hidden_dim, config.patch_size);
        let side = config.image_size / patch.max(1);
        let options = ConvOptions::default().stride([patch, patch]);
        let mut layers = Vec::new();
        for _ in 0..config.num_layers {
            layers.push(Block::new(config, rng, device));
        }
        let mut head = Linear::new(n, config.num_classes, rng, device);
        head.weight = init::zeros(&[config.num_classes, n], device);
        head.bias = Some(init::zeros(&[config.num_classes], device));
        let tokens = side.saturating_mul(side).saturating_add(1);
        VisionTransformer {
            class_token: init::zeros(&[1, 1, n], device),
            conv_proj: Conv2d::new(3, n, [patch, patch], options, rng, device),
            pos_embedding: init::normal(&[1, tokens, n], 0.0, 0.02, rng, device),
            layers: Blocks(layers),
            ln: LayerNorm::new(&[n], device).eps(1e-6),
            head,
            config: config.clone(),
        }
    }

    /// Scores `[batch, classes]` of images `[batch, 3, image_size, image_size]`.
    #[track_caller]
    pub fn forward(&self, images: &Tensor, cx: &mut Context) -> Tensor {
        let (size, patch) = (self.config.image_size, self.config.patch_size);
        if patch == 0 || !size.is_multiple_of(patch) {
            let message = format!("patches of {patch} do not divide images of {size}");
            return fail("vision_transformer", ErrorKind::Shape, message, images);
        }
        if images.rank() != 4 || images.shape()[1..] != [3, size, size] {
            let message = format!("takes images [batch, 3, {size}, {size}]");
            return fail("vision_transformer", ErrorKind::Shape, message, images);
        }
        let n = self.config.hidden_dim;
        let patches = self.conv_proj.forward(images).flatten(2, 3).transpose(1, 2);
        let first = self.class_token.broadcast_to(&[images.size(0), 1, n]);
        let x = Tensor::cat(&[&first, &patches], 1) + &self.pos_embedding;
        let drop = Dropout::new(self.config.dropout);
        let mut x = drop.forward(&x, cx);
        for block in &self.layers.0 {
            x = block.forward(&x, &drop, cx);
        }
        self.head.forward(&self.ln.forward(&x).select(1, 0))
    }
}

impl Layer for VisionTransformer {
    #[track_caller]
    fn forward(&mut self, x: &Tensor, cx: &mut Context) -> Tensor {
        VisionTransformer::forward(self, x, cx)
    }

    fn kind(&self) -> String {
        let c = &self.config;
        format!(
            "VisionTransformer({} blocks of {})",
            c.num_layers, c.hidden_dim
        )
    }
}
