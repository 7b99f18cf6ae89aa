//! Checkpoints: named arrays and string metadata in one safetensors file.
//!
//! A file is written whole or not at all, the same content gives the same bytes, and a file that is
//! read is untrusted: no header, however wrong, makes the reader panic or allocate more than the
//! file is long. Must not know what the arrays mean; names and metadata are the caller's.
//!
//! Layout: `u64` little-endian header length, JSON header padded by spaces to 8 bytes, array bytes.
//! Arrays are little-endian, row-major, ordered by falling element size and then by name, so that
//! each starts at a multiple of its element size.

mod error;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use safetensors::tensor::{Dtype as FileDtype, Metadata, TensorInfo};
use serde_json::{Value, json};

#[cfg(not(target_arch = "wasm32"))]
use crate::files::{FileError, write_atomic};

pub use error::CheckpointError;

/// The metadata key that holds [`FORMAT_VERSION`]; written and removed by this module.
pub const FORMAT_KEY: &str = "wgrad.format";
/// The only version that this module writes and reads.
pub const FORMAT_VERSION: &str = "1";
/// The longest JSON header that is written or read, in bytes.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;

const METADATA_KEY: &str = "__metadata__";

/// The element type of an [`Array`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// The upper half of a 32-bit float.
    BF16,
    /// 32-bit signed integer.
    I32,
    /// 32-bit unsigned integer.
    U32,
    /// Byte.
    U8,
    /// One byte an element, 0 or 1.
    Bool,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I32 => "I32",
            Self::U32 => "U32",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    fn from_file(dtype: FileDtype) -> Option<Self> {
        Some(match dtype {
            FileDtype::F32 => Self::F32,
            FileDtype::F16 => Self::F16,
            FileDtype::BF16 => Self::BF16,
            FileDtype::I32 => Self::I32,
            FileDtype::U32 => Self::U32,
            FileDtype::U8 => Self::U8,
            FileDtype::BOOL => Self::Bool,
            _ => return None,
        })
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One array: `bytes.len()` is the product of `shape` (1 for a scalar, `[]`) times `dtype.size()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Element type.
    pub dtype: DType,
    /// Sizes, outermost first; `[]` is a scalar.
    pub shape: Vec<usize>,
    /// Elements, little-endian, row-major.
    pub bytes: Vec<u8>,
}

impl Array {
    /// `None` where the length overflows.
    fn expected_bytes(&self) -> Option<usize> {
        byte_len(&self.shape, self.dtype.size())
    }

    fn check(&self, origin: &str, name: &str) -> Result<(), CheckpointError> {
        let fail = |message: String| Err(CheckpointError::array(origin, name, message));
        if self.expected_bytes() != Some(self.bytes.len()) {
            return fail(format!(
                "{} of shape {:?} cannot have {} bytes",
                self.dtype,
                self.shape,
                self.bytes.len()
            ));
        }
        match self.bytes.iter().position(|&byte| byte > 1) {
            Some(at) if self.dtype == DType::Bool => fail(format!(
                "BOOL element {at} is the byte {}, neither 0 nor 1",
                self.bytes[at]
            )),
            _ => Ok(()),
        }
    }
}

fn byte_len(shape: &[usize], element: usize) -> Option<usize> {
    shape
        .iter()
        .try_fold(element, |product, &size| product.checked_mul(size))
}

/// Named arrays and string metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Arrays by name. `__metadata__` is not a possible name.
    pub arrays: BTreeMap<String, Array>,
    /// Free text by key. [`FORMAT_KEY`] is not a possible key.
    pub metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// The file's bytes; equal checkpoints give equal bytes.
    ///
    /// # Errors
    /// An array whose bytes do not fit its shape, a reserved name, a header over the limit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let origin = "in memory";
        let (header, order) = self.header(origin)?;
        let mut bytes = Vec::new();
        write_parts(&mut bytes, &header, &order).map_err(CheckpointError::io(origin))?;
        Ok(bytes)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gives; `origin` names the bytes in errors.
    ///
    /// # Errors
    /// Anything that is not exactly such a file.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Self, CheckpointError> {
        read(bytes, bytes.len() as u64, origin)
    }

    /// Replaces the file at `path`, atomically: after an error, a kill or a power failure it holds
    /// the old checkpoint or this one, whole.
    ///
    /// # Errors
    /// Those of [`to_bytes`](Self::to_bytes), before any file is touched, and the file system's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), CheckpointError> {
        let path = path.as_ref();
        let (header, order) = self.header(&path.display().to_string())?;
        write_atomic(path, |out| write_parts(out, &header, &order))?;
        Ok(())
    }

    /// Reads the file at `path`, which may hold anything.
    ///
    /// # Errors
    /// The file system's, and anything that [`save`](Self::save) would not have written.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        // Checked before opening: opening a FIFO would wait for a writer.
        let metadata = std::fs::metadata(path).map_err(FileError::at(path, "open it"))?;
        if !metadata.is_file() {
            let reason = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(FileError::at(path, "read it")(reason).into());
        }
        let file = std::fs::File::open(path).map_err(FileError::at(path, "open it"))?;
        let length = file
            .metadata()
            .map_err(FileError::at(path, "read its length"))?
            .len();
        read(
            io::BufReader::new(file),
            length,
            &path.display().to_string(),
        )
    }

    /// The padded header and the arrays in file order.
    fn header(&self, origin: &str) -> Result<(Vec<u8>, Vec<&Array>), CheckpointError> {
        self.check(origin)?;
        let mut metadata = self.metadata.clone();
        metadata.insert(FORMAT_KEY.to_owned(), FORMAT_VERSION.to_owned());
        let mut entries = BTreeMap::from([(METADATA_KEY, json!(metadata))]);

        let mut named: Vec<_> = self.arrays.iter().collect();
        named.sort_by_key(|(name, array)| (std::cmp::Reverse(array.dtype.size()), name.as_str()));
        let mut start = 0usize;
        for &(name, array) in &named {
            let end = start.checked_add(array.bytes.len()).ok_or_else(|| {
                CheckpointError::array(origin, name, "the file would be too long".to_owned())
            })?;
            entries.insert(name, entry(array, start, end));
            start = end;
        }

        let mut header =
            serde_json::to_vec(&entries).map_err(|error| CheckpointError::header(origin, error))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        check_header_size(header.len() as u64, origin)?;
        Ok((header, named.into_iter().map(|(_, array)| array).collect()))
    }

    fn check(&self, origin: &str) -> Result<(), CheckpointError> {
        let reserved = |name: &str| CheckpointError::Reserved {
            origin: origin.to_owned(),
            name: name.to_owned(),
        };
        if self.metadata.contains_key(FORMAT_KEY) {
            return Err(reserved(FORMAT_KEY));
        }
        if self.arrays.contains_key(METADATA_KEY) {
            return Err(reserved(METADATA_KEY));
        }
        self.arrays
            .iter()
            .try_for_each(|(name, array)| array.check(origin, name))
    }
}

fn entry(array: &Array, start: usize, end: usize) -> Value {
    json!({ "dtype": array.dtype.name(), "shape": array.shape, "data_offsets": [start, end] })
}

fn write_parts(
    out: &mut (impl Write + ?Sized),
    header: &[u8],
    arrays: &[&Array],
) -> io::Result<()> {
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header)?;
    arrays
        .iter()
        .try_for_each(|array| out.write_all(&array.bytes))
}

fn check_header_size(bytes: u64, origin: &str) -> Result<(), CheckpointError> {
    if bytes > MAX_HEADER_BYTES {
        return Err(CheckpointError::HeaderTooLarge {
            origin: origin.to_owned(),
            bytes,
        });
    }
    Ok(())
}

/// `length` is the whole input's; it bounds every allocation.
fn read(mut input: impl Read, length: u64, origin: &str) -> Result<Checkpoint, CheckpointError> {
    let header = read_header(&mut input, length, origin)?;
    let (file, mut metadata) = parse_header(&header, origin)?;
    check_length(
        8 + header.len() as u64,
        file.data_len() as u64,
        length,
        origin,
    )?;
    check_version(metadata.remove(FORMAT_KEY), origin)?;

    let mut arrays = BTreeMap::new();
    for name in file.offset_keys() {
        let info = file
            .info(&name)
            .ok_or_else(|| CheckpointError::header(origin, "inconsistent"))?;
        let array = read_array(&mut input, info, origin, &name)?;
        array.check(origin, &name)?;
        arrays.insert(name, array);
    }
    Ok(Checkpoint { arrays, metadata })
}

fn read_header(
    input: &mut impl Read,
    length: u64,
    origin: &str,
) -> Result<Vec<u8>, CheckpointError> {
    check_length(8, 0, length.min(8), origin)?;
    let mut prefix = [0; 8];
    input
        .read_exact(&mut prefix)
        .map_err(CheckpointError::io(origin))?;
    let size = u64::from_le_bytes(prefix);
    check_header_size(size, origin)?;
    check_length(8, size, length.min(8 + size), origin)?;
    let mut header = vec![0; size as usize];
    input
        .read_exact(&mut header)
        .map_err(CheckpointError::io(origin))?;
    Ok(header)
}

fn check_length(head: u64, data: u64, found: u64, origin: &str) -> Result<(), CheckpointError> {
    let expected = head.saturating_add(data);
    if expected != found {
        return Err(CheckpointError::Length {
            origin: origin.to_owned(),
            expected,
            found,
        });
    }
    Ok(())
}

fn parse_header(
    header: &[u8],
    origin: &str,
) -> Result<(Metadata, BTreeMap<String, String>), CheckpointError> {
    let parsed: Result<Metadata, _> = serde_json::from_slice(header);
    let file = parsed.map_err(|error| diagnose(header, origin, &error.to_string()))?;
    let metadata = file
        .metadata()
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Ok((file, metadata))
}

/// Finds the array to blame for a header that `safetensors` refuses: its own error seldom names one.
fn diagnose(header: &[u8], origin: &str, cause: &str) -> CheckpointError {
    let Ok(entries) = serde_json::from_slice::<BTreeMap<String, Value>>(header) else {
        return CheckpointError::header(origin, cause);
    };
    let mut ranges = Vec::new();
    for (name, value) in entries.into_iter().filter(|(name, _)| name != METADATA_KEY) {
        let info: TensorInfo = match serde_json::from_value(value) {
            Ok(info) => info,
            Err(error) => return CheckpointError::array(origin, &name, error.to_string()),
        };
        if let Some(message) = bad_size(&info) {
            return CheckpointError::array(origin, &name, message);
        }
        ranges.push((info.data_offsets, name));
    }
    ranges.sort();
    let mut end = 0;
    for ((start, stop), name) in ranges {
        if start != end {
            let what = if start < end {
                "overlaps another array"
            } else {
                "leaves a gap before it"
            };
            return CheckpointError::array(
                origin,
                &name,
                format!("its place {start}..{stop} {what}"),
            );
        }
        end = stop;
    }
    CheckpointError::header(origin, cause)
}

fn bad_size(info: &TensorInfo) -> Option<String> {
    let (start, end) = info.data_offsets;
    let Some(dtype) = DType::from_file(info.dtype) else {
        return Some(unsupported(info.dtype));
    };
    (byte_len(&info.shape, dtype.size()).is_none()
        || byte_len(&info.shape, dtype.size()) != end.checked_sub(start))
    .then(|| {
        format!(
            "{dtype} of shape {:?} cannot lie at {start}..{end}",
            info.shape
        )
    })
}

fn unsupported(dtype: FileDtype) -> String {
    format!("element type {dtype:?} is none of F32, F16, BF16, I32, U32, U8, BOOL")
}

fn check_version(found: Option<String>, origin: &str) -> Result<(), CheckpointError> {
    if found.as_deref() != Some(FORMAT_VERSION) {
        return Err(CheckpointError::Version {
            origin: origin.to_owned(),
            found,
        });
    }
    Ok(())
}

fn read_array(
    input: &mut impl Read,
    info: &TensorInfo,
    origin: &str,
    name: &str,
) -> Result<Array, CheckpointError> {
    let dtype = DType::from_file(info.dtype)
        .ok_or_else(|| CheckpointError::array(origin, name, unsupported(info.dtype)))?;
    let (start, end) = info.data_offsets;
    let mut bytes = vec![0; end - start];
    input
        .read_exact(&mut bytes)
        .map_err(CheckpointError::io(origin))?;
    Ok(Array {
        dtype,
        shape: info.shape.clone(),
        bytes,
    })
}

#[cfg(test)]
mod tests;
