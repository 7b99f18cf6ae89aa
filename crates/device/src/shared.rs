//! [`Shared`]: all state of one device, and the calls that touch its queue.
//!
//! Every other module hangs its state here. Must not be public, and must hold no
//! [`crate::Buffer`] or [`crate::Kernel`], which hold it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::adapter::{AdapterInfo, Features, Limits};
use crate::arena::Arenas;
use crate::bind::BindCache;
use crate::create::Creator;
use crate::download::Staging;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::health::{Health, Scope, lock};
use crate::kernel::KernelCache;
use crate::options::OpenOptions;
use crate::pool::{Owner, Pool, Raw, next_id};
use crate::upload::Uploads;

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) submits: AtomicU64,
    pub(crate) dispatches: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) read: AtomicU64,
}

/// All state of one device.
pub(crate) struct Shared {
    pub(crate) device: Handle<wgpu::Device>,
    pub(crate) queue: Handle<wgpu::Queue>,
    pub(crate) create: Creator,
    pub(crate) health: Arc<Health>,
    pub(crate) pool: Pool,
    pub(crate) arenas: Arenas,
    pub(crate) staging: Staging,
    pub(crate) kernels: KernelCache,
    pub(crate) binds: BindCache,
    pub(crate) counters: Counters,
    pub(crate) info: AdapterInfo,
    pub(crate) limits: Limits,
    pub(crate) features: Features,
    pub(crate) options: OpenOptions,
    pub(crate) uploads: Mutex<Uploads>,
}

impl Shared {
    pub(crate) fn create_raw(&self, class: u64, owner: Owner) -> Result<Raw> {
        self.release(self.pool.make_room(class));
        let mut made = self.try_create(class);
        if matches!(made, Err(Error::OutOfMemory { .. })) {
            self.give_back()?;
            made = self.try_create(class);
        }
        if matches!(made, Err(Error::OutOfMemory { .. })) {
            self.discard(self.arenas.reclaim().into_iter());
            self.give_back()?;
            made = self.try_create(class);
        }
        let buffer = made?;
        self.pool.created(class);
        Ok(Raw {
            buffer,
            id: next_id(),
            capacity: class,
            owner,
        })
    }

    /// Gives all that is free back to the driver, and waits until the GPU is done with it.
    fn give_back(&self) -> Result<()> {
        self.release(self.pool.drain());
        self.staging.clear();
        self.wait(None)
    }

    fn try_create(&self, class: u64) -> Result<Handle<wgpu::Buffer>> {
        if !self.pool.admits(class) {
            return Err(Error::OutOfMemory { bytes: class });
        }
        use wgpu::BufferUsages as U;
        let usage = U::STORAGE | U::UNIFORM | U::COPY_SRC | U::COPY_DST;
        self.health.scoped(&self.device, Scope::Buffer(class), || {
            self.create.buffer("pooled", class, usage).into()
        })
    }

    /// Drops buffers together with the bind groups that would keep them alive.
    pub(crate) fn release(&self, raws: Vec<Raw>) {
        if !raws.is_empty() {
            let ids = raws.iter().map(|raw| raw.id).collect();
            self.binds.evict(&ids);
        }
    }

    /// Writes `data` at byte `offset` of `to`, before whatever is submitted next. Both are multiples of 4.
    pub(crate) fn write(&self, to: &Handle<wgpu::Buffer>, offset: u64, data: &[u8]) -> Result<()> {
        let written = &self.counters.written;
        written.fetch_add(data.len() as u64, Ordering::Relaxed);
        let mut uploads = lock(&self.uploads);
        uploads.write(self, to, offset, data)?;
        if uploads.is_full() {
            uploads.flush(self);
            self.counters.submits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Submits, after the pending writes.
    pub(crate) fn submit(&self, commands: wgpu::CommandBuffer) -> Handle<wgpu::SubmissionIndex> {
        self.counters.submits.fetch_add(1, Ordering::Relaxed);
        // Held to the end, so that no write gets between the pending ones and these commands.
        lock(&self.uploads).submit(self, Some(commands))
    }

    /// Blocks until a submission, or all of them, are done; nothing in a browser.
    pub(crate) fn wait(&self, submission: Option<Handle<wgpu::SubmissionIndex>>) -> Result<()> {
        self.health.alive()?;
        self.poll(wgpu::PollType::Wait {
            submission_index: submission.map(Handle::into_inner),
            timeout: None,
        })
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn poll(&self, _: wgpu::PollType) -> Result<()> {
        self.health.alive()
    }

    /// wgpu 30 panics when the device is lost while it is polled; the panic is caught
    /// and becomes the loss that it stands for.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn poll(&self, poll: wgpu::PollType) -> Result<()> {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        // Nothing of ours is modified inside; wgpu releases its locks by guards.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(poll)));
        match polled {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                self.health.alive()?;
                return Err(Error::Map {
                    message: error.to_string(),
                });
            }
            Err(_) => self.health.lose("lost while waiting for it".to_owned()),
        }
        self.health.alive()
    }
}
