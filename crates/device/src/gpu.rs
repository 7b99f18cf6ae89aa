//! [`Gpu`]: an open device, its memory and its queue.
//!
//! Its calls in order of a program: open, allocate, write, run, read, tidy up. Must not
//! record commands (that is `commands`) nor compile kernels (that is `kernel`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::Pod;

use crate::adapter::{self, AdapterInfo, Features, Limits};
use crate::arena::{Arena, Needs};
use crate::bind::BindCache;
use crate::buffer::{Buffer, TypedBuffer};
use crate::commands::{Commands, Submission};
use crate::create::{Created, Creator};
use crate::download::Staging;
use crate::error::{Error, Result};
use crate::health::{Health, lock};
use crate::kernel::{Kernel, KernelCache, KernelSource};
use crate::options::OpenOptions;
use crate::pool::{Memory, Owner, Pool};
use crate::shared::{Counters, Shared};
use crate::upload::MAX_PENDING_BYTES;

/// Zeroing up to so many bytes is a write; above, a command.
const MAX_ZEROS_WRITTEN: u64 = 64 << 10;

/// What a device holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes live and pooled.
    pub memory: Memory,
    /// wgpu objects created.
    pub created: Created,
    /// Submissions, flushes of pending writes included.
    pub submits: u64,
    /// Dispatches submitted.
    pub dispatches: u64,
    /// Bind groups in the cache.
    pub cached_bind_groups: usize,
    /// Bytes uploaded.
    pub written_bytes: u64,
    /// Bytes read back.
    pub read_bytes: u64,
}

/// The buffers that each turn of a loop needs; see [`Gpu::alloc_turn`]. Holds no memory by itself.
#[derive(Clone, Debug)]
pub struct Turns {
    bytes: Vec<u64>,
    first: Owner,
}

impl Turns {
    /// Buffers of so many bytes.
    #[must_use]
    pub fn new(bytes: Vec<u64>) -> Turns {
        let first = Owner::first_of(bytes.len() as u64);
        Turns { bytes, first }
    }

    /// Bytes of each buffer.
    #[must_use]
    pub fn bytes(&self) -> &[u64] {
        &self.bytes
    }
}

/// An open device. Cloning shares it; buffers and kernels keep it alive.
#[derive(Clone)]
pub struct Gpu {
    pub(crate) shared: Arc<Shared>,
}

impl core::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Gpu({})", self.shared.info)
    }
}

impl PartialEq for Gpu {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Gpu {}

impl Gpu {
    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with the adapters that are there; [`Error::RequestDevice`].
    pub async fn open(options: OpenOptions) -> Result<Self> {
        let adapter = adapter::choose(options.name.as_deref(), options.allow_software).await?;
        let info = adapter::info(&adapter);
        let (features, limits) = if options.minimum_limits {
            (wgpu::Features::empty(), wgpu::Limits::default())
        } else {
            (wanted_features(&adapter, &options), adapter.limits())
        };
        let experimental = if options.cooperative_matrix {
            // SAFETY: the option's documentation says that it is experimental; kernels
            // that use it stay within the shapes that the adapter lists.
            unsafe { wgpu::ExperimentalFeatures::enabled() }
        } else {
            wgpu::ExperimentalFeatures::disabled()
        };
        let desc = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: experimental,
            ..Default::default()
        };
        let (device, queue) = match adapter.request_device(&desc).await {
            Ok(pair) => pair,
            Err(error) => {
                return Err(Error::RequestDevice {
                    adapter: info.to_string(),
                    message: error.to_string(),
                });
            }
        };
        let shared = Shared {
            health: Health::watch(&device),
            create: Creator::new(device.clone().into()),
            pool: Pool::default(),
            arenas: Default::default(),
            staging: Staging::default(),
            kernels: KernelCache::default(),
            binds: BindCache::default(),
            counters: Counters::default(),
            limits: adapter::limits(&device.limits(), &adapter.get_info()),
            features: adapter::features(device.features()),
            uploads: Default::default(),
            info,
            options,
            device: device.into(),
            queue: queue.into(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Blocking twin of [`Gpu::open`].
    ///
    /// # Errors
    /// Those of [`Gpu::open`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open_blocking(options: OpenOptions) -> Result<Self> {
        pollster::block_on(Self::open(options))
    }

    /// The adapter.
    #[must_use]
    pub fn info(&self) -> &AdapterInfo {
        &self.shared.info
    }

    /// The limits that the device was opened with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// The features that the device was opened with.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.shared.features
    }

    /// How the device was opened.
    #[must_use]
    pub fn options(&self) -> &OpenOptions {
        &self.shared.options
    }

    /// What the device holds and has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        Stats {
            memory: self.shared.pool.memory(),
            created: self.shared.create.created(),
            submits: get(&counters.submits),
            dispatches: get(&counters.dispatches),
            cached_bind_groups: self.shared.binds.len(),
            written_bytes: get(&counters.written),
            read_bytes: get(&counters.read),
        }
    }

    /// What a buffer of `bytes` bytes takes: memory is handed out in classes of size.
    #[must_use]
    pub fn class_bytes(&self, bytes: u64) -> u64 {
        crate::pool::size_class(bytes, self.shared.limits.max_buffer_bytes)
    }

    /// The loss of the device, or the first error that came outside any call.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], or an earlier error until [`Gpu::clear_error`].
    pub fn check(&self) -> Result<()> {
        self.shared.health.check()
    }

    /// Forgets an error that is not a loss and returns it. Buffers written since it
    /// happened may hold anything.
    pub fn clear_error(&self) -> Option<Error> {
        self.shared.health.clear()
    }

    /// Allocates `bytes` with unspecified contents.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn alloc(&self, bytes: u64) -> Result<Buffer> {
        self.shared.alloc(bytes, Owner::default())
    }

    /// Allocates a buffer for this place of a turn of a loop, with unspecified contents: if one that an earlier
    /// turn had there is free again, that one.
    ///
    /// # Errors
    /// Those of [`Gpu::alloc`]; [`Error::Unsupported`] where there is no such place.
    pub fn alloc_turn(&self, turns: &Turns, place: usize) -> Result<Buffer> {
        match turns.bytes.get(place) {
            Some(&bytes) => self.shared.alloc(bytes, turns.first.plus(place as u64)),
            None => Err(Error::Unsupported {
                what: "a place beyond the last of a turn",
            }),
        }
    }

    /// Allocates `bytes` zeros.
    ///
    /// # Errors
    /// Those of [`Gpu::alloc`].
    pub fn alloc_zeroed(&self, bytes: u64) -> Result<Buffer> {
        let buffer = self.alloc(bytes)?;
        if bytes <= MAX_ZEROS_WRITTEN {
            self.write(&buffer, 0, &vec![0; bytes as usize])?;
        } else {
            let mut commands = self.commands();
            commands.clear(&buffer, 0..bytes)?;
            commands.submit()?;
        }
        Ok(buffer)
    }

    /// Allocates a buffer that holds `data`.
    ///
    /// # Errors
    /// Those of [`Gpu::alloc`].
    pub fn upload(&self, data: &[u8]) -> Result<Buffer> {
        let buffer = self.alloc(data.len() as u64)?;
        self.write(&buffer, 0, data)?;
        Ok(buffer)
    }

    /// Allocates a buffer that holds `elements`.
    ///
    /// # Errors
    /// Those of [`Gpu::alloc`].
    pub fn buffer_from<T: Pod>(&self, elements: &[T]) -> Result<TypedBuffer<T>> {
        let buffer = self.upload(bytemuck::cast_slice(elements))?;
        Ok(TypedBuffer::new(buffer))
    }

    /// Allocates `n` zeroed elements.
    ///
    /// # Errors
    /// Those of [`Gpu::alloc`].
    pub fn zeros<T: Pod>(&self, n: usize) -> Result<TypedBuffer<T>> {
        let bytes = (n as u64).saturating_mul(size_of::<T>() as u64);
        Ok(TypedBuffer::new(self.alloc_zeroed(bytes)?))
    }

    /// Writes `data` at byte `offset`. It takes effect before anything submitted later,
    /// which includes commands that are recorded but not submitted yet.
    ///
    /// # Errors
    /// [`Error::Range`] where it leaves the buffer, where the offset is not a multiple
    /// of 4, or where the length is not and the write ends before the buffer does.
    pub fn write(&self, buffer: &Buffer, offset: u64, data: &[u8]) -> Result<()> {
        let shared = &self.shared;
        shared.health.alive()?;
        shared.owns(buffer)?;
        buffer.check_write("write", offset, data.len() as u64)?;
        let raw = &buffer.slot.raw().buffer;
        let mut at = buffer.offset() + offset;
        for piece in data.chunks(MAX_PENDING_BYTES) {
            let (body, tail) = piece.split_at(piece.len() & !3);
            if !body.is_empty() {
                shared.write(raw, at, body)?;
            }
            if !tail.is_empty() {
                let mut word = [0; 4];
                word[..tail.len()].copy_from_slice(tail);
                shared.write(raw, at + body.len() as u64, &word)?;
            }
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// A kernel, compiled once and then taken from a bounded cache.
    ///
    /// # Errors
    /// [`Error::Shader`] with the source line; [`Error::Pipeline`]; [`Error::DeviceLost`].
    /// In a browser a refused pipeline is found later: the next read returns it.
    pub fn kernel(&self, source: KernelSource<'_>) -> Result<Kernel> {
        crate::kernel::compile(&self.shared, &source)
    }

    /// Starts recording.
    #[must_use]
    pub fn commands(&self) -> Commands {
        Commands::new(self.shared.clone())
    }

    /// Runs one kernel on whole buffers, in the order of their binding numbers.
    ///
    /// # Errors
    /// Those of [`Commands::dispatch`] and [`Commands::submit`].
    pub fn run(
        &self,
        kernel: &Kernel,
        buffers: &[&Buffer],
        groups: [u32; 3],
    ) -> Result<Submission> {
        let bindings: Vec<_> = buffers.iter().map(|&buffer| buffer.into()).collect();
        let mut commands = self.commands();
        commands.dispatch(kernel, &bindings, groups)?;
        commands.submit()
    }

    /// Reads a buffer, after all that was submitted before.
    ///
    /// The copy is submitted when this is first polled. On native targets the thread
    /// blocks until the GPU is done, because nobody else drives the device.
    ///
    /// # Errors
    /// [`Error::Map`], [`Error::DeviceLost`], or an error that came outside any call.
    pub async fn read(&self, buffer: &Buffer) -> Result<Vec<u8>> {
        self.read_range(buffer, 0, buffer.len()).await
    }

    /// Reads `len` bytes from byte `offset` on. See [`Gpu::read`].
    ///
    /// # Errors
    /// Those of [`Gpu::read`], and [`Error::Range`].
    pub async fn read_range(&self, buffer: &Buffer, offset: u64, len: u64) -> Result<Vec<u8>> {
        let mut commands = self.commands();
        let download = commands.download(buffer, offset, len)?;
        commands.submit()?;
        download.bytes().await
    }

    /// Reads several buffers with one submission. See [`Gpu::read`].
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    pub async fn read_all(&self, buffers: &[&Buffer]) -> Result<Vec<Vec<u8>>> {
        let mut commands = self.commands();
        let downloads = buffers
            .iter()
            .map(|buffer| commands.download(buffer, 0, buffer.len()))
            .collect::<Result<Vec<_>>>()?;
        commands.submit()?;
        let mut contents = Vec::with_capacity(downloads.len());
        for download in downloads {
            contents.push(download.bytes().await?);
        }
        Ok(contents)
    }

    /// Blocking twin of [`Gpu::read`].
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_blocking(&self, buffer: &Buffer) -> Result<Vec<u8>> {
        pollster::block_on(self.read(buffer))
    }

    /// Blocking twin of [`Gpu::read_all`].
    ///
    /// # Errors
    /// Those of [`Gpu::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_all_blocking(&self, buffers: &[&Buffer]) -> Result<Vec<Vec<u8>>> {
        pollster::block_on(self.read_all(buffers))
    }

    /// Awaits all that was submitted.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], or an error that came outside any call.
    pub async fn synchronize(&self) -> Result<()> {
        // `on_submitted_work_done` is the browser's only signal; native waits below.
        let (sender, receiver) = futures_channel::oneshot::channel();
        self.shared.health.alive()?;
        self.shared.queue.on_submitted_work_done(move || {
            // The receiver is gone when the caller stopped waiting.
            let _ = sender.send(());
        });
        self.shared.wait(None)?;
        #[cfg(target_arch = "wasm32")]
        {
            // Cancelled means that the device is gone, which `check` reports.
            let _ = receiver.await;
            self.shared.health.settle().await;
        }
        #[cfg(not(target_arch = "wasm32"))]
        drop(receiver);
        self.shared.health.check()
    }

    /// Blocking twin of [`Gpu::synchronize`].
    ///
    /// # Errors
    /// Those of [`Gpu::synchronize`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn synchronize_blocking(&self) -> Result<()> {
        pollster::block_on(self.synchronize())
    }

    /// What a sequence of commands needs of an arena: buffers of so many bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for one that the device cannot have.
    pub fn needs(&self, bytes: &[u64]) -> Result<Needs> {
        Needs::new(self.limits().max_buffer_bytes, bytes)
    }

    /// Temporary memory that takes as much as its largest user, however many there are. It holds nothing yet.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gpu = wgrad_device::Gpu::open_blocking(Default::default())?;
    /// let arena = gpu.arena();
    /// let (small, large) = (gpu.needs(&[1000])?, gpu.needs(&[500, 4000])?);
    /// for needs in [&small, &large, &small] {
    ///     let lease = arena.lease(needs).map_err(|lacking| lacking.error)?;
    ///     let mut commands = gpu.commands();
    ///     commands.clear(lease.buffer(0), 0..400)?;
    ///     commands.submit()?; // and then the lease may end
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn arena(&self) -> Arena {
        Arena::new(&self.shared)
    }

    /// The most bytes that buffers may take, those that wait to be used again included; staging is not counted. `None`: what
    /// the driver has.
    #[must_use]
    pub fn memory_limit(&self) -> Option<u64> {
        self.shared.pool.limit()
    }

    /// Sets [`Gpu::memory_limit`]. An allocation beyond it is [`Error::OutOfMemory`], after all that waits to be used again was
    /// given back. What is held already stays.
    pub fn set_memory_limit(&self, bytes: Option<u64>) {
        self.shared.pool.set_limit(bytes);
    }

    /// Gives the memory of pooled buffers, staging buffers and of arenas that nobody uses now back to the driver.
    pub fn trim(&self) {
        self.shared
            .discard(self.shared.arenas.reclaim().into_iter());
        self.shared.release(self.shared.pool.drain());
        self.shared.staging.clear();
        lock(&self.shared.uploads).clear();
        // Lets wgpu drop what the GPU is done with; a loss is reported by later calls.
        let _ = self.shared.poll(wgpu::PollType::Poll);
    }

    /// Destroys the device, as a driver reset would: every later call returns
    /// [`Error::DeviceLost`]. For tests of recovery.
    pub fn lose(&self) {
        self.shared.device.destroy();
        // The callback comes with the next poll, where there is one.
        let _ = self.shared.poll(wgpu::PollType::Poll);
        self.shared.health.lose("destroyed".to_owned());
    }
}

fn wanted_features(adapter: &wgpu::Adapter, options: &OpenOptions) -> wgpu::Features {
    use wgpu::Features as F;
    let mut wanted = F::SHADER_F16
        | F::SUBGROUP
        | F::SUBGROUP_BARRIER
        | F::SHADER_FLOAT32_ATOMIC
        | F::TIMESTAMP_QUERY;
    if options.cooperative_matrix {
        wanted |= F::EXPERIMENTAL_COOPERATIVE_MATRIX;
    }
    adapter.features() & wanted
}

impl Buffer {
    /// The device that it lives on.
    #[must_use]
    pub fn gpu(&self) -> Gpu {
        Gpu {
            shared: self.slot.shared.clone(),
        }
    }
}

impl Kernel {
    /// The device that it was compiled for.
    #[must_use]
    pub fn gpu(&self) -> Gpu {
        Gpu {
            shared: self.inner.shared.clone(),
        }
    }
}
