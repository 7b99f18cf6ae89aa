//! Recording: one encoder and one compute pass kept open, submitted once.
//!
//! Must not allocate device memory for what it records, staging for readback aside.
//! It holds every buffer it names until it is submitted, so that none returns to the
//! pool and is overwritten in between.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::bind::{Binding, Bound, BoundInner, BoundKernel, Recent, bind_group};
use crate::buffer::{Buffer, Slot};
use crate::download::{Download, PendingMap};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::kernel::Kernel;
use crate::profile::{PendingTimings, Recorder, Timing};
use crate::shared::Shared;

/// Commands being recorded. Dropping them submits nothing.
pub struct Commands {
    // The pass must go before the encoder that it locks.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: wgpu::CommandEncoder,
    shared: Arc<Shared>,
    /// Kernel set in the open pass.
    current: Option<u64>,
    kept: Vec<Arc<Slot>>,
    kept_bound: Vec<Arc<BoundInner>>,
    downloads: Vec<PendingMap>,
    timings: Option<Recorder>,
    dispatches: u64,
    /// Those that were submitted already.
    flushed: u64,
    scratch: Vec<Bound>,
}

impl core::fmt::Debug for Commands {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Commands({} dispatches)", self.dispatches)
    }
}

impl Commands {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            pass: None,
            encoder: shared.create.encoder(),
            shared,
            current: None,
            kept: Vec::new(),
            kept_bound: Vec::new(),
            downloads: Vec::new(),
            timings: None,
            dispatches: 0,
            flushed: 0,
            scratch: Vec::new(),
        }
    }

    /// Times every dispatch recorded from here on. Each then gets a pass of its own,
    /// so a profiled step is slower than a plain one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without timestamp queries.
    pub fn with_timestamps(mut self) -> Result<Self> {
        if !self.shared.features.timestamps {
            return Err(Error::Unsupported {
                what: "timestamp queries",
            });
        }
        self.end_pass();
        self.timings = Some(Recorder::default());
        Ok(self)
    }

    /// Number of dispatches recorded.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.dispatches
    }

    /// Whether no dispatch was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dispatches == 0
    }

    /// Runs `kernel` on `groups` workgroups, with buffers in the order of their binding
    /// numbers, uniform or storage alike. With a zero in `groups` it does nothing.
    ///
    /// # Errors
    /// [`Error::Binding`], [`Error::Grid`], [`Error::TooLarge`], [`Error::DeviceLost`].
    pub fn dispatch(
        &mut self,
        kernel: &Kernel,
        bindings: &[Binding<'_>],
        groups: [u32; 3],
    ) -> Result<()> {
        if !self.check_grid(kernel, groups)? {
            return Ok(());
        }
        let group = bind_group(&self.shared, kernel, bindings, &mut self.scratch)?;
        let slots = bindings.iter().map(|b| b.buffer.slot.clone());
        self.kept.extend(slots);
        self.encode(kernel, &group, groups)
    }

    /// As [`Commands::dispatch`], for sequences that are recorded again and again: `recent` belongs to this place
    /// in the sequence. The caller holds the buffers until the submission, for this does not.
    ///
    /// # Errors
    /// As [`Commands::dispatch`].
    pub fn dispatch_again(
        &mut self,
        kernel: &Kernel,
        bindings: &[Binding<'_>],
        groups: [u32; 3],
        recent: &mut Recent,
    ) -> Result<()> {
        if !self.check_grid(kernel, groups)? {
            return Ok(());
        }
        let group = recent.group(&self.shared, kernel, bindings, &mut self.scratch)?;
        self.encode(kernel, &group, groups)
    }

    /// Runs a bound kernel: the path without any look-up.
    ///
    /// # Errors
    /// [`Error::Grid`], [`Error::DeviceLost`].
    pub fn dispatch_bound(&mut self, bound: &BoundKernel, groups: [u32; 3]) -> Result<()> {
        if !self.check_grid(bound.kernel(), groups)? {
            return Ok(());
        }
        self.kept_bound.push(bound.inner.clone());
        self.encode(bound.kernel(), &bound.inner.group, groups)
    }

    /// Whether there is anything to run.
    fn check_grid(&self, kernel: &Kernel, groups: [u32; 3]) -> Result<bool> {
        self.shared.health.alive()?;
        if !Arc::ptr_eq(&self.shared, &kernel.inner.shared) {
            return Err(Error::Unsupported {
                what: "a kernel of another device",
            });
        }
        let limit = self.shared.limits.max_groups;
        if groups.iter().any(|&n| n > limit) {
            return Err(Error::Grid {
                kernel: kernel.label().to_owned(),
                groups,
                limit,
            });
        }
        Ok(!groups.contains(&0))
    }

    fn encode(
        &mut self,
        kernel: &Kernel,
        group: &wgpu::BindGroup,
        [x, y, z]: [u32; 3],
    ) -> Result<()> {
        if let Some(timings) = &mut self.timings {
            let writes = timings.next(&self.shared, &kernel.inner.label);
            let desc = wgpu::ComputePassDescriptor {
                label: Some(kernel.label()),
                timestamp_writes: Some(writes),
            };
            let pass = self.encoder.begin_compute_pass(&desc);
            self.pass = Some(pass.forget_lifetime());
            self.current = None;
        }
        let pass = self.pass.get_or_insert_with(|| {
            self.current = None;
            self.encoder
                .begin_compute_pass(&wgpu::ComputePassDescriptor::default())
                .forget_lifetime()
        });
        if self.current != Some(kernel.id()) {
            pass.set_pipeline(&kernel.inner.pipeline);
            self.current = Some(kernel.id());
        }
        pass.set_bind_group(0, group, &[]);
        pass.dispatch_workgroups(x, y, z);
        self.dispatches += 1;
        if self.timings.is_some() {
            self.end_pass();
        }
        Ok(())
    }

    fn end_pass(&mut self) {
        self.pass = None;
    }

    /// Copies `len` bytes from one buffer to another.
    ///
    /// # Errors
    /// [`Error::Range`] where it leaves a buffer, is not aligned to 4 bytes, or where
    /// both are ranges of one underlying buffer, which WebGPU does not copy within.
    pub fn copy(
        &mut self,
        source: &Buffer,
        source_offset: u64,
        target: &Buffer,
        target_offset: u64,
        len: u64,
    ) -> Result<()> {
        self.shared.health.alive()?;
        self.shared.owns(source)?;
        self.shared.owns(target)?;
        source.check("copy from", source_offset, len)?;
        let padded = target.check_write("copy to", target_offset, len)?;
        if source.id() == target.id() {
            return Err(Error::Range {
                what: "copy",
                offset: source_offset,
                len,
                size: source.len(),
                message: "source and target share one underlying buffer",
            });
        }
        if padded == 0 {
            return Ok(());
        }
        self.end_pass();
        self.encoder.copy_buffer_to_buffer(
            source.raw(),
            source.offset() + source_offset,
            target.raw(),
            target.offset() + target_offset,
            padded,
        );
        self.kept.push(source.slot.clone());
        self.kept.push(target.slot.clone());
        Ok(())
    }

    /// Sets a byte range to zero.
    ///
    /// # Errors
    /// [`Error::Range`] where it leaves the buffer or is not aligned to 4 bytes.
    pub fn clear(&mut self, buffer: &Buffer, range: Range<u64>) -> Result<()> {
        self.shared.health.alive()?;
        self.shared.owns(buffer)?;
        let len = range.end.saturating_sub(range.start);
        let padded = buffer.check_write("clear", range.start, len)?;
        if padded == 0 {
            return Ok(());
        }
        self.end_pass();
        let start = buffer.offset() + range.start;
        self.encoder.clear_buffer(buffer.raw(), start, Some(padded));
        self.kept.push(buffer.slot.clone());
        Ok(())
    }

    /// Records a readback of `len` bytes from byte `offset` on, as they are at this
    /// point of the commands. Await [`Download::bytes`] after [`Commands::submit`].
    ///
    /// # Errors
    /// [`Error::Range`], [`Error::DeviceLost`].
    pub fn download(&mut self, buffer: &Buffer, offset: u64, len: u64) -> Result<Download> {
        self.shared.health.alive()?;
        self.shared.owns(buffer)?;
        buffer.check("read", offset, len)?;
        let (download, pending) = Download::new(&self.shared, len)?;
        if len > 0 {
            self.end_pass();
            self.encoder.copy_buffer_to_buffer(
                buffer.raw(),
                buffer.offset() + offset,
                download.staging(),
                0,
                len.next_multiple_of(4),
            );
            self.kept.push(buffer.slot.clone());
        }
        self.downloads.push(pending);
        Ok(download)
    }

    /// Submits what was recorded if that is more than `most` dispatches, and goes on: one encoder that held a very long
    /// sequence would take much memory, and a GPU that is busy with it for seconds may be taken for one that hangs.
    /// Does nothing where dispatches are timed.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], or an error that came outside any call.
    pub fn flush_beyond(&mut self, most: u64) -> Result<()> {
        let waits = self.timings.is_some() || !self.downloads.is_empty();
        if waits || self.dispatches - self.flushed <= most {
            return Ok(());
        }
        self.shared.health.check()?;
        self.end_pass();
        self.flushed = self.dispatches;
        let encoder = std::mem::replace(&mut self.encoder, self.shared.create.encoder());
        self.shared.submit(encoder.finish());
        self.kept.clear();
        self.kept_bound.clear();
        self.shared.health.check()
    }

    /// Submits all that was recorded.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], or an error that came outside any call.
    pub fn submit(mut self) -> Result<Submission> {
        self.shared.health.check()?;
        self.end_pass();
        let timings = match self.timings.take() {
            Some(timings) => {
                let (encoder, downloads) = (&mut self.encoder, &mut self.downloads);
                Some(timings.resolve(&self.shared, encoder, downloads)?)
            }
            None => None,
        };
        let dispatches = &self.shared.counters.dispatches;
        dispatches.fetch_add(self.dispatches, Ordering::Relaxed);
        let index = self.shared.submit(self.encoder.finish());
        for download in self.downloads {
            download.start(&index);
        }
        self.shared.health.check()?;
        Ok(Submission {
            shared: self.shared,
            index,
            timings,
        })
    }
}

/// Submitted work.
pub struct Submission {
    shared: Arc<Shared>,
    index: Handle<wgpu::SubmissionIndex>,
    timings: Option<PendingTimings>,
}

impl core::fmt::Debug for Submission {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Submission({:?})", *self.index)
    }
}

impl Submission {
    /// Blocks until the GPU has done it.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], or an error that came outside any call.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait_blocking(&self) -> Result<()> {
        self.shared.wait(Some(self.index.clone()))?;
        self.shared.health.check()
    }

    /// GPU time of each dispatch, in order; empty unless it was recorded
    /// [`Commands::with_timestamps`].
    ///
    /// # Errors
    /// Those of [`Download::bytes`].
    pub async fn timings(self) -> Result<Vec<Timing>> {
        match self.timings {
            Some(timings) => timings.read(&self.shared).await,
            None => self.shared.health.check().map(|()| Vec::new()),
        }
    }

    /// Blocking twin of [`Submission::timings`].
    ///
    /// # Errors
    /// Those of [`Download::bytes`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn timings_blocking(self) -> Result<Vec<Timing>> {
        pollster::block_on(self.timings())
    }
}
