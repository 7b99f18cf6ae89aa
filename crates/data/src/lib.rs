//! Datasets: reading them from files, drawing them, fetching them, and the order in which
//! training visits them.
//!
//! Everything here treats files and network bodies as untrusted: bad input is an [`Error`] that
//! names the file, the field and the byte, never a panic and never an allocation that the input
//! merely promised. Images stay bytes; turning them into floats is the device's work.
//!
//! - [`idx`]: the IDX file format, plain or gzip.
//! - [`mnist`]: MNIST and Fashion-MNIST from their four files; [`cifar`]: CIFAR-10 and CIFAR-100.
//! - [`digits`]: handwritten-looking digits drawn by code, for when there are no files.
//! - [`Dataset`] and [`Gather`]: samples by index, gathered on the device: [`DeviceDataset`] for images as bytes,
//!   [`TensorDataset`] for any tensors, [`Windows`] of a text, [`dataset_fn`] for what is read as it is needed.
//! - [`Loader`]: batches of a dataset, epoch after epoch, shuffled, made ahead on threads; [`Batches`] is what training
//!   asks of it and of anything in its place. Its state can be saved and resumed in the middle of an epoch.
//! - [`GraphDataset`]: nodes, edges and classes: the karate club, citation graphs.
//! - [`sampler`]: the orders of an epoch; [`WeightedSampler`], [`StratifiedSampler`].
//! - [`split`]: indices of training and test parts and of folds.
//! - [`augment`]: images changed at random on the device; [`generate`]: data made by formulas; [`text`]: tokens and
//!   vocabularies (byte pairs with feature `tokenizers`); [`StandardScaler`], [`MinMaxScaler`].
//! - `table` (feature `tables`): CSV and TSV as typed columns; `folder` (feature `images`): image files.
//! - `download` (feature `download`, native targets): fetches these datasets into the user's cache.

mod archive;
pub mod augment;
mod batch;
pub mod cifar;
mod dataset;
pub mod digits;
#[cfg(all(feature = "download", not(target_arch = "wasm32")))]
pub mod download;
mod error;
#[cfg(feature = "images")]
pub mod folder;
pub mod generate;
mod graph;
pub mod idx;
mod loader;
pub mod mnist;
mod pixels;
#[cfg(not(target_arch = "wasm32"))]
mod prefetch;
mod resident;
mod rng;
pub mod sampler;
mod sampling;
mod scale;
mod source;
pub mod split;
#[cfg(feature = "tables")]
pub mod table;
pub mod text;

pub use batch::{Batch, Batches, FromFn, LoaderState, from_fn};
pub use cifar::{Cifar10, Cifar100};
pub use dataset::ImageDataset;
pub use error::{Error, Result};
pub use graph::GraphDataset;
pub use idx::Idx;
pub use loader::{Epoch, Indices, Loader, MapBatches, map_batches};
pub use mnist::{FashionMnist, Mnist};
pub use resident::DeviceDataset;
pub use sampler::{BatchSampler, BatchSamplerState, Sampler, epoch_permutation};
pub use sampling::{LengthSampler, StratifiedSampler, SubsetSampler, WeightedSampler};
pub use scale::{MinMaxScaler, StandardScaler};
pub use source::{
    Dataset, FnDataset, Gather, Map, Subset, TensorDataset, Windows, Zip, dataset_fn, stack,
};
