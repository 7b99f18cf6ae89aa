//! Reading tar archives, plain or gzip, for the few members that a dataset needs. Archives are untrusted: nothing is
//! unpacked to a disk, names are only compared, sizes are judged before anything is read, and memory grows with the bytes
//! that arrive.

use std::io::{BufRead, Read};

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result};

const BLOCK: usize = 512;
/// The most bytes of a member that is kept: more than any file of these datasets has.
pub(crate) const MAX_MEMBER_BYTES: u64 = 1 << 28;
/// Archives end after this many bytes of content, so that a gzip bomb ends too.
const MAX_TOTAL_BYTES: u64 = 1 << 32;

/// The members with these names (the last part of their paths), in this order.
///
/// # Errors
/// [`Error::Format`] for an archive that is none, is cut short or lies about sizes, and for a member that is missing, twice
/// there or too large.
pub(crate) fn members(
    mut reader: impl BufRead,
    file: &str,
    names: &[&str],
) -> Result<Vec<Vec<u8>>> {
    let start = reader.fill_buf().map_err(|source| Error::Read {
        file: file.to_owned(),
        field: "archive",
        offset: 0,
        source,
    })?;
    if start.starts_with(&[0x1f, 0x8b]) {
        Archive::new(MultiGzDecoder::new(reader), file).members(names)
    } else {
        Archive::new(reader, file).members(names)
    }
}

struct Archive<'a, R> {
    reader: R,
    file: &'a str,
    offset: u64,
}

impl<'a, R: Read> Archive<'a, R> {
    fn new(reader: R, file: &'a str) -> Self {
        Self {
            reader,
            file,
            offset: 0,
        }
    }

    fn members(mut self, names: &[&str]) -> Result<Vec<Vec<u8>>> {
        let mut found: Vec<Option<Vec<u8>>> = vec![None; names.len()];
        while let Some(header) = self.header()? {
            let wanted = names.iter().position(|name| *name == header.name);
            match wanted.filter(|_| header.regular) {
                Some(at) if found[at].is_some() => {
                    return Err(self.fault(format!("`{}` stands there twice", header.name)));
                }
                Some(_) if header.size > MAX_MEMBER_BYTES => {
                    let size = header.size;
                    return Err(self.fault(format!(
                        "`{}` promises {size} bytes, over the limit of {MAX_MEMBER_BYTES}",
                        header.name
                    )));
                }
                Some(at) => found[at] = Some(self.content(&header)?),
                None => self.skip(header.size)?,
            }
            self.skip(padding(header.size))?;
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        let named = names.iter().zip(found);
        let whole = named.map(|(name, bytes)| {
            bytes.ok_or_else(|| self.fault(format!("the archive has no `{name}`")))
        });
        whole.collect()
    }

    /// The next header; `None` at the end, which is a block of zeros or that of the file.
    fn header(&mut self) -> Result<Option<Header>> {
        let block = self.take(BLOCK as u64, "a header")?;
        if block.is_empty() || block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if block.len() < BLOCK {
            return Err(self.fault("the archive ends within a header".to_owned()));
        }
        let sum = octal(&block[148..156]);
        let blank = |at: usize| {
            if (148..156).contains(&at) {
                b' '
            } else {
                block[at]
            }
        };
        let actual: u64 = (0..BLOCK).map(|at| u64::from(blank(at))).sum();
        if sum != Some(actual) {
            return Err(self.fault("no tar header: its checksum is wrong".to_owned()));
        }
        let size = octal(&block[124..136])
            .ok_or_else(|| self.fault("a header's size is no octal number".to_owned()))?;
        let path = block[..100].split(|&byte| byte == 0).next();
        let path = String::from_utf8_lossy(path.unwrap_or_default()).into_owned();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let regular = matches!(block[156], b'0' | 0);
        Ok(Some(Header {
            name,
            size,
            regular,
        }))
    }

    fn content(&mut self, header: &Header) -> Result<Vec<u8>> {
        let bytes = self.take(header.size, "a member")?;
        if (bytes.len() as u64) < header.size {
            let (name, size, len) = (&header.name, header.size, bytes.len());
            let problem = format!("`{name}` promises {size} bytes, the archive ends after {len}");
            return Err(self.fault(problem));
        }
        Ok(bytes)
    }

    /// Up to `len` bytes.
    fn take(&mut self, len: u64, field: &'static str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len.min(1 << 16) as usize);
        let outcome = (&mut self.reader).take(len).read_to_end(&mut bytes);
        outcome.map_err(|source| self.broken(field, source))?;
        self.advance(bytes.len() as u64)?;
        Ok(bytes)
    }

    fn skip(&mut self, len: u64) -> Result<()> {
        let copied = std::io::copy(&mut (&mut self.reader).take(len), &mut std::io::sink());
        let copied = copied.map_err(|source| self.broken("a member", source))?;
        self.advance(copied)?;
        if copied < len {
            return Err(self.fault("the archive ends within a member".to_owned()));
        }
        Ok(())
    }

    fn advance(&mut self, bytes: u64) -> Result<()> {
        self.offset += bytes;
        if self.offset > MAX_TOTAL_BYTES {
            return Err(self.fault(format!("more than {MAX_TOTAL_BYTES} bytes")));
        }
        Ok(())
    }

    fn broken(&self, field: &'static str, source: std::io::Error) -> Error {
        Error::Read {
            file: self.file.to_owned(),
            field,
            offset: self.offset,
            source,
        }
    }

    fn fault(&self, problem: String) -> Error {
        Error::Format {
            file: self.file.to_owned(),
            offset: self.offset,
            problem,
        }
    }
}

struct Header {
    name: String,
    size: u64,
    regular: bool,
}

/// What fills a member's last block.
fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// Octal digits between blanks and zeros; `None` for anything else, also for numbers beyond 64 bits.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    u64::from_str_radix(digits, 8).ok()
}
