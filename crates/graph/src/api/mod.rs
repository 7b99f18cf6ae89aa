//! The methods of [`Tensor`](crate::Tensor), by subject. Each records primitives; none runs anything.

mod activation;
mod arithmetic;
mod contract;
mod conv;
mod create;
mod display;
#[cfg(test)]
mod edges;
mod embed;
mod index;
mod indexing;
mod movement;
mod norms;
mod number;
mod operators;
mod pad;
mod pick;
mod pool;
mod reduce;
mod special;
mod statistics;
mod views;

pub use activation::GeluApproximation;
pub use conv::{ConvOptions, ConvTransposeOptions, Padding};
pub use embed::EmbeddingOptions;
pub use indexing::{Subscript, Subscripts};
pub use norms::MatrixNorm;
pub use operators::Scalar;
pub use pad::PadMode;
pub use pool::PoolOptions;
