//! Weights in and out: named arrays of anybody's files (safetensors, PyTorch's `.pt` and `.pth`), put into modules by
//! name, and written so that PyTorch reads them. Files are untrusted: nothing in them is executed, and whatever they hold
//! gives an error, never a panic nor more memory than a small multiple of the file. Knows modules only as trees of names.

mod convert;
mod error;
mod load;
mod model;
mod names;
mod pickle;
#[cfg(not(target_arch = "wasm32"))]
mod state;
mod torch;
mod write;

pub use error::WeightsError;
pub use load::{LoadOptions, LoadReport};
pub use model::ModelInfo;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use state::{Part, STATE, gather, has, spread};
#[cfg(not(target_arch = "wasm32"))]
pub use state::{load, save};

use crate::checkpoint::Array;
#[cfg(not(target_arch = "wasm32"))]
use crate::files::{FileError, write_atomic};
use crate::session::to_array;
use convert::FileType;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;
use wgrad_nn::Module;

/// Named arrays and text: the content of a file of weights.
///
/// ```
/// use wgrad_train::weights::{LoadOptions, Weights};
/// use wgrad_nn::{Linear, Module};
/// use wgrad_graph::{Device, Generator};
/// let (mut rng, device) = (Generator::new(0), Device::cpu());
/// let trained = Linear::new(3, 2, &mut rng, &device);
/// let bytes = Weights::of(&trained)?.to_pth()?;
///
/// let mut fresh = Linear::new(3, 2, &mut rng, &device);
/// let report = Weights::from_bytes(&bytes, "weights.pth")?.load_into(&mut fresh, &LoadOptions::new())?;
/// assert_eq!(report.loaded.len(), 2);
/// # Ok::<(), wgrad_train::weights::WeightsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// Arrays by name. Names within nested dictionaries are joined by dots.
    pub arrays: BTreeMap<String, Array>,
    /// Text by key: a safetensors file's metadata; numbers and texts that lie beside the tensors of a `.pth` file.
    pub metadata: BTreeMap<String, String>,
    /// Where it came from, for messages.
    pub(crate) origin: String,
}

impl Weights {
    /// Reads bytes of either form; `origin` names them in errors. f64 is rounded to f32; integers become i32,
    /// which must hold them.
    ///
    /// # Errors
    /// The bytes are neither form, damaged, or hold an element type or an object that no state dictionary needs.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Weights, WeightsError> {
        // A safetensors file begins with the length of its header, whose first byte may be a pickle's too; what follows may
        // not: a header is shorter than 4 GiB and begins with a brace.
        let pickle = bytes.first() == Some(&0x80) && bytes.get(4..9) != Some(b"\0\0\0\0{");
        let (arrays, metadata) = match pickle || bytes.starts_with(b"PK\x03\x04") {
            true => torch::read(bytes, origin)?,
            false => safetensors(bytes, origin)?,
        };
        Ok(Weights {
            arrays,
            metadata,
            origin: origin.to_owned(),
        })
    }

    /// Reads a file of either form, whatever its name.
    ///
    /// # Errors
    /// The file system's, and those of [`from_bytes`](Weights::from_bytes).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(path: impl AsRef<Path>) -> Result<Weights, WeightsError> {
        let path = path.as_ref();
        // Checked before opening: opening a FIFO would wait for a writer.
        let metadata = std::fs::metadata(path).map_err(FileError::at(path, "open it"))?;
        if !metadata.is_file() {
            let reason =
                std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file");
            return Err(FileError::at(path, "read it")(reason).into());
        }
        let bytes = std::fs::read(path).map_err(FileError::at(path, "read it"))?;
        Weights::from_bytes(&bytes, &path.display().to_string())
    }

    /// The parameters and buffers of a module, computed and read.
    ///
    /// # Errors
    /// A tensor cannot be computed or read.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn of(model: &dyn Module) -> Result<Weights, WeightsError> {
        wgrad_graph::block_on(Weights::of_async(model))
    }

    /// [`of`](Weights::of) without waiting, as in a browser.
    ///
    /// # Errors
    /// A tensor cannot be computed or read.
    pub async fn of_async(model: &dyn Module) -> Result<Weights, WeightsError> {
        let mut arrays = BTreeMap::new();
        for (name, tensor) in model.state() {
            arrays.insert(name, to_array(&tensor).await?);
        }
        Ok(Weights {
            arrays,
            metadata: BTreeMap::new(),
            origin: "in memory".into(),
        })
    }

    /// The arrays whose names begin with `prefix` and a dot, without both: the `state_dict` of a file that holds more.
    #[must_use]
    pub fn section(&self, prefix: &str) -> Weights {
        let inner = |name: &str| Some(name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned());
        Weights {
            arrays: self
                .arrays
                .iter()
                .filter_map(|(name, array)| Some((inner(name)?, array.clone())))
                .collect(),
            metadata: self.metadata.clone(),
            origin: self.origin.clone(),
        }
    }

    /// Writes a safetensors file, atomically; PyTorch and Hugging Face read it.
    ///
    /// # Errors
    /// The file system's; an array whose bytes do not fit its shape.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save_safetensors(&self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        let bytes = self.to_safetensors()?;
        write_atomic(path.as_ref(), |out| out.write_all(&bytes))?;
        Ok(())
    }

    /// Writes a state dictionary as `torch.save` does, atomically; `torch.load` reads it. Metadata are left out.
    ///
    /// # Errors
    /// The file system's; an array whose bytes do not fit its shape.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save_pth(&self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        let bytes = self.to_pth()?;
        write_atomic(path.as_ref(), |out| out.write_all(&bytes))?;
        Ok(())
    }
}

/// What a file holds.
type Content = (BTreeMap<String, Array>, BTreeMap<String, String>);

fn safetensors(bytes: &[u8], origin: &str) -> Result<Content, WeightsError> {
    let wrong = |e: safetensors::SafeTensorError| WeightsError::format(origin, e);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
    let file = SafeTensors::deserialize(bytes).map_err(wrong)?;
    let metadata = header.metadata().iter().flatten();
    let metadata = metadata.map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut arrays = BTreeMap::new();
    for (name, view) in file.iter() {
        let array = FileType::of_safetensors(view.dtype())
            .and_then(|kind| kind.array(view.shape().to_vec(), view.data()))
            .map_err(|m| WeightsError::array(origin, name, m))?;
        arrays.insert(name.to_owned(), array);
    }
    Ok((arrays, metadata))
}
