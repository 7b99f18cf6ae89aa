//! Neural networks on wgrad's tensors: modules, layers, losses, initialisers, optimisers. Everything here is an
//! ordinary composition of tensor operations; it must not know of plans, executors or files.
//!
//! A [`Module`] is a tree of named tensors, a [`Layer`] a module that maps a tensor to a tensor. [`gradients`] records
//! the derivative of a loss by every parameter of the tree, and an [`Optimizer`] runs the whole training step at once
//! and puts the new values into the tree.
//!
//! ```
//! use wgrad_graph::{Device, Generator, Tensor};
//! use wgrad_nn::{Linear, Optimizer, Sgd, gradients, loss};
//! let device = Device::cpu();
//! let mut model = Linear::new(1, 1, &mut Generator::new(0), &device);
//! let mut optimizer = Sgd::new(0.1).momentum(0.5);
//! let x = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0], &[4, 1], &device);
//! let y = &x * 2.0 + 1.0;
//! let mut last = f32::INFINITY;
//! for _ in 0..100 {
//!     let loss = loss::mse(&model.forward(&x), &y);
//!     let gradients = gradients(&loss, &model)?;
//!     optimizer.step(&mut model, &gradients)?;
//!     last = loss.item()?;
//! }
//! assert!(last < 1e-3);
//! # Ok::<(), wgrad_graph::Error>(())
//! ```

mod average;
mod compile;
mod context;
mod diffusion;
mod generate;
mod gradients;
mod host;
pub mod init;
mod layer;
pub mod layers;
pub mod loss;
pub mod models;
mod module;
pub mod optim;
mod precision;
pub mod schedule;
mod variable;

pub use average::Average;
pub use compile::{Compiled, Outputs, Snapshot, compile};
pub use context::Context;
pub use diffusion::Diffusion;
#[cfg(not(target_arch = "wasm32"))]
pub use generate::generate;
pub use generate::{GenerateOptions, LanguageModel, generate_async};
pub use gradients::{Accumulated, Gradients, gradients, gradients_where, gradients_with};
pub use host::{Host, Saved, Value, Variant, Watched};
pub use layer::{Layer, LayerInfo, Sequential};
pub use layers::{
    Abs, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, AlphaDropout, AvgPool1d, AvgPool2d, AvgPool3d, BagMode,
    BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, Bilinear, Celu, ChannelShuffle, Checkpointed,
    CircularPad1d, CircularPad2d, CircularPad3d, Concat, ConstantPad1d, ConstantPad2d,
    ConstantPad3d, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d,
    DropPath, Dropout, Dropout1d, Dropout2d, Dropout3d, Elu, Embedding, EmbeddingBag,
    FeatureAlphaDropout, Flatten, Fold, FractionalMaxPool2d, Frozen, GaussianDropout,
    GaussianNoise, GeGlu, Gelu, GeluTanh, GlobalAvgPool, GlobalMaxPool, Glu, GroupNorm, Gru,
    Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, InstanceNorm, InstanceNorm1d,
    InstanceNorm2d, InstanceNorm3d, LayerNorm, LeakyRelu, Linear, LocalResponseNorm,
    LocallyConnected2d, LogSigmoid, LogSoftmax, LpPool1d, LpPool2d, LpPool3d, Lstm, MaxPool1d,
    MaxPool2d, MaxPool3d, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d, Maxout, Mish, ModuleDict,
    ModuleList, Nonlinearity, PRelu, PaddingMode, PixelShuffle, PixelUnshuffle, RRelu, Rbf, ReGlu,
    RecurrentOptions, ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, Relu, Relu6,
    ReplicationPad1d, ReplicationPad2d, ReplicationPad3d, Residual, RmsNorm, Rnn, Selu,
    SeparableConv2d, Sigmoid, Silu, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign,
    SpectralNorm, SwiGlu, Tanh, Tanhshrink, Threshold, TiledConv2d, Unflatten, Unfold, Upsample,
    WeightNorm, Weighted, WordVectors, ZeroPad1d, ZeroPad2d, ZeroPad3d,
};
pub use layers::{
    AdaptiveLogSoftmax, Aggregate, AttentionMasks, Cache, CosineSimilarity, FeedForwardActivation,
    GatConv, GatOptions, GcnConv, GruCell, GumbelSoftmax, KvCache, LearnedPositions, Lengths,
    LstmCell, MultiheadAttention, MultiheadAttentionOptions, PairwiseDistance, RnnCell,
    RotaryEmbedding, SimpleRnn, SinusoidalPositions, Transformer, TransformerDecoder,
    TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer, TransformerOptions,
    propagate, sinusoidal_positions,
};
pub use module::{Kind, Module, join, to_device_async};
pub use optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, AdjustLr, DeltaBarDelta, Hooks, Lamb, Lion, Muon,
    NAdam, Optimizer, RAdam, RmsProp, Rprop, Sgd,
};
pub use precision::{GradScaler, in_precision};
pub use variable::Variable;
/// Implements [`trait@Module`] for a struct: every field is visited under its own name, a field of a tuple struct
/// under its number. For an enum it visits the fields of the variant that is there; the one nameless field of a variant
/// stands under the enum's own path.
///
/// On a field,
/// - `#[module(buffer)]` makes its tensors state that is not trained;
/// - `#[module(skip)]` leaves its tensors out of [`Module::state`]; a compiled function keeps up with them all the same;
/// - `#[module(watch)]` says that it holds no tensors and is `Hash + Clone`: an enum, say;
/// - `#[module(constant)]` leaves it out of everything: it must not change once a compiled function has been called.
///
/// Every other field is a module: numbers, texts and options are, as modules without tensors.
///
/// On the struct, `#[module(crate = path)]` says where this crate is found; without it that is `::wgrad::nn`.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Linear, Module};
///
/// #[derive(Module)]
/// #[module(crate = wgrad_nn)] // not needed where the crate `wgrad` is used
/// struct Net {
///     hidden: Linear,
///     #[module(buffer)]
///     scale: Tensor,
///     #[module(skip)]
///     name: &'static str,
/// }
///
/// let device = Device::cpu();
/// let net = Net {
///     hidden: Linear::new(2, 3, &mut Generator::new(0), &device),
///     scale: Tensor::ones(&[1], DType::F32, &device),
///     name: "net",
/// };
/// let names: Vec<String> = net.state().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["hidden.weight", "hidden.bias", "scale"]);
/// assert_eq!(net.num_parameters(), 2 * 3 + 3);
/// # assert_eq!(net.name, "net");
///
/// #[derive(Module)]
/// #[module(crate = wgrad_nn)]
/// enum Norm {
///     None,
///     Layer(wgrad_nn::LayerNorm),
/// }
///
/// let norms = [Norm::None, Norm::Layer(wgrad_nn::LayerNorm::new(&[3], &device))];
/// assert_eq!(norms.named_parameters()[0].0, "1.weight");
/// ```
pub use wgrad_derive::Module;
/// Implements [`trait@Outputs`] for a struct of tensors.
pub use wgrad_derive::Outputs;
pub use wgrad_graph::Tensor;
