//! Deep learning on WebGPU. One program trains on any GPU that wgpu reaches, in a browser tab, and on the CPU.
//!
//! A network that learns the sine:
//!
//! ```
//! use wgrad::nn::{Adam, Linear, gradients};
//! use wgrad::{Device, Generator, Module, Optimizer, Tensor};
//!
//! #[derive(Module)]
//! struct Net {
//!     hidden: Linear,
//!     out: Linear,
//! }
//!
//! impl Net {
//!     /// `[batch, 1]` to `[batch, 1]`.
//!     fn forward(&self, x: &Tensor) -> Tensor {
//!         self.out.forward(&self.hidden.forward(x).tanh())
//!     }
//! }
//!
//! let device = Device::best_blocking()?;
//! let mut rng = Generator::new(0);
//! let mut net = Net {
//!     hidden: Linear::new(1, 32, &mut rng, &device),
//!     out: Linear::new(32, 1, &mut rng, &device),
//! };
//! let mut optimizer = Adam::new(0.01);
//! let mut last = f32::INFINITY;
//! for _ in 0..500 {
//!     let x = rng.uniform(&[64, 1], &device) * 6.0 - 3.0;
//!     let loss = (net.forward(&x) - x.sin()).square().mean();
//!     let gradients = gradients(&loss, &net)?; // recorded, not yet run
//!     optimizer.step(&mut net, &gradients)?; // runs loss, gradients and update as one plan
//!     last = loss.item()?;
//! }
//! assert!(last < 0.01);
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! This crate only gathers the others: tensors and differentiation from `wgrad-graph`, layers and optimisers as
//! [`nn`], datasets as [`data`], training loops and checkpoints as [`train`], [`metrics`], figures as [`plot`], what a person
//! sees of a run as [`report`], kernels of one's own on [`device`].

pub use wgrad_data as data;
#[cfg(feature = "gpu")]
pub use wgrad_device as device;
pub use wgrad_graph::*;
pub use wgrad_metrics as metrics;
pub use wgrad_nn as nn;
pub use wgrad_nn::{Module, Optimizer};
#[cfg(feature = "plot")]
pub use wgrad_plot as plot;
pub use wgrad_report as report;
#[cfg(feature = "stats")]
pub use wgrad_stats as stats;
pub use wgrad_train as train;

/// The programs of the README compile and run.
#[cfg(all(doctest, feature = "gpu", feature = "cpu"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// So do those of the guide.
#[cfg(all(doctest, feature = "gpu", feature = "cpu"))]
mod guide {
    #[doc = include_str!("../../../docs/guide/autodiff.md")]
    struct Autodiff;
    #[doc = include_str!("../../../docs/guide/custom-kernels.md")]
    struct CustomKernels;
    #[doc = include_str!("../../../docs/guide/data.md")]
    struct Data;
    #[doc = include_str!("../../../docs/guide/devices.md")]
    struct Devices;
    #[doc = include_str!("../../../docs/guide/first-model.md")]
    struct FirstModel;
    #[doc = include_str!("../../../docs/guide/memory.md")]
    struct Memory;
    #[doc = include_str!("../../../docs/guide/metrics.md")]
    struct Metrics;
    #[doc = include_str!("../../../docs/guide/saving.md")]
    struct Saving;
    #[cfg(all(feature = "plot", feature = "report"))]
    #[doc = include_str!("../../../docs/guide/seeing.md")]
    struct Seeing;
    #[doc = include_str!("../../../docs/guide/speed.md")]
    struct Speed;
    #[doc = include_str!("../../../docs/guide/tensors.md")]
    struct Tensors;
    #[doc = include_str!("../../../docs/guide/training.md")]
    struct Training;
    #[cfg(feature = "stats")]
    #[doc = include_str!("../../../docs/guide/statistics.md")]
    struct Statistics;
}
