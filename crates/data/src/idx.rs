//! The IDX format of MNIST and its kin: a big-endian header, then the elements, last dimension
//! fastest; plain or gzip.
//!
//! ```text
//! bytes 0..2       0x0000
//! byte  2          element type; 0x08 is u8, the only one read here
//! byte  3          number of dimensions n
//! bytes 4..4+4n    the dimensions, u32 each
//! then             product(dimensions) bytes
//! ```
//!
//! Files are untrusted. The header is read and judged before anything is allocated for the data,
//! and memory then grows with the bytes that really arrive, so neither a lying header nor a gzip
//! bomb costs more than the file holds, or than [`MAX_DATA_BYTES`].

use std::io::{BufRead, Read};

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result};

/// The most bytes of data a file may promise: 1 GiB, twenty times MNIST.
pub const MAX_DATA_BYTES: u64 = 1 << 30;

/// The code of u8 elements.
const TYPE_U8: u8 = 0x08;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// What is allocated at once on the header's word; beyond it, memory follows the bytes read.
const TRUSTED_BYTES: u64 = 1 << 20;

/// An array of bytes read from an IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The dimensions, slowest first.
    pub shape: Vec<usize>,
    /// The elements, last dimension fastest; as many as the product of `shape`.
    pub data: Vec<u8>,
}

impl Idx {
    /// Reads an IDX file that lies in memory, plain or gzip.
    ///
    /// `name` stands for the file in errors.
    ///
    /// # Errors
    /// Any fault of the content: see [`Error`].
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::from_reader(bytes, name)
    }

    /// Reads an IDX file, plain or gzip; which of the two is told from its first bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened, else any fault of the content.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = std::fs::File::open(path).map_err(|source| Error::Io {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        Self::from_reader(std::io::BufReader::new(file), &path.display().to_string())
    }

    /// Reads an IDX file, plain or gzip, to the end of `reader`.
    ///
    /// `name` stands for the file in errors.
    ///
    /// # Errors
    /// Any fault of the content, and [`Error::Read`] if the reader fails.
    pub fn from_reader(mut reader: impl BufRead, name: &str) -> Result<Self> {
        let start = reader.fill_buf().map_err(|source| Error::Read {
            file: name.to_owned(),
            field: "magic number",
            offset: 0,
            source,
        })?;
        if start.starts_with(&GZIP_MAGIC) {
            Source::new(MultiGzDecoder::new(reader), name, true).read_idx()
        } else {
            Source::new(reader, name, false).read_idx()
        }
    }

    /// The size of dimension `dim`, 0 if there is no such dimension.
    #[must_use]
    pub fn size(&self, dim: usize) -> usize {
        self.shape.get(dim).copied().unwrap_or(0)
    }
}

/// A reader that knows how to name the place where it failed.
struct Source<'a, R> {
    reader: R,
    file: &'a str,
    offset: u64,
    gzip: bool,
}

impl<'a, R: Read> Source<'a, R> {
    fn new(reader: R, file: &'a str, gzip: bool) -> Self {
        Self {
            reader,
            file,
            offset: 0,
            gzip,
        }
    }

    fn read_idx(mut self) -> Result<Idx> {
        let n_dims = self.read_magic()?;
        let shape = self.read_shape(n_dims)?;
        let n_bytes = self.checked_len(&shape)?;
        let data = self.take("data", n_bytes)?;
        self.expect_end()?;
        Ok(Idx { shape, data })
    }

    /// The magic number; returns the number of dimensions.
    fn read_magic(&mut self) -> Result<u8> {
        let magic = self.take("magic number", 4)?;
        let &[first, second, code, n_dims] = magic.as_slice() else {
            return Err(self.truncated("magic number", 4, magic.len()));
        };
        let actual = u16::from_be_bytes([first, second]);
        if actual != 0 {
            let file = self.file.to_owned();
            return Err(Error::Magic {
                file,
                field: "magic number",
                offset: 0,
                expected: 0,
                actual,
            });
        }
        if code != TYPE_U8 {
            return Err(Error::Unsupported {
                file: self.file.to_owned(),
                offset: 2,
                expected: TYPE_U8,
                actual: code,
                name: type_name(code),
            });
        }
        Ok(n_dims)
    }

    fn read_shape(&mut self, n_dims: u8) -> Result<Vec<usize>> {
        let bytes = self.take("dimensions", 4 * u64::from(n_dims))?;
        let dims = bytes
            .chunks_exact(4)
            .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        // A u32 fits a usize on every target that has a heap for these files.
        Ok(dims.map(|dim| dim as usize).collect())
    }

    /// The number of bytes that `shape` promises, if within [`MAX_DATA_BYTES`].
    fn checked_len(&self, shape: &[usize]) -> Result<u64> {
        // A zero counts as one here, so that no product of the other dimensions overflows later.
        let product = shape
            .iter()
            .try_fold(1_u64, |len, &dim| len.checked_mul(dim.max(1) as u64));
        match product.filter(|&len| len <= MAX_DATA_BYTES) {
            Some(_) if shape.contains(&0) => Ok(0),
            Some(len) => Ok(len),
            None => Err(Error::TooLarge {
                file: self.file.to_owned(),
                field: "dimensions",
                offset: 4,
                shape: shape.to_vec(),
                limit: MAX_DATA_BYTES,
            }),
        }
    }

    /// Exactly `len` bytes.
    fn take(&mut self, field: &'static str, len: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len.min(TRUSTED_BYTES) as usize);
        let outcome = (&mut self.reader).take(len).read_to_end(&mut bytes);
        if let Err(source) = outcome {
            return Err(self.failed(field, bytes.len(), source));
        }
        if (bytes.len() as u64) < len {
            return Err(self.truncated(field, len, bytes.len()));
        }
        self.offset += len;
        Ok(bytes)
    }

    /// Nothing may follow; for gzip, reaching the end is also what verifies the checksum.
    fn expect_end(&mut self) -> Result<()> {
        let mut extra = Vec::new();
        let outcome = (&mut self.reader).take(1).read_to_end(&mut extra);
        if let Err(source) = outcome {
            return Err(self.failed("end of file", 0, source));
        }
        if extra.is_empty() {
            return Ok(());
        }
        Err(Error::Trailing {
            file: self.file.to_owned(),
            offset: self.offset,
            expected: self.offset,
            actual: self.offset + 1,
        })
    }

    fn truncated(&self, field: &'static str, expected: u64, found: usize) -> Error {
        let file = self.file.to_owned();
        Error::Truncated {
            file,
            field,
            offset: self.offset,
            expected,
            actual: found as u64,
        }
    }

    fn failed(&self, field: &'static str, done: usize, source: std::io::Error) -> Error {
        let file = self.file.to_owned();
        let offset = self.offset + done as u64;
        if self.gzip {
            Error::Gzip {
                file,
                field,
                offset,
                source,
            }
        } else {
            Error::Read {
                file,
                field,
                offset,
                source,
            }
        }
    }
}

/// What the format calls an element type.
fn type_name(code: u8) -> &'static str {
    match code {
        0x08 => "u8",
        0x09 => "i8",
        0x0b => "i16",
        0x0c => "i32",
        0x0d => "f32",
        0x0e => "f64",
        _ => "unknown to the format",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_plain_matrix() {
        let bytes = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];
        let idx = Idx::from_bytes(&bytes, "matrix").unwrap();
        assert_eq!(idx.shape, [2, 3]);
        assert_eq!(idx.data, [1, 2, 3, 4, 5, 6]);
        assert_eq!((idx.size(1), idx.size(2)), (3, 0));
    }

    #[test]
    fn reads_empty_dimensions() {
        let idx = Idx::from_bytes(&[0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 9], "empty").unwrap();
        assert_eq!(
            (idx.shape.as_slice(), idx.data.len()),
            ([0, 9].as_slice(), 0)
        );
    }

    #[test]
    fn reads_a_scalar() {
        let idx = Idx::from_bytes(&[0, 0, 8, 0, 42], "scalar").unwrap();
        assert_eq!((idx.shape.len(), idx.data.as_slice()), (0, [42].as_slice()));
    }
}
