//! Readback: staging buffers, mapped after a submission and used again.
//!
//! Must not submit by itself: a copy is recorded with the commands whose result it
//! reads, so a training step and its loss are one submission.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use futures_channel::oneshot;

use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::health::{Scope, lock};
use crate::pool::size_class;
use crate::shared::Shared;

/// Free staging buffers are kept up to so many bytes.
const MAX_KEPT: u64 = 64 << 20;

type Mapped = Result<(), wgpu::BufferAsyncError>;

#[derive(Default)]
struct Free {
    buffers: BTreeMap<u64, Vec<Handle<wgpu::Buffer>>>,
    bytes: u64,
}

/// Staging buffers of one device that nothing uses.
#[derive(Default)]
pub(crate) struct Staging {
    free: Mutex<Free>,
}

impl Staging {
    fn take(&self, shared: &Shared, bytes: u64) -> Result<Handle<wgpu::Buffer>> {
        let class = size_class(bytes, shared.limits.max_buffer_bytes);
        let mut free = lock(&self.free);
        if let Some(buffer) = free.buffers.get_mut(&class).and_then(Vec::pop) {
            free.bytes -= class;
            return Ok(buffer);
        }
        drop(free);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let scope = Scope::Buffer(class);
        shared.health.scoped(&shared.device, scope, || {
            shared.create.buffer("staging", class, usage).into()
        })
    }

    fn give(&self, buffer: Handle<wgpu::Buffer>) {
        let mut free = lock(&self.free);
        if free.bytes + buffer.size() <= MAX_KEPT {
            free.bytes += buffer.size();
            free.buffers.entry(buffer.size()).or_default().push(buffer);
        }
    }

    pub(crate) fn clear(&self) {
        *lock(&self.free) = Free::default();
    }
}

/// The recorded half: maps the staging buffer once its copy is submitted.
pub(crate) struct PendingMap {
    staging: Handle<wgpu::Buffer>,
    sender: oneshot::Sender<Mapped>,
    submitted: Arc<OnceLock<Handle<wgpu::SubmissionIndex>>>,
}

impl PendingMap {
    pub(crate) fn start(self, submission: &Handle<wgpu::SubmissionIndex>) {
        let sender = self.sender;
        self.staging
            .map_async(wgpu::MapMode::Read, .., move |mapped| {
                // The receiver is gone when the download was dropped.
                let _ = sender.send(mapped);
            });
        // Set here alone, so it cannot be set already.
        let _ = self.submitted.set(submission.clone());
    }
}

/// Bytes on their way from the GPU. Made by [`crate::Commands::download`].
#[must_use = "nothing is read until it is awaited"]
pub struct Download {
    shared: Arc<Shared>,
    staging: Handle<wgpu::Buffer>,
    receiver: oneshot::Receiver<Mapped>,
    /// The callback's answer, once [`Download::is_ready`] has seen it.
    mapped: Option<Mapped>,
    submitted: Arc<OnceLock<Handle<wgpu::SubmissionIndex>>>,
    len: usize,
}

impl core::fmt::Debug for Download {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Download({} bytes)", self.len)
    }
}

impl Download {
    /// A download of `len` bytes, and the half that starts it.
    pub(crate) fn new(shared: &Arc<Shared>, len: u64) -> Result<(Self, PendingMap)> {
        let staging = shared.staging.take(shared, len.next_multiple_of(4))?;
        let (sender, receiver) = oneshot::channel();
        let submitted = Arc::new(OnceLock::new());
        let pending = PendingMap {
            staging: staging.clone(),
            sender,
            submitted: submitted.clone(),
        };
        let download = Self {
            shared: shared.clone(),
            staging,
            receiver,
            mapped: None,
            submitted,
            len: len as usize,
        };
        Ok((download, pending))
    }

    pub(crate) fn staging(&self) -> &wgpu::Buffer {
        &self.staging
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether [`Download::bytes`] would return without waiting. Never blocks.
    pub fn is_ready(&mut self) -> bool {
        if self.mapped.is_none() {
            #[cfg(not(target_arch = "wasm32"))]
            if self.shared.poll(wgpu::PollType::Poll).is_err() {
                return true;
            }
            match self.receiver.try_recv() {
                Ok(mapped) => self.mapped = mapped,
                Err(_) => return true,
            }
        }
        self.mapped.is_some()
    }

    /// The bytes, once the GPU is done. On native targets the thread blocks until then.
    ///
    /// # Errors
    /// [`Error::Map`] where the commands were not submitted; [`Error::DeviceLost`];
    /// an error that came outside any call.
    pub async fn bytes(mut self) -> Result<Vec<u8>> {
        self.shared.health.alive()?;
        let Some(submission) = self.submitted.get().cloned() else {
            return Err(map_error("its commands were not submitted"));
        };
        if self.mapped.is_none() {
            self.shared.wait(Some(submission))?;
        }
        let mapped = match self.mapped.take() {
            Some(mapped) => mapped,
            // Another thread's poll may have taken the callback and be about to run
            // it, so this waits for the channel rather than for the device.
            None => match (&mut self.receiver).await {
                Ok(mapped) => mapped,
                Err(_) => Err(wgpu::BufferAsyncError),
            },
        };
        #[cfg(target_arch = "wasm32")]
        self.shared.health.settle().await;
        self.shared.health.check()?;
        mapped.map_err(|error| map_error(&error.to_string()))?;
        self.take()
    }

    /// The bytes of a download that [`Download::is_ready`]. Never waits; errors that came outside any call are left to whoever
    /// awaits next.
    ///
    /// # Errors
    /// [`Error::Map`] where it is not ready or its commands were not submitted; [`Error::DeviceLost`].
    pub fn bytes_now(mut self) -> Result<Vec<u8>> {
        self.shared.health.alive()?;
        let mapped = match self.is_ready() {
            true => self.mapped.take(),
            false => None,
        };
        let mapped = mapped.ok_or_else(|| map_error("it is still on its way"))?;
        mapped.map_err(|error| map_error(&error.to_string()))?;
        self.take()
    }

    /// Blocking twin of [`Download::bytes`].
    ///
    /// # Errors
    /// Those of [`Download::bytes`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn bytes_blocking(self) -> Result<Vec<u8>> {
        pollster::block_on(self.bytes())
    }

    fn take(self) -> Result<Vec<u8>> {
        let view = self
            .staging
            .get_mapped_range(..)
            .map_err(|error| map_error(&error.to_string()))?;
        let bytes = view[..self.len].to_vec();
        drop(view);
        self.staging.unmap();
        let read = &self.shared.counters.read;
        read.fetch_add(self.len as u64, Ordering::Relaxed);
        self.shared.staging.give(self.staging);
        Ok(bytes)
    }
}

fn map_error(message: &str) -> Error {
    Error::Map {
        message: message.to_owned(),
    }
}
