//! Uploads through a ring of mapped buffers: a write costs a copy on the host and one on the device, and creates
//! nothing once the ring is as long as the steps in flight.
//!
//! What was written waits here, in order, and runs before the next submission. Must hold no [`crate::Buffer`]: a
//! buffer dropped with a write pending may go back to the pool, since whoever gets it next writes it later.
//! In a browser a buffer is mapped again only when the event loop turns, which a training loop may not let it, so
//! there the browser's own `writeBuffer` is used, and this keeps nothing.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use ring::Uploads;

#[cfg(target_arch = "wasm32")]
pub(crate) use browser::Uploads;

/// Unsubmitted writes are flushed at either bound, so that they hold a bounded amount of memory.
const MAX_PENDING_WRITES: u64 = 256;
pub(crate) const MAX_PENDING_BYTES: usize = 64 << 20;

#[cfg(not(target_arch = "wasm32"))]
mod ring {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::{MAX_PENDING_BYTES, MAX_PENDING_WRITES};
    use crate::error::{Error, Result};
    use crate::handle::Handle;
    use crate::health::Scope;
    use crate::pool::size_class;
    use crate::shared::Shared;

    /// Bytes of a buffer of the ring; a longer write gets one of its own size.
    const CHUNK: u64 = 32 << 10;
    /// Where a write begins in a buffer of the ring; wgpu asks for 8.
    const ALIGNMENT: u64 = 16;
    /// Free bytes above which a buffer that comes back is dropped.
    const MAX_FREE: u64 = 32 << 20;
    /// Buffers of the ring, made with the first write, so that none is made later. With so many in flight a write waits
    /// for the oldest, which is how far the host may run ahead.
    const RING: usize = 32;

    /// States of a buffer that is being mapped again.
    const WAITING: u8 = 0;
    const MAPPED: u8 = 1;
    const FAILED: u8 = 2;

    /// A mapped buffer, written from the front.
    struct Chunk {
        buffer: Handle<wgpu::Buffer>,
        size: u64,
        used: u64,
    }

    /// A chunk whose copies are submitted.
    struct InFlight {
        chunk: Chunk,
        state: Arc<AtomicU8>,
        submission: Handle<wgpu::SubmissionIndex>,
    }

    /// A copy that the next submission begins with.
    struct Copy {
        from: Handle<wgpu::Buffer>,
        from_offset: u64,
        to: Handle<wgpu::Buffer>,
        to_offset: u64,
        len: u64,
    }

    /// Writes of one device that are not submitted, and the ring.
    #[derive(Default)]
    pub(crate) struct Uploads {
        open: Vec<Chunk>,
        copies: Vec<Copy>,
        in_flight: VecDeque<InFlight>,
        free: Vec<Chunk>,
        /// The ring has been made.
        ready: bool,
        pending_bytes: u64,
        /// The flush before: waited for at the next, so that at most two are in flight.
        last_flush: Option<Handle<wgpu::SubmissionIndex>>,
    }

    impl Uploads {
        /// Writes `data`, at most [`MAX_PENDING_BYTES`], at byte `offset` of `to`. Both are multiples of 4.
        pub(crate) fn write(
            &mut self,
            shared: &Shared,
            to: &Handle<wgpu::Buffer>,
            offset: u64,
            data: &[u8],
        ) -> Result<()> {
            let len = data.len() as u64;
            let chunk = self.room(shared, len)?;
            let from_offset = chunk.used;
            let from = chunk.buffer.clone();
            chunk.used = (from_offset + len).next_multiple_of(ALIGNMENT);
            let mut view = from
                .get_mapped_range_mut(from_offset..from_offset + len)
                .map_err(|error| Error::Map {
                    message: error.to_string(),
                })?;
            view.copy_from_slice(data);
            drop(view);
            self.copies.push(Copy {
                from,
                from_offset,
                to: to.clone(),
                to_offset: offset,
                len,
            });
            self.pending_bytes += len;
            Ok(())
        }

        /// Whether it is time to flush.
        pub(crate) fn is_full(&self) -> bool {
            self.copies.len() as u64 >= MAX_PENDING_WRITES
                || self.pending_bytes >= MAX_PENDING_BYTES as u64
        }

        /// Submits the pending writes alone.
        pub(crate) fn flush(&mut self, shared: &Shared) {
            if let Some(last) = self.last_flush.take() {
                // A loss here is reported by the next call.
                let _ = shared.wait(Some(last));
            }
            self.last_flush = Some(self.submit(shared, None));
        }

        /// Submits the pending writes and then `commands`.
        pub(crate) fn submit(
            &mut self,
            shared: &Shared,
            commands: Option<wgpu::CommandBuffer>,
        ) -> Handle<wgpu::SubmissionIndex> {
            let writes = self.encode(shared);
            let index: Handle<_> = shared
                .queue
                .submit(writes.into_iter().chain(commands))
                .into();
            for chunk in self.open.drain(..) {
                self.in_flight.push_back(map_again(chunk, &index));
            }
            index
        }

        /// Gives the memory of what is not in use back.
        pub(crate) fn clear(&mut self) {
            self.collect();
            self.free.clear();
            self.ready = false;
        }

        /// The pending copies as commands, if there are any.
        fn encode(&mut self, shared: &Shared) -> Option<wgpu::CommandBuffer> {
            if self.copies.is_empty() {
                return None;
            }
            for chunk in &self.open {
                chunk.buffer.unmap();
            }
            let mut encoder = shared.create.encoder();
            for copy in self.copies.drain(..) {
                encoder.copy_buffer_to_buffer(
                    &copy.from,
                    copy.from_offset,
                    &copy.to,
                    copy.to_offset,
                    copy.len,
                );
            }
            self.pending_bytes = 0;
            Some(encoder.finish())
        }

        /// An open chunk with room for `len` bytes.
        fn room(&mut self, shared: &Shared, len: u64) -> Result<&mut Chunk> {
            let fits = |chunk: &Chunk| chunk.size.saturating_sub(chunk.used) >= len;
            if let Some(at) = self.open.iter().position(fits) {
                return Ok(&mut self.open[at]);
            }
            let size = if len <= CHUNK {
                CHUNK
            } else {
                size_class(len, u64::MAX)
            };
            let chunk = self.take(shared, size)?;
            self.open.push(chunk);
            let last = self.open.len() - 1;
            Ok(&mut self.open[last])
        }

        /// A mapped chunk of this size.
        fn take(&mut self, shared: &Shared, size: u64) -> Result<Chunk> {
            self.collect();
            while self.in_flight.len() >= RING {
                let oldest = self.in_flight[0].submission.clone();
                shared.wait(Some(oldest))?;
                let before = self.in_flight.len();
                self.collect();
                if self.in_flight.len() == before {
                    // Done, but another thread is about to run the callback; let it go.
                    self.in_flight.pop_front();
                }
            }
            if size == CHUNK && !self.ready {
                for _ in 0..RING {
                    let chunk = create(shared, size)?;
                    self.free.push(chunk);
                }
                self.ready = true;
            }
            match self.free.iter().rposition(|chunk| chunk.size == size) {
                Some(at) => Ok(self.free.swap_remove(at)),
                None => create(shared, size),
            }
        }

        /// Moves what is mapped again to the free ones. Submissions end in order.
        fn collect(&mut self) {
            while let Some(front) = self.in_flight.front() {
                let state = front.state.load(Ordering::Acquire);
                if state == WAITING {
                    return;
                }
                let Some(InFlight { chunk, .. }) = self.in_flight.pop_front() else {
                    return;
                };
                let kept: u64 = self.free.iter().map(|chunk| chunk.size).sum();
                if state == MAPPED && kept + chunk.size <= MAX_FREE {
                    self.free.push(chunk);
                }
            }
        }
    }

    fn create(shared: &Shared, size: u64) -> Result<Chunk> {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let buffer = shared
            .health
            .scoped(&shared.device, Scope::Buffer(size), || {
                shared.create.mapped_buffer("upload", size, usage).into()
            })?;
        Ok(Chunk {
            buffer,
            size,
            used: 0,
        })
    }

    fn map_again(mut chunk: Chunk, submission: &Handle<wgpu::SubmissionIndex>) -> InFlight {
        chunk.used = 0;
        let state = Arc::new(AtomicU8::new(WAITING));
        let told = state.clone();
        chunk
            .buffer
            .map_async(wgpu::MapMode::Write, .., move |mapped| {
                let outcome = if mapped.is_ok() { MAPPED } else { FAILED };
                told.store(outcome, Ordering::Release);
            });
        InFlight {
            chunk,
            state,
            submission: submission.clone(),
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod browser {
    use super::{MAX_PENDING_BYTES, MAX_PENDING_WRITES};
    use crate::error::Result;
    use crate::handle::Handle;
    use crate::shared::Shared;

    /// Counts of writes that are not submitted.
    #[derive(Default)]
    pub(crate) struct Uploads {
        writes: u64,
        bytes: u64,
    }

    impl Uploads {
        /// Writes `data` at byte `offset` of `to`. Both are multiples of 4.
        pub(crate) fn write(
            &mut self,
            shared: &Shared,
            to: &Handle<wgpu::Buffer>,
            offset: u64,
            data: &[u8],
        ) -> Result<()> {
            shared.queue.write_buffer(to, offset, data);
            self.writes += 1;
            self.bytes += data.len() as u64;
            Ok(())
        }

        /// Whether it is time to flush.
        pub(crate) fn is_full(&self) -> bool {
            self.writes >= MAX_PENDING_WRITES || self.bytes >= MAX_PENDING_BYTES as u64
        }

        /// Submits the pending writes alone.
        pub(crate) fn flush(&mut self, shared: &Shared) {
            self.submit(shared, None);
        }

        /// Submits the pending writes and then `commands`.
        pub(crate) fn submit(
            &mut self,
            shared: &Shared,
            commands: Option<wgpu::CommandBuffer>,
        ) -> Handle<wgpu::SubmissionIndex> {
            *self = Uploads::default();
            shared.queue.submit(commands).into()
        }

        /// Keeps nothing that could be given back.
        pub(crate) fn clear(&mut self) {}
    }
}
