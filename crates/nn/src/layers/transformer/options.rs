//! Optional arguments of transformer blocks: plain numbers.

use crate::host::{Saved, Value, put_back, shown, values};
use crate::{Host, Kind, Module, RotaryEmbedding};
use wgrad_graph::{GeluApproximation, Tensor};

/// What stands between the two products of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedForwardActivation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// The exact GELU.
    Gelu,
    /// GELU by a hyperbolic tangent, as GPT-2 has it.
    GeluTanh,
}

values! {
    {} FeedForwardActivation |x| *x as u64;
}

impl Module for FeedForwardActivation {
    fn visit(&self, _: &str, _: &mut dyn FnMut(&str, Kind, &Tensor)) {}

    fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, Kind, &mut Tensor)) {}

    fn visit_host(&mut self, visitor: &mut dyn FnMut(Host<'_>)) {
        visitor(Host::Value(self));
    }

    fn duplicate(&self) -> Option<FeedForwardActivation> {
        Some(*self)
    }
}

impl FeedForwardActivation {
    /// The function of every element.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let y = wgrad_nn::FeedForwardActivation::Relu.of(&Tensor::new(&[-1.0f32, 2.0], &Device::cpu()));
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn of(self, x: &Tensor) -> Tensor {
        match self {
            FeedForwardActivation::Relu => x.relu(),
            FeedForwardActivation::Gelu => x.gelu(),
            FeedForwardActivation::GeluTanh => x.gelu_with(GeluApproximation::Tanh),
        }
    }
}

/// Optional arguments of transformer layers; the defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct TransformerOptions {
    /// Features between the two products; 2048.
    pub dim_feedforward: usize,
    /// Probability that an element is dropped in training; 0.1.
    pub dropout: f64,
    /// Between the two products; relu.
    pub activation: FeedForwardActivation,
    /// Added to the norms' variances; 1e-5.
    pub layer_norm_eps: f64,
    /// Sequences are `[batch, length, features]`, not `[length, batch, features]`; false.
    pub batch_first: bool,
    /// Norms stand before attention and products (Xiong et al. 2020), not after the sums; false.
    pub norm_first: bool,
    /// Products and norms have biases; true.
    pub bias: bool,
    /// Heads of keys and values, each shared by several of queries; as many as there are.
    pub num_kv_heads: Option<usize>,
    /// Turns queries and keys by their positions.
    pub rotary: Option<RotaryEmbedding>,
}

impl Default for TransformerOptions {
    fn default() -> TransformerOptions {
        TransformerOptions {
            dim_feedforward: 2048,
            dropout: 0.1,
            activation: FeedForwardActivation::Relu,
            layer_norm_eps: 1e-5,
            batch_first: false,
            norm_first: false,
            bias: true,
            num_kv_heads: None,
            rotary: None,
        }
    }
}

/// Functions that replace one field.
macro_rules! with {
    ($($(#[$doc:meta])* $field:ident: $t:ty;)*) => {
        impl TransformerOptions {$(
            $(#[$doc])*
            pub fn $field(self, $field: $t) -> TransformerOptions {
                TransformerOptions { $field, ..self }
            }
        )*}
    };
}

with! {
    /// With other features between the products.
    dim_feedforward: usize;
    /// With another dropout.
    dropout: f64;
    /// With another function between the products.
    activation: FeedForwardActivation;
    /// With another `eps`.
    layer_norm_eps: f64;
    /// Sequences are `[batch, length, features]`.
    batch_first: bool;
    /// With norms first.
    norm_first: bool;
    /// With or without biases.
    bias: bool;
    /// With shared heads of keys and values.
    num_kv_heads: Option<usize>;
    /// With rotary positions.
    rotary: Option<RotaryEmbedding>;
}
