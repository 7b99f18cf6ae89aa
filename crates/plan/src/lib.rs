//! What the planner and the executors of wgrad share, as plain data and pure functions: element types, shapes, host memory,
//! elementary functions, plans and the kernels they are made of. Knows no tensor, no graph and no device.
//!
//! ```text
//!  graph: tensors, derivatives, passes ──► Plan (here) ──► cpu: loops on all cores
//!                                                     └──► gpu: WGSL over the device
//! ```

pub mod caches;
mod device_class;
pub mod dtype;
#[cfg(all(feature = "guard", unix))]
pub mod guard;
mod huge_pages;
pub mod math;
pub mod plan;
#[cfg(not(target_arch = "wasm32"))]
pub mod profile;
#[cfg(target_arch = "wasm32")]
#[path = "profile_none.rs"]
pub mod profile;
pub mod shape;
pub mod simd;
pub mod storage;

pub use device_class::DeviceClass;
pub use dtype::{Class, DType};
