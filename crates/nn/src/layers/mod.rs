//! Layers, one file each. A layer holds tensors and sizes; its arithmetic is `Tensor` methods, and it must not hold
//! anything else that a forward pass changes but its buffers.

mod activation;
mod adaptive_softmax;
pub(crate) mod attention;
mod batch_norm;
mod bilinear;
mod checkpointed;
mod containers;
mod conv;
mod conv_transpose;
mod distance;
mod dropout;
mod embedding;
mod flatten;
mod graph;
mod group_norm;
mod gumbel;
mod layer_norm;
mod linear;
mod local;
mod pad;
mod pool;
mod positions;
mod recurrent;
mod reparametrized;
mod resize;
mod transformer;
mod units;
mod word_vectors;

pub use activation::{
    Abs, Celu, Elu, GeGlu, Gelu, GeluTanh, Glu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh,
    Identity, LeakyRelu, LogSigmoid, LogSoftmax, Mish, PRelu, RRelu, ReGlu, Relu, Relu6, Selu,
    Sigmoid, Silu, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign, SwiGlu, Tanh,
    Tanhshrink, Threshold,
};
pub use adaptive_softmax::AdaptiveLogSoftmax;
pub use attention::{
    AttentionMasks, Cache, KvCache, MultiheadAttention, MultiheadAttentionOptions,
};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d};
pub use bilinear::Bilinear;
pub use checkpointed::Checkpointed;
pub use containers::{Concat, Frozen, ModuleDict, ModuleList, Residual};
pub use conv::{Conv1d, Conv2d, Conv3d, PaddingMode, SeparableConv2d};
pub use conv_transpose::{ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use distance::{CosineSimilarity, PairwiseDistance};
pub use dropout::{
    AlphaDropout, DropPath, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout,
    GaussianDropout, GaussianNoise,
};
pub use embedding::{BagMode, Embedding, EmbeddingBag};
pub use flatten::{Flatten, Unflatten};
pub use graph::{Aggregate, GatConv, GatOptions, GcnConv, propagate};
pub use group_norm::{
    GroupNorm, InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, LocalResponseNorm,
};
pub use gumbel::GumbelSoftmax;
pub use layer_norm::{LayerNorm, RmsNorm};
pub use linear::Linear;
pub use local::{LocallyConnected2d, TiledConv2d};
pub use pad::{
    CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad1d, ConstantPad2d, ConstantPad3d,
    ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, ReplicationPad1d, ReplicationPad2d,
    ReplicationPad3d, ZeroPad1d, ZeroPad2d, ZeroPad3d,
};
pub use pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
    AdaptiveMaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, FractionalMaxPool2d, GlobalAvgPool,
    GlobalMaxPool, LpPool1d, LpPool2d, LpPool3d, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool1d,
    MaxUnpool2d, MaxUnpool3d,
};
pub use positions::{LearnedPositions, RotaryEmbedding, SinusoidalPositions, sinusoidal_positions};
pub use recurrent::{
    Gru, GruCell, Lengths, Lstm, LstmCell, Nonlinearity, RecurrentOptions, Rnn, RnnCell, SimpleRnn,
};
pub use reparametrized::{SpectralNorm, WeightNorm, Weighted};
pub use resize::{ChannelShuffle, Fold, PixelShuffle, PixelUnshuffle, Unfold, Upsample};
pub use transformer::{
    FeedForwardActivation, Transformer, TransformerDecoder, TransformerDecoderLayer,
    TransformerEncoder, TransformerEncoderLayer, TransformerOptions,
};
pub use units::{Maxout, Rbf};
pub use word_vectors::WordVectors;

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
