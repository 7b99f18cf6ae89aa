//! Datasets: reading them from files, drawing them, fetching them, and the order in which
//! training visits them.
//!
//! Everything here treats files and network bodies as untrusted: bad input is an [`Error`] that
//! names the file, the field and the byte, never a panic and never an allocation that the input
//! merely promised. Images stay bytes; turning them into floats is the device's work.
//!
//! - [`idx`]: the IDX file format, plain or gzip.
//! - [`mnist`]: MNIST from its four files.
//! - [`digits`]: handwritten-looking digits drawn by code, for when there are no files.
//! - [`DeviceDataset`] and [`Loader`]: the dataset on the device, batches gathered there.
//! - [`GraphDataset`]: nodes, edges and classes: the karate club, citation graphs.
//! - [`sampler`]: shuffled batches whose state can be saved and resumed.
//! - `download` (feature `download`, native targets): fetches MNIST into the user's cache.

mod dataset;
pub mod digits;
#[cfg(all(feature = "download", not(target_arch = "wasm32")))]
pub mod download;
mod error;
mod graph;
pub mod idx;
mod loader;
pub mod mnist;
mod pixels;
mod rng;
pub mod sampler;

pub use dataset::ImageDataset;
pub use error::{Error, Result};
pub use graph::GraphDataset;
pub use idx::Idx;
pub use loader::{DeviceDataset, Loader};
pub use mnist::Mnist;
pub use sampler::{Batches, BatchesState, epoch_permutation};
