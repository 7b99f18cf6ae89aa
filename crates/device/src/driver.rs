//! What wgpu itself says it holds: a count that is not ours, to check ours against. Must not allocate on the device.

use crate::gpu::Gpu;

/// Memory of a device as wgpu's allocator counts it, staging and internal buffers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverMemory {
    /// Bytes in allocations.
    pub allocated_bytes: u64,
    /// Bytes of the blocks that allocations come from.
    pub reserved_bytes: u64,
    /// Number of allocations.
    pub allocations: usize,
}

impl Gpu {
    /// What wgpu's allocator holds for this device; `None` on backends that do not tell (Metal, browsers). Takes time
    /// in proportion to the number of allocations: for tests and tools, not for every step.
    #[must_use]
    pub fn driver_memory(&self) -> Option<DriverMemory> {
        let report = self.shared.device.generate_allocator_report()?;
        Some(DriverMemory {
            allocated_bytes: report.total_allocated_bytes,
            reserved_bytes: report.total_reserved_bytes,
            allocations: report.allocations.len(),
        })
    }
}
