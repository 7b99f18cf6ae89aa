//! Layers, one file each. A layer holds tensors and sizes; its arithmetic is `Tensor` methods, and it must not hold
//! anything else that a forward pass changes but its buffers.

mod activation;
pub(crate) mod attention;
mod batch_norm;
mod checkpointed;
mod conv2d;
mod dropout;
mod embedding;
mod flatten;
mod graph;
mod layer_norm;
mod linear;
mod local;
mod pool;
mod positions;
mod recurrent;
mod transformer;
mod units;

pub use activation::{Abs, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Softmax, Tanh};
pub use attention::{
    AttentionMasks, Cache, KvCache, MultiheadAttention, MultiheadAttentionOptions,
};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d};
pub use checkpointed::Checkpointed;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use graph::{Aggregate, GatConv, GatOptions, GcnConv, propagate};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use local::{LocallyConnected2d, TiledConv2d};
pub use pool::{AvgPool2d, MaxPool2d};
pub use positions::{LearnedPositions, RotaryEmbedding, SinusoidalPositions, sinusoidal_positions};
pub use recurrent::{
    Gru, GruCell, Lengths, Lstm, LstmCell, Nonlinearity, RecurrentOptions, Rnn, RnnCell, SimpleRnn,
};
pub use transformer::{
    FeedForwardActivation, Transformer, TransformerDecoder, TransformerDecoderLayer,
    TransformerEncoder, TransformerEncoderLayer, TransformerOptions,
};
pub use units::{Maxout, Rbf};

use wgrad_graph::{Error, ErrorKind, Tensor};

/// The invalid result of a layer `op` at `x`; an invalid input's own error goes first.
#[track_caller]
pub(crate) fn fail(op: &str, kind: ErrorKind, message: String, x: &Tensor) -> Tensor {
    let error = match x.check() {
        Err(e) => e,
        Ok(_) => Error::new(kind, op, message).with_operands(vec![(x.shape().to_vec(), x.dtype())]),
    };
    Tensor::invalid(error, x.shape(), x.dtype(), x.device())
}

/// Implements [`crate::Layer`] by an inherent `forward` that takes the input alone.
macro_rules! layer {
    ($t:ty, |$this:ident| $kind:expr) => {
        impl crate::Layer for $t {
            #[track_caller]
            fn forward(
                &mut self,
                x: &wgrad_graph::Tensor,
                _: &mut crate::Context,
            ) -> wgrad_graph::Tensor {
                <$t>::forward(self, x)
            }

            fn kind(&self) -> String {
                let $this = self;
                $kind
            }
        }
    };
}
use layer;
