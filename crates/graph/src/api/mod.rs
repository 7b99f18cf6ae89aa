//! The methods of [`Tensor`](crate::Tensor), by subject. Each records primitives; none runs anything.

mod activation;
mod arithmetic;
mod bits;
mod blend;
mod bucket;
mod compare;
mod contract;
mod conv;
mod create;
mod display;
mod dynamic;
#[cfg(test)]
mod edges;
mod embed;
mod index;
mod indexing;
mod movement;
mod norms;
mod number;
mod operators;
mod order;
mod pad;
mod pick;
mod pool;
mod ranges;
mod reduce;
mod shapes;
mod special;
mod statistics;
mod views;
mod write;

pub use activation::GeluApproximation;
pub use conv::{ConvOptions, ConvTransposeOptions, Padding};
pub use dynamic::Unique;
pub use embed::EmbeddingOptions;
pub use indexing::{Subscript, Subscripts};
pub use norms::MatrixNorm;
pub use operators::Scalar;
pub use order::{Dim, QuantileInterpolation};
pub use pad::PadMode;
pub use pool::PoolOptions;
pub use write::Reduce;
