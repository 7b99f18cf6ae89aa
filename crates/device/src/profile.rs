//! GPU time per dispatch, by timestamp queries around passes.
//!
//! Around passes rather than inside them, since that is what browsers and Metal have.
//! Must not be on the path of commands recorded without timestamps.

use std::sync::Arc;

use crate::download::{Download, PendingMap};
use crate::error::Result;
use crate::shared::Shared;

/// Queries in one set: a multiple of 32, so that a set resolves to a multiple of 256 bytes.
const QUERIES: u32 = 512;

/// GPU time of one dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Label of the kernel.
    pub label: Arc<str>,
    /// When its pass began, in nanoseconds of the device's clock, which may start anywhere.
    pub start_ns: f64,
    /// Nanoseconds between the start and the end of its pass.
    pub ns: f64,
}

/// Query sets being written.
#[derive(Default)]
pub(crate) struct Recorder {
    sets: Vec<wgpu::QuerySet>,
    labels: Vec<Arc<str>>,
}

/// Timestamps on their way from the GPU.
pub(crate) struct PendingTimings {
    downloads: Vec<Download>,
    labels: Vec<Arc<str>>,
}

impl Recorder {
    /// Where the next dispatch writes its two timestamps.
    pub(crate) fn next(
        &mut self,
        shared: &Shared,
        label: &Arc<str>,
    ) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * (self.labels.len() as u32 % (QUERIES / 2));
        self.labels.push(label.clone());
        if first == 0 {
            self.sets.push(shared.create.timestamps(QUERIES));
        }
        wgpu::ComputePassTimestampWrites {
            // A set was pushed with the first label.
            query_set: &self.sets[self.sets.len() - 1],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Records the copies to the host.
    pub(crate) fn resolve(
        self,
        shared: &Arc<Shared>,
        encoder: &mut wgpu::CommandEncoder,
        started: &mut Vec<PendingMap>,
    ) -> Result<PendingTimings> {
        let mut left = 2 * self.labels.len() as u32;
        let mut downloads = Vec::with_capacity(self.sets.len());
        for set in &self.sets {
            let n = left.min(QUERIES);
            left -= n;
            let bytes = u64::from(n) * 8;
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            let resolved = shared.create.buffer("timestamps", bytes, usage);
            encoder.resolve_query_set(set, 0..n, &resolved, 0);
            let (download, pending) = Download::new(shared, bytes)?;
            encoder.copy_buffer_to_buffer(&resolved, 0, download.staging(), 0, bytes);
            started.push(pending);
            downloads.push(download);
        }
        Ok(PendingTimings {
            downloads,
            labels: self.labels,
        })
    }
}

impl PendingTimings {
    pub(crate) async fn read(self, shared: &Shared) -> Result<Vec<Timing>> {
        let period = f64::from(shared.queue.get_timestamp_period());
        let mut ticks: Vec<u64> = Vec::with_capacity(2 * self.labels.len());
        for download in self.downloads {
            ticks.extend(bytemuck::pod_collect_to_vec::<u8, u64>(
                &download.bytes().await?,
            ));
        }
        let timings = self.labels.into_iter().zip(ticks.chunks_exact(2));
        Ok(timings
            .map(|(label, pair)| Timing {
                label,
                start_ns: pair[0] as f64 * period,
                // A driver may reset its counter between the two.
                ns: pair[1].saturating_sub(pair[0]) as f64 * period,
            })
            .collect())
    }
}
