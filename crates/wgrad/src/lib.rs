//! Deep learning on WebGPU. One program trains on any GPU that wgpu reaches, in a browser tab, and on the CPU.
//!
//! ```
//! use wgrad::{Device, Tensor, grad};
//! let device = Device::cpu(); // or Device::best_blocking()?
//! let x = Tensor::new(&[1.0f32, 2.0, 3.0], &device);
//! let loss = (&x * &x).sum();
//! assert_eq!(grad(&loss, &[&x])?[0].to_vec::<f32>()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! This crate only gathers the others: tensors and differentiation from `wgrad-graph`, layers and optimisers as
//! [`nn`], datasets as [`data`], metrics, checkpoints and reports as [`train`], kernels of one's own on [`device`].

pub use wgrad_data as data;
#[cfg(feature = "gpu")]
pub use wgrad_device as device;
pub use wgrad_graph::*;
pub use wgrad_nn as nn;
pub use wgrad_nn::{Module, Optimizer};
pub use wgrad_train as train;
