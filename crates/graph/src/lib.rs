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
mod checkpoint;
mod cluster;
mod composite;
mod cost;
mod debug;
mod depth;
mod device;
pub mod distributions;
mod draws;
mod element;
mod error;
mod eval;
#[cfg(not(target_arch = "wasm32"))]
mod gradcheck;
mod history;
mod host;
#[cfg(feature = "linalg")]
mod linalg;
mod links;
mod loops;
mod mark;
mod number;
pub mod once;
pub mod ops;
mod outcome;
mod passes;
pub mod place;
#[doc(hidden)]
pub mod planning;
pub mod reference;
pub mod replay;
mod rng;
mod run;
mod tensor;
mod trace;
mod transform;
#[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
mod tune;

pub use api::{ConvOptions, ConvTransposeOptions, Padding, PoolOptions, Scalar};
pub use api::{Dim, QuantileInterpolation, Reduce, Unique};
pub use api::{EmbeddingOptions, GeluApproximation, MatrixNorm, PadMode, Subscript, Subscripts};
pub use autodiff::{GradOptions, grad, grad_with, value_and_grad};
pub use checkpoint::{Tensors, checkpoint};
#[cfg(not(target_arch = "wasm32"))]
pub use cluster::kmeans;
pub use cluster::{KMeans, KMeansOptions, kmeans_async};
pub use composite::{
    AttentionOptions, CrossEntropyOptions, FftNorm, GridMode, GridPadding, GridSampleOptions,
    InterpolateOptions, Interpolation, LocalResponseNormOptions, LossOptions, PoissonNllOptions,
    Reduction, TripletMarginOptions, UnfoldOptions,
};
pub use cost::PlanCost;
pub use debug::{Departure, NonFinite, graph_dot};
#[cfg(not(target_arch = "wasm32"))]
pub use debug::{detect_anomaly, find_departure, find_nonfinite};
pub use device::{Device, DeviceMemory, Settings};
pub use element::Element;
pub use error::{Error, ErrorKind, Result};
#[cfg(not(target_arch = "wasm32"))]
pub use eval::block_on;
pub use eval::{eval, eval_async, eval_update, explain};
#[cfg(not(target_arch = "wasm32"))]
pub use gradcheck::{GradcheckOptions, gradcheck};
pub use half::{bf16, f16};
pub use history::no_grad;
#[cfg(feature = "linalg")]
pub use linalg::{Pca, PinvOptions, Triangle};
pub use loops::{ScanOptions, scan};
pub use mark::Mark;
pub use number::Number;
pub use ops::custom::CustomOp;
pub use rng::Generator;
pub use tensor::Tensor;
pub use transform::{Randomness, hvp, jvp, vmap, vmap_with};
#[cfg(all(feature = "gpu", feature = "cpu", not(target_arch = "wasm32")))]
pub use tune::{Fit, FitChoice, FitOptions, fit_convolutions};
#[cfg(all(feature = "gpu", feature = "cpu", not(target_arch = "wasm32")))]
pub use tune::{TuneEvent, TuneOptions, TuneReport, TuneShape, Tuned};
pub use wgrad_plan::{Class, DType, DeviceClass, math, plan};
use wgrad_plan::{dtype, profile, shape, simd, storage};
