//! What kernels are chosen by besides shapes: the device, or a class of devices. It must not know a kernel.

use super::table::{Config, config};
use crate::DeviceClass;
use wgrad_device::Gpu;

/// What choices depend on besides shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// A software adapter: no gain from workgroup memory, few threads at once.
    pub(super) software: bool,
    /// A software adapter with subgroups of 8, whose lanes can read each other's registers.
    pub(super) lanes: bool,
    /// The built-in that widens halves gives the numbers of `w_f16_to_f32`, and texts call it.
    pub(super) halves_exact: bool,
    /// Storage buffers that a kernel may bind.
    pub(super) buffers: usize,
    /// Bytes of a buffer that a kernel may bind.
    pub(super) binding: u64,
    /// What was found best for the class of device.
    pub(super) config: Config,
}

impl Target {
    /// A device of this class that offers no more than any. Cards are taken to widen halves exactly, which a device has to
    /// show ([`super::exact`]).
    pub(super) const fn new(class: DeviceClass) -> Target {
        Target {
            software: matches!(class, DeviceClass::Software),
            lanes: false,
            halves_exact: matches!(class, DeviceClass::Discrete),
            buffers: 8,
            binding: 128 << 20,
            config: config(class),
        }
    }

    /// What is best for a device, taken as one of this class.
    pub(super) fn of(gpu: &Gpu, class: DeviceClass) -> Target {
        let limits = gpu.limits();
        let eight = limits.min_subgroup_size == 8 && limits.max_subgroup_size == 8;
        let target = Target::new(class);
        Target {
            lanes: target.software && eight && gpu.features().subgroups,
            halves_exact: false,
            buffers: limits.max_storage_buffers as usize,
            binding: limits.max_binding_bytes.min(limits.max_buffer_bytes),
            ..target
        }
    }
}
