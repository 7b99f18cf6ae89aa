//! The methods of [`Tensor`](crate::Tensor), by subject. Each records primitives; none runs anything.

mod arithmetic;
mod contract;
mod create;
mod display;
mod index;
mod movement;
mod operators;
mod pool;
mod reduce;

pub use contract::ConvOptions;
pub use operators::Scalar;
pub use pool::PoolOptions;
