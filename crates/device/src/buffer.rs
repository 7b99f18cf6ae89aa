//! Buffers: reference-counted byte ranges of pooled GPU memory.
//!
//! Contents are unspecified until written. Must not wait for the GPU when one is
//! dropped: the queue is ordered, and recorded commands hold the buffers they use.
//!
//! Bytes between the end of a buffer and the next multiple of four are padding that
//! writes, copies and clears may overwrite; a range placed right behind another one
//! must therefore start at a multiple of four (bindings ask for 256 at any rate).

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;

use crate::error::{Error, Result};
use crate::pool::{Owner, Raw, size_class};
use crate::shared::Shared;

/// Gives its buffer back to the pool when the last holder is gone.
pub(crate) struct Slot {
    raw: Option<Raw>,
    pub(crate) shared: Arc<Shared>,
}

impl Slot {
    pub(crate) fn new(raw: Raw, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            raw: Some(raw),
            shared,
        })
    }

    pub(crate) fn raw(&self) -> &Raw {
        self.raw.as_ref().expect("taken in drop alone")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            let keep = self.shared.health.alive().is_ok();
            self.shared.pool.give(raw, keep);
        }
    }
}

/// A byte range of a GPU buffer. Cloning shares it.
#[derive(Clone)]
pub struct Buffer {
    pub(crate) slot: Arc<Slot>,
    offset: u64,
    len: u64,
}

impl core::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let end = self.offset + self.len;
        write!(f, "Buffer(#{}, {}..{end})", self.id(), self.offset)
    }
}

impl Buffer {
    pub(crate) fn whole(slot: Arc<Slot>, len: u64) -> Self {
        Self {
            slot,
            offset: 0,
            len,
        }
    }

    pub(crate) fn raw(&self) -> &wgpu::Buffer {
        &self.slot.raw().buffer
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// First byte within the underlying buffer.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Identity of the underlying buffer: ranges of one buffer share it, and a buffer
    /// that comes back from the pool has it again.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.slot.raw().id
    }

    /// Bytes of the underlying buffer.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.slot.raw().capacity
    }

    /// The underlying buffer, if nothing else holds it.
    pub(crate) fn into_raw(self) -> Option<Raw> {
        let mut slot = Arc::into_inner(self.slot)?;
        slot.raw.take()
    }

    /// Whether nothing else holds the underlying buffer, recorded commands included.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.slot) == 1
    }

    /// The bytes `range` of this buffer, sharing its memory.
    ///
    /// # Errors
    /// [`Error::Range`] where it leaves the buffer or does not start at a multiple of 4.
    /// A binding asks for more: see [`crate::Limits::storage_alignment`].
    pub fn slice(&self, range: Range<u64>) -> Result<Self> {
        let len = range.end.saturating_sub(range.start);
        self.check("slice", range.start, len)?;
        Ok(Self {
            slot: self.slot.clone(),
            offset: self.offset + range.start,
            len,
        })
    }

    /// Checks that `offset..offset + len` is inside and that the offset is a multiple of 4.
    pub(crate) fn check(&self, what: &'static str, offset: u64, len: u64) -> Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.range_error(what, offset, len, "out of range"));
        }
        if !(self.offset + offset).is_multiple_of(4) {
            let message = "the offset is not a multiple of 4";
            return Err(self.range_error(what, offset, len, message));
        }
        Ok(())
    }

    /// [`Buffer::check`] for something written: `len` rounded up to a multiple of 4,
    /// which is an error where the rounding would reach bytes of this buffer.
    pub(crate) fn check_write(&self, what: &'static str, offset: u64, len: u64) -> Result<u64> {
        self.check(what, offset, len)?;
        let padded = len.next_multiple_of(4);
        if padded != len && offset + len != self.len {
            let message = "the length is not a multiple of 4 and does not reach the end";
            return Err(self.range_error(what, offset, len, message));
        }
        Ok(padded)
    }

    fn range_error(&self, what: &'static str, offset: u64, len: u64, why: &'static str) -> Error {
        Error::Range {
            what,
            offset,
            len,
            size: self.len,
            message: why,
        }
    }

    /// Reads the contents. See [`Gpu::read`].
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    pub async fn read(&self) -> Result<Vec<u8>> {
        self.gpu().read(self).await
    }

    /// Blocking twin of [`Buffer::read`].
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_blocking(&self) -> Result<Vec<u8>> {
        self.gpu().read_blocking(self)
    }
}

/// A [`Buffer`] of `len()` elements of `T`.
#[derive(Clone, Debug)]
pub struct TypedBuffer<T> {
    buffer: Buffer,
    element: PhantomData<fn() -> T>,
}

impl<T: Pod> TypedBuffer<T> {
    pub(crate) fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            element: PhantomData,
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        // `n * size_of::<T>()` bytes came from a usize.
        self.buffer.len() as usize / size_of::<T>().max(1)
    }

    /// Whether it has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The bytes.
    #[must_use]
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Overwrites the elements from `first` on. See [`Gpu::write`].
    ///
    /// # Errors
    /// Those of [`Gpu::write`].
    pub fn write(&self, first: usize, elements: &[T]) -> Result<()> {
        let offset = (first as u64).saturating_mul(size_of::<T>() as u64);
        let bytes = bytemuck::cast_slice(elements);
        self.buffer.gpu().write(&self.buffer, offset, bytes)
    }

    /// Reads the elements. See [`Gpu::read`].
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    pub async fn read(&self) -> Result<Vec<T>> {
        let bytes = self.buffer.read().await?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Blocking twin of [`TypedBuffer::read`].
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_blocking(&self) -> Result<Vec<T>> {
        pollster::block_on(self.read())
    }
}

impl<T> AsRef<Buffer> for TypedBuffer<T> {
    fn as_ref(&self) -> &Buffer {
        &self.buffer
    }
}

impl<T> core::ops::Deref for TypedBuffer<T> {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        &self.buffer
    }
}

impl Shared {
    /// A buffer for `owner`, with unspecified contents.
    pub(crate) fn alloc(self: &Arc<Self>, bytes: u64, owner: Owner) -> Result<Buffer> {
        self.health.alive()?;
        let limit = self.limits.max_buffer_bytes;
        if bytes > limit {
            return Err(Error::TooLarge {
                what: "a buffer",
                bytes,
                limit,
            });
        }
        let class = size_class(bytes, limit);
        let raw = match self.pool.take(class, owner) {
            Some(raw) => raw,
            None => self.create_raw(class, owner)?,
        };
        Ok(Buffer::whole(Slot::new(raw, self.clone()), bytes))
    }

    /// An error if `buffer` lives on another device.
    pub(crate) fn owns(&self, buffer: &Buffer) -> Result<()> {
        if std::ptr::eq(self, Arc::as_ptr(&buffer.slot.shared)) {
            Ok(())
        } else {
            Err(Error::Unsupported {
                what: "a buffer of another device",
            })
        }
    }
}
