//! Tensors, automatic differentiation and execution: the middle of wgrad.
//!
//! A program records a graph of about fifty primitive operations ([`ops`]); reading a value plans it
//! ([`plan`]) and runs it on the cpu, on a GPU, or on the reference that every test compares with.
//!
//! ```
//! use wgrad_graph::{Device, Tensor, grad};
//! let device = Device::cpu();
//! let x = Tensor::new(&[1.0f32, 2.0, 3.0], &device);
//! let loss = (&x * &x).sum();
//! let dx = &grad(&loss, &[&x])?[0];
//! assert_eq!(dx.to_vec::<f32>()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), wgrad_graph::Error>(())
//! ```

mod api;
mod autodiff;
mod composite;
mod device;
mod dtype;
mod element;
mod error;
mod eval;
mod exec;
pub mod math;
pub mod ops;
mod passes;
pub mod plan;
mod rng;
mod shape;
mod storage;
mod tensor;

pub use api::{ConvOptions, PoolOptions, Scalar};
pub use autodiff::{GradOptions, grad, grad_with, value_and_grad};
pub use composite::Reduction;
pub use device::{Device, Settings};
pub use dtype::{Class, DType};
pub use element::Element;
pub use error::{Error, ErrorKind, Result};
#[cfg(not(target_arch = "wasm32"))]
pub use eval::block_on;
pub use eval::{eval, explain};
pub use exec::reference;
pub use half::f16;
pub use rng::Generator;
pub use tensor::Tensor;
